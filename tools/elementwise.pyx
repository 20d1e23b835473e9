"""The elementary functions of `steelfast._elementary` over arrays, for their tests."""
from cython cimport floating

from steelfast._elementary cimport (
    exp as exp_of,
    log as log_of,
    log1p as log1p_of,
    sigmoid as sigmoid_of,
    tanh as tanh_of,
)


def exp(const floating[::1] x, floating[::1] result):
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        result[i] = exp_of(x[i])


def log(const floating[::1] x, floating[::1] result):
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        result[i] = log_of(x[i])


def log1p(const floating[::1] x, floating[::1] result):
    cdef Py_ssize_t i
    cdef floating low
    for i in range(x.shape[0]):
        result[i] = log1p_of(x[i], <floating>0.0, &low)


def sigmoid(const floating[::1] x, floating[::1] result):
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        result[i] = sigmoid_of(x[i])


def tanh(const floating[::1] x, floating[::1] result):
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        result[i] = tanh_of(x[i])
