"""The float32 elementary functions on all 2**32 inputs, or on every n-th: their largest errors in ULP.

    python tools/exhaustive_float32.py [--every N] [--functions NAME ...] [--json docs/accuracy.json]

exp, log, log1p and tanh come from `_elementary.pxd`, compiled as an extension outside the package is; sigmoid,
log_sigmoid and the softmax of the two classes x and 0 are the kernels, so exp is also tested as they use it. All are of
one instruction set: the best one, or that of `STEELFAST_ISA`. The results that are right come from NumPy and SciPy in
double precision, whose own errors are a billionth of the unit. `--json` enters the results among those of
`docs/accuracy.md`, which `accuracy_page.py` then makes anew.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import steelfast
from steelfast import _kernels

Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]

HERE = Path(__file__).parent
CHUNK = 2**20
TINY = np.finfo(np.float32).tiny
EXPONENT_BITS = np.uint32(0x7F800000)


class Function(NamedTuple):
    """What is tested, the same in double precision, and the inputs between which it has to be right."""

    computed: Callable[[Any], Any]
    exact: Callable[[Float64s], Float64s]
    low: float = -np.inf
    high: float = np.inf


class Largest(NamedTuple):
    """The largest error, and where it is: among normal results in ULP, among others in smallest subnormal numbers."""

    error: float = 0.0
    x: float = np.nan


def functions(elementwise: ModuleType) -> dict[str, Function]:
    """What is tested, by name; for either precision but for `exact`, which is for float32."""
    return {
        "exp": Function(filling(elementwise.exp), np.exp),
        "log": Function(filling(elementwise.log), np.log),
        "log1p": Function(filling(elementwise.log1p), np.log1p, -0.5, 2.0**60),
        "tanh": Function(filling(elementwise.tanh), np.tanh),
        "sigmoid": Function(steelfast.sigmoid, scipy.special.expit),
        "log_sigmoid": Function(steelfast.log_sigmoid, scipy.special.log_expit),
        "softmax": Function(first_of_two(steelfast.softmax), scipy.special.expit),
        "log_softmax": Function(first_of_two(steelfast.log_softmax), scipy.special.log_expit),
    }


def filling(function: Callable[..., None]) -> Callable[[Any], Any]:
    """The function of (x, result) as one that returns the result."""

    def filled(x: Any) -> Any:
        result = np.empty_like(x)
        function(x, result)
        return result

    return filled


def first_of_two(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function of a row (x, 0), as one of x."""

    def first(x: Any) -> Any:
        return function(np.stack([x, np.zeros_like(x)], axis=1))[:, 0]

    return first


def compiled(source: Path, folder: Path, instruction_set: str = "baseline") -> ModuleType:
    """Build a .pyx for the instruction set, with the settings of the example package, and import it."""
    shutil.copy(source, folder)
    shutil.copy(HERE.parent / "examples" / "cimport" / "setup.py", folder)
    flags = {"baseline": "", "x86-64-v4": "-march=x86-64-v4 -mprefer-vector-width=512"}
    environment = {**os.environ, "CFLAGS": flags.get(instruction_set, f"-march={instruction_set}")}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{source.name} cannot be built:\n{done.stdout}{done.stderr}")
    (module_file,) = (path for path in folder.glob(f"{source.stem}.*") if path.suffix in {".so", ".pyd"})
    spec = importlib.util.spec_from_file_location(source.stem, module_file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(every: int) -> Iterator[Float32s]:
    """The bit patterns 0, every, 2 · every ... as numbers, in chunks."""
    for start in range(0, 2**32, every * CHUNK):
        bits = np.arange(start, min(start + every * CHUNK, 2**32), every, dtype=np.uint32)
        yield bits.view(np.float32)


def errors_of(computed: Float32s, exact: Float64s) -> tuple[Float64s, NDArray[np.bool_]]:
    """The error of each in units in the last place of the rounded exact result, and which of these are subnormal.

    A NaN against a number, and an infinity that the exact result does not round to, is infinitely wrong.
    """
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        power = (rounded.view(np.uint32) & EXPONENT_BITS).view(np.float32)  # of two, as np.spacing finds it, but faster
        unit = np.maximum(power, TINY) * np.finfo(np.float32).eps
        errors = np.abs(computed - exact) / unit
        not_finite = ~(np.isfinite(computed) & np.isfinite(rounded))
        if not_finite.any():
            same = (computed == rounded) | (np.isnan(computed) & np.isnan(rounded))
            errors[not_finite] = np.where(same, 0.0, np.inf)[not_finite]
        return errors, np.abs(rounded) < TINY


def largest_errors(function: Function, chunks: Iterable[Float32s]) -> tuple[Largest, Largest]:
    """Among normal (infinite, NaN) results and among subnormal ones."""
    normal = subnormal = Largest()
    for x in chunks:
        if not np.isneginf(function.low):
            x = x[(x >= function.low) & (x < function.high)]
        with np.errstate(all="ignore"):
            exact = function.exact(x.astype(np.float64))
        errors, is_subnormal = errors_of(function.computed(x), exact)
        if is_subnormal.any():
            subnormal = larger(subnormal, np.where(is_subnormal, errors, 0.0), x)
            errors[is_subnormal] = 0.0
        normal = larger(normal, errors, x)
    return normal, subnormal


def larger(found: Largest, errors: Float64s, x: Float32s) -> Largest:
    i = int(np.argmax(errors)) if errors.size else 0
    return Largest(float(errors[i]), float(x[i])) if errors.size and errors[i] > found.error else found


def enter(path: Path, every: int, found: dict[str, tuple[Largest, Largest]]) -> None:
    """Put what was found among the runs in the file, in the place of what this instruction set had there before."""
    report = json.loads(path.read_text(encoding="utf-8"))
    key = {"instruction_set": _kernels.ISA, "every": every}
    run = next((run for run in report["elementary"] if run.items() >= key.items()), None)
    if run is None:
        report["elementary"].append(run := {**key, "functions": {}})
    for name, (normal, subnormal) in found.items():
        run["functions"][name] = {"normal": normal._asdict()}
        if not np.isnan(subnormal.x):
            run["functions"][name]["subnormal"] = subnormal._asdict()
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="The largest errors of the float32 elementary functions, in ULP.")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th bit pattern (default: 1)")
    parser.add_argument("--functions", nargs="+", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="enter the results in this file")
    arguments = parser.parse_args()
    if not 1 <= arguments.every < 2**32:
        parser.error(f"--every must be from 1 to 2**32 - 1, got {arguments.every}")
    with tempfile.TemporaryDirectory() as folder:
        tested = functions(compiled(HERE / "elementwise.pyx", Path(folder), _kernels.ISA))
    for name in arguments.functions or ():
        if name not in tested:
            parser.error(f"--functions must be of {', '.join(tested)}, got {name}")
    print(f"{_kernels.ISA}, every {arguments.every}: largest errors of normal and of subnormal results, at x")
    found = {}
    for name in arguments.functions or tested:
        n_chunks = -(-(2**32) // (CHUNK * arguments.every))
        chunks = track(inputs(arguments.every), name, n_chunks, console=Console(stderr=True), transient=True)
        found[name] = normal, subnormal = largest_errors(tested[name], chunks)
        print(
            f"{name:12} {normal.error:.4f} at {normal.x!r:24} {subnormal.error:.4f} at {subnormal.x!r}",
            flush=True,
        )
    if arguments.json:
        enter(arguments.json, arguments.every, found)


if __name__ == "__main__":
    main()
