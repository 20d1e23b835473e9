"""The kernels timed against NumPy, Python loops and other libraries, side by side on this machine.

Every contender must give the right result before any is timed; how far it is from it, in ULP, is measured as well.
The contenders take turns: what slows the machine down for a while slows all of them, and drops out of the ratios.
"""

import os
import random
import statistics
import timeit
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _long_double, reference
from steelfast._configuration import configuration
from steelfast._contenders import PEERS, Contender, epoch_numpy

__all__ = ["DTYPES", "OPERATIONS", "OVERVIEW", "Case", "Measurement", "as_report", "cases", "measure", "one_core"]

Array = NDArray[Any]

N_ROUNDS = 15
SECONDS_PER_ROUND = 0.01
SCALES = (1e-3, 1.0, 30.0, 1e4)  # of the logits, to measure errors on
_NUMBERS_FOR_ERRORS = 2**15
_FEWEST_ROWS_FOR_ERRORS = 4


# ---- what is measured


@dataclass(frozen=True)
class Operation:
    """One operation: its arguments for logits of some shape, dtype and scale, and its result in long double.

    Errors of a training are not measured in ULP: its weights are small differences of large sums.
    """

    arguments: Callable[..., tuple[Array, ...]]
    exact: Callable[..., Any]
    in_ulp: bool = True


@dataclass(frozen=True)
class Case:
    """An operation on one shape and dtype.

    The layout is "C"; or "axis 0", where the classes are the rows; or "strided", every other column of an array.
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str
    layout: str = "C"

    @property
    def axis(self) -> int:
        """The axis of the classes."""
        return 0 if self.layout == "axis 0" else -1

    def arguments(self, *, scale: float = 1.0, most: int | None = None) -> tuple[Array, ...]:
        """Logits of that scale and what else the operation takes; if `most` is given, of about so many numbers."""
        rows_axis = -1 - self.axis
        shape = list(self.shape)
        if most is not None and len(shape) == 2:
            shape[rows_axis] = min(shape[rows_axis], max(_FEWEST_ROWS_FOR_ERRORS, most // shape[self.axis]))
        if self.layout == "strided":
            shape[-1] *= 2
        arguments = OPERATIONS[self.operation].arguments(tuple(shape), self.dtype, np.random.default_rng(0), scale)
        return (arguments[0][:, ::2], *arguments[1:]) if self.layout == "strided" else arguments

    def exact(self, arguments: tuple[Array, ...]) -> Any:
        """The result in long double."""
        exact = OPERATIONS[self.operation].exact
        if self.axis == -1:
            return exact(*arguments)
        return exact(arguments[0].T).T

    @property
    def label(self) -> str:
        """The shape, and the layout unless it is the usual one."""
        shape = " × ".join(f"{n:,}" for n in self.shape)
        return shape if self.layout == "C" else f"{shape} {self.layout}"

    def __str__(self) -> str:
        return f"{self.operation} {self.dtype} {self.label}"


def _logits(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float) -> tuple[Array, ...]:
    return ((scale * rng.standard_normal(shape)).astype(dtype),)


def _probs(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float) -> tuple[Array, ...]:
    (logits,) = _logits(shape, dtype, rng, scale)
    return (reference.softmax(logits),)


def _logits_and_labels(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float) -> tuple[Array, ...]:
    return *_logits(shape, dtype, rng, scale), rng.integers(shape[-1], size=shape[:-1])


def _logits_and_zeros_and_ones(
    shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float
) -> tuple[Array, ...]:
    return *_logits(shape, dtype, rng, scale), rng.integers(2, size=shape).astype(dtype)


def _rows_and_labels(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, scale: float) -> tuple[Array, ...]:
    return *_logits(shape, dtype, rng, scale), rng.integers(7, size=shape[:-1])


def _exact_epoch(rows: Array, labels: Array) -> tuple[Array, Array]:
    return epoch_numpy(rows.astype(np.longdouble), labels)


OPERATIONS = {
    "softmax": Operation(_logits, _long_double.softmax),
    "log_softmax": Operation(_logits, _long_double.log_softmax),
    "logsumexp": Operation(_logits, _long_double.logsumexp),
    "softmax_cross_entropy_value_and_grad": Operation(
        _logits_and_labels, _long_double.softmax_cross_entropy_value_and_grad
    ),
    "softmax_jacobian": Operation(_probs, _long_double.softmax_jacobian),
    "sigmoid": Operation(_logits, _long_double.sigmoid),
    "sigmoid_mse_value_and_grad": Operation(_logits_and_zeros_and_ones, _long_double.sigmoid_mse_value_and_grad),
    "training_epoch": Operation(_rows_and_labels, _exact_epoch, in_ulp=False),
}
DTYPES = ("float32", "float64")
OVERVIEW = ((10, 7), (1553, 7), (100_000, 7), (1550, 27))  # what a quick look is enough for
_SHAPES = ((10, 7), (1553, 7), (100_000, 7), (50_000, 13), (20_000, 100), (4096, 1000), (64, 32_000))
_LAYOUTS: dict[str, tuple[tuple[tuple[int, ...], str], ...]] = {
    "softmax": (
        *((shape, "C") for shape in _SHAPES),
        ((100_000, 2), "C"),
        ((100_000, 3), "C"),
        ((100_000, 26), "C"),
        ((7, 100_000), "axis 0"),
        ((100_000, 7), "strided"),
        ((1000,), "C"),
    ),
    "softmax_jacobian": tuple((shape, "C") for shape in _SHAPES[:3]),  # of 1000 classes it takes 33 GB
    "training_epoch": (((1550, 27), "C"),),
}


def cases(
    *,
    operations: Collection[str] | None = None,
    shapes: Collection[tuple[int, ...]] | None = None,
    dtypes: Collection[str] | None = None,
) -> list[Case]:
    """What there is to measure, or those cases that have one of the operations, shapes and dtypes named.

    Parameters
    ----------
    operations, shapes, dtypes : collections, optional
        What to choose; by default all.

    Returns
    -------
    list of Case

    Raises
    ------
    ValueError
        If nothing is measured of one of the names, or no case is left.

    Examples
    --------
    >>> from steelfast.bench import cases
    >>> print(*cases(operations=["softmax_jacobian"], dtypes=["float32"]), sep="\\n")
    softmax_jacobian float32 10 × 7
    softmax_jacobian float32 1,553 × 7
    softmax_jacobian float32 100,000 × 7
    """
    everything = [
        Case(operation, shape, dtype, layout)
        for operation in OPERATIONS
        for dtype in DTYPES
        for shape, layout in _LAYOUTS.get(operation, tuple((shape, "C") for shape in _SHAPES))
    ]
    for argument, wanted, known in (
        ("operations", operations, [*OPERATIONS]),
        ("shapes", shapes, sorted({case.shape for case in everything})),
        ("dtypes", dtypes, [*DTYPES]),
    ):
        for each in wanted or ():
            if each not in known:
                raise ValueError(f"{argument} must be of {', '.join(map(_name, known))}, got {_name(each)}")
    chosen = [
        case
        for case in everything
        if (operations is None or case.operation in operations)
        and (shapes is None or case.shape in shapes)
        and (dtypes is None or case.dtype in dtypes)
    ]
    if not chosen:
        known = sorted({case.shape for case in everything if operations is None or case.operation in operations})
        names = ", ".join(map(_name, known))
        raise ValueError(f"nothing is measured of that operation, shape and dtype; there are the shapes {names}")
    return chosen


def _name(wanted: str | tuple[int, ...]) -> str:
    """What a case is chosen by, as it is written on the command line."""
    return wanted if isinstance(wanted, str) else "x".join(map(str, wanted))


# ---- how


@dataclass(frozen=True)
class Measurement:
    """What came of one case.

    ``microseconds`` has the lower quartile, the median and the upper quartile of the time of a call for every
    contender, ``ulp`` the largest error of those whose errors are measured.
    """

    case: Case
    microseconds: dict[str, tuple[float, float, float]]
    ulp: dict[str, float]

    def median(self, contender: str) -> float:
        """The median time of a call in microseconds."""
        return self.microseconds[contender][1]

    @property
    def fastest_peer(self) -> str | None:
        """Who comes nearest to steelfast, or passes it; None without peers."""
        return min((name for name in self.microseconds if name in PEERS), key=self.median, default=None)

    def ratio(self, contender: str) -> float:
        """How many times as long the contender takes as steelfast, by the medians."""
        return self.median(contender) / self.median("steelfast")


@contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this thread on one core, the last of those that it may use; yields its number.

    Where the platform cannot do that, nothing happens and None is yielded.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)  # the first one is the busiest with what the system does
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def measure(
    chosen: Sequence[Case],
    contenders: Sequence[Contender],
    *,
    n_rounds: int = N_ROUNDS,
    seconds_per_round: float = SECONDS_PER_ROUND,
) -> Iterator[Measurement]:
    """Check and time the contenders on one case after the other.

    Parameters
    ----------
    chosen : sequence of Case
        What to measure, from `cases`.
    contenders : sequence of Contender
        Who takes part, from ``steelfast._contenders.load``.
    n_rounds : int, default 15
        How often each contender has its turn.
    seconds_per_round : float, default 0.01
        How long a turn lasts, if a single call does not take longer.

    Yields
    ------
    Measurement

    Raises
    ------
    RuntimeError
        If the result of a contender is wrong by more than rounding explains.

    Examples
    --------
    >>> from steelfast._contenders import load
    >>> from steelfast.bench import cases, measure
    >>> for measurement in measure(cases(), [load("steelfast"), load("NumPy")]):  # doctest: +SKIP
    ...     print(measurement.case, measurement.ratio("NumPy"))
    """
    for case in chosen:
        arguments = case.arguments()
        calls = {
            contender.name: call
            for contender in contenders
            if (call := contender.call(case.operation, arguments, case.axis)) is not None
        }
        expected = case.exact(arguments)
        for name, call in calls.items():
            if name != "copy" and not agree(as_numpy(call()), expected, case.dtype):
                raise RuntimeError(f"{case}: the result of {name} is wrong")
        yield Measurement(
            case=case,
            microseconds=_times(calls, n_rounds, seconds_per_round),
            ulp={each.name: _largest_error(case, each) for each in contenders if each.name in calls.keys() - {"copy"}}
            if OPERATIONS[case.operation].in_ulp and _long_double.can_measure(case.dtype)
            else {},
        )


def as_numpy(result: Any) -> Any:
    """What a library returned as arrays of NumPy."""
    if isinstance(result, tuple):
        return tuple(map(as_numpy, result))
    # of PyTorch: a loss remembers how it was computed
    return np.asarray(result.detach() if hasattr(result, "detach") else result)


def agree(result: Any, expected: Any, dtype: str) -> bool:
    """Equal but for what NumPy and the loops lose by rounding."""
    if isinstance(expected, tuple):
        return all(agree(r, e, dtype) for r, e in zip(result, expected, strict=True))
    eps = float(np.finfo(dtype).eps)
    atol = 10 * eps * float(np.abs(expected).max(initial=0))
    return np.shape(result) == np.shape(expected) and np.allclose(result, expected, rtol=1000 * eps, atol=atol)


def _largest_error(case: Case, contender: Contender) -> float:
    """The largest error in ULP on a sample of rows with logits of every scale."""
    errors = []
    for scale in SCALES:
        arguments = case.arguments(scale=scale, most=_NUMBERS_FOR_ERRORS)
        call = contender.call(case.operation, arguments, case.axis)
        if call is not None:
            errors.append(_long_double.ulp_error(as_numpy(call()), case.exact(arguments), case.dtype))
    return max(errors)


def _times(
    calls: dict[str, "partial[Any]"], n_rounds: int, seconds_per_round: float
) -> dict[str, tuple[float, float, float]]:
    """Quartiles of the microseconds of one call, of contenders that take turns in a new order every round."""
    timers = {name: _timer(call) for name, call in calls.items()}
    numbers = {
        name: max(1, round(seconds_per_round / max(min(timer.repeat(3, 1)), 1e-7))) for name, timer in timers.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    order = random.Random(0)
    for _ in range(n_rounds):
        for name in order.sample(list(timers), len(timers)):
            seconds[name].append(timers[name].timeit(numbers[name]) / numbers[name])
    return {name: _quartiles([1e6 * each for each in times]) for name, times in seconds.items()}


def _timer(call: "partial[Any]") -> timeit.Timer:
    """Times the call as one writes it, without what a partial function adds."""
    arguments = {f"argument_{i}": value for i, value in enumerate(call.args)}
    return timeit.Timer(f"function({', '.join(arguments)})", globals={"function": call.func, **arguments})


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, median, upper


# ---- what there is to say of it


def as_report(
    measurements: Sequence[Measurement],
    contenders: Sequence[Contender],
    *,
    core: int | None = None,
    n_rounds: int = N_ROUNDS,
    seconds_per_round: float = SECONDS_PER_ROUND,
) -> dict[str, Any]:
    """The measurements with what they were made on, how and when, as plain data.

    Parameters
    ----------
    measurements : sequence of Measurement
        What `measure` yielded.
    contenders : sequence of Contender
        Who took part.
    core : int, optional
        The core that this process was kept on.
    n_rounds, seconds_per_round : int and float
        What `measure` was told.

    Returns
    -------
    dict
        Plain data: "date", "configuration", "contenders" (name to version), "settings" and "measurements". Times are
        microseconds of a call: lower quartile, median, upper quartile. "ratio" is the median of the fastest peer by
        that of steelfast. An error in ULP that is infinite becomes null in JSON.

    Examples
    --------
    >>> from steelfast.bench import as_report
    >>> as_report([], [])["settings"]["n_rounds"]
    15
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "configuration": configuration(),
        "contenders": {each.name: each.version for each in contenders},
        "settings": {
            "core": core,
            "n_rounds": n_rounds,
            "seconds_per_round": seconds_per_round,
            "scales_of_logits_for_ulp": list(SCALES),
        },
        "measurements": [_as_data(each) for each in measurements],
    }


def _as_data(measurement: Measurement) -> dict[str, Any]:
    case, peer = measurement.case, measurement.fastest_peer
    return {
        "operation": case.operation,
        "shape": list(case.shape),
        "layout": case.layout,
        "label": case.label,
        "dtype": case.dtype,
        "fastest_peer": peer,
        "ratio": None if peer is None else measurement.ratio(peer),
        "microseconds": {name: list(quartiles) for name, quartiles in measurement.microseconds.items()},
        "ulp": dict(measurement.ulp),
    }
