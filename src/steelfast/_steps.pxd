"""The steps of the optimisers: each formula once, in one pass over the parameter, its gradient and what is remembered.

`optimizers` states the formulas and their sources. Nothing is contracted or approximated (multiplications, additions,
divisions and square roots are rounded one by one), so that a step has the same bits in every build and whoever takes
it. The arrays must not overlap, but the gradient may be the parameter itself.
"""
from cython cimport floating
from libc.math cimport pow, sqrt, sqrtf

cdef enum:
    SGD
    MOMENTUM
    NESTEROV
    RMSPROP
    ADAM

cdef enum:
    # how the weights decay
    NOT_AT_ALL
    WITH_GRADIENT
    BESIDE_GRADIENT

cdef struct Rule:
    # what an optimiser is, in numbers
    int kind
    double decay  # of the running gradient `first`: momentum, beta1
    double second_decay  # of the running square `second`: beta2
    double eps
    double weight_decay
    bint decoupled  # the weights decay beside the gradient (AdamW), not through it


cdef inline bint remembers_gradient(int kind) noexcept nogil:
    """Whether `first` is there."""
    return kind == MOMENTUM or kind == NESTEROV or kind == ADAM


cdef inline bint remembers_square(int kind) noexcept nogil:
    """Whether `second` is there."""
    return kind == RMSPROP or kind == ADAM


cdef inline floating square_root(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline void step_by(
    int kind, int decays, const Rule* rule, floating* parameter, const floating* gradient, floating* first,
    floating* second, Py_ssize_t n, double rate, Py_ssize_t number,
) noexcept nogil:
    # coefficients are formed as doubles and rounded once: of 1 - 0.999 in single precision four digits are right
    cdef floating keep = <floating> (1.0 - rate * rule.weight_decay)
    cdef floating weight_decay = <floating> rule.weight_decay
    cdef floating decay = <floating> rule.decay, gain = <floating> (1.0 - rule.decay)
    cdef floating second_decay = <floating> rule.second_decay, second_gain = <floating> (1.0 - rule.second_decay)
    cdef floating eps = <floating> rule.eps
    cdef floating length = <floating> rate
    cdef floating correction = 1.0
    cdef floating p, g, m, v
    cdef Py_ssize_t k
    if kind == ADAM:
        # the running means began at zero
        length = <floating> (rate / (1.0 - pow(rule.decay, <double> number)))
        correction = <floating> (1.0 / sqrt(1.0 - pow(rule.second_decay, <double> number)))
    for k in range(n):
        p = parameter[k]
        g = gradient[k]
        if decays == WITH_GRADIENT:
            g = g + weight_decay * p
        elif decays == BESIDE_GRADIENT:
            p = keep * p
        if kind == MOMENTUM or kind == NESTEROV:
            m = decay * first[k] + g
            first[k] = m
            g = m if kind == MOMENTUM else g + decay * m
        elif kind == RMSPROP:
            v = second_decay * second[k] + second_gain * (g * g)
            second[k] = v
            g = g / (square_root(v) + eps)
        elif kind == ADAM:
            m = decay * first[k] + gain * g
            v = second_decay * second[k] + second_gain * (g * g)
            first[k] = m
            second[k] = v
            g = m / (square_root(v) * correction + eps)
        parameter[k] = p - length * g


cdef inline void step_of(
    int kind, const Rule* rule, floating* parameter, const floating* gradient, floating* first, floating* second,
    Py_ssize_t n, double rate, Py_ssize_t number,
) noexcept nogil:
    if rule.weight_decay == 0.0:
        step_by(kind, NOT_AT_ALL, rule, parameter, gradient, first, second, n, rate, number)
    elif rule.decoupled:
        step_by(kind, BESIDE_GRADIENT, rule, parameter, gradient, first, second, n, rate, number)
    else:
        step_by(kind, WITH_GRADIENT, rule, parameter, gradient, first, second, n, rate, number)


cdef inline void take_step(
    const Rule* rule, floating* parameter, const floating* gradient, floating* first, floating* second, Py_ssize_t n,
    double rate, Py_ssize_t number,
) noexcept nogil:
    """The parameter's step `number`, from 1, at this learning rate.

    `first` is there for momentum and Adam, `second` for RMSProp and Adam, else NULL; both begin as zeros.
    """
    # the kind is a constant of each call, and so is how the weights decay: each has a loop without a choice in it
    if rule.kind == SGD:
        step_of(SGD, rule, parameter, gradient, first, second, n, rate, number)
    elif rule.kind == MOMENTUM:
        step_of(MOMENTUM, rule, parameter, gradient, first, second, n, rate, number)
    elif rule.kind == NESTEROV:
        step_of(NESTEROV, rule, parameter, gradient, first, second, n, rate, number)
    elif rule.kind == RMSPROP:
        step_of(RMSPROP, rule, parameter, gradient, first, second, n, rate, number)
    else:
        step_of(ADAM, rule, parameter, gradient, first, second, n, rate, number)
