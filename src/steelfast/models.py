"""Models whose last layer is linear: logits of rows, and an epoch of minibatches."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steelfast.heads import Head
from steelfast.optimizers import Optimizer

__all__ = ["LinearModel", "Model"]

Array = NDArray[Any]  # of float32 or float64, one dtype in a training
IntArray = NDArray[np.int64]


class Model(Protocol):
    """What the trainer trains.

    Attributes
    ----------
    parameters : tuple of array
        All that is learned; changed in place.
    """

    parameters: tuple[Array, ...]

    def logits(self, X: Array) -> Array:
        """The logits of rows of features, shape (n, n_classes)."""

    def train_epoch(
        self,
        X: Array,
        labels: IntArray,
        order: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
    ) -> tuple[float, float]:
        """Go through the rows once, in this order, with an update after each minibatch.

        Parameters are those of `trainer.train`. Returns loss and accuracy, means over the rows, each row taken
        before the update of its minibatch.
        """


class LinearModel:
    """Logits that are linear in the features: z = x·w + b.

    Parameters
    ----------
    weights : array of shape (n_features, n_classes)
    bias : array of shape (n_classes,)
        Where to start from; they are copied.

    Attributes
    ----------
    parameters : tuple of one array of shape (n_features + 1, n_classes)
        All that is learned, in one array, so that an optimiser changes it in one pass.
    weights, bias : array
        The rows of the parameters but the last, and the last one.
    """

    def __init__(self, weights: Array, bias: Array) -> None:
        both: Array = np.vstack([weights, bias])
        self.parameters: tuple[Array, ...] = (both,)
        self.weights: Array = both[:-1]
        self.bias: Array = both[-1]

    def logits(self, X: Array) -> Array:
        """The logits of rows of features, shape (n, n_classes)."""
        logits: Array = X @ self.weights + self.bias
        return logits

    def train_epoch(
        self,
        X: Array,
        labels: IntArray,
        order: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
    ) -> tuple[float, float]:
        """One epoch, see `Model`."""
        X, labels = X[order], labels[order]
        counts = None if row_weights is None else row_weights[order]
        starts = range(0, len(X), batch_size)
        losses, accuracies = np.empty(len(starts)), np.empty(len(starts))
        [parameters] = self.parameters
        gradient = np.empty_like(parameters)
        for k, start in enumerate(starts):
            batch = slice(start, start + batch_size)
            rows = X[batch]
            logits = self.logits(rows)
            row_losses, grad = head.value_and_grad(logits, labels[batch])
            grad /= row_losses.size
            correct: Array = logits.argmax(axis=1) == labels[batch]
            if counts is not None:
                row_losses = row_losses.T * counts[batch]
                correct = correct * counts[batch]
                grad *= counts[batch, np.newaxis]
            losses[k] = row_losses.sum() / row_losses.size
            accuracies[k] = correct.sum() / correct.size
            np.matmul(rows.T, grad, out=gradient[:-1])
            np.sum(grad, axis=0, out=gradient[-1])
            if l2:
                gradient[:-1] += l2 * self.weights
            optimizer.update(parameters, gradient)
        # minibatches of one size have one plain mean, to the last bit
        sizes = None if len(X) % batch_size == 0 else np.minimum(batch_size, len(X) - np.array(starts))
        return float(np.average(losses, weights=sizes)), float(np.average(accuracies, weights=sizes))
