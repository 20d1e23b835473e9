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
    log_sigmoid_from,
    pair_times_pair,
    reciprocal,
    sigmoid_exp,
    sigmoid_from,
    two_product,
    two_sum,
)
from steelfast._rows cimport (
    BLOCK,
    LANES,
    PART,
    RUN,
    TILES,
    add_columns,
    add_exps_twice,
    all_but_largest,
    anchor_of,
    are_ordinary,
    cancels,
    end_sums,
    exp_block,
    exp_of_maximum,
    exp_row,
    exps_of_maxima,
    fetch_columns,
    fetch_part,
    fill_lanes,
    finite_maximum,
    in_blocks,
    infinite,
    is_far,
    is_ordinary,
    load_columns,
    load_prepared,
    load_rows,
    load_run,
    log_of_sum,
    log_prob,
    logsumexp_lanes,
    logsumexp_of,
    maximum_block,
    maximum_row,
    prepared,
    range_of_exp,
    range_of_others,
    row_is_defined,
    rows_ahead,
    scale_block,
    scale_row,
    settle_rows,
    settle_sums,
    shift_rows,
    start_sums,
    store_columns,
    store_rows,
    store_run,
    sum_exps_block,
    sum_exps_row,
    sum_lanes,
    two_largest_block,
    two_largest_row,
)

import numpy as np

from steelfast._arguments import as_axis, as_floating, as_pair, delivered, workspace

cnp.import_array()

cdef enum RowMap:
    SOFTMAX
    LOG_SOFTMAX
    LOGSUMEXP

cdef enum:
    LARGEST_NDIM = 7      # of probabilities whose Jacobian takes the fast path

cdef enum ElementMap:
    SIGMOID
    LOG_SIGMOID


# --- kernels -----------------------------------------------------------------------------------------------------

cdef inline void log_softmax_block(
    floating* block, Py_ssize_t n_tiles, const floating* logsumexp, const floating* logsumexp_low,
) noexcept nogil:
    cdef Py_ssize_t lane, j
    cdef floating total, total_low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        total = logsumexp[lane]
        total_low = logsumexp_low[lane]
        for j in range(n_tiles):
            block[j * LANES + lane] = log_prob(block[j * LANES + lane], total, total_low)


cdef inline floating logsumexp_result(floating maximum, floating total, floating total_low) noexcept nogil:
    """total + total_low, and where the maximum is infinite just that, unless the row has a NaN."""
    return maximum + (total - total) if infinite(maximum) else total + total_low


cdef inline void factors_of(
    const floating* maximum, const floating* total, const floating* total_low,
    floating* inverse, floating* inverse_low, floating* largest, floating* largest_prob,
) noexcept nogil:
    """What `scale_block` asks of each lane."""
    cdef floating largest_low[LANES]
    cdef Py_ssize_t lane
    cdef floating low
    exps_of_maxima(maximum, False, largest, largest_low)
    for lane in range(LANES):
        inverse[lane] = reciprocal(total[lane], total_low[lane], &inverse_low[lane])
        largest_prob[lane] = pair_times_pair(
            largest[lane], largest_low[lane], inverse[lane], inverse_low[lane], &low)
        # or it may not be the only one that its exponential is rounded to; no other one is 0
        largest[lane] = largest[lane] if largest_prob[lane] > <floating>0.5 else <floating>0.0


cdef void softmax_few(
    const floating* logits, Py_ssize_t row_stride, Py_ssize_t class_stride,
    floating* probs, Py_ssize_t probs_row_stride, Py_ssize_t probs_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """The first LANES of n_rows rows of few classes."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating inverse[LANES]
    cdef floating inverse_low[LANES]
    cdef floating largest[LANES]
    cdef floating largest_prob[LANES]
    fill_lanes(-<floating>INFINITY, maximum)
    load_rows(logits, row_stride, class_stride, n_rows, n_classes, block)
    maximum_block(block, n_classes, maximum)
    if not are_ordinary(maximum):
        settle_rows(block, n_classes, maximum, True)
        shift_rows(block, n_classes, maximum)
    start_sums(total, total_low)
    range_of_exp(maximum, least, base)
    exp_block(
        block, block, n_classes, NULL, least, base, False, total, total_low,
        rows_ahead(logits, LANES, row_stride, class_stride, n_rows - LANES, n_classes),
        rows_ahead(probs, 0, probs_row_stride, probs_class_stride, n_rows, n_classes),
        is_far(LANES * n_classes, 1, <floating>0.0),
    )
    end_sums(total, total_low)
    factors_of(maximum, total, total_low, inverse, inverse_low, largest, largest_prob)
    scale_block(block, block, n_classes, inverse, inverse_low, largest, largest_prob)
    store_rows(block, probs, probs_row_stride, probs_class_stride, n_rows, n_classes, probs != logits)


cdef void softmax_many(
    const floating* logits, Py_ssize_t class_stride, floating* probs, Py_ssize_t probs_class_stride,
    Py_ssize_t n_classes, Py_ssize_t ahead,
) noexcept nogil:
    """One row of many classes; the next one is `ahead`."""
    cdef floating block[BLOCK]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating inverse, inverse_low, largest, largest_prob, low
    cdef floating maximum = maximum_row(logits, class_stride, n_classes)
    cdef bint defined = row_is_defined(logits, class_stride, n_classes, maximum)
    exp_row(
        logits, class_stride, n_classes, ahead, maximum, defined, block, probs, probs_class_stride, total, total_low,
    )
    inverse = reciprocal(total[0], total_low[0], &inverse_low)
    largest = exp_of_maximum(anchor_of(maximum), False, &low)
    largest_prob = pair_times_pair(largest, low, inverse, inverse_low, &low)
    scale_row(
        block, probs, probs_class_stride, n_classes, inverse, inverse_low, largest_prob > <floating>0.5, largest,
        largest_prob)


cdef void log_few(
    RowMap kind, const floating* logits, Py_ssize_t row_stride, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """log-softmax or log-sum-exp of the first LANES of n_rows rows of few classes."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating second[LANES]
    cdef floating anchor[LANES]
    cdef floating omitted[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ones[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef double exact[LANES]
    cdef double exact_low[LANES]
    cdef floating largest[LANES]
    cdef floating largest_low[LANES]
    cdef Py_ssize_t n_cancelling = 0
    cdef Py_ssize_t lane
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(-<floating>INFINITY, second)
    fill_lanes(<floating>1.0, ones)
    load_rows(logits, row_stride, class_stride, n_rows, n_classes, block)
    two_largest_block(block, n_classes, maximum, second)
    memcpy(anchor, maximum, LANES * sizeof(floating))
    if not are_ordinary(maximum):
        settle_rows(block, n_classes, anchor, kind == LOG_SOFTMAX)
        shift_rows(block, n_classes, anchor)
        fill_lanes(-<floating>INFINITY, total)
        fill_lanes(-<floating>INFINITY, second)
        two_largest_block(block, n_classes, total, second)
    range_of_others(anchor, second, omitted, least, base)
    start_sums(others, others_low)
    sum_exps_block(
        block, n_classes, omitted, least, base, others, others_low,
        rows_ahead(logits, LANES, row_stride, class_stride, n_rows - LANES, n_classes),
        rows_ahead(result, 0, result_row_stride, result_class_stride, n_rows, n_classes if kind == LOG_SOFTMAX else 0),
        is_far(LANES * n_classes, 1, <floating>0.0),
    )
    end_sums(others, others_low)
    exps_of_maxima(anchor, True, largest, largest_low)
    for lane in range(LANES):
        others[lane] = all_but_largest(
            others[lane], others_low[lane], base[lane], anchor[lane], second[lane], largest[lane], largest_low[lane],
            &others_low[lane])
    if kind == LOGSUMEXP:
        for lane in range(LANES):
            anchor[lane] = finite_maximum(maximum[lane])
    logsumexp_lanes(anchor, others, others_low, ones, largest, largest_low, total, total_low)
    if kind == LOG_SOFTMAX:
        log_softmax_block(block, n_classes, total, total_low)
        store_rows(block, result, result_row_stride, result_class_stride, n_rows, n_classes, result != logits)
    else:
        for lane in range(LANES):
            total[lane] = logsumexp_result(maximum[lane], total[lane], total_low[lane])
            n_cancelling += cancels(maximum[lane], total[lane])
        if n_cancelling:
            fill_lanes(0.0, exact)
            fill_lanes(0.0, exact_low)
            add_exps_twice(block, n_classes, exact, exact_low)
            for lane in range(LANES):
                if cancels(maximum[lane], total[lane]):
                    total[lane] = <floating>log_of_sum(&exact[lane], &exact_low[lane])
        store_rows(total, result, result_row_stride, 1, n_rows, 1, False)


cdef void log_many(
    RowMap kind, const floating* logits, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_class_stride, Py_ssize_t n_classes, Py_ssize_t ahead,
) noexcept nogil:
    """log-softmax or log-sum-exp of one row of many classes; the next one is `ahead`."""
    cdef floating block[BLOCK]
    cdef floating lanes[LANES]
    cdef floating second[LANES]
    cdef floating anchor[LANES]
    cdef floating omitted[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef double exact[LANES]
    cdef double exact_low[LANES]
    cdef floating maximum, others, others_low, largest, largest_low, value, value_low
    cdef bint defined
    cdef Py_ssize_t j, n, n_tiles
    two_largest_row(logits, class_stride, n_classes, lanes, second)
    maximum = lanes[0]
    defined = kind == LOGSUMEXP or row_is_defined(logits, class_stride, n_classes, maximum)
    fill_lanes(anchor_of(maximum), anchor)
    fill_lanes(prepared(second[0], maximum, defined), second)
    range_of_others(anchor, second, omitted, least, base)
    sum_exps_row(
        logits, class_stride, n_classes, ahead, maximum, defined, omitted, least, base, block, total, total_low,
        <floating*> NULL if kind == LOGSUMEXP else result, result_class_stride)
    largest = exp_of_maximum(anchor[0], True, &largest_low)
    others = all_but_largest(
        total[0], total_low[0], base[0], anchor[0], second[0], largest, largest_low, &others_low)
    value = logsumexp_of(
        anchor[0] if kind == LOG_SOFTMAX else finite_maximum(maximum),
        others, others_low, <floating>1.0, largest, largest_low, &value_low,
    )
    if kind == LOGSUMEXP:
        result[0] = logsumexp_result(maximum, value, value_low)
        if cancels(maximum, result[0]):
            fill_lanes(0.0, exact)
            fill_lanes(0.0, exact_low)
            for j from 0 <= j < n_classes by RUN:
                n_tiles = load_run(
                    logits + j * class_stride, class_stride, min(RUN, n_classes - j), -<floating>INFINITY, block)
                add_exps_twice(block, n_tiles, exact, exact_low)
            sum_lanes(exact, exact_low)
            result[0] = <floating>log_of_sum(exact, exact_low)
        return
    if is_ordinary(maximum) and class_stride == 1 and result_class_stride == 1:
        # without a detour
        if logits == result:
            for j in range(n_classes):
                result[j] = log_prob(result[j], value, value_low)
        else:
            for j in range(n_classes):
                result[j] = log_prob(logits[j], value, value_low)
        return
    fill_lanes(value, total)
    fill_lanes(value_low, total_low)
    for j from 0 <= j < n_classes by RUN:
        n = min(RUN, n_classes - j)
        n_tiles = load_prepared(logits + j * class_stride, class_stride, n, maximum, defined, block)
        log_softmax_block(block, n_tiles, total, total_low)
        store_run(block, result + j * result_class_stride, result_class_stride, n)


cdef inline void sum_columns(
    bint keep, const floating* logits, Py_ssize_t class_stride, floating* result, Py_ssize_t result_class_stride,
    Py_ssize_t n_classes, const floating* omitted, const floating* least, const floating* base,
    floating* total, floating* total_low,
) noexcept nogil:
    """The sums of the exponentials of LANES neighbouring columns; `keep`: and the exponentials, none of them omitted.

    Each column's are added as those of a row are, class 16 k + q in lane q of it, and settled after each BLOCK of them,
    so that they have the same bits.
    """
    cdef floating block[RUN]
    cdef floating sums[LANES * LANES]
    cdef floating sums_low[LANES * LANES]
    cdef Py_ssize_t j, q, n, n_there, n_tiles
    for q in range(LANES):
        start_sums(sums + q * LANES, sums_low + q * LANES)
    for j from 0 <= j < n_classes by RUN:
        n = min(RUN, n_classes - j)
        n_tiles = (n + LANES - 1) // LANES
        for q in range(LANES):
            n_there = (n - q + LANES - 1) // LANES
            load_columns(logits + (j + q) * class_stride, LANES * class_stride, n_there, block)
            if n_there < n_tiles:
                fill_lanes(-<floating>INFINITY, block + n_there * LANES)
            if keep:
                exp_block(
                    block, block, n_tiles, NULL, least, base, False, sums + q * LANES, sums_low + q * LANES, NULL, NULL,
                    False)
                store_columns(
                    block, result + (j + q) * result_class_stride, LANES * result_class_stride, n_there)
            else:
                sum_exps_block(
                    block, n_tiles, omitted, least, base, sums + q * LANES, sums_low + q * LANES, NULL, NULL, False)
            if (j + n) % BLOCK == 0 or j + n == n_classes:
                settle_sums(sums + q * LANES, sums_low + q * LANES)
    for q in range(LANES):
        end_sums(sums + q * LANES, sums_low + q * LANES)
    add_columns(sums, sums_low)
    memcpy(total, sums, LANES * sizeof(floating))
    memcpy(total_low, sums_low, LANES * sizeof(floating))


cdef void softmax_columns(
    const floating* logits, Py_ssize_t class_stride, floating* probs, Py_ssize_t probs_class_stride,
    Py_ssize_t n_classes, const floating* maximum,
) noexcept nogil:
    """`softmax_many` of LANES neighbouring columns, whose largest logits are ordinary."""
    cdef floating block[BLOCK]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef floating inverse[LANES]
    cdef floating inverse_low[LANES]
    cdef floating largest[LANES]
    cdef floating largest_prob[LANES]
    cdef Py_ssize_t j, n
    range_of_exp(maximum, least, base)
    sum_columns(
        True, logits, class_stride, probs, probs_class_stride, n_classes, <floating*> NULL, least, base, total,
        total_low)
    factors_of(maximum, total, total_low, inverse, inverse_low, largest, largest_prob)
    for j from 0 <= j < n_classes by TILES:
        n = min(TILES, n_classes - j)
        load_columns(probs + j * probs_class_stride, probs_class_stride, n, block)
        scale_block(block, block, n, inverse, inverse_low, largest, largest_prob)
        store_columns(block, probs + j * probs_class_stride, probs_class_stride, n)
        fetch_columns(probs + j * probs_class_stride, probs_class_stride, n)


cdef void log_columns(
    RowMap kind, const floating* logits, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_class_stride, Py_ssize_t n_classes,
    const floating* maximum, const floating* second,
) noexcept nogil:
    """`log_many` of LANES neighbouring columns, whose largest logits are ordinary."""
    cdef floating block[BLOCK]
    cdef floating omitted[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating others[LANES]
    cdef floating others_low[LANES]
    cdef floating ones[LANES]
    cdef floating largest[LANES]
    cdef floating largest_low[LANES]
    cdef floating total[LANES]
    cdef floating total_low[LANES]
    cdef Py_ssize_t j, n, lane
    range_of_others(maximum, second, omitted, least, base)
    sum_columns(
        False, logits, class_stride, <floating*> NULL, 0, n_classes, omitted, least, base, others, others_low)
    fill_lanes(<floating>1.0, ones)
    exps_of_maxima(maximum, True, largest, largest_low)
    for lane in range(LANES):
        others[lane] = all_but_largest(
            others[lane], others_low[lane], base[lane], maximum[lane], second[lane], largest[lane], largest_low[lane],
            &others_low[lane])
    logsumexp_lanes(maximum, others, others_low, ones, largest, largest_low, total, total_low)
    if kind == LOGSUMEXP:
        for lane in range(LANES):
            result[lane] = logsumexp_result(maximum[lane], total[lane], total_low[lane])
            if cancels(maximum[lane], result[lane]):
                log_many(LOGSUMEXP, logits + lane, class_stride, result + lane, 1, n_classes, 0)
        return
    for j from 0 <= j < n_classes by TILES:
        n = min(TILES, n_classes - j)
        load_columns(logits + j * class_stride, class_stride, n, block)
        log_softmax_block(block, n, total, total_low)
        store_columns(block, result + j * result_class_stride, result_class_stride, n)
        fetch_columns(result + j * result_class_stride, result_class_stride, n)


cdef bint map_columns(
    RowMap kind, const floating* logits, Py_ssize_t class_stride, floating* result, Py_ssize_t result_class_stride,
    Py_ssize_t n_classes,
) noexcept nogil:
    """LANES neighbouring columns of many classes. False, and nothing is done, where a column is not ordinary."""
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating second[LANES]
    cdef Py_ssize_t j, n
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(-<floating>INFINITY, second)
    for j from 0 <= j < n_classes by TILES:
        n = min(TILES, n_classes - j)
        load_columns(logits + j * class_stride, class_stride, n, block)
        fetch_columns(logits + j * class_stride, class_stride, n)
        if kind == SOFTMAX:
            maximum_block(block, n, maximum)
        else:
            two_largest_block(block, n, maximum, second)
    if not are_ordinary(maximum):
        return False
    if kind == SOFTMAX:
        softmax_columns(logits, class_stride, result, result_class_stride, n_classes, maximum)
    else:
        log_columns(kind, logits, class_stride, result, result_class_stride, n_classes, maximum, second)
    return True


cdef void map_rows(
    RowMap kind, const floating* logits, Py_ssize_t row_stride, Py_ssize_t class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef bint few = in_blocks(n_classes)
    cdef bint columns = not few and row_stride == 1 and result_row_stride == 1
    cdef Py_ssize_t step
    cdef const floating* source = logits
    cdef floating* target = result
    cdef environment saved = enter_environment()
    while i < n_rows:
        step = LANES if few else 1
        if few and kind == SOFTMAX:
            softmax_few(
                source, row_stride, class_stride, target, result_row_stride, result_class_stride, n_rows - i, n_classes)
        elif few:
            log_few(
                kind, source, row_stride, class_stride, target, result_row_stride, result_class_stride,
                n_rows - i, n_classes)
        elif columns and i % LANES == 0 and n_rows - i >= LANES and map_columns(
                kind, source, class_stride, target, result_class_stride, n_classes):
            step = LANES
        elif kind == SOFTMAX:
            softmax_many(source, class_stride, target, result_class_stride, n_classes, row_stride)
        else:
            log_many(kind, source, class_stride, target, result_class_stride, n_classes, row_stride)
        i += step
        source += step * row_stride
        target += step * result_row_stride
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


cdef inline void dot_block_in_parts(
    const floating* p, const floating* g, Py_ssize_t n_tiles, floating* dot, floating* dot_low,
    const floating* next_p, const floating* next_g, const floating* place,
) noexcept nogil:
    """`dot_block`, while the memory fetches what the last three point to: NULL, or any address."""
    cdef Py_ssize_t j, n
    cdef bint far = is_far(n_tiles * LANES, 3, <floating>0.0)
    if next_p == NULL and next_g == NULL and place == NULL:
        dot_block(p, g, n_tiles, dot, dot_low)
        return
    for j from 0 <= j < n_tiles by PART:
        n = min(PART, n_tiles - j)
        fetch_part(next_p, j, n, far)
        fetch_part(next_g, j, n, far)
        fetch_part(place, j, n, far)
        dot_block(p + j * LANES, g + j * LANES, n, dot, dot_low)


cdef inline void vjp_block(
    floating* p, const floating* g, Py_ssize_t n_tiles, const floating* dot, const floating* dot_low,
) noexcept nogil:
    """p · (g - dot) into p."""
    cdef Py_ssize_t lane, j
    cdef floating centre, centre_low, centred, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        centre = -dot[lane]
        centre_low = dot_low[lane]
        for j in range(n_tiles):
            centred = two_sum(g[j * LANES + lane], centre, &low)
            p[j * LANES + lane] = p[j * LANES + lane] * (centred + (low - centre_low))


cdef inline void vjp_few(
    const floating* probs, Py_ssize_t row_stride, Py_ssize_t class_stride,
    const floating* grad, Py_ssize_t grad_row_stride, Py_ssize_t grad_class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """The first LANES of n_rows rows of few classes."""
    cdef floating p[BLOCK]
    cdef floating g[BLOCK]
    cdef floating dot[LANES]
    cdef floating dot_low[LANES]
    fill_lanes(<floating>0.0, dot)
    fill_lanes(<floating>0.0, dot_low)
    load_rows(probs, row_stride, class_stride, n_rows, n_classes, p)
    load_rows(grad, grad_row_stride, grad_class_stride, n_rows, n_classes, g)
    dot_block_in_parts(
        p, g, n_classes, dot, dot_low,
        rows_ahead(probs, LANES, row_stride, class_stride, n_rows - LANES, n_classes),
        rows_ahead(grad, LANES, grad_row_stride, grad_class_stride, n_rows - LANES, n_classes),
        rows_ahead(result, 0, result_row_stride, result_class_stride, n_rows, n_classes),
    )
    vjp_block(p, g, n_classes, dot, dot_low)
    store_rows(
        p, result, result_row_stride, result_class_stride, n_rows, n_classes, result != probs and result != grad)


cdef inline void vjp_many(
    const floating* probs, Py_ssize_t class_stride, const floating* grad, Py_ssize_t grad_class_stride,
    floating* result, Py_ssize_t result_class_stride, Py_ssize_t n_classes, Py_ssize_t ahead, Py_ssize_t grad_ahead,
) noexcept nogil:
    """One row of many classes; the next ones are `ahead` and `grad_ahead`."""
    cdef floating p[BLOCK]
    cdef floating g[BLOCK]
    cdef floating dot[LANES]
    cdef floating dot_low[LANES]
    cdef Py_ssize_t j, n, n_tiles
    fill_lanes(<floating>0.0, dot)
    fill_lanes(<floating>0.0, dot_low)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        n_tiles = load_run(probs + j * class_stride, class_stride, n, <floating>0.0, p)
        load_run(grad + j * grad_class_stride, grad_class_stride, n, <floating>0.0, g)
        dot_block_in_parts(
            p, g, n_tiles, dot, dot_low,
            probs + j + ahead if class_stride == 1 else NULL,
            grad + j + grad_ahead if grad_class_stride == 1 else NULL,
            result + j if result_class_stride == 1 else NULL,
        )
    sum_lanes(dot, dot_low)
    fill_lanes(dot[0], dot)
    fill_lanes(dot_low[0], dot_low)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        n_tiles = load_run(probs + j * class_stride, class_stride, n, <floating>0.0, p)
        load_run(grad + j * grad_class_stride, grad_class_stride, n, <floating>0.0, g)
        vjp_block(p, g, n_tiles, dot, dot_low)
        store_run(p, result + j * result_class_stride, result_class_stride, n)


cdef void vjp_columns(
    const floating* probs, Py_ssize_t class_stride, const floating* grad, Py_ssize_t grad_class_stride,
    floating* result, Py_ssize_t result_class_stride, Py_ssize_t n_classes,
) noexcept nogil:
    """`vjp_many` of LANES neighbouring columns, with its bits: class 16 k + q is in lane q of a column's sum."""
    cdef floating p[BLOCK]
    cdef floating g[BLOCK]
    cdef floating dot[LANES * LANES]
    cdef floating dot_low[LANES * LANES]
    cdef Py_ssize_t j, q, n
    for q in range(LANES):
        fill_lanes(<floating>0.0, dot + q * LANES)
        fill_lanes(<floating>0.0, dot_low + q * LANES)
    for j from 0 <= j < n_classes by BLOCK:
        for q in range(LANES):
            n = (min(BLOCK, n_classes - j) - q + LANES - 1) // LANES
            load_columns(probs + (j + q) * class_stride, LANES * class_stride, n, p)
            load_columns(grad + (j + q) * grad_class_stride, LANES * grad_class_stride, n, g)
            dot_block(p, g, n, dot + q * LANES, dot_low + q * LANES)
    add_columns(dot, dot_low)
    for j from 0 <= j < n_classes by TILES:
        n = min(TILES, n_classes - j)
        load_columns(probs + j * class_stride, class_stride, n, p)
        load_columns(grad + j * grad_class_stride, grad_class_stride, n, g)
        vjp_block(p, g, n, dot, dot_low)
        store_columns(p, result + j * result_class_stride, result_class_stride, n)
        fetch_columns(result + j * result_class_stride, result_class_stride, n)


cdef void vjp_rows(
    const floating* probs, Py_ssize_t row_stride, Py_ssize_t class_stride,
    const floating* grad, Py_ssize_t grad_row_stride, Py_ssize_t grad_class_stride,
    floating* result, Py_ssize_t result_row_stride, Py_ssize_t result_class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """p · (g - sum of g · p), the sum as if in twice the precision."""
    cdef Py_ssize_t i = 0
    cdef bint few = in_blocks(n_classes)
    cdef bint columns = not few and row_stride == 1 and grad_row_stride == 1 and result_row_stride == 1
    cdef Py_ssize_t step
    cdef environment saved = enter_environment()
    while i < n_rows:
        step = LANES if few or (columns and n_rows - i >= LANES) else 1
        if few:
            vjp_few(
                probs + i * row_stride, row_stride, class_stride,
                grad + i * grad_row_stride, grad_row_stride, grad_class_stride,
                result + i * result_row_stride, result_row_stride, result_class_stride, n_rows - i, n_classes,
            )
        elif step == LANES:
            vjp_columns(
                probs + i, class_stride, grad + i, grad_class_stride, result + i, result_class_stride, n_classes)
        else:
            vjp_many(
                probs + i * row_stride, class_stride, grad + i * grad_row_stride, grad_class_stride,
                result + i * result_row_stride, result_class_stride, n_classes, row_stride, grad_row_stride,
            )
        i += step
    leave_environment(saved)


cdef inline void small_jacobians(
    const floating* probs, floating* result, Py_ssize_t n_rows, Py_ssize_t n_classes, Py_ssize_t width,
) noexcept nogil:
    """Rows of up to `width` classes: reads and writes lines in all their width.

    What is too much in a line is what the next one replaces; there must be as much after the last row.
    """
    cdef floating line[LANES]
    cdef floating* target = result
    cdef floating q
    cdef Py_ssize_t i, j, lane
    for i in range(n_rows):
        memcpy(line, probs + i * n_classes, width * sizeof(floating))
        for j in range(n_classes):
            q = probs[i * n_classes + j]
            for lane in range(width):
                target[lane] = <floating>0.0 - q * line[lane]
            target[j] = q * (<floating>1.0 - q)
            target += n_classes


cdef inline void plain_jacobians(
    const floating* probs, floating* result, Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """Of any number of classes."""
    cdef floating* target = result
    cdef const floating* p
    cdef floating q
    cdef Py_ssize_t i, j, k
    for i in range(n_rows):
        p = probs + i * n_classes
        for j in range(n_classes):
            q = p[j]
            for k in range(n_classes):
                target[k] = <floating>0.0 - q * p[k]
            target[j] = q * (<floating>1.0 - q)
            target += n_classes


cdef void jacobian_rows(
    const floating* probs, floating* result, Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """probs (n_rows, n_classes), result (n_rows, n_classes, n_classes), both C-contiguous."""
    cdef environment saved = enter_environment()
    cdef Py_ssize_t width = 4 if n_classes <= 4 else (8 if n_classes <= 8 else LANES)
    # the last rows have not the room that whole lines need
    cdef Py_ssize_t n_wide = max(0, n_rows - (width - 1) // n_classes) if n_classes <= LANES else 0
    if n_classes <= 4:
        small_jacobians(probs, result, n_wide, n_classes, 4)
    elif n_classes <= 8:
        small_jacobians(probs, result, n_wide, n_classes, 8)
    elif n_classes <= LANES:
        small_jacobians(probs, result, n_wide, n_classes, LANES)
    plain_jacobians(
        probs + n_wide * n_classes, result + n_wide * n_classes * n_classes, n_rows - n_wide, n_classes)
    leave_environment(saved)


cdef inline void sigmoids(const floating* x, floating* result, Py_ssize_t n) noexcept nogil:
    """A run at a time: first all exponentials, then what becomes of them, see `reduce_part`."""
    cdef floating w[RUN]
    cdef floating power[RUN]
    cdef Py_ssize_t i, k, m
    for i from 0 <= i < n by RUN:
        m = min(RUN, n - i)
        for k in range(m):
            w[k] = sigmoid_exp(x[i + k], &power[k])
        if x == result:
            # in place: said so, or it would be taken for an overlap
            for k in range(m):
                result[i + k] = sigmoid_from(result[i + k], w[k], power[k])
        else:
            for k in range(m):
                result[i + k] = sigmoid_from(x[i + k], w[k], power[k])


cdef inline void log_sigmoids(const floating* x, floating* result, Py_ssize_t n) noexcept nogil:
    """The same: first all exponentials, then their logarithms."""
    cdef floating run[RUN]
    cdef floating e[RUN]
    cdef floating e_low[RUN]
    cdef Py_ssize_t i, k, m, n_tiles
    for i from 0 <= i < n by RUN:
        m = min(RUN, n - i)
        n_tiles = load_run(x + i, 1, m, <floating>0.0, run)
        for k in range(n_tiles * LANES):
            e[k] = exp_of_negative(run[k], &e_low[k])
        for k in range(n_tiles * LANES):
            run[k] = log_sigmoid_from(run[k], e[k], e_low[k])
        store_run(run, result + i, 1, m)


cdef void map_elements(ElementMap kind, const floating* x, floating* result, Py_ssize_t n) noexcept nogil:
    cdef environment saved = enter_environment()
    if kind == SIGMOID:
        sigmoids(x, result, n)
    else:
        log_sigmoids(x, result, n)
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


cdef void run_vjp(bint single, const Layout* p, const Layout* g, const Layout* target) noexcept nogil:
    cdef Py_ssize_t slab
    for slab in range(target.n_slabs):
        if single:
            vjp_rows[float](
                <const float*> p.data + slab * p.slab_stride, p.row_stride, p.class_stride,
                <const float*> g.data + slab * g.slab_stride, g.row_stride, g.class_stride,
                <float*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                target.n_rows, target.n_classes,
            )
        else:
            vjp_rows[double](
                <const double*> p.data + slab * p.slab_stride, p.row_stride, p.class_stride,
                <const double*> g.data + slab * g.slab_stride, g.row_stride, g.class_stride,
                <double*> target.data + slab * target.slab_stride, target.row_stride, target.class_stride,
                target.n_rows, target.n_classes,
            )


cdef object plain_rows(RowMap kind, cnp.ndarray x, object out):
    """The fast path: a plain array along its last axis into a plain target or a new array."""
    cdef Layout source = layout_of_rows(x)
    cdef Layout target = source
    cdef cnp.ndarray result
    cdef bint single = is_float32(x)
    if kind == LOGSUMEXP:
        result = new_array(cnp.PyArray_NDIM(x) - 1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
        target.row_stride = 1
    else:
        result = empty_like(x) if out is None else out
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
    if is_plain(x) and cnp.PyArray_NDIM(x) > 0 and (out is None or is_plain_target(out, x)):
        source = x
        result = empty_like(source) if out is None else out
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


cdef bint is_plain_jacobian(object out, cnp.ndarray p) noexcept:
    """What the Jacobian of p, which is plain, may be written to."""
    cdef int k
    cdef int last = cnp.PyArray_NDIM(p) - 1
    if not is_plain(out) or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> out):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> out) != cnp.PyArray_TYPE(p) or cnp.PyArray_NDIM(<cnp.ndarray> out) != last + 2:
        return False
    for k in range(last + 1):
        if cnp.PyArray_DIM(<cnp.ndarray> out, k) != cnp.PyArray_DIM(p, k):
            return False
    return cnp.PyArray_DIM(<cnp.ndarray> out, last + 1) == cnp.PyArray_DIM(p, last) and are_apart(<cnp.ndarray> out, p)


# --- public functions --------------------------------------------------------------------------------------------

def softmax(logits, axis=-1, *, out=None):
    """Probabilities of the classes: exp(z_j) / Σ_k exp(z_k).

        p_j = exp(z_j) / Σ_k exp(z_k)

    Parameters
    ----------
    logits : array-like, real, at least one-dimensional
        One logit for each class along `axis`.
    axis : int, default -1
        The axis of the classes.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `logits`
        float16, float32 and float64 keep their dtype; integers and booleans give float64.

    Raises
    ------
    TypeError
        If `logits` are complex, objects or text, `axis` is no integer, or `out` is no array.
    ValueError
        If `axis` is out of range or has no class, or `out` has another shape or dtype or is read-only. Nothing is
        written then.

    Notes
    -----
    NaN makes its row NaN. One +inf has probability 1; a row with +inf twice, or of nothing but -inf, is NaN. A -inf
    beside finite logits has probability 0.

    Within 2 ULP for logits of any size; largest seen: 1.8, next to the smallest normal number 1.97; see
    ``docs/accuracy.md``. A row's result has the same bits wherever the row stands.
    Rows of up to 128 classes are read and written once, of up to 2048 read twice; longer rows, and columns of many
    classes, are written, read and written once more.

    References
    ----------
    Blanchard, Higham and Higham (2021), Accurately computing the log-sum-exp and softmax functions,
    IMA J. Numer. Anal. 41.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.softmax(np.array([[0.0, 1.0, -np.inf]])).round(4)
    array([[0.2689, 0.7311, 0.    ]])
    """
    if is_plain_rows(logits) and is_last_axis(axis, logits) and (out is None or is_plain_target(out, logits)):
        return plain_rows(SOFTMAX, logits, out)
    return rows_of_any(SOFTMAX, logits, axis, out, True)


def log_softmax(logits, axis=-1, *, out=None):
    """Logarithms of the probabilities of the classes: z_j − log Σ_k exp(z_k).

        log p_j = z_j − log Σ_k exp(z_k)

    Parameters
    ----------
    logits : array-like, real, at least one-dimensional
        One logit for each class along `axis`.
    axis : int, default -1
        The axis of the classes.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `logits`
        float16, float32 and float64 keep their dtype; integers and booleans give float64.

    Raises
    ------
    TypeError
        If `logits` are complex, objects or text, `axis` is no integer, or `out` is no array.
    ValueError
        If `axis` is out of range or has no class, or `out` has another shape or dtype or is read-only. Nothing is
        written then.

    Notes
    -----
    NaN makes its row NaN. One +inf has 0; a row with +inf twice, or of nothing but -inf, is NaN. A -inf
    beside finite logits has -inf.

    Within 2 ULP wherever the result is a normal number (largest seen: 1.8), also where a probability is nearly 1: the
    sum leaves the largest term out and goes through log1p, as Blanchard, Higham and Higham advise.

    References
    ----------
    Blanchard, Higham and Higham (2021), Accurately computing the log-sum-exp and softmax functions,
    IMA J. Numer. Anal. 41.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.log_softmax(np.array([0.0, 40.0], np.float32))
    array([-4.000000e+01, -4.248354e-18], dtype=float32)
    """
    if is_plain_rows(logits) and is_last_axis(axis, logits) and (out is None or is_plain_target(out, logits)):
        return plain_rows(LOG_SOFTMAX, logits, out)
    return rows_of_any(LOG_SOFTMAX, logits, axis, out, True)


def logsumexp(logits, axis=-1, *, keepdims=False):
    """The logarithm of the sum of exponentials along an axis: log Σ_k exp(z_k).

        L = log Σ_k exp(z_k)

    Parameters
    ----------
    logits : array-like, real, at least one-dimensional
        One logit for each class along `axis`.
    axis : int, default -1
        The axis of the classes.
    keepdims : bool, default False
        Whether the axis stays, with length 1.

    Returns
    -------
    ndarray without `axis`, or a scalar if nothing is left
        float16, float32 and float64 keep their dtype; integers and booleans give float64.

    Raises
    ------
    TypeError
        If `logits` are complex, objects or text, or `axis` is no integer.
    ValueError
        If `axis` is out of range or has no class.

    Notes
    -----
    +inf gives +inf, a row of nothing but -inf gives -inf, NaN gives NaN.

    Within 2 ULP (largest seen: 1.6), also where a negative maximum and the logarithm of the sum cancel: there, in four
    to seven times the time, the sum is made again with more digits. What is left of such a cancellation is right to
    2**-73 in float64, which is 2 ULP of results down to 1e-7.

    References
    ----------
    Blanchard, Higham and Higham (2021), Accurately computing the log-sum-exp and softmax functions,
    IMA J. Numer. Anal. 41.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.logsumexp([1000.0, 1000.0]).round(4)
    np.float64(1000.6931)
    """
    # a single row gives a scalar
    if not keepdims and is_plain_rows(logits) and is_last_axis(axis, logits) and cnp.PyArray_NDIM(logits) > 1:
        return plain_rows(LOGSUMEXP, logits, None)
    return rows_of_any(LOGSUMEXP, logits, axis, None, keepdims)


def softmax_jacobian(probs, *, out=None):
    """The Jacobian of softmax from its probabilities: diag(p) − p pᵀ.

        J_ij = ∂p_i/∂z_j = p_i (δ_ij − p_j)

    Parameters
    ----------
    probs : array-like, real, of shape (…, C)
        Probabilities, as `softmax` gives them.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result.

    Returns
    -------
    ndarray of shape (…, C, C)

    Raises
    ------
    TypeError
        If `probs` are complex, objects or text, or `out` is no array.
    ValueError
        If `probs` have no axis or no class, or `out` has another shape or dtype or is read-only.

    Notes
    -----
    Within 2 ULP of the exact Jacobian of the probabilities given. What is wanted is mostly its product with a vector:
    `softmax_vjp` has that without the Jacobian.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.softmax_jacobian([0.25, 0.75])
    array([[ 0.1875, -0.1875],
           [-0.1875,  0.1875]])
    """
    cdef cnp.ndarray p, result
    cdef cnp.npy_intp dimensions[LARGEST_NDIM + 1]
    cdef Py_ssize_t n_rows, n_classes
    cdef bint single
    cdef int k
    if is_plain_rows(probs) and cnp.PyArray_NDIM(probs) <= LARGEST_NDIM and (
        out is None or is_plain_jacobian(out, probs)
    ):
        p = probs
        n_classes = cnp.PyArray_DIM(p, cnp.PyArray_NDIM(p) - 1)
        for k in range(cnp.PyArray_NDIM(p)):
            dimensions[k] = cnp.PyArray_DIM(p, k)
        dimensions[cnp.PyArray_NDIM(p)] = n_classes
        result = new_array(cnp.PyArray_NDIM(p) + 1, dimensions, cnp.PyArray_TYPE(p)) if out is None else out
        dtype = None
    else:
        p, dtype = as_floating(probs, "probs")
        as_axis(-1, p, "probs")
        n_classes = cnp.PyArray_DIM(p, cnp.PyArray_NDIM(p) - 1)
        result = workspace(out, (<object> p).shape + (n_classes,), dtype, (<object> p).dtype, p, contiguous=True)
        p = np.ascontiguousarray(p)
    n_rows = cnp.PyArray_SIZE(p) // n_classes
    single = is_float32(p)
    state = allow_threads(cnp.PyArray_SIZE(result))
    if single:
        jacobian_rows(<const float*> cnp.PyArray_DATA(p), <float*> cnp.PyArray_DATA(result), n_rows, n_classes)
    else:
        jacobian_rows(<const double*> cnp.PyArray_DATA(p), <double*> cnp.PyArray_DATA(result), n_rows, n_classes)
    end_allow_threads(state)
    return result if dtype is None else delivered(result, out, dtype)


def softmax_vjp(probs, grad, axis=-1, *, out=None):
    """The product of a gradient with the Jacobian of softmax, without the Jacobian: p ⊙ (g − Σ g p).

        v_j = p_j (g_j − Σ_k g_k p_k)

    Parameters
    ----------
    probs : array-like, real
        Probabilities, as `softmax` gives them.
    grad : array-like, real, of the shape of `probs`
        The gradient with respect to the probabilities.
    axis : int, default -1
        The axis of the classes.
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `probs`
        In the wider of the two dtypes.

    Raises
    ------
    TypeError
        If an argument is complex, objects or text, `axis` is no integer, or `out` is no array.
    ValueError
        If the shapes differ, `axis` is out of range or has no class, or `out` has another shape or dtype or is
        read-only.

    Notes
    -----
    The sum is carried in twice the precision (Ogita, Rump and Oishi 2005), so that what a cancellation leaves is right.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.softmax_vjp([0.25, 0.75], [1.0, 0.0])
    array([ 0.1875, -0.1875])
    """
    cdef Layout p_layout, g_layout, target
    cdef cnp.ndarray p, g, result
    cdef int along
    cdef bint single
    if (
        is_plain_rows(probs) and is_plain(grad) and same_shape_and_type(probs, grad) and is_last_axis(axis, probs)
        and (out is None or (is_plain_target(out, probs) and is_plain_target(out, grad)))
    ):
        result = empty_like(probs) if out is None else out
        p_layout = layout_of_rows(probs)
        g_layout = layout_of_rows(grad)
        target = layout_of_rows(result)
        state = allow_threads(cnp.PyArray_SIZE(result))
        run_vjp(is_float32(result), &p_layout, &g_layout, &target)
        end_allow_threads(state)
        return result
    p, g, compute, dtype = as_pair(probs, "probs", grad, "grad")
    along = as_axis(axis, p, "probs")
    shape = (<object> p).shape
    result = workspace(out, shape, dtype, compute, p, g, contiguous=False)
    if cnp.PyArray_SIZE(p):
        # one way through all three: C order where any of them cannot be seen as rows in place
        if not (
            layout_of(p, along, &p_layout) and layout_of(g, along, &g_layout) and layout_of(result, along, &target)
        ):
            p = np.ascontiguousarray(p)
            g = np.ascontiguousarray(g)
            result = np.empty(shape, compute)
            layout_of(p, along, &p_layout)
            layout_of(g, along, &g_layout)
            layout_of(result, along, &target)
        single = is_float32(p)
        with nogil:
            run_vjp(single, &p_layout, &g_layout, &target)
    return delivered(result, out, dtype)


def sigmoid(x, *, out=None):
    """The logistic function: 1 / (1 + exp(−x)).

        σ(x) = 1 / (1 + exp(−x))

    Parameters
    ----------
    x : array-like, real, of any shape
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `x`, or a scalar
        float16, float32 and float64 keep their dtype; integers and booleans give float64.

    Raises
    ------
    TypeError
        If `x` is complex, objects or text, or `out` is no array.
    ValueError
        If `out` has another shape or dtype or is read-only.

    Notes
    -----
    Within 2 ULP (largest of all float32 numbers: 1.97), and the left tail keeps its subnormal numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.sigmoid([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    return elements(SIGMOID, x, out)


def log_sigmoid(x, *, out=None):
    """The logarithm of the logistic function: −log(1 + exp(−x)).

        log σ(x) = min(x, 0) − log(1 + exp(−|x|))

    Parameters
    ----------
    x : array-like, real, of any shape
    out : ndarray, optional, of the result's shape and dtype, writeable
        Where to write the result; it may be the input itself.

    Returns
    -------
    ndarray of the shape of `x`, or a scalar
        float16, float32 and float64 keep their dtype; integers and booleans give float64.

    Raises
    ------
    TypeError
        If `x` is complex, objects or text, or `out` is no array.
    ValueError
        If `out` has another shape or dtype or is read-only.

    Notes
    -----
    Within 2 ULP (largest seen: 1.3). Nothing overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import steelfast
    >>> steelfast.log_sigmoid([-1000.0, 0.0, 40.0])
    array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
    """
    return elements(LOG_SIGMOID, x, out)
