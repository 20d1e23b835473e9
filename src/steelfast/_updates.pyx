"""One step of an optimiser on one parameter, in one pass over it, its gradient and what is remembered of them.

The contract of this file: `update` takes C-contiguous arrays of one shape and dtype, float32 or float64, that do not
overlap (but the gradient may be the parameter itself), which `optimizers` has made sure of; it changes the parameter
and the memory in place, without the GIL, and allocates nothing.
"""
cimport numpy as cnp

from steelfast._arrays cimport allow_threads, end_allow_threads, is_float32, same_shape_and_type
from steelfast._elementary cimport enter_environment, environment, leave_environment
from steelfast._steps cimport (
    ADAM,
    MOMENTUM,
    NESTEROV,
    RMSPROP,
    SGD,
    Rule,
    remembers_gradient,
    remembers_square,
    take_step,
)

cnp.import_array()

# how Python names the kinds of rules
KINDS = {"SGD": SGD, "Momentum": MOMENTUM, "Nesterov": NESTEROV, "RMSProp": RMSPROP, "Adam": ADAM}


def update(
    cnp.ndarray parameter not None, cnp.ndarray gradient not None, cnp.ndarray first, cnp.ndarray second,
    double rate, Py_ssize_t number,
    *, int kind, double decay, double second_decay, double eps, double weight_decay, bint decoupled,
):
    """The parameter's step `number`, from 1: see `Rule` and `take_step`."""
    cdef Rule rule = Rule(kind, decay, second_decay, eps, weight_decay, decoupled)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(parameter)
    cdef void* w = cnp.PyArray_DATA(parameter)
    cdef const void* g = cnp.PyArray_DATA(gradient)
    cdef void* m = NULL if first is None else cnp.PyArray_DATA(first)
    cdef void* v = NULL if second is None else cnp.PyArray_DATA(second)
    cdef bint single = is_float32(parameter)
    cdef environment saved
    # a bound that is cheap to keep: nothing is read or written beyond the arrays
    if not (
        SGD <= kind <= ADAM and same_shape_and_type(gradient, parameter)
        and (same_shape_and_type(first, parameter) if first is not None else not remembers_gradient(kind))
        and (same_shape_and_type(second, parameter) if second is not None else not remembers_square(kind))
    ):
        raise ValueError("gradient, first and second must be like the parameter, as far as the rule's kind needs them")
    state = allow_threads(n)
    saved = enter_environment()
    if single:
        take_step[float](&rule, <float*> w, <const float*> g, <float*> m, <float*> v, n, rate, number)
    else:
        take_step[double](&rule, <double*> w, <const double*> g, <double*> m, <double*> v, n, rate, number)
    leave_environment(saved)
    end_allow_threads(state)
