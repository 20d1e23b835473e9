"""Types of the kernels, which `_kernels.py` picks at import.

Results have the dtype of the array that comes first; of what is no array of floating-point numbers only that they are
floating. Where a result is a scalar or an array by the number of dimensions, which types do not know, it is `Any`.
"""

from typing import Any, Final, Literal, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floating = TypeVar("_Floating", np.float16, np.float32, np.float64)
_Array: TypeAlias = NDArray[Any]
_Reduced: TypeAlias = Literal["mean", "sum"]
_Reduction: TypeAlias = Literal["mean", "sum", "none"]

ISA: str
COMPILER: str

def available_isas() -> tuple[str, ...]: ...
@overload
def softmax(
    logits: NDArray[_Floating], axis: SupportsIndex = -1, *, out: NDArray[_Floating] | None = None
) -> NDArray[_Floating]: ...
@overload
def softmax(logits: ArrayLike, axis: SupportsIndex = -1, *, out: _Array | None = None) -> NDArray[np.floating]: ...
@overload
def log_softmax(
    logits: NDArray[_Floating], axis: SupportsIndex = -1, *, out: NDArray[_Floating] | None = None
) -> NDArray[_Floating]: ...
@overload
def log_softmax(logits: ArrayLike, axis: SupportsIndex = -1, *, out: _Array | None = None) -> NDArray[np.floating]: ...
@overload
def logsumexp(
    logits: NDArray[_Floating], axis: SupportsIndex = -1, *, keepdims: Literal[True]
) -> NDArray[_Floating]: ...
@overload
def logsumexp(logits: ArrayLike, axis: SupportsIndex = -1, *, keepdims: Literal[True]) -> NDArray[np.floating]: ...
@overload
def logsumexp(logits: ArrayLike, axis: SupportsIndex = -1, *, keepdims: bool = False) -> Any: ...
@overload
def softmax_jacobian(probs: NDArray[_Floating], *, out: NDArray[_Floating] | None = None) -> NDArray[_Floating]: ...
@overload
def softmax_jacobian(probs: ArrayLike, *, out: _Array | None = None) -> NDArray[np.floating]: ...
@overload
def softmax_vjp(
    probs: NDArray[_Floating],
    grad: NDArray[_Floating],
    axis: SupportsIndex = -1,
    *,
    out: NDArray[_Floating] | None = None,
) -> NDArray[_Floating]: ...
@overload
def softmax_vjp(
    probs: ArrayLike, grad: ArrayLike, axis: SupportsIndex = -1, *, out: _Array | None = None
) -> NDArray[np.floating]: ...
@overload
def sigmoid(x: NDArray[_Floating], *, out: NDArray[_Floating] | None = None) -> NDArray[_Floating]: ...
@overload
def sigmoid(x: _Floating, *, out: None = None) -> _Floating: ...
@overload
def sigmoid(x: float, *, out: None = None) -> np.float64: ...
@overload
def sigmoid(x: ArrayLike, *, out: _Array | None = None) -> Any: ...
@overload
def log_sigmoid(x: NDArray[_Floating], *, out: NDArray[_Floating] | None = None) -> NDArray[_Floating]: ...
@overload
def log_sigmoid(x: _Floating, *, out: None = None) -> _Floating: ...
@overload
def log_sigmoid(x: float, *, out: None = None) -> np.float64: ...
@overload
def log_sigmoid(x: ArrayLike, *, out: _Array | None = None) -> Any: ...
@overload
def softmax_cross_entropy(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: _Reduced = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
) -> _Floating: ...
@overload
def softmax_cross_entropy(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: Literal["none"],
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
) -> NDArray[_Floating]: ...
@overload
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduced = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
) -> np.floating: ...
@overload
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: Literal["none"],
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
) -> NDArray[np.floating]: ...
@overload
def softmax_cross_entropy_grad(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: NDArray[_Floating] | None = None,
) -> NDArray[_Floating]: ...
@overload
def softmax_cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: _Array | None = None,
) -> NDArray[np.floating]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: _Reduced = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: NDArray[_Floating] | None = None,
) -> tuple[_Floating, NDArray[_Floating]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: Literal["none"],
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: NDArray[_Floating] | None = None,
) -> tuple[NDArray[_Floating], NDArray[_Floating]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: _Reduced = "mean",
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: _Array | None = None,
) -> tuple[np.floating, NDArray[np.floating]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: Literal["none"],
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
    out: _Array | None = None,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]: ...
@overload
def sigmoid_cross_entropy(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduced = "mean", pos_weight: ArrayLike | None = None
) -> _Floating: ...
@overload
def sigmoid_cross_entropy(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: Literal["none"], pos_weight: ArrayLike | None = None
) -> NDArray[_Floating]: ...
@overload
def sigmoid_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduced = "mean", pos_weight: ArrayLike | None = None
) -> np.floating: ...
@overload
def sigmoid_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], pos_weight: ArrayLike | None = None
) -> Any: ...
@overload
def sigmoid_cross_entropy_grad(
    logits: NDArray[_Floating],
    targets: ArrayLike,
    *,
    reduction: _Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> NDArray[_Floating]: ...
@overload
def sigmoid_cross_entropy_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduction = "mean", pos_weight: ArrayLike | None = None
) -> Any: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduced = "mean", pos_weight: ArrayLike | None = None
) -> tuple[_Floating, NDArray[_Floating]]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: Literal["none"], pos_weight: ArrayLike | None = None
) -> tuple[NDArray[_Floating], NDArray[_Floating]]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduced = "mean", pos_weight: ArrayLike | None = None
) -> tuple[np.floating, Any]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], pos_weight: ArrayLike | None = None
) -> tuple[Any, Any]: ...
@overload
def sigmoid_mse(logits: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduced = "mean") -> _Floating: ...
@overload
def sigmoid_mse(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: Literal["none"]
) -> NDArray[_Floating]: ...
@overload
def sigmoid_mse(logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduced = "mean") -> np.floating: ...
@overload
def sigmoid_mse(logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"]) -> Any: ...
@overload
def sigmoid_mse_grad(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduction = "mean"
) -> NDArray[_Floating]: ...
@overload
def sigmoid_mse_grad(logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduction = "mean") -> Any: ...
@overload
def sigmoid_mse_value_and_grad(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduced = "mean"
) -> tuple[_Floating, NDArray[_Floating]]: ...
@overload
def sigmoid_mse_value_and_grad(
    logits: NDArray[_Floating], targets: ArrayLike, *, reduction: Literal["none"]
) -> tuple[NDArray[_Floating], NDArray[_Floating]]: ...
@overload
def sigmoid_mse_value_and_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: _Reduced = "mean"
) -> tuple[np.floating, Any]: ...
@overload
def sigmoid_mse_value_and_grad(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"]
) -> tuple[Any, Any]: ...
@overload
def mse(predictions: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduced = "mean") -> _Floating: ...
@overload
def mse(predictions: NDArray[_Floating], targets: ArrayLike, *, reduction: Literal["none"]) -> NDArray[_Floating]: ...
@overload
def mse(predictions: ArrayLike, targets: ArrayLike, *, reduction: _Reduced = "mean") -> np.floating: ...
@overload
def mse(predictions: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"]) -> Any: ...
@overload
def mse_grad(
    predictions: NDArray[_Floating], targets: ArrayLike, *, reduction: _Reduction = "mean"
) -> NDArray[_Floating]: ...
@overload
def mse_grad(predictions: ArrayLike, targets: ArrayLike, *, reduction: _Reduction = "mean") -> Any: ...
def cross_entropy(
    p: ArrayLike, q: ArrayLike, *, axis: SupportsIndex = -1, base: float | None = None, eps: float = 0.0
) -> Any: ...
def entropy(p: ArrayLike, axis: SupportsIndex = -1, base: float | None = None) -> Any: ...
def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: SupportsIndex = -1, base: float | None = None) -> Any: ...
def train_linear_epochs(
    X: _Array,
    labels: NDArray[np.int64],
    orders: NDArray[np.int64] | None,
    parameters: _Array,
    batch_size: int,
    kind: str,
    cap: float,
    off: float,
    on: float,
    row_weights: _Array | None,
    l2: float,
    plan: Any,
) -> NDArray[np.float64]: ...
def linear_loss_and_grad(
    X: _Array,
    labels: NDArray[np.int64],
    parameters: _Array,
    kind: str,
    cap: float,
    off: float,
    on: float,
    row_weights: _Array | None,
) -> tuple[float, float, _Array]: ...
def differentiate_logits(
    logits: _Array,
    labels: NDArray[np.int64],
    kind: str,
    cap: float,
    off: float,
    on: float,
    row_weights: _Array | None,
    divisor: float,
) -> tuple[float, float]: ...
def is_plain_table(X: object, *, finite: bool = True) -> bool: ...
def linear_logits(
    X: NDArray[Any],
    parameters: _Array,
    mean: NDArray[np.float64] | None = None,
    factor: NDArray[np.float64] | None = None,
) -> _Array: ...
def first_maxima(logits: _Array) -> NDArray[np.intp]: ...
def shuffle(order: NDArray[np.int64], bit_generator: np.random.BitGenerator, *, from_start: bool = False) -> None: ...

KINDS: dict[str, int]

def update(
    parameter: _Array,
    gradient: _Array,
    first: _Array | None,
    second: _Array | None,
    rate: float,
    number: int,
    *,
    kind: int,
    decay: float,
    second_decay: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None: ...

ACTIVATIONS: Final[dict[str, int]]

def activate(
    x: _Array, bias: _Array, activation: int, kept: NDArray[np.bool_] | None = None, scale: float = 1.0
) -> None: ...
def activate_grad(
    grad: _Array,
    output: _Array,
    activation: int,
    bias_grad: _Array,
    kept: NDArray[np.bool_] | None = None,
    scale: float = 1.0,
) -> None: ...
