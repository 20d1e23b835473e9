"""Row primitives: how a row of logits becomes its maximum, its exponentials and their sum. Each formula once.

The contract: the kernels work on blocks, local arrays of up to TILES tiles of LANES numbers. Each lane has an
arithmetic of its own: the loops run over the lanes outside and over the tiles inside, which a compiler turns into
one vector register for each running value, whatever the instruction set.

- Up to TILES classes: LANES rows are transposed into a block; tile j is class j of LANES rows, a lane is a row.
- More classes: one row at a time; a tile is LANES neighbouring classes, and the lanes are summed at the end.

Which of the two it is depends on the number of classes alone, and a short tile is padded rather than handled
by other code: the result of a row has the same bits wherever the row stands, whatever stands beside it and
however it is strided.

A row is described by its maximum, by `ties`, how many of its entries equal the maximum, and by the pair
`others`, `others_low`: the sum of exp(x - maximum) · 2**EXP_SCALE over the entries below the maximum. Without
the largest terms this sum keeps its relative accuracy where one class has nearly all the probability.

Pointers that a function takes must not overlap; all functions are inlined into callers whose arrays are local,
so that the compiler knows it.
"""
from cython cimport floating
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy, memset

from steelfast._elementary cimport (
    exp_scale,
    exp_scaled,
    exp_unscale,
    log1p,
    reciprocal,
    times_pair,
    two_sum,
)

cdef enum:
    LANES = 16
    TILES = 64
    BLOCK = 1024          # LANES * TILES


# --- moving ------------------------------------------------------------------------------------------------------

cdef inline void fill_lanes(floating value, floating* lanes) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(LANES):
        lanes[lane] = value


cdef inline void load_rows(
    const floating* source, Py_ssize_t row_stride, Py_ssize_t class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes, floating* block,
) noexcept nogil:
    """Up to LANES rows of up to TILES classes, transposed: block[j · LANES + i] is class j of row i."""
    cdef Py_ssize_t i, j
    if n_rows < LANES:
        memset(block, 0, n_classes * LANES * sizeof(floating))
    if row_stride == 1 and n_rows == LANES:
        for j in range(n_classes):
            memcpy(block + j * LANES, source + j * class_stride, LANES * sizeof(floating))
    elif n_rows == LANES:
        for j in range(n_classes):
            for i in range(LANES):
                block[j * LANES + i] = source[i * row_stride + j * class_stride]
    else:
        for i in range(n_rows):
            for j in range(n_classes):
                block[j * LANES + i] = source[i * row_stride + j * class_stride]


cdef inline void store_rows(
    const floating* block, floating* target, Py_ssize_t row_stride, Py_ssize_t class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    cdef Py_ssize_t i, j
    if row_stride == 1 and n_rows == LANES:
        for j in range(n_classes):
            memcpy(target + j * class_stride, block + j * LANES, LANES * sizeof(floating))
    else:
        for i in range(n_rows):
            for j in range(n_classes):
                target[i * row_stride + j * class_stride] = block[j * LANES + i]


cdef inline Py_ssize_t load_run(
    const floating* source, Py_ssize_t stride, Py_ssize_t n, floating padding, floating* block,
) noexcept nogil:
    """Up to BLOCK neighbouring entries as tiles, the last one padded; returns the number of tiles."""
    cdef Py_ssize_t k
    if stride == 1:
        memcpy(block, source, n * sizeof(floating))
    else:
        for k in range(n):
            block[k] = source[k * stride]
    k = n
    while k % LANES:
        block[k] = padding
        k += 1
    return k // LANES


cdef inline void store_run(const floating* block, floating* target, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    if stride == 1:
        memcpy(target, block, n * sizeof(floating))
    else:
        for k in range(n):
            target[k * stride] = block[k]


# --- one number ----------------------------------------------------------------------------------------------------

cdef inline floating difference(floating x, floating maximum, floating* low) noexcept nogil:
    """x - maximum as a pair; 0 where they are equal, infinite ones too. low is NaN where the result is -inf."""
    cdef floating result = x - maximum
    cdef floating part = x - result
    cdef floating rest = (x - (result + part)) + (part - maximum)
    low[0] = <floating>0.0 if x == maximum else rest
    return <floating>0.0 if x == maximum else result


cdef inline bint undefined(floating maximum, floating ties) noexcept nogil:
    """A row of nothing but -inf, or one with +inf twice, has no softmax."""
    return (maximum == -<floating>INFINITY) | ((maximum == <floating>INFINITY) & (ties > <floating>1.0))


cdef inline floating inverse_sum(
    floating maximum, floating others, floating others_low, floating ties, floating* low,
) noexcept nogil:
    """1 / (sum of the row's exponentials, 2**EXP_SCALE included), as a pair."""
    cdef floating total, total_low, inverse
    total = two_sum(ties * exp_scale(maximum), others, &total_low)
    inverse = reciprocal(total, total_low + others_low, low)
    return <floating>NAN if undefined(maximum, ties) else inverse


cdef inline floating log_sum(
    floating maximum, floating others, floating others_low, floating ties,
) noexcept nogil:
    """log of the sum of exp(x - maximum) over the row."""
    cdef floating x, x_low
    x = two_sum(ties - <floating>1.0, others * exp_unscale(maximum), &x_low)
    x = log1p(x, x_low + others_low * exp_unscale(maximum))
    return <floating>NAN if undefined(maximum, ties) else x


# --- blocks ----------------------------------------------------------------------------------------------------------

cdef inline void maximum_block(const floating* block, Py_ssize_t n_tiles, floating* maximum) noexcept nogil:
    """The largest of each lane and of what `maximum` holds. NaN is passed over: it shows in the sum."""
    cdef Py_ssize_t lane, j
    cdef floating largest, x
    if n_tiles < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        for j in range(n_tiles):
            x = block[j * LANES + lane]
            largest = x if x > largest else largest
        maximum[lane] = largest


cdef inline void exp_block(
    floating* block, Py_ssize_t n_tiles, const floating* maximum,
    floating* others, floating* others_low, floating* ties,
) noexcept nogil:
    """block = exp(block - maximum) · 2**EXP_SCALE; its sums are added to those that `others` … hold."""
    cdef Py_ssize_t lane, j
    cdef floating x, largest, d, d_low, e, e_low, total, total_low, count, low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        total = others[lane]
        total_low = others_low[lane]
        count = ties[lane]
        for j in range(n_tiles):
            x = block[j * LANES + lane]
            d = difference(x, largest, &d_low)
            e = exp_scaled(d, d_low, &e_low)
            block[j * LANES + lane] = e
            count = count + (<floating>1.0 if x == largest else <floating>0.0)
            total = two_sum(total, <floating>0.0 if x == largest else e, &low)
            total_low = total_low + (low + e_low)
        others[lane] = total
        others_low[lane] = total_low
        ties[lane] = count


cdef inline void scale_block(
    floating* block, Py_ssize_t n_tiles, const floating* factor, const floating* factor_low,
) noexcept nogil:
    """block · (factor + factor_low), each entry rounded once."""
    cdef Py_ssize_t lane, j
    cdef floating f, f_low
    if n_tiles < 1:
        return
    for lane in range(LANES):
        f = factor[lane]
        f_low = factor_low[lane]
        for j in range(n_tiles):
            block[j * LANES + lane] = times_pair(block[j * LANES + lane], f, f_low)


# --- one row with many classes -----------------------------------------------------------------------------------

cdef inline floating maximum_row(const floating* row, Py_ssize_t stride, Py_ssize_t n_classes) noexcept nogil:
    cdef floating block[BLOCK]
    cdef floating maximum[LANES]
    cdef floating largest
    cdef Py_ssize_t j, lane
    fill_lanes(-<floating>INFINITY, maximum)
    if stride == 1:
        # in place, but for the short tile
        maximum_block(row, n_classes // LANES, maximum)
        j = n_classes - n_classes % LANES
        maximum_block(block, load_run(row + j, 1, n_classes - j, -<floating>INFINITY, block), maximum)
    else:
        for j from 0 <= j < n_classes by BLOCK:
            maximum_block(
                block,
                load_run(row + j * stride, stride, min(BLOCK, n_classes - j), -<floating>INFINITY, block),
                maximum,
            )
    largest = maximum[0]
    for lane in range(1, LANES):
        largest = maximum[lane] if maximum[lane] > largest else largest
    return largest


cdef inline void sum_lanes(floating* sums, floating* sums_low) noexcept nogil:
    """The sum of all lanes into lane 0, as a pair."""
    cdef Py_ssize_t lane
    cdef Py_ssize_t width = LANES // 2
    cdef floating low
    while width > 0:
        for lane in range(width):
            sums[lane] = two_sum(sums[lane], sums[lane + width], &low)
            sums_low[lane] += sums_low[lane + width] + low
        width //= 2


cdef inline void exp_row(
    const floating* row, Py_ssize_t stride, Py_ssize_t n_classes, floating maximum,
    floating* exps, Py_ssize_t exps_stride, floating* others, floating* others_low, floating* ties,
) noexcept nogil:
    """The exponentials of a row and their sums, which end in others[0], others_low[0] and ties[0].

    exps may be NULL where only the sums are wanted, and may be the row itself.
    """
    cdef floating block[BLOCK]
    cdef floating maxima[LANES]
    cdef Py_ssize_t j, lane, n
    fill_lanes(maximum, maxima)
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        exp_block(
            block, load_run(row + j * stride, stride, n, -<floating>INFINITY, block),
            maxima, others, others_low, ties,
        )
        if exps != NULL:
            store_run(block, exps + j * exps_stride, exps_stride, n)
    sum_lanes(others, others_low)
    for lane in range(1, LANES):
        ties[0] += ties[lane]


cdef inline void scale_row(
    floating* row, Py_ssize_t stride, Py_ssize_t n_classes, floating factor, floating factor_low,
) noexcept nogil:
    cdef floating block[BLOCK]
    cdef floating factors[LANES]
    cdef floating factors_low[LANES]
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t n
    fill_lanes(factor, factors)
    fill_lanes(factor_low, factors_low)
    if stride == 1:
        # in place, but for the short tile
        scale_block(row, n_classes // LANES, factors, factors_low)
        j = n_classes - n_classes % LANES
    while j < n_classes:
        n = min(BLOCK, n_classes - j)
        scale_block(block, load_run(row + j * stride, stride, n, <floating>0.0, block), factors, factors_low)
        store_run(block, row + j * stride, stride, n)
        j += n
