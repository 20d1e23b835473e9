"""The heads of training: rows of logits become the gradients of their losses, where they stand.

In plain numbers, to a few units in the last place of the losses and of every entry of a gradient: logits that come
from a product of matrices are rounded to no less, so that pairs, as in `_loss_rows`, would be lost on them. What is
small keeps its digits all the same: p - 1 is minus the sum of the others, and a loss near 0 their logarithm's.

Logits are transposed into tiles as in `_rows`, of which only the lanes that are in use are worked on, whole registers
of them; a few rows of up to 8 classes, which would leave lanes empty, stay rows. A NaN makes the loss NaN, by which
training notices; so does an infinite logit, or makes it infinite, unless loss and gradient have limits there: a
probability of 0, a sigmoid of 0 or 1.
"""
from cython cimport floating
from libc.math cimport INFINITY, copysign, copysignf, exp, fabs, fabsf, log
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from steelfast._elementary cimport REGISTER, exp_of_difference, log1p
from steelfast._loss_rows cimport label_row
from steelfast._rows cimport (
    BLOCK,
    LANES,
    TILES,
    fill_lanes,
    larger,
    rows_to_tiles_d,
    rows_to_tiles_f,
    tiles_to_rows_d,
    tiles_to_rows_f,
)

cdef extern from "_eight.h" nogil:
    float largest_of_eight_f "steelfast_largest_of_eight_f"(const float*, const float*)
    double largest_of_eight_d "steelfast_largest_of_eight_d"(const double*, const double*)
    int first_of_eight_f "steelfast_first_of_eight_f"(const float*, float)
    int first_of_eight_d "steelfast_first_of_eight_d"(const double*, double)
    float sum_of_eight_but_f "steelfast_sum_of_eight_but_f"(const float*, const float*, float)
    double sum_of_eight_but_d "steelfast_sum_of_eight_but_d"(const double*, const double*, double)

cdef enum:
    COLUMNS = 8           # logits are padded to a multiple of it, with zeros: whole registers
    FOLDED = 8            # half of LANES: what is left of them after one folding

cdef enum HeadKind:
    # what stands on the logits; of the last the gradient is that without the slope of the sigmoid
    SOFTMAX_CROSS_ENTROPY
    EACH_SIGMOID_CROSS_ENTROPY
    EACH_SIGMOID_MSE
    EACH_SIGMOID_MSE_WITHOUT_SLOPE

cdef struct Head:
    HeadKind kind
    double cap            # is added to the label's probability, within the logarithm of the softmax loss
    double off, on        # targets of the sigmoids


cdef struct Tally:
    # of rows: the sum of their losses is loss + log(1 + excess)
    double loss
    double excess
    double correct        # the sum of the weights of those that are right


cdef inline Tally nothing() noexcept nogil:
    cdef Tally tally
    tally.loss = 0.0
    tally.excess = 0.0
    tally.correct = 0.0
    return tally


cdef inline double sum_of_losses(const Tally* tally) noexcept nogil:
    cdef double low
    return tally.loss + log1p(tally.excess, 0.0, &low)


cdef inline floating capped(floating loss, double cap) noexcept nogil:
    """The loss of a row where `cap` is added to its label's probability."""
    return loss if cap == 0.0 else <floating> -log(exp(-<double> loss) + cap)


# --- losses ----------------------------------------------------------------------------------------------------------

cdef inline floating excess_of(floating rest, floating own) noexcept nogil:
    """The sum of the exponentials of a row, that of its label `own`, but for one of the largest, which is 1: where that
    is the label's, exactly the others."""
    return rest + (own - <floating>1.0)


cdef inline bint is_first_maximum(const floating* row, Py_ssize_t n_classes, Py_ssize_t label) noexcept nogil:
    cdef Py_ssize_t j
    cdef bint beaten = row[label] != row[label]        # what is no number is not the largest
    for j in range(n_classes):
        beaten |= (row[j] > row[label]) | ((row[j] == row[label]) & (j < label))
    return not beaten


cdef inline double sum_in_pairs(const floating* lanes) noexcept nogil:
    """In double, for a loss may be next to the largest float; one after the other would wait for each other."""
    cdef double sums[FOLDED]
    cdef Py_ssize_t lane
    for lane in range(FOLDED):
        sums[lane] = <double> lanes[lane] + <double> lanes[lane + FOLDED]
    for lane in range(FOLDED // 2):
        sums[lane] = sums[lane] + sums[lane + FOLDED // 2]
    return (sums[0] + sums[2]) + (sums[1] + sums[3])


cdef inline double weighted_sum(const floating* weight, floating* losses) noexcept nogil:
    """Of LANES losses, which become their products; those whose weight is 0 may be anything."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        losses[lane] = weight[lane] * losses[lane] if weight[lane] != <floating>0.0 else <floating>0.0
    return sum_in_pairs(losses)


cdef inline void add_excess(double excess, Tally* tally) noexcept nogil:
    """log(1 + excess), but for the logarithm.

    log(1 + a) + log(1 + b) = log(1 + (a + b + a · b)), whose terms are all positive, so that small ones lose nothing.
    So one logarithm will do, when there is time for it.
    """
    tally.excess = tally.excess + (excess + tally.excess * excess)
    if tally.excess > 1e200:             # beside which 1 is nothing
        tally.loss += log(tally.excess)
        tally.excess = 0.0


cdef inline void add_losses(
    const floating* excess, const floating* distance, const floating* weight, Tally* tally,
) noexcept nogil:
    """log(1 + excess) + distance of the lanes whose weight is 1, and not 0, as in `add_excess`.

    A float is large enough: 16 lanes of 128 classes reach 2¹¹².
    """
    cdef floating products[LANES]
    cdef floating far[LANES]
    cdef double product
    cdef Py_ssize_t lane
    for lane in range(LANES):
        products[lane] = excess[lane] if weight[lane] != <floating>0.0 else <floating>0.0
        far[lane] = distance[lane] if weight[lane] != <floating>0.0 else <floating>0.0
    for lane in range(FOLDED):
        products[lane] = products[lane] + (products[lane + FOLDED] + products[lane] * products[lane + FOLDED])
    for lane in range(FOLDED // 2):
        products[lane] = products[lane] + (products[lane + FOLDED // 2] + products[lane] * products[lane + FOLDED // 2])
    for lane in range(FOLDED // 4):
        products[lane] = products[lane] + (products[lane + FOLDED // 4] + products[lane] * products[lane + FOLDED // 4])
    product = <double> (products[0] + (products[1] + products[0] * products[1]))
    tally.loss += sum_in_pairs(far)
    add_excess(product, tally)


cdef inline void add_weighted_losses(
    const Head* head, const floating* excess, const floating* distance, const floating* weight, Py_ssize_t n_lanes,
    Tally* tally,
) noexcept nogil:
    """weight · (log(1 + excess) + distance) of the lanes whose weight is not 0, which are among the first n_lanes."""
    cdef floating losses[LANES]
    cdef floating low
    cdef Py_ssize_t lane
    fill_lanes(<floating>0.0, losses)
    for lane in range(n_lanes):
        losses[lane] = log1p(excess[lane], <floating>0.0, &low) + distance[lane]
    if head.cap != 0.0:
        for lane in range(n_lanes):
            losses[lane] = capped(losses[lane], head.cap)
    tally.loss += weighted_sum(weight, losses)


cdef inline void weights_of_lanes(
    const floating* weights, Py_ssize_t first, Py_ssize_t n, floating* weight,
) noexcept nogil:
    """Those of n rows from the first on, or 1 where there are none; 0 in lanes without a row."""
    cdef floating x
    cdef Py_ssize_t lane
    if weights == NULL:
        for lane in range(LANES):
            weight[lane] = <floating>1.0 if lane < n else <floating>0.0
    else:
        for lane in range(LANES):
            x = weights[first + lane]
            weight[lane] = x if lane < n else <floating>0.0


cdef inline floating absolute(floating x) noexcept nogil:
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline floating sign_of(floating x) noexcept nogil:
    """1 or -1; of a zero too."""
    if floating is float:
        return copysignf(<float>1.0, x)
    else:
        return copysign(1.0, x)


cdef inline floating sigmoid_entry(
    HeadKind kind, floating z, floating e, floating y, floating* slope,
) noexcept nogil:
    """The loss of one logit with the target y, and its derivative; e is exp(-|z|)."""
    cdef floating large = <floating>1.0 / (<floating>1.0 + e)
    cdef floating small = e * large
    cdef floating sign = sign_of(z)
    # sigmoid(z) - y = (1 - y) - sigmoid(-z), from the small one of the two
    cdef floating start = y if sign < <floating>0.0 else <floating>1.0 - y
    cdef floating residual = sign * (start - small)
    cdef floating low
    if kind == EACH_SIGMOID_CROSS_ENTROPY:
        slope[0] = residual
        return start * absolute(z) + log1p(e, <floating>0.0, &low)
    slope[0] = residual + residual
    if kind == EACH_SIGMOID_MSE:
        slope[0] = slope[0] * (large * small)
    return residual * residual


# --- rows of eight ---------------------------------------------------------------------------------------------------

cdef inline floating largest_of_eight(const floating* x, const floating* limit) noexcept nogil:
    if floating is float:
        return largest_of_eight_f(x, limit)
    else:
        return largest_of_eight_d(x, limit)


cdef inline int first_of_eight(const floating* x, floating value) noexcept nogil:
    if floating is float:
        return first_of_eight_f(x, value)
    else:
        return first_of_eight_d(x, value)


cdef inline floating sum_of_eight_but(const floating* x, const floating* numbers, floating label) noexcept nogil:
    if floating is float:
        return sum_of_eight_but_f(x, numbers, label)
    else:
        return sum_of_eight_but_d(x, numbers, label)


cdef inline void softmax_of_eight(
    bint plain, const Head* head, floating* rows, Py_ssize_t n_rows, Py_ssize_t n_classes, const floating* labels,
    const floating* weights, floating scale, Tally* tally,
) noexcept nogil:
    """`few_classes` of the softmax, for up to LANES rows of eight; `plain`, a constant, is without weights and cap."""
    cdef floating numbers[COLUMNS]
    cdef floating limit[COLUMNS]
    cdef floating weight[LANES]
    cdef floating excess[LANES]
    cdef floating distance[LANES]     # from the label's logit to the largest
    cdef bint right[LANES]
    cdef floating n_used = <floating> n_classes
    cdef floating label, own, largest, rest, above, factor
    cdef floating* row
    cdef double product = 0.0
    cdef double far = 0.0
    cdef double correct = 0.0
    cdef Py_ssize_t j, k, place
    for j in range(COLUMNS):
        numbers[j] = <floating> j
        limit[j] = <floating>INFINITY if numbers[j] < n_used else -<floating>INFINITY
    if not plain:
        weights_of_lanes(weights, 0, n_rows, weight)
    # in three short loops, so that the processor works on many rows at a time
    for k in range(n_rows):
        row = rows + k * COLUMNS
        place = <Py_ssize_t> labels[k]
        largest = largest_of_eight(row, limit)
        right[k] = first_of_eight(row, largest) == place
        distance[k] = largest - row[place]
        for j in range(COLUMNS):
            row[j] = row[j] - largest if numbers[j] < n_used else -<floating>INFINITY
    for k in range(n_rows):
        row = rows + k * COLUMNS
        for j in range(COLUMNS):
            row[j] = exp_of_difference(row[j])
    for k in range(n_rows):
        row = rows + k * COLUMNS
        label = labels[k]
        own = row[<Py_ssize_t> label]
        rest = sum_of_eight_but(row, numbers, label)
        above = excess_of(rest, own)
        factor = scale
        if plain:
            far += <double> distance[k]
            product = product + (<double> above + product * <double> above)
            correct += <double> right[k]
        else:
            excess[k] = above
            factor = weight[k] * scale
            correct += <double> (weight[k] if right[k] else <floating>0.0)
        factor = factor / (rest + own)
        own = -rest * factor
        for j in range(COLUMNS):
            row[j] = own if numbers[j] == label else row[j] * factor
    if plain:
        tally.loss += far
        add_excess(product, tally)
    else:
        add_weighted_losses(head, excess, distance, weight, n_rows, tally)
    tally.correct += correct


cdef inline void sigmoids_of_eight(
    HeadKind kind, const Head* head, floating* rows, Py_ssize_t n_rows, Py_ssize_t n_classes, const floating* labels,
    const floating* weights, floating scale, Tally* tally,
) noexcept nogil:
    """`few_classes` of the sigmoids, for up to LANES rows of eight."""
    cdef floating numbers[COLUMNS]
    cdef floating limit[COLUMNS]
    cdef floating losses[COLUMNS]     # of each class, `unit` times: a loss may be next to the largest float
    cdef floating exponentials[LANES * COLUMNS]
    cdef bint right[LANES]
    cdef floating n_used = <floating> n_classes
    cdef floating off = <floating> head.off
    cdef floating on = <floating> head.on
    cdef floating weight = <floating>1.0
    cdef floating unit = <floating>0.0078125             # 2**-7, for up to 15 rows of eight
    cdef floating share = unit
    cdef floating factor = scale / <floating> n_classes
    cdef floating label, loss, slope
    cdef floating* row
    cdef double correct = 0.0
    cdef Py_ssize_t j, k
    for j in range(COLUMNS):
        numbers[j] = <floating> j
        limit[j] = <floating>INFINITY if numbers[j] < n_used else -<floating>INFINITY
        losses[j] = <floating>0.0
    for k in range(n_rows):
        row = rows + k * COLUMNS
        right[k] = first_of_eight(row, largest_of_eight(row, limit)) == <Py_ssize_t> labels[k]
    for k in range(n_rows):
        for j in range(COLUMNS):
            exponentials[k * COLUMNS + j] = exp_of_difference(-absolute(rows[k * COLUMNS + j]))
    for k in range(n_rows):
        row = rows + k * COLUMNS
        label = labels[k]
        if weights != NULL:
            weight = weights[k]
            share = weight * unit
            factor = weight * scale / <floating> n_classes
        for j in range(COLUMNS):
            loss = sigmoid_entry(
                kind, row[j], exponentials[k * COLUMNS + j], on if numbers[j] == label else off, &slope)
            losses[j] = losses[j] + (share * loss if numbers[j] < n_used else <floating>0.0)
            row[j] = slope * (factor if numbers[j] < n_used else <floating>0.0)
        correct += <double> (weight if right[k] else <floating>0.0)
    # of all classes: no label is -1
    tally.loss += <double> sum_of_eight_but(losses, numbers, -<floating>1.0) / <double> unit
    tally.correct += correct


# --- tiles -----------------------------------------------------------------------------------------------------------

cdef inline void rivals(
    const floating* tiles, Py_ssize_t n_classes, Py_ssize_t n_lanes, const floating* numbers, const floating* label,
    floating* rival,
) noexcept nogil:
    """The largest logit of the classes that are not the lane's label."""
    cdef floating largest, place, x
    cdef Py_ssize_t lane, j
    for lane in range(n_lanes):
        place = label[lane]
        largest = -<floating>INFINITY
        for j in range(n_classes):
            x = -<floating>INFINITY if numbers[j] == place else <floating>0.0
            largest = larger(tiles[j * LANES + lane] + x, largest)
        rival[lane] = largest


cdef inline void softmax_tiles(
    floating* tiles, Py_ssize_t n_classes, Py_ssize_t n_lanes, const floating* numbers, const floating* label,
    const floating* maximum, const floating* factor, floating* own, floating* rest,
) noexcept nogil:
    """factor · (p - target) of each lane.

    Of the exponentials of the differences from the maximum the label's stays in `own`, the sum of the others in `rest`.
    """
    cdef floating scale[LANES]
    cdef floating of_label[LANES]
    cdef floating e, largest, place, others, each, mine
    cdef Py_ssize_t lane, j
    # in a loop of their own, as `reduce_part`
    for lane in range(n_lanes):
        largest = maximum[lane]
        for j in range(n_classes):
            tiles[j * LANES + lane] = exp_of_difference(tiles[j * LANES + lane] - largest)
    for lane in range(n_lanes):
        place = label[lane]
        others = <floating>0.0
        mine = <floating>0.0
        for j in range(n_classes):
            e = tiles[j * LANES + lane]
            mine = e if numbers[j] == place else mine
            e = <floating>0.0 if numbers[j] == place else e
            others = others + e
        rest[lane] = others
        own[lane] = mine
    for lane in range(n_lanes):
        each = factor[lane] / (rest[lane] + own[lane])
        scale[lane] = each
        of_label[lane] = -rest[lane] * each
    for lane in range(n_lanes):
        each = scale[lane]
        mine = of_label[lane]
        place = label[lane]
        for j in range(n_classes):
            e = tiles[j * LANES + lane] * each
            tiles[j * LANES + lane] = mine if numbers[j] == place else e


cdef inline void sigmoid_tiles(
    HeadKind kind, floating* tiles, Py_ssize_t n_tiles, Py_ssize_t n_lanes, const floating* numbers,
    const floating* label, const floating* end, const floating* factor, floating off, floating on, floating* losses,
) noexcept nogil:
    """factor times the slope of each entry, and the sum of each lane's losses: of the numbers before its end or all."""
    cdef floating exponentials[BLOCK]
    cdef floating place, last, scale, loss, total, slope
    cdef Py_ssize_t lane, j
    # in a loop of their own, as `reduce_part`
    for lane in range(n_lanes):
        for j in range(n_tiles):
            exponentials[j * LANES + lane] = exp_of_difference(-absolute(tiles[j * LANES + lane]))
    for lane in range(n_lanes):
        place = label[lane]
        last = <floating>0.0 if end == NULL else end[lane]
        scale = factor[lane]
        total = <floating>0.0
        for j in range(n_tiles):
            loss = sigmoid_entry(
                kind, tiles[j * LANES + lane], exponentials[j * LANES + lane], on if numbers[j] == place else off,
                &slope)
            total = total + (loss if end == NULL or numbers[j] < last else <floating>0.0)
            tiles[j * LANES + lane] = slope * scale
        losses[lane] = total


cdef inline void each_sigmoid(
    const Head* head, floating* tiles, Py_ssize_t n_tiles, Py_ssize_t n_lanes, const floating* numbers,
    const floating* label, const floating* end, const floating* factor, floating* losses,
) noexcept nogil:
    # the kind is a constant in each call, so that each has a loop of its own
    if head.kind == EACH_SIGMOID_CROSS_ENTROPY:
        sigmoid_tiles(
            EACH_SIGMOID_CROSS_ENTROPY, tiles, n_tiles, n_lanes, numbers, label, end, factor, <floating> head.off,
            <floating> head.on, losses)
    elif head.kind == EACH_SIGMOID_MSE:
        sigmoid_tiles(
            EACH_SIGMOID_MSE, tiles, n_tiles, n_lanes, numbers, label, end, factor, <floating> head.off,
            <floating> head.on, losses)
    else:
        sigmoid_tiles(
            EACH_SIGMOID_MSE_WITHOUT_SLOPE, tiles, n_tiles, n_lanes, numbers, label, end, factor, <floating> head.off,
            <floating> head.on, losses)


cdef inline Py_ssize_t lanes_of(Py_ssize_t n_rows, Py_ssize_t group) noexcept nogil:
    """Of a tile, or a part of one, those that whole registers of `group` take with n_rows in use."""
    return min((n_rows + group - 1) // group * group, LANES)


cdef inline void few_classes(
    HeadKind kind, const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const floating* labels, const floating* weights, floating scale, Tally* tally,
) noexcept nogil:
    """Rows of logits become scale · weight times the gradient of their losses; what comes of it is added to the tally.

    There is memory for whole blocks of LANES rows, of all arrays; NULL are weights of 1. `kind` is the head's, a
    constant.
    """
    cdef floating tiles[BLOCK]
    cdef floating numbers[TILES]
    cdef const floating* label
    cdef floating weight[LANES]       # 0 in lanes without a row
    cdef floating own[LANES]          # the label's logit, and its exponential
    cdef floating rival[LANES]
    cdef floating maximum[LANES]
    cdef floating distance[LANES]     # from the label's logit to it
    cdef floating factor[LANES]
    cdef floating losses[LANES]
    cdef floating right[LANES]
    cdef Py_ssize_t group = REGISTER // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t i, j, lane, n, n_lanes
    cdef double total_correct = 0.0
    cdef bint tied
    if n_classes < 1:
        return
    # as rows where those are fewer numbers, in halves of tiles: the same for every size of registers, and so the bits
    if width == COLUMNS and n_rows * COLUMNS < n_classes * lanes_of(n_rows, COLUMNS):
        if kind != SOFTMAX_CROSS_ENTROPY:
            sigmoids_of_eight(kind, head, logits, n_rows, n_classes, labels, weights, scale, tally)
        elif weights == NULL and head.cap == 0.0:
            softmax_of_eight(True, head, logits, n_rows, n_classes, labels, weights, scale, tally)
        else:
            softmax_of_eight(False, head, logits, n_rows, n_classes, labels, weights, scale, tally)
        return
    for j in range(n_classes):
        numbers[j] = <floating> j
    # of lanes without a row, where the first block has some; in later ones they keep what they had, and weigh 0
    fill_lanes(<floating>1.0, own)
    fill_lanes(<floating>0.0, rival)
    fill_lanes(<floating>0.0, losses)
    for i from 0 <= i < n_rows by LANES:
        n = min(LANES, n_rows - i)
        n_lanes = lanes_of(n, group)
        if floating is float:
            rows_to_tiles_f(logits + i * width, width, n_lanes, tiles)
        else:
            rows_to_tiles_d(logits + i * width, width, n_lanes, tiles)
        label = labels + i
        weights_of_lanes(weights, i, n, weight)
        for lane in range(n):
            own[lane] = logits[(i + lane) * width + <Py_ssize_t> labels[i + lane]]
        rivals(tiles, n_classes, n_lanes, numbers, label, rival)
        tied = False
        for lane in range(n_lanes):
            right[lane] = weight[lane] if own[lane] > rival[lane] else <floating>0.0
            tied |= own[lane] == rival[lane]
        if tied:
            for lane in range(n):
                if own[lane] == rival[lane] and is_first_maximum(
                        logits + (i + lane) * width, n_classes, <Py_ssize_t> labels[i + lane]):
                    right[lane] = weight[lane]
        if kind == SOFTMAX_CROSS_ENTROPY:
            for lane in range(LANES):
                maximum[lane] = larger(rival[lane], own[lane])
                distance[lane] = maximum[lane] - own[lane]
                factor[lane] = weight[lane] * scale
            softmax_tiles(tiles, n_classes, n_lanes, numbers, label, maximum, factor, own, losses)
        else:
            for lane in range(LANES):
                factor[lane] = weight[lane] * scale / <floating> n_classes
            sigmoid_tiles(
                kind, tiles, n_classes, n_lanes, numbers, label, NULL, factor, <floating> head.off, <floating> head.on,
                losses)
        if floating is float:
            tiles_to_rows_f(tiles, width, n_lanes, logits + i * width)
        else:
            tiles_to_rows_d(tiles, width, n_lanes, logits + i * width)
        if kind == SOFTMAX_CROSS_ENTROPY:
            for lane in range(LANES):
                losses[lane] = excess_of(losses[lane], own[lane])
        if kind == SOFTMAX_CROSS_ENTROPY and weights == NULL and head.cap == 0.0:
            add_losses(losses, distance, weight, tally)
        elif kind == SOFTMAX_CROSS_ENTROPY:
            add_weighted_losses(head, losses, distance, weight, n_lanes, tally)
        else:
            tally.loss += weighted_sum(weight, losses)
        for lane in range(n):
            total_correct += right[lane]
    tally.correct += total_correct


# --- rows ------------------------------------------------------------------------------------------------------------

cdef inline double sigmoid_row(
    const Head* head, floating* row, Py_ssize_t n_classes, Py_ssize_t label, floating factor,
) noexcept nogil:
    """factor times the slopes of a row, whose neighbouring entries are lanes; returns the sum of its losses."""
    cdef floating tiles[BLOCK]
    cdef floating labels[LANES]      # and the number of classes, from each lane's first on: the differences are exact
    cdef floating end[LANES]
    cdef floating factors[LANES]
    cdef floating losses[LANES]
    cdef floating numbers[TILES]
    cdef Py_ssize_t j, n, lane
    cdef double total = 0.0
    for j in range(TILES):
        numbers[j] = <floating> (j * LANES)
    fill_lanes(factor, factors)
    for j from 0 <= j < n_classes by BLOCK:
        n = min(BLOCK, n_classes - j)
        for lane in range(LANES):
            labels[lane] = <floating> (label - j - lane)
            end[lane] = <floating> (n_classes - j - lane)
            tiles[(n - 1) // LANES * LANES + lane] = <floating>0.0
        memcpy(tiles, row + j, n * sizeof(floating))
        each_sigmoid(
            head, tiles, (n + LANES - 1) // LANES, LANES, numbers, labels, end, factors, losses)
        memcpy(row + j, tiles, n * sizeof(floating))
        for lane in range(LANES):
            total += losses[lane]
    return total


cdef inline void many_classes(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const int64_t* labels, const floating* weights, floating scale, Tally* tally,
) noexcept nogil:
    """The same of more than TILES classes, one row at a time."""
    cdef floating* row
    cdef Py_ssize_t i
    cdef double of_row
    cdef floating weight
    for i in range(n_rows):
        row = logits + i * width
        weight = <floating>1.0 if weights == NULL else weights[i]
        if is_first_maximum(row, n_classes, labels[i]):
            tally.correct += weight
        if head.kind == SOFTMAX_CROSS_ENTROPY:
            of_row = capped(label_row(
                row, n_classes, width, labels[i], <floating>1.0, weight * scale, <floating>0.0, row), head.cap)
        else:
            of_row = sigmoid_row(head, row, n_classes, labels[i], weight * scale / <floating> n_classes)
        tally.loss += weight * of_row


cdef inline double losses_of_row(const Head* head, Py_ssize_t n_classes) noexcept nogil:
    """How many losses of a row `differentiate` sums up, for the mean: it is rounded once, as when all are averaged."""
    return 1.0 if head.kind == SOFTMAX_CROSS_ENTROPY else <double> n_classes
