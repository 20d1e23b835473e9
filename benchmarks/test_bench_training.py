"""Ten epochs of the published experiment: the book's NumPy, PyTorch, scikit-learn and the estimator, side by side.

Run with ``OPENBLAS_NUM_THREADS=1 pytest benchmarks/test_bench_training.py --benchmark-only``, pinned to a core. All but
scikit-learn's `SGDClassifier`, which takes single rows and a classifier for each class, go through the same rows in the
same minibatches, and must arrive at the same weights before they are timed. ``python
benchmarks/test_bench_training.py`` alternates between them and prints ratios of medians.
"""

import time

import numpy as np
import pytest

from steelfast import SteelClassifier, _kernels
from steelfast.datasets import load_steel_plates

RATE, BATCH, EPOCHS, N_ROWS, SEED = 0.001, 10, 10, 1550, 0
LOSSES = ["softmax_cross_entropy", "sigmoid_mse"]


def training_plates():
    """What the experiment trains on, of the twin: 1550 plates as float32, unscaled; and the rows of each epoch."""
    plates = load_steel_plates(source="twin")
    rows = np.random.RandomState(1234).permutation(len(plates.data))[:N_ROWS]
    bit_generator = np.random.default_rng(SEED).bit_generator
    orders = []
    for _ in range(EPOCHS):
        orders.append(np.arange(N_ROWS))
        _kernels.shuffle(orders[-1], bit_generator)
    return plates.data[rows].astype(np.float32), plates.target[rows], orders


def softmax_cross_entropy(logits, targets):
    exponentials = np.exp((logits.T - logits.max(axis=1)).T)
    probs = (exponentials.T / exponentials.sum(axis=1)).T
    losses = -np.sum(targets * np.log(probs + 1e-10), axis=1)
    return np.mean(losses), (probs - targets) / len(logits)


def sigmoid_mse(logits, targets):
    probs = np.exp(-np.maximum(-logits, 0)) / (1 + np.exp(-np.abs(logits)))
    difference = probs - targets
    return np.mean(np.square(difference)), 2 * difference * probs * (1 - probs) / difference.size


def numpy_book(X, labels, orders, loss):
    """As the book's protocol has it, with weights in float64."""
    one_hot = np.eye(7, dtype=np.float32)[labels]
    loss_and_grad = {"softmax_cross_entropy": softmax_cross_entropy, "sigmoid_mse": sigmoid_mse}[loss]

    def run():
        weights, bias = np.zeros((27, 7)), np.zeros(7)
        for order in orders:
            losses, accuracies = [], []
            for start in range(0, len(X), BATCH):
                rows = order[start : start + BATCH]
                x, y = X[rows], one_hot[rows]
                logits = np.matmul(x, weights) + bias
                loss, grad = loss_and_grad(logits, y)
                losses.append(loss)
                accuracies.append(np.mean(np.equal(np.argmax(logits, axis=1), np.argmax(y, axis=1))))
                weights -= RATE * np.matmul(x.T, grad)
                bias -= RATE * np.sum(grad, axis=0)
            np.mean(losses), np.mean(accuracies)
        return weights, bias

    return run


def pytorch(X, labels, orders, loss):
    """As its tutorials have it, but with slices of shuffled tensors for a data loader."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    X, labels = torch.from_numpy(X), torch.from_numpy(labels)
    one_hot = torch.nn.functional.one_hot(labels, 7).to(X.dtype)
    cross_entropy = torch.nn.CrossEntropyLoss()
    criterion, targets = {
        "softmax_cross_entropy": (cross_entropy, labels),
        "sigmoid_mse": (lambda logits, y: torch.nn.functional.mse_loss(torch.sigmoid(logits), y), one_hot),
    }[loss]
    orders = [torch.from_numpy(order) for order in orders]

    def run():
        model = torch.nn.Linear(27, 7)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = torch.optim.SGD(model.parameters(), RATE)
        for order in orders:
            x, y = X[order], targets[order]
            total, n_correct = 0.0, 0
            for start in range(0, len(x), BATCH):
                batch = slice(start, start + BATCH)
                logits = model(x[batch])
                loss = criterion(logits, y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
                n_correct += (logits.argmax(1) == labels[order[batch]]).sum()
            float(total), int(n_correct)
        return model.weight.detach().numpy().T, model.bias.detach().numpy()

    return run


def scikit_learn(X, labels, orders, loss):
    from sklearn.linear_model import SGDClassifier

    X = X.astype(np.float64)
    classifier = SGDClassifier(
        "log_loss", alpha=0.0, learning_rate="constant", eta0=RATE, max_iter=EPOCHS, tol=None, random_state=SEED
    )
    return lambda: classifier.fit(X, labels)


def steelfast(dtype):
    def build(X, labels, orders, loss):
        X = X.astype(dtype)
        classifier = SteelClassifier(
            loss,
            "sgd",
            learning_rate=RATE,
            batch_size=BATCH,
            max_epochs=EPOCHS,
            l2=0.0,
            standardize=False,
            dtype=dtype,
            random_state=SEED,
        )

        def run():
            classifier.fit(X, labels)
            return classifier.coef_.T, classifier.intercept_

        return run

    return build


CONTENDERS = {
    "NumPy": numpy_book,
    "PyTorch": pytorch,
    "scikit-learn": scikit_learn,
    "float32": steelfast("float32"),
    "float64": steelfast("float64"),
}


@pytest.fixture(scope="module")
def plates():
    return training_plates()


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_epochs(benchmark, plates, loss, contender):
    X, labels, orders = plates
    # at the features' own scale float32 and float64 soon part
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    if contender != "scikit-learn":
        expected = numpy_book(scaled, labels, orders, loss)()
        tolerance = 1e-9 if contender in ("NumPy", "float64") else 1e-4
        for computed, right in zip(CONTENDERS[contender](scaled, labels, orders, loss)(), expected, strict=True):
            np.testing.assert_allclose(computed, right, rtol=0, atol=tolerance)
    benchmark.group = f"ten epochs, {loss}"
    benchmark(CONTENDERS[contender](X, labels, orders, loss))


def main():
    plates = training_plates()
    for loss in LOSSES:
        runs = {name: build(*plates, loss) for name, build in CONTENDERS.items()}
        seconds = {name: [] for name in runs}
        for _ in range(11):
            for name, run in runs.items():
                for _ in range(10 if name.startswith("float") else 1):
                    started = time.process_time()  # which does not count what others run
                    run()
                    seconds[name].append(time.process_time() - started)
        medians = {name: float(np.median(each)) for name, each in seconds.items()}
        for name, median in medians.items():
            ratios = (f"{median / medians[ours]:6.1f} of {ours}" for ours in ("float32", "float64"))
            print(f"{loss:22} {name:13} {1e3 * median:8.2f} ms, {', '.join(ratios)}")


if __name__ == "__main__":
    main()
