"""Minibatch training of the linear model z = x·w + b, on losses and gradients of the kernels.

All the arithmetic of an epoch is in `train_epoch`; `train` repeats it on reshuffled rows and keeps
the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from steelfast import _kernels
from steelfast.optimizers import Optimizer

__all__ = [
    "HEADS",
    "Epoch",
    "Head",
    "LinearModel",
    "accuracy",
    "evaluate",
    "one_hot",
    "train",
    "train_epoch",
]

Array = NDArray[Any]  # of float32 or float64, one dtype in a training
IntArray = NDArray[np.int64]


# -------------------------------------------------------------------------------- what is trained


class LinearModel:
    """Logits that are linear in the features: z = x·w + b.

    Parameters
    ----------
    weights : array of shape (n_features, n_classes)
    bias : array of shape (n_classes,)
        Where to start from; they are copied.

    Attributes
    ----------
    parameters : array of shape (n_features + 1, n_classes)
        All that is learned, in one array, so that an optimiser changes it in one pass.
    weights, bias : array
        The rows of the parameters but the last, and the last one.
    """

    def __init__(self, weights: Array, bias: Array) -> None:
        self.parameters: Array = np.vstack([weights, bias])
        self.weights: Array = self.parameters[:-1]
        self.bias: Array = self.parameters[-1]

    def logits(self, X: Array) -> Array:
        """The logits of rows of features, shape (n, n_classes)."""
        logits: Array = X @ self.weights + self.bias
        return logits


@dataclass(frozen=True)
class Head:
    """What stands on top of the logits.

    Attributes
    ----------
    name : str
    value_and_grad : callable
        From logits (n, n_classes) and labels (n,) to losses, one for each row or one for each of
        its classes, and the gradient of their sum with respect to the logits, both in new arrays.
        What is trained with is the mean of the losses.
    scores : callable
        From logits to the logarithm of what speaks for each class, up to a constant in each row.
    """

    name: str
    value_and_grad: Callable[[Array, IntArray], tuple[Array, Array]]
    scores: Callable[[Array], Array]

    def probabilities(self, logits: Array) -> Array:
        """The probability of each class; every row sums to 1."""
        return _kernels.softmax(self.scores(logits))

    def log_probabilities(self, logits: Array) -> Array:
        """The logarithms of the probabilities, exact where these are nearly 0 or 1."""
        return _kernels.log_softmax(self.scores(logits))


def one_hot(labels: IntArray, like: Array) -> Array:
    """The labels as rows of the width and dtype of `like`: 1 for the label's class, 0 elsewhere."""
    identity: Array = np.eye(like.shape[1], dtype=like.dtype)
    return identity[labels]


def _softmax_cross_entropy(logits: Array, labels: IntArray) -> tuple[Array, Array]:
    return _kernels.softmax_cross_entropy_value_and_grad(logits, labels, reduction="none")


def _sigmoid_mse(logits: Array, labels: IntArray) -> tuple[Array, Array]:
    targets = one_hot(labels, logits)
    return _kernels.sigmoid_mse_value_and_grad(logits, targets, reduction="none")


def _sigmoid_cross_entropy(logits: Array, labels: IntArray) -> tuple[Array, Array]:
    targets = one_hot(labels, logits)
    return _kernels.sigmoid_cross_entropy_value_and_grad(logits, targets, reduction="none")


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        head.name: head
        for head in (
            Head("softmax_cross_entropy", _softmax_cross_entropy, np.asarray),
            Head("sigmoid_mse", _sigmoid_mse, _kernels.log_sigmoid),
            Head("sigmoid_cross_entropy", _sigmoid_cross_entropy, _kernels.log_sigmoid),
        )
    }
)


# -------------------------------------------------------------------------------- how it is trained


class Epoch(TypedDict):
    """The record of an epoch; the last two are there where rows were held out."""

    epoch: int  # from 1
    loss: float  # means over the minibatches, each taken before its update
    accuracy: float
    validation_loss: NotRequired[float]  # after the epoch
    validation_accuracy: NotRequired[float]


class Shuffler(Protocol):
    """What the trainer needs of a random generator, such as NumPy's."""

    def shuffle(self, x: Array, /) -> None: ...


def train(
    model: LinearModel,
    X: Array,
    labels: IntArray,
    *,
    head: Head,
    optimizer: Optimizer,
    n_epochs: int,
    batch_size: int,
    rng: Shuffler,
    l2: float = 0.0,
    row_weights: Array | None = None,
    validation_data: tuple[Array, IntArray] | None = None,
    callback: Callable[[Epoch], bool | None] | None = None,
) -> list[Epoch]:
    """Train the model in place; every epoch goes through all rows once, shuffled anew.

    Parameters
    ----------
    model : LinearModel
        Where to start from, and what is changed.
    X : array of shape (n, n_features), float32 or float64 like the model
    labels : int64 array of shape (n,), within 0 … n_classes − 1
    head : Head
    optimizer : Optimizer
    n_epochs, batch_size : int, at least 1
        The last minibatch of an epoch holds what is left.
    rng : Generator or RandomState
        What shuffles; nothing else here is random.
    l2 : float, default 0
        What the gradient of l2/2 · Σ w² adds to that of the loss. The losses are recorded without
        it.
    row_weights : array of shape (n,), optional
        What each row counts for; of mean 1, or they scale the steps.
    validation_data : (X, labels), optional
        Rows held out, to evaluate the model on after each epoch.
    callback : callable, optional
        Called with the record of each epoch; training ends after an epoch for which it returns
        True.

    Returns
    -------
    list of Epoch
        A record for each epoch.

    Raises
    ------
    ValueError
        If the model's numbers are no longer finite after an epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.optimizers import SGD
    >>> from steelfast.trainer import HEADS, LinearModel, train
    >>> X, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    >>> model = LinearModel(np.zeros((1, 2)), np.zeros(2))
    >>> head, rng = HEADS["softmax_cross_entropy"], np.random.default_rng(0)
    >>> history = train(
    ...     model, X, labels, head=head, optimizer=SGD(1.0), n_epochs=10, batch_size=2, rng=rng
    ... )
    >>> history[-1]["accuracy"]
    1.0
    """
    order = np.arange(len(X))
    history: list[Epoch] = []
    for number in range(1, n_epochs + 1):
        rng.shuffle(order)
        with np.errstate(over="ignore", invalid="ignore"):  # it is looked at right below
            loss, train_accuracy = train_epoch(
                model, X, labels, order, batch_size, head, optimizer, l2=l2, row_weights=row_weights
            )
        if not np.isfinite(model.parameters).all():
            raise ValueError(
                f"training left the finite numbers in epoch {number}: "
                f"learning_rate {optimizer.learning_rate:g} is too large for these features"
            )
        epoch: Epoch = {"epoch": number, "loss": loss, "accuracy": train_accuracy}
        if validation_data is not None:
            epoch["validation_loss"], epoch["validation_accuracy"] = evaluate(model, *validation_data, head)
        history.append(epoch)
        if callback is not None and callback(epoch):
            break
    return history


def train_epoch(
    model: LinearModel,
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
    """Go through the rows once, in this order, with an update after each minibatch; see `train`.

    Returns
    -------
    loss, accuracy : float
        Means over the minibatches, each taken before its update.
    """
    X, labels = X[order], labels[order]
    counts = None if row_weights is None else row_weights[order]
    starts = range(0, len(X), batch_size)
    losses, accuracies = np.empty(len(starts)), np.empty(len(starts))
    gradient = np.empty_like(model.parameters)
    for k, start in enumerate(starts):
        batch = slice(start, start + batch_size)
        rows = X[batch]
        logits = model.logits(rows)
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
            gradient[:-1] += l2 * model.weights
        optimizer.update(model.parameters, gradient)
    # minibatches of one size have one plain mean, to the last bit
    sizes = None if len(X) % batch_size == 0 else np.minimum(batch_size, len(X) - np.array(starts))
    return float(np.average(losses, weights=sizes)), float(np.average(accuracies, weights=sizes))


def evaluate(model: LinearModel, X: Array, labels: IntArray, head: Head) -> tuple[float, float]:
    """The mean loss and the accuracy of the model on these rows."""
    logits = model.logits(X)
    losses, _ = head.value_and_grad(logits, labels)
    return float(losses.mean()), accuracy(logits, labels)


def accuracy(logits: Array, labels: IntArray) -> float:
    """The share of rows whose largest logit is the label's."""
    return float((logits.argmax(axis=1) == labels).mean())
