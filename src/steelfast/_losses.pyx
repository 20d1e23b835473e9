"""Losses and their gradients: softmax and sigmoid cross-entropy, sigmoid-MSE, MSE, and the entropies of distributions.

The contract of this file: a public function is a `def` that checks, allocates and hands over to one `cdef` kernel;
the kernels run without the GIL, allocate nothing, raise nothing, keep no state; inputs are `const`. One kernel makes
the values, the gradients or both of a loss: what is not wanted is a NULL pointer.
"""
from cpython.float cimport PyFloat_CheckExact
from cython cimport floating
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from steelfast._arrays cimport (
    Layout,
    PyArray_Scalar,
    allow_threads,
    are_apart,
    empty_like,
    end_allow_threads,
    is_float32,
    is_last_axis,
    is_plain,
    is_plain_rows,
    is_plain_target,
    layout_of,
    layout_of_rows,
    new_array,
    same_shape_and_type,
)
from steelfast._elementary cimport (
    enter_environment,
    environment,
    exp_of_negative,
    leave_environment,
    log as log_of,
    log1p,
    pair_times_pair,
    reciprocal,
    two_product,
    two_sum,
)
from steelfast._loss_rows cimport (
    MSE,
    SIGMOID_CROSS_ENTROPY,
    SIGMOID_MSE,
    ElementLoss,
    cross_entropy_of,
    gradient_entry,
    gradient_factor,
    label_block,
    label_row,
    residual_of,
    scaled_slope,
    slope_of_cross_entropy,
    slope_of_square,
    square_of,
)
from steelfast._rows cimport (
    BLOCK,
    LANES,
    PART,
    RUN,
    anchor_of,
    are_ordinary,
    exp_block_apart,
    exp_of_maximum,
    exp_row_apart,
    exps_of_maxima,
    fetch,
    fetch_part,
    fill_lanes,
    finite_maximum,
    in_blocks,
    infinite,
    is_far,
    load_rows,
    load_run,
    logsumexp_of,
    maximum_block,
    maximum_row,
    range_of_exp,
    renew_pairs,
    row_is_defined,
    rows_ahead,
    settle,
    settle_rows,
    shift_rows,
    store_rows,
    store_run,
    sum_lanes,
)

import numpy as np

from steelfast._arguments import (
    as_array,
    as_axis,
    as_base,
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
from steelfast._processor import FloatingPointState

cnp.import_array()

cdef enum Reduction:
    NONE
    SUM
    MEAN

cdef enum Divergence:
    CROSS_ENTROPY
    KL_DIVERGENCE

cdef enum:
    FAR = 131072          # numbers from which on arrays leave the second cache: the place of results is fetched ahead


# --- sums of losses ------------------------------------------------------------------------------------------------

cdef inline floating sum_of_pair(floating total, floating total_low) noexcept nogil:
    """total + total_low; the low part of an infinite sum is undefined."""
    cdef bint finite = (total > -<floating>INFINITY) & (total < <floating>INFINITY)
    return total + (total_low if finite else <floating>0.0)


cdef inline floating reduced(floating total, floating total_low, double divisor) noexcept nogil:
    """The sum of the losses by the divisor, which is 1 for a sum; the mean of nothing is NaN."""
    cdef double value = sum_of_pair[double](total, total_low)
    return <floating> (value / divisor if divisor != 0.0 else NAN)


cdef inline floating gradient_scale(double divisor, floating* low) noexcept nogil:
    """1 / divisor as a pair, for the gradient of a mean; of nothing no row has one."""
    cdef double rest
    cdef double scale = reciprocal[double](divisor, 0.0, &rest) if divisor != 0.0 else 0.0
    low[0] = <floating> (scale - <floating> scale + rest) if divisor != 0.0 else <floating>0.0
    return <floating> scale


# --- softmax cross-entropy -------------------------------------------------------------------------------------

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


cdef inline void clear_row(floating* row, Py_ssize_t stride, Py_ssize_t n_classes) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n_classes):
        row[j * stride] = <floating>0.0


cdef void few_with_labels(
    const floating* logits, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels,
    const floating* class_weight, const floating* sample_weight, floating scale, floating scale_low,
    floating* losses, floating* grad,
) noexcept nogil:
    """The first LANES of n_rows rows of few classes, from row `first` on; losses has LANES entries or is NULL."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating weight[LANES]
    cdef Py_ssize_t lane
    cdef Py_ssize_t n_ignored = 0
    cdef Py_ssize_t n_lanes = min(LANES, n_rows)
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(<floating>0.0, weight)
    load_rows(logits + first * n_classes, n_classes, 1, n_rows, n_classes, block)
    for lane in range(n_lanes):
        weight[lane] = label_weight(first + lane, labels, class_weight, sample_weight)
        n_ignored += labels[first + lane] < 0
    if n_ignored:
        # they count for nothing, whatever their logits are
        for lane in range(n_lanes):
            if labels[first + lane] < 0:
                clear_row(block + lane, LANES, n_classes)
    maximum_block(block, n_classes, maximum)
    label_block(
        block, n_classes, maximum, n_lanes, labels + first, weight, scale, scale_low, losses, grad != NULL,
        rows_ahead(logits, first + LANES, n_classes, 1, n_rows - LANES, n_classes),
        rows_ahead(grad, first, n_classes, 1, n_rows, n_classes),
    )
    if grad != NULL:
        store_rows(block, grad + first * n_classes, n_classes, 1, n_rows, n_classes, grad != logits)


cdef floating many_with_label(
    const floating* logits, Py_ssize_t i, Py_ssize_t n_classes, const int64_t* labels,
    const floating* class_weight, const floating* sample_weight, floating scale, floating scale_low,
    floating* grad,
) noexcept nogil:
    """Row i of many classes with a label; returns its loss."""
    cdef floating* row_grad = NULL if grad == NULL else grad + i * n_classes
    if labels[i] < 0:
        if grad != NULL:
            clear_row(row_grad, 1, n_classes)
        return <floating>0.0
    return label_row(
        logits + i * n_classes, n_classes, n_classes, labels[i],
        label_weight(i, labels, class_weight, sample_weight), scale, scale_low, row_grad,
    )


cdef inline floating weighted_target(
    floating target, floating kept, floating spread, floating class_weight, floating row_weight,
) noexcept nogil:
    return (kept * target + spread) * class_weight * row_weight


cdef inline void weigh_tile(
    floating* targets, floating kept, floating spread, floating class_weight, const floating* row_weight,
) noexcept nogil:
    """`weighted_target` of one class in LANES rows."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        targets[lane] = weighted_target(targets[lane], kept, spread, class_weight, row_weight[lane])


cdef inline void distances_of_part(
    const floating* logits, const floating* targets, Py_ssize_t n_tiles, const floating* maximum,
    floating* distance, floating* distance_low,
) noexcept nogil:
    """maximum - logit as a pair, of which infinity has no low part; 0 where there is no target, which costs nothing
    however far it is."""
    cdef Py_ssize_t lane, j
    cdef floating x
    for j in range(n_tiles):
        for lane in range(LANES):
            x = logits[j * LANES + lane]
            x = maximum[lane] if targets[j * LANES + lane] == <floating>0.0 else x
            distance[j * LANES + lane] = two_sum(maximum[lane], -x, &distance_low[j * LANES + lane])


cdef inline void add_distances(
    const floating* distance, const floating* distance_low, const floating* targets, Py_ssize_t n_tiles,
    floating* total, floating* total_low, floating* loss, floating* loss_low,
) noexcept nogil:
    """To the sums of each lane: of the targets, and of target · distance."""
    cdef Py_ssize_t lane, j
    cdef floating t, product, product_low, low, sum_, sum_low, dot, dot_low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        sum_ = total[lane]
        sum_low = total_low[lane]
        dot = loss[lane]
        dot_low = loss_low[lane]
        for j in range(n_tiles):
            t = targets[j * LANES + lane]
            sum_ = two_sum(sum_, t, &low)
            sum_low = sum_low + low
            product = two_product(t, distance[j * LANES + lane], &product_low)
            dot = two_sum(dot, product, &low)
            dot_low = dot_low + (low + (product_low + t * distance_low[j * LANES + lane]))
        total[lane] = sum_
        total_low[lane] = sum_low
        loss[lane] = dot
        loss_low[lane] = dot_low


cdef inline void distance_block(
    const floating* logits, const floating* targets, Py_ssize_t n_tiles, const floating* maximum,
    floating* total, floating* total_low, floating* loss, floating* loss_low, const floating* next_targets,
) noexcept nogil:
    """To the sums of each lane: of the targets, and of target · (maximum - logit), in twice the precision.

    In two loops: gcc does not vectorise one that chooses and adds. An infinite distance spoils the low parts, which
    `sum_of_pair` does not add to an infinite sum. Meanwhile the memory fetches next_targets: NULL, or any address.
    """
    cdef floating distance[PART * LANES]
    cdef floating distance_low[PART * LANES]
    cdef Py_ssize_t j, n
    cdef bint far = is_far(n_tiles * LANES, 3, <floating>0.0)
    for j from 0 <= j < n_tiles by PART:
        n = min(PART, n_tiles - j)
        fetch_part(next_targets, j, n, far)
        distances_of_part(logits + j * LANES, targets + j * LANES, n, maximum, distance, distance_low)
        add_distances(distance, distance_low, targets + j * LANES, n, total, total_low, loss, loss_low)


cdef inline void gradient_block(
    floating* block, const floating* targets, Py_ssize_t n_tiles, floating scale, floating scale_low,
    const floating* total, const floating* factor, const floating* factor_low,
    const floating* top, const floating* rest,
) noexcept nogil:
    """`gradient_entry` of each exponential of the block."""
    cdef Py_ssize_t lane, j
    cdef floating sum_, f, f_low, scaled_top, beyond, target, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        sum_ = total[lane]
        f = factor[lane]
        f_low = factor_low[lane]
        scaled_top = top[lane]
        beyond = rest[lane]
        for j in range(n_tiles):
            # as the sum of the targets is scaled: a target that is all of it must stay equal to it
            target = pair_times_pair(targets[j * LANES + lane], <floating>0.0, scale, scale_low, &low)
            block[j * LANES + lane] = gradient_entry(
                block[j * LANES + lane], target, low, sum_, f, f_low, scaled_top, beyond, False,
            )


cdef inline floating loss_with_targets(
    floating distance, floating distance_low, floating total, floating total_low,
    floating others, floating others_low, floating ties, floating largest, floating largest_low,
) noexcept nogil:
    """sum of target · (maximum - logit), plus the sum of the targets times the log of the row's sum."""
    cdef floating log_of_sum, low, product, product_low, result
    # of the sum alone: the distances have the maximum in them
    log_of_sum = logsumexp_of(<floating>0.0, others, others_low, ties, largest, largest_low, &low)
    product = two_product(total, log_of_sum, &product_low)
    product_low = product_low + (total * low + total_low * log_of_sum)
    result = two_sum(distance, product, &low)
    return sum_of_pair(result, low + (product_low + distance_low))


cdef void few_with_targets(
    const floating* logits, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels,
    const floating* probs, const floating* class_weight, const floating* sample_weight, double smoothing,
    floating scale, floating scale_low, floating* losses, floating* grad,
) noexcept nogil:
    """The first LANES of n_rows rows of few classes with a target on every class: probabilities or smoothed labels."""
    cdef floating block[BLOCK]
    cdef floating targets[BLOCK]
    cdef floating maximum[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating largest[LANES]
    cdef floating largest_low[LANES]
    cdef floating weight[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating distance[LANES]
    cdef floating distance_low[LANES]
    cdef floating factor[LANES]
    cdef floating factor_low[LANES]
    cdef floating top[LANES]
    cdef floating rest[LANES]
    # rounded once: of 1 - 0.999 in single precision four digits are right
    cdef floating kept = <floating> (1.0 - smoothing)
    cdef floating spread = <floating> (smoothing / n_classes)
    cdef floating low
    cdef bint ordinary
    cdef Py_ssize_t lane, j
    cdef Py_ssize_t n_lanes = min(LANES, n_rows)
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    fill_lanes(<floating>1.0, weight)
    fill_lanes(<floating>0.0, total)
    fill_lanes(<floating>0.0, total_low)
    fill_lanes(<floating>0.0, distance)
    fill_lanes(<floating>0.0, distance_low)
    load_rows(logits + first * n_classes, n_classes, 1, n_rows, n_classes, block)
    if sample_weight != NULL:
        memcpy(weight, sample_weight + first, n_lanes * sizeof(floating))
    if probs != NULL:
        load_rows(probs + first * n_classes, n_classes, 1, n_rows, n_classes, targets)
    else:
        memset(targets, 0, n_classes * LANES * sizeof(floating))
        for lane in range(n_lanes):
            if labels[first + lane] >= 0:
                targets[labels[first + lane] * LANES + lane] = <floating>1.0
            else:
                # an ignored row counts for nothing, whatever its logits are
                weight[lane] = <floating>0.0
                clear_row(block + lane, LANES, n_classes)
    if labels != NULL or smoothing != 0.0 or class_weight != NULL or sample_weight != NULL:
        for j in range(n_classes):
            weigh_tile(
                targets + j * LANES, kept, spread,
                <floating>1.0 if class_weight == NULL else class_weight[j], weight,
            )
    maximum_block(block, n_classes, maximum)
    ordinary = are_ordinary(maximum)
    if not ordinary:
        settle_rows(block, n_classes, maximum, True)
    distance_block(
        block, targets, n_classes, maximum, total, total_low, distance, distance_low,
        rows_ahead(probs, first + LANES, n_classes, 1, n_rows - LANES, n_classes),
    )
    if not ordinary:
        shift_rows(block, n_classes, maximum)
    range_of_exp(maximum, least, base)
    exp_block_apart(
        block, block, n_classes, maximum, least, base, False, others, others_low, ties,
        rows_ahead(logits, first + LANES, n_classes, 1, n_rows - LANES, n_classes),
        rows_ahead(grad, first, n_classes, 1, n_rows, n_classes),
        is_far(LANES * n_classes, 1, <floating>0.0),
    )
    renew_pairs(others, others_low)
    exps_of_maxima(maximum, False, largest, largest_low)
    if losses != NULL:
        for lane in range(LANES):
            losses[lane] = loss_with_targets(
                distance[lane], distance_low[lane], total[lane], total_low[lane],
                others[lane], others_low[lane], ties[lane], largest[lane], largest_low[lane],
            )
    if grad != NULL:
        for lane in range(LANES):
            total[lane] = pair_times_pair(total[lane], total_low[lane], scale, scale_low, &low)
            factor[lane] = gradient_factor(
                others[lane], others_low[lane], ties[lane], largest[lane], largest_low[lane], total[lane], low,
                &factor_low[lane], &top[lane], &rest[lane],
            )
        gradient_block(block, targets, n_classes, scale, scale_low, total, factor, factor_low, top, rest)
        store_rows(block, grad + first * n_classes, n_classes, 1, n_rows, n_classes, grad != logits)


cdef inline void load_targets(
    Py_ssize_t i, Py_ssize_t first, Py_ssize_t n, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, double smoothing, floating* targets,
) noexcept nogil:
    """The weighted and smoothed targets of the n classes from `first` on in row i, padded with zeros."""
    cdef Py_ssize_t j
    cdef floating weight = <floating>1.0 if sample_weight == NULL else sample_weight[i]
    cdef floating kept = <floating> (1.0 - smoothing)      # as in `few_with_targets`
    cdef floating spread = <floating> (smoothing / n_classes)
    if probs != NULL:
        load_run(probs + i * n_classes + first, 1, n, <floating>0.0, targets)
    else:
        memset(targets, 0, BLOCK * sizeof(floating))
        if first <= labels[i] < first + n:
            targets[labels[i] - first] = <floating>1.0
    for j in range(n):
        targets[j] = weighted_target(
            targets[j], kept, spread, <floating>1.0 if class_weight == NULL else class_weight[first + j], weight)


cdef floating many_with_targets(
    const floating* logits, Py_ssize_t i, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, double smoothing,
    floating scale, floating scale_low, floating* grad,
) noexcept nogil:
    """Row i of many classes with a target on every class; returns its loss."""
    cdef floating block[BLOCK]
    cdef floating targets[BLOCK]
    cdef floating lanes[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating distance[LANES]
    cdef floating distance_low[LANES]
    cdef floating factor[LANES]
    cdef floating factor_low[LANES]
    cdef floating scaled_tops[LANES]
    cdef floating rests[LANES]
    cdef const floating* row = logits + i * n_classes
    cdef floating* exps = NULL if grad == NULL else grad + i * n_classes
    cdef floating maximum, anchor, largest, largest_low, loss, scaled, f, f_low, top, rest, low
    cdef bint defined
    cdef Py_ssize_t j, n, n_tiles
    if labels != NULL and labels[i] < 0:
        if grad != NULL:
            memset(exps, 0, n_classes * sizeof(floating))
        return <floating>0.0
    maximum = maximum_row(row, 1, n_classes)
    defined = row_is_defined(row, 1, n_classes, maximum)
    anchor = finite_maximum(maximum)
    fill_lanes(anchor, lanes)
    fill_lanes(<floating>0.0, total)
    fill_lanes(<floating>0.0, total_low)
    fill_lanes(<floating>0.0, distance)
    fill_lanes(<floating>0.0, distance_low)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        n_tiles = load_run(row + j, 1, n, anchor, block)
        if infinite(maximum):
            settle(block, 1, n, maximum, defined)
        load_targets(i, j, n, n_classes, labels, probs, class_weight, sample_weight, smoothing, targets)
        distance_block(
            block, targets, n_tiles, lanes, total, total_low, distance, distance_low,
            <const floating*> NULL if probs == NULL else probs + (i + 1) * n_classes + j)
    sum_lanes(total, total_low)
    sum_lanes(distance, distance_low)
    exp_row_apart(row, 1, n_classes, n_classes, maximum, defined, block, exps, 1, others, others_low, ties)
    largest = exp_of_maximum(anchor_of(maximum), False, &largest_low)
    loss = loss_with_targets(
        distance[0], distance_low[0], total[0], total_low[0], others[0], others_low[0], ties[0], largest, largest_low,
    )
    if grad != NULL:
        scaled = pair_times_pair(total[0], total_low[0], scale, scale_low, &low)
        f = gradient_factor(
            others[0], others_low[0], ties[0], largest, largest_low, scaled, low, &f_low, &top, &rest,
        )
        fill_lanes(scaled, total)
        fill_lanes(f, factor)
        fill_lanes(f_low, factor_low)
        fill_lanes(top, scaled_tops)
        fill_lanes(rest, rests)
        for j from 0 <= j < n_classes by BLOCK:
            n = min(BLOCK, n_classes - j)
            n_tiles = (n + LANES - 1) // LANES
            if n_classes > BLOCK:
                load_run(exps + j, 1, n, <floating>0.0, block)
            load_targets(i, j, n, n_classes, labels, probs, class_weight, sample_weight, smoothing, targets)
            gradient_block(
                block, targets, n_tiles, scale, scale_low, total, factor, factor_low, scaled_tops, rests)
            store_run(block, exps + j, 1, n)
    return loss


cdef void cross_entropy_rows(
    const floating* logits, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels, const floating* probs,
    const floating* class_weight, const floating* sample_weight, double smoothing, double divisor,
    floating* losses, floating* value, floating* grad,
) noexcept nogil:
    """losses: one for each row, or NULL; value: their sum by the divisor, or NULL; grad: that of the value, or NULL."""
    cdef floating lanes[LANES]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef bint with_targets = probs != NULL or smoothing != 0.0
    cdef bint few = in_blocks(n_classes)
    cdef floating* wanted = NULL if losses == NULL and value == NULL else lanes
    cdef floating scale, scale_low, loss, low
    cdef Py_ssize_t i, n, lane
    cdef environment saved = enter_environment()
    scale = gradient_scale(divisor, &scale_low)
    fill_lanes(<floating>0.0, sums)
    fill_lanes(<floating>0.0, sums_low)
    i = 0
    while i < n_rows:
        n = min(LANES, n_rows - i) if few else 1
        if few and with_targets:
            few_with_targets(
                logits, i, n_rows - i, n_classes, labels, probs, class_weight, sample_weight, smoothing,
                scale, scale_low, wanted, grad,
            )
        elif few:
            few_with_labels(
                logits, i, n_rows - i, n_classes, labels, class_weight, sample_weight, scale, scale_low, wanted, grad,
            )
        elif with_targets:
            lanes[0] = many_with_targets(
                logits, i, n_classes, labels, probs, class_weight, sample_weight, smoothing, scale, scale_low, grad,
            )
        else:
            lanes[0] = many_with_label(
                logits, i, n_classes, labels, class_weight, sample_weight, scale, scale_low, grad,
            )
        if losses != NULL:
            memcpy(losses + i, lanes, n * sizeof(floating))
        if value != NULL:
            for lane in range(LANES):
                loss = lanes[lane] if lane < n else <floating>0.0
                sums[lane] = two_sum(sums[lane], loss, &low)
                sums_low[lane] += low
        i += n
    if value != NULL:
        sum_lanes(sums, sums_low)
        value[0] = reduced(sums[0], sums_low[0], divisor)
    leave_environment(saved)


# --- losses of single numbers ------------------------------------------------------------------------------------

cdef inline void sum_block(
    const floating* values, Py_ssize_t n_tiles, floating* sums, floating* sums_low,
) noexcept nogil:
    """The values are added to the sums of their lanes."""
    cdef Py_ssize_t lane, j
    cdef floating total, total_low, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        total = sums[lane]
        total_low = sums_low[lane]
        for j in range(n_tiles):
            total = two_sum(total, values[j * LANES + lane], &low)
            total_low = total_low + low
        sums[lane] = total
        sums_low[lane] = total_low


cdef inline void element_blocks(
    ElementLoss kind, const floating* predictions, const floating* targets, const floating* positive_weight,
    Py_ssize_t n, double divisor, floating* losses, floating* value, floating* grad,
) noexcept nogil:
    cdef const floating* z
    cdef const floating* y
    cdef floating last_z[RUN]
    cdef floating last_y[RUN]
    cdef floating weight[RUN]
    cdef floating e[RUN]
    cdef floating e_low[RUN]
    cdef floating residual[RUN]
    cdef floating residual_low[RUN]
    cdef floating slope[RUN]
    cdef floating slope_low[RUN]
    cdef floating values[RUN]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef floating scale, scale_low
    cdef Py_ssize_t i, k, m, n_tiles
    scale = gradient_scale(divisor, &scale_low)
    fill_lanes(<floating>0.0, sums)
    fill_lanes(<floating>0.0, sums_low)
    for k in range(RUN):
        weight[k] = <floating>1.0
        e[k] = <floating>0.0
        e_low[k] = <floating>0.0
        slope_low[k] = <floating>0.0
    for i from 0 <= i < n by RUN:
        m = min(RUN, n - i)
        n_tiles = RUN // LANES
        z = predictions + i
        y = targets + i
        if m < RUN:
            n_tiles = load_run(z, 1, m, <floating>0.0, last_z)
            load_run(y, 1, m, <floating>0.0, last_y)
            z = last_z
            y = last_y
        if positive_weight != NULL:
            load_run(positive_weight + i, 1, m, <floating>1.0, weight)
        if kind != MSE:
            for k in range(n_tiles * LANES):
                e[k] = exp_of_negative(z[k], &e_low[k])
        if grad != NULL and n > FAR:
            fetch(grad + i + RUN, RUN * sizeof(floating), False)
        # each loop short: of long chains of operations the processor has the fewer under way, the more is in each
        if kind == SIGMOID_CROSS_ENTROPY:
            for k in range(n_tiles * LANES):
                values[k] = cross_entropy_of(z[k], y[k], weight[k], e[k], e_low[k])
            if grad != NULL:
                for k in range(n_tiles * LANES):
                    slope[k] = slope_of_cross_entropy(z[k], y[k], weight[k], e[k], e_low[k])
                for k in range(n_tiles * LANES):
                    slope[k] = scaled_slope(slope[k], scale, scale_low)
        else:
            for k in range(n_tiles * LANES):
                residual[k] = residual_of(
                    kind, z[k], y[k], e[k], e_low[k], &residual_low[k], &slope[k], &slope_low[k])
            for k in range(n_tiles * LANES):
                values[k] = square_of(residual[k], residual_low[k])
            if grad != NULL:
                for k in range(n_tiles * LANES):
                    slope[k] = slope_of_square(
                        residual[k], residual_low[k], slope[k], slope_low[k], scale, scale_low)
        if grad != NULL:
            store_run(slope, grad + i, 1, m)
        if losses != NULL:
            store_run(values, losses + i, 1, m)
        if value != NULL:
            for k in range(m, n_tiles * LANES):
                values[k] = <floating>0.0
            sum_block(values, n_tiles, sums, sums_low)
    if value != NULL:
        sum_lanes(sums, sums_low)
        value[0] = reduced(sums[0], sums_low[0], divisor)


cdef void element_losses(
    ElementLoss kind, const floating* predictions, const floating* targets, const floating* positive_weight,
    Py_ssize_t n, double divisor, floating* losses, floating* value, floating* grad,
) noexcept nogil:
    cdef environment saved = enter_environment()
    # the kind is a constant in each call, so that each has loops of its own
    if kind == SIGMOID_CROSS_ENTROPY:
        element_blocks(
            SIGMOID_CROSS_ENTROPY, predictions, targets, positive_weight, n, divisor, losses, value, grad)
    elif kind == SIGMOID_MSE:
        element_blocks(SIGMOID_MSE, predictions, targets, positive_weight, n, divisor, losses, value, grad)
    else:
        element_blocks(MSE, predictions, targets, positive_weight, n, divisor, losses, value, grad)
    leave_environment(saved)


# --- entropies of distributions ----------------------------------------------------------------------------------

cdef inline floating log_ratio(floating p, floating q) noexcept nogil:
    """log(p / q): from their exact difference where they are close."""
    cdef floating low
    cdef bint close = (p < q + q) & (q < p + p)
    return log1p((p - q) / q, <floating>0.0, &low) if close else log_of(p) - log_of(q)


cdef inline void divergence_block(
    Divergence kind, const floating* p, const floating* q, Py_ssize_t n_tiles, floating eps,
    floating* sums, floating* sums_low,
) noexcept nogil:
    """Each lane's sum of -p · log(q + eps), or of p · log(p / q), is added to its sums."""
    cdef Py_ssize_t lane, j
    cdef floating total, total_low, factor, product, product_low, low
    cdef bint nothing
    if n_tiles < 1:
        return
    for lane in range(LANES):
        total = sums[lane]
        total_low = sums_low[lane]
        for j in range(n_tiles):
            if kind == CROSS_ENTROPY:
                factor = -log_of(q[j * LANES + lane] + eps)
            else:
                factor = log_ratio(p[j * LANES + lane], q[j * LANES + lane])
            product = two_product(p[j * LANES + lane], factor, &product_low)
            # 0 · log 0 = 0; what is no logarithm stays NaN
            nothing = (p[j * LANES + lane] == <floating>0.0) & (q[j * LANES + lane] + eps >= <floating>0.0)
            product = <floating>0.0 if nothing else product
            # what is infinite or undefined has no low part
            product_low = product_low if product - product == <floating>0.0 else <floating>0.0
            product_low = <floating>0.0 if nothing else product_low
            total = two_sum(total, product, &low)
            total_low = total_low + (low + product_low)
        sums[lane] = total
        sums_low[lane] = total_low


cdef inline void divergence_tiles(
    Divergence kind, const floating* p, const floating* q, Py_ssize_t n_tiles, floating eps,
    floating* sums, floating* sums_low,
) noexcept nogil:
    """`divergence_block` with one loop for each kind."""
    if kind == CROSS_ENTROPY:
        divergence_block(CROSS_ENTROPY, p, q, n_tiles, eps, sums, sums_low)
    else:
        divergence_block(KL_DIVERGENCE, p, q, n_tiles, eps, sums, sums_low)


cdef void divergence_rows(
    Divergence kind, const floating* p, Py_ssize_t p_row_stride, Py_ssize_t p_class_stride,
    const floating* q, Py_ssize_t q_row_stride, Py_ssize_t q_class_stride,
    floating* result, Py_ssize_t n_rows, Py_ssize_t n_classes, floating eps,
) noexcept nogil:
    cdef floating p_block[BLOCK]
    cdef floating q_block[BLOCK]
    cdef floating sums[LANES]
    cdef floating sums_low[LANES]
    cdef Py_ssize_t i, j, lane, n, n_tiles
    cdef Py_ssize_t step = LANES if in_blocks(n_classes) else 1
    cdef environment saved = enter_environment()
    for i from 0 <= i < n_rows by step:
        fill_lanes(<floating>0.0, sums)
        fill_lanes(<floating>0.0, sums_low)
        if step == LANES:
            load_rows(p + i * p_row_stride, p_row_stride, p_class_stride, n_rows - i, n_classes, p_block)
            load_rows(q + i * q_row_stride, q_row_stride, q_class_stride, n_rows - i, n_classes, q_block)
            divergence_tiles(kind, p_block, q_block, n_classes, eps, sums, sums_low)
        else:
            for j from 0 <= j < n_classes by BLOCK:
                n = min(BLOCK, n_classes - j)
                n_tiles = load_run(
                    p + i * p_row_stride + j * p_class_stride, p_class_stride, n, <floating>0.0, p_block)
                load_run(q + i * q_row_stride + j * q_class_stride, q_class_stride, n, <floating>1.0, q_block)
                divergence_tiles(kind, p_block, q_block, n_tiles, eps, sums, sums_low)
            sum_lanes(sums, sums_low)
        for lane in range(min(step, n_rows - i)):
            result[i + lane] = sum_of_pair(sums[lane], sums_low[lane])
    leave_environment(saved)


# --- from arrays to kernels --------------------------------------------------------------------------------------

cdef inline int as_reduction(object reduction) except -1:
    if not isinstance(reduction, str):
        check_reduction(reduction)
    if reduction == "mean":
        return MEAN
    if reduction == "sum":
        return SUM
    check_reduction(reduction)
    return NONE


cdef double total_weight(
    const int64_t* labels, const floating* class_weight, const floating* sample_weight, Py_ssize_t n_rows,
) noexcept nogil:
    """What the mean divides by: the weight of all rows whose label is not negative (a label's row weighs as its class).
    """
    cdef environment saved = enter_environment()
    cdef Py_ssize_t i
    cdef double weight, low
    cdef double total = 0.0
    cdef double total_low = 0.0
    for i in range(n_rows):
        if labels != NULL and labels[i] < 0:
            continue
        weight = 1.0 if sample_weight == NULL else sample_weight[i]
        if labels != NULL and class_weight != NULL:
            weight *= class_weight[labels[i]]
        total = two_sum(total, weight, &low)
        total_low += low
    leave_environment(saved)
    # a sum that overflows has no low part
    return total + total_low if total < INFINITY else total


cdef object run_cross_entropy(
    cnp.ndarray x, const int64_t* labels, cnp.ndarray probs, cnp.ndarray class_weight, cnp.ndarray sample_weight,
    double smoothing, bint ignoring, Reduction reduction, bint with_loss, cnp.ndarray grad,
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
    cdef float value_f
    cdef double value_d
    cdef double divisor = <double> n_rows if reduction == MEAN else 1.0
    cdef bint single = is_float32(x)
    cdef bint summed = with_loss and reduction != NONE
    if with_loss and reduction == NONE:
        losses = new_array(cnp.PyArray_NDIM(x) - 1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
        losses_data = cnp.PyArray_DATA(losses)
    state = allow_threads(n_rows * n_classes)
    if reduction == MEAN and (class_weight is not None or sample_weight is not None or ignoring):
        if single:
            divisor = total_weight(labels, <const float*> class_data, <const float*> sample_data, n_rows)
        else:
            divisor = total_weight(labels, <const double*> class_data, <const double*> sample_data, n_rows)
    if single:
        cross_entropy_rows[float](
            <const float*> cnp.PyArray_DATA(x), n_rows, n_classes, labels, <const float*> probs_data,
            <const float*> class_data, <const float*> sample_data, smoothing, divisor,
            <float*> losses_data, &value_f if summed else NULL, <float*> grad_data,
        )
    else:
        cross_entropy_rows[double](
            <const double*> cnp.PyArray_DATA(x), n_rows, n_classes, labels, <const double*> probs_data,
            <const double*> class_data, <const double*> sample_data, smoothing, divisor,
            <double*> losses_data, &value_d if summed else NULL, <double*> grad_data,
        )
    end_allow_threads(state)
    return losses if not summed else float32_scalar(&value_f) if single else float64_scalar(&value_d)


cdef inline object float32_scalar(float* value):
    return PyArray_Scalar(value, cnp.PyArray_DescrFromType(cnp.NPY_FLOAT), None)


cdef inline object float64_scalar(double* value):
    return PyArray_Scalar(value, cnp.PyArray_DescrFromType(cnp.NPY_DOUBLE), None)


cdef object softmax_cross_entropy_parts(
    object logits, object targets, object reduction, object class_weight, object sample_weight,
    object label_smoothing, object ignore_index, object out, bint with_loss, bint with_grad,
):
    """(loss or None, gradient or None)."""
    cdef cnp.ndarray x, result
    cdef cnp.ndarray labels = None
    cdef cnp.ndarray probs = None
    cdef cnp.ndarray weights = None
    cdef cnp.ndarray row_weights = None
    cdef Reduction kind = <Reduction> as_reduction(reduction)
    if (
        ignore_index is None and PyFloat_CheckExact(label_smoothing) and 0.0 <= <double> label_smoothing <= 1.0
        and is_plain_rows(logits) and cnp.PyArray_NDIM(logits) == 2
        and (class_weight is None or are_plain_weights(class_weight, logits, 1))
        and (sample_weight is None or are_plain_weights(sample_weight, logits, 0))
    ):
        x = logits
        if is_plain(targets) and same_shape_and_type(x, targets):
            probs = targets
        else:
            labels = labels_of_rows(x, targets)
        if (probs is not None or labels is not None) and (
            out is None or (
                is_plain_target(out, x) and are_apart(out, probs if labels is None else labels)
                and (class_weight is None or are_apart(out, class_weight))
                and (sample_weight is None or are_apart(out, sample_weight))
            )
        ):
            result = None if not with_grad else empty_like(x) if out is None else out
            loss = run_cross_entropy(
                x, NULL if labels is None else <int64_t*> cnp.PyArray_DATA(labels), probs, class_weight, sample_weight,
                label_smoothing, False, kind, with_loss, result,
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
    given = as_array(targets, "targets")
    if given.shape == shape:
        if ignore_index is not None:
            raise ValueError(f"ignore_index goes with integer labels, got probabilities of shape {shape} as targets")
        probs = as_shaped(targets, "targets", shape, compute)
        labels = None
    else:
        labels = as_labels(targets, row_shape, n_classes, ignore_index)
    if class_weight is not None:
        weights = as_weights(class_weight, "class_weight", (n_classes,), compute)
    if sample_weight is not None:
        row_weights = as_weights(sample_weight, "sample_weight", row_shape, compute)
    result = None
    if with_grad:
        apart = [given] + [np.asarray(w) for w in (class_weight, sample_weight) if w is not None]
        result = workspace(out, shape, dtype, compute, x, apart=apart, contiguous=True)
    x = np.ascontiguousarray(x)
    loss = run_cross_entropy(
        x, NULL if labels is None else <int64_t*> cnp.PyArray_DATA(labels), probs, weights, row_weights,
        smoothing, ignore_index is not None, kind, with_loss, result,
    )
    if with_loss:
        loss = delivered(np.asarray(loss), None, dtype)
    return loss, (delivered(result, out, dtype) if with_grad else None)


cdef cnp.ndarray labels_of_rows(cnp.ndarray x, object targets):
    """A label for each row of x as contiguous int64, all within the classes; None for anything else."""
    cdef cnp.ndarray labels
    cdef const int64_t* label
    cdef Py_ssize_t i
    cdef int64_t n_classes = cnp.PyArray_DIM(x, 1)
    cdef bint valid = True
    if not cnp.PyArray_CheckExact(targets) or not cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(<cnp.ndarray> targets)):
        return None
    if cnp.PyArray_NDIM(<cnp.ndarray> targets) != 1:
        return None
    if cnp.PyArray_DIM(<cnp.ndarray> targets, 0) != cnp.PyArray_DIM(x, 0):
        return None
    if cnp.PyArray_TYPE(<cnp.ndarray> targets) == cnp.NPY_INT64 and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> targets):
        labels = targets
    else:
        # what is too large for int64 becomes negative
        labels = cnp.PyArray_FROM_OTF(targets, cnp.NPY_INT64, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
    label = <const int64_t*> cnp.PyArray_DATA(labels)
    for i in range(cnp.PyArray_DIM(x, 0)):
        valid &= (0 <= label[i]) & (label[i] < n_classes)
    return labels if valid else None


cdef bint are_plain_weights(object weights, cnp.ndarray x, int axis) noexcept:
    """A weight for each row (axis 0) or class (axis 1) of x, of its type, finite and not negative."""
    if not is_plain(weights) or cnp.PyArray_NDIM(<cnp.ndarray> weights) != 1:
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> weights) != cnp.PyArray_TYPE(x):
        return False
    if cnp.PyArray_DIM(<cnp.ndarray> weights, 0) != cnp.PyArray_DIM(x, axis):
        return False
    if is_float32(x):
        return are_weights(<const float*> cnp.PyArray_DATA(<cnp.ndarray> weights), cnp.PyArray_DIM(x, axis))
    return are_weights(<const double*> cnp.PyArray_DATA(<cnp.ndarray> weights), cnp.PyArray_DIM(x, axis))


cdef inline bint are_weights(const floating* weights, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint valid = True
    for i in range(n):
        valid &= (weights[i] >= <floating>0.0) & (weights[i] < <floating>INFINITY)
    return valid


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
    cdef float value_f
    cdef double value_d
    cdef double divisor
    cdef bint single
    cdef bint summed = with_loss and how != NONE
    cdef void* weight_data = NULL
    cdef void* losses_data = NULL
    cdef void* grad_data = NULL
    if is_plain(predictions) and is_plain(targets) and same_shape_and_type(predictions, targets) and (
        cnp.PyArray_NDIM(predictions) > 0
    ):
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
    divisor = <double> n if how == MEAN else 1.0
    state = allow_threads(n)
    if single:
        element_losses[float](
            kind, <const float*> cnp.PyArray_DATA(z), <const float*> cnp.PyArray_DATA(y), <const float*> weight_data, n,
            divisor, <float*> losses_data, &value_f if summed else NULL, <float*> grad_data,
        )
    else:
        element_losses[double](
            kind, <const double*> cnp.PyArray_DATA(z), <const double*> cnp.PyArray_DATA(y),
            <const double*> weight_data, n, divisor,
            <double*> losses_data, &value_d if summed else NULL, <double*> grad_data,
        )
    end_allow_threads(state)
    loss = losses if not summed else float32_scalar(&value_f) if single else float64_scalar(&value_d)
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


cdef void run_divergence(
    Divergence kind, bint single, const Layout* p, const Layout* q, char* result, double eps,
) noexcept nogil:
    cdef Py_ssize_t slab
    for slab in range(p.n_slabs):
        if single:
            divergence_rows(
                kind, <const float*> p.data + slab * p.slab_stride, p.row_stride, p.class_stride,
                <const float*> q.data + slab * q.slab_stride, q.row_stride, q.class_stride,
                <float*> result + slab * p.n_rows, p.n_rows, p.n_classes, <float> eps)
        else:
            divergence_rows(
                kind, <const double*> p.data + slab * p.slab_stride, p.row_stride, p.class_stride,
                <const double*> q.data + slab * q.slab_stride, q.row_stride, q.class_stride,
                <double*> result + slab * p.n_rows, p.n_rows, p.n_classes, eps)


cdef object plain_divergence(Divergence kind, cnp.ndarray p, cnp.ndarray q, double eps):
    """C-contiguous rows of more than one dimension, of the same shape and type."""
    cdef cnp.ndarray result = new_array(cnp.PyArray_NDIM(p) - 1, cnp.PyArray_DIMS(p), cnp.PyArray_TYPE(p))
    cdef Layout p_layout = layout_of_rows(p)
    cdef Layout q_layout = layout_of_rows(q)
    cdef bint single = is_float32(p)
    state = allow_threads(cnp.PyArray_SIZE(p))
    run_divergence(kind, single, &p_layout, &q_layout, cnp.PyArray_BYTES(result), eps)
    end_allow_threads(state)
    return result


cdef object divergence(Divergence kind, object p, object q, object axis, object base, double eps):
    cdef cnp.ndarray x, y, result
    cdef Layout p_layout, q_layout
    cdef int along
    cdef bint single
    if (
        base is None and is_plain_rows(p) and is_plain(q) and same_shape_and_type(p, q)
        and is_last_axis(axis, p) and cnp.PyArray_NDIM(p) > 1
    ):
        return plain_divergence(kind, p, q, eps)
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
            run_divergence(kind, single, &p_layout, &q_layout, cnp.PyArray_BYTES(result), eps)
    if unit != 1.0:
        with FloatingPointState(), np.errstate(all="ignore"):
            result /= unit
    return delivered(result, None, dtype)


cdef object log_of_base(object base):
    return float(np.log(as_base(base)))


# --- public functions --------------------------------------------------------------------------------------------

def softmax_cross_entropy(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
):
    """Cross-entropy between targets and the softmax of logits: −Σ_j y_j log p_j.

        loss_i = −Σ_j w_j y_ij log softmax(z_i)_j

    Parameters
    ----------
    logits : array-like, real, of shape (…, C)
    targets : array-like of integers of shape (…), or of probabilities of shape (…, C)
        The label of each row, or its probabilities; integers of the logits' shape count as probabilities.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the weight of the rows: with labels, the sum of their class and sample weights over all rows
        that are not ignored; with probabilities, that of the sample weights.
    class_weight : array-like of shape (C,), optional
        What a class counts, finite and not negative.
    sample_weight : array-like of shape (…), optional
        What a row counts, finite and not negative.
    label_smoothing : float in [0, 1], default 0
        The share a of the target that is spread over all classes: (1 − a) · target + a / C.
    ignore_index : int, optional
        The label of rows that count for nothing; it may lie outside the classes.

    Returns
    -------
    scalar of the logits' dtype, or for "none" an ndarray of shape (…)

    Raises
    ------
    TypeError
        If the logits are complex, objects or text, or labels or `ignore_index` are not integers.
    ValueError
        If a label is outside 0 … C − 1 (the message has its row), shapes do not fit, there is no class, a weight is
        negative or not finite, `label_smoothing` is outside [0, 1], `reduction` is unknown, or `ignore_index` comes
        with probabilities.

    Notes
    -----
    It means what ``torch.nn.functional.cross_entropy`` means, but comes from the logits without an epsilon: it is exact
    where the softmax saturates. A target of 0 costs 0, on a logit of -inf too, and so does a row of weight 0, unless it
    has no softmax: then it is NaN, as its gradient. The mean over nothing is NaN.

    Each row's loss is within 2 ULP for labels without weights (largest seen: 1.5); weights and smoothing add the
    rounding of their products (largest seen: 2.4).

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.softmax_cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, 1]).round(4)
    np.float64(0.0878)
    """
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, None, True, False,
    )[0]


def softmax_cross_entropy_grad(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
    out=None,
):
    """The gradient of `softmax_cross_entropy` with respect to the logits.

        ∂L/∂z_ij = scale · (p_ij Σ_k t_ik − t_ij),   t_ij = w_j y_ij

    Parameters
    ----------
    logits : array-like, real, of shape (…, C)
    targets : array-like of integers of shape (…), or of probabilities of shape (…, C)
        The label of each row, or its probabilities; integers of the logits' shape count as probabilities.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the weight of the rows: with labels, the sum of their class and sample weights over all rows
        that are not ignored; with probabilities, that of the sample weights.
    class_weight : array-like of shape (C,), optional
        What a class counts, finite and not negative.
    sample_weight : array-like of shape (…), optional
        What a row counts, finite and not negative.
    label_smoothing : float in [0, 1], default 0
        The share a of the target that is spread over all classes: (1 − a) · target + a / C.
    ignore_index : int, optional
        The label of rows that count for nothing; it may lie outside the classes.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `logits`
        The gradient of the reduced loss; for "none" each row's own.

    Raises
    ------
    TypeError
        If the logits are complex, objects or text, labels or `ignore_index` are not integers, or `out` is no array.
    ValueError
        If a label is outside 0 … C − 1 (the message has its row), shapes do not fit, there is no class, a weight is
        negative or not finite, `label_smoothing` is outside [0, 1], `reduction` is unknown, or `ignore_index` comes
        with probabilities.
        The same for an `out` of another shape or dtype, or read-only.

    Notes
    -----
    Within 2 ULP for labels; largest seen: 2.0, and 2.2 with class and sample weights, whose product is rounded. Where
    p → 1 the entry of the label is minus the sum of the other probabilities and keeps its relative accuracy. With
    targets on every class 2 ULP of the two terms of the difference; smoothing and weights, which make targets, 4.0.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.softmax_cross_entropy_grad([[0.0, 0.0]], [1])
    array([[ 0.5, -0.5]])
    """
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, out, False, True,
    )[1]


def softmax_cross_entropy_value_and_grad(
    logits, targets, *, reduction="mean", class_weight=None, sample_weight=None, label_smoothing=0.0, ignore_index=None,
    out=None,
):
    """`softmax_cross_entropy` and its gradient, in one pass.

        (L, ∂L/∂z)

    Parameters
    ----------
    logits : array-like, real, of shape (…, C)
    targets : array-like of integers of shape (…), or of probabilities of shape (…, C)
        The label of each row, or its probabilities; integers of the logits' shape count as probabilities.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the weight of the rows: with labels, the sum of their class and sample weights over all rows
        that are not ignored; with probabilities, that of the sample weights.
    class_weight : array-like of shape (C,), optional
        What a class counts, finite and not negative.
    sample_weight : array-like of shape (…), optional
        What a row counts, finite and not negative.
    label_smoothing : float in [0, 1], default 0
        The share a of the target that is spread over all classes: (1 − a) · target + a / C.
    ignore_index : int, optional
        The label of rows that count for nothing; it may lie outside the classes.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    tuple of what `softmax_cross_entropy` and `softmax_cross_entropy_grad` return, the same bits

    Raises
    ------
    TypeError
        If the logits are complex, objects or text, labels or `ignore_index` are not integers, or `out` is no array.
    ValueError
        If a label is outside 0 … C − 1 (the message has its row), shapes do not fit, there is no class, a weight is
        negative or not finite, `label_smoothing` is outside [0, 1], `reduction` is unknown, or `ignore_index` comes
        with probabilities.
        The same for an `out` of another shape or dtype, or read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> loss, grad = steelfast.softmax_cross_entropy_value_and_grad([[0.0, 0.0]], [1])
    >>> loss.round(4), grad
    (np.float64(0.6931), array([[ 0.5, -0.5]]))
    """
    return softmax_cross_entropy_parts(
        logits, targets, reduction, class_weight, sample_weight, label_smoothing, ignore_index, out, True, True,
    )


def sigmoid_cross_entropy(logits, targets, *, reduction="mean", pos_weight=None):
    """Cross-entropy between targets and the sigmoid of logits, element by element.

        loss = −w y log σ(z) − (1 − y) log(1 − σ(z))

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.
    pos_weight : float or array-like of shape (C,), optional
        What a target of 1 counts, for all or for each entry of the last axis; finite and not negative.

    Returns
    -------
    scalar of the dtype of the first argument, or for "none" an ndarray of its shape

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown, or `pos_weight` is negative, not finite or of another shape.

    Notes
    -----
    It means what ``torch.nn.functional.binary_cross_entropy_with_logits`` means. All its terms are positive: nothing
    cancels, nothing overflows. Within 2 ULP for targets of 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_cross_entropy([0.0, 800.0], [1.0, 1.0]).round(4)
    np.float64(0.3466)
    """
    return element_loss_parts(
        SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, True, False,
    )[0]


def sigmoid_cross_entropy_grad(logits, targets, *, reduction="mean", pos_weight=None):
    """The gradient of `sigmoid_cross_entropy` with respect to its first argument.

        ∂loss/∂z = (1 − y) σ(z) − w y (1 − σ(z))

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.
    pos_weight : float or array-like of shape (C,), optional
        What a target of 1 counts, for all or for each entry of the last axis; finite and not negative.

    Returns
    -------
    ndarray of the shape of the first argument
        The gradient of the reduced loss; for "none" each element's own.

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown, or `pos_weight` is negative, not finite or of another shape.

    Notes
    -----
    Within 2 ULP for targets of 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_cross_entropy_grad([0.0], [1.0])
    array([-0.5])
    """
    return element_loss_parts(
        SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, False, True,
    )[1]


def sigmoid_cross_entropy_value_and_grad(logits, targets, *, reduction="mean", pos_weight=None):
    """`sigmoid_cross_entropy` and its gradient, in one pass.

        (L, ∂L/∂z)

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.
    pos_weight : float or array-like of shape (C,), optional
        What a target of 1 counts, for all or for each entry of the last axis; finite and not negative.

    Returns
    -------
    tuple of what `sigmoid_cross_entropy` and `sigmoid_cross_entropy_grad` return, the same bits

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown, or `pos_weight` is negative, not finite or of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_cross_entropy_value_and_grad([0.0], [1.0])[1]
    array([-0.5])
    """
    return element_loss_parts(SIGMOID_CROSS_ENTROPY, logits, "logits", targets, reduction, pos_weight, True, True)


def sigmoid_mse(logits, targets, *, reduction="mean"):
    """The squared error of the sigmoid of logits: (σ(z) − y)².

        loss = (σ(z) − y)²

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.

    Returns
    -------
    scalar of the dtype of the first argument, or for "none" an ndarray of its shape

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown.

    Notes
    -----
    σ − 1 is −σ(−z): for a target of 1 nothing cancels. Within 2 ULP for targets of 0 and 1 (largest seen: 1.8).

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_mse([0.0, 0.0], [0.0, 1.0])
    np.float64(0.25)
    """
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, True, False)[0]


def sigmoid_mse_grad(logits, targets, *, reduction="mean"):
    """The gradient of `sigmoid_mse` with respect to its first argument.

        ∂loss/∂z = 2 (σ(z) − y) σ(z) (1 − σ(z))

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.

    Returns
    -------
    ndarray of the shape of the first argument
        The gradient of the reduced loss; for "none" each element's own.

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown.

    Notes
    -----
    The gradient goes through the sigmoid: it vanishes where the sigmoid saturates, right or wrong. Within 2 ULP for
    targets of 0 and 1 (largest seen: 1.8, next to the smallest normal number 2.0).

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_mse_grad([0.0, 0.0], [0.0, 1.0])
    array([ 0.125, -0.125])
    """
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, False, True)[1]


def sigmoid_mse_value_and_grad(logits, targets, *, reduction="mean"):
    """`sigmoid_mse` and its gradient, in one pass.

        (L, ∂L/∂z)

    Parameters
    ----------
    logits : array-like, real, of any shape
    targets : array-like, real, of the same shape
        What the sigmoid should be, in [0, 1].
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.

    Returns
    -------
    tuple of what `sigmoid_mse` and `sigmoid_mse_grad` return, the same bits

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid_mse_value_and_grad([0.0, 0.0], [0.0, 1.0])[0]
    np.float64(0.25)
    """
    return element_loss_parts(SIGMOID_MSE, logits, "logits", targets, reduction, None, True, True)


def mse(predictions, targets, *, reduction="mean"):
    """The squared error: (ŷ − y)².

        loss = (ŷ − y)²

    Parameters
    ----------
    predictions : array-like, real, of any shape
    targets : array-like, real, of the same shape
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.

    Returns
    -------
    scalar of the dtype of the first argument, or for "none" an ndarray of its shape

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown.

    Notes
    -----
    Within 2 ULP of each element's; sums are carried in twice the precision.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.mse([1.0, 3.0], [0.0, 0.0])
    np.float64(5.0)
    """
    return element_loss_parts(MSE, predictions, "predictions", targets, reduction, None, True, False)[0]


def mse_grad(predictions, targets, *, reduction="mean"):
    """The gradient of `mse` with respect to its first argument.

        ∂loss/∂ŷ = 2 (ŷ − y)

    Parameters
    ----------
    predictions : array-like, real, of any shape
    targets : array-like, real, of the same shape
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all elements.

    Returns
    -------
    ndarray of the shape of the first argument
        The gradient of the reduced loss; for "none" each element's own.

    Raises
    ------
    TypeError
        If an argument is complex, objects or text.
    ValueError
        If the shapes differ, or `reduction` is unknown.

    Notes
    -----
    Within 2 ULP.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.mse_grad([1.0, 3.0], [0.0, 0.0])
    array([1., 3.])
    """
    return element_loss_parts(MSE, predictions, "predictions", targets, reduction, None, False, True)[1]


def cross_entropy(p, q, *, axis=-1, base=None, eps=0.0):
    """The cross-entropy of two distributions: H(p, q) = −Σ p log q.

        H(p, q) = −Σ_j p_j log(q_j + eps)

    Parameters
    ----------
    p : array-like, real
        A distribution along `axis`.
    q : array-like, real, of the shape of `p`
        Another.
    axis : int, default -1
        The axis of the classes.
    base : float, optional
        The base of the logarithm, positive and not 1; e if not given.
    eps : float, default 0
        What is added to q, as textbooks do against log 0.

    Returns
    -------
    ndarray without `axis`, or a scalar if nothing is left

    Raises
    ------
    TypeError
        If an argument is complex, objects or text, or `axis` is no integer.
    ValueError
        If the shapes differ, `axis` is out of range or has no class, or `base` is not positive, not finite or 1.

    Notes
    -----
    0 · log 0 is 0; a zero of q where p is positive gives inf, a negative q NaN. Sums are carried in twice the
    precision.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.cross_entropy([0.5, 0.5], [0.25, 0.75], base=2).round(4)
    np.float64(1.2075)
    """
    return divergence(CROSS_ENTROPY, p, q, axis, base, as_number(eps, "eps", 0.0, INFINITY))


def entropy(p, axis=-1, base=None):
    """The entropy of a distribution: H(p) = −Σ p log p.

        H(p) = −Σ_j p_j log p_j

    Parameters
    ----------
    p : array-like, real
        A distribution along `axis`.
    axis : int, default -1
        The axis of the classes.
    base : float, optional
        The base of the logarithm, positive and not 1; e if not given.

    Returns
    -------
    ndarray without `axis`, or a scalar if nothing is left

    Raises
    ------
    TypeError
        If an argument is complex, objects or text, or `axis` is no integer.
    ValueError
        If `axis` is out of range or has no class, or `base` is not positive, not finite or 1.

    Notes
    -----
    0 · log 0 is 0; a negative p gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.entropy([0.5, 0.25, 0.25, 0.0], base=2)
    np.float64(1.5)
    """
    return divergence(CROSS_ENTROPY, p, p, axis, base, 0.0)


def kl_divergence(p, q, *, axis=-1, base=None):
    """The Kullback–Leibler divergence: KL(p‖q) = Σ p log(p/q).

        KL(p‖q) = Σ_j p_j log(p_j / q_j)

    Parameters
    ----------
    p : array-like, real
        A distribution along `axis`.
    q : array-like, real, of the shape of `p`
        Another.
    axis : int, default -1
        The axis of the classes.
    base : float, optional
        The base of the logarithm, positive and not 1; e if not given.

    Returns
    -------
    ndarray without `axis`, or a scalar if nothing is left

    Raises
    ------
    TypeError
        If an argument is complex, objects or text, or `axis` is no integer.
    ValueError
        If the shapes differ, `axis` is out of range or has no class, or `base` is not positive, not finite or 1.

    Notes
    -----
    0 · log 0 is 0; a zero of q where p is positive gives inf. log(p/q) comes from p − q where the two are close.

    References
    ----------
    Kullback and Leibler (1951), On information and sufficiency, Ann. Math. Statist. 22.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.kl_divergence([0.5, 0.5], [0.25, 0.75], base=2).round(4)
    np.float64(0.2075)
    """
    return divergence(KL_DIVERGENCE, p, q, axis, base, 0.0)
