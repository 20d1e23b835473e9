"""Models whose last layer is linear: logits of rows, and an epoch of minibatches."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from steelfast import _kernels
from steelfast.heads import Head
from steelfast.optimizers import Optimizer

__all__ = ["LinearModel", "Model", "Scaling", "scaling_of", "standardized"]

Array = NDArray[Any]  # of float32 or float64, one dtype in a training
IntArray = NDArray[np.int64]
Scaling: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

# a product with more parameters than this is better off with BLAS
_MOST_PARAMETERS = 1 << 15


def scaling_of(X: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> Scaling:
    """Mean and standard deviation of each feature, where each row counts its weight; 1 for one that does not vary.

    What scikit-learn's `StandardScaler` finds, but that means are right to the last digit, and that the scale of the
    weights does not decide what varies. That took 1.1 ms of the 11 of a fit on the plates, this takes 0.2.
    """
    n = float(len(X) if weights is None else weights.sum())

    def mean_of(x: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = x.sum(axis=0) if weights is None else weights @ x
        return total / n

    with np.errstate(over="ignore", invalid="ignore"):
        mean = mean_of(X)
        deviation = X - mean
        rounding = mean_of(deviation)
        deviation *= deviation
        variance = mean_of(deviation) - rounding**2
        # what the rounding of a constant amounts to, at most
        constant = variance <= (len(X) * mean * np.finfo(np.float64).eps) ** 2
        # without what rounding the sum took: so a constant becomes 0, however large it is
        return mean + rounding, np.where(constant, 1.0, np.sqrt(variance))


def standardized(X: Array, scaling: Scaling | None, dtype: DTypeLike) -> Array:
    """(X - mean) / scale in this dtype, or X itself where there is no scaling; C-contiguous."""
    if scaling is not None:
        mean, scale = scaling
        X = X - mean
        X /= scale
    return np.ascontiguousarray(X, dtype)


class Model(Protocol):
    """What the trainer trains.

    Attributes
    ----------
    parameters : tuple of array
        All that is learned; changed in place.
    """

    parameters: tuple[Array, ...]

    def logits(self, X: Array, scaling: Scaling | None = None) -> Array:
        """The logits of rows of features, shape (n, n_classes).

        X is C-contiguous, float32 or float64 whatever the model is; `scaling` are a mean and a scale of each feature,
        float64: x = (X - mean) / scale is what the model sees.
        """

    def train_epochs(
        self,
        X: Array,
        labels: IntArray,
        orders: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
    ) -> list[tuple[float, float]]:
        """Go through the rows in each of these orders, shape (n_epochs, n), with an update after each minibatch.

        The other parameters are those of `steelfast.trainer.train`. Returns loss and accuracy of each epoch, means over
        the rows, each row taken before the update of its minibatch. An epoch that leaves the finite numbers is the
        last.
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
        self.parameters: tuple[Array, ...] = (np.ascontiguousarray(np.concatenate((weights, np.atleast_2d(bias)))),)

    def __repr__(self) -> str:
        n_features, n_classes = self.weights.shape
        return f"<LinearModel: {n_features} features, {n_classes} classes, {self.weights.dtype}>"

    @property
    def weights(self) -> Array:
        return self.parameters[0][:-1]

    @property
    def bias(self) -> Array:
        bias: Array = self.parameters[0][-1]
        return bias

    def logits(self, X: Array, scaling: Scaling | None = None) -> Array:
        """The logits of rows of features, see `Model`."""
        [parameters] = self.parameters
        if parameters.size <= _MOST_PARAMETERS:
            return _kernels.linear_logits(X, parameters, *(() if scaling is None else (scaling[0], 1 / scaling[1])))
        with np.errstate(over="ignore", invalid="ignore"):  # as the kernel
            logits: Array = standardized(X, scaling, parameters.dtype) @ self.weights + self.bias
        return logits

    def train_epochs(
        self,
        X: Array,
        labels: IntArray,
        orders: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
    ) -> list[tuple[float, float]]:
        """Epochs, see `Model`."""
        [parameters] = self.parameters
        n_epochs, n_rows = orders.shape
        n_steps = -(-n_rows // batch_size)
        plan = optimizer.begin(parameters, n_epochs * n_steps)
        figures = _kernels.train_linear_epochs(
            X, labels, orders, parameters, batch_size, *head.settings, row_weights, l2, plan
        )
        if n_rows % batch_size:
            sizes = np.full(n_steps, batch_size)
            sizes[-1] = n_rows % batch_size
            means = figures @ sizes / n_rows
        else:
            means = np.add.reduce(figures, axis=2) / n_steps
        return [(loss, accuracy) for loss, accuracy in means.tolist()]
