"""What the benchmark holds every contender against: the operations in long double, and errors in ULP.

`reference` in long double would do but where it cancels: the logarithm of a probability near one, and one minus it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelfast import reference

Array = NDArray[Any]


def softmax(logits: Array) -> Array:
    """The probabilities over the last axis."""
    exponentials, others, _, _ = _exponentials(logits)
    probs: Array = exponentials / (1 + others)
    return probs


def log_softmax(logits: Array) -> Array:
    """Their logarithms; near zero by log1p of the sum without its largest term."""
    _, others, shifted, lost = _exponentials(logits)
    return shifted - np.log1p(others) + lost


def logsumexp(logits: Array) -> Array:
    """The logarithm of the sum of the exponentials."""
    _, others, _, _ = _exponentials(logits)
    result: Array = logits.max(axis=-1) + np.log1p(others[..., 0])
    return result


def softmax_cross_entropy_value_and_grad(logits: Array, labels: Array) -> tuple[Any, Array]:
    """The mean loss, and its gradient: at the label it is minus the sum of the other probabilities."""
    n_rows, at_labels = len(labels), labels[:, np.newaxis]
    exponentials, others, _, _ = _exponentials(logits)
    grad: Array = exponentials / (1 + others)
    complements = 1 - grad
    np.put_along_axis(complements, logits.argmax(-1)[:, np.newaxis], others / (1 + others), -1)
    np.put_along_axis(grad, at_labels, -np.take_along_axis(complements, at_labels, -1), -1)
    losses = -np.take_along_axis(log_softmax(logits), at_labels, -1)
    return losses.sum() / n_rows, grad / n_rows


def softmax_jacobian(probs: Array) -> Array:
    """diag(p) − p pᵀ."""
    jacobian: Array = reference.softmax_jacobian(probs.astype(np.longdouble))
    return jacobian


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x))."""
    result: Array = reference.sigmoid(x.astype(np.longdouble))
    return result


def sigmoid_mse_value_and_grad(logits: Array, targets: Array) -> tuple[Any, Array]:
    """The mean loss and its gradient, for targets of 0 and 1: there nothing cancels."""
    up, down = sigmoid(logits), sigmoid(-logits)
    errors = np.where(targets == 1, -down, up)
    return np.square(errors).sum() / errors.size, 2 * errors * up * down / errors.size


def _exponentials(logits: Array) -> tuple[Array, Array, Array, Array]:
    """exp(z − m); their sum without one largest term, whose own is 1; z − m; what was lost in rounding that."""
    z = logits.astype(np.longdouble)
    maximum = z.max(axis=-1, keepdims=True)
    shifted = z - maximum
    part = shifted - z
    lost = (z - (shifted - part)) - (maximum + part)
    exponentials = np.exp(shifted) * (1 + lost)
    others = exponentials.copy()
    np.put_along_axis(others, logits.argmax(-1)[..., np.newaxis], 0, -1)
    return exponentials, others.sum(axis=-1, keepdims=True), shifted, lost


def can_measure(dtype: str) -> bool:
    """Whether long double is so much wider that errors of this type can be told: not on every platform."""
    return bool(np.finfo(np.longdouble).nmant >= np.finfo(dtype).nmant + 11)


def ulp_error(computed: Any, exact: Any, dtype: str) -> float:
    """The largest error in units in the last place, among the results that are normal numbers.

    Not a number, or infinite, where there should be a number, is infinitely wrong.
    """
    if isinstance(exact, tuple):
        return max(ulp_error(c, e, dtype) for c, e in zip(computed, exact, strict=True))
    with np.errstate(under="ignore"):
        rounded = np.abs(np.asarray(exact).astype(dtype))
    normal = rounded >= np.finfo(dtype).tiny
    computed = np.asarray(computed, dtype)[normal]
    errors = np.abs(computed - np.asarray(exact)[normal]) / np.spacing(rounded[normal])
    return float(np.where(np.isfinite(errors), errors, np.inf).max(initial=0))
