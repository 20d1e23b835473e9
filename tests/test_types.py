"""The types that users see are those of the results; `.ci/run` has mypy read the same file."""

import re
import runpy
import typing
from pathlib import Path

import numpy as np

import steelfast

USAGE = Path(__file__).with_name("typed_usage.py")


def is_of(value, claimed):
    """Whether the value is what the type says: an array of a dtype, a number, a tuple of these."""
    if claimed is typing.Any:
        return True
    if not (arguments := typing.get_args(claimed)):
        return isinstance(value, claimed)
    if typing.get_origin(claimed) is not tuple:  # NDArray[scalar]; before NumPy 2.5: ndarray[shape, dtype[scalar]]
        [scalar] = typing.get_args(arguments[1]) if len(arguments) > 1 else arguments
        return isinstance(value, np.ndarray) and (scalar is typing.Any or issubclass(value.dtype.type, scalar))
    types = arguments[:1] * len(value) if arguments[1] is ... else arguments
    return isinstance(value, tuple) and all(is_of(*each) for each in zip(value, types, strict=True))


def test_results_are_of_the_types_that_are_claimed(monkeypatch, capsys):
    claims = []

    def assert_type(value, claimed):
        claims.append((value, claimed))
        return value

    monkeypatch.setattr(typing, "assert_type", assert_type)
    runpy.run_path(str(USAGE))
    assert len(claims) > 40
    for value, claimed in claims:
        assert is_of(value, claimed), f"{type(value)} is not {claimed}"


def test_every_public_name_is_used():
    used = set(re.findall(r"\w+", USAGE.read_text(encoding="utf-8")))
    assert used >= set(steelfast.__all__)
