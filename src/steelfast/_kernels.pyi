"""Types of the kernels, which `_kernels.py` picks at import."""

from typing import Any, Literal, TypeAlias

from numpy.typing import ArrayLike, NDArray

_Array: TypeAlias = NDArray[Any]
_Reduction: TypeAlias = Literal["mean", "sum", "none"]

ISA: str
COMPILER: str

def available_isas() -> tuple[str, ...]: ...
def softmax(logits: ArrayLike, axis: int = -1, *, out: _Array | None = None) -> _Array: ...
def log_softmax(logits: ArrayLike, axis: int = -1, *, out: _Array | None = None) -> _Array: ...
def logsumexp(logits: ArrayLike, axis: int = -1, *, keepdims: bool = False) -> Any: ...
def softmax_jacobian(probs: ArrayLike, *, out: _Array | None = None) -> _Array: ...
def softmax_vjp(probs: ArrayLike, grad: ArrayLike, axis: int = -1, *, out: _Array | None = None) -> _Array: ...
def sigmoid(x: ArrayLike, *, out: _Array | None = None) -> Any: ...
def log_sigmoid(x: ArrayLike, *, out: _Array | None = None) -> Any: ...
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Any: ...
def softmax_cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    out: _Array | None = None,
) -> _Array: ...
def softmax_cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    out: _Array | None = None,
) -> tuple[Any, _Array]: ...
def sigmoid_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Any: ...
def sigmoid_cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Any: ...
def sigmoid_cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> tuple[Any, Any]: ...
def sigmoid_mse(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
) -> Any: ...
def sigmoid_mse_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
) -> Any: ...
def sigmoid_mse_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
) -> tuple[Any, Any]: ...
def mse(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
) -> Any: ...
def mse_grad(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
) -> Any: ...
def cross_entropy(
    p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None, eps: float = 0.0
) -> Any: ...
def entropy(p: ArrayLike, axis: int = -1, base: float | None = None) -> Any: ...
def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any: ...
def sgd(parameter: _Array, gradient: _Array, learning_rate: float) -> None: ...
def momentum(parameter: _Array, gradient: _Array, velocity: _Array, learning_rate: float, decay: float) -> None: ...
def rmsprop(
    parameter: _Array,
    gradient: _Array,
    square: _Array,
    learning_rate: float,
    decay: float,
    eps: float,
) -> None: ...
def adam(
    parameter: _Array,
    gradient: _Array,
    first: _Array,
    second: _Array,
    learning_rate: float,
    first_decay: float,
    second_decay: float,
    step: int,
    eps: float,
) -> None: ...
