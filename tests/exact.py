"""Numbers to 50 digits, as object arrays of mpmath, and the distance of a result from them."""

from typing import NamedTuple

import mpmath
import numpy as np

mp = mpmath.MPContext()
mp.dps = 50

exp = np.frompyfunc(mp.exp, 1, 1)
log = np.frompyfunc(mp.log, 1, 1)
log1p = np.frompyfunc(mp.log1p, 1, 1)
tanh = np.frompyfunc(mp.tanh, 1, 1)


def exactly(values):
    """The same numbers, without rounding."""
    convert = np.frompyfunc(mp.mpf, 1, 1)
    return convert(np.asarray(values, np.float64).astype(object))


class Exact(NamedTuple):
    """A result to 50 digits.

    Where its terms cancel no method that rounds them can be right to its own last digit: there
    ``terms``, the sum of their magnitudes, says in whose last digits the error is to be counted.
    """

    values: np.ndarray
    terms: np.ndarray | None = None


class UlpErrors(NamedTuple):
    """The largest errors, in units in the last place."""

    normal: float
    subnormal: float


def _rounded(values, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values, object).astype(np.float64).astype(dtype)


def ulp_errors(computed, exact):
    """The error of every number, in units in the last place of the correctly rounded result.

    NaN against NaN is 0, NaN against a number infinite. Below the smallest normal number the unit
    is the smallest subnormal one.
    """
    computed = np.asarray(computed)
    rounded = _rounded(exact.values, computed.dtype)
    unit_of = rounded if exact.terms is None else _rounded(exact.terms, computed.dtype)
    same = (computed == rounded) | (np.isnan(computed) & np.isnan(rounded))
    errors = np.where(same, 0.0, np.inf)
    finite = np.isfinite(computed) & np.isfinite(rounded)
    if finite.any():
        unit = exactly(np.spacing(np.abs(unit_of[finite])))
        difference = exactly(computed[finite]) - np.asarray(exact.values)[finite]
        errors[finite] = (np.abs(difference) / unit).astype(np.float64)
    return errors


def ulp_error(computed, exact):
    """The largest of `ulp_errors`, over the normal results and over the subnormal ones apart."""
    computed = np.asarray(computed)
    errors = ulp_errors(computed, exact)
    rounded = _rounded(exact.values, computed.dtype)
    subnormal = np.abs(rounded) < np.finfo(computed.dtype).tiny
    return UlpErrors(float(errors[~subnormal].max(initial=0)), float(errors[subnormal].max(initial=0)))
