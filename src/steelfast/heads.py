"""What stands on top of the logits: losses of labels with their gradients, and what the logits say of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steelfast import _kernels

__all__ = ["HEADS", "Head"]

Array = NDArray[Any]  # of float32 or float64
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """What stands on top of the logits.

    Attributes
    ----------
    name : str
    kind : {"softmax_cross_entropy", "sigmoid_cross_entropy", "sigmoid_mse", "sigmoid_mse_without_slope"}
        The loss, as the kernels call it. Those of the sigmoid are means over the classes; the last one's gradient
        leaves out the slope of the sigmoid.
    scores : callable
        From logits to the logarithm of what speaks for each class, up to a constant in each row.
    cap : float, default 0
        Is added to the label's probability within the logarithm of the softmax cross-entropy, and caps the loss; the
        gradient is that without it.
    targets : (float, float), default (0, 1)
        What the sigmoids are to be, for the other classes and for the label's.
    """

    name: str
    kind: Literal["softmax_cross_entropy", "sigmoid_cross_entropy", "sigmoid_mse", "sigmoid_mse_without_slope"]
    scores: Callable[[Array], Array]
    cap: float = 0.0
    targets: tuple[float, float] = (0.0, 1.0)

    @property
    def settings(self) -> tuple[str, float, float, float]:
        """What the kernels need to know of a head."""
        return (self.kind, self.cap, *self.targets)

    def differentiate(
        self, logits: Array, labels: IntArray, *, row_weights: Array | None = None, divisor: float = 1.0
    ) -> tuple[float, float]:
        """Make logits the gradient of the losses' weighted sum, divided by `divisor`, in place.

        Parameters
        ----------
        logits : C-contiguous array of shape (n, n_classes), float32 or float64
        labels : int64 array of shape (n,), within 0 … n_classes − 1
        row_weights : array of shape (n,) and of the logits' dtype, optional
            What each row counts.
        divisor : float, default 1
            The number of rows for the gradient of their mean.

        Returns
        -------
        loss, correct : float
            Sums of the weighted losses, and of the weights of the rows whose largest logit is the label's.
        """
        return _kernels.differentiate_logits(logits, labels, *self.settings, row_weights, divisor)

    def probabilities(self, logits: Array, *, in_place: bool = False) -> Array:
        """The probability of each class; every row sums to 1. `in_place` may put them where the logits are."""
        scores = self.scores(logits)
        return _kernels.softmax(scores, out=scores if in_place else None)

    def log_probabilities(self, logits: Array, *, in_place: bool = False) -> Array:
        """The logarithms of the probabilities, exact where these are nearly 0 or 1; `in_place` as for those."""
        scores = self.scores(logits)
        return _kernels.log_softmax(scores, out=scores if in_place else None)


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        head.name: head
        for head in (
            Head("softmax_cross_entropy", "softmax_cross_entropy", np.asarray),
            Head("sigmoid_mse", "sigmoid_mse", _kernels.log_sigmoid),
            Head("sigmoid_cross_entropy", "sigmoid_cross_entropy", _kernels.log_sigmoid),
        )
    }
)
