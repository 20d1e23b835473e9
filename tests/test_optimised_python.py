"""`python -O` drops assertions: nothing that is refused may hang on one."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_cases import KERNELS
from test_contract import REFUSED

PACKAGE = Path(__file__).parents[1] / "src" / "steelfast"


def print_refusals():
    """What each kernel says to each bad input; a line of its own for whatever it should not have done."""
    for title, (name, arguments, options, error, _) in REFUSED.items():
        for kernel in KERNELS.values():
            if name not in (kernel.name, kernel.of, (kernel.made_of or [None])[0]):
                continue
            out = np.full(np.shape(arguments[0]), 7.0)
            try:
                kernel.function(*arguments, **options, **({"out": out} if "out" in kernel.takes else {}))
            except error as refusal:
                print(f"{kernel}, {title}: {type(refusal).__name__}: {refusal}")
            else:
                print(f"{kernel}, {title}: taken")
            if np.any(out != 7):
                print(f"{kernel}, {title}: written")


def refusals(*options):
    program = "from test_optimised_python import print_refusals; print(__debug__); print_refusals()"
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assertions, *lines = done.stdout.splitlines()
    return assertions, lines


def test_what_is_refused_is_refused_without_assertions_too():
    assertions, lines = refusals("-O")
    assert assertions == "False"
    assert len(lines) > len(REFUSED)
    assert [line for line in lines if line.endswith((": taken", ": written"))] == []
    assert refusals() == ("True", lines)


def assertions_in(path):
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    return re.findall(r"^\s*assert\b.*", source, re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"}),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_the_package_asserts_nothing(path):
    assert assertions_in(path) == []


def test_assertions_are_seen(tmp_path):
    for name in "example.py", "example.pyx":
        (tmp_path / name).write_text("def f(x):\n    assert x\n")
        assert assertions_in(tmp_path / name)
