"""The kernels held to the reference tables, and the tables to the script that makes them."""

import csv
from collections import Counter

import numpy as np
import pytest
import reference_tables

import steelfast

with open(reference_tables.FILE, encoding="utf-8", newline="") as file:
    LINES = list(csv.DictReader(file))
FUNCTIONS = sorted({line["function"] for line in LINES})
LOGITS_AND_TARGETS = {function for function in FUNCTIONS if "cross_entropy" in function or "mse" in function}


def numbers(text, dtype):
    values = [float.fromhex(each) for each in text.split()]
    result = np.array(values, dtype)
    np.testing.assert_array_equal(result, values)  # nothing was rounded
    return result


def computed(line):
    """What the kernel gives for the one row of a line, flat."""
    function = getattr(steelfast, line["function"])
    row = numbers(line["input"], line["dtype"])[None]
    if line["function"] not in LOGITS_AND_TARGETS:
        return function(row).ravel()
    target = np.array([line["target"]], int) if "softmax" in line["function"] else [[float(line["target"])]]
    return function(row, target, reduction="none").ravel()


def steps(result, expected):
    """How far off each is, in units in the last place of what is expected, or in smallest subnormal numbers."""
    same = (result == expected) | (np.isnan(result) & np.isnan(expected))
    with np.errstate(all="ignore"):
        distance = np.abs(result - expected) / np.spacing(np.abs(expected))
        return np.where(same, 0, np.where(np.isfinite(distance), distance, np.inf))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_kernels_are_within_the_limits(function, dtype):
    over = {}
    for line in LINES:
        if (line["function"], line["dtype"]) == (function, dtype):
            expected, result = numbers(line["output"], dtype), computed(line)
            assert result.dtype == dtype
            assert result.shape == expected.shape
            error = steps(result, expected).max()
            if error > float(line["limit"]):
                over[line["kind"], line["input"], line["target"]] = error
    assert not over


def test_every_function_has_the_same_lines_in_either_precision():
    count = Counter((line["function"], line["dtype"]) for line in LINES)
    assert len(FUNCTIONS) == 10
    for function in FUNCTIONS:
        assert count[function, "float32"] == count[function, "float64"] > 20


def test_tables_are_what_the_script_makes():
    assert reference_tables.FILE.read_text(encoding="utf-8") == reference_tables.table()


@pytest.mark.parametrize("to", reference_tables.FORMATS, ids=lambda to: to.name)
def test_rounding(to):
    """As NumPy rounds: ties to even, into the subnormal numbers and to infinity."""
    dtype, mp = np.dtype(to.name), reference_tables.mp
    info = np.finfo(dtype)
    half = mp.mpf(float(info.eps)) / 2
    smallest, largest = mp.mpf(float(info.smallest_subnormal)), mp.mpf(float(info.max))
    cases = {
        1 + half: 1.0,
        1 + 3 * half: 1 + 2 * float(info.eps),
        -1 - half * 1.001: -1 - float(info.eps),
        smallest / 2: 0.0,
        smallest * 1.5: 2 * float(smallest),
        smallest * 2.5: 2 * float(smallest),
        mp.exp(-(10**40)): 0.0,
        largest * (1 + half / 2.001): float(largest),
        -largest * (1 + half / 1.999): -np.inf,
        mp.exp(10**40): np.inf,
    }
    for exact, expected in cases.items():
        assert reference_tables.rounded(exact, to) == expected


def test_steps_are_counted():
    expected = np.array([1.0, 1.0, 0.0, np.nan, np.inf, 1.0, -np.inf])
    result = np.array([1.0, 1 + 2**-51, -5e-324, np.nan, np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(steps(result, expected), [0, 2, 1, 0, 0, np.inf, np.inf])
