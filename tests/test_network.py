"""Networks: their gradients against differences, their epochs against NumPy and PyTorch, what they refuse."""

import pickle

import numpy as np
import pytest
from exact import Exact, exactly, tanh, ulp_error

from steelfast import _kernels
from steelfast.heads import HEADS
from steelfast.models import LinearModel
from steelfast.network import Network, _arrays
from steelfast.optimizers import SGD, Adam, Momentum, RMSProp
from steelfast.schedules import Step
from steelfast.trainer import evaluate, train

N_ROWS, N_FEATURES, N_CLASSES = 23, 5, 4
SOFTMAX = HEADS["softmax_cross_entropy"]

every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
every_activation = pytest.mark.parametrize("activation", ["relu", "tanh"])
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
many_sizes = pytest.mark.parametrize("hidden", [(), (6,), (17, 3), (6, 5, 4)], ids=str)


@pytest.fixture
def rng():
    return np.random.default_rng(120)


@pytest.fixture
def X(rng):
    return rng.normal(size=(N_ROWS, N_FEATURES))


@pytest.fixture
def labels(rng):
    return rng.integers(0, N_CLASSES, N_ROWS)


def train_epoch(model, X, labels, order, *arguments, **options):
    """Loss and accuracy of a single epoch."""
    [result] = model.train_epochs(X, labels, order[np.newaxis], *arguments, **options)
    return result


def network_of(hidden=(6,), seed=1, **options):
    """A network whose biases are not zero either."""
    rng = np.random.default_rng(seed)
    network = Network(N_FEATURES, hidden, N_CLASSES, rng=rng, **options)
    network.parameters[0][:] += rng.normal(0, 0.2, network.parameters[0].shape)
    return network


# ---- the same in plain NumPy


def plain_loss_and_grad(name, z, labels):
    """The losses of each row, by the textbook's formulas, and the gradient of their sum."""
    y = np.eye(z.shape[1])[labels]
    if name == "softmax_cross_entropy":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return -(y * np.log(p)).sum(axis=1), p - y
    p = 1 / (1 + np.exp(-z))
    if name == "sigmoid_mse":
        return ((p - y) ** 2).mean(axis=1), 2 * (p - y) * p * (1 - p) / z.shape[1]
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1), (p - y) / z.shape[1]


def plain_step(weights, biases, X, labels, head, activation, l2, row_weights, masks):
    """Row losses, logits, and the gradients with respect to weights and biases."""
    outputs, derivatives = [X], []
    for w, b, mask in zip(weights[:-1], biases[:-1], masks, strict=True):
        x = outputs[-1] @ w + b
        outputs.append(mask * (np.maximum(x, 0) if activation == "relu" else np.tanh(x)))
        derivatives.append(mask * ((x > 0) if activation == "relu" else 1 / np.cosh(x) ** 2))
    z = outputs[-1] @ weights[-1] + biases[-1]
    losses, grad = plain_loss_and_grad(head.name, z, labels)
    grad = grad * row_weights[:, None] / len(X)
    weight_grads, bias_grads = [], []
    for k in reversed(range(len(weights))):
        weight_grads.insert(0, outputs[k].T @ grad + l2 * weights[k])
        bias_grads.insert(0, grad.sum(axis=0))
        if k:
            grad = grad @ weights[k].T * derivatives[k - 1]
    return losses, z, weight_grads, bias_grads


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 10, N_ROWS, 100])
@every_activation
@many_sizes
@every_head
def test_epoch_is_that_of_numpy(rng, X, labels, head, hidden, activation, batch_size, weighted):
    network, order, l2, rate = network_of(hidden, activation=activation), rng.permutation(N_ROWS), 0.1, 0.3
    row_weights = rng.uniform(0, 3, N_ROWS) if weighted else None
    counts = np.ones(N_ROWS) if row_weights is None else row_weights

    weights = [w.copy() for w in network.weights]
    biases = [b.copy() for b in network.biases]
    loss = correct = 0.0
    for start in range(0, N_ROWS, batch_size):
        rows = order[start : start + batch_size]
        losses, z, weight_grads, bias_grads = plain_step(
            weights, biases, X[rows], labels[rows], head, activation, l2, counts[rows], [1.0] * len(hidden)
        )
        loss += (counts[rows] * losses).sum() / N_ROWS
        correct += (counts[rows] * (z.argmax(axis=1) == labels[rows])).sum() / N_ROWS
        weights = [w - rate * g for w, g in zip(weights, weight_grads, strict=True)]
        biases = [b - rate * g for b, g in zip(biases, bias_grads, strict=True)]

    result = train_epoch(network, X, labels, order, batch_size, head, SGD(rate), l2=l2, row_weights=row_weights)
    np.testing.assert_allclose(result, (loss, correct), rtol=0, atol=1e-12)
    for computed, expected in zip(network.weights + network.biases, weights + biases, strict=True):
        np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
@every_activation
@many_sizes
@every_head
def test_gradient_is_that_of_the_loss(rng, X, labels, head, hidden, activation, weighted, dropout):
    """Against differences of the objective, with the same units dropped out."""
    network = network_of(hidden, activation=activation, dropout=dropout)
    [parameters] = network.parameters
    options = {"l2": 0.1, "row_weights": rng.uniform(0, 3, N_ROWS) if weighted else None}
    if dropout:
        options["kept"] = [rng.random((N_ROWS, n)) >= dropout for n in hidden]
    loss, gradient = network.value_and_grad(X, labels, head, **options)
    difference = np.empty_like(parameters)
    h = 1e-5
    for k in range(parameters.size):
        start = parameters[k]
        values = []
        for parameters[k] in (start + h, start - h):
            values.append(network.value_and_grad(X, labels, head, **options)[0])
        parameters[k] = start
        difference[k] = (values[0] - values[1]) / (2 * h)
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-8)
    assert loss == network.value_and_grad(X, labels, head, **options)[0]


@every_activation
def test_dropout_is_that_of_numpy(rng, X, labels, activation):
    """A quarter of the units, so that those that are left count for 4/3."""
    hidden = (9, 6)
    network = network_of(hidden, activation=activation, dropout=0.25)
    kept = [rng.random((N_ROWS, n)) >= 0.25 for n in hidden]
    _, _, weight_grads, bias_grads = plain_step(
        network.weights, network.biases, X, labels, SOFTMAX, activation, 0.0, np.ones(N_ROWS), [k / 0.75 for k in kept]
    )
    _, gradient = network.value_and_grad(X, labels, SOFTMAX, kept=kept)
    for layers, expected in zip(network._layers_of(gradient), (weight_grads, bias_grads), strict=True):
        for layer, of_layer in zip(layers, expected, strict=True):
            np.testing.assert_allclose(layer, of_layer, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shapes", [[(N_ROWS, 9)], [(N_ROWS, 9), (N_ROWS, 5)], [(N_ROWS - 1, 9), (N_ROWS, 6)]], ids=str)
def test_masks_that_do_not_fit_are_refused(X, labels, shapes):
    with pytest.raises(ValueError, match=r"zip|broadcast"):
        network_of((9, 6)).value_and_grad(X, labels, SOFTMAX, kept=[np.ones(shape, bool) for shape in shapes])


# ---- the same in PyTorch


def torch_network(torch, network):
    layers = []
    for w, b in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(*w.shape, dtype=torch.from_numpy(w.copy()).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b.copy()))
        layers += [linear, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[network.activation]()]
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("hidden", [(16,), (12, 8)], ids=str)
@every_activation
def test_epoch_is_that_of_pytorch(rng, X, labels, hidden, activation):
    torch = pytest.importorskip("torch")
    network = network_of(hidden, activation=activation)
    model = torch_network(torch, network)
    adam, criterion = torch.optim.Adam(model.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
    order, loss = rng.permutation(N_ROWS), 0.0
    for start in range(0, N_ROWS, 4):
        rows = torch.from_numpy(order[start : start + 4])
        batch_loss = criterion(model(torch.from_numpy(X)[rows]), torch.from_numpy(labels)[rows])
        adam.zero_grad()
        batch_loss.backward()
        adam.step()
        loss += batch_loss.item() * len(rows) / N_ROWS
    result, _ = train_epoch(network, X, labels, order, 4, SOFTMAX, Adam(0.01))
    assert result == pytest.approx(loss, abs=1e-10)
    for w, b, linear in zip(network.weights, network.biases, model[::2], strict=True):
        np.testing.assert_allclose(w.T, linear.weight.detach().numpy(), rtol=0, atol=1e-10)
        np.testing.assert_allclose(b, linear.bias.detach().numpy(), rtol=0, atol=1e-10)


# ---- the same as the linear model


@every_head
@every_dtype
def test_without_hidden_layers_it_is_the_linear_model(rng, X, labels, head, dtype):
    X = X.astype(dtype)
    network = network_of((), dtype=dtype)
    linear = LinearModel(network.weights[0], network.biases[0])
    row_weights = rng.uniform(0, 3, N_ROWS).astype(dtype)
    tolerance = {"rtol": 0, "atol": 1e-13 if dtype is np.float64 else 1e-5}
    for _ in range(3):
        arguments = X, labels, rng.permutation(N_ROWS), 4, head
        results = [
            train_epoch(model, *arguments, SGD(0.3), l2=0.01, row_weights=row_weights) for model in (network, linear)
        ]
        np.testing.assert_allclose(*results, **tolerance)
    np.testing.assert_allclose(network.weights[0], linear.weights, **tolerance)
    np.testing.assert_allclose(network.biases[0], linear.bias, **tolerance)
    np.testing.assert_allclose(network.logits(X), linear.logits(X), **tolerance)


# ---- training


@every_activation
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
def test_same_seed_same_bits(X, labels, activation, dropout, make_rng):
    def trained(seed):
        rng = make_rng(seed)
        network = Network(N_FEATURES, (8, 3), N_CLASSES, activation=activation, dropout=dropout, rng=rng)
        history = train(
            network, X, labels, head=SOFTMAX, optimizer=Adam(0.01), n_epochs=4, batch_size=5, rng=rng, l2=0.01
        )
        return network.parameters[0].tobytes(), history

    assert trained(3) == trained(3)
    assert trained(3) != trained(4)


@every_head
@every_activation
def test_rings_are_learned(head, activation):
    """One class around the other, which no linear model can tell apart."""
    rng = np.random.default_rng(121)
    X = rng.normal(size=(200, 2))
    labels = (np.hypot(*X.T) > 1.2).astype(np.int64)
    network = Network(2, (16,), 2, activation=activation, rng=rng)
    train(network, X, labels, head=head, optimizer=Adam(0.03), n_epochs=60, batch_size=20, rng=rng)
    assert evaluate(network, X, labels, head)[1] > 0.97


@every_activation
def test_float32_stays_float32(X, labels, activation):
    single, double = (network_of((9, 6), activation=activation, dtype=dtype) for dtype in (np.float32, np.float64))
    double.parameters[0][:] = single.parameters[0]
    order, row_weights = np.arange(N_ROWS), np.linspace(0.5, 1.5, N_ROWS, dtype=np.float32)
    X32 = X.astype(np.float32)
    one, other = (
        train_epoch(network, x, labels, order, 4, SOFTMAX, SGD(0.1), l2=0.01, row_weights=row_weights.astype(x.dtype))
        for network, x in ((single, X32), (double, X32.astype(np.float64)))
    )
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert single.parameters[0].dtype == single.logits(X32).dtype == np.float32
    np.testing.assert_allclose(single.parameters[0], double.parameters[0], rtol=0, atol=1e-5)


def test_divergence_is_an_error(X, labels):
    """And no warning."""
    network = network_of((6,))
    with pytest.raises(ValueError, match=r"training left the finite numbers in epoch \d"):
        train(
            network,
            X * 1e10,
            labels,
            head=SOFTMAX,
            optimizer=SGD(1e308),
            n_epochs=3,
            batch_size=4,
            rng=np.random.default_rng(0),
            l2=1e300,
        )


def test_one_row(X, labels):
    network = network_of((6, 3), dropout=0.5)
    loss, accuracy = train_epoch(network, X[:1], labels[:1], np.array([0]), 32, SOFTMAX, Adam(0.01))
    assert np.isfinite(loss)
    assert accuracy in (0, 1)
    assert network.logits(X[:1]).shape == (1, N_CLASSES)


def test_no_rows_have_no_logits(X):
    assert network_of().logits(X[:0]).shape == (0, N_CLASSES)


def test_one_class(X):
    network = Network(N_FEATURES, (6,), 1, rng=np.random.default_rng(0))
    before = network.parameters[0].copy()
    result = train_epoch(network, X, np.zeros(N_ROWS, int), np.arange(N_ROWS), 5, SOFTMAX, SGD(0.1))
    assert result == (0, 1)
    np.testing.assert_array_equal(network.parameters[0], before)


def test_logits_of_many_rows(rng):
    """More than go through the layers at once."""
    X, network = rng.normal(size=(2500, N_FEATURES)), network_of((7,))
    (w, v), (b, c) = network.weights, network.biases
    np.testing.assert_allclose(network.logits(X), np.maximum(X @ w + b, 0) @ v + c, rtol=0, atol=1e-13)
    np.testing.assert_allclose(network.logits(X[::2]), network.logits(X)[::2], rtol=0, atol=1e-13)


def test_rows_are_not_changed(X, labels):
    before = X.copy()
    network = network_of((6,), dropout=0.3)
    X.flags.writeable = labels.flags.writeable = False
    train_epoch(network, X, labels, np.arange(N_ROWS), 4, SOFTMAX, SGD(0.1))
    np.testing.assert_array_equal(X, before)


def test_a_pickle_is_trained_like_the_network_itself(X, labels):
    network = network_of((6,), dropout=0.3)
    order = np.arange(N_ROWS)
    train_epoch(network, X, labels, order, 4, SOFTMAX, SGD(0.1))
    twin = pickle.loads(pickle.dumps(network))
    for each in (network, twin):
        train_epoch(each, X, labels, order, 4, SOFTMAX, SGD(0.1))
    np.testing.assert_array_equal(twin.parameters[0], network.parameters[0])
    np.testing.assert_array_equal(twin.weights[0], network.weights[0])


def test_a_gradient_stays_and_keeps_nothing_else_alive(X, labels):
    network = network_of((6, 5))
    _, gradient = network.value_and_grad(X, labels, SOFTMAX)
    before = gradient.copy()
    network.value_and_grad(-X, labels, SOFTMAX)
    np.testing.assert_array_equal(gradient, before)
    assert gradient.base is None


@every_dtype
def test_arrays_in_one_piece_of_memory(dtype):
    shapes = [(5,), (3, 7), (0, 4), (16, 8), (1, 1), (2, 9)]
    arrays = _arrays(shapes, np.dtype(dtype))
    assert [each.shape for each in arrays] == shapes
    assert all(each.dtype == dtype and each.flags.c_contiguous for each in arrays)
    assert all(each.ctypes.data % 64 == 0 for each in arrays)
    for k, each in enumerate(arrays):
        each[...] = k
    assert all((each == k).all() for k, each in enumerate(arrays))


# ---- where it starts


@every_dtype
@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 300), ("tanh", 2 / 500)])
def test_first_weights(activation, variance, dtype):
    network = Network(300, (200,), 7, activation=activation, rng=np.random.default_rng(0), dtype=dtype)
    assert network.parameters[0].dtype == dtype
    assert network.weights[0].var() == pytest.approx(variance, rel=0.03)
    assert abs(network.weights[0].mean()) < 0.001
    assert [w.shape for w in network.weights] == [(300, 200), (200, 7)]
    assert [b.shape for b in network.biases] == [(200,), (7,)]
    assert not any(b.any() for b in network.biases)


def test_dropout_does_not_change_the_first_weights():
    one, other = (Network(3, (4,), 2, dropout=p, rng=np.random.default_rng(0)) for p in (0.0, 0.5))
    np.testing.assert_array_equal(one.parameters[0], other.parameters[0])


@pytest.mark.parametrize("make", [SGD, Momentum, RMSProp, Adam])
def test_an_epoch_takes_the_steps_of_the_optimizer(X, labels, make):
    """Each with its own rate and its own number, also those of a second epoch."""
    rate = Step(0.05, 3, 0.5)
    network, twin, optimizer = network_of((6, 5)), network_of((6, 5)), make(rate)
    orders = np.array([np.arange(N_ROWS), np.arange(N_ROWS)[::-1]])
    network.train_epochs(X, labels, orders, 4, SOFTMAX, make(rate))
    for order in orders:
        for start in range(0, N_ROWS, 4):
            rows = order[start : start + 4]
            optimizer.update(twin.parameters[0], twin.value_and_grad(X[rows], labels[rows], SOFTMAX)[1])
    np.testing.assert_allclose(network.parameters[0], twin.parameters[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rate", [1e200, 1e308])
def test_an_epoch_that_leaves_the_finite_numbers_is_the_last(X, labels, rate):
    network = network_of((6, 5))
    results = network.train_epochs(X, labels, np.tile(np.arange(N_ROWS), (4, 1)), 4, SOFTMAX, SGD(rate))
    assert len(results) < 4
    assert all(np.isfinite(result).all() for result in results[:-1])
    assert not (np.isfinite(results[-1]).all() and np.isfinite(network.parameters[0]).all())


# ---- what drops out


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_share_that_drops_out(dropout):
    network = network_of((64, 33), dropout=dropout)
    steps = [network._draw_kept(100) for _ in range(20)]
    assert [kept.shape for kept in steps[0]] == [(100, 64), (100, 33)]
    for layer in zip(*steps, strict=True):
        share = np.mean(layer)
        assert share == pytest.approx(1 - dropout, abs=0.01)
        # neither a unit, nor a row, nor a step is special
        for axes in [(0, 1), (0, 2), (1, 2)]:
            n = np.prod([np.shape(layer)[k] for k in axes])
            assert np.mean(layer, axis=axes).std() == pytest.approx(np.sqrt(dropout * (1 - dropout) / n), rel=0.5)


@pytest.mark.parametrize("batch_size", [4, N_ROWS])
def test_training_drops_out(X, labels, batch_size):
    """A step of plain gradient descent for each minibatch, each with units of its own."""
    network = network_of((6, 5), dropout=0.4)
    twin = pickle.loads(pickle.dumps(network))
    train_epoch(network, X, labels, np.arange(N_ROWS), batch_size, SOFTMAX, SGD(0.1))
    for start in range(0, N_ROWS, batch_size):
        rows, of_rows = X[start : start + batch_size], labels[start : start + batch_size]
        kept = twin._draw_kept(len(rows))
        twin.parameters[0][...] -= 0.1 * twin.value_and_grad(rows, of_rows, SOFTMAX, kept=kept)[1]
    np.testing.assert_allclose(network.parameters[0], twin.parameters[0], rtol=1e-13, atol=1e-15)


def test_in_the_mean_dropout_changes_nothing(rng, X, labels):
    """Of a network that is linear behind the layer that drops out."""
    network = network_of((50,), dropout=0.3)
    z = network.logits(X)
    with_dropout = [plain for _ in range(4000) for plain in [logits_with(network, X, network._draw_kept(N_ROWS))]]
    np.testing.assert_allclose(np.mean(with_dropout, axis=0), z, atol=6 * np.std(with_dropout) / np.sqrt(4000))


def logits_with(network, X, kept):
    (w, v), (b, c) = network.weights, network.biases
    return np.maximum(X @ w + b, 0) * kept[0] / (1 - 0.3) @ v + c


# ---- the kernels


def kernels_of(name, x, bias, kept=None, scale=1.0):
    output = x.copy()
    _kernels.activate(output, bias, _kernels.ACTIVATIONS[name], kept, scale)
    return output


@every_dtype
@every_activation
@pytest.mark.parametrize("n_units", [1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 65, 97])
@pytest.mark.parametrize("drops", [False, True])
def test_pass_and_back(rng, n_units, activation, dtype, drops):
    """Every width of a row, and more rows than one."""
    x, grad = rng.normal(size=(2, 5, n_units)).astype(dtype)
    bias = rng.normal(size=n_units).astype(dtype)
    kept = rng.random((5, n_units)) >= 0.25 if drops else None
    scale = 1 / 0.75 if drops else 1.0
    factor = scale * kept if drops else 1.0
    total = x.astype(np.float64) + bias
    output = kernels_of(activation, x, bias, kept, scale)
    tolerance = {"rtol": 0, "atol": 20 * np.finfo(dtype).eps}
    if activation == "relu":
        values, derivatives = np.maximum(total, 0), total > 0
    else:
        values, derivatives = np.tanh(total), 1 / np.cosh(total) ** 2
    np.testing.assert_allclose(output, factor * values, **tolerance)

    back, bias_grad = grad.copy(), np.empty(n_units, dtype)
    _kernels.activate_grad(back, output, _kernels.ACTIVATIONS[activation], bias_grad, kept, scale)
    expected = grad * factor * derivatives
    np.testing.assert_allclose(back, expected, **tolerance)
    np.testing.assert_allclose(bias_grad, expected.sum(axis=0), **tolerance)


@every_dtype
def test_identity(rng, dtype):
    x, bias = rng.normal(size=(5, 19)).astype(dtype), rng.normal(size=19).astype(dtype)
    np.testing.assert_array_equal(kernels_of("identity", x, bias), x + bias)
    grad, bias_grad = x.copy(), np.empty_like(bias)
    _kernels.activate_grad(grad, grad, _kernels.ACTIVATIONS["identity"], bias_grad)
    np.testing.assert_array_equal(grad, x)
    np.testing.assert_array_equal(bias_grad, np.cumsum(x, axis=0)[-1])


@every_dtype
@every_activation
@pytest.mark.parametrize("drops", [False, True])
def test_special_values(activation, dtype, drops):
    x = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30]], dtype)
    kept = np.ones(x.shape, bool) if drops else None
    zeros = np.zeros(7, dtype)
    output = kernels_of(activation, x, zeros, kept)
    expected = np.tanh(x) if activation == "tanh" else np.where(np.isnan(x), x, np.maximum(x, 0))
    np.testing.assert_array_equal(output, expected)
    grad = np.ones_like(x)
    _kernels.activate_grad(grad, output, _kernels.ACTIVATIONS[activation], zeros, kept)
    np.testing.assert_array_equal(grad, 1 - expected**2 if activation == "tanh" else ~(expected <= 0))


@every_dtype
def test_no_derivative_of_tanh_is_negative(dtype):
    """Where dropout has scaled a saturated unit."""
    for scale in 1 / (1 - np.random.default_rng(0).random(200)):
        x = np.array([[30.0, -30.0]], dtype)
        kept, zeros = np.ones(x.shape, bool), np.zeros(2, dtype)
        output, grad = kernels_of("tanh", x, zeros, kept, scale), np.ones_like(x)
        _kernels.activate_grad(grad, output, _kernels.ACTIVATIONS["tanh"], zeros, kept, scale)
        assert (grad == 0).all()


@every_dtype
def test_tanh_is_that_of_the_elementary_functions(rng, dtype):
    """Right to 2 ULP in whatever lane; `test_elementary.py` has the hard numbers."""
    x, bias = rng.normal(0, 2, (20, 67)).astype(dtype), np.zeros(67, dtype)
    computed = kernels_of("tanh", x, bias)
    assert ulp_error(computed, Exact(tanh(exactly(x)))).normal < 2
    np.testing.assert_array_equal(kernels_of("tanh", -x, bias), -computed)


# ---- what is refused

REFUSED = [
    ({"hidden_layer_sizes": (0,)}, ValueError, "each of hidden_layer_sizes must be at least 1, got 0"),
    ({"hidden_layer_sizes": (8, -3)}, ValueError, "each of hidden_layer_sizes must be at least 1, got -3"),
    ({"hidden_layer_sizes": (8.0,)}, TypeError, "each of hidden_layer_sizes must be an integer, got 8.0"),
    ({"hidden_layer_sizes": (True,)}, TypeError, "each of hidden_layer_sizes must be an integer, got True"),
    ({"hidden_layer_sizes": ("8",)}, TypeError, "each of hidden_layer_sizes must be an integer, got '8'"),
    ({"hidden_layer_sizes": None}, TypeError, "each of hidden_layer_sizes must be an integer, got None"),
    ({"n_features": 0}, ValueError, "n_features must be at least 1, got 0"),
    ({"n_classes": -1}, ValueError, "n_classes must be at least 1, got -1"),
    ({"activation": "sine"}, ValueError, "activation must be one of relu, tanh, got 'sine'"),
    ({"activation": ["relu"]}, ValueError, r"activation must be one of relu, tanh, got \['relu'\]"),
    ({"activation": "identity"}, ValueError, "activation must be one of relu, tanh"),
    ({"dropout": 1.0}, ValueError, "dropout must be at least 0 and below 1, got 1.0"),
    ({"dropout": -0.1}, ValueError, "dropout must be at least 0 and below 1, got -0.1"),
    ({"dropout": np.nan}, ValueError, "dropout must be at least 0 and below 1, got nan"),
    ({"dropout": "half"}, TypeError, "dropout must"),
    ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64, got float16"),
    ({"dtype": int}, ValueError, "dtype must be float32 or float64, got int64"),
]


@pytest.mark.parametrize(("option", "error", "message"), REFUSED)
def test_refused(option, error, message):
    settings = {"n_features": 3, "hidden_layer_sizes": (4,), "n_classes": 2, "rng": np.random.default_rng(0)}
    with pytest.raises(error, match=message):
        Network(**(settings | option))


def test_a_width_may_stand_alone():
    for width in (4, np.int64(4), np.array(4)):
        assert Network(3, width, 2, rng=np.random.default_rng(0)).layer_sizes == (3, 4, 2)


def test_rows_of_another_dtype_or_width_are_refused(X, labels):
    network = network_of()
    before = network.parameters[0].copy()
    with pytest.raises(ValueError, match=r"X must be an array of float64 with 5 features, got"):
        network.logits(X[:, 1:])
    for rows in (X.astype(np.float32), X[:, 1:]):
        with pytest.raises(ValueError, match=r"X must be an array of float64 with 5 features, got"):
            train_epoch(network, rows, labels, np.arange(N_ROWS), 4, SOFTMAX, SGD(0.1))
    np.testing.assert_array_equal(network.parameters[0], before)


@pytest.mark.parametrize("of_rows", [np.float32, np.float64])
@every_dtype
def test_rows_of_any_type_are_scaled_on_the_way(X, dtype, of_rows):
    """Also more of them than go through the layers at a time."""
    network, rng = network_of(dtype=dtype), np.random.default_rng(3)
    X, mean, scale = np.tile(X, (100, 1)).astype(of_rows), rng.normal(size=5), rng.uniform(0.5, 2, 5)
    expected = network.logits(((X - mean) / scale).astype(dtype))
    logits = network.logits(X, (mean, scale))
    assert logits.dtype == dtype
    np.testing.assert_array_equal(logits, expected)
