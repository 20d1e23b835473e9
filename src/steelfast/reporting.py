"""What there is to say of a classifier of steel plates, and of a benchmark: as plain data, as Markdown, as plots."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelfast import plotting
from steelfast.datasets import CLASS_NAMES, SteelPlates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_json", "as_markdown", "bench_figure", "confusion_figure", "describe", "evaluate", "learning_figure"]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

TWIN_NOTE = "The plates are synthetic, a statistical twin of the real ones: no finding about steel."


# ---------------------------------------------------------------------------------- figures


def describe(plates: SteelPlates) -> dict[str, Any]:
    """Where the plates come from and how many there are of each kind."""
    counts = np.bincount(plates.target, minlength=len(CLASS_NAMES)).tolist()
    return {
        "source": plates.source,
        "synthetic": plates.is_twin,
        "path": None if plates.path is None else str(plates.path),
        "n_plates": len(plates.target),
        "n_features": plates.data.shape[1],
        "class_counts": dict(zip(plates.target_names, counts, strict=True)),
        "description": plates.description,
    }


def evaluate(target: IntArray, log_probs: FloatArray) -> dict[str, Any]:
    """Compare the probabilities that a classifier gives with the true classes.

    Parameters
    ----------
    target : int64 array of shape (n,)
        Index of the true class in `CLASS_NAMES`.
    log_probs : float array of shape (n, 7)
        Logarithm of the probability of each class; the largest is the class that is predicted.

    Returns
    -------
    dict
        Plain data: "n_plates", "accuracy", "accuracy_interval" (95 %, Wilson), "log_loss", "classes" (name, n_plates,
        recall, precision and f1 of each; NaN where undefined) and "confusion_matrix" (rows: true class, columns:
        predicted class).

    Notes
    -----
    By scikit-learn and SciPy, but for the log-loss: scikit-learn's takes no probability for less than 2e-16, and so
    hides by how much a classifier is wrong where it is sure.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.reporting import evaluate
    >>> figures = evaluate(np.array([0, 1]), np.log(np.full((2, 7), 1 / 7)))
    >>> figures["accuracy"], round(figures["log_loss"], 3)
    (0.5, 1.946)
    """
    from scipy.stats import binomtest
    from sklearn.metrics import (  # type: ignore[import-untyped]
        confusion_matrix,
        precision_recall_fscore_support,
    )

    predicted = log_probs.argmax(axis=1)
    labels = range(len(CLASS_NAMES))
    n_right, n_plates = int((predicted == target).sum()), len(target)
    interval = binomtest(n_right, n_plates).proportion_ci(0.95, method="wilson")
    precision, recall, f1, support = precision_recall_fscore_support(
        target, predicted, labels=labels, zero_division=np.nan
    )
    return {
        "n_plates": n_plates,
        "accuracy": n_right / n_plates,
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "log_loss": -float(np.take_along_axis(log_probs, target[:, np.newaxis], axis=1).mean()),
        "classes": [
            {
                "name": name,
                "n_plates": int(support[k]),
                "recall": float(recall[k]),
                "precision": float(precision[k]),
                "f1": float(f1[k]),
            }
            for k, name in enumerate(CLASS_NAMES)
        ],
        "confusion_matrix": confusion_matrix(target, predicted, labels=labels).tolist(),
    }


# ---------------------------------------------------------------------------------- text


def as_json(report: dict[str, Any]) -> str:
    """The report as JSON, which knows neither NaN nor infinity: they become null."""
    return json.dumps(_finite(report), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_markdown(report: dict[str, Any]) -> str:
    """The report of a training as Markdown, with the plots that lie beside it."""
    data, split, training, test = (report[key] for key in ("data", "split", "training", "test"))
    low, high = test["accuracy_interval"]
    parts = [
        "# Steel plate faults: report of a training",
        *([f"> **Synthetic plates.** {TWIN_NOTE}"] if data["synthetic"] else []),
        f"Trained on {split['n_train']} plates, tested on {split['n_test']} others, "
        f"chosen at random from every class in proportion (seed {split['seed']}).",
        _table(
            ["Test figure", "Value"],
            [
                ["Accuracy", f"{test['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f})"],
                ["Log-loss", loss(test["log_loss"])],
            ],
        ),
    ]
    if folds := report["cross_validation"]:
        parts += [
            "## Cross-validation",
            f"{in_folds(folds)} (mean ± standard deviation of the folds). Each fold of all the "
            "plates is tested on after a training on the others.",
        ]
    parts += [
        "## Classes",
        _table(
            ["Class", "Test plates", "Recall", "Precision", "F1"],
            [
                [each["name"], str(each["n_plates"])] + [share(each[key]) for key in ("recall", "precision", "f1")]
                for each in test["classes"]
            ],
        ),
        "## Confusion matrix",
        "Rows: true class. Columns: predicted class.",
        _table(
            ["", *CLASS_NAMES],
            [[name, *map(str, row)] for name, row in zip(CLASS_NAMES, test["confusion_matrix"], strict=True)],
        ),
        "![Confusion matrix](confusion_matrix.png)",
        "## Training",
        f"{len(training['history'])} epochs in {training['seconds']:.2f} s.",
        "![Learning curves](learning_curve.png)",
        _table(["Setting", "Value"], [[key, f"`{value}`"] for key, value in report["settings"].items()]),
        "## Data",
        _table(
            ["Source", data["source"] + (f": `{data['path']}`" if data["path"] else "")],
            [["Plates", str(data["n_plates"])]] + [[name, str(count)] for name, count in data["class_counts"].items()],
        ),
        data["description"],
        "## To repeat it",
        f"```\n{report['command']}\n```",
        f"steelfast {report['configuration']['steelfast']} "
        f"({report['configuration']['instruction_set']} kernels), "
        f"NumPy {report['configuration']['numpy']}, Python {report['configuration']['python']}; "
        f"{report['date']}.",
    ]
    return "\n\n".join(parts) + "\n"


def share(value: float) -> str:
    """A share to three digits, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def loss(value: float) -> str:
    """A loss to three decimals, or, where it is huge, to three digits."""
    return f"{value:.3f}" if value < 1e6 else f"{value:.2e}"


def three_digits(value: float | None) -> str:
    """A time or a ratio to three digits, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def ulp(error: float | None) -> str:
    """An error in ULP to two digits, or a dash where none was measured."""
    if error is None:
        return "–"
    if error == math.inf:
        return "∞"
    if error >= 9999.5:
        mantissa, exponent = f"{error:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{error:.0f}" if error >= 9.95 else f"{error:.1f}"


def in_folds(folds: dict[str, Any]) -> str:
    """The result of a cross-validation in a line."""
    accuracy, log_loss = (
        f"{loss(np.mean(folds[name]))} ± {loss(np.std(folds[name], ddof=1))}" for name in ("accuracy", "log_loss")
    )
    return f"{folds['n_folds']}-fold cross-validation: accuracy {accuracy}, log-loss {log_loss}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---------------------------------------------------------------------------------- plots


def learning_figure(report: dict[str, Any]) -> Figure:
    """Loss and accuracy of every epoch, side by side."""
    figure = _figure(8, 3.6)
    history = report["training"]["history"]
    left, right = figure.subplots(1, 2)
    plotting.learning_curve(history, quantity="loss", ax=left)
    plotting.learning_curve(history, quantity="accuracy", ax=right)
    figure.suptitle(_title("Learning curves", report))
    return figure


def confusion_figure(report: dict[str, Any], target: IntArray, predicted: IntArray) -> Figure:
    """The confusion matrix of the test plates."""
    figure = _figure(6, 5.6)
    names = np.array(CLASS_NAMES)
    ax = plotting.confusion_matrix(names[target], names[predicted], labels=CLASS_NAMES, ax=figure.subplots())
    ax.set_title(_title(f"Test accuracy {report['test']['accuracy']:.3f}", report))
    return figure


def bench_figure(report: dict[str, Any]) -> Figure:
    """How many times as fast as its fastest peer steelfast is, on everything that was measured."""
    measurements = [each for each in report["measurements"] if each["fastest_peer"]]
    n_rows = len({(each["operation"], each["label"]) for each in measurements})
    n_operations = len({each["operation"] for each in measurements})
    figure = _figure(10, 1.3 + 0.19 * (n_rows + n_operations))
    figure.set_layout_engine("constrained", w_pad=0.1)  # the names of operations are long, and reach the edge
    plotting.speed_ratios(measurements, ax=figure.subplots())
    return figure


def _figure(width: float, height: float) -> Figure:
    # without pyplot: no screen and no backend is needed to write a file
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _title(text: str, report: dict[str, Any]) -> str:
    return f"{text} (synthetic twin)" if report["data"]["synthetic"] else text
