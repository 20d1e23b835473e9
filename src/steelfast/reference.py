"""The kernels in plain NumPy, and some of them as Python loops: what tests and benchmarks hold
the kernels against.

A function has the name and the arguments of its kernel, without ``out``, and works in the dtype
of its input. It is the textbook's form and no fallback: arguments are not checked, and a row with
NaN or an infinity comes out as NumPy happens to have it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = Any  # an array, or a scalar where a loss is reduced: NumPy's types do not tell


def _floating(values: ArrayLike) -> NDArray[Any]:
    """The values as an array of floating-point numbers; integers and booleans become float64."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _weighted(weights: Array, logs: Array) -> Array:
    """w · log, where 0 · log 0 = 0."""
    with np.errstate(invalid="ignore"):
        return np.where(weights == 0, 0, weights * logs)


def _reduced(losses: Array, reduction: str, divisor: Any) -> Array:
    """The losses, their sum, or their sum by the divisor; a mean over nothing is NaN."""
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    return total / divisor if divisor else losses.dtype.type(np.nan)


def _reduced_grad(grad: Array, reduction: str, divisor: Any) -> Array:
    """The gradient of what `_reduced` gives, from the gradient of every loss."""
    return grad / divisor if reduction == "mean" and divisor else grad


# ---- softmax


def softmax(logits: ArrayLike, axis: int = -1) -> Array:
    """p = exp(z − m) / Σ exp(z − m) with m = max z, so that nothing overflows."""
    logits = _floating(logits)
    exponentials = np.exp(logits - logits.max(axis, keepdims=True))
    return exponentials / exponentials.sum(axis, keepdims=True)


def log_softmax(logits: ArrayLike, axis: int = -1) -> Array:
    """log p = (z − m) − log Σ exp(z − m)."""
    logits = _floating(logits)
    shifted = logits - logits.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def logsumexp(logits: ArrayLike, axis: int = -1, *, keepdims: bool = False) -> Array:
    """m + log Σ exp(z − m)."""
    logits = _floating(logits)
    maximum = logits.max(axis, keepdims=True)
    result = maximum + np.log(np.exp(logits - maximum).sum(axis, keepdims=True))
    return result if keepdims else result.squeeze(axis)


def softmax_jacobian(probs: ArrayLike) -> Array:
    """∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ), that is diag(p) − p pᵀ, of shape (…, C, C)."""
    probs = _floating(probs)
    identity = np.eye(probs.shape[-1], dtype=probs.dtype)
    return probs[..., :, None] * (identity - probs[..., None, :])


def softmax_vjp(probs: ArrayLike, grad: ArrayLike, axis: int = -1) -> Array:
    """p (g − Σ g p): the Jacobian times g, without the Jacobian."""
    probs, grad = _floating(probs), _floating(grad)
    return probs * (grad - (grad * probs).sum(axis, keepdims=True))


# ---- sigmoid


def sigmoid(x: ArrayLike) -> Array:
    """σ(x) = 1 / (1 + exp(−x)), written with exp(−|x|), so that nothing overflows."""
    x = _floating(x)
    exponential = np.exp(-np.abs(x))
    return np.where(x < 0, exponential, x.dtype.type(1)) / (1 + exponential)


def log_sigmoid(x: ArrayLike) -> Array:
    """log σ(x) = min(x, 0) − log(1 + exp(−|x|))."""
    x = _floating(x)
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


# ---- cross-entropy of the softmax


def _target_weights(
    logits: Array,
    targets: ArrayLike,
    class_weight: ArrayLike | None,
    sample_weight: ArrayLike | None,
    label_smoothing: float,
    ignore_index: int | None,
) -> tuple[Array, Any]:
    """What −log p of each class of each row weighs in the loss, and the divisor of the mean.

    A label is the probability 1 of its class. Labels divide by the weights of the rows and of
    their classes, probabilities by the weights of the rows alone, as PyTorch does.
    """
    dtype, n_classes = logits.dtype, logits.shape[-1]
    targets = np.asarray(targets)
    classes = np.asarray(np.ones(n_classes) if class_weight is None else class_weight, dtype)
    rows = np.asarray(np.ones(logits.shape[:-1]) if sample_weight is None else sample_weight, dtype)
    if targets.shape == logits.shape:
        weights = targets.astype(dtype)
        divisor = rows.sum()
    else:
        if ignore_index is not None:
            rows = rows * (targets != ignore_index)
            targets = np.where(targets == ignore_index, 0, targets)
        weights = (targets[..., None] == np.arange(n_classes)).astype(dtype)
        divisor = (rows * classes[targets]).sum()
    if label_smoothing:
        weights = (1 - label_smoothing) * weights + label_smoothing / n_classes
    return weights * classes * rows[..., None], divisor


def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: str = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Array:
    """−Σ w log p over the classes; w is 1 at the label, or the targets are w itself."""
    logits = _floating(logits)
    weights, divisor = _target_weights(logits, targets, class_weight, sample_weight, label_smoothing, ignore_index)
    losses = -_weighted(weights, log_softmax(logits)).sum(-1)
    return _reduced(losses, reduction, divisor)


def softmax_cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: str = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Array:
    """p Σ w − w, which is p − y for plain targets."""
    logits = _floating(logits)
    weights, divisor = _target_weights(logits, targets, class_weight, sample_weight, label_smoothing, ignore_index)
    grad = softmax(logits) * weights.sum(-1, keepdims=True) - weights
    return _reduced_grad(grad, reduction, divisor)


def softmax_cross_entropy_value_and_grad(logits: ArrayLike, targets: ArrayLike, **options: Any) -> tuple[Array, Array]:
    """The loss and its gradient; the options are those of `softmax_cross_entropy`."""
    return (
        softmax_cross_entropy(logits, targets, **options),
        softmax_cross_entropy_grad(logits, targets, **options),
    )


# ---- cross-entropy of the sigmoid


def sigmoid_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> Array:
    """−w y log σ(z) − (1 − y) log σ(−z), elementwise."""
    logits = _floating(logits)
    targets = np.asarray(targets, logits.dtype)
    weight = np.asarray(1 if pos_weight is None else pos_weight, logits.dtype)
    losses = -(weight * targets * log_sigmoid(logits) + (1 - targets) * log_sigmoid(-logits))
    return _reduced(losses, reduction, logits.size)


def sigmoid_cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> Array:
    """(1 − y) σ(z) − w y σ(−z), which is σ(z) − y without a weight."""
    logits = _floating(logits)
    targets = np.asarray(targets, logits.dtype)
    weight = np.asarray(1 if pos_weight is None else pos_weight, logits.dtype)
    grad = (1 - targets) * sigmoid(logits) - weight * targets * sigmoid(-logits)
    return _reduced_grad(grad, reduction, logits.size)


def sigmoid_cross_entropy_value_and_grad(logits: ArrayLike, targets: ArrayLike, **options: Any) -> tuple[Array, Array]:
    """The loss and its gradient; the options are those of `sigmoid_cross_entropy`."""
    return (
        sigmoid_cross_entropy(logits, targets, **options),
        sigmoid_cross_entropy_grad(logits, targets, **options),
    )


# ---- squared error


def mse(predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "mean") -> Array:
    """(ŷ − y)²."""
    predictions = _floating(predictions)
    losses = np.square(predictions - np.asarray(targets, predictions.dtype))
    return _reduced(losses, reduction, predictions.size)


def mse_grad(predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "mean") -> Array:
    """2 (ŷ − y)."""
    predictions = _floating(predictions)
    grad = 2 * (predictions - np.asarray(targets, predictions.dtype))
    return _reduced_grad(grad, reduction, predictions.size)


def sigmoid_mse(logits: ArrayLike, targets: ArrayLike, *, reduction: str = "mean") -> Array:
    """(σ(z) − y)²."""
    return mse(sigmoid(logits), targets, reduction=reduction)


def sigmoid_mse_grad(logits: ArrayLike, targets: ArrayLike, *, reduction: str = "mean") -> Array:
    """2 (σ(z) − y) σ(z) (1 − σ(z))."""
    probs = sigmoid(logits)
    return mse_grad(probs, targets, reduction=reduction) * probs * (1 - probs)


def sigmoid_mse_value_and_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: str = "mean"
) -> tuple[Array, Array]:
    """The loss and its gradient."""
    return (
        sigmoid_mse(logits, targets, reduction=reduction),
        sigmoid_mse_grad(logits, targets, reduction=reduction),
    )


# ---- distributions


def cross_entropy(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None, eps: float = 0.0) -> Array:
    """H(p, q) = −Σ p log(q + ε)."""
    p, q = _floating(p), _floating(q)
    with np.errstate(divide="ignore"):
        logs = np.log(q + eps)
    result = -_weighted(p, logs).sum(axis)
    return result if base is None else result / math.log(base)


def entropy(p: ArrayLike, axis: int = -1, base: float | None = None) -> Array:
    """H(p) = −Σ p log p."""
    return cross_entropy(p, p, axis=axis, base=base)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Array:
    """KL(p‖q) = Σ p log(p / q)."""
    p, q = _floating(p), _floating(q)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(p / q)
    result = _weighted(p, logs).sum(axis)
    return result if base is None else result / math.log(base)


# ---- the same as loops in plain Python, over arrays of shape (n, C)


def softmax_loops(logits: Array) -> Array:
    """`softmax`, one number at a time."""
    n_rows, n_classes = logits.shape
    probs = np.empty_like(logits)
    for i in range(n_rows):
        maximum = logits[i, 0]
        for k in range(1, n_classes):
            if logits[i, k] > maximum:
                maximum = logits[i, k]
        total = 0.0
        for k in range(n_classes):
            probs[i, k] = math.exp(logits[i, k] - maximum)
            total += probs[i, k]
        for k in range(n_classes):
            probs[i, k] /= total
    return probs


def softmax_jacobian_loops(probs: Array) -> Array:
    """`softmax_jacobian` as the book's triple loop."""
    n_rows, n_classes = probs.shape
    jacobian = np.empty((n_rows, n_classes, n_classes), probs.dtype)
    for n in range(n_rows):
        for i in range(n_classes):
            for j in range(n_classes):
                jacobian[n, i, j] = -probs[n, i] * probs[n, j]
            jacobian[n, i, i] += probs[n, i]
    return jacobian


def softmax_cross_entropy_loops(logits: Array, targets: Array) -> float:
    """The mean of `softmax_cross_entropy` over targets of shape (n, C)."""
    n_rows, n_classes = logits.shape
    probs = softmax_loops(logits)
    total = 0.0
    for i in range(n_rows):
        for k in range(n_classes):
            if targets[i, k] != 0:
                total -= targets[i, k] * math.log(probs[i, k])
    return float(total / n_rows)


def softmax_cross_entropy_grad_loops(logits: Array, targets: Array) -> Array:
    """The gradient of `softmax_cross_entropy_loops`; each row of the targets sums to one."""
    n_rows, n_classes = logits.shape
    grad = softmax_loops(logits)
    for i in range(n_rows):
        for k in range(n_classes):
            grad[i, k] = (grad[i, k] - targets[i, k]) / n_rows
    return grad


def _sigmoid(x: float) -> float:
    """σ of one number."""
    exponential = math.exp(-abs(x))
    return (1 if x >= 0 else exponential) / (1 + exponential)


def sigmoid_mse_loops(logits: Array, targets: Array) -> float:
    """The mean of `sigmoid_mse`."""
    n_rows, n_classes = logits.shape
    total = 0.0
    for i in range(n_rows):
        for k in range(n_classes):
            total += (_sigmoid(logits[i, k]) - targets[i, k]) ** 2
    return float(total / (n_rows * n_classes))


def sigmoid_mse_grad_loops(logits: Array, targets: Array) -> Array:
    """The gradient of `sigmoid_mse_loops`."""
    n_rows, n_classes = logits.shape
    grad = np.empty_like(logits)
    for i in range(n_rows):
        for k in range(n_classes):
            prob = _sigmoid(logits[i, k])
            error = prob - targets[i, k]
            grad[i, k] = 2 * error * prob * (1 - prob) / (n_rows * n_classes)
    return grad
