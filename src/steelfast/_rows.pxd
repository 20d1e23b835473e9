"""Row primitives: how a row of logits becomes its maximum, its exponentials and their sum. Each formula once.

The contract: the kernels work on blocks, local arrays of up to TILES tiles of LANES numbers. Each lane has an
arithmetic of its own: the loops run over the lanes outside and over the tiles inside, which a compiler turns into
one vector register for each running value, whatever the instruction set. (Where nothing runs on from tile to tile, the
tiles are outside, and the compiler takes some registers at once.)

- Few classes (`in_blocks`): LANES rows are transposed into a block; tile j is class j of LANES rows, a lane is a row.
- More classes: one row at a time; a tile is LANES neighbouring classes, and the lanes are summed at the end.

Which of the two it is depends on the number of classes alone, and a short tile is padded rather than handled by other
code: the result of a row has the same bits wherever the row stands, whatever stands beside it, however it is strided.

No logit has the maximum subtracted from it: exp(x) = 2**k · exp(r) is reduced first, and the power of the maximum
taken off k, a whole number. So nothing is rounded. Only a row whose maximum is far from 0 is shifted by it, and then
the differences that count are exact.

Sums are pairs `sum, sum_low`, to about twice the precision. `total` is that of all exponentials of a row. For a
logarithm the largest term is left out: `others` is the sum of the rest, which keeps its relative accuracy where one
class has nearly all the probability. It is summed in the scale of the second largest logit, or with a loss, which wants
the exponentials in one scale, without any of the `ties` entries that equal the maximum.

Pointers that a function takes must not overlap, unless they are equal; all functions are inlined into callers whose
arrays are local, so that the compiler knows it.
"""
from cython cimport floating
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy, memset

from steelfast._elementary cimport (
    HAS_FMA,
    REGISTER,
    exp_base,
    exp_base_in,
    exp_far,
    exp_pair,
    exp_parts_loose,
    exp_parts_tight,
    exp_reach,
    exp_scale,
    exp_twice,
    exp_unscale,
    fast_two_sum,
    lift_of,
    log_of_ratio,
    log_of_reduced_ratio,
    multiply_add,
    pair_times_pair,
    power_d,
    power_f,
    reduced_ratio,
    times_pair,
    two_sum,
)

cdef extern from "_exp.h" nogil:
    bint HAS_TABLE "STEELFAST_TABLE"
    int STEPS_F "STEELFAST_STEPS_F"
    int STEPS_D "STEELFAST_STEPS_D"
    void reduce_f "steelfast_reduce_f"(const float*, Py_ssize_t, const float*, const float*, bint, float*, float*)
    void reduce_d "steelfast_reduce_d"(const double*, Py_ssize_t, const double*, const double*, bint, double*, double*)

cdef extern from "_transpose.h" nogil:
    enum:
        REACH "STEELFAST_REACH"
    void rows_to_tiles_f "steelfast_rows_to_tiles_f"(const float*, Py_ssize_t, Py_ssize_t, float*)
    void rows_to_tiles_d "steelfast_rows_to_tiles_d"(const double*, Py_ssize_t, Py_ssize_t, double*)
    void tiles_to_rows_f "steelfast_tiles_to_rows_f"(const float*, Py_ssize_t, Py_ssize_t, float*)
    void tiles_to_rows_d "steelfast_tiles_to_rows_d"(const double*, Py_ssize_t, Py_ssize_t, double*)
    void put_f "steelfast_put_f"(float*, float)
    void put_d "steelfast_put_d"(double*, double)
    void fetch "steelfast_fetch"(const void*, Py_ssize_t, bint)

cdef enum:
    LANES = 16
    TILES = 128
    BLOCK = 2048          # LANES * TILES
    FETCHED = 1536        # bytes of a block of rows from which on it is fetched ahead
    NEAR = 7168           # bytes up to which what is fetched ahead goes to the first cache, see `is_far`; measured
    FAR = 262144          # bytes up to which it goes to the second; of more, to the first again
    LEAD = 4096           # bytes that `exp_row` fetches the place of a long row's exponentials ahead of them; measured
    FEW = 6               # rows from which on a block that is not full is turned in squares too
    PART = 8              # the most tiles that a loop works on before the next one does, and more is fetched
    RUN = 256             # the most entries that a pass copies at a time, but for `exp_row` and its like; divides BLOCK


cdef inline bint in_blocks(Py_ssize_t n_classes) noexcept nogil:
    """Whether rows of so many classes are worked on LANES at a time."""
    return n_classes <= TILES


# --- moving ------------------------------------------------------------------------------------------------------

cdef inline void fill_lanes(floating value, floating* lanes) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(LANES):
        lanes[lane] = value


cdef inline void put(floating* entry, floating x) noexcept nogil:
    """entry[0] = x by itself: many such stores in one instruction are slower than one after the other."""
    if floating is float:
        put_f(entry, x)
    else:
        put_d(entry, x)


cdef inline bint roomy(
    Py_ssize_t row_stride, Py_ssize_t class_stride, Py_ssize_t n_classes, Py_ssize_t n_after,
) noexcept nogil:
    """Whether a C-ordered block of LANES rows may be turned in squares: n_after rows come after it in memory."""
    return class_stride == 1 and row_stride == n_classes and n_after * n_classes >= REACH


cdef inline void load_columns(
    const floating* source, Py_ssize_t class_stride, Py_ssize_t n, floating* block,
) noexcept nogil:
    """n classes of LANES neighbouring columns as tiles."""
    cdef Py_ssize_t j
    for j in range(n):
        memcpy(block + j * LANES, source + j * class_stride, LANES * sizeof(floating))


cdef inline void store_columns(
    const floating* block, floating* target, Py_ssize_t class_stride, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        memcpy(target + j * class_stride, block + j * LANES, LANES * sizeof(floating))


cdef inline void fetch_columns(const floating* columns, Py_ssize_t class_stride, Py_ssize_t n) noexcept nogil:
    """Have the memory fetch the LANES columns after these: they are more streams than it follows by itself."""
    cdef Py_ssize_t j
    for j in range(n):
        fetch(columns + j * class_stride + LANES, LANES * sizeof(floating), False)


cdef inline Py_ssize_t rows_in_place(Py_ssize_t n_rows, Py_ssize_t n_classes, Py_ssize_t group) noexcept nogil:
    """How many of n_rows C-ordered rows, up to LANES and a multiple of `group`, may be turned in squares where they
    are: what squares touch beyond them belongs to the rows that are left."""
    cdef Py_ssize_t n_left = 1 if n_classes >= REACH else REACH
    return max(min(n_rows - n_left, LANES), 0) // group * group


cdef inline void load_rows(
    const floating* source, Py_ssize_t row_stride, Py_ssize_t class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes, floating* block,
) noexcept nogil:
    """The first LANES of n_rows rows, transposed: block[j · LANES + i] is class j of row i. Missing rows are zero."""
    cdef floating copy[BLOCK + REACH]
    cdef Py_ssize_t group = REGISTER // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t n = min(LANES, n_rows)
    cdef Py_ssize_t n_lanes = (n + group - 1) // group * group
    cdef Py_ssize_t n_direct, n_copied, i, j
    if row_stride == 1 and n_rows >= LANES:
        load_columns(source, class_stride, n_classes, block)
        fetch_columns(source, class_stride, n_classes)
    elif roomy(row_stride, class_stride, n_classes, n_rows - LANES):
        if floating is float:
            rows_to_tiles_f(source, n_classes, LANES, block)
        else:
            rows_to_tiles_d(source, n_classes, LANES, block)
    elif FEW <= n_rows and class_stride == 1 and row_stride == n_classes:
        if n_lanes < LANES:
            memset(block, 0, n_classes * LANES * sizeof(floating))
        n_direct = rows_in_place(n_rows, n_classes, group)
        n_copied = (n - n_direct) * n_classes
        # a register that is read from what single stores have just written waits until they are through
        memcpy(copy, source + n_direct * n_classes, n_copied * sizeof(floating))
        memset(copy + n_copied, 0, ((n_lanes - n_direct) * n_classes + REACH - n_copied) * sizeof(floating))
        if floating is float:
            rows_to_tiles_f(source, n_classes, n_direct, block)
            rows_to_tiles_f(copy, n_classes, n_lanes - n_direct, block + n_direct)
        else:
            rows_to_tiles_d(source, n_classes, n_direct, block)
            rows_to_tiles_d(copy, n_classes, n_lanes - n_direct, block + n_direct)
    else:
        if n < LANES:
            memset(block, 0, n_classes * LANES * sizeof(floating))
        for i in range(n):
            for j in range(n_classes):
                block[j * LANES + i] = source[i * row_stride + j * class_stride]


cdef inline void store_rows(
    const floating* block, floating* target, Py_ssize_t row_stride, Py_ssize_t class_stride,
    Py_ssize_t n_rows, Py_ssize_t n_classes, bint rows_after_are_unread,
) noexcept nogil:
    """The first LANES of n_rows rows from their tiles. Where the rows after them in memory are neither an input
    that is still to be read nor a result that is already written, they may be touched."""
    cdef floating copy[BLOCK + REACH]
    cdef Py_ssize_t n = min(LANES, n_rows)
    cdef Py_ssize_t n_direct, i, j
    if row_stride == 1 and n_rows >= LANES:
        store_columns(block, target, class_stride, n_classes)
        fetch_columns(target, class_stride, n_classes)
    elif rows_after_are_unread and roomy(row_stride, class_stride, n_classes, n_rows - LANES):
        if floating is float:
            tiles_to_rows_f(block, n_classes, LANES, target)
        else:
            tiles_to_rows_d(block, n_classes, LANES, target)
    # of a single class a tile is all that there is; in squares those after it would be read
    elif n_classes > 1 and FEW <= n_rows <= LANES and class_stride == 1 and row_stride == n_classes:
        n_direct = rows_in_place(n_rows, n_classes, 4)
        if floating is float:
            tiles_to_rows_f(block, n_classes, n_direct, target)
            tiles_to_rows_f(block + n_direct, n_classes, (n - n_direct + 3) // 4 * 4, copy)
        else:
            tiles_to_rows_d(block, n_classes, n_direct, target)
            tiles_to_rows_d(block + n_direct, n_classes, (n - n_direct + 3) // 4 * 4, copy)
        memcpy(target + n_direct * n_classes, copy, (n - n_direct) * n_classes * sizeof(floating))
    else:
        for i in range(n):
            for j in range(n_classes):
                target[i * row_stride + j * class_stride] = block[j * LANES + i]


cdef inline const floating* rows_ahead(
    const floating* rows, Py_ssize_t first, Py_ssize_t row_stride, Py_ssize_t class_stride, Py_ssize_t n_rows,
    Py_ssize_t n_classes,
) noexcept nogil:
    """The next LANES of n_rows rows, from row `first` on, if the memory is to fetch them while exp computes.

    It would not by itself. NULL where it need not, or where there are no rows.
    """
    cdef Py_ssize_t n_bytes = LANES * n_classes * <Py_ssize_t> sizeof(floating)
    cdef bint ahead = (
        (rows != NULL) & (n_rows >= LANES) & (n_bytes >= FETCHED) & (class_stride == 1) & (row_stride == n_classes))
    return rows + first * row_stride if ahead else NULL


cdef inline bint is_far(Py_ssize_t n, Py_ssize_t share, floating example) noexcept nogil:
    """Whether the first cache has no room for what is fetched while n entries are worked on: it would drive out what is
    there, and be driven out before it is wanted. The second one keeps it. A row that is too long for that as well is no
    worse off with the first (measured).

    `share` is 1 where one array comes and one goes, 3 where there is one more (measured); `example` gives the type.
    """
    return NEAR < n * share * <Py_ssize_t> sizeof(floating) <= FAR


cdef inline void fetch_part(const floating* rows, Py_ssize_t first, Py_ssize_t n_tiles, bint far) noexcept nogil:
    """What is wanted of LANES rows or of one, or NULL: as much, and as far from the start, as these tiles are."""
    if rows != NULL:
        fetch(rows + first * LANES, n_tiles * LANES * sizeof(floating), far)


cdef inline void load_tail(const floating* source, Py_ssize_t n, floating padding, floating* tile) noexcept nogil:
    """Fewer than LANES entries as a tile: by a masked load, where there is one, for a register that is read from what
    single stores have just written waits until they are through."""
    cdef Py_ssize_t lane
    cdef floating x
    for lane in range(LANES):
        x = padding
        if lane < n:
            x = source[lane]
        tile[lane] = x


cdef inline Py_ssize_t load_run(
    const floating* source, Py_ssize_t stride, Py_ssize_t n, floating padding, floating* block,
) noexcept nogil:
    """Up to BLOCK neighbouring entries as tiles, the last one padded; returns the number of tiles."""
    cdef Py_ssize_t n_whole = n // LANES * LANES
    cdef Py_ssize_t k
    if stride == 1:
        memcpy(block, source, n_whole * sizeof(floating))
        if n_whole < n:
            load_tail(source + n_whole, n - n_whole, padding, block + n_whole)
    else:
        for k in range(n):
            block[k] = source[k * stride]
        for k in range(n, (n + LANES - 1) // LANES * LANES):
            block[k] = padding
    return (n + LANES - 1) // LANES


cdef inline void store_run(const floating* block, floating* target, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    if stride == 1:
        memcpy(target, block, n * sizeof(floating))
    else:
        for k in range(n):
            target[k * stride] = block[k]


# --- one row in numbers -----------------------------------------------------------------------------------------

cdef inline floating shift_of(floating maximum) noexcept nogil:
    """What is subtracted from a row before exp: nothing, or a maximum so far from 0 that this is exact."""
    return maximum if (maximum > exp_far(maximum)) | (maximum < -exp_far(maximum)) else <floating>0.0


cdef inline bint infinite(floating x) noexcept nogil:
    return (x == <floating>INFINITY) | (x == -<floating>INFINITY)


cdef inline floating finite_maximum(floating maximum) noexcept nogil:
    """The maximum of the row that `settle` makes: 0 for an infinite one."""
    return <floating>0.0 if infinite(maximum) else maximum


cdef inline Py_ssize_t count_equal(
    const floating* row, Py_ssize_t stride, Py_ssize_t n, floating x,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef Py_ssize_t count = 0
    for j in range(n):
        count += row[j * stride] == x
    return count


cdef inline bint has_softmax(floating maximum, Py_ssize_t ties) noexcept nogil:
    """Not so a row of nothing but -inf, or one with +inf twice."""
    return maximum != -<floating>INFINITY and (maximum != <floating>INFINITY or ties == 1)


cdef inline bint row_is_defined(
    const floating* row, Py_ssize_t stride, Py_ssize_t n, floating maximum,
) noexcept nogil:
    return not infinite(maximum) or has_softmax(maximum, count_equal(row, stride, n, maximum))


cdef inline void settle(floating* row, Py_ssize_t stride, Py_ssize_t n, floating maximum, bint defined) noexcept nogil:
    """Rewrite a row with an infinite maximum as the finite one of the same softmax; NaN throughout if there is none."""
    cdef Py_ssize_t j
    cdef floating x
    for j in range(n):
        x = row[j * stride]
        if not defined:
            x = <floating>NAN
        elif x == maximum:
            x = <floating>0.0
        elif x == x:
            x = -<floating>INFINITY
        row[j * stride] = x


cdef inline floating prepared(floating x, floating maximum, bint defined) noexcept nogil:
    """One entry of a row, as `settle` and then the shift leave it."""
    if infinite(maximum):
        settle(&x, 1, 1, maximum, defined)
    return x - shift_of(finite_maximum(maximum))


cdef inline floating log_prob(floating logit, floating logsumexp, floating logsumexp_low) noexcept nogil:
    return (logit - logsumexp) - logsumexp_low


cdef inline floating sum_of_all(
    floating others, floating others_low, floating ties, floating largest, floating largest_low, floating* low,
) noexcept nogil:
    """The sum of all exponentials of a row, where `largest` is that of the maximum, as a pair."""
    cdef floating product, product_low, total
    product = pair_times_pair(ties, <floating>0.0, largest, largest_low, &product_low)
    total = two_sum(product, others, low)
    low[0] = low[0] + (product_low + others_low)
    return total


cdef inline floating logsumexp_of(
    floating maximum, floating others, floating others_low, floating ties, floating largest, floating largest_low,
    floating* low,
) noexcept nogil:
    """maximum + log(sum of exp(x - maximum)) over a row, as a pair."""
    cdef floating log_sum, log_sum_low, result
    log_sum = log_of_ratio(others, others_low, ties, largest, largest_low, &log_sum_low)
    result = two_sum(maximum, log_sum, low)
    low[0] = low[0] + log_sum_low
    return result


cdef inline void logsumexp_lanes(
    const floating* maximum, const floating* others, const floating* others_low, const floating* ties,
    const floating* largest, const floating* largest_low, floating* result, floating* result_low,
) noexcept nogil:
    """`logsumexp_of` for LANES rows.

    In loops of their own: the fewer operations are in each, the more lanes the processor has under way.
    """
    cdef floating f[LANES]
    cdef floating f_low[LANES]
    cdef floating g[LANES]
    cdef floating g_low[LANES]
    cdef floating k[LANES]
    cdef floating log_sum_low
    cdef Py_ssize_t lane
    for lane in range(LANES):
        f[lane] = reduced_ratio(
            others[lane], others_low[lane], ties[lane], largest[lane], largest_low[lane], &f_low[lane], &g[lane],
            &g_low[lane], &k[lane])
    for lane in range(LANES):
        f[lane] = log_of_reduced_ratio(f[lane], f_low[lane], g[lane], g_low[lane], k[lane], &f_low[lane])
    for lane in range(LANES):
        result[lane] = two_sum(maximum[lane], f[lane], &log_sum_low)
        result_low[lane] = log_sum_low + f_low[lane]


cdef inline bint cancels(floating maximum, floating result) noexcept nogil:
    """Whether a log-sum-exp is so much smaller than the two it is the sum of that they do not know its last digits."""
    return (maximum < <floating>0.0) & (result > maximum * <floating>0.5) & (result < maximum * <floating>-0.5)


cdef inline double log_of_sum(const double* total, const double* total_low) noexcept nogil:
    """The logarithm of a sum from `add_exps_twice`."""
    cdef double low, sum_low, result
    # many small terms, all of one sign, have left their last digits in the low part
    cdef double sum_ = two_sum(total[0], total_low[0], &sum_low)
    result = log_of_ratio[double](sum_, sum_low, 0.0, 1.0, 0.0, &low)
    return result + low


# --- blocks ----------------------------------------------------------------------------------------------------------

cdef inline floating larger(floating x, floating y) noexcept nogil:
    return x if x > y else y


cdef inline floating smaller(floating x, floating y) noexcept nogil:
    return x if x < y else y


cdef inline void maximum_block(const floating* block, Py_ssize_t n_tiles, floating* maximum) noexcept nogil:
    """The largest of each lane and of what `maximum` holds. A NaN may spoil it: it shows in the sum anyway."""
    cdef Py_ssize_t lane, j
    cdef floating largest
    if n_tiles < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        for j in range(n_tiles):
            largest = larger(block[j * LANES + lane], largest)
        maximum[lane] = largest


cdef inline void maximum_run(const floating* run, Py_ssize_t n_fours, floating* maximum) noexcept nogil:
    """The same of a run of four tiles at a time, where each step need not wait for the one before."""
    cdef Py_ssize_t lane, j
    cdef floating largest
    if n_fours < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        for j in range(n_fours):
            largest = larger(
                larger(
                    larger(run[4 * j * LANES + lane], run[(4 * j + 1) * LANES + lane]),
                    larger(run[(4 * j + 2) * LANES + lane], run[(4 * j + 3) * LANES + lane]),
                ),
                largest,
            )
        maximum[lane] = largest


cdef inline void two_largest_block(
    const floating* block, Py_ssize_t n_tiles, floating* maximum, floating* second,
) noexcept nogil:
    """The two largest of each lane and of what `maximum` and `second` hold: equal where the largest stands twice."""
    cdef Py_ssize_t lane, j
    cdef floating x, largest, runner_up
    if n_tiles < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        runner_up = second[lane]
        for j in range(n_tiles):
            x = block[j * LANES + lane]
            runner_up = larger(smaller(x, largest), runner_up)
            largest = larger(x, largest)
        maximum[lane] = largest
        second[lane] = runner_up


cdef inline void two_largest_run(
    const floating* run, Py_ssize_t n_fours, floating* maximum, floating* second,
) noexcept nogil:
    """The same of a run of four tiles at a time, as `maximum_run`."""
    cdef Py_ssize_t lane, j
    cdef floating a, b, c, d, top, inner, largest, runner_up
    if n_fours < 1:
        return
    for lane in range(LANES):
        largest = maximum[lane]
        runner_up = second[lane]
        for j in range(n_fours):
            a = larger(run[4 * j * LANES + lane], run[(4 * j + 1) * LANES + lane])
            b = smaller(run[4 * j * LANES + lane], run[(4 * j + 1) * LANES + lane])
            c = larger(run[(4 * j + 2) * LANES + lane], run[(4 * j + 3) * LANES + lane])
            d = smaller(run[(4 * j + 2) * LANES + lane], run[(4 * j + 3) * LANES + lane])
            top = larger(a, c)
            inner = larger(smaller(a, c), larger(b, d))
            runner_up = larger(larger(smaller(top, largest), inner), runner_up)
            largest = larger(top, largest)
        maximum[lane] = largest
        second[lane] = runner_up


cdef inline bint is_ordinary(floating maximum) noexcept nogil:
    """Whether a row can go to exp as it is: its maximum is finite and not far from 0."""
    return (maximum <= exp_far(maximum)) & (maximum >= -exp_far(maximum))


cdef inline bint are_ordinary(const floating* maximum) noexcept nogil:
    """Whether all rows of a block are: else they go through `settle_rows` and `shift_rows` first."""
    cdef Py_ssize_t lane
    cdef int count = 0
    for lane in range(LANES):
        count += is_ordinary(maximum[lane])
    return count == LANES


cdef inline void settle_rows(
    floating* block, Py_ssize_t n_classes, floating* maximum, bint undefined_is_nan,
) noexcept nogil:
    """`settle` each row of a block that needs it; its maximum becomes 0."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        if infinite(maximum[lane]):
            settle(
                block + lane, LANES, n_classes, maximum[lane],
                not undefined_is_nan
                or has_softmax(maximum[lane], count_equal(block + lane, LANES, n_classes, maximum[lane])),
            )
            maximum[lane] = <floating>0.0


cdef inline void shift_rows(floating* block, Py_ssize_t n_tiles, floating* maximum) noexcept nogil:
    """Bring rows with a finite maximum near 0, if that is far, by subtracting it; the maximum follows."""
    cdef floating shift[LANES]
    cdef Py_ssize_t lane, j
    for lane in range(LANES):
        shift[lane] = shift_of(maximum[lane])
        maximum[lane] -= shift[lane]
    for j in range(n_tiles):
        for lane in range(LANES):
            block[j * LANES + lane] -= shift[lane]


cdef inline void start_sums(floating* total, floating* total_low) noexcept nogil:
    """Every exponential is smaller than 4, in the scale of its row: with that in the sum from the start `exp_block` can
    add by `fast_two_sum`. `end_sums` takes it out."""
    fill_lanes(<floating>4.0 * exp_scale(<floating>0.0), total)
    fill_lanes(<floating>0.0, total_low)


cdef inline void end_sums(floating* total, floating* total_low) noexcept nogil:
    cdef Py_ssize_t lane
    cdef floating low
    for lane in range(LANES):
        total[lane] = two_sum(total[lane], <floating>-4.0 * exp_scale(<floating>0.0), &low)
        total_low[lane] += low


cdef inline void renew_pairs(floating* sums, floating* sums_low) noexcept nogil:
    """What many small terms, all of one sign, have left in the low parts goes to the sums: at the end of a row."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        sums[lane] = two_sum(sums[lane], sums_low[lane], &sums_low[lane])


cdef inline void settle_sums(floating* sums, floating* sums_low) noexcept nogil:
    """The same after each BLOCK of a row, or what is low would not stay so. In double once at the end will do."""
    cdef Py_ssize_t lane
    if floating is float:
        for lane in range(LANES):
            sums[lane] = fast_two_sum(sums[lane], sums_low[lane], &sums_low[lane])


cdef inline floating base_of(floating anchor) noexcept nogil:
    """What `reduce_part` reduces a row with this maximum by, in the steps of the table."""
    if floating is float:
        return exp_base_in(STEPS_F, anchor)
    else:
        return exp_base_in(STEPS_D, anchor)


cdef inline floating rescale(floating base, floating other) noexcept nogil:
    """2**(EXP_SCALE + k - m) for the bases of k and m from `base_of`, where it is a normal number: what was reduced by
    `base`, times 2**-EXP_SCALE and this, is as if reduced by `other`."""
    if floating is float:
        return power_f(exp_base(<float>0.0) + (other - base) / STEPS_F)
    else:
        return power_d(exp_base(0.0) + (other - base) / STEPS_D)


cdef inline void range_of_exp(const floating* maximum, floating* least, floating* base) noexcept nogil:
    """What `exp_block` asks of each lane: below `least` nothing counts, and the base of `reduce_part`."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        least[lane] = maximum[lane] - exp_reach(maximum[lane])
        base[lane] = base_of(maximum[lane])


cdef inline Py_ssize_t part_of(floating example) noexcept nogil:
    """Tiles that a loop works on before the next one does: no more than 8 registers, where they are wide
    (measured; with the largest terms apart PART is better)."""
    return PART // 2 if floating is double and REGISTER == 64 else PART


cdef inline void reduce_part(
    const floating* logits, Py_ssize_t n_tiles, const floating* least, const floating* base, bint one_row, bint loose,
    floating* w, floating* w_low, floating* power,
) noexcept nogil:
    """(1 + w) · power = exp(logits), up to a factor that each row has its own of; up to PART tiles. `loose`: for sums
    whose logarithm is wanted. Else and without a table `w_low` is what rounding w took: in a sum that many equal terms
    share, it would count once more.

    In a loop of its own, and what becomes of the exponentials in another: the fewer operations are in each that wait
    for the one before, the more tiles the processor has under way. The lanes of one row have the same range, which then
    stays in registers.
    """
    cdef Py_ssize_t lane, j
    cdef floating x, lane_base
    cdef floating row_least = least[0]
    cdef floating row_base = base[0]
    if HAS_TABLE:
        if floating is float:
            reduce_f(logits, n_tiles, least, base, one_row, w, power)
        else:
            reduce_d(logits, n_tiles, least, base, one_row, w, power)
        return
    for j in range(n_tiles):
        for lane in range(LANES):
            x = logits[j * LANES + lane]
            if one_row:
                x = row_least if row_least > x else x
                lane_base = row_base
            else:
                x = least[lane] if least[lane] > x else x
                lane_base = base[lane]
            if loose:
                w[j * LANES + lane] = exp_parts_loose(x, lane_base, &power[j * LANES + lane])
            else:
                w[j * LANES + lane] = exp_parts_tight(
                    x, lane_base, &power[j * LANES + lane], &w_low[j * LANES + lane])


cdef inline void add_part(
    const floating* w, const floating* w_low, const floating* power, Py_ssize_t n_tiles, floating* exps,
    floating* total, floating* total_low,
) noexcept nogil:
    """The exponentials of `reduce_part`, added to sums from `start_sums`."""
    cdef Py_ssize_t lane, j
    cdef floating e, sum_, sum_low, before, rest
    if n_tiles < 1:
        return
    for lane in range(LANES):
        sum_ = total[lane]
        sum_low = total_low[lane]
        for j in range(n_tiles):
            e = multiply_add(w[j * LANES + lane], power[j * LANES + lane], power[j * LANES + lane])
            exps[j * LANES + lane] = e
            before = sum_
            sum_ = before + e
            # what the sum has not taken of (1 + w) · power: fast_two_sum with the low part of the exponential in it
            rest = power[j * LANES + lane] - (sum_ - before)
            sum_low = sum_low + multiply_add(w[j * LANES + lane], power[j * LANES + lane], rest)
            if not HAS_TABLE:
                sum_low = sum_low + w_low[j * LANES + lane] * power[j * LANES + lane]
        total[lane] = sum_
        total_low[lane] = sum_low


cdef inline void exp_block(
    const floating* logits, floating* exps, Py_ssize_t n_tiles, const floating* tail,
    const floating* least, const floating* base, bint one_row,
    floating* total, floating* total_low, const floating* next_rows, const floating* place, bint far,
) noexcept nogil:
    """exps = exp(logits), up to a factor that each row has its own of; added to sums from `start_sums`. `tail` is NULL
    or one more tile, worked on with the last ones: a loop that has only one to do waits for it.

    Meanwhile the memory fetches the row or rows that come next and the place of the results, where they are not NULL,
    with each part as much: all at once is more than it can take, and it would be waited for. `far` is of `is_far`. The
    rows are ordinary or prepared: choices beside the inner loop would keep the outer one from being vectorised.
    """
    cdef floating w[(PART + 1) * LANES]
    cdef floating w_low[(PART + 1) * LANES]
    cdef floating power[(PART + 1) * LANES]
    cdef Py_ssize_t part = part_of(<floating>0.0)
    cdef Py_ssize_t j, n
    for j from 0 <= j < n_tiles by part:
        n = min(part, n_tiles - j)
        fetch_part(next_rows, j, n, far)
        fetch_part(place, j, n, far)
        reduce_part(logits + j * LANES, n, least, base, one_row, False, w, w_low, power)
        if tail != NULL and j + n == n_tiles:
            reduce_part(tail, 1, least, base, one_row, False, w + n * LANES, w_low + n * LANES, power + n * LANES)
            n += 1
        add_part(w, w_low, power, n, exps + j * LANES, total, total_low)


cdef inline void add_part_apart(
    const floating* w, const floating* w_low, const floating* power, const floating* logits, Py_ssize_t n_tiles,
    const floating* maximum, floating* exps, floating* others, floating* others_low, floating* ties,
) noexcept nogil:
    """`add_part` but for the largest terms, see `exp_block_apart`."""
    cdef Py_ssize_t lane, j
    cdef floating x, top, unit, e, sum_, sum_low, before, added, rest, n_others
    if n_tiles < 1:
        return
    for lane in range(LANES):
        top = maximum[lane]
        sum_ = others[lane]
        sum_low = others_low[lane]
        n_others = <floating>0.0
        for j in range(n_tiles):
            x = logits[j * LANES + lane]
            n_others = n_others if x == top else n_others + <floating>1.0
            unit = <floating>0.0 if x == top else power[j * LANES + lane]
            e = multiply_add(w[j * LANES + lane], unit, unit)
            exps[j * LANES + lane] = e
            # two_sum with the low part of the exponential in it
            before = sum_
            sum_ = before + e
            added = sum_ - before
            rest = unit - added
            sum_low = sum_low + (before - (sum_ - added))
            sum_low = sum_low + multiply_add(w[j * LANES + lane], unit, rest)
            if not HAS_TABLE:
                sum_low = sum_low + w_low[j * LANES + lane] * unit
        others[lane] = sum_
        others_low[lane] = sum_low
        ties[lane] += <floating>n_tiles - n_others


cdef inline void exp_block_apart(
    const floating* logits, floating* exps, Py_ssize_t n_tiles, const floating* maximum,
    const floating* least, const floating* base, bint one_row,
    floating* others, floating* others_low, floating* ties, const floating* next_rows, const floating* place,
    bint far,
) noexcept nogil:
    """`exp_block` with the largest terms apart: ties and others are added to. The largest exponentials become 0, as no
    other one is."""
    cdef floating w[PART * LANES]
    cdef floating w_low[PART * LANES]
    cdef floating power[PART * LANES]
    cdef Py_ssize_t j, n
    for j from 0 <= j < n_tiles by PART:
        n = min(PART, n_tiles - j)
        fetch_part(next_rows, j, n, far)
        fetch_part(place, j, n, far)
        reduce_part(logits + j * LANES, n, least, base, one_row, False, w, w_low, power)
        add_part_apart(
            w, w_low, power, logits + j * LANES, n, maximum, exps + j * LANES, others, others_low, ties)


cdef inline void range_of_others(
    const floating* maximum, const floating* second, floating* omitted, floating* least, floating* base,
) noexcept nogil:
    """What `sum_exps_block` asks of each lane to sum all but the largest term; or all where that stands twice: there is
    enough left then when one is taken off, and nothing is equal to a NaN. The scale is that of the second largest,
    within the reach of the largest, so that it can be changed for that."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        omitted[lane] = <floating>NAN if second[lane] == maximum[lane] else maximum[lane]
        least[lane] = maximum[lane] - exp_reach(maximum[lane])
        base[lane] = base_of(larger(second[lane], least[lane]))


cdef inline void sum_part(
    const floating* w, const floating* power, const floating* logits, Py_ssize_t n_tiles, const floating* omitted,
    floating* total, floating* total_low,
) noexcept nogil:
    """The sums of `add_part`, without the entries equal to `omitted`."""
    cdef Py_ssize_t lane, j
    cdef floating left_out, unit, sum_, sum_low, before, rest
    if n_tiles < 1:
        return
    for lane in range(LANES):
        left_out = omitted[lane]
        sum_ = total[lane]
        sum_low = total_low[lane]
        for j in range(n_tiles):
            unit = <floating>0.0 if logits[j * LANES + lane] == left_out else power[j * LANES + lane]
            before = sum_
            sum_ = before + multiply_add(w[j * LANES + lane], unit, unit)
            rest = unit - (sum_ - before)
            sum_low = sum_low + multiply_add(w[j * LANES + lane], unit, rest)
        total[lane] = sum_
        total_low[lane] = sum_low


cdef inline void sum_exps_block(
    const floating* logits, Py_ssize_t n_tiles, const floating* omitted, const floating* least, const floating* base,
    floating* total, floating* total_low, const floating* next_rows, const floating* place, bint far,
) noexcept nogil:
    """The sums of `exp_block` alone, without the entries equal to `omitted`."""
    cdef floating w[PART * LANES]
    cdef floating power[PART * LANES]
    cdef Py_ssize_t part = part_of(<floating>0.0)
    cdef Py_ssize_t j, n
    for j from 0 <= j < n_tiles by part:
        n = min(part, n_tiles - j)
        fetch_part(next_rows, j, n, far)
        fetch_part(place, j, n, far)
        reduce_part(logits + j * LANES, n, least, base, False, True, w, NULL, power)
        sum_part(w, power, logits + j * LANES, n, omitted, total, total_low)


cdef inline floating all_but_largest(
    floating total, floating total_low, floating base, floating maximum, floating second, floating largest,
    floating largest_low, floating* low,
) noexcept nogil:
    """The sum of all exponentials of a row but one of the largest, as a pair, from `sum_exps_block` and `end_sums`; in
    the scale of `maximum`."""
    cdef floating scale = rescale(base, base_of(maximum))
    cdef floating twice = <floating>1.0 if second == maximum else <floating>0.0
    cdef floating others = two_sum((total * exp_unscale(total)) * scale, -twice * largest, low)
    low[0] = low[0] + ((total_low * exp_unscale(total)) * scale - twice * largest_low)
    # beside the 4 of `start_sums` many small terms have left their last digits in the low part, all with one sign
    return two_sum(others, low[0], low)


cdef inline void add_exps_twice(
    const floating* logits, Py_ssize_t n_tiles, double* total, double* total_low,
) noexcept nogil:
    """Add exp(logits) to the sum of each lane, in more than twice the precision of float and half as much again as
    double: for rows that cancel, whose sum is near 1."""
    cdef Py_ssize_t lane, j
    cdef double x, e, e_low, low
    for j in range(n_tiles):
        for lane in range(LANES):
            x = <double>logits[j * LANES + lane]
            e = exp_twice(x if x > -700.0 else -700.0, &e_low)
            total[lane] = two_sum(total[lane], e, &low)
            total_low[lane] = total_low[lane] + (low + e_low)


cdef inline void exps_of_maxima(const floating* maximum, bint loose, floating* exps, floating* low) noexcept nogil:
    """The exponential of each row's maximum, in the row's scale, as a pair; `loose`: as it is in `sum_exps_block`."""
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating w[LANES]
    cdef floating w_low[LANES]
    cdef floating power[LANES]
    cdef Py_ssize_t lane
    range_of_exp(maximum, least, base)
    reduce_part(maximum, 1, least, base, False, loose, w, w_low, power)
    for lane in range(LANES):
        exps[lane] = exp_pair(w[lane], power[lane], &low[lane])
        if not HAS_TABLE and not loose:
            low[lane] = low[lane] + w_low[lane] * power[lane]


cdef inline floating exp_of_maximum(floating anchor, bint loose, floating* low) noexcept nogil:
    """`exps_of_maxima` of one row."""
    cdef floating maximum[LANES]
    cdef floating exps[LANES]
    cdef floating exps_low[LANES]
    fill_lanes(anchor, maximum)
    exps_of_maxima(maximum, loose, exps, exps_low)
    low[0] = exps_low[0]
    return exps[0]


cdef inline void scale_tiles(
    const floating* exps, floating* scaled, Py_ssize_t n_tiles, const floating* factor, const floating* factor_low,
    bint lifted, const floating* drops, const floating* largest, const floating* scaled_largest,
) noexcept nogil:
    """`scale_block`; `lifted`: by factors that are too large, which `drops` puts right."""
    cdef Py_ssize_t lane, j
    cdef floating f, f_low, drop, top, scaled_top, e
    if n_tiles < 1:
        return
    for lane in range(LANES):
        f = factor[lane]
        f_low = factor_low[lane]
        drop = drops[lane] if lifted else <floating>1.0
        top = largest[lane]
        scaled_top = scaled_largest[lane]
        for j in range(n_tiles):
            e = exps[j * LANES + lane]
            scaled[j * LANES + lane] = scaled_top if e == top else times_pair(e, f, f_low) * drop


cdef inline void scale_block(
    const floating* exps, floating* scaled, Py_ssize_t n_tiles, const floating* factor, const floating* factor_low,
    const floating* largest, const floating* scaled_largest,
) noexcept nogil:
    """scaled = exps · (factor + factor_low), each entry rounded once.

    The entries equal to `largest` become scaled_largest, which knows the low part of their exponential: so a
    probability of 1 is exactly that.
    """
    cdef floating lifted[LANES]
    cdef floating lifted_low[LANES]
    cdef floating drops[LANES]
    cdef floating lift
    cdef Py_ssize_t lane
    if HAS_FMA:
        scale_tiles(exps, scaled, n_tiles, factor, factor_low, False, factor, largest, scaled_largest)
    else:
        for lane in range(LANES):
            lift = lift_of(factor[lane])
            lifted[lane] = factor[lane] * lift
            lifted_low[lane] = factor_low[lane] * lift
            drops[lane] = <floating>1.0 / lift
        scale_tiles(exps, scaled, n_tiles, lifted, lifted_low, True, drops, largest, scaled_largest)


# --- one row with many classes -----------------------------------------------------------------------------------

cdef inline floating maximum_row(const floating* row, Py_ssize_t stride, Py_ssize_t n_classes) noexcept nogil:
    cdef floating block[RUN]
    cdef floating maximum[LANES]
    cdef Py_ssize_t j, n, lane
    fill_lanes(-<floating>INFINITY, maximum)
    if stride == 1:
        # a block at a time, which stays in the first cache: a loop runs over it once for each register of lanes
        for j from 0 <= j < n_classes by BLOCK:
            maximum_run(row + j, min(BLOCK, n_classes - j) // (4 * LANES), maximum)
        # the last tiles may overlap the ones before
        maximum_run(row + n_classes - 4 * LANES, 1, maximum)
    else:
        for j from 0 <= j < n_classes by RUN:
            n = min(RUN, n_classes - j)
            maximum_block(block, load_run(row + j * stride, stride, n, -<floating>INFINITY, block), maximum)
    for lane in range(4):
        maximum[lane] = larger(
            larger(maximum[lane], maximum[lane + 4]), larger(maximum[lane + 8], maximum[lane + 12]))
    return larger(larger(maximum[0], maximum[1]), larger(maximum[2], maximum[3]))


cdef inline void two_largest_row(
    const floating* row, Py_ssize_t stride, Py_ssize_t n_classes, floating* maximum, floating* second,
) noexcept nogil:
    """The two largest of a row into lane 0, as `two_largest_block`."""
    cdef floating block[RUN]
    cdef Py_ssize_t n_fours = n_classes // (4 * LANES) if stride == 1 else 0
    cdef Py_ssize_t j, n, lane, width
    cdef floating inner
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(-<floating>INFINITY, second)
    for j from 0 <= j < n_fours by BLOCK // (4 * LANES):
        # as in `maximum_row`
        two_largest_run(row + j * 4 * LANES, min(BLOCK // (4 * LANES), n_fours - j), maximum, second)
    for j from n_fours * 4 * LANES <= j < n_classes by RUN:
        n = min(RUN, n_classes - j)
        two_largest_block(
            block, load_run(row + j * stride, stride, n, -<floating>INFINITY, block), maximum, second)
    width = LANES // 2
    while width:
        for lane in range(width):
            inner = larger(second[lane], second[lane + width])
            second[lane] = larger(smaller(maximum[lane], maximum[lane + width]), inner)
            maximum[lane] = larger(maximum[lane], maximum[lane + width])
        width = width // 2


cdef inline void add_lanes(floating* sums, floating* sums_low, Py_ssize_t width) noexcept nogil:
    """Add the second `width` lanes to the first."""
    cdef Py_ssize_t lane
    cdef floating low
    for lane in range(width):
        sums[lane] = two_sum(sums[lane], sums[lane + width], &low)
        sums_low[lane] += sums_low[lane + width] + low


cdef inline void sum_lanes(floating* sums, floating* sums_low) noexcept nogil:
    """The sum of all lanes into lane 0, as a pair."""
    add_lanes(sums, sums_low, 8)
    add_lanes(sums, sums_low, 4)
    add_lanes(sums, sums_low, 2)
    add_lanes(sums, sums_low, 1)


cdef inline void add_columns(floating* sums, floating* sums_low) noexcept nogil:
    """`sum_lanes` of LANES columns at once: sums[q · LANES + i] is lane q of column i."""
    cdef Py_ssize_t width = LANES // 2
    cdef Py_ssize_t q, lane, other
    cdef floating low
    while width:
        for q in range(width):
            other = (q + width) * LANES
            for lane in range(LANES):
                sums[q * LANES + lane] = two_sum(sums[q * LANES + lane], sums[other + lane], &low)
                sums_low[q * LANES + lane] += sums_low[other + lane] + low
        width = width // 2


cdef inline Py_ssize_t load_prepared(
    const floating* run, Py_ssize_t stride, Py_ssize_t n, floating maximum, bint defined, floating* block,
) noexcept nogil:
    """`load_run` of a row that exp can take; `defined`: whether one with an infinite maximum has a softmax."""
    cdef floating anchor[LANES]
    cdef Py_ssize_t n_tiles = load_run(run, stride, n, -<floating>INFINITY, block)
    if not is_ordinary(maximum):
        if infinite(maximum):
            settle(block, 1, n, maximum, defined)
        fill_lanes(finite_maximum(maximum), anchor)
        shift_rows(block, n_tiles, anchor)
    return n_tiles


cdef inline floating anchor_of(floating maximum) noexcept nogil:
    """The maximum of a row as `load_prepared` makes it."""
    return finite_maximum(maximum) - shift_of(finite_maximum(maximum))


cdef inline const floating* run_ahead(const floating* run, Py_ssize_t stride) noexcept nogil:
    """What of a row the memory is to fetch while exp computes, from here on: NULL where entries are not neighbours."""
    return run if stride == 1 else NULL


cdef inline void fetch_rest(const floating* run, Py_ssize_t n, bint far) noexcept nogil:
    """Of n entries from `run_ahead` what is left after whole tiles."""
    if run != NULL:
        fetch(run + n - n % LANES, n % LANES * sizeof(floating), far)


cdef inline Py_ssize_t lead_of(Py_ssize_t n_classes, floating example) noexcept nogil:
    """How far ahead of the exponentials of a row their place is fetched. Not at all ahead in a row of up to BLOCK
    classes, whose exponentials stay in the block until it ends, and in one of more than 512 KB (measured)."""
    cdef Py_ssize_t size = sizeof(floating)
    return LEAD // size if BLOCK < n_classes and n_classes * size <= 2 * FAR else 0


cdef inline void exp_row(
    const floating* row, Py_ssize_t stride, Py_ssize_t n_classes, Py_ssize_t ahead, floating maximum, bint defined,
    floating* block, floating* exps, Py_ssize_t exps_stride, floating* total, floating* total_low,
) noexcept nogil:
    """The exponentials of a row; their sum ends in total[0], total_low[0]. (`row + j` is read where the stride is 1.)

    The exponentials of a row of up to BLOCK classes are left in `block`; those of a longer one go to `exps`, which may
    be the row itself.
    """
    cdef floating anchor[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating* target
    cdef floating* rest
    cdef floating* joined
    cdef const floating* next_run
    cdef const floating* place
    cdef bint far = is_far(n_classes, 1, maximum)
    cdef Py_ssize_t j, n, n_direct, n_tiles
    cdef bint fits = n_classes <= BLOCK
    cdef bint direct = stride == 1 and is_ordinary(maximum) and (fits or exps_stride == 1)
    cdef Py_ssize_t lead = lead_of(n_classes, maximum)
    fill_lanes(anchor_of(maximum), anchor)
    range_of_exp(anchor, least, base)
    start_sums(total, total_low)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        next_run = run_ahead(row + j * stride + ahead, stride)
        place = run_ahead(exps + j * exps_stride + lead, exps_stride)
        # whole tiles without a detour, and what is left of them together with them
        n_direct = n - n % LANES if direct else 0
        target = block + j if fits else exps + j
        rest = target + n_direct if fits else block
        joined = NULL
        if fits and 0 < n_direct < n:
            load_tail(row + j + n_direct, n - n_direct, -<floating>INFINITY, rest)
            joined = rest
        if direct:
            fetch_rest(next_run, n, far)
            fetch_rest(place, n, far)
            exp_block(
                row + j, target, n_direct // LANES, joined, least, base, True, total, total_low, next_run, place, far)
            next_run = place = NULL
        if n_direct < n and joined == NULL:
            n_tiles = load_prepared(
                row + (j + n_direct) * stride, stride, n - n_direct, maximum, defined, rest)
            exp_block(rest, rest, n_tiles, NULL, least, base, True, total, total_low, next_run, place, far)
            if not fits:
                store_run(rest, exps + (j + n_direct) * exps_stride, exps_stride, n - n_direct)
        settle_sums(total, total_low)
    end_sums(total, total_low)
    sum_lanes(total, total_low)


cdef inline void exp_row_apart(
    const floating* row, Py_ssize_t stride, Py_ssize_t n_classes, Py_ssize_t ahead, floating maximum, bint defined,
    floating* block, floating* exps, Py_ssize_t exps_stride,
    floating* others, floating* others_low, floating* ties,
) noexcept nogil:
    """The same with the largest terms apart, as `exp_block_apart`; `exps` may be NULL, where only sums are wanted."""
    cdef floating anchor[LANES]
    cdef floating least[LANES]
    cdef floating base[LANES]
    cdef floating prepared_run[BLOCK]       # not in `block`: what is read where it is written does not vectorise here
    cdef const floating* next_run
    cdef const floating* place = NULL
    cdef bint far = is_far(n_classes, 1, maximum)
    cdef Py_ssize_t j, n, n_direct, n_tiles, lane
    cdef bint direct = stride == 1 and is_ordinary(maximum)
    fill_lanes(anchor_of(maximum), anchor)
    range_of_exp(anchor, least, base)
    fill_lanes(<floating>0.0, others)
    fill_lanes(<floating>0.0, others_low)
    fill_lanes(<floating>0.0, ties)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        next_run = run_ahead(row + j * stride + ahead, stride)
        if exps != NULL:
            place = run_ahead(exps + j * exps_stride, exps_stride)
        n_direct = n - n % LANES if direct else 0
        if direct:
            fetch_rest(next_run, n, far)
            fetch_rest(place, n, far)
            exp_block_apart(
                row + j, block, n_direct // LANES, anchor, least, base, True, others, others_low, ties,
                next_run, place, far)
            next_run = place = NULL
        if n_direct < n:
            n_tiles = load_prepared(
                row + (j + n_direct) * stride, stride, n - n_direct, maximum, defined, prepared_run)
            exp_block_apart(
                prepared_run, block + n_direct, n_tiles, anchor, least, base, True, others, others_low, ties,
                next_run, place, far)
        settle_sums(others, others_low)
        if exps != NULL and n_classes > BLOCK:
            store_run(block, exps + j * exps_stride, exps_stride, n)
    sum_lanes(others, others_low)
    others[0] = two_sum(others[0], others_low[0], &others_low[0])     # as `renew_pairs`
    for lane in range(1, LANES):
        ties[0] += ties[lane]


cdef inline void sum_exps_row(
    const floating* row, Py_ssize_t stride, Py_ssize_t n_classes, Py_ssize_t ahead, floating maximum, bint defined,
    const floating* omitted, const floating* least, const floating* base, floating* block,
    floating* total, floating* total_low, const floating* place, Py_ssize_t place_stride,
) noexcept nogil:
    """`sum_exps_block` of a row, into total[0], total_low[0]; as many results will be stored to `place`, or none if it
    is NULL."""
    cdef const floating* next_run
    cdef const floating* place_run = NULL
    cdef bint far = is_far(n_classes, 1, maximum)
    cdef Py_ssize_t j, n, n_direct, n_tiles
    cdef bint direct = stride == 1 and is_ordinary(maximum)
    start_sums(total, total_low)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        next_run = run_ahead(row + j * stride + ahead, stride)
        if place != NULL:
            place_run = run_ahead(place + j * place_stride, place_stride)
        n_direct = n - n % LANES if direct else 0
        if direct:
            fetch_rest(next_run, n, far)
            fetch_rest(place_run, n, far)
            sum_exps_block(
                row + j, n_direct // LANES, omitted, least, base, total, total_low, next_run, place_run, far)
            next_run = place_run = NULL
        if n_direct < n:
            n_tiles = load_prepared(
                row + (j + n_direct) * stride, stride, n - n_direct, maximum, defined, block)
            sum_exps_block(block, n_tiles, omitted, least, base, total, total_low, next_run, place_run, far)
        settle_sums(total, total_low)
    end_sums(total, total_low)
    sum_lanes(total, total_low)


cdef inline void scale_run(
    const floating* exps, floating* scaled, Py_ssize_t n, floating factor, floating factor_low,
    bint with_largest, floating largest, floating scaled_largest,
) noexcept nogil:
    """`scale_block` of neighbours with the same factor, of which some may be the largest or none is."""
    cdef floating lift = lift_of(factor)
    cdef floating drop = <floating>1.0 / lift
    cdef floating f = factor * lift
    cdef floating f_low = factor_low * lift
    cdef Py_ssize_t j
    if with_largest:
        for j in range(n):
            scaled[j] = scaled_largest if exps[j] == largest else times_pair(exps[j], f, f_low) * drop
    else:
        for j in range(n):
            scaled[j] = times_pair(exps[j], f, f_low) * drop


cdef inline void scale_row(
    floating* block, floating* row, Py_ssize_t stride, Py_ssize_t n_classes, floating factor, floating factor_low,
    bint with_largest, floating largest, floating scaled_largest,
) noexcept nogil:
    """`scale_run` of the exponentials where `exp_row` has left them, into the row."""
    cdef Py_ssize_t j, n
    if n_classes <= BLOCK:
        if stride == 1:
            scale_run(block, row, n_classes, factor, factor_low, with_largest, largest, scaled_largest)
        else:
            scale_run(block, block, n_classes, factor, factor_low, with_largest, largest, scaled_largest)
            store_run(block, row, stride, n_classes)
    elif stride == 1:
        scale_run(row, row, n_classes, factor, factor_low, with_largest, largest, scaled_largest)
    else:
        for j from 0 <= j < n_classes by RUN:
            n = min(RUN, n_classes - j)
            load_run(row + j * stride, stride, n, <floating>0.0, block)
            scale_run(block, block, n, factor, factor_low, with_largest, largest, scaled_largest)
            store_run(block, row + j * stride, stride, n)
