"""Optimiser steps, each in one pass over the parameter, its gradient and what the optimiser remembers of them.

The contract of this file: the functions take C-contiguous arrays of one shape and dtype, float32 or float64, which
`optimizers` has made sure of; they change the parameter and the memory in place, without the GIL, and allocate
nothing.
"""
from cython cimport floating
from libc.math cimport sqrt

cimport numpy as cnp

from steelfast._arrays cimport allow_threads, end_allow_threads, is_float32

cnp.import_array()

cdef enum Rule:
    SGD
    MOMENTUM
    RMSPROP
    ADAM


cdef inline void step(
    Rule rule, floating* parameter, const floating* gradient, floating* first, floating* second, Py_ssize_t n,
    floating rate, floating decay, floating second_decay, floating correction, floating eps,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef floating g
    for k in range(n):
        g = gradient[k]
        if rule == SGD:
            parameter[k] -= rate * g
        elif rule == MOMENTUM:
            first[k] = decay * first[k] + g
            parameter[k] -= rate * first[k]
        elif rule == RMSPROP:
            second[k] = second_decay * second[k] + (<floating>1.0 - second_decay) * (g * g)
            parameter[k] -= rate * g / (<floating>sqrt(second[k]) + eps)
        else:
            first[k] = decay * first[k] + (<floating>1.0 - decay) * g
            second[k] = second_decay * second[k] + (<floating>1.0 - second_decay) * (g * g)
            parameter[k] -= rate * first[k] / (<floating>sqrt(second[k]) * correction + eps)


cdef inline void any_step(
    Rule rule, floating* parameter, const floating* gradient, floating* first, floating* second, Py_ssize_t n,
    floating rate, floating decay, floating second_decay, floating correction, floating eps,
) noexcept nogil:
    # the rule is a constant in each call, so that each has a loop of its own
    if rule == SGD:
        step(SGD, parameter, gradient, first, second, n, rate, decay, second_decay, correction, eps)
    elif rule == MOMENTUM:
        step(MOMENTUM, parameter, gradient, first, second, n, rate, decay, second_decay, correction, eps)
    elif rule == RMSPROP:
        step(RMSPROP, parameter, gradient, first, second, n, rate, decay, second_decay, correction, eps)
    else:
        step(ADAM, parameter, gradient, first, second, n, rate, decay, second_decay, correction, eps)


cdef void run(
    Rule rule, cnp.ndarray parameter, cnp.ndarray gradient, cnp.ndarray first, cnp.ndarray second,
    double rate, double decay, double second_decay, double correction, double eps,
):
    cdef Py_ssize_t n = cnp.PyArray_SIZE(parameter)
    cdef void* p = cnp.PyArray_DATA(parameter)
    cdef const void* g = cnp.PyArray_DATA(gradient)
    cdef void* m = NULL if first is None else cnp.PyArray_DATA(first)
    cdef void* v = NULL if second is None else cnp.PyArray_DATA(second)
    cdef bint single = is_float32(parameter)
    state = allow_threads(n)
    if single:
        any_step[float](
            rule, <float*> p, <const float*> g, <float*> m, <float*> v, n,
            <float> rate, <float> decay, <float> second_decay, <float> correction, <float> eps,
        )
    else:
        any_step[double](
            rule, <double*> p, <const double*> g, <double*> m, <double*> v, n,
            rate, decay, second_decay, correction, eps,
        )
    end_allow_threads(state)


def sgd(cnp.ndarray parameter, cnp.ndarray gradient, double learning_rate):
    """parameter -= learning_rate · gradient."""
    run(SGD, parameter, gradient, None, None, learning_rate, 0.0, 0.0, 0.0, 0.0)


def momentum(cnp.ndarray parameter, cnp.ndarray gradient, cnp.ndarray velocity, double learning_rate, double decay):
    """velocity = decay · velocity + gradient; parameter -= learning_rate · velocity."""
    run(MOMENTUM, parameter, gradient, velocity, None, learning_rate, decay, 0.0, 0.0, 0.0)


def rmsprop(
    cnp.ndarray parameter, cnp.ndarray gradient, cnp.ndarray square, double learning_rate, double decay, double eps,
):
    """square = decay · square + (1 - decay) · gradient²; parameter -= learning_rate · gradient / (√square + eps)."""
    run(RMSPROP, parameter, gradient, None, square, learning_rate, 0.0, decay, 0.0, eps)


def adam(
    cnp.ndarray parameter, cnp.ndarray gradient, cnp.ndarray first, cnp.ndarray second, double learning_rate,
    double first_decay, double second_decay, long step, double eps,
):
    """Adam's `step`-th step (from 1): first and second moments, corrected for their start at zero."""
    run(
        ADAM, parameter, gradient, first, second, learning_rate / (1.0 - first_decay ** step), first_decay,
        second_decay, 1.0 / sqrt(1.0 - second_decay ** step), eps,
    )
