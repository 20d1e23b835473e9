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
from steelfast.reporting import loss, share, three_digits, ulp

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
def progress(description: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on stderr if that is a terminal; what is yielded moves it on by one step.

    The step takes figures to show beside the bar, such as ``loss=0.7``.
    """
    if not sys.stderr.isatty():
        yield lambda **figures: None
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

        def step(**figures: float) -> None:
            shown = "  ".join(f"{name} {loss(value)}" for name, value in figures.items())
            bar.update(task, advance=1, figures=shown)

        yield step


def confusion_table(result: dict[str, Any]) -> Table:
    """The confusion matrix, a row for each true class with its recall at the end."""
    table = _table(title="Confusion matrix: a row is a true class, a column what was predicted")
    table.add_column("")
    for name in CLASS_NAMES:
        table.add_column(name.replace("_", "_\n"), justify="right")
    table.add_column("recall", justify="right")
    for k, (each, row) in enumerate(zip(result["classes"], result["confusion_matrix"], strict=True)):
        cells = [str(count) if count else "·" for count in row]
        cells[k] = f"[bold]{cells[k]}[/bold]"
        table.add_row(each["name"], *cells, share(each["recall"]))
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


def _table(title: str) -> Table:
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
