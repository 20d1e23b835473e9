"""One training epoch of the published experiment: the book's NumPy and the trainer, side by side.

Run with ``pytest benchmarks/ --benchmark-only``. Both must arrive at the same weights before they
are timed.
"""

import numpy as np
import pytest

from steelfast.datasets import load_steel_plates
from steelfast.experiments import HEADS
from steelfast.models import LinearModel
from steelfast.optimizers import SGD

RATE, BATCH = 0.001, 10


@pytest.fixture(scope="module")
def training_plates():
    """What the experiment trains on, of the twin: 1550 plates as float32, unscaled, shuffled."""
    plates = load_steel_plates(source="twin")
    rows = np.random.RandomState(1234).permutation(len(plates.data))[:1550]
    return plates.data[rows].astype(np.float32), plates.target[rows]


def softmax_cross_entropy(logits, targets):
    exponentials = np.exp((logits.T - logits.max(axis=1)).T)
    probs = (exponentials.T / exponentials.sum(axis=1)).T
    losses = -np.sum(targets * np.log(probs + 1e-10), axis=1)
    return np.mean(losses), (probs - targets) / len(logits)


def sigmoid_mse(logits, targets):
    probs = np.exp(-np.maximum(-logits, 0)) / (1 + np.exp(-np.abs(logits)))
    difference = probs - targets
    return np.mean(np.square(difference)), 2 * difference / difference.size


BOOK = {"softmax+cross-entropy": softmax_cross_entropy, "sigmoid+MSE": sigmoid_mse}


def initial_weights():
    return np.random.RandomState(1234).normal(0, 0.0030, (27, 7)), np.zeros(7)


def book_epoch(X, one_hot, head):
    """The weights and the bias after an epoch from the initial ones; the mean loss, the accuracy."""
    weights, bias = initial_weights()
    loss_and_grad, losses, accuracies = BOOK[head], [], []
    for start in range(0, len(X), BATCH):
        x, y = X[start : start + BATCH], one_hot[start : start + BATCH]
        logits = np.matmul(x, weights) + bias
        loss, grad = loss_and_grad(logits, y)
        losses.append(loss)
        accuracies.append(np.mean(np.equal(np.argmax(logits, axis=1), np.argmax(y, axis=1))))
        weights -= RATE * np.matmul(x.T, grad)
        bias -= RATE * np.sum(grad, axis=0)
    return weights, bias, np.mean(losses), np.mean(accuracies)


def trainer_epoch(X, labels, head):
    model = LinearModel(*initial_weights())
    order = np.arange(len(X))
    figures = model.train_epoch(X, labels, order, BATCH, HEADS[head], SGD(RATE))
    return model.weights, model.bias, *figures


@pytest.mark.parametrize("contender", ["numpy", "steelfast"])
@pytest.mark.parametrize("head", BOOK)
def test_epoch(benchmark, training_plates, head, contender):
    X, labels = training_plates
    one_hot, wide = np.eye(7, dtype=np.float32)[labels], X.astype(np.float64)
    expected = book_epoch(X, one_hot, head)
    for computed, right in zip(trainer_epoch(wide, labels, head), expected, strict=True):
        np.testing.assert_allclose(computed, right, rtol=1e-9, atol=1e-9)

    benchmark.group = f"training epoch, {head}"
    if contender == "numpy":
        benchmark(book_epoch, X, one_hot, head)
    else:
        benchmark(trainer_epoch, wide, labels, head)
