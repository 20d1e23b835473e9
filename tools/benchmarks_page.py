"""Write the page of measured figures from the file that they were saved to; no figure is typed by hand.

    steelfast bench --peers --json docs/benchmarks.json
    python tools/benchmarks_page.py docs/benchmarks.json

Writes benchmarks.md and images/benchmarks.png beside the file, both of the file's name: each machine has a page.
"""

import argparse
import json
import math
import statistics
from itertools import groupby
from pathlib import Path

from steelfast._contenders import PEERS
from steelfast.reporting import bench_figure, three_digits, ulp

GOAL = 1.5


def page(report, name):
    """The page as Markdown; `name` is that of the file."""
    measurements = [each for each in report["measurements"] if each["fastest_peer"]]
    ratios = [each["ratio"] for each in measurements]
    lost = [each for each in measurements if each["ratio"] < 1]
    n_good = sum(ratio >= GOAL for ratio in ratios)
    return (
        "\n\n".join(
            [
                f"# Benchmarks on {report['configuration']['instruction_set']}",
                f"Made by `tools/benchmarks_page.py` from [{name}.json]({name}.json); do not edit.",
                f"Measured on {report['date'][:10]}. In {n_good} of {len(ratios)} cases steelfast is at least {GOAL} "
                f"times as fast as the fastest other library, in {len(lost)} it is slower; the median is "
                f"{three_digits(statistics.median(ratios))} times.",
                f"![How many times as fast as the fastest other library](images/{name}.png)",
                *_where_we_do_not_win(lost),
                *_machine_and_method(report),
                *_times(report),
                *_errors(report),
            ]
        )
        + "\n"
    )


def _where_we_do_not_win(lost):
    yield "## Where steelfast does not win"
    if not lost:
        yield "Nowhere in this run."
        return
    yield _table(
        ["Operation", "Shape", "dtype", "Fastest", "Its time, µs", "steelfast, µs", "Ratio"],
        [
            [
                f"`{each['operation']}`",
                each["label"],
                each["dtype"],
                each["fastest_peer"],
                _median(each, each["fastest_peer"]),
                _median(each, "steelfast"),
                three_digits(each["ratio"]),
            ]
            for each in sorted(lost, key=lambda each: each["ratio"])
        ],
    )


def _machine_and_method(report):
    about, settings = report["configuration"], report["settings"]
    versions = ", ".join(
        f"{name} {version}" for name, version in report["contenders"].items() if name not in ("loops", "copy")
    )
    core = "not pinned to a core" if settings["core"] is None else f"pinned to core {settings['core']}"
    yield "## On what, and how"
    yield (
        f"{about['processor']}; {about['platform']}; kernels of steelfast built for {about['instruction_set']} with "
        f"{about['compiler']}. {versions}, Python {about['python']}."
    )
    yield (
        f"One process, {core}, every library on one thread. Each result is checked against long double before anything "
        f"is timed. Then the libraries take turns, {settings['n_rounds']} rounds in a new order each, a turn lasting "
        f"{1000 * settings['seconds_per_round']:g} ms or one call; a time is the median, and the ratio that of the "
        "medians of the fastest other library and of steelfast. All of them return fresh arrays. *loops* are Python "
        "loops, left out where they are slow; *Numba* compiles the same loops; *JAX* is jitted and waited for, its "
        "compilation not counted; *copy* is `np.copyto` into an array that is there already: what the memory allows, "
        "and no contestant. *axis 0* has the classes along the rows, *strided* is every other column of a wider "
        "array. Losses are means, the cross-entropy over the rows, the sigmoid-MSE over all numbers, and come with "
        "their gradient."
    )


def _times(report):
    yield "## Times"
    yield "Microseconds of a call."
    for (operation, dtype), group in groupby(report["measurements"], lambda each: (each["operation"], each["dtype"])):
        rows = list(group)
        names = [name for name in report["contenders"] if any(name in row["microseconds"] for row in rows)]
        yield f"### `{operation}`, {dtype}"
        yield _table(
            ["Shape", *names, "Fastest other", "Ratio"],
            [
                [
                    row["label"],
                    *(_median(row, name) for name in names),
                    row["fastest_peer"] or "–",
                    three_digits(row["ratio"]),
                ]
                for row in rows
            ],
        )


def _errors(report):
    peers = [name for name in report["contenders"] if name in PEERS]
    scales = ", ".join(f"{scale:g}" for scale in report["settings"]["scales_of_logits_for_ulp"])
    rows = []
    ordered = sorted(
        (each for each in report["measurements"] if each["ulp"]), key=lambda each: (each["operation"], each["dtype"])
    )
    for (operation, dtype), group in groupby(ordered, lambda each: (each["operation"], each["dtype"])):
        errors = [each["ulp"] for each in group]
        largest = {
            name: max((_number(each[name]) for each in errors if name in each), default=None)
            for name in ("steelfast", *peers)
        }
        rows.append([f"`{operation}`", dtype, *map(ulp, largest.values())])
    yield "## Errors"
    yield (
        "Largest error in units in the last place, over all shapes, on a sample of rows of normally distributed logits "
        f"of the scales {scales}; of a loss, of its mean and its gradient. Results below the smallest normal number do "
        "not count. An error as large as the result is 8e6 to 1.7e7 of these units in float32 and 4.5e15 to 9.0e15 in "
        "float64: from there on no digit is right, as of a logarithm near zero, or of one minus a probability near one."
    )
    yield _table(["Operation", "dtype", "steelfast", *peers], rows)


def _number(error):
    """JSON has null for an error without bound."""
    return math.inf if error is None else error


def _median(measurement, name):
    quartiles = measurement["microseconds"].get(name)
    return "–" if quartiles is None else three_digits(quartiles[1])


def _table(header, rows):
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, help="what steelfast bench --json wrote")
    path = parser.parse_args().json
    report = json.loads(path.read_text(encoding="utf-8"))
    if not any(each["fastest_peer"] for each in report["measurements"]):
        parser.error(f"{path} compares steelfast with no other library")
    path.with_suffix(".md").write_text(page(report, path.stem), encoding="utf-8")
    images = path.parent / "images"
    images.mkdir(exist_ok=True)
    bench_figure(report).savefig(images / f"{path.stem}.png", dpi=100)


if __name__ == "__main__":
    main()
