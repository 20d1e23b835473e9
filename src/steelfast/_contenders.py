"""The operations as each library does them: what ``steelfast bench`` and ``benchmarks/`` time side by side.

Each as its users would write it when they care for speed, on one thread. A library is imported when it is asked for.
"""

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _kernels, reference
from steelfast._version import __version__
from steelfast.heads import HEADS
from steelfast.models import LinearModel
from steelfast.optimizers import SGD

Array = NDArray[Any]
Function = Callable[..., Any]
Builder = Callable[..., "partial[Any] | None"]

_BATCH = 10
_RATE = 0.001
_N_CLASSES = 7
_MOST_NUMBERS_FOR_LOOPS = 50_000  # more takes them long


@dataclass(frozen=True)
class Contender:
    """A library and how it does the operations that it has, by their names.

    ``builders[operation](*arguments, axis=axis)`` brings the arguments into the library's own form and returns the
    call to time: a function with positional arguments; or None where the library has no such call.
    """

    name: str
    version: str
    builders: Mapping[str, Builder]

    def call(self, operation: str, arguments: tuple[Array, ...], axis: int = -1) -> "partial[Any] | None":
        """The call that does the operation on these arguments; None if the library does not do that."""
        builder = self.builders.get(operation)
        return None if builder is None else builder(*arguments, axis=axis)


# ---- one number at a time: in plain Python these are the loops, compiled they are Numba


def _log_softmax_loops(logits: Array) -> Array:
    n_rows, n_classes = logits.shape
    log_probs = np.empty_like(logits)
    for i in range(n_rows):
        maximum = logits[i, 0]
        for k in range(1, n_classes):
            if logits[i, k] > maximum:
                maximum = logits[i, k]
        total = 0.0
        for k in range(n_classes):
            total += math.exp(logits[i, k] - maximum)
        log_total = math.log(total)
        for k in range(n_classes):
            log_probs[i, k] = logits[i, k] - maximum - log_total
    return log_probs


def _logsumexp_loops(logits: Array) -> Array:
    n_rows, n_classes = logits.shape
    results = np.empty(n_rows, logits.dtype)
    for i in range(n_rows):
        maximum = logits[i, 0]
        for k in range(1, n_classes):
            if logits[i, k] > maximum:
                maximum = logits[i, k]
        total = 0.0
        for k in range(n_classes):
            total += math.exp(logits[i, k] - maximum)
        results[i] = maximum + math.log(total)
    return results


def _cross_entropy_loops(logits: Array, labels: Array) -> tuple[float, Array]:
    n_rows, n_classes = logits.shape
    grad = np.empty_like(logits)
    loss = 0.0
    for i in range(n_rows):
        maximum = logits[i, 0]
        for k in range(1, n_classes):
            if logits[i, k] > maximum:
                maximum = logits[i, k]
        total = 0.0
        for k in range(n_classes):
            grad[i, k] = math.exp(logits[i, k] - maximum)
            total += grad[i, k]
        loss += math.log(total) - (logits[i, labels[i]] - maximum)
        for k in range(n_classes):
            grad[i, k] = (grad[i, k] / total - (1 if k == labels[i] else 0)) / n_rows
    return loss / n_rows, grad


def _sigmoid_loops(x: Array) -> Array:
    n_rows, n_columns = x.shape
    results = np.empty_like(x)
    for i in range(n_rows):
        for k in range(n_columns):
            exponential = math.exp(-abs(x[i, k]))
            results[i, k] = (exponential if x[i, k] < 0 else 1.0) / (1 + exponential)
    return results


def _sigmoid_mse_loops(logits: Array, targets: Array) -> tuple[float, Array]:
    n_rows, n_classes = logits.shape
    grad = np.empty_like(logits)
    loss = 0.0
    for i in range(n_rows):
        for k in range(n_classes):
            exponential = math.exp(-abs(logits[i, k]))
            prob = (exponential if logits[i, k] < 0 else 1.0) / (1 + exponential)
            error = prob - targets[i, k]
            loss += error**2
            grad[i, k] = 2 * error * prob * (1 - prob) / logits.size
    return loss / logits.size, grad


_LOOPS: dict[str, Function] = {
    "softmax": reference.softmax_loops,
    "log_softmax": _log_softmax_loops,
    "logsumexp": _logsumexp_loops,
    "softmax_jacobian": reference.softmax_jacobian_loops,
    "softmax_cross_entropy_value_and_grad": _cross_entropy_loops,
    "sigmoid": _sigmoid_loops,
    "sigmoid_mse_value_and_grad": _sigmoid_mse_loops,
}


def _epoch_loops(rows: Array, labels: Array) -> tuple[Array, Array]:
    n_rows, n_features = rows.shape
    weights = np.zeros((n_features, _N_CLASSES), rows.dtype)
    bias = np.zeros(_N_CLASSES, rows.dtype)
    for start in range(0, n_rows, _BATCH):
        batch = range(start, start + _BATCH)
        logits = np.zeros((_BATCH, _N_CLASSES), rows.dtype)
        for i in batch:
            for k in range(_N_CLASSES):
                logits[i - start, k] = bias[k]
                for j in range(n_features):
                    logits[i - start, k] += rows[i, j] * weights[j, k]
        _, grad = _cross_entropy_loops(logits, labels[start : start + _BATCH])
        for i in batch:
            for k in range(_N_CLASSES):
                bias[k] -= _RATE * grad[i - start, k]
                for j in range(n_features):
                    weights[j, k] -= _RATE * rows[i, j] * grad[i - start, k]
    return weights, bias


def _by_rows(function: Function) -> Builder:
    """A function of rows, for one row and for columns too."""

    def build(values: Array, *others: Array, axis: int = -1) -> "partial[Any]":
        if values.ndim == 1:
            return partial(lambda row: function(row[np.newaxis])[0], values)
        if axis == 0:
            return partial(lambda columns: function(columns.T).T, values)
        return partial(function, values, *others)

    return build


def _loops() -> Contender:
    def unless_large(build: Builder) -> Builder:
        return lambda *arguments, axis=-1: (
            build(*arguments, axis=axis) if arguments[0].size <= _MOST_NUMBERS_FOR_LOOPS else None
        )

    functions = _LOOPS | {"training_epoch": _epoch_loops}
    builders = {name: unless_large(_by_rows(function)) for name, function in functions.items()}
    return Contender("loops", sys.version.split()[0], builders)


def _numba() -> Contender:
    import numba

    compiled = numba.njit(error_model="numpy")  # a division by zero need not be looked for
    return Contender(
        "Numba", numba.__version__, {name: _by_rows(compiled(function)) for name, function in _LOOPS.items()}
    )


# ---- steelfast and NumPy


def _epoch_steelfast(rows: Array, labels: Array) -> tuple[Array, Array]:
    model = LinearModel(np.zeros((rows.shape[1], _N_CLASSES), rows.dtype), np.zeros(_N_CLASSES, rows.dtype))
    model.train_epochs(
        rows, labels, np.arange(len(rows))[np.newaxis], _BATCH, HEADS["softmax_cross_entropy"], SGD(_RATE)
    )
    return model.weights, model.bias


def _cross_entropy_numpy(logits: Array, labels: Array) -> tuple[Any, Array]:
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    loss = (np.log(totals[:, 0]) - shifted[rows, labels]).mean()
    grad = exponentials / totals
    grad[rows, labels] -= 1
    return loss, grad / len(labels)


def _sigmoid_mse_numpy(logits: Array, targets: Array) -> tuple[Any, Array]:
    probs = reference.sigmoid(logits)
    errors = probs - targets
    return np.square(errors).mean(), 2 * errors * probs * (1 - probs) / logits.size


def epoch_numpy(rows: Array, labels: Array) -> tuple[Array, Array]:
    """The weights and the bias after one epoch of minibatches, from zeros."""
    weights = np.zeros((rows.shape[1], _N_CLASSES), rows.dtype)
    bias = np.zeros(_N_CLASSES, rows.dtype)
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        _, grad = _cross_entropy_numpy(batch @ weights + bias, labels[start : start + _BATCH])
        weights -= _RATE * batch.T @ grad
        bias -= _RATE * grad.sum(axis=0)
    return weights, bias


def _as_called(function: Function) -> Builder:
    """An axis is named only where it is not the last one."""
    return lambda *arguments, axis=-1: partial(function, *arguments, *(() if axis == -1 else (axis,)))


def _of_every_kernel(module: Any, **others: Function) -> dict[str, Builder]:
    names = [name for name in vars(reference) if hasattr(_kernels, name) and not name.startswith("_")]
    functions = {name: getattr(module, name) for name in names} | others
    return {name: _as_called(function) for name, function in functions.items()}


def _steelfast() -> Contender:
    return Contender("steelfast", __version__, _of_every_kernel(_kernels, training_epoch=_epoch_steelfast))


def _numpy() -> Contender:
    builders = _of_every_kernel(
        reference,
        # in one go, where the reference computes value and gradient apart
        softmax_cross_entropy_value_and_grad=_cross_entropy_numpy,
        sigmoid_mse_value_and_grad=_sigmoid_mse_numpy,
        training_epoch=epoch_numpy,
    )
    return Contender("NumPy", np.__version__, builders)


def _copy() -> Contender:
    def build(values: Array, *_: Array, axis: int = -1) -> "partial[Any]":
        return partial(np.copyto, np.empty_like(values), values)

    names = (
        "softmax",
        "log_softmax",
        "sigmoid",
        "softmax_cross_entropy_value_and_grad",
        "sigmoid_mse_value_and_grad",
    )
    return Contender("copy", np.__version__, dict.fromkeys(names, build))


# ---- the other libraries


def _scipy() -> Contender:
    import scipy
    from scipy import special

    def over_axis(function: Function) -> Builder:
        return lambda logits, axis=-1: partial(function, logits, axis)

    return Contender(
        "SciPy",
        scipy.__version__,
        {
            "softmax": over_axis(special.softmax),
            "log_softmax": over_axis(special.log_softmax),
            "logsumexp": over_axis(special.logsumexp),
            "sigmoid": _as_called(special.expit),
        },
    )


def _pytorch() -> Contender:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)

    def over_axis(function: Function) -> Builder:
        return lambda logits, axis=-1: partial(function, torch.from_numpy(logits), axis)

    def value_and_grad(loss: Function) -> Builder:
        def build(logits: Array, targets: Array, axis: int = -1) -> "partial[Any]":
            tensor = torch.from_numpy(logits).requires_grad_()

            def forward_and_backward(targets: Any) -> tuple[Any, Any]:
                value = loss(tensor, targets)
                return value, torch.autograd.grad(value, tensor)[0]

            return partial(forward_and_backward, torch.from_numpy(targets))

        return build

    def jacobian(probs: Any) -> Any:
        return torch.diag_embed(probs) - probs[..., :, None] * probs[..., None, :]

    return Contender(
        "PyTorch",
        torch.__version__,
        {
            "softmax": over_axis(torch.softmax),
            "log_softmax": over_axis(torch.log_softmax),
            "logsumexp": over_axis(torch.logsumexp),
            "softmax_jacobian": lambda probs, axis=-1: partial(jacobian, torch.from_numpy(probs)),
            "softmax_cross_entropy_value_and_grad": value_and_grad(functional.cross_entropy),
            "sigmoid": lambda x, axis=-1: partial(torch.sigmoid, torch.from_numpy(x)),
            "sigmoid_mse_value_and_grad": value_and_grad(
                lambda logits, targets: functional.mse_loss(torch.sigmoid(logits), targets)
            ),
        },
    )


def _jax() -> Contender:
    if "jax" in sys.modules:
        warnings.warn("JAX was imported before it could be limited to one thread", stacklevel=2)
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)
    jax.devices()  # the flags in the environment are read here

    def build(function: Function) -> Builder:
        def build(*arguments: Array, axis: int = -1) -> "partial[Any] | None":
            if not arguments[0].flags.c_contiguous:
                return None  # arrays of JAX have no strides
            jitted = jax.jit(partial(function, axis=axis) if axis != -1 else function)
            if isinstance(jax.eval_shape(function, *arguments), tuple):

                def until_ready(*arguments: Any) -> Any:
                    value, grad = jitted(*arguments)
                    return value, grad.block_until_ready()  # one program: the value is ready before
            else:

                def until_ready(*arguments: Any) -> Any:
                    return jitted(*arguments).block_until_ready()

            return partial(until_ready, *map(jnp.asarray, arguments))

        return build

    def jacobian(probs: Any) -> Any:
        identity = jnp.eye(probs.shape[-1], dtype=probs.dtype)
        return probs[..., :, None] * (identity - probs[..., None, :])

    def cross_entropy(logits: Any, labels: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    def sigmoid_mse(logits: Any, targets: Any) -> Any:
        return jnp.square(jax.nn.sigmoid(logits) - targets).mean()

    functions = {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "logsumexp": partial(jax.nn.logsumexp, axis=-1),
        "softmax_jacobian": jacobian,
        "softmax_cross_entropy_value_and_grad": jax.value_and_grad(cross_entropy),
        "sigmoid": jax.nn.sigmoid,
        "sigmoid_mse_value_and_grad": jax.value_and_grad(sigmoid_mse),
    }
    return Contender("JAX", jax.__version__, {name: build(function) for name, function in functions.items()})


# ---- which there are

_LOADERS: dict[str, Callable[[], Contender]] = {
    "steelfast": _steelfast,
    "loops": _loops,
    "NumPy": _numpy,
    "SciPy": _scipy,
    "PyTorch": _pytorch,
    "JAX": _jax,
    "Numba": _numba,
    "copy": _copy,
}
_MODULES = {"SciPy": "scipy", "PyTorch": "torch", "JAX": "jax", "Numba": "numba"}
PEERS = tuple(name for name in _LOADERS if name not in ("steelfast", "copy"))
NAMES = tuple(_LOADERS)


def is_installed(name: str) -> bool:
    """Whether the library is there."""
    return name not in _MODULES or find_spec(_MODULES[name]) is not None


@cache
def load(name: str) -> Contender:
    """Import a library, limited to one thread of the CPU."""
    if not is_installed(name):
        raise ModuleNotFoundError(f"{name} is not installed: pip install {_MODULES[name]}")
    with _one_thread():
        return _LOADERS[name]()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sets what libraries read when they are imported."""
    wanted = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
