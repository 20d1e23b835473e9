"""What the command line shows: tables that fit 80 columns, and progress. Needs rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from steelfast.bench import Measurement
from steelfast.datasets import CLASS_NAMES
from steelfast.reporting import loss, share

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console(*, stderr: bool = False) -> Console:
    """A console without colours where NO_COLOR asks for none, or where nobody looks."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


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


def bench_table(measurements: Sequence[Measurement]) -> Table:
    """Times in microseconds, and how many times as fast the kernels are."""
    table = _table(title="Median times in microseconds, and how many times as fast steelfast is")
    table.add_column("")
    for name in ("loops", "NumPy", "steelfast", "× loops", "× NumPy"):
        table.add_column(name, justify="right")
    for operation, group in groupby(measurements, key=lambda each: each.operation):
        table.add_row(f"[bold]{operation}[/bold]")
        for each in group:
            times = (each.loops, each.numpy, each.steelfast, each.times_loops, each.times_numpy)
            shape = " × ".join(f"{n:,}" for n in each.shape)
            table.add_row(f"  {each.dtype}  {shape}", *map(_three_digits, times))
    return table


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


def _three_digits(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"
