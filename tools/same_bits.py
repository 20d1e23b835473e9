"""Whether the kernels give the same bits on another processor, such as an emulated one.

    python tools/same_bits.py record FILE           calls every kernel; writes down arguments and results
    python tools/same_bits.py compare FILE ISA...   calls them with those arguments, where these builds are available

To record takes the registry of the tests and what it needs; to compare takes NumPy alone.
"""

import argparse
import inspect
import sys
from pathlib import Path

import numpy as np

import steelfast
from steelfast import optimizers

# classes side by side in a register, one row after the other, and a last block that is not full
SHAPES = [(35, 3), (35, 7), (6, 150)]


def results_of(name, arguments):
    """Of a public kernel, or of one step of an optimiser."""
    if name in optimizers.__all__:
        parameter, gradient = arguments
        getattr(optimizers, name)(0.1).update(parameter, gradient)
        return (parameter,)
    function = getattr(steelfast, name)
    reduction = {"reduction": "none"} if "reduction" in inspect.signature(function).parameters else {}
    results = function(*arguments, **reduction)
    return results if isinstance(results, tuple) else (results,)


def with_special_rows(arguments):
    first, *others = arguments
    first[0, 0], first[1, 1], first[2] = np.inf, np.nan, -np.inf
    return first, *others


def cases():
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from kernel_cases import KERNELS, _logits, _two_arrays

    makers = {name: kernel.arguments for name, kernel in KERNELS.items()}
    makers |= dict.fromkeys(("SGD", "Momentum", "RMSProp", "Adam"), _two_arrays)
    rng = np.random.default_rng(4)
    for name, make in makers.items():
        for dtype in np.float32, np.float64:
            for shape in SHAPES:
                for scale in 1.0, 100.0:
                    yield name, make(shape, dtype, rng, scale)
                if make is _logits:
                    yield name, with_special_rows(make(shape, dtype, rng, 1.0))


def record(path):
    arrays = {}
    for number, (name, arguments) in enumerate(cases()):
        for k, argument in enumerate(arguments):
            arrays[f"{number} {name} argument {k}"] = argument.copy()
        for k, result in enumerate(results_of(name, arguments)):
            arrays[f"{number} {name} result {k}"] = result
    np.savez(path, **arrays)


def bits(array):
    return np.where(np.isnan(array), np.nan, array).tobytes()


def compare(path, isas):
    if steelfast.available_isas() != tuple(isas):
        sys.exit(f"these builds are available: {steelfast.available_isas()}, wanted {isas}")
    recorded = {}
    with np.load(path) as arrays:
        for key in arrays:
            number, name, kind, _ = key.split()
            recorded.setdefault((number, name), {"argument": [], "result": []})[kind].append(arrays[key])
    for (_, name), case in recorded.items():
        for result, expected in zip(results_of(name, case["argument"]), case["result"], strict=True):
            if bits(result) != bits(expected):
                sys.exit(f"{name} of {[each.shape for each in case['argument']]} has other bits")
    names = {name for _, name in recorded}
    print(f"{steelfast.available_isas()[-1]}: {len(names)} functions, {len(recorded)} calls, the same bits")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in "record", "compare":
        commands.add_parser(name).add_argument("path", metavar="FILE")
    commands.choices["compare"].add_argument("isas", nargs="+", metavar="ISA")
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.path)
    else:
        compare(arguments.path, arguments.isas)


if __name__ == "__main__":
    main()
