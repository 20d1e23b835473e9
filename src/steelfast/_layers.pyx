"""Hidden layers between the matrix products: bias, activation and dropout in one pass, and the way back in another.

The contract of this file: the functions take C-contiguous arrays of one dtype, float32 or float64, whose shapes and
values `network` has made sure of; they change the minibatch in place, without the GIL, and allocate nothing. The sums
over rows are taken in the order of the rows, so that the same input gives the same bits.
"""
from cython cimport floating

cimport numpy as cnp

from steelfast._arrays cimport allow_threads, end_allow_threads, is_float32, same_shape_and_type
from steelfast._elementary cimport tanh

cnp.import_array()

cdef enum Activation:
    IDENTITY
    RELU
    TANH

ACTIVATIONS = {"identity": IDENTITY, "relu": RELU, "tanh": TANH}


cdef inline void forward(
    int activation, bint drops, floating* x, const floating* bias, const cnp.npy_bool* kept, floating scale,
    Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil:
    cdef Py_ssize_t _i, j
    cdef floating value
    for _i in range(n_rows):
        for j in range(n_units):
            value = x[j] + bias[j]
            if activation == RELU:
                value = <floating>0.0 if value <= <floating>0.0 else value      # NaN stays NaN
            elif activation == TANH:
                value = tanh(value)
            if drops:
                value = value * (scale if kept[j] else <floating>0.0)
            x[j] = value
        x += n_units
        if drops:
            kept += n_units


cdef inline void backward(
    int activation, bint drops, floating* grad, const floating* output, const cnp.npy_bool* kept, floating scale,
    floating* bias_grad, Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil:
    cdef Py_ssize_t _i, j
    cdef floating g, t
    for j in range(n_units):
        bias_grad[j] = <floating>0.0
    for _i in range(n_rows):
        for j in range(n_units):
            g = grad[j]
            if drops:
                g = g * (scale if kept[j] else <floating>0.0)
            if activation == RELU:
                g = <floating>0.0 if output[j] <= <floating>0.0 else g
            elif activation == TANH:
                # a product would leave a t above 1 at times, a quotient never does
                t = output[j] / scale if drops else output[j]
                g = g * ((<floating>1.0 - t) * (<floating>1.0 + t))
            grad[j] = g
            bias_grad[j] += g
        grad += n_units
        output += n_units
        if drops:
            kept += n_units


# the activation, and whether units drop out, are constants in each call, so that each has a loop of its own

cdef inline void any_forward(
    int activation, floating* x, const floating* bias, const cnp.npy_bool* kept, floating scale,
    Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil:
    if activation == IDENTITY:
        forward(IDENTITY, False, x, bias, kept, scale, n_rows, n_units)
    elif activation == RELU and kept == NULL:
        forward(RELU, False, x, bias, kept, scale, n_rows, n_units)
    elif activation == RELU:
        forward(RELU, True, x, bias, kept, scale, n_rows, n_units)
    elif kept == NULL:
        forward(TANH, False, x, bias, kept, scale, n_rows, n_units)
    else:
        forward(TANH, True, x, bias, kept, scale, n_rows, n_units)


cdef inline void any_backward(
    int activation, floating* grad, const floating* output, const cnp.npy_bool* kept, floating scale,
    floating* bias_grad, Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil:
    if activation == IDENTITY:
        backward(IDENTITY, False, grad, output, kept, scale, bias_grad, n_rows, n_units)
    elif activation == RELU and kept == NULL:
        backward(RELU, False, grad, output, kept, scale, bias_grad, n_rows, n_units)
    elif activation == RELU:
        backward(RELU, True, grad, output, kept, scale, bias_grad, n_rows, n_units)
    elif kept == NULL:
        backward(TANH, False, grad, output, kept, scale, bias_grad, n_rows, n_units)
    else:
        backward(TANH, True, grad, output, kept, scale, bias_grad, n_rows, n_units)


cdef int check_units(cnp.ndarray table, cnp.ndarray like, cnp.ndarray bias, cnp.ndarray kept) except -1:
    """Nothing is read or written beyond the arrays."""
    if not (
        cnp.PyArray_NDIM(table) == 2 and same_shape_and_type(table, like)
        and cnp.PyArray_SIZE(bias) == cnp.PyArray_DIM(table, 1) and cnp.PyArray_TYPE(bias) == cnp.PyArray_TYPE(table)
        and (kept is None or (
            cnp.PyArray_TYPE(kept) == cnp.NPY_BOOL and cnp.PyArray_SIZE(kept) == cnp.PyArray_SIZE(table)))
    ):
        raise ValueError("a pass needs a table of units, a bias for each unit and a mask of the table's shape")
    return 0


def activate(
    cnp.ndarray x not None, cnp.ndarray bias not None, int activation, cnp.ndarray kept=None, double scale=1.0,
):
    """x = f(x + bias), and where units drop out, scale · kept ⊙ f(x + bias).

    Parameters
    ----------
    x : array of shape (n_rows, n_units)
        Changed in place.
    bias : array of shape (n_units,)
    activation : int
        A value of `ACTIVATIONS`; the identity drops nothing out.
    kept : array of bool of shape (n_rows, n_units), optional
        Which units do not drop out.
    scale : float, default 1
        What those are multiplied by.
    """
    cdef Py_ssize_t n_rows = cnp.PyArray_DIM(x, 0), n_units = cnp.PyArray_DIM(x, 1)
    cdef void* data = cnp.PyArray_DATA(x)
    cdef const void* bias_data = cnp.PyArray_DATA(bias)
    cdef const cnp.npy_bool* kept_data = NULL
    cdef bint single = is_float32(x)
    check_units(x, x, bias, kept)
    if kept is not None:
        kept_data = <const cnp.npy_bool*> cnp.PyArray_DATA(kept)
    state = allow_threads(n_rows * n_units)
    if single:
        any_forward(
            activation, <float*> data, <const float*> bias_data, kept_data, <float> scale, n_rows, n_units,
        )
    else:
        any_forward(activation, <double*> data, <const double*> bias_data, kept_data, scale, n_rows, n_units)
    end_allow_threads(state)


def activate_grad(
    cnp.ndarray grad not None, cnp.ndarray output not None, int activation, cnp.ndarray bias_grad not None,
    cnp.ndarray kept=None, double scale=1.0,
):
    """The gradient with respect to the output of `activate`, made that with respect to its input; its sums over rows.

    The derivative comes from the output y: of ReLU, 1 where y > 0; of tanh, 1 - y².

    Parameters
    ----------
    grad, output : array of shape (n_rows, n_units)
        The first is changed in place.
    activation : int
        A value of `ACTIVATIONS`; the identity asks for nothing of the output.
    bias_grad : array of shape (n_units,)
        Where the gradient with respect to the bias is written.
    kept, scale
        What `activate` had.
    """
    cdef Py_ssize_t n_rows = cnp.PyArray_DIM(grad, 0), n_units = cnp.PyArray_DIM(grad, 1)
    cdef void* data = cnp.PyArray_DATA(grad)
    cdef const void* output_data = cnp.PyArray_DATA(output)
    cdef void* bias_data = cnp.PyArray_DATA(bias_grad)
    cdef const cnp.npy_bool* kept_data = NULL
    cdef bint single = is_float32(grad)
    check_units(grad, output, bias_grad, kept)
    if kept is not None:
        kept_data = <const cnp.npy_bool*> cnp.PyArray_DATA(kept)
    state = allow_threads(n_rows * n_units)
    if single:
        any_backward(
            activation, <float*> data, <const float*> output_data, kept_data, <float> scale, <float*> bias_data,
            n_rows, n_units,
        )
    else:
        any_backward(
            activation, <double*> data, <const double*> output_data, kept_data, scale, <double*> bias_data,
            n_rows, n_units,
        )
    end_allow_threads(state)
