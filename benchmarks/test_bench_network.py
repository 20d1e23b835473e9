"""One epoch of a network with hidden layers: the trainer, PyTorch and scikit-learn side by side.

Run with ``OPENBLAS_NUM_THREADS=1 pytest benchmarks/test_bench_network.py --benchmark-only``, pinned to a core. All go
through the same rows in the same order with Adam, from the same weights, and must arrive at the same mean loss before
they are timed. PyTorch runs as its tutorials have it, but with slices of shuffled tensors for a data loader.
"""

import numpy as np
import pytest

from steelfast.datasets import load_steel_plates
from steelfast.heads import HEADS
from steelfast.network import Network
from steelfast.optimizers import Adam

N_ROWS = 1553  # four fifths of the plates
HIDDEN = [(16,), (64,), (64, 32), (128,), (256,), (256, 256), (512,), (1024,)]


def training_plates():
    """Standardised features of the twin, labels, and an order of the rows."""
    plates = load_steel_plates(source="twin")
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(plates.data))[:N_ROWS]
    X = plates.data[rows]
    return (X - X.mean(axis=0)) / X.std(axis=0), plates.target[rows], rng.permutation(N_ROWS)


@pytest.fixture(scope="module")
def plates():
    return training_plates()


def of_steelfast(network, X, labels, order, batch_size):
    optimizer, head = Adam(), HEADS["softmax_cross_entropy"]
    return lambda: network.train_epochs(X, labels, order[np.newaxis], batch_size, head, optimizer)[0][0]


def of_pytorch(network, X, labels, order, batch_size):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    layers = []
    for w, b in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(*w.shape).to(torch.from_numpy(b).dtype)
        linear.load_state_dict({"weight": torch.from_numpy(w.T.copy()), "bias": torch.from_numpy(b.copy())})
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    X, labels, order = (torch.from_numpy(each) for each in (X, labels, order))
    optimizer, criterion = torch.optim.Adam(model.parameters()), torch.nn.CrossEntropyLoss()

    def epoch():
        shuffled, targets, total = X[order], labels[order], 0.0
        for start in range(0, len(X), batch_size):
            batch = slice(start, start + batch_size)
            loss = criterion(model(shuffled[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(targets[batch])
        return float(total) / len(X)

    return epoch


def of_scikit_learn(network, X, labels, order, batch_size):
    neural_network = pytest.importorskip("sklearn.neural_network")
    X, labels = X[order], labels[order]
    model = neural_network.MLPClassifier(network.layer_sizes[1:-1], batch_size=batch_size, alpha=0.0, shuffle=False)
    model.set_params(max_iter=1, warm_start=True).fit(X, labels)
    for there, here in zip(model.coefs_ + model.intercepts_, network.weights + network.biases, strict=True):
        there[...] = here
    model.fit(X, labels)  # from these weights, with a new Adam
    losses = [model.loss_]

    def epoch():
        if losses:
            return losses.pop()  # the epoch that was just gone through
        return model.partial_fit(X, labels).loss_

    return epoch


# scikit-learn has another epsilon in Adam, and takes no probability for less than the precision of its dtype
TOLERANCE = {
    ("steelfast", np.float32): 0,
    ("steelfast", np.float64): 0,
    ("PyTorch", np.float32): 1e-4,
    ("PyTorch", np.float64): 1e-9,
    ("scikit-learn", np.float32): 1e-2,
    ("scikit-learn", np.float64): 1e-4,
}
CONTENDERS = {"steelfast": of_steelfast, "PyTorch": of_pytorch, "scikit-learn": of_scikit_learn}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("batch_size", [32, 128, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_epoch(benchmark, plates, contender, hidden, batch_size, dtype):
    X, labels, order = plates
    X = X.astype(dtype)

    def epoch_of(name):
        network = Network(X.shape[1], hidden, 7, rng=np.random.default_rng(1), dtype=dtype)
        return CONTENDERS[name](network, X, labels, order, batch_size)

    epoch = epoch_of(contender)
    assert epoch() == pytest.approx(epoch_of("steelfast")(), rel=TOLERANCE[contender, dtype])
    benchmark.group = f"epoch of {N_ROWS} rows, hidden {hidden}, batches of {batch_size}, {np.dtype(dtype)}"
    benchmark(epoch)
