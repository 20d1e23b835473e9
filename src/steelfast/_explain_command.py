"""What ``steelfast explain`` does, from its parsed options."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _commands, reporting
from steelfast._files import check_writable
from steelfast.datasets import CLASS_NAMES, FEATURE_NAMES, SteelPlates

if TYPE_CHECKING:
    from steelfast.estimator import SteelClassifier


def explain(options: Namespace) -> None:
    """Show what drives each fault."""
    _commands._require("rich", "sklearn", *([] if options.plot is None else ["matplotlib"]))
    from steelfast import _terminal

    if options.plot is not None:
        check_writable(options.plot)
    model = _commands._load_model(options.model)
    plates = _commands._load(options)
    report = {
        "model": options.model,
        "data": reporting.describe(plates),
        "seed": options.seed,
        "n_repeats": options.repeats,
        "coefficients": _coefficients(model),
    }
    with _terminal.progress("Shuffling", 1 + len(FEATURE_NAMES) * options.repeats, quiet=options.quiet) as step:
        report["importance"] = _importance(model, plates, options.repeats, options.seed, step)
    if options.plot is not None:
        _commands._write_figure(options.plot, reporting.explanation_figure(report))
    if options.json:
        _commands._write("-", reporting.as_json(report))
        return
    console = _terminal.console()
    if report["coefficients"]:
        print(
            "What the score of a fault gains when a feature is larger by one standard\n"
            f"deviation: the largest gains and losses, {options.top} of each at most.\n"
        )
        console.print(_terminal.coefficients_table(report, options.top))
        print()
    print(f"Data: {_commands._origin(plates)}.")
    print("All of them count, those too that the model may have been trained on.")
    print(
        "By how many percentage points the accuracy drops when a feature is shuffled\n"
        f"(mean ± standard deviation of {options.repeats} times), and the recall of the fault that\n"
        "suffers most. Features that say the same as others stand in for each other, and\n"
        "rank low.\n"
    )
    console.print(_terminal.importance_table(report))


def _coefficients(model: SteelClassifier) -> dict[str, dict[str, float]] | None:
    """What each feature adds to the score of each class; None for a model with hidden layers.

    Of the softmax only differences between classes mean something: their mean over the classes is taken off.
    """
    if not hasattr(model, "coef_"):
        return None
    coef = model.coef_ - model.coef_.mean(axis=0) if model.loss == "softmax_cross_entropy" else model.coef_
    numbers = [_commands._INDEX_OF_CLASS[name] for name in model.classes_]
    return {
        CLASS_NAMES[number]: dict(zip(FEATURE_NAMES, row.tolist(), strict=True))
        for number, row in sorted(zip(numbers, coef, strict=True), key=lambda pair: pair[0])
    }


def _importance(
    model: SteelClassifier, plates: SteelPlates, n_repeats: int, seed: int, step: _commands.Step
) -> list[dict[str, Any]]:
    """For each feature, the most important first, by how much accuracy and recalls drop when it is shuffled."""
    from sklearn.inspection import permutation_importance  # type: ignore[import-untyped]

    of_class = {CLASS_NAMES[k]: plates.target == k for k in np.unique(plates.target)}

    def scores(model: SteelClassifier, X: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
        right = _commands._log_probabilities(model, X).argmax(axis=1) == target
        step(accuracy=right.mean())
        return {"accuracy": right.mean(), **{name: right[rows].mean() for name, rows in of_class.items()}}

    drops = permutation_importance(
        model, plates.data, plates.target, scoring=scores, n_repeats=n_repeats, random_state=seed
    )
    accuracy = drops.pop("accuracy")
    features: list[dict[str, Any]] = [
        {
            "feature": name,
            "accuracy_drop": float(accuracy.importances_mean[k]),
            "deviation": float(accuracy.importances_std[k]),
            "recall_drops": {fault: float(drop.importances_mean[k]) for fault, drop in drops.items()},
        }
        for k, name in enumerate(FEATURE_NAMES)
    ]
    return sorted(features, key=lambda each: -each["accuracy_drop"])
