"""Minibatch training of a model: epochs of reshuffled rows, what is recorded of them, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from steelfast._arguments import as_count
from steelfast.heads import Head
from steelfast.models import Model
from steelfast.optimizers import Optimizer

__all__ = ["EarlyStopping", "Epoch", "evaluate", "train"]

Array = NDArray[Any]  # of float32 or float64, one dtype in a training
IntArray = NDArray[np.int64]

# epochs that are trained together have orders of no more entries than this, and no more products: some 50 ms, for which
# Ctrl-C has to wait
_MOST_ENTRIES, _MOST_PRODUCTS = 1 << 18, 1 << 27


class Epoch(TypedDict):
    """The record of an epoch; the last two are there where rows were held out."""

    epoch: int  # from 1
    loss: float  # means over the minibatches, each taken before its update
    accuracy: float
    validation_loss: NotRequired[float]  # after the epoch
    validation_accuracy: NotRequired[float]


@dataclass(frozen=True)
class EarlyStopping:
    """When to stop, by the loss of the rows that are held out; the best epoch's parameters are what stays.

    Attributes
    ----------
    n_iter_no_change : int, at least 1
        Epochs in a row ...
    tol : float
        ... in which the loss has not become smaller by more than this than it ever was.
    """

    n_iter_no_change: int = 10
    tol: float = 1e-4


class Shuffler(Protocol):
    """What the trainer needs of a random generator, such as NumPy's."""

    def shuffle(self, x: Array, /) -> None: ...


def train(
    model: Model,
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
    validation_data: tuple[Array, IntArray] | tuple[Array, IntArray, Array | None] | None = None,
    early_stopping: EarlyStopping | None = None,
    callback: Callable[[Epoch], bool | None] | None = None,
    first_epoch: int = 1,
) -> list[Epoch]:
    """Train the model in place; every epoch goes through all rows once, shuffled anew.

    Parameters
    ----------
    model : Model
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
    validation_data : (X, labels) or (X, labels, row_weights), optional
        Rows held out, to evaluate the model on after each epoch.
    early_stopping : EarlyStopping, optional
        Needs validation_data.
    callback : callable, optional
        Called with the record of each epoch; training ends after an epoch for which it returns
        True.
    first_epoch : int, default 1
        The number of the first epoch, where others went before.

    Returns
    -------
    list of Epoch
        A record for each epoch.

    Raises
    ------
    ValueError
        If the loss, the model's numbers or the optimiser's are no longer finite after an epoch, or with early stopping
        the loss of the rows held out; with the epoch, and what was too large. If there are no rows, or none held out to
        stop by.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.heads import HEADS
    >>> from steelfast.models import LinearModel
    >>> from steelfast.optimizers import SGD
    >>> from steelfast.trainer import train
    >>> X, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    >>> model = LinearModel(np.zeros((1, 2)), np.zeros(2))
    >>> head, rng = HEADS["softmax_cross_entropy"], np.random.default_rng(0)
    >>> history = train(
    ...     model, X, labels, head=head, optimizer=SGD(1.0), n_epochs=10, batch_size=2, rng=rng
    ... )
    >>> history[-1]["accuracy"]
    1.0
    """
    if not len(X):
        raise ValueError("X must have at least one row, got none")
    if early_stopping is not None and validation_data is None:
        raise ValueError("early_stopping needs validation_data, got None")
    as_count(batch_size, "batch_size", 1)
    order = np.arange(len(X))
    history: list[Epoch] = []
    best_loss, best = np.inf, [each.copy() for each in model.parameters]
    if early_stopping is not None and first_epoch > 1:  # what was trained before may be the best
        best_loss = _evaluate_on(model, validation_data, head)[0]
    n_without_change = 0
    stop = False
    # together, where nobody wants to look in between: so most of the time goes without Python
    n_products = len(X) * max(1, sum(each.size for each in model.parameters))
    alone = callback is not None or validation_data is not None
    at_once = 1 if alone else max(1, min(_MOST_ENTRIES // len(X), _MOST_PRODUCTS // n_products))
    last = first_epoch + n_epochs
    while first_epoch < last and not stop:
        orders = np.empty((min(at_once, last - first_epoch), len(X)), order.dtype)
        for row in orders:
            rng.shuffle(order)
            row[:] = order
        results = model.train_epochs(X, labels, orders, batch_size, head, optimizer, l2=l2, row_weights=row_weights)
        history += [
            {"epoch": k, "loss": loss, "accuracy": accuracy} for k, (loss, accuracy) in enumerate(results, first_epoch)
        ]
        first_epoch += len(results)
        epoch = history[-1]
        if not (math.isfinite(epoch["loss"]) and _are_finite(model, optimizer)):
            raise ValueError(_divergence(epoch["epoch"], X, optimizer, l2))
        if validation_data is not None:
            epoch["validation_loss"], epoch["validation_accuracy"] = _evaluate_on(model, validation_data, head)
        if callback is not None:
            stop = bool(callback(epoch))
        if early_stopping is not None:
            held_out = epoch["validation_loss"]
            if not math.isfinite(held_out):
                where = f"in epoch {epoch['epoch']}"
                raise ValueError(f"the loss of the rows held out is {held_out} {where}: they cannot tell when to stop")
            n_without_change = 0 if held_out < best_loss - early_stopping.tol else n_without_change + 1
            stop = stop or n_without_change >= early_stopping.n_iter_no_change
            if held_out < best_loss:
                best_loss, best = held_out, [each.copy() for each in model.parameters]
    if early_stopping is not None:
        for parameter, kept in zip(model.parameters, best, strict=True):
            parameter[...] = kept
    return history


def _are_finite(model: Model, optimizer: Optimizer) -> bool:
    """Whether what is learned is, and what the optimiser remembers: by an infinite square no parameter moves again."""
    for parameter in model.parameters:
        plan = optimizer.begin(parameter, 0)
        for each in parameter, plan.first, plan.second:
            if each is not None and not np.isfinite(each).all():
                return False
    return True


def _divergence(number: int, X: Array, optimizer: Optimizer, l2: float) -> str:
    """What to say when training has left the finite numbers, and of what it is likely to come."""
    rate = getattr(optimizer.learning_rate, "learning_rate", optimizer.learning_rate)  # of a schedule its largest
    reach = float(np.abs(X).max())
    if not math.isfinite(reach):
        return f"X must be finite in {X.dtype}, got {reach}"
    where = f"training left the finite numbers in epoch {number}"
    if isinstance(rate, float) and l2 > 1 and rate * l2 > 2:
        return f"{where}: l2 {l2:g} is too large for learning_rate {rate:g}, their product must be below 2"
    advice = "lower it or standardize them" if reach > 100 else "lower it"
    return f"{where}: learning_rate {rate} is too large for these features, which reach {reach:.2g}; {advice}"


def _evaluate_on(model: Model, held_out: Any, head: Head) -> tuple[float, float]:
    X, labels, *weights = held_out
    return evaluate(model, X, labels, head, *weights)


def evaluate(
    model: Model, X: Array, labels: IntArray, head: Head, row_weights: Array | None = None
) -> tuple[float, float]:
    """The mean loss and the accuracy of the model on these rows, each of which counts its weight."""
    loss, correct = head.differentiate(model.logits(X), labels, row_weights=row_weights)
    total = len(X) if row_weights is None else float(row_weights.sum(dtype=np.float64))
    return loss / total, correct / total
