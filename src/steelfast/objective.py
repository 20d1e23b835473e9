"""The objective of the linear model as sums over rows: what workers that share out the rows send to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_array, as_choice, as_floating, as_shaped, as_weights, converted, described
from steelfast.heads import HEADS

__all__ = ["loss_and_grad"]

Array = NDArray[Any]

_ROWS = 8192  # whose sums may be formed in float32: at that many their rounding is still of its size


def loss_and_grad(
    X: ArrayLike,
    y: ArrayLike,
    coef: ArrayLike,
    intercept: ArrayLike,
    *,
    loss: str = "softmax_cross_entropy",
    sample_weight: ArrayLike | None = None,
) -> tuple[float, Array, Array]:
    """The loss of a linear classifier and its gradient, as sums over the rows.

    With the logits zᵢ = W xᵢ + b and the weights wᵢ of the rows

        L = Σᵢ wᵢ ℓ(zᵢ, yᵢ),   ∂L/∂W = Σᵢ wᵢ ∂ℓ/∂zᵢ xᵢᵀ,   ∂L/∂b = Σᵢ wᵢ ∂ℓ/∂zᵢ

    Being sums, the results for parts of the rows add up to those for all of them, so that machines which have a part
    each need to exchange no more than these; divided by Σ wᵢ they are means.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Taken as it is: standardise it before.
    y : array-like of int, shape (n_samples,)
        The label of each row, within 0 … n_classes − 1.
    coef : array-like of shape (n_classes, n_features)
        W, as ``SteelClassifier.coef_``.
    intercept : array-like of shape (n_classes,)
        b, as ``SteelClassifier.intercept_``.
    loss : {"softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"}, default "softmax_cross_entropy"
        ℓ. Those of the sigmoids are means over the classes.
    sample_weight : array-like of shape (n_samples,), optional
        wᵢ; all 1 if not given.

    Returns
    -------
    loss : float
        L, without any penalty of the weights.
    grad_coef : ndarray of shape (n_classes, n_features)
    grad_intercept : ndarray of shape (n_classes,)
        float32 if X, coef and intercept are of it (or of float16), else float64; a matrix of this type that is
        C-ordered is not copied.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or y not integers.
    ValueError
        If shapes do not match, a label is no row of coef, a weight is negative or not finite, or `loss` is unknown.

    Notes
    -----
    Runs without the GIL, in one pass over X and with memory for some hundred rows. Losses are computed from the logits,
    as by `softmax_cross_entropy` and its like; logits that leave the finite numbers may make the results NaN, also in
    rows that weigh nothing. Sums over many rows are formed in float64: of two million rows in float32 a gradient had
    an error of 1.3e-6 of its largest entry.

    Examples
    --------
    Gradient descent where two parties have half of the rows each:

    >>> import numpy as np
    >>> from steelfast import loss_and_grad
    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> coef, intercept = np.zeros((2, 1)), np.zeros(2)
    >>> for step in range(20):
    ...     parts = [loss_and_grad(X[rows], y[rows], coef, intercept) for rows in ([0, 3], [1, 2])]
    ...     loss, grad_coef, grad_intercept = (sum(each) / 4 for each in zip(*parts))
    ...     coef, intercept = coef - grad_coef, intercept - grad_intercept
    >>> bool(loss < 0.05)
    True
    """
    head = HEADS[as_choice(loss, "loss", HEADS)]
    floats = {name: as_floating(each, name)[0] for name, each in (("X", X), ("coef", coef), ("intercept", intercept))}
    dtype = np.result_type(*(each.dtype for each in floats.values()))
    for name in "X", "coef":
        if floats[name].ndim != 2:
            raise ValueError(f"{name} must be a matrix, got {described(floats[name])}")
    n_classes, n_features = floats["coef"].shape
    n_rows = len(floats["X"])
    if n_classes == 0:
        raise ValueError(f"coef must have a row for at least one class, got shape {floats['coef'].shape}")
    if floats["X"].shape[1] != n_features:
        raise ValueError(f"X must have the {n_features} features of coef, got shape {floats['X'].shape}")
    parameters = np.empty((n_features + 1, n_classes), dtype)
    parameters[:-1] = converted(floats["coef"], dtype).T
    parameters[-1] = as_shaped(floats["intercept"], "intercept", (n_classes,), dtype)
    labels = _labels(y, n_rows, n_classes)
    weights = None if sample_weight is None else as_weights(sample_weight, "sample_weight", (n_rows,), dtype)
    rows = np.ascontiguousarray(converted(floats["X"], dtype))
    total, gradient = 0.0, np.zeros(parameters.shape)
    for start in range(0, n_rows, _ROWS):
        some = slice(start, start + _ROWS)
        of_some, _, grad = _kernels.linear_loss_and_grad(
            *(rows[some], labels[some], parameters, *head.settings),
            None if weights is None else weights[some],
        )
        total += of_some
        gradient += grad
    gradient = converted(gradient, dtype)
    return total, np.ascontiguousarray(gradient[:-1].T), gradient[-1].copy()


def _labels(y: ArrayLike, n_rows: int, n_classes: int) -> NDArray[np.int64]:
    array = as_array(y, "y")
    if array.size == 0 and not isinstance(y, np.ndarray):
        array = array.astype(np.int64)  # an empty list says nothing of its dtype
    if array.dtype.kind not in "iu":
        raise TypeError(f"y must hold integer labels, got {described(array)}")
    if array.shape != (n_rows,):
        raise ValueError(f"y must hold one label for each row, shape {(n_rows,)}, got shape {array.shape}")
    bad = (array < 0) | (array >= n_classes)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"y must lie in 0 … {n_classes - 1}, got label {array[row]} in row {row}")
    return np.require(array, np.int64, ["C", "A"])
