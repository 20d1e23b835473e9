"""Losses and their gradients: softmax and sigmoid cross-entropy, sigmoid-MSE, MSE, and the entropies of distributions.

The contract of this file: a public function is a `def` that checks, allocates and hands over to one `cdef` kernel;
the kernels run without the GIL, allocate nothing, raise nothing, keep no state; inputs are `const`. One kernel makes
the values, the gradients or both of a loss: what is not wanted is a NULL pointer.
"""
from cython cimport floating
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cimport numpy as cnp

from steelfast._arrays cimport (
    Layout,
    PyArray_Scalar,
    allow_threads,
    empty_like,
    end_allow_threads,
    is_float32,
    is_plain,
    is_plain_matrix,
    layout_of,
    new_array,
    same_shape_and_type,
)
from steelfast._elementary cimport (
    enter_environment,
    environment,
    exp_scale,
    leave_environment,
    log as log_of,
    log1p,
    log1p_exp_of_negative,
    pair_times_pair,
    reciprocal,
    sigmoid_parts,
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

from steelfast._arguments import (
    as_axis,
    as_floating,
    as_index,
    as_labels,
    as_number,
    as_pair,
    as_shaped,
    as_weights,
    check_reduction,
    delivered,
    workspace,
)

cnp.import_array()

cdef enum Reduction:
    NONE
    SUM
    MEAN

cdef enum ElementLoss:
    SIGMOID_CROSS_ENTROPY
    SIGMOID_MSE
    MSE

cdef enum Divergence:
    CROSS_ENTROPY
    KL_DIVERGENCE


# --- sums of losses ------------------------------------------------------------------------------------------------

cdef inline floating sum_of_pair(floating total, floating total_low) noexcept nogil:
    """total + total_low; the low part of an infinite sum is undefined."""
    cdef bint finite = (total > -<floating>INFINITY) & (total < <floating>INFINITY)
    return total + (total_low if finite else <floating>0.0)


cdef inline void add_pair(floating value, floating* total, floating* total_low) noexcept nogil:
    cdef floating low
    total[0] = two_sum(total[0], value, &low)
    total_low[0] += low


cdef inline floating weighted(floating weight, floating value) noexcept nogil:
    """weight · value, where 0 · infinity is 0: what has no weight costs nothing."""
    return <floating>0.0 if weight == <floating>0.0 else weight * value


# --- softmax cross-entropy -------------------------------------------------------------------------------------

cdef inline floating negative_log_prob(floating logit, floating maximum, floating log_sum) noexcept nogil:
    """(maximum - logit) + log_sum, both terms positive, rounded once."""
    cdef floating d_low, low, value
    cdef floating d = difference(logit, maximum, &d_low)
    value = two_sum(-d, log_sum, &low)
    return value + (low - d_low if d > -<floating>INFINITY else <floating>0.0)


cdef inline floating gradient_entry(
    floating e, floating target, floating total, floating factor, floating factor_low, floating rest,
) noexcept nogil:
    """total · p - target, where total is the sum of the row's targets and factor · e = total · p.

    Where the target has most of the row's weight and p is the largest probability this is the difference of two
    numbers that may be nearly equal: (total - target) - total · (1 - p) is the same, and `rest`, total · (1 - p),
    is known from the sum of the others.
    """
    cdef floating near = (total - target) - rest
    cdef floating far = times_pair(e, factor, factor_low) - target
    return near if (e == exp_scale(e)) & (target + target > total) else far


cdef inline floating gradient_factor(
    floating maximum, floating others, floating others_low, floating ties,
    floating total, floating total_low, floating* factor_low, floating* rest,
) noexcept nogil:
    """What turns the exponentials of a row into total · p, as a pair; and total · (1 - the largest p)."""
    cdef floating inverse, inverse_low, factor, sum_, sum_low
    inverse = inverse_sum(maximum, others, others_low, ties, &inverse_low)
    factor = pair_times_pair(total, total_low, inverse, inverse_low, factor_low)
    sum_ = two_sum((ties - <floating>1.0) * exp_scale(total), others, &sum_low)
    rest[0] = times_pair(sum_, factor, factor_low[0]) + (sum_low + others_low) * factor
    return factor


cdef inline floating target_entry(
    Py_ssize_t i, Py_ssize_t j, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, floating smoothing,
) noexcept nogil:
    """The weighted and smoothed target of class j in row i."""
    cdef floating target
    if labels != NULL:
        target = <floating>1.0 if labels[i] == j else <floating>0.0
    else:
        target = probs[i * n_classes + j]
    target = (<floating>1.0 - smoothing) * target + smoothing / <floating>n_classes
    if class_weight != NULL:
        target *= class_weight[j]
    if sample_weight != NULL:
        target *= sample_weight[i]
    return target


cdef inline floating label_weight(
    Py_ssize_t i, const int64_t* labels, const floating* class_weight, const floating* sample_weight,
) noexcept nogil:
    cdef floating weight = <floating>1.0
    if labels[i] < 0:
        return <floating>0.0
    if class_weight != NULL:
        weight *= class_weight[labels[i]]
    if sample_weight != NULL:
        weight *= sample_weight[i]
    return weight


cdef inline void few_with_labels(
    const floating* logits, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels,
    const floating* class_weight, const floating* sample_weight, floating scale, floating scale_low,
    floating* losses, floating* grad,
) noexcept nogil:
    """Up to LANES rows of few classes with labels, from row `first` on; losses has LANES entries or is NULL."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating weight[LANES]
    cdef floating label_logit[LANES]
    cdef floating factor[LANES]
    cdef floating factor_low[LANES]
    cdef floating total[LANES]
    cdef floating rest[LANES]
    cdef floating label_grad[LANES]
    cdef floating total_low
    cdef Py_ssize_t lane, j, k
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    fill_lanes(<floating>0.0, weight)
    fill_lanes(<floating>0.0, label_logit)
    load_rows(logits + first * n_classes, n_classes, 1, n_rows, n_classes, block)
    for lane in range(n_rows):
        weight[lane] = label_weight(first + lane, labels, class_weight, sample_weight)
        if labels[first + lane] < 0:
            # an ignored row counts for nothing, whatever its logits are
            for j in range(n_classes):
                block[j * LANES + lane] = <floating>0.0
        else:
            label_logit[lane] = block[labels[first + lane] * LANES + lane]
    maximum_block(block, n_classes, maximum)
    exp_block(block, n_classes, maximum, others, others_low, ties)
    if losses != NULL:
        for lane in range(LANES):
            losses[lane] = weighted(
                weight[lane],
                negative_log_prob(
                    label_logit[lane], maximum[lane],
                    log_sum(maximum[lane], others[lane], others_low[lane], ties[lane]),
                ),
            )
    if grad != NULL:
        for lane in range(LANES):
            total[lane] = pair_times_pair(weight[lane], <floating>0.0, scale, scale_low, &total_low)
            factor[lane] = gradient_factor(
                maximum[lane], others[lane], others_low[lane], ties[lane], total[lane], total_low,
                &factor_low[lane], &rest[lane],
            )
        for lane in range(n_rows):
            k = max(labels[first + lane], 0) * LANES + lane
            label_grad[lane] = gradient_entry(
                block[k], total[lane], total[lane], factor[lane], factor_low[lane], rest[lane],
            )
        scale_block(block, n_classes, factor, factor_low)
        for lane in range(n_rows):
            block[max(labels[first + lane], 0) * LANES + lane] = label_grad[lane]
        store_rows(block, grad + first * n_classes, n_classes, 1, n_rows, n_classes)


cdef inline floating many_with_label(
    const floating* logits, Py_ssize_t i, Py_ssize_t n_classes, const int64_t* labels,
    const floating* class_weight, const floating* sample_weight, floating scale, floating scale_low,
    floating* grad,
) noexcept nogil:
    """Row i of many classes with a label; returns its loss."""
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef const floating* row = logits + i * n_classes
    cdef floating* exps = NULL if grad == NULL else grad + i * n_classes
    cdef floating maximum, label_logit, weight, loss, total, total_low, factor, factor_low, rest, entry
    cdef Py_ssize_t j
    if labels[i] < 0:
        if grad != NULL:
            for j in range(n_classes):
                exps[j] = <floating>0.0
        return <floating>0.0
    weight = label_weight(i, labels, class_weight, sample_weight)
    label_logit = row[labels[i]]
    maximum = maximum_row(row, 1, n_classes)
    exp_row(row, 1, n_classes, maximum, exps, 1, others, others_low, ties)
    loss = negative_log_prob(label_logit, maximum, log_sum(maximum, others[0], others_low[0], ties[0]))
    if grad != NULL:
        total = pair_times_pair(weight, <floating>0.0, scale, scale_low, &total_low)
        factor = gradient_factor(
            maximum, others[0], others_low[0], ties[0], total, total_low, &factor_low, &rest,
        )
        entry = gradient_entry(exps[labels[i]], total, total, factor, factor_low, rest)
        scale_row(exps, 1, n_classes, factor, factor_low)
        exps[labels[i]] = entry
    return weighted(weight, loss)


cdef inline floating row_with_targets(
    const floating* logits, Py_ssize_t i, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, floating smoothing,
    floating scale, floating scale_low, floating* grad,
) noexcept nogil:
    """Row i with a target on every class: probabilities or smoothed labels; returns its loss."""
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef const floating* row = logits + i * n_classes
    cdef floating* exps = NULL if grad == NULL else grad + i * n_classes
    cdef floating maximum, target, total, total_low, loss, loss_low, product, low, d, d_low, log_of_sum
    cdef floating scaled, scaled_low, factor, factor_low, rest
    cdef Py_ssize_t j
    if labels != NULL and labels[i] < 0:
        if grad != NULL:
            for j in range(n_classes):
                exps[j] = <floating>0.0
        return <floating>0.0
    maximum = maximum_row(row, 1, n_classes)
    total = total_low = loss = loss_low = <floating>0.0
    for j in range(n_classes):
        target = target_entry(i, j, n_classes, labels, probs, class_weight, sample_weight, smoothing)
        add_pair(target, &total, &total_low)
        d = difference(row[j], maximum, &d_low)
        if target != <floating>0.0:
            if d == -<floating>INFINITY:
                add_pair(target * <floating>INFINITY, &loss, &loss_low)
            else:
                product = two_product(target, -d, &low)
                add_pair(product, &loss, &loss_low)
                loss_low += low - target * d_low
    exp_row(row, 1, n_classes, maximum, exps, 1, others, others_low, ties)
    log_of_sum = log_sum(maximum, others[0], others_low[0], ties[0])
    product = two_product(total, log_of_sum, &low)
    add_pair(product, &loss, &loss_low)
    loss = sum_of_pair(loss, loss_low + (low + total_low * log_of_sum))
    if grad != NULL:
        scaled = pair_times_pair(total, total_low, scale, scale_low, &scaled_low)
        factor = gradient_factor(
            maximum, others[0], others_low[0], ties[0], scaled, scaled_low, &factor_low, &rest,
        )
        for j in range(n_classes):
            target = target_entry(i, j, n_classes, labels, probs, class_weight, sample_weight, smoothing)
            exps[j] = gradient_entry(exps[j], target * scale, scaled, factor, factor_low, rest)
    return loss


cdef void cross_entropy_rows(
    const floating* logits, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, floating smoothing,
    floating scale, floating scale_low, floating* losses, floating* total, floating* grad,
) noexcept nogil:
    """losses: one for each row, or NULL; total: their sum as a pair, or NULL; grad: that of scale · total, or NULL."""
    cdef floating lanes[LANES]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef floating* wanted = NULL if losses == NULL and total == NULL else lanes
    cdef floating low
    cdef Py_ssize_t i, n, lane
    cdef environment saved = enter_environment()
    fill_lanes(<floating>0.0, sums)
    fill_lanes(<floating>0.0, sums_low)
    i = 0
    while i < n_rows:
        if probs != NULL or smoothing != <floating>0.0:
            n = 1
            lanes[0] = row_with_targets(
                logits, i, n_classes, labels, probs, class_weight, sample_weight, smoothing, scale, scale_low, grad,
            )
        elif n_classes <= TILES:
            n = min(LANES, n_rows - i)
            few_with_labels(
                logits, i, n, n_classes, labels, class_weight, sample_weight, scale, scale_low, wanted, grad,
            )
        else:
            n = 1
            lanes[0] = many_with_label(
                logits, i, n_classes, labels, class_weight, sample_weight, scale, scale_low, grad,
            )
        if losses != NULL:
            memcpy(losses + i, lanes, n * sizeof(floating))
        if total != NULL:
            if n == LANES:
                for lane in range(LANES):
                    sums[lane] = two_sum(sums[lane], lanes[lane], &low)
                    sums_low[lane] += low
            else:
                for lane in range(n):
                    add_pair(lanes[lane], &sums[lane], &sums_low[lane])
        i += n
    if total != NULL:
        sum_lanes(sums, sums_low)
        total[0] = sums[0]
        total[1] = sums_low[0]
    leave_environment(saved)


# --- losses of single numbers ------------------------------------------------------------------------------------

cdef inline floating element_value(
    ElementLoss kind, floating z, floating y, floating positive_weight,
) noexcept nogil:
    cdef floating small, residual, weight, tail, linear
    if kind == SIGMOID_CROSS_ENTROPY:
        # z (1 - y) + weight · log(1 + exp(-z)), arranged so that every term is positive
        weight = <floating>1.0 + (positive_weight - <floating>1.0) * y
        tail = weighted(weight, log1p_exp_of_negative(z))
        linear = weighted(positive_weight * y, -z) if z < <floating>0.0 else weighted(<floating>1.0 - y, z)
        return linear + tail
    elif kind == SIGMOID_MSE:
        sigmoid_parts(z, &small)
        residual = small - y if z < <floating>0.0 else (<floating>1.0 - y) - small
        return residual * residual
    else:
        return (z - y) * (z - y)


cdef inline floating element_slope(
    ElementLoss kind, floating z, floating y, floating positive_weight,
) noexcept nogil:
    cdef floating small, large, residual, weight
    if kind == SIGMOID_CROSS_ENTROPY:
        sigmoid_parts(z, &small)
        weight = <floating>1.0 + (positive_weight - <floating>1.0) * y
        return weight * small - positive_weight * y if z < <floating>0.0 else (<floating>1.0 - y) - weight * small
    elif kind == SIGMOID_MSE:
        large = sigmoid_parts(z, &small)
        residual = small - y if z < <floating>0.0 else (<floating>1.0 - y) - small
        return (residual + residual) * (large * small)
    else:
        return (z - y) + (z - y)


cdef inline void element_blocks(
    ElementLoss kind, const floating* predictions, const floating* targets, const floating* positive_weight,
    Py_ssize_t n, floating scale, floating scale_low, floating* losses, floating* total, floating* grad,
) noexcept nogil:
    cdef floating z[BLOCK]
    cdef floating y[BLOCK]
    cdef floating weight[BLOCK]
    cdef floating values[BLOCK]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef floating low
    cdef Py_ssize_t i, k, m, n_tiles, lane
    fill_lanes(<floating>0.0, sums)
    fill_lanes(<floating>0.0, sums_low)
    for k in range(BLOCK):
        weight[k] = <floating>1.0
    for i from 0 <= i < n by BLOCK:
        m = min(BLOCK, n - i)
        n_tiles = load_run(predictions + i, 1, m, <floating>0.0, z)
        load_run(targets + i, 1, m, <floating>0.0, y)
        if positive_weight != NULL:
            load_run(positive_weight + i, 1, m, <floating>1.0, weight)
        if losses != NULL or total != NULL:
            for k in range(n_tiles * LANES):
                values[k] = element_value(kind, z[k], y[k], weight[k])
            if losses != NULL:
                store_run(values, losses + i, 1, m)
            for k in range(m, n_tiles * LANES):
                values[k] = <floating>0.0
            for lane in range(LANES):
                for k in range(n_tiles):
                    sums[lane] = two_sum(sums[lane], values[k * LANES + lane], &low)
                    sums_low[lane] += low
        if grad != NULL:
            for k in range(n_tiles * LANES):
                z[k] = times_pair(element_slope(kind, z[k], y[k], weight[k]), scale, scale_low)
            store_run(z, grad + i, 1, m)
    if total != NULL:
        sum_lanes(sums, sums_low)
        total[0] = sums[0]
        total[1] = sums_low[0]


cdef void element_losses(
    ElementLoss kind, const floating* predictions, const floating* targets, const floating* positive_weight,
    Py_ssize_t n, floating scale, floating scale_low, floating* losses, floating* total, floating* grad,
) noexcept nogil:
    cdef environment saved = enter_environment()
    # the kind is a constant in each call, so that each has loops of its own
    if kind == SIGMOID_CROSS_ENTROPY:
        element_blocks(
            SIGMOID_CROSS_ENTROPY, predictions, targets, positive_weight, n, scale, scale_low, losses, total, grad)
    elif kind == SIGMOID_MSE:
        element_blocks(SIGMOID_MSE, predictions, targets, positive_weight, n, scale, scale_low, losses, total, grad)
    else:
        element_blocks(MSE, predictions, targets, positive_weight, n, scale, scale_low, losses, total, grad)
    leave_environment(saved)


# --- entropies of distributions ----------------------------------------------------------------------------------

cdef inline floating log_ratio(floating p, floating q) noexcept nogil:
    """log(p / q): from their exact difference where they are close."""
    cdef bint close = (p < q + q) & (q < p + p)
    return log1p((p - q) / q, <floating>0.0) if close else log_of(p) - log_of(q)


cdef inline void divergence_block(
    Divergence kind, const floating* p, const floating* q, Py_ssize_t n_tiles, floating eps,
    floating* sums, floating* sums_low,
) noexcept nogil:
    """Each lane's sum of -p · log(q + eps), or of p · log(p / q), is added to its sums."""
    cdef Py_ssize_t lane, j
    cdef floating total, total_low, factor, product, product_low, low
    for lane in range(LANES):
        total = sums[lane]
        total_low = sums_low[lane]
        for j in range(n_tiles):
            if kind == CROSS_ENTROPY:
                factor = -log_of(q[j * LANES + lane] + eps)
            else:
                factor = log_ratio(p[j * LANES + lane], q[j * LANES + lane])
            product = two_product(p[j * LANES + lane], factor, &product_low)
            product = <floating>0.0 if p[j * LANES + lane] == <floating>0.0 else product
            # what is infinite or undefined has no low part
            product_low = product_low if product - product == <floating>0.0 else <floating>0.0
            product_low = <floating>0.0 if p[j * LANES + lane] == <floating>0.0 else product_low
            total = two_sum(total, product, &low)
            total_low = total_low + (low + product_low)
        sums[lane] = total
        sums_low[lane] = total_low


cdef void divergence_rows(
    Divergence kind, const floating* p, Py_ssize_t p_row_stride, Py_ssize_t p_class_stride,
    const floating* q, Py_ssize_t q_row_stride, Py_ssize_t q_class_stride,
    floating* result, Py_ssize_t result_stride, Py_ssize_t n_rows, Py_ssize_t n_classes, floating eps,
) noexcept nogil:
    cdef floating p_block[BLOCK]
    cdef floating q_block[BLOCK]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef Py_ssize_t i, j, n, n_tiles
    cdef environment saved = enter_environment()
    for i in range(n_rows):
        fill_lanes(<floating>0.0, sums)
        fill_lanes(<floating>0.0, sums_low)
        for j from 0 <= j < n_classes by BLOCK:
            n = min(BLOCK, n_classes - j)
            n_tiles = load_run(p + i * p_row_stride + j * p_class_stride, p_class_stride, n, <floating>0.0, p_block)
            load_run(q + i * q_row_stride + j * q_class_stride, q_class_stride, n, <floating>1.0, q_block)
            if kind == CROSS_ENTROPY:
                divergence_block(CROSS_ENTROPY, p_block, q_block, n_tiles, eps, sums, sums_low)
            else:
                divergence_block(KL_DIVERGENCE, p_block, q_block, n_tiles, eps, sums, sums_low)
        sum_lanes(sums, sums_low)
        result[i * result_stride] = sum_of_pair(sums[0], sums_low[0])
    leave_environment(saved)


# --- from arrays to kernels --------------------------------------------------------------------------------------

cdef inline int as_reduction(object reduction) except -1:
    if reduction == "mean":
        return MEAN
    if reduction == "sum":
        return SUM
    check_reduction(reduction)
    return NONE


cdef object run_cross_entropy(
    cnp.ndarray x, const int64_t* labels, cnp.ndarray probs, cnp.ndarray class_weight, cnp.ndarray sample_weight,
    double smoothing, double divisor, Reduction reduction, bint with_loss, cnp.ndarray grad,
):
    """Allocates what the loss needs, runs the kernel, returns the loss: a pair's sum, or an array for "none"."""
    cdef Py_ssize_t n_classes = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    cdef Py_ssize_t n_rows = cnp.PyArray_SIZE(x) // n_classes
    cdef cnp.ndarray losses = None
    cdef void* losses_data = NULL
    cdef void* probs_data = NULL if probs is None else cnp.PyArray_DATA(probs)
    cdef void* class_data = NULL if class_weight is None else cnp.PyArray_DATA(class_weight)
    cdef void* sample_data = NULL if sample_weight is None else cnp.PyArray_DATA(sample_weight)
    cdef void* grad_data = NULL if grad is None else cnp.PyArray_DATA(grad)
    cdef float total_f[2]
    cdef double total_d[2]
    cdef double scale = 1.0
    cdef double scale_low = 0.0
    cdef bint single = is_float32(x)
    cdef bint summed = with_loss and reduction != NONE
    if with_loss and reduction == NONE:
        losses = new_array(cnp.PyArray_NDIM(x) - 1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
        losses_data = cnp.PyArray_DATA(losses)
    if reduction == MEAN:
        # with nothing to average, the loss is NaN, and no row has a gradient
        scale = reciprocal[double](divisor, 0.0, &scale_low) if divisor != 0.0 else 0.0
        scale_low = scale_low if divisor != 0.0 else 0.0
    state = allow_threads(n_rows * n_classes)
    if single:
        cross_entropy_rows[float](
            <const float*> cnp.PyArray_DATA(x), n_rows, n_classes, labels, <const float*> probs_data,
            <const float*> class_data, <const float*> sample_data, <float> smoothing,
            <float> scale, <float> (scale - <float> scale + scale_low),
            <float*> losses_data, total_f if summed else NULL, <float*> grad_data,
        )
        total_d[0] = total_f[0]
        total_d[1] = total_f[1]
    else:
        cross_entropy_rows[double](
            <const double*> cnp.PyArray_DATA(x), n_rows, n_classes, labels, <const double*> probs_data,
            <const double*> class_data, <const double*> sample_data, smoothing,
            scale, scale_low,
            <double*> losses_data, total_d if summed else NULL, <double*> grad_data,
        )
    end_allow_threads(state)
    return reduced(total_d, divisor, reduction, single) if summed else losses


cdef object reduced(const double* total, double divisor, Reduction reduction, bint single):
    """The sum or the mean as a NumPy scalar; the mean of nothing is NaN."""
    cdef double value_d = sum_of_pair[double](total[0], total[1])
    cdef float value_f
    if reduction == MEAN:
        value_d = value_d / divisor if divisor != 0.0 else NAN
    if single:
        value_f = <float> value_d
        return PyArray_Scalar(&value_f, cnp.PyArray_DescrFromType(cnp.NPY_FLOAT), None)
    return PyArray_Scalar(&value_d, cnp.PyArray_DescrFromType(cnp.NPY_DOUBLE), None)


cdef object softmax_cross_entropy_parts(
    object logits, object targets, object reduction, object class_weight, object sample_weight,
    object label_smoothing, object ignore_index, object out, bint with_loss, bint with_grad,
):
    """(loss or None, gradient or None)."""
    cdef cnp.ndarray x, result, labels
    cdef cnp.ndarray probs = None
    cdef cnp.ndarray weights = None
    cdef cnp.ndarray row_weights = None
    cdef Reduction kind = <Reduction> as_reduction(reduction)
    cdef Py_ssize_t n_rows
    cdef double divisor
    if (
        out is None and class_weight is None and sample_weight is None and ignore_index is None
        and label_smoothing == 0.0 and is_plain_matrix(logits) and are_plain_labels(logits, targets)
    ):
        x = logits
        n_rows = cnp.PyArray_DIM(x, 0)
        result = empty_like(x) if with_grad else None
        loss = run_cross_entropy(
            x, <const int64_t*> cnp.PyArray_DATA(<cnp.ndarray> targets), None, None, None,
            0.0, <double> n_rows, kind, with_loss, result,
        )
        return loss, result
    # the general path
    x, dtype = as_floating(logits, "logits")
    as_axis(-1, x, "logits")
    shape = (<object> x).shape
    n_classes = shape[len(shape) - 1]
    row_shape = shape[:len(shape) - 1]
    compute = (<object> x).dtype
    smoothing = as_number(label_smoothing, "label_smoothing", 0.0, 1.0)
    if ignore_index is not None:
        ignore_index = as_index(ignore_index, "ignore_index")
    given = np.asarray(targets)
    if given.shape == shape:
        if ignore_index is not None:
            raise ValueError(f"ignore_index goes with integer labels, got targets that are probabilities, shape {shape}")
        probs = as_shaped(targets, "targets", shape, compute)
        labels = None
    else:
        labels = as_labels(targets, row_shape, n_classes, ignore_index)
    if class_weight is not None:
        weights = as_weights(class_weight, "class_weight", (n_classes,), compute)
    if sample_weight is not None:
        row_weights = as_weights(sample_weight, "sample_weight", row_shape, compute)
    result = workspace(out, shape, dtype, compute, x, given, contiguous=True) if with_grad or out is not None else None
    x = np.ascontiguousarray(x)
    divisor = total_weight(labels, weights, row_weights, row_shape)
    loss = run_cross_entropy(
        x, NULL if labels is None else <int64_t*> cnp.PyArray_DATA(labels), probs, weights, row_weights,
        smoothing, divisor, kind, with_loss, result,
    )
    if with_loss:
        loss = delivered(np.asarray(loss), None, dtype)
    return loss, (delivered(result, out, dtype) if with_grad else None)


cdef bint are_plain_labels(cnp.ndarray x, object targets) noexcept:
    """A label for each row of x: contiguous int64, all within the classes."""
    cdef const int64_t* labels
    cdef Py_ssize_t i
    cdef int64_t n_classes = cnp.PyArray_DIM(x, 1)
    cdef bint valid = True
    if not cnp.PyArray_CheckExact(targets) or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> targets):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> targets) != cnp.NPY_INT64 or cnp.PyArray_NDIM(<cnp.ndarray> targets) != 1:
        return False
    if cnp.PyArray_DIM(<cnp.ndarray> targets, 0) != cnp.PyArray_DIM(x, 0):
        return False
    labels = <const int64_t*> cnp.PyArray_DATA(<cnp.ndarray> targets)
    for i in range(cnp.PyArray_DIM(x, 0)):
        valid &= (0 <= labels[i]) & (labels[i] < n_classes)
    return valid


cdef object total_weight(object labels, object class_weight, object sample_weight, tuple row_shape):
    """What the mean divides by: the weight of all rows that are not ignored (a label's row weighs as its class)."""
    weight = np.ones(row_shape) if sample_weight is None else sample_weight.astype(np.float64)
    if labels is not None:
        weight = np.where(labels < 0, 0.0, weight if class_weight is None else weight * class_weight[labels])
    return weight.sum()


cdef object element_loss_parts(
    ElementLoss kind, object predictions, str name, object targets, object reduction, object pos_weight,
    bint with_loss, bint with_grad,
):
    """(loss or None, gradient or None)."""
    cdef cnp.ndarray z, y
    cdef cnp.ndarray weight = None
    cdef cnp.ndarray losses = None
    cdef cnp.ndarray grad = None
    cdef Reduction how = <Reduction> as_reduction(reduction)
    cdef Py_ssize_t n
    cdef double scale = 1.0
    cdef double scale_low = 0.0
    cdef float total_f[2]
    cdef double total_d[2]
    cdef bint single
    cdef bint summed = with_loss and how != NONE
    cdef void* weight_data = NULL
    cdef void* losses_data = NULL
    cdef void* grad_data = NULL
    if is_plain(predictions) and is_plain(targets) and same_shape_and_type(predictions, targets):
        z = predictions
        y = targets
        dtype = None
    else:
        z, dtype = as_floating(predictions, name)
        z = np.ascontiguousarray(z).reshape((<object> z).shape)
        y = as_shaped(targets, "targets", (<object> z).shape, (<object> z).dtype)
    if pos_weight is not None:
        weight = as_positive_weight(pos_weight, z)
        weight_data = cnp.PyArray_DATA(weight)
    n = cnp.PyArray_SIZE(z)
    single = is_float32(z)
    if with_loss and how == NONE:
        losses = empty_like(z)
        losses_data = cnp.PyArray_DATA(losses)
    if with_grad:
        grad = empty_like(z)
        grad_data = cnp.PyArray_DATA(grad)
    if how == MEAN and n > 0:
        scale = reciprocal[double](<double> n, 0.0, &scale_low)
    state = allow_threads(n)
    if single:
        element_losses[float](
            kind, <const float*> cnp.PyArray_DATA(z), <const float*> cnp.PyArray_DATA(y), <const float*> weight_data, n,
            <float> scale, <float> (scale - <float> scale + scale_low),
            <float*> losses_data, total_f if summed else NULL, <float*> grad_data,
        )
        total_d[0] = total_f[0]
        total_d[1] = total_f[1]
    else:
        element_losses[double](
            kind, <const double*> cnp.PyArray_DATA(z), <const double*> cnp.PyArray_DATA(y),
            <const double*> weight_data, n, scale, scale_low,
            <double*> losses_data, total_d if summed else NULL, <double*> grad_data,
        )
    end_allow_threads(state)
    loss = reduced(total_d, <double> n, how, single) if summed else losses
    if dtype is None:
        return loss, grad
    return (
        delivered(np.asarray(loss), None, dtype) if with_loss else None,
        delivered(grad, None, dtype) if with_grad else None,
    )


cdef cnp.ndarray as_positive_weight(object pos_weight, cnp.ndarray like):
    """pos_weight, one number or one for each class, for every entry."""
    cdef tuple shape = (<object> like).shape
    weight, _ = as_floating(pos_weight, "pos_weight")
    wanted = shape[len(shape) - 1:] if weight.ndim else ()
    weight = as_weights(weight, "pos_weight", wanted, (<object> like).dtype)
    return np.ascontiguousarray(np.broadcast_to(weight, shape))


cdef object divergence(Divergence kind, object p, object q, object axis, object base, double eps):
    cdef cnp.ndarray x, y, result
    cdef Layout p_layout, q_layout
    cdef int along
    cdef Py_ssize_t slab
    cdef bint single
    x, y, compute, dtype = as_pair(p, "p", q, "q")
    along = as_axis(axis, x, "p")
    unit = 1.0 if base is None else log_of_base(base)
    shape = (<object> x).shape
    result = np.empty(shape[:along] + shape[along + 1:], compute)
    if cnp.PyArray_SIZE(result):
        if not (layout_of(x, along, &p_layout) and layout_of(y, along, &q_layout)):
            x = np.ascontiguousarray(x)
            y = np.ascontiguousarray(y)
            layout_of(x, along, &p_layout)
            layout_of(y, along, &q_layout)
        single = is_float32(x)
        with nogil:
            for slab in range(p_layout.n_slabs):
                if single:
                    divergence_rows[float](
                        kind, <const float*> p_layout.data + slab * p_layout.slab_stride,
                        p_layout.row_stride, p_layout.class_stride,
                        <const float*> q_layout.data + slab * q_layout.slab_stride,
                        q_layout.row_stride, q_layout.class_stride,
                        <float*> cnp.PyArray_DATA(result) + slab * p_layout.n_rows, 1,
                        p_layout.n_rows, p_layout.n_classes, <float> eps,
                    )
                else:
                    divergence_rows[double](
                        kind, <const double*> p_layout.data + slab * p_layout.slab_stride,
                        p_layout.row_stride, p_layout.class_stride,
                        <const double*> q_layout.data + slab * q_layout.slab_stride,
                        q_layout.row_stride, q_layout.class_stride,
                        <double*> cnp.PyArray_DATA(result) + slab * p_layout.n_rows, 1,
                        p_layout.n_rows, p_layout.n_classes, eps,
                    )
    return delivered((<object> result) if unit == 1.0 else (<object> result) / unit, None, dtype)


cdef object log_of_base(object base):
    number = as_number(base, "base", 0.0, INFINITY)
    if number == 0.0 or number == 1.0 or number == INFINITY:
        raise ValueError(f"base must be positive, finite and not 1, got {number!r}")
    return float(np.log(number))


# --- public functions --------------------------------------------------------------------------------------------

def softmax_cross_entropy(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
):
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, None, True, False,
    )[0]


def softmax_cross_entropy_grad(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
    out=None,
):
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, out, False, True,
    )[1]


def softmax_cross_entropy_value_and_grad(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
    out=None,
):
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, out, True, True,
    )


def sigmoid_cross_entropy(logits, targets, *, reduction="mean", pos_weight=None):
    return element_loss_parts(
        SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, True, False,
    )[0]


def sigmoid_cross_entropy_grad(logits, targets, *, reduction="mean", pos_weight=None):
    return element_loss_parts(
        SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, False, True,
    )[1]


def sigmoid_cross_entropy_value_and_grad(logits, targets, *, reduction="mean", pos_weight=None):
    return element_loss_parts(SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, True, True)


def sigmoid_mse(logits, targets, *, reduction="mean"):
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, True, False)[0]


def sigmoid_mse_grad(logits, targets, *, reduction="mean"):
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, False, True)[1]


def sigmoid_mse_value_and_grad(logits, targets, *, reduction="mean"):
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, True, True)


def mse(predictions, targets, *, reduction="mean"):
    return element_loss_parts(MSE, predictions, "predictions", targets, reduction, None, True, False)[0]


def mse_grad(predictions, targets, *, reduction="mean"):
    return element_loss_parts(MSE, predictions, "predictions", targets, reduction, None, False, True)[1]


def cross_entropy(p, q, *, axis=-1, base=None, eps=0.0):
    return divergence(CROSS_ENTROPY, p, q, axis, base, as_number(eps, "eps", 0.0, INFINITY))


def entropy(p, axis=-1, base=None):
    return divergence(CROSS_ENTROPY, p, p, axis, base, 0.0)


def kl_divergence(p, q, *, axis=-1, base=None):
    return divergence(KL_DIVERGENCE, p, q, axis, base, 0.0)
