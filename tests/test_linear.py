"""The kernels of the linear model against NumPy: epochs of every shape, sums of gradients, logits, shuffling."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit, log_expit, log_softmax, softmax
from scipy.stats import chisquare

from steelfast import _kernels
from steelfast.optimizers import SGD, Adam, Momentum, RMSProp
from steelfast.schedules import Cosine

# kind, cap, off, on
SETTINGS = [
    ("softmax_cross_entropy", 0.0, 0.0, 1.0),
    ("softmax_cross_entropy", 1e-10, 0.0, 1.0),
    ("sigmoid_cross_entropy", 0.0, 0.0, 1.0),
    ("sigmoid_mse", 0.0, 0.0, 1.0),
    ("sigmoid_mse", 0.0, 0.5, 0.7),
    ("sigmoid_mse_without_slope", 0.0, 0.5, 0.7),
]
# features, classes, rows, batch size: blocks that are full or not, tiles that are or not, no features, a single class
SHAPES = [
    (27, 7, 155, 10),
    (5, 3, 23, 4),
    (27, 7, 300, 128),
    (27, 7, 40, 1),
    (10, 200, 100, 33),
    (3, 130, 50, 7),
    (2, 2500, 12, 5),
    (40, 16, 333, 100),
    (600, 40, 90, 90),
    (1, 1, 20, 3),
    (0, 2, 9, 2),
    (4, 3, 5, 100),
]
OPTIMIZERS = {
    "sgd": partial(SGD, 0.1),
    "decaying": partial(SGD, 0.1, weight_decay=0.1),
    "momentum": partial(Momentum, 0.1),
    "nesterov": partial(Momentum, 0.1, nesterov=True),
    "rmsprop": partial(RMSProp, 0.01),
    "adam": partial(Adam, 0.01),
    "adamw": partial(Adam, 0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "scheduled": partial(Adam, Cosine(0.01, 30)),
}

every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}")
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])
# a few rows of few classes take another way than many
in_parts_or_not = pytest.mark.parametrize("most_rows", [10**6, 10, 3])


def differentiate_logits(logits, labels, settings, weights, divisor, most_rows):
    """The kernel's sums, of so many rows in a call."""
    loss, correct = 0.0, 0.0
    for start in range(0, len(logits), most_rows):
        part = slice(start, start + most_rows)
        of_rows = None if weights is None else weights[part]
        sums = _kernels.differentiate_logits(logits[part], labels[part], *settings, of_rows, divisor)
        loss, correct = loss + sums[0], correct + sums[1]
    return loss, correct


def rows_of(n_features, n_classes, n_rows, weighted, dtype):
    """Rows and labels, parameters, weights of the rows: in this dtype."""
    rng = np.random.default_rng(n_features + n_classes)
    parameters = rng.normal(0, 1 / np.sqrt(n_features + 1), (n_features + 1, n_classes)).astype(dtype)
    weights = rng.uniform(0, 2, n_rows) * (rng.random(n_rows) < 0.8) if weighted else None
    return (
        rng.normal(size=(n_rows, n_features)).astype(dtype),
        rng.integers(0, n_classes, n_rows),
        parameters,
        None if weights is None else weights.astype(dtype),
    )


def losses_and_grads(z, labels, kind, cap, off, on):
    """Of each row, by the textbook's formulas."""
    y = np.eye(z.shape[1])[labels]
    if kind == "softmax_cross_entropy":
        return -np.log(np.exp((y * log_softmax(z, axis=1)).sum(axis=1)) + cap), softmax(z, axis=1) - y
    p = expit(z)
    if kind == "sigmoid_cross_entropy":
        return -(y * log_expit(z) + (1 - y) * log_expit(-z)).mean(axis=1), (p - y) / z.shape[1]
    y = off + (on - off) * y
    slope = p * (1 - p) if kind == "sigmoid_mse" else 1
    return ((p - y) ** 2).mean(axis=1), 2 * (p - y) * slope / z.shape[1]


def step(X, labels, parameters, settings, weights):
    """Sums of the losses, of the weights of rows that are right, and of the gradients, in float64."""
    x = np.column_stack([X, np.ones(len(X))]).astype(np.float64)
    z = x @ parameters.astype(np.float64)
    weights = np.ones(len(X)) if weights is None else weights.astype(np.float64)
    losses, grads = losses_and_grads(z, labels, *settings)
    return weights @ losses, weights @ (z.argmax(axis=1) == labels), x.T @ (weights[:, None] * grads)


@weighted_or_not
@every_setting
@every_shape
@every_dtype
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_epoch_is_that_of_numpy(l2, dtype, shape, settings, weighted):
    n_features, n_classes, n_rows, batch_size = shape
    X, labels, parameters, weights = rows_of(n_features, n_classes, n_rows, weighted, dtype)
    order = np.random.default_rng(0).permutation(n_rows)
    expected, losses, accuracies = parameters.astype(np.float64), [], []
    for start in range(0, n_rows, batch_size):
        rows = order[start : start + batch_size]
        loss, correct, grad = step(
            X[rows], labels[rows], expected, settings, None if weights is None else weights[rows]
        )
        losses.append(loss / len(rows))
        accuracies.append(correct / len(rows))
        grad /= len(rows)
        grad[:-1] += l2 * expected[:-1]
        expected -= 0.1 * grad

    optimizer = SGD(0.1)
    plan = optimizer.begin(parameters, -(-n_rows // batch_size))
    figures = _kernels.train_linear_epochs(
        X, labels, order[np.newaxis], parameters, batch_size, *settings, weights, l2, plan
    )
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(figures[0, 0], losses, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(figures[0, 1], accuracies, rtol=tolerance)


@every_dtype
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_epochs_together_are_epochs_one_by_one(name, dtype):
    """To the last bit, with a partial minibatch at the end of each."""
    X, labels, parameters, weights = rows_of(27, 7, 100, True, dtype)
    orders = np.array([np.random.default_rng(k).permutation(100) for k in range(5)])
    together, one_by_one, expected = OPTIMIZERS[name](), OPTIMIZERS[name](), parameters.copy()
    rest = (32, *SETTINGS[0], weights, 0.01)
    figures = _kernels.train_linear_epochs(X, labels, orders, parameters, *rest, together.begin(parameters, 20))
    for order, figure in zip(orders, figures, strict=True):
        plan = one_by_one.begin(expected, 4)
        [single] = _kernels.train_linear_epochs(X, labels, order[np.newaxis], expected, *rest, plan)
        np.testing.assert_array_equal(figure, single)
    np.testing.assert_array_equal(parameters, expected)


@every_dtype
@pytest.mark.parametrize("n_finite", [0, 2])
def test_epochs_end_where_the_finite_numbers_do(dtype, n_finite):
    X, labels, parameters, _ = rows_of(5, 3, 20, False, dtype)
    plan = SGD(0.1).begin(parameters, 8)
    plan.rates[2 * n_finite + 1] = np.finfo(dtype).max
    orders = np.tile(np.arange(20), (4, 1))
    figures = _kernels.train_linear_epochs(X * 1e5, labels, orders, parameters, 10, *SETTINGS[0], None, 0.0, plan)
    assert len(figures) == n_finite + 1
    assert np.isfinite(figures).all()
    assert not np.isfinite(parameters).all()


@every_setting
def test_columns_that_are_padding_stay_zero(settings):
    """Whichever way a minibatch takes, or large features would drive them out of the numbers within some epochs."""
    X, labels, parameters, _ = rows_of(27, 7, 100, False, np.float32)
    orders = np.tile(np.arange(100), (30, 1))
    plan = SGD(1e-3).begin(parameters, 2 * 30)
    X *= 100
    figures = _kernels.train_linear_epochs(X, labels, orders, parameters, 90, *settings, None, 0.0, plan)
    assert len(figures) == 30
    assert np.isfinite(figures).all()


@every_dtype
def test_epochs_end_with_a_loss_that_is_not_finite(dtype):
    """Though every parameter is."""
    X, labels, parameters = np.full((4, 1), 10, dtype), np.zeros(4, np.int64), np.zeros((2, 3), dtype)
    parameters[0, 0] = -np.finfo(dtype).max
    plan = SGD(0.1).begin(parameters, 3)
    orders = np.tile(np.arange(4), (3, 1))
    figures = _kernels.train_linear_epochs(X, labels, orders, parameters, 4, *SETTINGS[0], None, 0.0, plan)
    assert figures[:, 0].tolist() == [[np.inf]]
    assert np.isfinite(parameters).all()


@every_dtype
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_steps_are_those_of_the_optimizer(name, dtype):
    """And what is remembered goes along to the next epoch, and to the steps after it."""
    X, labels, parameters, _ = rows_of(27, 7, 100, False, dtype)
    settings, order = SETTINGS[0], np.arange(100)
    fused, one_by_one = OPTIMIZERS[name](), OPTIMIZERS[name]()
    expected = parameters.copy()
    for _ in range(2):
        _kernels.train_linear_epochs(
            X, labels, order[np.newaxis], parameters, 32, *settings, None, 0.0, fused.begin(parameters, 4)
        )
        for start in range(0, 100, 32):
            rows = slice(start, start + 32)
            _, _, grad = _kernels.linear_loss_and_grad(X[rows], labels[rows], expected, *settings, None)
            one_by_one.update(expected, grad / dtype(len(X[rows])))
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-13 if dtype == np.float64 else 2e-6)
    gradient = np.ones_like(parameters)
    fused.update(parameters, gradient)
    one_by_one.update(expected, gradient)
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-13 if dtype == np.float64 else 2e-6)


@every_dtype
@pytest.mark.parametrize("n_classes", [3, 8, 9])
@pytest.mark.parametrize("batch_size", [*range(1, 13), 64, 65])
def test_minibatches_together_are_minibatches_one_by_one(batch_size, n_classes, dtype):
    """To the last bit: within a call, a step may bring the logits of the rows that come next."""
    settings = ("softmax_cross_entropy", 0.0, 0.0, 1.0)
    n_rows = 4 * batch_size + batch_size // 2
    n_steps = -(-n_rows // batch_size)
    rates = np.linspace(0.05, 0.2, n_steps)
    for n_features in (0, 1, 2, 3, 8, 9, 10, 13, 27, 40):
        X, labels, parameters, weights = rows_of(n_features, n_classes, n_rows, True, dtype)
        order = np.random.default_rng(0).permutation(n_rows)
        one_by_one, figures = parameters.copy(), []
        for rate, start in zip(rates, range(0, n_rows, batch_size), strict=True):
            rows = order[np.newaxis, start : start + batch_size]
            plan = SGD(float(rate)).begin(one_by_one, 1)
            figures.append(
                _kernels.train_linear_epochs(X, labels, rows, one_by_one, batch_size, *settings, weights, 0.0, plan)
            )
        plan = SGD(rates.take).begin(parameters, n_steps)
        together = _kernels.train_linear_epochs(
            X, labels, order[np.newaxis], parameters, batch_size, *settings, weights, 0.0, plan
        )
        np.testing.assert_array_equal(parameters, one_by_one, str(n_features))
        np.testing.assert_array_equal(together, np.concatenate(figures, axis=2), str(n_features))


@every_dtype
@pytest.mark.parametrize("batch_size", [1, 10, 64, 65, 100])
def test_a_plain_step_has_the_same_bits_however_it_is_taken(batch_size, dtype):
    """Together with the gradient, or after it, as that of a momentum of 0 and those of batches in several parts."""
    X, labels, parameters, _ = rows_of(27, 7, 100, False, dtype)
    orders = np.stack([np.random.default_rng(k).permutation(100) for k in range(3)])
    results = []
    for optimizer in (SGD(0.1), Momentum(0.1, momentum=0.0)):
        learned = parameters.copy()
        plan = optimizer.begin(learned, 3 * -(-100 // batch_size))
        figures = _kernels.train_linear_epochs(X, labels, orders, learned, batch_size, *SETTINGS[0], None, 0.0, plan)
        results.append((learned, figures))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert not np.array_equal(results[0][0], parameters)


@weighted_or_not
@every_setting
@every_shape
@every_dtype
def test_sums_are_those_of_numpy(dtype, shape, settings, weighted):
    n_features, n_classes, n_rows, _ = shape
    X, labels, parameters, weights = rows_of(n_features, n_classes, n_rows, weighted, dtype)
    before = parameters.copy()
    loss, correct, grad = _kernels.linear_loss_and_grad(X, labels, parameters, *settings, weights)
    expected = step(X, labels, parameters, settings, weights)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert loss == pytest.approx(expected[0], rel=tolerance)
    assert correct == pytest.approx(expected[1], rel=tolerance)
    np.testing.assert_allclose(grad, expected[2], rtol=0, atol=tolerance * n_rows)
    np.testing.assert_array_equal(parameters, before)


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s[0] != "sigmoid_mse_without_slope" and not s[1]], ids=str)
def test_the_gradient_is_that_of_the_loss(settings):
    """Against differences of the loss."""
    X, labels, parameters, weights = rows_of(4, 3, 20, True, np.float64)
    _, _, grad = _kernels.linear_loss_and_grad(X, labels, parameters, *settings, weights)
    h = 1e-5
    for k in np.ndindex(parameters.shape):
        there, back = parameters.copy(), parameters.copy()
        there[k] += h
        back[k] -= h
        up, down = (_kernels.linear_loss_and_grad(X, labels, p, *settings, weights)[0] for p in (there, back))
        assert (up - down) / (2 * h) == pytest.approx(grad[k], rel=1e-6, abs=1e-8)


@every_dtype
@every_setting
@pytest.mark.parametrize("n_classes", [3, 7, 200])
@in_parts_or_not
def test_a_row_without_weight_costs_nothing(most_rows, n_classes, settings, dtype):
    """Even where its logits are not finite."""
    X, labels, parameters, _ = rows_of(5, n_classes, 20, False, dtype)
    parameters *= 100
    weights = np.ones(20, dtype)
    weights[7] = 0
    expected = _kernels.linear_loss_and_grad(X, labels, parameters, *settings, weights)
    X[7] = np.finfo(dtype).max
    for computed, right in zip(
        _kernels.linear_loss_and_grad(X, labels, parameters, *settings, weights), expected, strict=True
    ):
        np.testing.assert_array_equal(computed, right)
    for wrong in (np.nan, np.inf, -np.inf):
        logits = np.ones((20, n_classes), dtype)
        logits[7, ::2] = wrong
        loss, correct = differentiate_logits(logits, labels, settings, weights, 1.0, most_rows)
        assert np.isfinite([loss, correct]).all()
        assert np.isfinite(logits).all()
        assert not logits[7].any()


@pytest.mark.parametrize("n_classes", [3, 200])
def test_saturated_logits_have_the_exact_loss(n_classes):
    """1000 too little is a loss of 1000, and where the label is as sure the loss is what is left, not 0."""
    parameters = np.zeros((2, n_classes))
    parameters[0, 0] = 1.0
    X, labels = np.array([[1000.0], [30.0]]), np.array([1, 0])
    plan = SGD(0.0).begin(parameters, 2)
    figures = _kernels.train_linear_epochs(
        X, labels, np.arange(2)[np.newaxis], parameters, 1, *SETTINGS[0], None, 0.0, plan
    )
    np.testing.assert_allclose(figures[0, 0], [1000, np.log1p((n_classes - 1) * np.exp(-30))], rtol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 7, 100, 200])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0, 1000.0])
@in_parts_or_not
@every_dtype
def test_gradients_of_the_softmax_keep_their_digits(dtype, most_rows, scale, n_classes):
    """Every entry, to a few units and what the difference of two logits loses; near 0 and 1 too, against 80 bits."""
    rng = np.random.default_rng(n_classes)
    logits = (scale * rng.normal(size=(500, n_classes))).astype(dtype)
    labels = rng.integers(0, n_classes, 500)
    labels[::2] = logits[::2].argmax(axis=1)
    z = logits.astype(np.longdouble)
    below = z.max(axis=1, keepdims=True) - z
    exps, is_label = np.exp(-below), np.arange(n_classes) == labels[:, np.newaxis]
    others = np.where(is_label, 0, exps).sum(axis=1, keepdims=True)
    expected = np.where(is_label, -others, exps) / exps.sum(axis=1, keepdims=True)
    differentiate_logits(logits, labels, SETTINGS[0], None, 1.0, most_rows)
    # terms that are no normal numbers count as 0
    least = n_classes * np.finfo(dtype).tiny
    allowed = np.where(is_label, np.where(exps > least, below, 0).max(axis=1, keepdims=True), below)
    error = np.abs(logits - expected) / np.finfo(dtype).eps
    assert (error <= (8 + allowed / 2) * np.abs(expected) + (least / np.finfo(dtype).eps)).all()


@pytest.mark.parametrize("settings", SETTINGS[2:], ids=str)
@pytest.mark.parametrize("n_classes", [7, 200])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@in_parts_or_not
@every_dtype
def test_gradients_of_the_sigmoids_keep_their_digits(dtype, most_rows, scale, n_classes, settings):
    """The same; but of targets between 0 and 1 to a few units of the difference's terms."""
    kind, _, off, on = settings
    rng = np.random.default_rng(n_classes)
    logits = (scale * rng.normal(size=(200, n_classes))).astype(dtype)
    labels = rng.integers(0, n_classes, 200)
    z = logits.astype(np.longdouble)
    p, q = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
    y = np.where(np.arange(n_classes) == labels[:, np.newaxis], np.longdouble(dtype(on)), np.longdouble(dtype(off)))
    residual = np.where(z < 0, p - y, (1 - y) - q)
    terms = np.where(z < 0, p + y, (1 - y) + q) if off > 0 else np.abs(residual)
    slope = {"sigmoid_cross_entropy": 1, "sigmoid_mse": 2 * p * q, "sigmoid_mse_without_slope": 2}[kind]
    differentiate_logits(logits, labels, settings, None, 1.0, most_rows)
    error = np.abs(logits - residual * slope / n_classes) / np.finfo(dtype).eps
    assert (error <= 8 * terms * slope / n_classes + np.finfo(dtype).tiny / np.finfo(dtype).eps).all()


@every_setting
@pytest.mark.parametrize("n_classes", [3, 5, 8, 200])
@in_parts_or_not
@every_dtype
def test_a_loss_of_what_is_no_number_is_none(dtype, most_rows, n_classes, settings):
    """Wherever it stands: by that training notices."""
    for wrong in (0, 1, n_classes - 1):
        logits = np.zeros((20, n_classes), dtype)
        logits[7, wrong] = np.nan
        loss, _ = differentiate_logits(logits, np.ones(20, np.int64), settings, None, 1.0, most_rows)
        assert np.isnan(loss)
        assert np.isnan(logits[7]).any()
        assert np.isfinite(np.delete(logits, 7, axis=0)).all()


def test_a_label_that_float32_cannot_count_to():
    label = 2**24 + 1
    logits = np.zeros((1, 2**24 + 8), np.float32)
    _kernels.differentiate_logits(logits, np.array([label]), *SETTINGS[2], None, 1.0)
    assert np.flatnonzero(logits[0] < 0).tolist() == [label]


def test_the_first_of_equal_logits_is_what_is_predicted():
    for n_classes in (3, 200):
        for label in (0, 1, n_classes - 1):
            X, labels = np.zeros((5, 2)), np.full(5, label)
            _, correct, _ = _kernels.linear_loss_and_grad(X, labels, np.zeros((3, n_classes)), *SETTINGS[0], None)
            assert correct == (5 if label == 0 else 0)


@every_dtype
@every_setting
@pytest.mark.parametrize("n_classes", [2, 7, 8, 9, 200])
@in_parts_or_not
def test_of_equal_logits_the_first_is_predicted_in_every_row(most_rows, n_classes, settings, dtype):
    rng = np.random.default_rng(n_classes)
    logits = rng.integers(0, 3, (37, n_classes)).astype(dtype)
    labels = rng.integers(0, min(n_classes, 7), 37)
    expected = int((logits.argmax(axis=1) == labels).sum())
    assert 0 < expected < 37
    assert differentiate_logits(logits, labels, settings, None, 1.0, most_rows)[1] == expected


@in_parts_or_not
@every_dtype
@pytest.mark.parametrize("settings", SETTINGS[2:], ids=str)
@pytest.mark.parametrize("n_classes", [5, 8])
def test_infinite_logits_are_compared_like_others(n_classes, settings, dtype, most_rows):
    """Where sigmoids have reached 0 and 1, losses and training go on."""
    pairs = np.array(list(np.ndindex(n_classes, n_classes)))
    logits = np.zeros((len(pairs), n_classes), dtype)
    np.put_along_axis(logits, pairs, np.inf, axis=1)
    expected = int((logits.argmax(axis=1) == pairs[:, 1]).sum())
    labels = pairs[:, 1].copy()
    assert n_classes < expected < len(pairs)
    assert differentiate_logits(logits, labels, settings, None, 1.0, most_rows)[1] == expected


@pytest.mark.parametrize("n_rows", [1, 40])
def test_an_infinite_feature_does_not_reach_what_is_padding(n_rows):
    X, parameters = np.array([[np.inf, 1.0]]), np.array([[1.0, -1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    rows, labels = np.repeat(X, n_rows, axis=0), np.zeros(n_rows, np.int64)
    loss, correct, _ = _kernels.linear_loss_and_grad(rows, labels, parameters, *SETTINGS[3], None)
    assert loss / n_rows == pytest.approx(1 / 3)
    assert correct == n_rows


@pytest.mark.parametrize("n_classes", [3, 7])
@in_parts_or_not
def test_losses_next_to_the_largest_float_have_a_sum(most_rows, n_classes):
    logits = np.zeros((16, n_classes), np.float32)
    logits[:, 0] = 2e38
    for weights in (None, np.ones(16, np.float32)):
        total, _ = differentiate_logits(logits.copy(), np.ones(16, int), SETTINGS[0], weights, 1.0, most_rows)
        assert total == pytest.approx(3.2e39, rel=1e-6)


@pytest.mark.parametrize("n_classes", [3, 7])
@in_parts_or_not
def test_so_have_those_of_sigmoids(most_rows, n_classes):
    """A row's, which is that of two logits, is a float."""
    logits = np.zeros((16, n_classes), np.float32)
    logits[:, 0], logits[:, 1] = 1.6e38, -1.6e38
    for weights in (None, np.ones(16, np.float32)):
        total, _ = differentiate_logits(logits.copy(), np.ones(16, int), SETTINGS[2], weights, 1.0, most_rows)
        assert total == pytest.approx(16 * 3.2e38 / n_classes, rel=1e-6)


@every_dtype
def test_gradients_of_any_size_leave_the_rows_after_them_alone(dtype):
    """The last rows, fewer than a block, find the memory of large gradients behind them."""
    logits = np.zeros((65, 5), dtype)
    logits[:, 0] = 3
    total, right = _kernels.differentiate_logits(logits, np.ones(65, int), *SETTINGS[0], None, 1e-30)
    assert total == pytest.approx(65 * (3 + np.log1p(4 * np.exp(-3.0))), rel=1e-6)
    assert right == 0


@pytest.mark.parametrize("n_classes", [3, 7, 200])
def test_a_label_that_is_no_number_is_not_right(n_classes):
    """Nor is it because another row has two largest logits."""
    logits = np.zeros((2, n_classes))
    logits[0, 0] = np.nan
    logits[1, :2] = 1
    assert _kernels.differentiate_logits(logits, np.array([0, 1]), *SETTINGS[0], None, 1.0)[1] == 0


@every_dtype
@pytest.mark.parametrize("n_rows", [1, 8, 9, 16, 23, 100])
def test_small_losses_keep_their_digits_in_a_sum(n_rows, dtype):
    """Whether each is a logarithm of its own, as where rows have weights, or all are one."""
    rng = np.random.default_rng(n_rows)
    labels = rng.integers(0, 7, n_rows)
    logits = rng.normal(size=(n_rows, 7)).astype(dtype)
    logits[np.arange(n_rows), labels] += rng.uniform(20, 60, n_rows).astype(dtype)
    z = logits.astype(np.longdouble)
    others = np.exp(z - z[np.arange(n_rows), labels][:, None])
    others[np.arange(n_rows), labels] = 0
    expected = np.log1p(others.sum(axis=1)).sum()
    for weights in (None, np.ones(n_rows, dtype)):
        total, right = _kernels.differentiate_logits(logits.copy(), labels, *SETTINGS[0], weights, 1.0)
        assert right == n_rows
        # the exponent, up to 64, is rounded before it is taken
        assert abs(total - expected) <= 64 * np.finfo(dtype).eps * expected


@every_dtype
@pytest.mark.parametrize("n_classes", [2, 128])
def test_the_losses_of_many_rows_have_a_sum(n_classes, dtype):
    """Their logarithms are taken of products, which would leave the numbers that there are."""
    n_rows = 5000
    logits, labels = np.zeros((n_rows, n_classes), dtype), np.arange(n_rows) % n_classes
    total, right = _kernels.differentiate_logits(logits, labels, *SETTINGS[0], None, 1.0)
    assert total == pytest.approx(n_rows * np.log(n_classes), rel=1e-6 if dtype == np.float32 else 1e-13)
    assert right == -(-n_rows // n_classes)
    X, parameters = np.zeros((n_rows, 1), dtype), np.zeros((2, n_classes), dtype)
    orders = np.arange(n_rows)[None]
    plan = SGD(0.0).begin(parameters, 2)
    figures = _kernels.train_linear_epochs(X, labels, orders, parameters, 4000, *SETTINGS[0], None, 0.0, plan)
    np.testing.assert_allclose(figures[0, 0], np.log(n_classes), rtol=1e-6 if dtype == np.float32 else 1e-13)


# ---- logits


@every_dtype
@pytest.mark.parametrize("of_rows", [np.float32, np.float64])
@pytest.mark.parametrize("scaled", [False, True])
@every_shape
def test_logits_are_those_of_numpy(shape, scaled, of_rows, dtype):
    n_features, n_classes, n_rows, _ = shape
    X, _, parameters, _ = rows_of(n_features, n_classes, n_rows, False, of_rows)
    parameters = parameters.astype(dtype)
    rng = np.random.default_rng(1)
    mean, factor = rng.normal(size=n_features), rng.uniform(0.5, 2, n_features)
    logits = _kernels.linear_logits(X, parameters, *((mean, factor) if scaled else ()))
    x = ((X - mean) * factor if scaled else X).astype(np.float64)
    assert logits.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(logits, x @ parameters[:-1] + parameters[-1], rtol=0, atol=tolerance)


@every_dtype
@pytest.mark.parametrize("n_classes", range(1, 19))
def test_logits_of_any_number_of_rows_and_classes(n_classes, dtype):
    """Rows are stored together with what comes after them, but for the last ones."""
    X, _, parameters, _ = rows_of(3, n_classes, 40, False, dtype)
    expected = (X.astype(np.float64) @ parameters[:-1] + parameters[-1]).astype(dtype)
    for n_rows in range(41):
        logits = _kernels.linear_logits(X[:n_rows], parameters)
        np.testing.assert_allclose(logits, expected[:n_rows], rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)


@every_dtype
@pytest.mark.parametrize("n_classes", [1, 2, 7, 8, 33])
def test_first_maxima_are_those_of_numpy(n_classes, dtype):
    """Of equal ones too, and of infinite ones."""
    rng = np.random.default_rng(n_classes)
    for n_rows in (0, 1, 5, 1000):
        logits = rng.integers(-3, 4, (n_rows, n_classes)).astype(dtype)
        logits[logits == 3] = np.inf
        logits[logits == -3] = -np.inf
        places = _kernels.first_maxima(logits)
        assert places.dtype == np.intp
        np.testing.assert_array_equal(places, logits.argmax(axis=1))


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((2, 3), int), "logits must be float32 or float64"),
        (np.zeros((2, 6))[:, ::2], "logits must be a C-ordered array"),
        (np.zeros(3), "2 dimensions"),
        (np.zeros((2, 0)), "at least one class"),
    ],
)
def test_rows_without_a_first_maximum_are_refused(logits, message):
    with pytest.raises(ValueError, match=message):
        _kernels.first_maxima(logits)


@every_dtype
def test_logits_of_a_row_depend_on_that_row_alone(dtype):
    X, _, parameters, _ = rows_of(27, 7, 200, False, np.float64)
    parameters, mean, factor = parameters.astype(dtype), np.linspace(-1, 1, 27), np.linspace(0.1, 3, 27)
    together = _kernels.linear_logits(X, parameters, mean, factor)
    for first, last in ((0, 1), (3, 20), (64, 200), (199, 200)):
        alone = _kernels.linear_logits(X[first:last], parameters, mean, factor)
        np.testing.assert_array_equal(alone, together[first:last])


@every_dtype
def test_a_plain_table_is_finite_and_contiguous(dtype):
    largest, tiny = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    table = np.array([[0.0, -0.0, 1.0], [largest, -largest, tiny], [largest, largest, -tiny]], dtype)
    assert _kernels.is_plain_table(table)
    assert _kernels.is_plain_table(np.zeros((0, 3), dtype))
    for k, wrong in enumerate([np.nan, np.inf, -np.inf, -np.nan] * 30):
        large = np.ones((8, 15), dtype)
        large.flat[k] = wrong
        assert not _kernels.is_plain_table(large)
        assert _kernels.is_plain_table(large, finite=False)
    for other in (table.T, table[:, ::2], table[0], table[np.newaxis], table.tolist(), None):
        assert not _kernels.is_plain_table(other)
        assert not _kernels.is_plain_table(other, finite=False)
    assert not _kernels.is_plain_table(table.astype(table.dtype.newbyteorder()))
    assert not _kernels.is_plain_table(np.zeros((2, 3), np.int64))
    unaligned = np.frombuffer(b"x" + table.tobytes(), dtype, count=9, offset=1).reshape(3, 3)
    assert not _kernels.is_plain_table(unaligned)


def test_no_rows():
    parameters, nothing = np.ones((3, 2)), np.empty(0, np.int64)
    assert _kernels.linear_logits(np.empty((0, 2)), parameters).shape == (0, 2)
    loss, correct, grad = _kernels.linear_loss_and_grad(np.empty((0, 2)), nothing, parameters, *SETTINGS[0], None)
    assert (loss, correct, grad.any()) == (0, 0, False)


# ---- shuffling


def test_a_shuffle_is_a_permutation_and_the_seed_decides_it():
    orders = []
    for seed in (1, 1, 2):
        order = np.arange(1000)
        _kernels.shuffle(order, np.random.PCG64(seed))
        assert sorted(order) == list(range(1000))
        orders.append(order.tolist())
    assert orders[0] == orders[1] != orders[2]


def test_a_shuffle_from_the_start_forgets_what_was_there():
    order, expected = np.full(1000, 7), np.arange(1000)
    _kernels.shuffle(order, np.random.PCG64(1), from_start=True)
    _kernels.shuffle(expected, np.random.PCG64(1))
    np.testing.assert_array_equal(order, expected)


def test_shuffles_are_uniform():
    """All 24 orders of four numbers come equally often, and so does every number at every place of thirteen."""
    source, counts, places = np.random.PCG64(3), {}, np.zeros((13, 13))
    for _ in range(24_000):
        few, more = np.arange(4), np.arange(13)
        _kernels.shuffle(few, source)
        _kernels.shuffle(more, source)
        counts[tuple(few)] = counts.get(tuple(few), 0) + 1
        places[np.arange(13), more] += 1
    assert len(counts) == 24
    assert chisquare(list(counts.values())).pvalue > 1e-4
    assert chisquare(places.ravel(), ddof=24).pvalue > 1e-4


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_shuffle(n):
    order = np.arange(n)
    _kernels.shuffle(order, np.random.PCG64(0))
    assert order.tolist() == list(range(n))


# ---- what the callers must have made sure of, and what would be read out of bounds if they had not


def epoch_with(**changed):
    X, labels, parameters, _ = rows_of(5, 3, 20, False, np.float64)
    arguments = {
        "X": X,
        "labels": labels,
        "orders": np.arange(20)[np.newaxis],
        "parameters": parameters,
        "batch_size": 10,
        "kind": "softmax_cross_entropy",
        "cap": 0.0,
        "off": 0.0,
        "on": 1.0,
        "row_weights": None,
        "l2": 0.0,
        "plan": SGD(0.1).begin(parameters, 2),
    } | changed
    return lambda: _kernels.train_linear_epochs(*arguments.values())


def read_only(x):
    x.flags.writeable = False
    return x


ADAM = Adam(0.1).begin(np.zeros((6, 3)), 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.zeros((20, 4))}, "parameters of 4 features must have 5 rows, got 6"),
        ({"X": np.zeros((20, 5), np.float32)}, "X must be a C-ordered array"),
        ({"X": np.zeros((5, 20)).T}, "X must be a C-ordered array"),
        ({"X": np.zeros((20, 5)).tolist()}, "X must be a C-ordered array"),
        ({"labels": np.zeros(19, np.int64)}, "labels must be as many as rows of X, 20, got 19"),
        ({"labels": np.zeros(20, np.int32)}, "labels must be a C-ordered array"),
        ({"labels": np.full(20, 3)}, "labels must be within 0 … 2, got 3 at index 0"),
        ({"labels": np.full(20, -1)}, "labels must be within 0 … 2, got -1 at index 0"),
        ({"orders": np.full((1, 20), 20)}, "orders must be within 0 … 19"),
        ({"orders": np.full((1, 20), -1)}, "orders must be within 0 … 19"),
        ({"parameters": np.zeros((6, 0))}, "at least one class"),
        ({"parameters": np.zeros((6, 3), int)}, "parameters must be float32 or float64, got int64"),
        ({"parameters": read_only(np.zeros((6, 3)))}, "parameters must be writeable, got a read-only array"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 5}, "rates must be as many as minibatches"),
        ({"kind": "hinge"}, "kind must be that of a head, got 'hinge'"),
        ({"row_weights": np.ones(19)}, "row_weights must be as many as rows of X, 20, got 19"),
        ({"row_weights": np.ones(20, np.float32)}, "row_weights must be a C-ordered array"),
        ({"orders": None}, r"orders must be a C-ordered array of int64 with 2 dimensions, got None"),
        ({"orders": np.arange(20)}, r"orders must be a C-ordered array of int64 .*shape \(20,\)"),
        ({"plan": ADAM._replace(first=None)}, "first must be a C-ordered array of float64 .*, got None"),
        ({"plan": ADAM._replace(second=None)}, "second must be a C-ordered array of float64 .*, got None"),
        (
            {"plan": ADAM._replace(first=np.zeros((3000, 3)))},
            r"first must be like the parameters, .*\(6, 3\).*\(3000, 3\)",
        ),
        ({"plan": ADAM._replace(second=np.zeros((6, 3), np.float32))}, "second must be a C-ordered array of float64"),
        ({"plan": ADAM._replace(first=read_only(np.zeros((6, 3))))}, "first must be writeable"),
        ({"plan": ADAM._replace(kind=77)}, "kind must be that of an optimiser, got 77"),
        ({"plan": ADAM._replace(kind=-1)}, "kind must be that of an optimiser, got -1"),
        ({"plan": ADAM._replace(rates=np.ones(3))}, "rates must be as many as minibatches, 2, got 3"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        epoch_with(**changed)()


def test_refused_logits():
    parameters = np.zeros((6, 3))
    with pytest.raises(ValueError, match="X must have 5 features, got 4"):
        _kernels.linear_logits(np.zeros((2, 4)), parameters)
    with pytest.raises(ValueError, match="one number for each of 5 features"):
        _kernels.linear_logits(np.zeros((2, 5)), parameters, np.zeros(4), np.zeros(4))
    with pytest.raises(ValueError, match="one number for each of 5 features"):
        _kernels.linear_logits(np.zeros((2, 5)), parameters, np.zeros(5), np.zeros(6))
    with pytest.raises(ValueError, match="mean must be a C-ordered array"):
        _kernels.linear_logits(np.zeros((2, 5)), parameters, np.zeros(5, np.float32), np.zeros(5))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((10, 7), np.int8), np.zeros(10, np.int64), "logits must be float32 or float64, got int8"),
        (np.zeros((10, 7), object), np.zeros(10, np.int64), "logits must be float32 or float64, got object"),
        (np.zeros((10, 7), ">f8"), np.zeros(10, np.int64), "logits must be a C-ordered array of float64"),
        (np.zeros((7, 10)).T, np.zeros(10, np.int64), "logits must be a C-ordered array of float64"),
        (np.zeros(10), np.zeros(10, np.int64), "logits must be a C-ordered array of float64 with 2 dimensions"),
        (np.zeros((0, 0)), np.zeros(0, np.int64), "logits must be of at least one class"),
        (read_only(np.zeros((10, 7))), np.zeros(10, np.int64), "logits must be writeable"),
        (np.zeros((10, 7)), np.zeros((), np.int64), "labels must be a C-ordered array of int64 with 1 dimensions"),
        (np.zeros((10, 7)), [0] * 10, "labels must be a C-ordered array of int64"),
        (np.zeros((10, 7)), np.zeros(9, np.int64), "labels must be as many as logits, 10, got 9"),
        (np.zeros((10, 7)), np.full(10, 7), "labels must be within 0 … 6, got 7 at index 0"),
    ],
)
def test_logits_that_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        _kernels.differentiate_logits(logits, labels, *SETTINGS[0], None, 1.0)


def test_an_order_that_is_refused():
    with pytest.raises(ValueError, match="order must be writeable"):
        _kernels.shuffle(read_only(np.arange(5)), np.random.PCG64(0))
    with pytest.raises(ValueError, match="order must be a C-ordered array of int64"):
        _kernels.shuffle(np.arange(5.0), np.random.PCG64(0))


@pytest.mark.parametrize("wrong", ["bias", "kept", "output"])
def test_passes_that_do_not_fit_are_refused(wrong):
    x, bias, kept = np.zeros((3, 4)), np.zeros(4), np.ones((3, 4), bool)
    arguments = {"bias": bias, "kept": kept, "output": x.copy()}
    arguments[wrong] = arguments[wrong][:2] if wrong != "output" else np.zeros((3, 5))
    tanh = _kernels.ACTIVATIONS["tanh"]
    with pytest.raises(ValueError, match="a pass needs a table of units"):
        _kernels.activate_grad(x, arguments["output"], tanh, arguments["bias"], arguments["kept"])
    if wrong != "output":
        with pytest.raises(ValueError, match="a pass needs a table of units"):
            _kernels.activate(x, arguments["bias"], tanh, arguments["kept"])


def test_a_step_without_memory_is_refused():
    for name in ("Momentum", "Nesterov", "RMSProp", "Adam"):
        with pytest.raises(ValueError, match="first and second must be like the parameter"):
            _kernels.update(
                np.zeros(3), np.zeros(3), None, None, 0.1, 1,
                kind=_kernels.KINDS[name], decay=0.9, second_decay=0.9, eps=1e-8, weight_decay=0.0, decoupled=False,
            )  # fmt: skip
