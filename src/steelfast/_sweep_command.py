"""What ``steelfast sweep`` does, from its parsed options."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from steelfast import _commands, reporting
from steelfast._configuration import configuration
from steelfast._files import check_writable

if TYPE_CHECKING:
    from rich.table import Table

    from steelfast.sweeps import Engine

ENGINES: tuple[Engine, ...] = ("threads", "processes")  # but for that of --dask
SEARCHES = ("grid", "random", "halving")
# scikit-learn's names of them; the larger its score, the better
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "log_loss": "neg_log_loss"}

_WORDS = {"none": None, "true": True, "false": False}

# what a range can be of
_REAL = ("learning_rate", "dropout", "l2", "validation_fraction", "tol")
_WHOLE = ("batch_size", "max_epochs", "n_iter_no_change")


def sweep(options: Namespace) -> None:
    """Try many settings in cross-validation, show the best."""
    _commands._require("rich", "sklearn")
    from steelfast import _terminal
    from steelfast.estimator import SteelClassifier
    from steelfast.sweeps import results
    from steelfast.sweeps import sweep as search

    if options.dask is not None and (options.engine or options.jobs):
        options.refuse("argument --dask: not allowed with --engine or --jobs, for all workers of the cluster are used")
    engine: Engine = "dask" if options.dask is not None else options.engine or ENGINES[0]
    settings = _settings(options)
    if options.output is not None:
        check_writable(options.output)
    plates = _commands._load(options)
    _commands._check_folds(plates, options.cv)
    started = time.perf_counter()
    # scikit-learn's bar goes to stdout, where the result goes
    with contextlib.redirect_stdout(sys.stderr):
        found = search(
            plates.data,
            np.array(plates.target_names)[plates.target],
            settings,
            classifier=SteelClassifier(max_epochs=options.epochs),
            search=options.search,
            n_candidates=options.candidates,
            n_folds=options.cv,
            scoring=SCORES[options.score],
            seed=options.seed,
            engine=engine,
            n_jobs=options.jobs,
            address=options.dask,
            progress=sys.stderr.isatty() and not options.quiet,
        )
    seconds = time.perf_counter() - started
    if options.output is not None:
        found.best_estimator_.save(options.output)
    tried = results(found)
    for each in tried:  # as the score is named, not as scikit-learn turns it so that more is better
        each["score"] *= -1 if SCORES[options.score].startswith("neg_") else 1
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _commands._command(plates, options),
        "data": reporting.describe(plates),
        "search": options.search,
        "score": options.score,
        "n_folds": options.cv,
        "seed": options.seed,
        "engine": engine,
        "seconds": seconds,
        "best": tried[0],
        "results": tried,
        "configuration": configuration(),
    }
    if options.json:
        _commands._write("-", reporting.as_json(report))
        return
    print(f"Data: {_commands._origin(plates)}.")
    print(
        f"{len(tried)} settings, each in {options.cv} folds (seed {options.seed}), on {engine} in {seconds:.1f} s; "
        "the best:\n"
    )
    _terminal.console().print(_table(tried[: options.top], options.score))
    best = ", ".join(f"{name}={_shown(value)}" for name, value in tried[0]["settings"].items())
    print(f"\nBest: {best}")
    if options.output is not None:
        print(f"Trained with it on all plates: {options.output}")


def _settings(options: Namespace) -> Mapping[str, Any]:
    """What is to be tried, checked before a download."""
    from steelfast.estimator import SteelClassifier
    from steelfast.sweeps import DEFAULT_SETTINGS

    settings: dict[str, Any] = {}
    refused = {"random_state": "is the number of --seed", "verbose": "changes no score"}
    if options.search == "halving":
        refused["max_epochs"] = "is raised by halving, up to --epochs"
    parameters = [name for name in SteelClassifier().get_params() if name not in refused]
    for name, values in options.set:
        if name in settings:
            options.refuse(f"argument --set: must name each parameter once, got {name!r} again")
        if name in refused:
            options.refuse(f"argument --set: must name what can be tried, got {name!r}, which {refused[name]}")
        if name not in parameters:  # in the words that get a suggestion
            options.refuse(f"argument --set: invalid choice: {name!r} (choose from {', '.join(parameters)})")
        if isinstance(values, _Range):
            if name not in (*_REAL, *_WHOLE):
                options.refuse(f"argument --set: {name} must be given as {name}=A,B,..., got a range")
            if options.search == "grid":
                options.refuse(f"argument --set: a range, as of {name}, needs --search random or halving")
        for value in (values.low, values.high) if isinstance(values, _Range) else values:
            try:
                SteelClassifier().set_params(**{name: value})._settings()
            except (TypeError, ValueError) as error:
                options.refuse(f"argument --set: {error}")
        settings[name] = values
    return settings or DEFAULT_SETTINGS


def _table(tried: list[dict[str, Any]], score: str) -> Table:
    """The settings, best first, with their scores."""
    from steelfast import _terminal

    table = _terminal._table(title="")
    for name in (*tried[0]["settings"], score.replace("_", " "), "±", "ms a fit"):
        table.add_column(name.replace("_", "_\n") if name in tried[0]["settings"] else name, justify="right")
    for each in tried:
        table.add_row(
            *map(_shown, each["settings"].values()),
            f"{each['score']:.4f}",
            f"{each['std']:.4f}",
            f"{1000 * each['fit_seconds']:.0f}",
        )
    return table


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "0"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------------------------- values of --set


def setting(text: str) -> tuple[str, Any]:
    """The parameter and the values to try, from ``name=a,b,c`` or ``name=low:high``."""
    name, sign, values = text.partition("=")
    if not (name and sign and values):
        raise ArgumentTypeError(f"must be NAME=A,B,... or NAME=LOW:HIGH, got {text!r}")
    if ":" not in values:
        return name, [_value(name, each) for each in values.split(",")]
    number = int if name in _WHOLE else float
    try:
        low, high = map(number, values.split(":"))
    except ValueError:
        low = high = math.nan
    if not 0 < low < high < math.inf:
        whole = "whole numbers " if number is int else ""
        raise ArgumentTypeError(f"must be NAME=LOW:HIGH with {whole}0 < LOW < HIGH, got {text!r}")
    return name, _Range(low, high)


@dataclass(frozen=True)
class _Range:
    """Numbers from low to high, 1 to 10 as likely as 10 to 100; whole ones if both ends are."""

    low: float
    high: float

    def rvs(self, random_state: np.random.RandomState) -> float:
        """One of them; the name is SciPy's, by which scikit-learn knows what it can draw from."""
        from scipy.stats import loguniform

        if isinstance(self.high, int):
            return min(int(loguniform.rvs(self.low, self.high + 1, random_state=random_state)), self.high)
        return float(loguniform.rvs(self.low, self.high, random_state=random_state))


def _value(name: str, text: str) -> Any:
    if name == "hidden_layer_sizes":  # 64x32; 0 is no layer
        try:
            return tuple(size for size in map(int, text.split("x")) if size)
        except ValueError:
            raise ArgumentTypeError(f"hidden_layer_sizes must be such as 64x32, or 0 for none, got {text!r}") from None
    for convert in (lambda each: _WORDS[each.lower()], int, float):
        with contextlib.suppress(ValueError, KeyError):
            return convert(text)
    return text
