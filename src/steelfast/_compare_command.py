"""What ``steelfast compare`` does, from its parsed options."""

from __future__ import annotations

import itertools
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from steelfast import _commands, reporting
from steelfast._configuration import configuration
from steelfast._files import check_writable
from steelfast._scores import paired_interval


def compare(options: Namespace) -> None:
    """Put losses and optimisers side by side, in the same folds."""
    _commands._require("rich", "sklearn", *([] if options.plot is None else ["matplotlib"]))
    from steelfast import _terminal
    from steelfast.estimator import SteelClassifier

    if options.plot is not None:
        check_writable(options.plot)
    plates = _commands._load(options)
    _commands._check_folds(plates, options.cv)
    pairs = list(itertools.product(dict.fromkeys(options.loss), dict.fromkeys(options.optimizer)))
    settings = _commands._training_settings(options)
    results = []
    with _terminal.progress("Comparing", len(pairs) * options.cv * options.epochs, quiet=options.quiet) as step:
        for loss, optimizer in pairs:
            model = SteelClassifier(loss, optimizer, **settings)
            folds = _commands._cross_validate(model, plates, options, step)
            results.append({"loss": loss, "optimizer": optimizer} | folds)
    results.sort(key=lambda each: -np.mean(each["accuracy"]))
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _commands._command(plates, options),
        "data": reporting.describe(plates),
        "settings": settings,
        "n_folds": options.cv,
        "results": results,
        "differences": _differences(results),
        "configuration": configuration(),
    }
    if options.plot is not None:
        _commands._write_figure(options.plot, reporting.comparison_figure(report))
    if options.json:
        _commands._write("-", reporting.as_json(report))
        return
    print(f"Data: {_commands._origin(plates)}.")
    print(
        f"{options.cv}-fold cross-validation, the same folds for all (seed {options.seed}); mean ± standard\n"
        f"deviation of the folds. {options.epochs} epochs{', or fewer' * options.early_stopping}.\n"
    )
    _terminal.console().print(_terminal.comparison_table(report))
    for each in report["differences"]:
        print(f"\n{reporting.in_words(each)}")


def _differences(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By how much the first is better than the best of each other loss, with intervals of 95 %."""
    of_loss = {each["loss"]: each for each in reversed(results)}  # the results begin with the best
    first = results[0]
    return [
        {
            "first": {"loss": first["loss"], "optimizer": first["optimizer"]},
            "second": {"loss": loss, "optimizer": second["optimizer"]},
            **{
                figure: {"mean": float(np.mean(gaps)), "interval": paired_interval(gaps)}
                for figure in ("accuracy", "log_loss")
                for gaps in [np.subtract(first[figure], second[figure])]
            },
        }
        for loss, second in of_loss.items()
        if loss != first["loss"]
    ]
