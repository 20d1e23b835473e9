"""softmax, log-softmax, log-sum-exp, the softmax Jacobian and its vector product, sigmoid and log-sigmoid.

The contract of this file: a public function is a `def` that checks, allocates and hands over to one `cdef` kernel;
the kernels run without the GIL, allocate nothing, raise nothing, keep no state; inputs are `const`. The formulas
stand in `_rows` and `_elementary`; here is only the order of passes.
"""
from cython cimport floating
from libc.math cimport INFINITY
from libc.string cimport memcpy

cimport numpy as cnp

from steelfast._arrays cimport (
    Layout,
    allow_threads,
    empty_like,
    end_allow_threads,
    is_float32,
    is_plain,
    is_plain_matrix,
    layout_of,
    layout_of_matrix,
    new_array,
)
from steelfast._elementary cimport (
    enter_environment,
    environment,
    leave_environment,
    log_sigmoid as log_sigmoid_of,
    sigmoid as sigmoid_of,
    times_pair,
    two_product,
    two_sum,
)
from steelfast._rows cimport (
    BLOCK,
    LANES,
    TILES,
    difference,
    exp_block,
    exp_row,
    fill_lanes,
    inverse_sum,
    load_rows,
    load_run,
    log_sum,
    maximum_block,
    maximum_row,
    scale_block,
    scale_row,
    store_rows,
    store_run,
    sum_lanes,
)

import numpy as np

from steelfast._arguments import as_axis, as_floating, as_pair, delivered, workspace

cnp.import_array()

cdef enum RowMap:
    SOFTMAX
    LOG_SOFTMAX
    LOGSUMEXP

cdef enum ElementMap:
    SIGMOID
    LOG_SIGMOID


# --- kernels -----------------------------------------------------------------------------------------------------

cdef inline void log_softmax_block(
    floating* block, Py_ssize_t n_tiles, const floating* maximum, const floating* log_sums,
) noexcept nogil:
    """(block - maximum) - log_sums, each entry rounded once."""
    cdef Py_ssize_t lane, j
    cdef floating largest, shift, d, d_low, result, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        shift = -log_sums[lane]
        for j in range(n_tiles):
            d = difference(block[j * LANES + lane], largest, &d_low)
            result = two_sum(d, shift, &low)
            low = low + d_low
            block[j * LANES + lane] = result + (low if d > -<floating>INFINITY else <floating>0.0)


cdef inline floating shifted_back(floating maximum, floating others, floating log_sum) noexcept nogil:
    """maximum + log_sum; an infinite maximum is the result itself unless there was a NaN."""
    cdef bint infinite = (maximum == <floating>INFINITY) | (maximum == -<floating>INFINITY)
    return maximum if infinite & (others == others) else maximum + log_sum


cdef inline void map_few(
    RowMap kind, const floating* logits, Py_ssize_t row_stride, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """Up to LANES rows of up to TILES classes."""
    cdef floating block[BLOCK]
    cdef floating exps[BLOCK]
    cdef floating maximum[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating factor[LANES]
    cdef floating factor_low[LANES]
    cdef Py_ssize_t lane
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    load_rows(logits, row_stride, class_stride, n_rows, n_classes, block)
    maximum_block(block, n_classes, maximum)
    if kind == SOFTMAX:
        exp_block(block, n_classes, maximum, others, others_low, ties)
        for lane in range(LANES):
            factor[lane] = inverse_sum(maximum[lane], others[lane], others_low[lane], ties[lane], &factor_low[lane])
        scale_block(block, n_classes, factor, factor_low)
        store_rows(block, result, result_row_stride, result_class_stride, n_rows, n_classes)
        return
    memcpy(exps, block, n_classes * LANES * sizeof(floating))
    exp_block(exps, n_classes, maximum, others, others_low, ties)
    for lane in range(LANES):
        factor[lane] = log_sum(maximum[lane], others[lane], others_low[lane], ties[lane])
    if kind == LOG_SOFTMAX:
        log_softmax_block(block, n_classes, maximum, factor)
        store_rows(block, result, result_row_stride, result_class_stride, n_rows, n_classes)
    else:
        for lane in range(LANES):
            factor[lane] = shifted_back(maximum[lane], others[lane], factor[lane])
        store_rows(factor, result, result_row_stride, 1, n_rows, 1)


cdef inline void map_many(
    RowMap kind, const floating* logits, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_class_stride, Py_ssize_t n_classes,
) noexcept nogil:
    """One row of more than TILES classes."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating factor[LANES]
    cdef floating value, low
    cdef floating largest = maximum_row(logits, class_stride, n_classes)
    cdef Py_ssize_t j, n
    exp_row(
        logits, class_stride, n_classes, largest, result if kind == SOFTMAX else NULL, result_class_stride,
        others, others_low, ties,
    )
    if kind == SOFTMAX:
        value = inverse_sum(largest, others[0], others_low[0], ties[0], &low)
        scale_row(result, result_class_stride, n_classes, value, low)
        return
    value = log_sum(largest, others[0], others_low[0], ties[0])
    if kind == LOGSUMEXP:
        result[0] = shifted_back(largest, others[0], value)
        return
    fill_lanes(largest, maximum)
    fill_lanes(value, factor)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        log_softmax_block(
            block, load_run(logits + j * class_stride, class_stride, n, <floating>0.0, block), maximum, factor,
        )
        store_run(block, result + j * result_class_stride, result_class_stride, n)


cdef void map_rows(
    RowMap kind, const floating* logits, Py_ssize_t row_stride, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef environment saved = enter_environment()
    if n_classes <= TILES:
        for i from 0 <= i < n_rows by LANES:
            map_few(
                kind, logits + i * row_stride, row_stride, class_stride,
                result + i * result_row_stride, result_row_stride, result_class_stride,
                min(LANES, n_rows - i), n_classes,
            )
    else:
        for i in range(n_rows):
            map_many(
                kind, logits + i * row_stride, class_stride, result + i * result_row_stride, result_class_stride,
                n_classes,
            )
    leave_environment(saved)


cdef inline void dot_block(
    const floating* p, const floating* g, Py_ssize_t n_tiles, floating* dot, floating* dot_low,
) noexcept nogil:
    """Each lane's sum of g · p, as if in twice the precision (Ogita, Rump and Oishi 2005), is added to dot."""
    cdef Py_ssize_t lane, j
    cdef floating total, total_low, product, product_low, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        total = dot[lane]
        total_low = dot_low[lane]
        for j in range(n_tiles):
            product = two_product(g[j * LANES + lane], p[j * LANES + lane], &product_low)
            total = two_sum(total, product, &low)
            total_low = total_low + (low + product_low)
        dot[lane] = total
        dot_low[lane] = total_low


cdef inline void vjp_block(
    floating* p, const floating* g, Py_ssize_t n_tiles, floating dot, floating dot_low,
) noexcept nogil:
    """p · (g - dot) into p."""
    cdef Py_ssize_t k
    cdef floating centred, low
    for k in range(n_tiles * LANES):
        centred = two_sum(g[k], -dot, &low)
        p[k] = p[k] * (centred + (low - dot_low))


cdef void vjp_rows(
    const floating* probs, Py_ssize_t row_stride, Py_ssize_t class_stride,
    const floating* grad, Py_ssize_t grad_row_stride, Py_ssize_t grad_class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """p · (g - sum of g · p), the sum as if in twice the precision."""
    cdef floating p[BLOCK]
    cdef floating g[BLOCK]
    cdef floating dot[LANES]
    cdef floating dot_low[LANES]
    cdef Py_ssize_t i, j, n, n_tiles
    cdef environment saved = enter_environment()
    for i in range(n_rows):
        fill_lanes(<floating>0.0, dot)
        fill_lanes(<floating>0.0, dot_low)
        for j from 0 <= j < n_classes by BLOCK:
            n = min(BLOCK, n_classes - j)
            n_tiles = load_run(probs + i * row_stride + j * class_stride, class_stride, n, <floating>0.0, p)
            load_run(grad + i * grad_row_stride + j * grad_class_stride, grad_class_stride, n, <floating>0.0, g)
            dot_block(p, g, n_tiles, dot, dot_low)
        sum_lanes(dot, dot_low)
        for j from 0 <= j < n_classes by BLOCK:
            n = min(BLOCK, n_classes - j)
            n_tiles = load_run(probs + i * row_stride + j * class_stride, class_stride, n, <floating>0.0, p)
            load_run(grad + i * grad_row_stride + j * grad_class_stride, grad_class_stride, n, <floating>0.0, g)
            vjp_block(p, g, n_tiles, dot[0], dot_low[0])
            store_run(p, result + i * result_row_stride + j * result_class_stride, result_class_stride, n)
    leave_environment(saved)


cdef void jacobian_rows(
    const floating* probs, floating* result, Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """probs (n_rows, n_classes), result (n_rows, n_classes, n_classes), both C-contiguous."""
    cdef floating tile[LANES]
    cdef floating* line = result
    cdef floating* end = result + n_rows * n_classes * n_classes
    cdef const floating* p
    cdef Py_ssize_t i, j, k, lane
    cdef environment saved = enter_environment()
    for i in range(n_rows):
        p = probs + i * n_classes
        for j in range(n_classes):
            for k from 0 <= k < n_classes by LANES:
                load_run(p + k, 1, min(LANES, n_classes - k), <floating>0.0, tile)
                for lane in range(LANES):
                    tile[lane] = <floating>0.0 - p[j] * tile[lane]
                # a whole tile where there is room: what it writes too far is written again, rightly, by the next
                store_run(tile, line + k, 1, min(LANES, end - (line + k)))
            line[j] = p[j] * (<floating>1.0 - p[j])
            line += n_classes
    leave_environment(saved)


cdef void map_elements(ElementMap kind, const floating* x, floating* result, Py_ssize_t n) noexcept nogil:
    cdef floating block[BLOCK]
    cdef Py_ssize_t i, k, m
    cdef environment saved = enter_environment()
    for i from 0 <= i < n by BLOCK:
        m = LANES * load_run(x + i, 1, min(BLOCK, n - i), <floating>0.0, block)
        if kind == SIGMOID:
            for k in range(m):
                block[k] = sigmoid_of(block[k])
        else:
            for k in range(m):
                block[k] = log_sigmoid_of(block[k])
        store_run(block, result + i, 1, min(BLOCK, n - i))
    leave_environment(saved)


# --- from arrays to kernels --------------------------------------------------------------------------------------

cdef void run_rows(RowMap kind, bint single, const Layout* source, const Layout* target) noexcept nogil:
    cdef Py_ssize_t slab
    for slab in range(source.n_slabs):
        if single:
            map_rows[float](
                kind, <const float*> source.data + slab * source.slab_stride, source.row_stride, source.class_stride,
                <float*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                source.n_rows, source.n_classes,
            )
        else:
            map_rows[double](
                kind, <const double*> source.data + slab * source.slab_stride, source.row_stride, source.class_stride,
                <double*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                source.n_rows, source.n_classes,
            )


cdef object rows_of_matrix(RowMap kind, cnp.ndarray x):
    """The fast path: a plain matrix along its last axis into a new array."""
    cdef Layout source = layout_of_matrix(x)
    cdef Layout target = source
    cdef cnp.ndarray result
    cdef bint single = is_float32(x)
    if kind == LOGSUMEXP:
        result = new_array(1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
        target.row_stride = 1
    else:
        result = empty_like(x)
    target.data = cnp.PyArray_BYTES(result)
    state = allow_threads(source.n_rows * source.n_classes)
    run_rows(kind, single, &source, &target)
    end_allow_threads(state)
    return result


cdef object rows_of_any(RowMap kind, object logits, object axis, object out, bint keepdims):
    """The general path: any array along any axis."""
    cdef Layout source, target
    cdef cnp.ndarray x, result
    cdef int along
    cdef bint single
    x, dtype = as_floating(logits, "logits")
    along = as_axis(axis, x, "logits")
    single = is_float32(x)
    shape = (<object> x).shape
    if kind == LOGSUMEXP:
        shape = shape[:along] + (1,) + shape[along + 1:]
    result = workspace(out, shape, dtype, (<object> x).dtype, x, contiguous=False)
    if cnp.PyArray_SIZE(x):
        if not layout_of(x, along, &source):
            x = np.ascontiguousarray(x)
            layout_of(x, along, &source)
        if not layout_of(result, along, &target):
            result = np.empty(shape, (<object> x).dtype)
            layout_of(result, along, &target)
        with nogil:
            run_rows(kind, single, &source, &target)
    if kind == LOGSUMEXP and not keepdims:
        result = (<object> result).reshape(shape[:along] + shape[along + 1:])
    return delivered(result, out, dtype)


cdef object elements(ElementMap kind, object x, object out):
    cdef cnp.ndarray source, result
    cdef Py_ssize_t n
    cdef bint single
    if out is None and is_plain(x):
        source = x
        result = empty_like(source)
        dtype = None
    else:
        source, dtype = as_floating(x, "x")
        result = workspace(out, (<object> source).shape, dtype, (<object> source).dtype, source, contiguous=True)
        source = np.ascontiguousarray(source)
    n = cnp.PyArray_SIZE(source)
    single = is_float32(source)
    state = allow_threads(n)
    if single:
        map_elements(kind, <const float*> cnp.PyArray_DATA(source), <float*> cnp.PyArray_DATA(result), n)
    else:
        map_elements(kind, <const double*> cnp.PyArray_DATA(source), <double*> cnp.PyArray_DATA(result), n)
    end_allow_threads(state)
    return result if dtype is None else delivered(result, out, dtype)


# --- public functions --------------------------------------------------------------------------------------------

def softmax(logits, axis=-1, *, out=None):
    if out is None and is_plain_matrix(logits) and (axis == -1 or axis == 1):
        return rows_of_matrix(SOFTMAX, logits)
    return rows_of_any(SOFTMAX, logits, axis, out, True)


def log_softmax(logits, axis=-1, *, out=None):
    if out is None and is_plain_matrix(logits) and (axis == -1 or axis == 1):
        return rows_of_matrix(LOG_SOFTMAX, logits)
    return rows_of_any(LOG_SOFTMAX, logits, axis, out, True)


def logsumexp(logits, axis=-1, *, keepdims=False):
    if not keepdims and is_plain_matrix(logits) and (axis == -1 or axis == 1):
        return rows_of_matrix(LOGSUMEXP, logits)
    return rows_of_any(LOGSUMEXP, logits, axis, None, keepdims)


def softmax_jacobian(probs, *, out=None):
    cdef cnp.ndarray p, result
    cdef Py_ssize_t n_rows, n_classes
    cdef bint single
    p, dtype = as_floating(probs, "probs")
    as_axis(-1, p, "probs")
    shape = (<object> p).shape + (cnp.PyArray_DIM(p, cnp.PyArray_NDIM(p) - 1),)
    result = workspace(out, shape, dtype, (<object> p).dtype, p, contiguous=True)
    p = np.ascontiguousarray(p)
    n_classes = cnp.PyArray_DIM(p, cnp.PyArray_NDIM(p) - 1)
    n_rows = cnp.PyArray_SIZE(p) // n_classes
    single = is_float32(p)
    with nogil:
        if single:
            jacobian_rows(<const float*> cnp.PyArray_DATA(p), <float*> cnp.PyArray_DATA(result), n_rows, n_classes)
        else:
            jacobian_rows(<const double*> cnp.PyArray_DATA(p), <double*> cnp.PyArray_DATA(result), n_rows, n_classes)
    return delivered(result, out, dtype)


def softmax_vjp(probs, grad, axis=-1, *, out=None):
    cdef Layout p_layout, g_layout, target
    cdef cnp.ndarray p, g, result
    cdef int along
    cdef Py_ssize_t slab
    cdef bint single
    p, g, compute, dtype = as_pair(probs, "probs", grad, "grad")
    along = as_axis(axis, p, "probs")
    shape = (<object> p).shape
    result = workspace(out, shape, dtype, compute, p, g, contiguous=False)
    single = is_float32(p)
    if cnp.PyArray_SIZE(p):
        # one way through all three: C order where any of them cannot be seen as rows in place
        if not (layout_of(p, along, &p_layout) and layout_of(g, along, &g_layout) and layout_of(result, along, &target)):
            p = np.ascontiguousarray(p)
            g = np.ascontiguousarray(g)
            result = np.empty(shape, compute)
            layout_of(p, along, &p_layout)
            layout_of(g, along, &g_layout)
            layout_of(result, along, &target)
        with nogil:
            for slab in range(target.n_slabs):
                if single:
                    vjp_rows[float](
                        <const float*> p_layout.data + slab * p_layout.slab_stride,
                        p_layout.row_stride, p_layout.class_stride,
                        <const float*> g_layout.data + slab * g_layout.slab_stride,
                        g_layout.row_stride, g_layout.class_stride,
                        <float*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                        target.n_rows, target.n_classes,
                    )
                else:
                    vjp_rows[double](
                        <const double*> p_layout.data + slab * p_layout.slab_stride,
                        p_layout.row_stride, p_layout.class_stride,
                        <const double*> g_layout.data + slab * g_layout.slab_stride,
                        g_layout.row_stride, g_layout.class_stride,
                        <double*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                        target.n_rows, target.n_classes,
                    )
    return delivered(result, out, dtype)


def sigmoid(x, *, out=None):
    return elements(SIGMOID, x, out)


def log_sigmoid(x, *, out=None):
    return elements(LOG_SIGMOID, x, out)
