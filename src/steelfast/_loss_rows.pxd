"""Loss primitives: how logits and labels, or single predictions and targets, become losses and gradients.

The same contract as `_rows`: blocks are local arrays of the caller, everything is inlined, each formula stands once.
"""
from cython cimport floating
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from steelfast._elementary cimport (
    HAS_FMA,
    fast_two_sum,
    lift_of,
    log1p_exp,
    loose_product,
    multiply_add,
    pair_times_pair,
    reciprocal,
    sigmoid_pairs,
    sigmoid_parts,
    split_product,
    times_pair,
    two_sum,
)
from steelfast._rows cimport (
    BLOCK,
    LANES,
    anchor_of,
    are_ordinary,
    exp_block_apart,
    exp_of_maximum,
    exp_row_apart,
    exps_of_maxima,
    fill_lanes,
    is_far,
    logsumexp_lanes,
    logsumexp_of,
    maximum_row,
    prepared,
    put,
    range_of_exp,
    renew_pairs,
    row_is_defined,
    scale_block,
    scale_row,
    settle_rows,
    shift_rows,
    sum_of_all,
)

cdef enum ElementLoss:
    SIGMOID_CROSS_ENTROPY
    SIGMOID_MSE
    MSE


# --- softmax cross-entropy -------------------------------------------------------------------------------------

cdef inline floating gradient_entry(
    floating e, floating target, floating target_low, floating total, floating factor, floating factor_low,
    floating top, floating rest, bint whole,
) noexcept nogil:
    """total · p - target, where total is the sum of the row's targets and factor · e = total · p; of the largest
    probabilities, whose e is 0 here, `top` is total · p.

    Where the target has most of the row's weight and p is the largest probability this is the difference of two
    numbers that may be nearly equal: (total - target) - total · (1 - p) is the same, and `rest`, total · (1 - p),
    is known from the sum of the others. `whole`: the target is known to be all of the total, and twice what is left
    where p is one half; else it may be next to nothing.
    """
    cdef bint largest = e == <floating>0.0
    cdef floating near = (total - target) - rest
    cdef floating start = (top if largest else <floating>0.0) - target
    cdef floating lift, far, product, low
    if HAS_FMA:
        low = e * factor_low - target_low
        far = multiply_add(e, factor, start) + low if whole else multiply_add(e, factor, start + low)
    else:
        lift = lift_of(factor)
        product = split_product(e, factor * lift, factor_low * lift, &low)
        low = low - target_low * lift
        start = start * lift
        far = ((product + start) + low if whole else product + (start + low)) * (<floating>1.0 / lift)
    return near if largest & (target + target > total) else far


cdef inline floating gradient_factor(
    floating others, floating others_low, floating ties, floating largest, floating largest_low,
    floating total, floating total_low, floating* factor_low, floating* top, floating* rest,
) noexcept nogil:
    """What turns the exponentials of a row into total · p, as a pair; total · p and total · (1 - p) of the largest."""
    cdef floating inverse, inverse_low, factor, sum_, sum_low, lift, low
    sum_ = sum_of_all(others, others_low, ties, largest, largest_low, &sum_low)
    inverse = reciprocal(sum_, sum_low, &inverse_low)
    factor = pair_times_pair(total, total_low, inverse, inverse_low, factor_low)
    sum_ = sum_of_all(others, others_low, ties - <floating>1.0, largest, largest_low, &sum_low)
    lift = lift_of(factor)
    rest[0] = (times_pair(sum_ * lift, factor, factor_low[0]) + sum_low * lift * factor) * (<floating>1.0 / lift)
    top[0] = pair_times_pair(largest, largest_low, factor, factor_low[0], &low)
    return factor


cdef inline floating label_loss(
    floating weight, floating label_logit, floating logsumexp, floating logsumexp_low,
) noexcept nogil:
    """weight · (logsumexp - label_logit), rounded once."""
    cdef floating low
    cdef floating distance = two_sum(logsumexp, -label_logit, &low)
    cdef floating loss = times_pair(weight, distance, low + logsumexp_low)
    # an infinite distance has no low part
    loss = weight * distance if distance == <floating>INFINITY else loss
    # a row that counts for nothing costs nothing, however far its label is; but what is undefined shows
    return <floating>0.0 if (weight == <floating>0.0) & (distance == distance) else loss


cdef inline void label_block(
    floating* block, Py_ssize_t n_classes, floating* maximum, Py_ssize_t n_lanes, const int64_t* labels,
    const floating* weight, floating scale, floating scale_low, floating* losses, bint with_grad,
    const floating* next_rows, const floating* place,
) noexcept nogil:
    """Rows of a block, whose largest logits are known, become their gradients: scale · weight · (p - target).

    losses: weight · (logsumexp - label's logit) of each lane, or NULL. Lanes without a row have a weight of 0; a
    negative label counts as 0. The last two are for `exp_block_apart`.
    """
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating largest[LANES]
    cdef floating largest_low[LANES]
    cdef floating marks[LANES]
    cdef floating label_logit[LANES]
    cdef floating factor[LANES]
    cdef floating factor_low[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating top[LANES]
    cdef floating rest[LANES]
    cdef floating label_grad[LANES]
    cdef Py_ssize_t where[LANES]   # the label's entry in the block
    cdef Py_ssize_t lane
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    fill_lanes(<floating>0.0, label_logit)
    fill_lanes(<floating>0.0, label_grad)
    if not are_ordinary(maximum):
        settle_rows(block, n_classes, maximum, True)
        shift_rows(block, n_classes, maximum)
    for lane in range(n_lanes):
        where[lane] = max(labels[lane], 0) * LANES + lane
        label_logit[lane] = block[where[lane]]
    range_of_exp(maximum, least, base)
    exp_block_apart(
        block, block, n_classes, maximum, least, base, False, others, others_low, ties, next_rows, place,
        is_far(LANES * n_classes, 1, <floating>0.0))
    renew_pairs(others, others_low)
    exps_of_maxima(maximum, False, largest, largest_low)
    if losses != NULL:
        logsumexp_lanes(maximum, others, others_low, ties, largest, largest_low, factor, factor_low)
        for lane in range(LANES):
            losses[lane] = label_loss(weight[lane], label_logit[lane], factor[lane], factor_low[lane])
    if with_grad:
        for lane in range(LANES):
            total[lane] = pair_times_pair(weight[lane], <floating>0.0, scale, scale_low, &total_low[lane])
            factor[lane] = gradient_factor(
                others[lane], others_low[lane], ties[lane], largest[lane], largest_low[lane],
                total[lane], total_low[lane], &factor_low[lane], &top[lane], &rest[lane],
            )
        for lane in range(n_lanes):
            label_grad[lane] = block[where[lane]]
        for lane in range(LANES):
            label_grad[lane] = gradient_entry(
                label_grad[lane], total[lane], total_low[lane], total[lane], factor[lane], factor_low[lane],
                top[lane], rest[lane], True,
            )
        fill_lanes(<floating>0.0, marks)
        scale_block(block, block, n_classes, factor, factor_low, marks, top)
        for lane in range(n_lanes):
            put(block + where[lane], label_grad[lane])


cdef inline floating label_row(
    const floating* row, Py_ssize_t n_classes, Py_ssize_t ahead, int64_t label, floating weight,
    floating scale, floating scale_low, floating* grad,
) noexcept nogil:
    """A row of many classes; `ahead`: where the next one is. Returns its loss; grad may be NULL, or the row itself."""
    cdef floating block[BLOCK]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ties[LANES]
    cdef floating maximum, anchor, label_logit, loss, logsumexp, low
    cdef floating largest, largest_low, total, factor, factor_low, top, rest, entry
    cdef bint defined
    maximum = maximum_row(row, 1, n_classes)
    defined = row_is_defined(row, 1, n_classes, maximum)
    label_logit = prepared(row[label], maximum, defined)
    exp_row_apart(row, 1, n_classes, ahead, maximum, defined, block, grad, 1, others, others_low, ties)
    anchor = anchor_of(maximum)
    largest = exp_of_maximum(anchor, False, &largest_low)
    logsumexp = logsumexp_of(anchor, others[0], others_low[0], ties[0], largest, largest_low, &low)
    loss = label_loss(weight, label_logit, logsumexp, low)
    if grad != NULL:
        total = pair_times_pair(weight, <floating>0.0, scale, scale_low, &low)
        factor = gradient_factor(
            others[0], others_low[0], ties[0], largest, largest_low, total, low, &factor_low, &top, &rest,
        )
        entry = block[label] if n_classes <= BLOCK else grad[label]
        entry = gradient_entry(entry, total, low, total, factor, factor_low, top, rest, True)
        scale_row(block, grad, 1, n_classes, factor, factor_low, True, <floating>0.0, top)
        grad[label] = entry
    return loss


# --- losses of single numbers ------------------------------------------------------------------------------------

cdef inline floating weighted(floating weight, floating value) noexcept nogil:
    """weight · value, where 0 · infinity is 0: what has no weight costs nothing; but what is undefined shows."""
    return <floating>0.0 if (weight == <floating>0.0) & (value == value) else weight * value


cdef inline floating finite_sum(floating high, floating low) noexcept nogil:
    """high + low, where what is infinite or undefined has no low part."""
    return high + (low if high - high == <floating>0.0 else <floating>0.0)


cdef inline floating scaled_slope(floating slope, floating scale, floating scale_low) noexcept nogil:
    cdef floating low
    cdef floating product = loose_product(slope, <floating>0.0, scale, scale_low, &low)
    return finite_sum(product, low)


cdef inline floating residual_of(
    ElementLoss kind, floating z, floating y, floating e, floating e_low, floating* low, floating* slope,
    floating* slope_low,
) noexcept nogil:
    """What is squared, and its derivative in z, as pairs: z - y; or sigmoid(z) - y, and where z is not negative
    (1 - sigmoid(z)) - (1 - y), the same with the other sign, of which nothing is lost.

    Of the sigmoids e is `exp_of_negative` of z, here and in the functions below.
    """
    cdef floating large, large_low, small, small_low, start, start_low, result, rest, total
    if kind == MSE:
        slope[0] = <floating>1.0
        slope_low[0] = <floating>0.0
        result = two_sum(z, -y, low)
    else:
        small = sigmoid_pairs(e, e_low, &large, &large_low, &small_low)
        large = large if z < <floating>0.0 else -large
        large_low = large_low if z < <floating>0.0 else -large_low
        slope[0] = loose_product(large, large_low, small, small_low, slope_low)
        # of targets beyond 1 a last digit may be lost, where nothing cancels
        start = fast_two_sum(<floating>1.0, -y, &start_low)
        start = y if z < <floating>0.0 else start
        start_low = <floating>0.0 if z < <floating>0.0 else start_low
        result = two_sum(small, -start, low)
        # settled, or the square of what nearly cancels could be negative; where the second is the larger one, its last
        # digits are lost, which are far below those of the sigmoid
        rest = low[0] + (small_low - start_low)
        total = finite_sum(result, rest)
        low[0] = rest - (total - result)
        result = total
    return result


cdef inline floating square_of(floating residual, floating residual_low) noexcept nogil:
    cdef floating lift = lift_of(residual)
    cdef floating drop = <floating>1.0 / lift
    cdef floating low
    cdef floating square = loose_product(
        residual * lift, residual_low * lift, residual * lift, residual_low * lift, &low)
    return finite_sum(square, low) * drop * drop


cdef inline floating slope_of_square(
    floating residual, floating residual_low, floating slope, floating slope_low, floating scale, floating scale_low,
) noexcept nogil:
    """scale times the derivative of the square in z, from `residual_of`."""
    cdef floating lift = lift_of(residual)
    cdef floating low
    cdef floating product = loose_product(
        (residual + residual) * lift, (residual_low + residual_low) * lift, slope, slope_low, &low)
    product = loose_product(product, low, scale, scale_low, &low)
    return finite_sum(product, low) * (<floating>1.0 / lift)


cdef inline floating cross_entropy_of(
    floating z, floating y, floating positive_weight, floating e, floating e_low,
) noexcept nogil:
    """z (1 - y) + weight · log(1 + exp(-z)), arranged so that every term is positive."""
    cdef floating weight = (<floating>1.0 - y) + positive_weight * y
    cdef floating tail = weighted(weight, log1p_exp(e, e_low))
    cdef floating linear = (
        weighted(positive_weight * y, -z) if z < <floating>0.0 else weighted(<floating>1.0 - y, z))
    return linear + tail


cdef inline floating slope_of_cross_entropy(
    floating z, floating y, floating positive_weight, floating e, floating e_low,
) noexcept nogil:
    cdef floating small
    cdef floating weight = (<floating>1.0 - y) + positive_weight * y
    sigmoid_parts(e, e_low, &small)
    return weight * small - positive_weight * y if z < <floating>0.0 else (<floating>1.0 - y) - weight * small
