"""What there is to say of a classifier of steel plates, and of a benchmark: as plain data, as Markdown, as plots."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelfast import plotting
from steelfast._scores import calibration_error, f1_interval, reliability_bins, wilson
from steelfast.datasets import CLASS_NAMES, SteelPlates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "as_html",
    "as_json",
    "as_markdown",
    "bench_figure",
    "comparison_figure",
    "describe",
    "evaluate",
    "explanation_figure",
    "figures",
    "mistakes",
]

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
        Plain data: "n_plates", "accuracy", "accuracy_interval", "log_loss", "calibration_error", "reliability" (of
        each range of probabilities, see `plotting.reliability`), "classes" (name, n_plates, recall, precision and f1
        of each, and their intervals; NaN where undefined) and "confusion_matrix" (rows: true class, columns: predicted
        class). The intervals are of 95 %, by Wilson.

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
    from sklearn.metrics import (  # type: ignore[import-untyped]
        confusion_matrix,
        precision_recall_fscore_support,
    )

    predicted = log_probs.argmax(axis=1)
    labels = range(len(CLASS_NAMES))
    right, n_plates = predicted == target, len(target)
    precision, recall, f1, _ = precision_recall_fscore_support(target, predicted, labels=labels, zero_division=np.nan)
    matrix = confusion_matrix(target, predicted, labels=labels)
    bins = reliability_bins(right, np.exp(log_probs.max(axis=1)))
    return {
        "n_plates": n_plates,
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson(int(right.sum()), n_plates),
        "log_loss": -float(np.take_along_axis(log_probs, target[:, np.newaxis], axis=1).mean()),
        "calibration_error": calibration_error(bins),
        "reliability": [each._asdict() for each in bins],
        "classes": [
            {
                "name": name,
                "n_plates": n_true,
                "recall": float(recall[k]),
                "recall_interval": wilson(n_right, n_true),
                "precision": float(precision[k]),
                "precision_interval": wilson(n_right, n_predicted),
                "f1": float(f1[k]),
                "f1_interval": f1_interval(n_right, n_true, n_predicted),
            }
            for k, (name, n_right, n_true, n_predicted) in enumerate(
                zip(
                    CLASS_NAMES,
                    np.diag(matrix).tolist(),
                    matrix.sum(axis=1).tolist(),
                    matrix.sum(axis=0).tolist(),
                    strict=True,
                )
            )
        ],
        "confusion_matrix": matrix.tolist(),
    }


def mistakes(target: IntArray, log_probs: FloatArray, numbers: IntArray, limit: int = 10) -> list[dict[str, Any]]:
    """The plates that were taken for a wrong class with the highest probability, the surest first.

    Parameters
    ----------
    target, log_probs : as for `evaluate`
    numbers : int array of shape (n,)
        What to call each plate.
    limit : int, default 10
        How many of them to name.

    Returns
    -------
    list of dict
        Plain data: "plate", "fault", "fault_probability", "predicted" and "predicted_probability" of each.
    """
    predicted = log_probs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != target)
    worst = wrong[np.argsort(-log_probs[wrong, predicted[wrong]], kind="stable")][:limit]
    return [
        {
            "plate": int(numbers[i]),
            "fault": CLASS_NAMES[target[i]],
            "fault_probability": float(np.exp(log_probs[i, target[i]])),
            "predicted": CLASS_NAMES[predicted[i]],
            "predicted_probability": float(np.exp(log_probs[i, predicted[i]])),
        }
        for i in worst
    ]


# ---------------------------------------------------------------------------------- text


def as_json(report: dict[str, Any] | list[dict[str, Any]]) -> str:
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
    return _rendered("report.md", report)


def as_html(report: dict[str, Any], pictures: Mapping[str, Figure]) -> str:
    """The report of a training as a page of HTML that needs no other file; the pictures are those of `figures`."""
    return _rendered("report.html", report, pictures={name: _data_uri(each) for name, each in pictures.items()})


def _rendered(template: str, report: dict[str, Any], **more: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("steelfast", "_templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "in_folds": in_folds,
        "interval": interval,
        "loss": loss,
        "probability": probability,
        "share": share,
    }
    environment.tests["finite"] = math.isfinite
    return environment.get_template(template).render(
        report, twin_note=TWIN_NOTE, chance=math.log(len(CLASS_NAMES)), **more
    )


def share(value: float) -> str:
    """A share to three digits, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def points(value: float) -> str:
    """A share in percentage points, to one decimal, without the sign of a zero."""
    return f"{round(100 * value, 1) + 0.0:.1f}"


def interval(bounds: tuple[float, float]) -> str:
    """Its two ends, to three digits."""
    return " to ".join(map(share, bounds))


def probability(value: float) -> str:
    """A probability to three digits, however small."""
    return share(value) if value >= 0.001 else f"{value:.1g}"


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
    accuracy, log_loss = (mean_and_deviation(folds[name]) for name in ("accuracy", "log_loss"))
    return f"{folds['n_folds']}-fold cross-validation: accuracy {accuracy}, log-loss {log_loss}"


def mean_and_deviation(values: Sequence[float]) -> str:
    """Mean ± standard deviation of what the folds gave."""
    return f"{loss(float(np.mean(values)))} ± {loss(float(np.std(values, ddof=1)))}"


def in_words(difference: dict[str, Any]) -> str:
    """One of the differences of ``steelfast compare`` as a sentence."""
    first, second = (f"{each['loss']} ({each['optimizer']})" for each in (difference["first"], difference["second"]))
    gap, (low, high) = difference["accuracy"]["mean"], difference["accuracy"]["interval"]
    verdict = "tell" if low > 0 else "do not tell"
    return (
        f"{first}\nis right on {points(gap)} plates in 100 more than {second}:\n"
        f"95 % interval {points(low)} to {points(high)}; the folds {verdict} them apart."
    )


# ---------------------------------------------------------------------------------- plots


def figures(report: dict[str, Any], target: IntArray, log_probs: FloatArray) -> dict[str, Figure]:
    """The pictures of the report of a training, by name; narrow enough for a telephone."""
    names = np.array(CLASS_NAMES)
    made = {
        "learning_curve": _figure(4.6, 5.2),
        "confusion_matrix": _figure(4.8, 4.7),
        "reliability": _figure(4.6, 4.7),
    }
    axes = made["learning_curve"].subplots(2, sharex=True)
    for ax, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        plotting.learning_curve(report["training"]["history"], quantity=quantity, ax=ax)  # type: ignore[arg-type]
    axes[0].set_xlabel("")
    plotting.confusion_matrix(
        names[target], names[log_probs.argmax(axis=1)], labels=CLASS_NAMES, ax=made["confusion_matrix"].subplots()
    )
    plotting.reliability(target, np.exp(log_probs), ax=made["reliability"].subplots())
    titles = ("Learning curves", f"Test accuracy {report['test']['accuracy']:.3f}", "Reliability on the test plates")
    for figure, title in zip(made.values(), titles, strict=True):
        figure.suptitle(_title(title, report))
    return made


def comparison_figure(report: dict[str, Any]) -> Figure:
    """Accuracy and log-loss of every fold, side by side."""
    figure = _figure(9, 1.2 + 0.3 * len(report["results"]))
    left, right = figure.subplots(1, 2, sharey=True)
    plotting.comparison(report["results"], ax=left)
    plotting.comparison(report["results"], quantity="log_loss", ax=right)
    figure.suptitle(_title(f"{report['n_folds']}-fold cross-validation", report))
    return figure


def explanation_figure(report: dict[str, Any]) -> Figure:
    """Coefficients, where the model has them, beside the importance of the features."""
    coefficients, features = report["coefficients"], report["importance"]
    figure = _figure(12 if coefficients else 6, 7)
    axes = figure.subplots(1, 2 if coefficients else 1, squeeze=False)[0]
    if coefficients:
        plotting.coefficients(
            [list(row.values()) for row in coefficients.values()],
            feature_names=list(next(iter(coefficients.values()))),
            class_names=list(coefficients),
            ax=axes[0],
        )
    plotting.importance(
        [each["accuracy_drop"] for each in features],
        [each["deviation"] for each in features],
        feature_names=[each["feature"] for each in features],
        ax=axes[-1],
    )
    figure.suptitle(_title("What drives the faults", report))
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


def _data_uri(figure: Figure) -> str:
    import matplotlib as mpl

    image = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "steelfast"}):  # the same picture is the same text
        figure.savefig(image, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(image.getvalue()).decode()}"
