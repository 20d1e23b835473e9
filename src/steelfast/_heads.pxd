"""The heads of training: rows of logits become the gradients of their losses, where they stand.

In plain numbers, to a few units in the last place of the losses and of every entry of a gradient: logits that come
from a product of matrices are rounded to no less, so that pairs, as in `_loss_rows`, would be lost on them. What is
small keeps its digits all the same: p - 1 is minus the sum of the others, and a loss near 0 their logarithm's.

Logits are transposed into tiles as in `_rows`, of which only the lanes that are in use are worked on, whole registers
of them. A NaN makes the loss NaN, by which training notices; so does an infinite logit, or makes it infinite, unless
loss and gradient have limits there: a probability of 0, a sigmoid of 0 or 1.
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

cdef enum:
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


cdef inline bint is_first_maximum(const floating* row, Py_ssize_t n_classes, Py_ssize_t label) noexcept nogil:
    cdef Py_ssize_t j
    cdef bint beaten = row[label] != row[label]        # what is no number is not the largest
    for j in range(n_classes):
        beaten |= (row[j] > row[label]) | ((row[j] == row[label]) & (j < label))
    return not beaten


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


cdef inline double sum_in_pairs(const floating* lanes) noexcept nogil:
    """In double, for a loss may be next to the largest float; one after the other would wait for each other."""
    cdef double sums[FOLDED]
    cdef Py_ssize_t lane
    for lane in range(FOLDED):
        sums[lane] = <double> lanes[lane] + <double> lanes[lane + FOLDED]
    for lane in range(FOLDED // 2):
        sums[lane] = sums[lane] + sums[lane + FOLDED // 2]
    return (sums[0] + sums[2]) + (sums[1] + sums[3])


cdef inline void add_losses(
    const floating* excess, const floating* distance, const floating* weight, Tally* tally,
) noexcept nogil:
    """log(1 + excess) + distance of the lanes whose weight is 1, and not 0, but for the logarithm.

    log(1 + a) + log(1 + b) = log(1 + (a + b + a · b)), whose terms are all positive, so that small ones lose nothing.
    So one logarithm will do, when there is time for it. A float is large enough: 16 lanes of 128 classes reach 2¹¹².
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
    tally.excess = tally.excess + (product + tally.excess * product)
    if tally.excess > 1e200:             # beside which 1 is nothing
        tally.loss += log(tally.excess)
        tally.excess = 0.0


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
    cdef floating low, x
    cdef Py_ssize_t group = REGISTER // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t i, j, lane, n, n_lanes
    cdef double total_correct = 0.0
    cdef bint tied
    if n_classes < 1:
        return
    for j in range(n_classes):
        numbers[j] = <floating> j
    # of lanes without a row, where the first block has some; in later ones they keep what they had, and weigh 0
    fill_lanes(<floating>1.0, own)
    fill_lanes(<floating>0.0, rival)
    fill_lanes(<floating>0.0, losses)
    for i from 0 <= i < n_rows by LANES:
        n = min(LANES, n_rows - i)
        n_lanes = (n + group - 1) // group * group
        if floating is float:
            rows_to_tiles_f(logits + i * width, width, n_lanes, tiles)
        else:
            rows_to_tiles_d(logits + i * width, width, n_lanes, tiles)
        label = labels + i
        if weights == NULL:
            for lane in range(LANES):
                weight[lane] = <floating>1.0 if lane < n else <floating>0.0
        else:
            for lane in range(LANES):
                x = weights[i + lane]
                weight[lane] = x if lane < n else <floating>0.0
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
                # the sum of all but for one of the largest, whose exponential is 1: where it is the label's, exactly
                # the others
                losses[lane] = losses[lane] + (own[lane] - <floating>1.0)
        if kind == SOFTMAX_CROSS_ENTROPY and weights == NULL and head.cap == 0.0:
            add_losses(losses, distance, weight, tally)
        else:
            if kind == SOFTMAX_CROSS_ENTROPY:
                for lane in range(n_lanes):
                    losses[lane] = log1p(losses[lane], <floating>0.0, &low) + distance[lane]
                if head.cap != 0.0:
                    for lane in range(n):
                        losses[lane] = capped(losses[lane], head.cap)
            for lane in range(LANES):
                losses[lane] = weight[lane] * losses[lane] if weight[lane] != <floating>0.0 else <floating>0.0
            tally.loss += sum_in_pairs(losses)
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
