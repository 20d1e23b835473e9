"""What the command line shows: tables that fit 80 columns, 100 with many peers, and progress. Needs rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from steelfast._contenders import PEERS
from steelfast.datasets import CLASS_NAMES
from steelfast.reporting import loss, mean_and_deviation, points, share, three_digits, ulp

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_FASTEST = "fastest"


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console without colours where NO_COLOR asks for none, or where nobody looks."""
    from rich.console import Console

    return Console(
        stderr=stderr, width=width, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto"
    )


@contextmanager
def progress(description: str, total: int, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on stderr if that is a terminal and nobody asked for quiet; what is yielded moves it on.

    It takes by how many steps, one by default, and figures to show beside the bar, such as ``loss=0.7``.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda n_steps=1, **figures: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(description, total=total, figures="")

        def step(n_steps: int = 1, **figures: float) -> None:
            shown = "  ".join(f"{name} {loss(value)}" for name, value in figures.items())
            bar.update(task, advance=n_steps, figures=shown)

        yield step


def confusion_table(result: dict[str, Any]) -> Table:
    """The confusion matrix, a row for each true class with its recall at the end."""
    table = _table(title="Confusion matrix: a row is a true class, a column what was predicted")
    table.add_column("", overflow="fold")
    for name in CLASS_NAMES:
        table.add_column(name.replace("_", "_\n"), justify="right", overflow="fold")
    table.add_column("recall", justify="right", no_wrap=True)
    for k, (each, row) in enumerate(zip(result["classes"], result["confusion_matrix"], strict=True)):
        cells = [str(count) if count else "·" for count in row]
        cells[k] = f"[bold]{cells[k]}[/bold]"
        table.add_row(each["name"], *cells, share(each["recall"]))
    return table


def comparison_table(report: dict[str, Any]) -> Table:
    """A row for each loss and optimiser, the best on top."""
    table = _table()
    for heading in ("loss", "optimizer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accuracy", "log-loss", "calibration\nerror"):
        table.add_column(heading, justify="right", overflow="fold")
    for each in report["results"]:
        figures = (mean_and_deviation(each[name]) for name in ("accuracy", "log_loss", "calibration_error"))
        table.add_row(each["loss"], each["optimizer"], *figures)
    return table


def coefficients_table(report: dict[str, Any], n_shown: int) -> Table:
    """For each class the features that speak for it and against it most, with their coefficients."""
    table = _table()
    for heading in ("", "speaks for it", "speaks against it"):
        table.add_column(heading, overflow="fold")
    for name, row in report["coefficients"].items():
        ordered = sorted(row.items(), key=lambda each: -each[1])
        sides = ([each for each in side if each[1] * sign > 0] for side, sign in ((ordered, 1), (ordered[::-1], -1)))
        lists = ("\n".join(f"{value:+.2f}  {feature}" for feature, value in side[:n_shown]) for side in sides)
        table.add_row(f"[bold]{name}[/bold]", *lists, end_section=True)
    return table


def importance_table(report: dict[str, Any]) -> Table:
    """A row for each feature, the most important on top."""
    table = _table()
    table.add_column("feature", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("", overflow="crop", no_wrap=True)
    table.add_column("recall", justify="right", no_wrap=True)
    table.add_column("of", overflow="fold")
    largest = max(each["accuracy_drop"] for each in report["importance"]) or 1.0
    for each in report["importance"]:
        fault, drop = max(each["recall_drops"].items(), key=lambda pair: pair[1])
        table.add_row(
            each["feature"],
            f"{points(each['accuracy_drop'])} ± {points(each['deviation'])}",
            "█" * round(12 * each["accuracy_drop"] / largest),
            points(drop),
            fault,
        )
    return table


def bench_tables(report: dict[str, Any]) -> Iterator[Table]:
    """For each operation and dtype: times in microseconds, how many times as fast steelfast is, errors in ULP.

    One or two peers have a ratio each; of more of them it is that to the fastest.
    """
    for (operation, dtype), group in groupby(report["measurements"], lambda each: (each["operation"], each["dtype"])):
        rows = list(group)
        names = [name for name in report["contenders"] if any(name in row["microseconds"] for row in rows)]
        peers = [name for name in names if name in PEERS]
        compared = peers if len(peers) <= 2 else [_FASTEST]
        table = _table(title=f"[bold]{operation}[/bold], {dtype}")
        if compared == [_FASTEST]:
            table.padding = 0  # many columns
        table.add_column("", min_width=11, no_wrap=True)
        for heading in (*names, *("ratio" if name == _FASTEST else f"× {name}" for name in compared)):
            table.add_column(heading, justify="right", min_width=6, no_wrap=True)
        for heading in ("ULP", "others"):
            table.add_column(heading, justify="right")
        for row in rows:
            times = {name: quartiles[1] for name, quartiles in row["microseconds"].items()}
            if row["fastest_peer"]:
                times[_FASTEST] = times[row["fastest_peer"]]
            ratios = [times[name] / times["steelfast"] if name in times else None for name in compared]
            errors = [row["ulp"][name] for name in peers if name in row["ulp"]]
            table.add_row(
                row["label"],
                *(three_digits(times.get(name)) for name in names),
                *map(three_digits, ratios),
                *map(ulp, (row["ulp"].get("steelfast"), max(errors, default=None))),
            )
        yield table


def _table(title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        title_justify="left",
        title_style="",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
