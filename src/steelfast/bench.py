"""The kernels timed against plain NumPy and against Python loops, side by side on this machine.

A quick look that takes some seconds; ``benchmarks/`` in the repository measures with more care.
Nothing is timed before all three were found to give the same result.
"""

import math
import statistics
import timeit
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _kernels, reference
from steelfast._configuration import configuration
from steelfast.optimizers import SGD
from steelfast.trainer import HEADS, LinearModel, train_epoch

__all__ = ["Measurement", "as_report", "measure", "n_measurements"]

_BATCH = 10
_RATE = 0.001
_MOST_ROWS_FOR_LOOPS = 1553  # more takes them seconds
_ROUNDS = 7
_SECONDS_PER_ROUND = 0.01

Array = NDArray[Any]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Measurement:
    """Median times of one operation in microseconds; None where loops would take seconds."""

    operation: str
    shape: tuple[int, ...]
    dtype: str
    loops: float | None
    numpy: float
    steelfast: float

    @property
    def times_loops(self) -> float | None:
        """How many times as fast as the loops the kernel is."""
        return None if self.loops is None else self.loops / self.steelfast

    @property
    def times_numpy(self) -> float:
        """How many times as fast as NumPy the kernel is."""
        return self.numpy / self.steelfast


# ---- what one writes without steelfast: loss and gradient together, as training needs them


def _cross_entropy_loops(logits: Array, targets: Array) -> tuple[Any, Array]:
    n_rows, n_classes = logits.shape
    grad = reference.softmax_loops(logits)
    total = 0.0
    for i in range(n_rows):
        for k in range(n_classes):
            if targets[i, k] != 0:
                total -= targets[i, k] * math.log(grad[i, k])
            grad[i, k] = (grad[i, k] - targets[i, k]) / n_rows
    return total / n_rows, grad


def _cross_entropy_numpy(logits: Array, targets: Array) -> tuple[Any, Array]:
    probs = reference.softmax(logits)
    loss = -(targets * np.log(probs)).sum() / len(logits)
    return loss, (probs - targets) / len(logits)


def _sigmoid_mse_loops(logits: Array, targets: Array) -> tuple[Any, Array]:
    n_rows, n_classes = logits.shape
    grad = np.empty_like(logits)
    total = 0.0
    for i in range(n_rows):
        for k in range(n_classes):
            prob = 1 / (1 + math.exp(-logits[i, k]))
            error = prob - targets[i, k]
            total += error**2
            grad[i, k] = 2 * error * prob * (1 - prob) / logits.size
    return total / logits.size, grad


def _sigmoid_mse_numpy(logits: Array, targets: Array) -> tuple[Any, Array]:
    probs = 1 / (1 + np.exp(-logits))
    errors = probs - targets
    return np.square(errors).mean(), 2 * errors * probs * (1 - probs) / logits.size


def _epoch_loops(rows: Array, targets: Array) -> tuple[Array, Array]:
    (n_rows, n_features), n_classes = rows.shape, targets.shape[1]
    weights = np.zeros((n_features, n_classes), rows.dtype)
    bias = np.zeros(n_classes, rows.dtype)
    for start in range(0, n_rows, _BATCH):
        batch = range(start, start + _BATCH)
        logits = np.zeros((_BATCH, n_classes), rows.dtype)
        for i in batch:
            for k in range(n_classes):
                logits[i - start, k] = bias[k]
                for j in range(n_features):
                    logits[i - start, k] += rows[i, j] * weights[j, k]
        _, grad = _cross_entropy_loops(logits, targets[start : start + _BATCH])
        for i in batch:
            for k in range(n_classes):
                bias[k] -= _RATE * grad[i - start, k]
                for j in range(n_features):
                    weights[j, k] -= _RATE * rows[i, j] * grad[i - start, k]
    return weights, bias


def _epoch_numpy(rows: Array, targets: Array) -> tuple[Array, Array]:
    weights = np.zeros((rows.shape[1], targets.shape[1]), rows.dtype)
    bias = np.zeros(targets.shape[1], rows.dtype)
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        _, grad = _cross_entropy_numpy(batch @ weights + bias, targets[start : start + _BATCH])
        weights -= _RATE * batch.T @ grad
        bias -= _RATE * grad.sum(axis=0)
    return weights, bias


def _epoch_steelfast(rows: Array, targets: Array) -> tuple[Array, Array]:
    model = LinearModel(
        np.zeros((rows.shape[1], targets.shape[1]), rows.dtype),
        np.zeros(targets.shape[1], rows.dtype),
    )
    train_epoch(
        model,
        rows,
        targets.argmax(axis=1),
        np.arange(len(rows)),
        _BATCH,
        HEADS["softmax_cross_entropy"],
        SGD(_RATE),
    )
    return model.weights, model.bias


# ---- what is measured


# name -> loops, NumPy, steelfast
_OPERATIONS: dict[str, tuple[Function, Function, Function]] = {
    "softmax": (reference.softmax_loops, reference.softmax, _kernels.softmax),
    "Jacobian": (
        reference.softmax_jacobian_loops,
        reference.softmax_jacobian,
        _kernels.softmax_jacobian,
    ),
    "cross-entropy and its gradient": (
        _cross_entropy_loops,
        _cross_entropy_numpy,
        _kernels.softmax_cross_entropy_value_and_grad,
    ),
    "sigmoid-MSE and its gradient": (
        _sigmoid_mse_loops,
        _sigmoid_mse_numpy,
        _kernels.sigmoid_mse_value_and_grad,
    ),
    "training epoch, minibatches of 10": (_epoch_loops, _epoch_numpy, _epoch_steelfast),
}
_SHAPES = {
    "Jacobian": ((1553, 7),),
    "training epoch, minibatches of 10": ((1550, 27),),
}
_SHAPES_OF_THE_OTHERS = ((10, 7), (1553, 7), (100_000, 7))


def _cases() -> list[tuple[str, tuple[int, int], str]]:
    return [
        (name, shape, dtype)
        for name in _OPERATIONS
        for dtype in ("float32", "float64")
        for shape in _SHAPES.get(name, _SHAPES_OF_THE_OTHERS)
    ]


def _arguments(name: str, shape: tuple[int, int], dtype: str) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape).astype(dtype)
    if name == "softmax":
        return (values,)
    if name == "Jacobian":
        return (reference.softmax(values),)
    return values, np.eye(7, dtype=dtype)[rng.integers(7, size=len(values))]


def n_measurements() -> int:
    """How many measurements `measure` makes."""
    return len(_cases())


def measure() -> Iterator[Measurement]:
    """Time loops, NumPy and the kernels on one operation, dtype and shape after the other.

    Yields
    ------
    Measurement

    Raises
    ------
    RuntimeError
        If a kernel and NumPy, or the loops and NumPy, do not agree.

    Notes
    -----
    A time is the median of 7 rounds of about 10 ms each, or of single calls that take longer.

    Examples
    --------
    >>> from steelfast.bench import measure
    >>> for measurement in measure():  # doctest: +SKIP
    ...     print(measurement.operation, measurement.shape, measurement.times_numpy)
    """
    for name, shape, dtype in _cases():
        loops, in_numpy, kernel = _OPERATIONS[name]
        arguments = _arguments(name, shape, dtype)
        with_loops = shape[0] <= _MOST_ROWS_FOR_LOOPS
        expected = in_numpy(*arguments)
        for function in (kernel, loops) if with_loops else (kernel,):
            if not _agree(function(*arguments), expected, dtype):
                raise RuntimeError(f"{name} of {dtype} {shape}: {function.__name__} is wrong")
        yield Measurement(
            operation=name,
            shape=shape,
            dtype=dtype,
            loops=_median_time(loops, arguments) if with_loops else None,
            numpy=_median_time(in_numpy, arguments),
            steelfast=_median_time(kernel, arguments),
        )


def as_report(measurements: list[Measurement]) -> dict[str, Any]:
    """The measurements with what they were made on and when, as plain data."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "configuration": configuration(),
        "unit": "microseconds, median",
        "measurements": [
            asdict(each) | {"times_loops": each.times_loops, "times_numpy": each.times_numpy} for each in measurements
        ],
    }


def _agree(result: Any, expected: Any, dtype: str) -> bool:
    """Equal but for what NumPy and the loops lose by rounding."""
    if isinstance(expected, tuple):
        return all(_agree(r, e, dtype) for r, e in zip(result, expected, strict=True))
    eps = np.finfo(dtype).eps
    return np.shape(result) == np.shape(expected) and np.allclose(result, expected, rtol=1000 * eps, atol=10 * eps)


def _median_time(function: Function, arguments: tuple[Any, ...]) -> float:
    """Microseconds of one call."""
    timer = timeit.Timer(partial(function, *arguments))
    number = max(1, int(_SECONDS_PER_ROUND / max(timer.timeit(1), 1e-9)))
    return statistics.median(timer.repeat(_ROUNDS, number)) / number * 1e6
