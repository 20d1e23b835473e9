"""What stands on top of the logits: losses of labels with their gradients, and what the logits say of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _kernels

__all__ = ["HEADS", "Head", "one_hot"]

Array = NDArray[Any]  # of float32 or float64
IntArray = NDArray[np.int64]


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
