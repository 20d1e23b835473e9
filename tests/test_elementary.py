"""exp, log, log1p and tanh as other Cython code gets them, and sigmoid: below 1 or 2 ULP, for every instruction set.

`tools/exhaustive_float32.py` runs the same over all float32 numbers.
"""

import math
from importlib import import_module
from pathlib import Path

import exhaustive_float32
import numpy as np
import pytest
from compiled import compiled
from exact import Exact, exactly, exp, log, log1p, tanh, ulp_error
from exhaustive_float32 import errors_of, functions, inputs, largest_errors

import steelfast
from steelfast import _kernels

SOURCE = Path(exhaustive_float32.__file__).with_name("elementwise.pyx")
ELEMENTARY = ["exp", "log", "log1p", "tanh"]
NAMES = [*ELEMENTARY, "sigmoid", "log_sigmoid", "softmax", "log_softmax"]
LIMITS = dict.fromkeys(NAMES, 2.0) | dict.fromkeys(["exp", "log", "log1p"], 1.0)  # in ULP

INF, NAN = math.inf, math.nan
SPECIAL = {
    "exp": [(-INF, 0), (-1e4, 0), (-0.0, 1), (0.0, 1), (1e4, INF), (INF, INF), (NAN, NAN)],
    "log": [(-INF, NAN), (-1.0, NAN), (-0.0, -INF), (0.0, -INF), (1.0, 0), (INF, INF), (NAN, NAN)],
    "log1p": [(-0.0, 0), (0.0, 0), (NAN, NAN)],
    "tanh": [(-INF, -1), (-1e4, -1), (-0.0, -0.0), (0.0, 0), (1e4, 1), (INF, 1), (NAN, NAN)],
}


@pytest.fixture(scope="module", params=steelfast.available_isas())
def elementwise(request, tmp_path_factory):
    return compiled(SOURCE, tmp_path_factory.mktemp(request.param), request.param)


def around_every_power_of_two():
    bits = (np.arange(2**9, dtype=np.uint32)[:, None] << 23) + np.arange(-2, 3).astype(np.uint32)
    return bits.ravel().view(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_float32(elementwise, name):
    """An evenly spread part of all numbers, and the neighbours of every power of two."""
    chunks = [*inputs(every=65521), around_every_power_of_two()]
    normal, subnormal = largest_errors(functions(elementwise)[name], chunks)
    assert normal.error < LIMITS[name], f"at {normal.x!r}"
    assert subnormal.error < LIMITS[name], f"at {subnormal.x!r}"


def of_every_exponent(rng):
    """Doubles of either sign, one for each exponent: subnormal, huge, infinite and NaN ones too."""
    exponents = np.arange(2**12, dtype=np.uint64) << np.uint64(52)
    return (exponents | rng.integers(2**52, size=2**12, dtype=np.uint64)).view(np.float64)


@pytest.mark.parametrize(
    ("name", "exact", "low", "high", "dense"),
    [
        ("exp", exp, -1060.0, 1060.0, [(-760, 720), (-1, 1)]),
        ("log", log, np.nextafter(0, 1), np.finfo(np.float64).max, [(0.4, 3)]),
        ("log1p", log1p, -0.5, 2.0**1000, [(-0.5, 3)]),
        ("tanh", tanh, -60.0, 60.0, [(-20, 20), (-1, 1)]),
    ],
)
def test_float64(elementwise, name, exact, low, high, dense):
    """Doubles of every exponent where the function is not trivial, and many where it is hard."""
    rng = np.random.default_rng(40)
    x = np.concatenate([of_every_exponent(rng), *(rng.uniform(*between, 2000) for between in dense)])
    x = x[(x >= low) & (x <= high)]
    assert len(x) > 2000
    error = ulp_error(functions(elementwise)[name].computed(x), Exact(exact(exactly(x))))
    assert error.normal < LIMITS[name]
    assert error.subnormal < LIMITS[name]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(elementwise, name, dtype):
    x, expected = np.array(SPECIAL[name], dtype).T
    computed = functions(elementwise)[name].computed(x.copy())
    np.testing.assert_array_equal(computed, expected)
    if name == "tanh":  # an odd function has a zero of either sign
        np.testing.assert_array_equal(np.signbit(computed[2:4]), [True, False])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_same_bits_in_every_lane(elementwise, name, dtype):
    computed = functions(elementwise)[name].computed
    x = np.random.default_rng(41).uniform(0.01, 40, 67).astype(dtype)
    np.testing.assert_array_equal(computed(x), [computed(x[i : i + 1])[0] for i in range(len(x))])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_for_other_code_has_the_bits_of_the_kernel(elementwise, request, dtype):
    _, package = _kernels._BUILDS[request.node.callspec.params["elementwise"]]
    x = np.linspace(-800, 800, 5001).astype(dtype)
    result = np.empty_like(x)
    elementwise.sigmoid(x, result)
    np.testing.assert_array_equal(result, import_module(f"{package}._softmax").sigmoid(x))


# ---- the measure itself


def test_errors_are_counted_in_units_of_the_last_place():
    exact = np.array([1.0, 1.0, -2.0, 2.0**-149, 1e-30])
    computed = np.array([1.0, 1 + 3 * 2.0**-23, -2 - 2.0**-22, 2.0**-148, np.float32(1e-30)], np.float32)
    errors, is_subnormal = errors_of(computed, exact)
    np.testing.assert_allclose(errors, [0, 3, 1, 1, 0], atol=0.5)
    np.testing.assert_array_equal(errors[:4], [0, 3, 1, 1])
    np.testing.assert_array_equal(is_subnormal, [False, False, False, True, False])


def test_errors_of_nan_and_infinity():
    exact = np.array([np.nan, 1e39, np.inf, 1.0, 1.0, np.nan])
    computed = np.array([np.nan, np.inf, 1.0, np.nan, np.inf, 1.0], np.float32)
    np.testing.assert_array_equal(errors_of(computed, exact)[0], [0, 0, np.inf, np.inf, np.inf, np.inf])


def test_inputs_are_all_numbers():
    first = next(inputs(every=1))
    np.testing.assert_array_equal(first.view(np.uint32), np.arange(len(first)))
    spread = np.concatenate([*inputs(every=2**16)])
    np.testing.assert_array_equal(spread.view(np.uint32), np.arange(0, 2**32, 2**16))
