"""Rows with NaN and infinities: the limits, in every kernel of the softmax and in their losses."""

import numpy as np
import pytest

import steelfast

NAN, INF = np.nan, np.inf
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# one block of rows, one row at a time, and one class more than a vector
every_width = pytest.mark.parametrize("n_classes", [4, 7, 17, 65, 130])


def row(n_classes, changes, dtype):
    """Ordinary logits, changed at some classes."""
    logits = np.random.default_rng(80).normal(0, 2, n_classes).astype(dtype)
    for k, value in changes.items():
        logits[k] = value
    return logits


def one_hot(n_classes, k):
    return np.eye(n_classes)[k]


# changes to the row, and its log-sum-exp; None where it is an ordinary number
ALL_NAN = {
    "NaN": ({1: NAN}, NAN),
    "NaN last": ({-1: NAN}, NAN),
    "NaN beside +inf": ({0: NAN, 2: INF}, NAN),
    "NaN after +inf": ({0: INF, 2: NAN}, NAN),
    "NaN beside −inf": ({0: -INF, 3: NAN}, NAN),
    "two +inf": ({0: INF, 2: INF}, INF),
    "nothing but +inf": (dict.fromkeys(range(-4, 200), INF), INF),
    "nothing but −inf": (dict.fromkeys(range(-4, 200), -INF), -INF),
    "nothing but NaN": (dict.fromkeys(range(-4, 200), NAN), NAN),
}
ONE_INFINITE = {
    "one +inf": {2: INF},
    "+inf first": {0: INF},
    "+inf last": {-1: INF},
    "+inf beside −inf": {1: INF, 2: -INF, 3: -INF},
    "+inf beside the largest": {1: INF, 2: 1e30},
}


def special(n_classes, changes, dtype):
    return row(n_classes, {k: v for k, v in changes.items() if k < n_classes}, dtype)


def surrounded(logits):
    """The row at every place of a batch, with ordinary rows around it: it must not touch them."""
    ordinary = np.random.default_rng(81).normal(size=(35, len(logits))).astype(logits.dtype)
    for place in (0, 7, 15, 16, 34):
        batch = ordinary.copy()
        batch[place] = logits
        yield ordinary, batch, place


def assert_row(function, logits, expected):
    """The function gives this for the row alone, in any batch and along the other axis."""
    expected = np.asarray(expected, logits.dtype)
    np.testing.assert_array_equal(function(logits), expected)
    for ordinary, batch, place in surrounded(logits):
        result = function(batch)
        np.testing.assert_array_equal(result[place], expected)
        others = np.arange(len(batch)) != place
        np.testing.assert_array_equal(result[others], function(ordinary)[others])
        transposed = function(np.ascontiguousarray(batch.T), axis=0)
        np.testing.assert_array_equal(transposed.T, result)


@pytest.mark.parametrize(("changes", "log_sum"), ALL_NAN.values(), ids=ALL_NAN)
@every_width
@every_dtype
def test_rows_without_a_limit(dtype, n_classes, changes, log_sum):
    logits = special(n_classes, changes, dtype)
    nothing = np.full(n_classes, NAN)
    assert_row(steelfast.softmax, logits, nothing)
    assert_row(steelfast.log_softmax, logits, nothing)
    assert_row(steelfast.logsumexp, logits, log_sum)


@pytest.mark.parametrize("changes", ONE_INFINITE.values(), ids=ONE_INFINITE)
@every_width
@every_dtype
def test_one_infinite_logit_takes_it_all(dtype, n_classes, changes):
    logits = special(n_classes, changes, dtype)
    probs = one_hot(n_classes, np.argmax(logits))
    assert_row(steelfast.softmax, logits, probs)
    assert_row(steelfast.log_softmax, logits, np.where(probs == 1, 0, -INF))
    assert_row(steelfast.logsumexp, logits, INF)


@pytest.mark.parametrize("gone", [[0], [2], [-1], [0, 1, -1]], ids=str)
@every_width
@every_dtype
def test_minus_infinity_among_finite_logits_is_as_if_it_were_not_there(dtype, n_classes, gone):
    logits = special(n_classes, dict.fromkeys(gone, -INF), dtype)
    finite = np.isfinite(logits)
    tolerance = 6 * np.finfo(dtype).eps  # the others may be summed in another order
    probs, log_probs = steelfast.softmax(logits), steelfast.log_softmax(logits)
    assert_row(steelfast.softmax, logits, probs)
    assert_row(steelfast.log_softmax, logits, log_probs)
    np.testing.assert_allclose(probs[finite], steelfast.softmax(logits[finite]), rtol=tolerance)
    np.testing.assert_allclose(log_probs[finite], steelfast.log_softmax(logits[finite]), rtol=tolerance)
    assert np.all(probs[~finite] == 0)
    assert np.all(log_probs[~finite] == -INF)
    np.testing.assert_allclose(steelfast.logsumexp(logits), steelfast.logsumexp(logits[finite]), rtol=tolerance)


@every_width
@every_dtype
def test_all_but_one_minus_infinity(dtype, n_classes):
    logits = np.full(n_classes, -INF, dtype)
    logits[1] = -3
    assert_row(steelfast.softmax, logits, one_hot(n_classes, 1))
    assert_row(steelfast.log_softmax, logits, np.where(one_hot(n_classes, 1) == 1, 0, -INF))
    assert_row(steelfast.logsumexp, logits, -3)


@pytest.mark.parametrize(
    ("logit", "prob", "log_prob", "log_sum"),
    [(3.0, 1, 0, 3), (INF, 1, 0, INF), (-INF, NAN, NAN, -INF), (NAN, NAN, NAN, NAN)],
)
@every_dtype
def test_one_class(dtype, logit, prob, log_prob, log_sum):
    logits = np.array([logit], dtype)
    assert_row(steelfast.softmax, logits, [prob])
    assert_row(steelfast.log_softmax, logits, [log_prob])
    assert_row(steelfast.logsumexp, logits, log_sum)


@pytest.mark.parametrize("beside", [[], [-INF], [-INF] * 20, [-INF] * 99, [-1e30]])
@every_dtype
def test_what_is_certain_has_probability_one_exactly(dtype, beside):
    certain = np.concatenate([np.linspace(-100, 100, 801), [1e30, -1e20, 1e-30]]).astype(dtype)
    others = np.broadcast_to(np.array(beside, dtype), (len(certain), len(beside)))
    logits = np.column_stack([certain, others])
    np.testing.assert_array_equal(steelfast.softmax(logits)[:, 0], 1)
    np.testing.assert_array_equal(steelfast.log_softmax(logits)[:, 0], 0)
    np.testing.assert_array_equal(steelfast.logsumexp(logits), certain)
    labels = np.zeros(len(certain), int)
    losses, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, labels, reduction="none")
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("largest", [[3.4e38, 3.4e38], [3.4e38, -3.4e38], [-3.4e38, -3.4e38], [1e-45, -1e-45]])
def test_the_largest_and_smallest_numbers(largest):
    """The difference of two finite logits may be infinite: that is a probability of 0."""
    logits = np.array(largest, np.float32)
    equal = abs(largest[0] - largest[1]) < 1
    for values in logits, (logits.astype(np.float64) * (2.0**895 if logits[0] > 1 else 1)):
        np.testing.assert_array_equal(steelfast.softmax(values), [0.5, 0.5] if equal else [1, 0])
        result = float(steelfast.softmax_cross_entropy(values, 1))
        if equal:
            np.testing.assert_allclose(result, np.log(2), rtol=1e-7)
        else:
            assert result >= 6.8e38


# ---- losses and gradients


def assert_loss(logits, target, loss, grad, **options):
    """The loss and gradient of the row, alone and in any batch, apart and in one pass."""
    options["reduction"] = "none"
    grad = np.broadcast_to(grad, logits.shape)
    target = np.asarray(target)
    for ordinary, batch, place in surrounded(logits):
        targets = np.zeros((len(batch), *target.shape), target.dtype)
        if target.ndim:
            targets[:, 1] = 1
        plain = steelfast.softmax_cross_entropy_value_and_grad(ordinary, targets, **options)
        targets[place] = target
        losses, grads = steelfast.softmax_cross_entropy_value_and_grad(batch, targets, **options)
        np.testing.assert_array_equal(losses[place], np.asarray(loss, logits.dtype))
        np.testing.assert_array_equal(grads[place], grad)
        others = np.arange(len(batch)) != place
        np.testing.assert_array_equal(losses[others], plain[0][others])
        np.testing.assert_array_equal(grads[others], plain[1][others])
        for function, together in [
            (steelfast.softmax_cross_entropy, losses),
            (steelfast.softmax_cross_entropy_grad, grads),
        ]:
            np.testing.assert_array_equal(function(batch, targets, **options), together)


@pytest.mark.parametrize("changes", [changes for changes, _ in ALL_NAN.values()], ids=ALL_NAN)
@every_width
@every_dtype
def test_loss_of_rows_without_a_limit(dtype, n_classes, changes):
    logits = special(n_classes, changes, dtype)
    assert_loss(logits, 1, NAN, NAN)
    assert_loss(logits, one_hot(n_classes, 1), NAN, NAN)


@pytest.mark.parametrize("changes", ONE_INFINITE.values(), ids=ONE_INFINITE)
@every_width
@every_dtype
def test_loss_of_one_infinite_logit(dtype, n_classes, changes):
    logits = special(n_classes, changes, dtype)
    top = int(np.argmax(logits))
    other = (top + 1) % n_classes
    probs = one_hot(n_classes, top)
    assert_loss(logits, top, 0, np.zeros(n_classes))
    assert_loss(logits, probs, 0, np.zeros(n_classes))
    wrong = one_hot(n_classes, other)
    assert_loss(logits, other, INF, probs - wrong)
    assert_loss(logits, wrong, INF, probs - wrong)
    assert_loss(logits, (probs + wrong) / 2, INF, (probs - wrong) / 2)


@every_width
@every_dtype
def test_loss_of_a_label_on_minus_infinity(dtype, n_classes):
    logits = special(n_classes, {2: -INF}, dtype)
    probs = steelfast.softmax(logits)
    target = one_hot(n_classes, 2).astype(dtype)
    for targets in 2, target:
        grad = steelfast.softmax_cross_entropy_grad(logits, targets, reduction="sum")
        np.testing.assert_allclose(grad, probs - target, rtol=4 * np.finfo(dtype).eps)
        assert_loss(logits, targets, INF, grad)


@every_width
@every_dtype
def test_a_target_of_zero_on_minus_infinity_costs_nothing(dtype, n_classes):
    logits = special(n_classes, {2: -INF}, dtype)
    loss = -steelfast.log_softmax(logits)[1]
    target = one_hot(n_classes, 1).astype(dtype)
    for targets in 1, target:
        value, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, targets)
        np.testing.assert_allclose(value, loss, rtol=4 * np.finfo(dtype).eps)
        assert grad[2] == 0
        assert_loss(logits, targets, value, grad)
    soft = np.full(n_classes, 1 / (n_classes - 1), dtype)
    soft[2] = 0
    assert np.isfinite(steelfast.softmax_cross_entropy(logits, soft))


@every_width
@every_dtype
def test_smoothing_reaches_minus_infinity(dtype, n_classes):
    logits = special(n_classes, {2: -INF}, dtype)
    assert steelfast.softmax_cross_entropy(logits, 1, label_smoothing=0.1) == INF


@pytest.mark.parametrize("changes", [{1: NAN}, {1: INF, 2: INF}, dict.fromkeys(range(9), -INF)])
@every_dtype
def test_an_ignored_row_costs_nothing_whatever_is_in_it(dtype, changes):
    logits = special(9, changes, dtype)
    assert_loss(logits, -100, 0, np.zeros(9), ignore_index=-100)


@every_dtype
def test_what_is_reduced_takes_in_the_special_rows(dtype):
    logits = np.zeros((20, 3), dtype)
    logits[3, 1] = -INF
    labels = np.zeros(20, int)
    assert np.isfinite(steelfast.softmax_cross_entropy(logits, labels))
    labels[3] = 1
    assert steelfast.softmax_cross_entropy(logits, labels) == INF
    assert steelfast.softmax_cross_entropy(logits, labels, reduction="sum") == INF
    logits[4, 0] = NAN
    assert np.isnan(steelfast.softmax_cross_entropy(logits, labels))


@every_dtype
def test_sigmoid(dtype):
    x = np.array([NAN, INF, -INF, 0, 1e30, -1e30], dtype)
    np.testing.assert_array_equal(steelfast.sigmoid(x), [NAN, 1, 0, 0.5, 1, 0])
    np.testing.assert_array_equal(steelfast.log_sigmoid(x), [NAN, 0, -INF, dtype(-np.log(2)), 0, x[-1]])


@pytest.mark.parametrize("pos_weight", [None, 2.0])
@every_dtype
def test_sigmoid_cross_entropy(dtype, pos_weight):
    """The limits: certain and right costs nothing, certain and wrong everything."""
    weight = pos_weight or 1
    logits = np.array([INF, INF, -INF, -INF, NAN, NAN, INF], dtype)
    targets = np.array([1, 0, 1, 0, 1, 0, 0.5], dtype)
    losses, grad = steelfast.sigmoid_cross_entropy_value_and_grad(
        logits, targets, reduction="none", pos_weight=pos_weight
    )
    np.testing.assert_array_equal(losses, [0, INF, INF, 0, NAN, NAN, INF])
    np.testing.assert_array_equal(grad, [0, 1, -weight, 0, NAN, NAN, 0.5])


@every_dtype
def test_sigmoid_mse(dtype):
    logits = np.array([INF, INF, -INF, -INF, NAN], dtype)
    targets = np.array([1, 0, 1, 0, 1], dtype)
    losses, grad = steelfast.sigmoid_mse_value_and_grad(logits, targets, reduction="none")
    np.testing.assert_array_equal(losses, [0, 1, 1, 0, NAN])
    np.testing.assert_array_equal(grad, [0, 0, 0, 0, NAN])


@every_dtype
@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("logit", [-1, 0, 1])
@pytest.mark.parametrize("target", [INF, -INF])
def test_sigmoid_mse_of_an_infinite_target(dtype, n, logit, target):
    logits, targets = np.full(n, logit, dtype), np.full(n, target, dtype)
    losses, grad = steelfast.sigmoid_mse_value_and_grad(logits, targets, reduction="none")
    np.testing.assert_array_equal(losses, np.full(n, INF))
    np.testing.assert_array_equal(grad, np.full(n, -target))
    np.testing.assert_array_equal(steelfast.sigmoid_mse(logits, targets, reduction="none"), losses)


@every_dtype
def test_distributions(dtype):
    p = np.array([[1, 0], [1, 0], [0.5, 0.5], [0, 1], [NAN, 0.5]], dtype)
    q = np.array([[1, 0], [0, 1], [1, 0], [0.5, 0.5], [0.5, 0.5]], dtype)
    log_2 = dtype(np.log(2))
    np.testing.assert_array_equal(steelfast.entropy(p), [0, 0, log_2, 0, NAN])
    np.testing.assert_array_equal(steelfast.cross_entropy(p, q), [0, INF, INF, log_2, NAN])
    np.testing.assert_array_equal(steelfast.kl_divergence(p, q), [0, INF, INF, log_2, NAN])


@every_dtype
def test_a_negative_probability_gives_nan(dtype):
    p, q = np.array([0.5, 0.5], dtype), np.array([-0.5, 1.5], dtype)
    assert np.isnan(steelfast.cross_entropy(p, q))
    assert np.isnan(steelfast.kl_divergence(p, q))
    assert np.isnan(steelfast.entropy(q))
