"""The trainer: every step against the same step written out in NumPy."""

import numpy as np
import pytest

from steelfast.heads import HEADS
from steelfast.models import LinearModel
from steelfast.optimizers import SGD, Adam, Momentum, RMSProp
from steelfast.trainer import EarlyStopping, evaluate, train

N_ROWS, N_FEATURES, N_CLASSES = 23, 5, 4
OPTIMIZERS = [SGD(0.5), Momentum(0.05), RMSProp(0.05), Adam(0.05)]

every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def train_epoch(model, X, labels, order, *arguments, **options):
    """Loss and accuracy of a single epoch."""
    [result] = model.train_epochs(X, labels, order[np.newaxis], *arguments, **options)
    return result


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss_and_grad(name, z, labels, row_weights):
    """Of one minibatch, by the textbook's formulas; a row counts for its weight."""
    y = np.eye(z.shape[1])[labels]
    p = softmax(z) if name == "softmax_cross_entropy" else sigmoid(z)
    if name == "softmax_cross_entropy":
        losses, grad = -(y * np.log(p)).sum(axis=1), p - y
    elif name == "sigmoid_mse":
        losses, grad = ((p - y) ** 2).mean(axis=1), 2 * (p - y) * p * (1 - p) / z.shape[1]
    else:
        losses = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)
        grad = (p - y) / z.shape[1]
    return (row_weights * losses).mean(), row_weights[:, None] * grad / len(z)


@pytest.fixture
def rng():
    return np.random.default_rng(80)


@pytest.fixture
def X(rng):
    return rng.normal(size=(N_ROWS, N_FEATURES))


@pytest.fixture
def labels(rng):
    return rng.integers(0, N_CLASSES, N_ROWS)


def model_of(rng, dtype=np.float64):
    return LinearModel(
        rng.normal(size=(N_FEATURES, N_CLASSES)).astype(dtype),
        rng.normal(size=N_CLASSES).astype(dtype),
    )


def separable():
    """Three heaps far from each other, and from the origin."""
    rng = np.random.default_rng(81)
    labels = np.repeat([0, 1, 2], 40)
    return np.array([[4, 0], [-4, 0], [0, 5]])[labels] + rng.normal(0, 0.5, (120, 2)), labels


# ---- an epoch


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 10, N_ROWS, 100])
@every_head
def test_epoch_is_that_of_numpy(rng, X, labels, head, batch_size, weighted, l2):
    model, order = model_of(rng), rng.permutation(N_ROWS)
    row_weights = rng.uniform(0, 3, N_ROWS) if weighted else None
    every_weight = np.ones(N_ROWS) if row_weights is None else row_weights

    w, b = model.weights.copy(), model.bias.copy()
    losses, accuracies, sizes = [], [], []
    for start in range(0, N_ROWS, batch_size):
        rows = order[start : start + batch_size]
        z = X[rows] @ w + b
        loss, g = loss_and_grad(head.name, z, labels[rows], every_weight[rows])
        losses.append(loss)
        accuracies.append((every_weight[rows] * (z.argmax(axis=1) == labels[rows])).mean())
        sizes.append(len(rows))
        w -= 0.3 * (X[rows].T @ g + l2 * w)
        b -= 0.3 * g.sum(axis=0)

    loss, accuracy = train_epoch(model, X, labels, order, batch_size, head, SGD(0.3), l2=l2, row_weights=row_weights)
    np.testing.assert_allclose(model.weights, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.bias, b, rtol=0, atol=1e-12)
    assert loss == pytest.approx(np.average(losses, weights=sizes), abs=1e-12)
    assert accuracy == pytest.approx(np.average(accuracies, weights=sizes), abs=1e-12)


@every_head
def test_gradient_is_that_of_the_loss(rng, X, labels, head):
    """The step of a single full minibatch, against differences of the loss itself."""
    model, h = model_of(rng), 1e-5
    start = model.weights.copy()
    difference = np.empty_like(start)
    for k in np.ndindex(start.shape):
        there, back = start.copy(), start.copy()
        there[k] += h
        back[k] -= h
        up, down = (evaluate(LinearModel(w, model.bias), X, labels, head)[0] for w in (there, back))
        difference[k] = (up - down) / (2 * h)
    train_epoch(model, X, labels, np.arange(N_ROWS), N_ROWS, head, SGD(1.0))
    np.testing.assert_allclose(start - model.weights, difference, rtol=1e-6, atol=1e-9)


@every_head
def test_a_weight_of_two_is_a_row_twice(rng, X, labels, head):
    once, twice = model_of(np.random.default_rng(1)), model_of(np.random.default_rng(1))
    counts = np.ones(N_ROWS)
    counts[3] = 2
    counts[4] = 0
    rows = np.array([k for k in range(N_ROWS) for _ in range(int(counts[k]))])
    result = train_epoch(
        once,
        X,
        labels,
        np.arange(N_ROWS),
        N_ROWS,
        head,
        SGD(0.5),
        row_weights=counts / counts.mean(),
    )
    expected = train_epoch(twice, X, labels, rows, len(rows), head, SGD(0.5))
    np.testing.assert_allclose(result, expected, rtol=1e-13)
    np.testing.assert_allclose(once.weights, twice.weights, rtol=0, atol=1e-13)


@every_head
def test_evaluate(rng, X, labels, head):
    model = model_of(rng)
    z = X @ model.weights + model.bias
    loss, accuracy = evaluate(model, X, labels, head)
    assert loss == pytest.approx(loss_and_grad(head.name, z, labels, np.ones(N_ROWS))[0], abs=1e-14)
    assert accuracy == np.mean(z.argmax(axis=1) == labels)


@every_head
def test_float32_stays_float32(rng, X, labels, head):
    model = model_of(rng, np.float32)
    exact = LinearModel(model.weights.astype(float), model.bias.astype(float))
    settings = {"head": head, "n_epochs": 5, "batch_size": 6}
    train(
        model,
        X.astype(np.float32),
        labels,
        optimizer=SGD(0.3),
        rng=np.random.default_rng(0),
        row_weights=np.ones(N_ROWS, np.float32),
        **settings,
    )
    train(exact, X, labels, optimizer=SGD(0.3), rng=np.random.default_rng(0), **settings)
    assert model.weights.dtype == model.bias.dtype == np.float32
    assert model.logits(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(model.weights, exact.weights, rtol=0, atol=1e-5)


# ---- a training


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
@every_head
def test_same_seed_same_bits(X, labels, head, make_rng):
    def trained(seed):
        model = model_of(np.random.default_rng(1))
        history = train(
            model,
            X,
            labels,
            head=head,
            optimizer=Adam(0.01),
            n_epochs=5,
            batch_size=4,
            rng=make_rng(seed),
        )
        return model.weights.tobytes() + model.bias.tobytes(), history

    assert trained(3) == trained(3)
    assert trained(3) != trained(4)


def test_every_epoch_is_shuffled_anew(X, labels):
    seen = []

    class Spy:
        def shuffle(self, order):
            np.random.default_rng(len(seen)).shuffle(order)
            seen.append(order.copy())

    model, stepwise = (model_of(np.random.default_rng(1)) for _ in range(2))
    head = HEADS["softmax_cross_entropy"]
    history = train(model, X, labels, head=head, optimizer=SGD(0.1), n_epochs=3, batch_size=4, rng=Spy())
    assert len({tuple(order) for order in seen}) == 3
    for order, epoch in zip(seen, history, strict=True):
        assert sorted(order) == list(range(N_ROWS))
        loss, accuracy = train_epoch(stepwise, X, labels, order, 4, head, SGD(0.1))
        assert (loss, accuracy) == (epoch["loss"], epoch["accuracy"])
    np.testing.assert_array_equal(model.weights, stepwise.weights)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@every_head
def test_separable_classes_are_learned(head, optimizer):
    X, labels = separable()
    model = LinearModel(np.zeros((2, 3)), np.zeros(3))
    history = train(
        model,
        X,
        labels,
        head=head,
        optimizer=optimizer,
        n_epochs=30,
        batch_size=16,
        rng=np.random.default_rng(0),
    )
    assert evaluate(model, X, labels, head)[1] == 1
    assert history[-1]["loss"] < history[0]["loss"] / 3


def train_a_little(X, labels, **options):
    settings = {
        "head": HEADS["softmax_cross_entropy"],
        "optimizer": SGD(0.1),
        "n_epochs": 4,
        "batch_size": 8,
        "rng": np.random.default_rng(0),
    }
    model = LinearModel(np.zeros((X.shape[1], N_CLASSES)), np.zeros(N_CLASSES))
    return model, train(model, X, labels, **(settings | options))


def test_record(X, labels):
    _, history = train_a_little(X, labels)
    assert [list(epoch) for epoch in history] == [["epoch", "loss", "accuracy"]] * 4
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    # before the first update all classes are equally likely
    assert train_a_little(X, labels, n_epochs=1, batch_size=N_ROWS)[1][0]["loss"] == np.log(4)


def test_validation_data(X, labels, rng):
    held_out = rng.normal(size=(9, N_FEATURES)), rng.integers(0, N_CLASSES, 9)
    model, history = train_a_little(X, labels, validation_data=held_out)
    loss, accuracy = evaluate(model, *held_out, HEADS["softmax_cross_entropy"])
    assert history[-1]["validation_loss"] == loss
    assert history[-1]["validation_accuracy"] == accuracy
    # nothing is learned from it
    without, plain_history = train_a_little(X, labels)
    np.testing.assert_array_equal(model.weights, without.weights)
    names = ("epoch", "loss", "accuracy")
    assert [{name: epoch[name] for name in names} for epoch in history] == plain_history


def test_callback_sees_every_epoch(X, labels):
    seen = []
    _, history = train_a_little(X, labels, callback=seen.append)
    assert seen == history


def test_callback_may_end_the_training(X, labels):
    model, history = train_a_little(X, labels, callback=lambda epoch: epoch["epoch"] == 2)
    shorter, short_history = train_a_little(X, labels, n_epochs=2)
    assert history == short_history
    np.testing.assert_array_equal(model.weights, shorter.weights)


def test_l2_makes_the_weights_smaller_and_leaves_the_bias(X, labels):
    free, _ = train_a_little(X, labels, n_epochs=300)
    bound, _ = train_a_little(X, labels, n_epochs=300, l2=1.0)
    crushed, _ = train_a_little(X, labels, n_epochs=2000, l2=9.0)
    norms = [np.linalg.norm(model.weights) for model in (crushed, bound, free)]
    assert norms == sorted(norms)
    assert norms[0] < 0.1 * norms[2]
    # without weights, the bias alone gives the shares of the classes, but for the last minibatches
    shares = np.bincount(labels, minlength=N_CLASSES) / N_ROWS
    np.testing.assert_allclose(softmax(crushed.bias[None])[0], shares, atol=0.1)


def test_divergence_is_an_error(X, labels):
    with pytest.raises(ValueError, match=r"epoch 1: learning_rate 1e\+308 is too large"):
        train_a_little(X * 1e10, labels, optimizer=SGD(1e308))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_named(X, labels, dtype, number):
    X[3, 2] = number
    model = model_of(np.random.default_rng(0), dtype)
    options = {"head": HEADS["softmax_cross_entropy"], "n_epochs": 2, "batch_size": 8, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=f"^X must be finite in {np.dtype(dtype)}, got {number}$"):
        train(model, X.astype(dtype), labels, optimizer=SGD(0.1), **options)


# ---- heads


@every_head
def test_probabilities(rng, head):
    z = rng.normal(0, 3, (50, N_CLASSES))
    p = softmax(z) if head.name == "softmax_cross_entropy" else sigmoid(z)
    p = p / p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.probabilities(z), p, rtol=1e-13)
    np.testing.assert_allclose(head.log_probabilities(z), np.log(p), rtol=1e-12, atol=1e-14)


@every_head
@pytest.mark.parametrize("name", ["probabilities", "log_probabilities"])
def test_probabilities_in_place_are_the_same(rng, head, name):
    z = rng.normal(0, 3, (50, N_CLASSES))
    before = z.copy()
    expected = getattr(head, name)(z)
    np.testing.assert_array_equal(z, before)
    in_place = getattr(head, name)(z, in_place=True)
    np.testing.assert_array_equal(in_place, expected)
    assert head.name != "softmax_cross_entropy" or in_place is z


@every_head
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_extreme_logits(head, dtype):
    z = np.array([[-1e4, -1e4, -1e4, -1e4], [1e4, 1e4, 1e4, 1e4], [-1e4, 0, 1e4, -2e4]], dtype)
    p = head.probabilities(z)
    assert p.dtype == dtype
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(p[:2], 0.25, rtol=1e-6)
    assert np.isfinite(head.log_probabilities(z)).all()


def test_the_heads_can_be_asked_for_by_name():
    assert list(HEADS) == ["softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"]
    assert all(name == head.name for name, head in HEADS.items())


# ---- what is refused


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"X": np.empty((0, 2)), "labels": np.empty(0, np.int64)}, ValueError, "X must have at least one row"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"early_stopping": EarlyStopping()}, ValueError, "early_stopping needs validation_data, got None"),
    ],
)
def test_a_training_that_cannot_begin(changed, error, message):
    X, labels = separable()
    arguments = {"X": X, "labels": labels, "batch_size": 8} | changed
    model = LinearModel(np.zeros((2, 3)), np.zeros(3))
    options = {"head": HEADS["softmax_cross_entropy"], "optimizer": SGD(0.1), "n_epochs": 2}
    with pytest.raises(error, match=message):
        train(model, rng=np.random.default_rng(0), **arguments, **options)
    assert not model.weights.any()
