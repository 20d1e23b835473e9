"""Search for the largest errors of the public kernels, on random rows that are made to be hard.

    python tools/search_errors.py [--seconds S] [--seed N] [--kernels NAME ...] [--json docs/accuracy.json]

Rows of 1 to 5000 classes and scales from 1e-3 to 1e4: plain, tied, nearly equal, all equal but one, with one class or
two far above the others, at the thresholds of the code, with results next to the smallest normal number. What is right
comes from compensated long double. Every kernel is searched in both types for S seconds on the best instruction set, or
that of `STEELFAST_ISA`. `--json` enters what is larger than in the file, from which `accuracy_page.py` makes
`docs/accuracy.md`; to measure a kernel anew, set its errors to 0 there.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import steelfast
from steelfast import _kernels, _long_double

Array = NDArray[Any]

ENTRIES = 20_000  # of a batch, about
NEAR = 64  # times the smallest normal number: results below that are told apart


class Kernel(NamedTuple):
    """`computed` and `exact` of the same inputs, the second with what an error is measured against."""

    inputs: Callable[[np.random.Generator, str], tuple[Array, ...]]
    computed: Callable[..., Array]
    exact: Callable[..., tuple[Array, Array]]


# --- inputs --------------------------------------------------------------------------------------------------------


def logits(rng: np.random.Generator, dtype: str) -> tuple[Array]:
    """A batch of rows of one kind."""
    n_classes = int(np.exp(rng.uniform(0, np.log(5000)))) if rng.random() < 0.5 else int(rng.integers(2, 20))
    n_rows = max(1, ENTRIES // n_classes)
    scale = 10 ** rng.uniform(-3, 4)
    reach = 88.0 if dtype == "float32" else 709.0
    z = rng.standard_normal((n_rows, n_classes)) * scale
    kind = rng.integers(8)
    if kind == 1:  # ties
        z = np.round(rng.standard_normal((n_rows, n_classes)) * 2) * rng.choice([0.1, 0.5, 1.0, 20.0])
    elif kind == 2:  # nearly equal
        z = rng.uniform(-3, 3) * scale * (1 + rng.integers(-8, 8, z.shape) * np.finfo(dtype).eps)
    elif kind == 3:  # one or two peaks
        z = rng.standard_normal(z.shape) * rng.choice([0.1, 1.0, 3.0])
        for _ in range(rng.integers(1, 3)):
            z[np.arange(n_rows), rng.integers(0, n_classes, n_rows)] += rng.uniform(0, 1.3 * reach, n_rows)
    elif kind == 4:  # where exp's reduction changes its power of two
        z = (rng.integers(-60, 60, z.shape) + 0.5) * np.log(2) * (1 + rng.standard_normal(z.shape) * 1e-3)
    elif kind == 5:  # results next to the smallest normal number
        z = rng.uniform(-1, 1, z.shape)
        low = rng.random(z.shape) < 0.5
        z[low] -= rng.uniform(reach - 5, reach, int(low.sum()))
    elif kind == 6:  # a few similar terms, on which rounding acts in the same way
        z = rng.uniform(-1, 1, (n_rows, 1)) * np.log(2) + rng.standard_normal(z.shape) * rng.choice([1e-3, 0.05, 0.3])
    elif kind == 7:  # all equal but one: the error of the others' exponential is that of the sum
        z[:, 1:] = rng.uniform(-60, 60) + rng.standard_normal((n_rows, 1)) * scale
        z[:, :1] = z[:, -1:] + rng.uniform(-2, 2, (n_rows, 1))
    if rng.random() < 0.2:
        z += rng.uniform(-1, 1) * rng.choice([1.0, 50.0, 1000.0])
    return (z.astype(dtype),)


def logits_and_labels(rng: np.random.Generator, dtype: str) -> tuple[Array, Array]:
    (z,) = logits(rng, dtype)
    labels = z.argmax(axis=1) if rng.random() < 0.5 else rng.integers(0, z.shape[1], len(z))
    return z, labels


def logits_and_targets(rng: np.random.Generator, dtype: str) -> tuple[Array, Array]:
    (z,) = logits(rng, dtype)
    targets = rng.random(z.shape) * (rng.random(z.shape) < rng.choice([0.3, 1.0]))
    targets[:, 0] += 0.01
    targets /= targets.sum(axis=1, keepdims=True)
    return z, targets.astype(dtype)


def numbers(rng: np.random.Generator, dtype: str) -> tuple[Array]:
    scale = 10 ** rng.uniform(-3, 2.5)
    return ((rng.standard_normal(ENTRIES) * scale).astype(dtype),)


def numbers_and_targets(rng: np.random.Generator, dtype: str) -> tuple[Array, Array]:
    (z,) = numbers(rng, dtype)
    return z, rng.integers(0, 2, z.shape).astype(dtype)


# --- what is right -------------------------------------------------------------------------------------------------


def by_itself(exact: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    """Errors in units of the result."""

    def found(*inputs: Array) -> tuple[Array, Array]:
        result = exact(*inputs)
        return result, result

    return found


def logsumexp(z: Array) -> tuple[Array, Array]:
    """Not where the maximum and the logarithm cancel: long double cannot tell there."""
    result = _long_double.logsumexp(z)
    cancel = np.abs(result) < np.abs(z.max(axis=-1)) * 2.0**-6
    return result, np.where(cancel, np.nan, result)


def label_losses(z: Array, labels: Array) -> Array:
    losses: Array = -np.take_along_axis(_long_double.log_softmax(z), labels[:, np.newaxis], -1)[:, 0]
    return losses


def label_grad(z: Array, labels: Array) -> Array:
    mean = _long_double.softmax_cross_entropy_value_and_grad(z, labels)[1]
    grad: Array = mean * len(labels)
    return grad


def label_grad_of_mean(z: Array, labels: Array) -> Array:
    return label_grad(z, labels) / len(labels)


def target_losses(z: Array, targets: Array) -> Array:
    losses: Array = -(targets * _long_double.log_softmax(z)).sum(axis=-1)
    return losses


def target_grad(z: Array, targets: Array) -> tuple[Array, Array]:
    terms = _long_double.softmax(z) * targets.astype(np.longdouble).sum(axis=-1, keepdims=True)
    return terms - targets, np.maximum(terms, targets)


def log_sigmoid(x: Array) -> Array:
    wide = x.astype(np.longdouble)
    result: Array = np.minimum(wide, 0) - np.log1p(np.exp(-np.abs(wide)))
    return result


def signed(x: Array, targets: Array) -> Array:
    """The logit of the target."""
    return np.where(targets == 1, x, -x)


def sigmoid_cross_entropy_grad(x: Array, targets: Array) -> Array:
    grad: Array = np.where(targets == 1, -1, 1) * _long_double.sigmoid(-signed(x, targets))
    return grad


def sigmoid_mse(x: Array, targets: Array) -> Array:
    losses: Array = np.square(_long_double.sigmoid(-signed(x, targets)))
    return losses


def sigmoid_mse_grad(x: Array, targets: Array) -> Array:
    grad: Array = 2 * sigmoid_cross_entropy_grad(x, targets) * _long_double.sigmoid(x) * _long_double.sigmoid(-x)
    return grad


def each(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *inputs: function(*inputs, reduction="none")


KERNELS = {
    "softmax": Kernel(logits, steelfast.softmax, by_itself(_long_double.softmax)),
    "log_softmax": Kernel(logits, steelfast.log_softmax, by_itself(_long_double.log_softmax)),
    "logsumexp": Kernel(logits, steelfast.logsumexp, logsumexp),
    "softmax_cross_entropy": Kernel(logits_and_labels, each(steelfast.softmax_cross_entropy), by_itself(label_losses)),
    "softmax_cross_entropy_grad": Kernel(
        logits_and_labels, each(steelfast.softmax_cross_entropy_grad), by_itself(label_grad)
    ),
    "softmax_cross_entropy_grad, mean": Kernel(
        logits_and_labels, steelfast.softmax_cross_entropy_grad, by_itself(label_grad_of_mean)
    ),
    "softmax_cross_entropy, targets": Kernel(
        logits_and_targets, each(steelfast.softmax_cross_entropy), by_itself(target_losses)
    ),
    "softmax_cross_entropy_grad, targets": Kernel(
        logits_and_targets, each(steelfast.softmax_cross_entropy_grad), target_grad
    ),
    "sigmoid": Kernel(numbers, steelfast.sigmoid, by_itself(_long_double.sigmoid)),
    "log_sigmoid": Kernel(numbers, steelfast.log_sigmoid, by_itself(log_sigmoid)),
    "sigmoid_cross_entropy": Kernel(
        numbers_and_targets,
        each(steelfast.sigmoid_cross_entropy),
        by_itself(lambda x, targets: -log_sigmoid(signed(x, targets))),
    ),
    "sigmoid_cross_entropy_grad": Kernel(
        numbers_and_targets, each(steelfast.sigmoid_cross_entropy_grad), by_itself(sigmoid_cross_entropy_grad)
    ),
    "sigmoid_mse": Kernel(numbers_and_targets, each(steelfast.sigmoid_mse), by_itself(sigmoid_mse)),
    "sigmoid_mse_grad": Kernel(numbers_and_targets, each(steelfast.sigmoid_mse_grad), by_itself(sigmoid_mse_grad)),
}


# --- searching -----------------------------------------------------------------------------------------------------


def errors_of(computed: Array, exact: Array, measure: Array) -> tuple[float, float]:
    """The largest error in units in the last place of `measure`, among normal numbers and among those near the smallest
    one and below, there in smallest subnormal numbers. NaN cannot be told; what else is not finite is infinitely wrong.
    """
    dtype = computed.dtype
    tiny = np.finfo(dtype).tiny
    with np.errstate(all="ignore"):
        size = np.abs(measure).astype(dtype)
        errors = np.abs(computed - exact) / np.spacing(np.maximum(size, tiny))
    errors = np.where(np.isfinite(errors), errors, np.inf)[~np.isnan(size)]
    near = size[~np.isnan(size)] < NEAR * tiny
    return float(errors[~near].max(initial=0)), float(errors[near].max(initial=0))


def batches(kernel: Kernel, dtype: str, seed: int) -> Iterator[tuple[float, float]]:
    """The largest errors of one batch after the other, without end."""
    rng = np.random.default_rng(seed)
    while True:
        inputs = kernel.inputs(rng, dtype)
        with np.errstate(all="ignore"):
            exact, measure = kernel.exact(*inputs)
        yield errors_of(kernel.computed(*inputs), exact, measure)


def search(kernel: Kernel, dtype: str, seconds: float, seed: int) -> dict[str, float]:
    normal = near = 0.0
    end = time.monotonic() + seconds
    for errors in batches(kernel, dtype, seed):
        normal, near = max(normal, errors[0]), max(near, errors[1])
        if time.monotonic() > end:
            break
    return {"normal": normal, "near": near}


def enter(path: Path, found: dict[str, dict[str, dict[str, float]]]) -> None:
    """Put what was found in the file, where it is larger than what is there."""
    report = json.loads(path.read_text(encoding="utf-8"))
    for name, errors in found.items():
        entry = next(entry for entry in report["kernels"] if entry["name"] == name)
        for dtype, places in errors.items():
            for place, error in places.items():
                entry[dtype][place] = max(entry[dtype][place], round(error, 2))
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Search for the largest errors of the public kernels, in ULP.")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="for each search (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the random rows (default: 0)")
    parser.add_argument("--kernels", nargs="+", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="enter the results in this file")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds < np.inf:
        parser.error(f"--seconds must be positive and finite, got {arguments.seconds:g}")
    if arguments.seed < 0:
        parser.error(f"--seed must not be negative, got {arguments.seed}")
    for name in arguments.kernels or ():
        if name not in KERNELS:
            parser.error(f"--kernels must be of {'; '.join(KERNELS)}; got {name}")
    found: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{_kernels.ISA}: largest errors found in {arguments.seconds:g} s each, of results near the smallest normal")
    for name in arguments.kernels or KERNELS:
        found[name] = {}
        for dtype in ("float32", "float64"):
            if not _long_double.can_measure(dtype):
                continue
            found[name][dtype] = errors = search(KERNELS[name], dtype, arguments.seconds, arguments.seed)
            print(f"{name:36} {dtype}  {errors['normal']:.4f}  {errors['near']:.4f}", flush=True)
    if arguments.json:
        enter(arguments.json, found)


if __name__ == "__main__":
    main()
