"""Array arguments of the general path: conversions, checks, and every error that is raised on them.

The fast path of the kernels never comes here: `_arrays.pxd` lets pass what needs neither a conversion nor a check.
"""

from collections.abc import Collection, Iterable
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steelfast._processor import FloatingPointState

Array: TypeAlias = NDArray[Any]


def described(x: object) -> str:
    """What came, for an error message."""
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape} and dtype {x.dtype}"
    return f"{x!r:.60} of type {type(x).__name__}"


def as_array(x: object, name: str) -> Array:
    """x as an array of whatever dtype."""
    try:
        return np.asarray(x)
    except ValueError:
        raise ValueError(
            f"{name} must be an array, or lists of equal lengths that make one, got {described(x)}"
        ) from None


def as_floating(x: object, name: str) -> tuple[Array, np.dtype[Any]]:
    """x as an aligned array of the dtype that the kernels compute in, and the dtype of results for it.

    float16 is computed in float32 and handed back as float16; integers and booleans become float64.
    """
    array = as_array(x, name)
    kind, itemsize = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and itemsize <= 8:
        result = np.dtype(f"f{itemsize}")
    elif kind in "biu":
        result = np.dtype(np.float64)
    else:
        raise TypeError(
            f"{name} must hold real numbers (float16, float32, float64, integers or booleans), got dtype {array.dtype}"
        )
    compute = np.dtype(np.float32) if result.itemsize < 8 else result
    return np.require(converted(array, compute), None, "A"), result


def as_axis(axis: object, x: Array, name: str) -> int:
    """The axis counted from 0; it must have at least one class."""
    try:
        number = index(axis)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"axis must be an integer, got {described(axis)}") from None
    if x.ndim == 0:
        raise ValueError(f"{name} must have at least one dimension, the axis of the classes, got a single number")
    if not -x.ndim <= number < x.ndim:
        raise ValueError(f"axis {number} is out of range for {name} of {x.ndim} dimensions")
    if x.shape[number] == 0:
        raise ValueError(f"{name} must have at least one class, got shape {x.shape}: axis {number} is empty")
    return number % x.ndim


def as_shaped(x: object, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """x as a C-contiguous array of this shape and dtype."""
    array, _ = as_floating(x, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return np.ascontiguousarray(converted(array, dtype)).reshape(shape)


def as_finite(x: object, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Finite numbers in this shape and dtype."""
    array = as_shaped(x, name, shape, dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name} must be {_unlike('finite', x, array, bad)}")
    return array


def as_weights(weights: object, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The weights in this shape and dtype: finite and not negative."""
    array = as_shaped(weights, name, shape, dtype)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        raise ValueError(f"{name} must be {_unlike('finite and not negative', weights, array, bad)}")
    return array


def as_labels(labels: object, shape: tuple[int, ...], n_classes: int, ignore_index: int | None) -> Array:
    """The labels of `targets` as contiguous int64: within 0 … n_classes - 1, and -1 for a row that is ignored."""
    array = as_array(labels, "targets")
    if array.size == 0 and not isinstance(labels, np.ndarray):
        array = array.astype(np.int64)  # an empty list says nothing of its dtype
    if array.dtype.kind == "f" and array.ndim == len(shape) + 1:
        raise ValueError(f"targets must have the shape of the logits, {(*shape, n_classes)}, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"targets must be integer labels or probabilities of the logits' shape, got {described(array)}")
    if array.shape != shape:
        raise ValueError(f"targets must hold one label for each row, shape {shape}, got shape {array.shape}")
    ignored = np.zeros(shape, bool) if ignore_index is None else array == ignore_index
    bad = ~(((array >= 0) & (array < n_classes)) | ignored)
    if bad.any():
        where = _first(bad)
        raise ValueError(f"targets must lie in 0 … {n_classes - 1}, got label {array[where]} in row {_shown(where)}")
    converted_labels = np.array(array, np.int64, order="C")
    converted_labels[ignored] = -1
    return converted_labels


def as_number(x: object, name: str, low: float, high: float, *, below: bool = False) -> float:
    """A real number within low … high, or below high."""
    number = _number(x, name)
    if not (low <= number < high if below else low <= number <= high):
        limits = [f"at least {low:g}"]
        if below:
            limits.append("finite" if high == np.inf else f"below {high:g}")
        elif high < np.inf:
            limits.append(f"at most {high:g}")
        raise ValueError(f"{name} must be {' and '.join(limits)}, got {number!r}")
    return number


def as_base(x: object) -> float:
    """The base of a logarithm."""
    number = _number(x, "base")
    if not 0 < number < np.inf or number == 1:
        raise ValueError(f"base must be positive, finite and not 1, got {number!r}")
    return number


def _number(x: object, name: str) -> float:
    if type(x) is float or (type(x) is int and abs(x) < 1 << 53):  # nearly always, and the way round takes 3 µs
        return float(x)
    array = as_array(x, name)
    if array.ndim != 0 or array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be a number, got {described(x)}")
    return float(as_floating(array, name)[0])


def as_index(x: object, name: str) -> int:
    """An integer."""
    try:
        if isinstance(x, (bool, np.bool_)):
            raise TypeError
        return index(x)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {described(x)}") from None


def as_flag(x: object, name: str) -> bool:
    """True or False, as such: "no" is true in Python."""
    if not isinstance(x, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {described(x)}")
    return bool(x)


def as_count(x: object, name: str, low: int) -> int:
    """An integer of at least `low`."""
    number = as_index(x, name)
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    return number


def as_choice(x: object, name: str, choices: Collection[str]) -> str:
    """One of these names."""
    if not isinstance(x, str) or x not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {x!r:.60}")
    return x


def as_pair(a: object, a_name: str, b: object, b_name: str) -> tuple[Array, Array, np.dtype[Any], np.dtype[Any]]:
    """Two arrays of one shape in the dtype that both are computed in; that dtype; the dtype of the result."""
    a_array, a_result = as_floating(a, a_name)
    b_array, b_result = as_floating(b, b_name)
    if a_array.shape != b_array.shape:
        raise ValueError(f"{b_name} must have the shape of {a_name}, {a_array.shape}, got {b_array.shape}")
    compute = np.promote_types(a_array.dtype, b_array.dtype)
    return (
        converted(a_array, compute),
        converted(b_array, compute),
        compute,
        np.promote_types(a_result, b_result),
    )


def check_reduction(reduction: object) -> None:
    if not isinstance(reduction, str) or reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r:.60}")


def workspace(
    out: object,
    shape: tuple[int, ...],
    result: np.dtype[Any],
    compute: np.dtype[Any],
    *inputs: Array,
    apart: Iterable[Array] = (),
    contiguous: bool,
) -> Array:
    """Where a kernel may write: a new array, or `out` itself if it can do so without a conversion.

    `out` is checked here. It may be one of `inputs`, entry for entry; where it overlaps one in any other way, or shares
    memory with an array of `apart`, the result goes through a new array, so that nothing is overwritten unread.
    """
    if out is not None:
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an array of shape {shape} and dtype {result}, got {described(out)}")
        if out.shape != shape or out.dtype != result:
            raise ValueError(f"out must be an array of shape {shape} and dtype {result}, got {described(out)}")
        if not out.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if (
            out.dtype == compute
            and out.dtype.isnative
            and out.flags.aligned
            and (out.flags.c_contiguous or not contiguous)
            and not any(_tangled(out, x) for x in inputs)
            and not any(np.may_share_memory(out, x) for x in apart)
        ):
            return out
    return np.empty(shape, compute)


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array in this dtype, where a number may overflow or underflow without a word."""
    if array.dtype == dtype:
        return array
    with FloatingPointState(), np.errstate(all="ignore"):
        return array.astype(dtype)


def delivered(computed: Array, out: Array | None, result: np.dtype[Any]) -> Any:
    """What a kernel computed, as the caller asked for it: in `out`, or new in this dtype (0-d as a scalar)."""
    computed_or_out = computed if computed is out else converted(computed, result)
    if out is None:
        return computed_or_out if computed.ndim else computed_or_out[()]
    if computed is not out:
        out[...] = computed_or_out
    return out


def _tangled(out: Array, x: Array) -> bool:
    same = out.__array_interface__["data"] == x.__array_interface__["data"] and out.strides == x.strides
    return not (same and out.shape == x.shape and out.dtype == x.dtype) and np.may_share_memory(out, x)


def _unlike(wanted: str, x: object, array: Array, bad: Array) -> str:
    """What was wanted, and what came first that is not so: it may be finite in x, but not in the dtype of the array."""
    where = _first(bad)
    came = as_array(x, "x")[where]
    if np.isfinite(came) and not np.isfinite(array[where]):
        wanted = wanted.replace("finite", f"finite in {array.dtype}")
    return f"{wanted}, got {came} at index {_shown(where)}"


def _first(bad: Array) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _shown(where: tuple[int, ...]) -> str:
    return "0 (there is only one)" if not where else str(where[0]) if len(where) == 1 else str(where)
