"""Plots of a training, its result, the mathematics and a benchmark: clear in print and to colour-blind readers.

Every function draws into the axes it is given, or into a new figure, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from steelfast._kernels import softmax, softmax_jacobian
from steelfast._scores import calibration_error, reliability_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "coefficients",
    "comparison",
    "confusion_matrix",
    "decision_comparison",
    "importance",
    "jacobian",
    "learning_curve",
    "reliability",
    "speed_ratios",
]

# the palette of Okabe and Ito, which stays apart for every kind of colour vision; a marker each, for print in grey
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
_BLUE, _VERMILION = _COLOURS[:2]
_NAVY = "#08306b"  # the dark end of matplotlib's Blues
_MARKERS = "osD^vPX*"
_OFFSETS = {"float32": -0.2, "float64": 0.2}  # from the middle of the row, or equal ratios hide each other
_CURVES = {
    "loss": (("loss", "training"), ("validation_loss", "held out")),
    "accuracy": (("accuracy", "training"), ("validation_accuracy", "held out")),
}


def learning_curve(
    history: Sequence[Mapping[str, Any]],
    *,
    quantity: Literal["loss", "accuracy"] = "loss",
    ax: Axes | None = None,
) -> Axes:
    """Plot the loss or the accuracy of every epoch, in training and on plates held out.

    Parameters
    ----------
    history : sequence of mappings
        One record an epoch, as in ``SteelClassifier.history_``: "epoch", "loss", "accuracy", and
        where plates were held out "validation_loss" and "validation_accuracy".
    quantity : {"loss", "accuracy"}, default "loss"
        What to plot.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are no records, or if the quantity is unknown.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import learning_curve
    >>> history = [{"epoch": 1, "loss": 1.5}, {"epoch": 2, "loss": 1.0}]
    >>> learning_curve(history, ax=Figure().subplots()).get_ylabel()
    'Loss'
    """
    if quantity not in _CURVES:
        raise ValueError(f'quantity must be "loss" or "accuracy", got {quantity!r}')
    if not history:
        raise ValueError("history must have at least one epoch, got none")
    ax = _axes(ax)
    from matplotlib.ticker import MaxNLocator

    epochs = [record["epoch"] for record in history]
    styles = ((_BLUE, "-"), (_VERMILION, "--"))
    for (key, label), (colour, line) in zip(_CURVES[quantity], styles, strict=True):
        if key in history[0]:
            values = [float(record[key]) for record in history]
            # a line through one point is invisible
            marker = "o" if len(values) == 1 else None
            ax.plot(epochs, values, line, color=colour, label=label, marker=marker)
    ax.set_xlabel("Epoch")
    ax.set_ylabel(quantity.capitalize())
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def confusion_matrix(
    target: ArrayLike,
    predicted: ArrayLike,
    *,
    labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot how many plates of each class were taken for which class.

    Parameters
    ----------
    target, predicted : array-like of shape (n,)
        The true classes and those that a classifier named.
    labels : sequence, optional
        All classes in the order to show them; by default those that occur, sorted.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `target` and `predicted` differ in length, or if no label occurs in `target`.

    Notes
    -----
    A cell holds a count; its colour is the share of its row, the recall on the diagonal, so that
    rare classes are seen as well as common ones.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import confusion_matrix
    >>> ax = confusion_matrix(["Bumps", "Stains"], ["Bumps", "Bumps"], ax=Figure().subplots())
    >>> ax.get_xlabel()
    'Predicted class'
    """
    try:
        from sklearn.metrics import ConfusionMatrixDisplay  # type: ignore[import-untyped]
        from sklearn.metrics import confusion_matrix as count
    except ModuleNotFoundError as error:
        raise ImportError(f'confusion_matrix needs scikit-learn: pip install "steelfast[sklearn]" ({error})') from error

    ax = _axes(ax)
    classes = np.unique([*np.unique(target), *np.unique(predicted)]) if labels is None else labels
    counts = count(target, predicted, labels=classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=classes)
    display.plot(
        ax=ax,
        cmap="Blues",
        colorbar=False,
        values_format=".2f",
        xticks_rotation=45,
        im_kw={"vmin": 0, "vmax": 1},
    )
    for cell, n_plates, share in zip(display.text_.flat, counts.flat, shares.flat, strict=True):
        cell.set(text=str(n_plates) if n_plates else "·", color="white" if share > 0.65 else _NAVY)
    axes: Axes = display.ax_
    for label in axes.get_xticklabels():
        label.set(horizontalalignment="right", rotation_mode="anchor")
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def reliability(target: ArrayLike, probs: ArrayLike, *, n_bins: int = 10, ax: Axes | None = None) -> Axes:
    """Plot how often the predicted class is right against the probability that it was given.

    Parameters
    ----------
    target : int array-like of shape (n,)
        The column of `probs` that belongs to the true class of each row.
    probs : array-like of shape (n, n_classes)
        The probabilities that a classifier gives.
    n_bins : int, default 10
        Into how many ranges of equal width the probabilities 0 … 1 are divided.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `probs` is no table of probabilities, if `target` does not fit it, or if there are no rows or no bins.

    Notes
    -----
    On the diagonal a classifier is as often right as it says. The bars are 95 % intervals by Wilson; the numbers at
    the bottom count the rows of each range. The expected calibration error in the legend is the mean distance to the
    diagonal over the rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import reliability
    >>> ax = reliability([0, 1], [[0.9, 0.1], [0.4, 0.6]], ax=Figure().subplots())
    >>> ax.get_ylabel()
    'Share that is right'
    """
    table, labels = np.asarray(probs, float), np.asarray(target)
    if table.ndim != 2 or not len(table) or not ((table >= 0) & (table <= 1)).all():
        raise ValueError(f"probs must be a table of probabilities, a row each, got shape {table.shape}")
    n_rows, n_classes = table.shape
    if labels.shape != (n_rows,) or labels.dtype.kind not in "iu" or not np.isin(labels, range(n_classes)).all():
        raise ValueError(f"target must be {n_rows} whole numbers from 0 to {n_classes - 1}")
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    try:
        from sklearn.calibration import CalibrationDisplay  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ImportError(f'reliability needs scikit-learn: pip install "steelfast[sklearn]" ({error})') from error

    ax = _axes(ax)
    bins = reliability_bins(table.argmax(axis=1) == labels, table.max(axis=1), n_bins)
    x, y = (np.array([getattr(each, name) for each in bins]) for name in ("confidence", "accuracy"))
    error_shown = f"expected calibration error {calibration_error(bins):.3f}"
    # no line from range to range: those of few rows would draw the eye
    points = {"color": _BLUE, "linestyle": "none", "markersize": 5}
    display = CalibrationDisplay(y, x, table.max(axis=1)).plot(ax=ax, name=error_shown, **points)
    for line in ax.lines:
        if line is not display.line_:
            line.set(label="as often right as it says", color="0.4")
    low, high = np.array([each.interval for each in bins]).T
    ax.errorbar(x, y, np.maximum([y - low, high - y], 0), fmt="none", ecolor=_BLUE, alpha=0.5, capsize=2)
    for each in bins:
        ax.text(each.confidence, -0.05, str(each.n_rows), ha="center", va="center", fontsize=8, color="0.35")
    ax.text(0.01, -0.05, "rows", va="center", fontsize=8, color="0.35")
    ax.axhline(0, color="0.35", linewidth=0.8)
    ax.set(
        xlabel="Probability of the predicted class",
        ylabel="Share that is right",
        xlim=(0, 1.05),
        ylim=(-0.1, 1.05),
        aspect="equal",
    )
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.09), fontsize=8)  # above the counts
    return ax


def decision_comparison(
    X: ArrayLike,
    y: ArrayLike,
    *,
    features: tuple[int, int] | None = None,
    feature_names: Sequence[str] | None = None,
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Plot where a softmax head and a sigmoid head draw the borders between the classes.

    Both are trained here, with cross-entropy and with the mean squared error, on two numbers of each row.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
    y : array-like of shape (n,)
        Classes: eight at most.
    features : pair of int, optional
        The columns of X to use; by default the first two principal components of the standardised columns.
    feature_names : sequence of str, optional
        Names of the columns of X, for the axes.
    random_state : int, default 0
        Of the trainings.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If X is not a table of finite numbers with two columns or more, if `features` names none of them, or if y
        does not fit or has fewer than two classes or more than eight.

    Notes
    -----
    The coloured areas are those of the softmax, the black dashes the borders of the sigmoids. The view spans the
    middle 98 % of each axis, so that a few rows far outside do not hide the others.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import decision_comparison
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["good", "good", "bad", "bad"]
    >>> decision_comparison(X, y, features=(0, 1), ax=Figure().subplots()).get_xlabel()
    'Feature 0'
    """
    try:
        from sklearn.decomposition import PCA  # type: ignore[import-untyped]
        from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
        from sklearn.utils import check_X_y  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ImportError(
            f'decision_comparison needs scikit-learn: pip install "steelfast[sklearn]" ({error})'
        ) from error
    from matplotlib.colors import ListedColormap, to_rgb
    from matplotlib.lines import Line2D

    from steelfast.estimator import SteelClassifier

    classes, labels = np.unique(y, return_inverse=True)
    rows, labels = check_X_y(X, labels, ensure_min_features=2)
    if not 2 <= len(classes) <= len(_COLOURS):
        raise ValueError(f"y must have from 2 to {len(_COLOURS)} classes, got {len(classes)}")
    if features is None:
        plane = PCA(2, random_state=random_state).fit_transform(StandardScaler().fit_transform(rows))
        axes_names = ["First principal component", "Second principal component"]
    else:
        if len(features) != 2 or not np.isin(features, range(rows.shape[1])).all():
            raise ValueError(f"features must be two columns from 0 to {rows.shape[1] - 1}, got {features!r}")
        plane = rows[:, list(features)]
        axes_names = [f"Feature {k}" if feature_names is None else feature_names[k] for k in features]
    ax = _axes(ax)

    low, high = np.percentile(plane, [1, 99], axis=0)
    margin = 0.05 * np.where(high > low, high - low, 1)
    view = np.array([low - margin, high + margin])
    softmax, sigmoids = (
        SteelClassifier(loss, random_state=random_state).fit(plane, labels)
        for loss in ("softmax_cross_entropy", "sigmoid_mse")
    )
    across, up = np.linspace(view[0], view[1], 300).T
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    areas, framed = (each.predict(grid.reshape(-1, 2)).reshape(grid.shape[:2]) for each in (softmax, sigmoids))
    pale = ListedColormap([1 - 0.4 * (1 - np.array(to_rgb(colour))) for colour in _COLOURS[: len(classes)]])
    ax.pcolormesh(across, up, areas, cmap=pale, vmin=-0.5, vmax=len(classes) - 0.5, rasterized=True)
    for k in np.unique(framed)[1:]:  # the border of the first class is that of its neighbours too
        ax.contour(across, up, framed >= k, levels=[0.5], colors="black", linewidths=1.2, linestyles="--")
    for k, (name, colour, marker) in enumerate(zip(classes, _COLOURS, _MARKERS, strict=False)):
        points = plane[labels == k]
        ax.scatter(
            points[:, 0], points[:, 1], 14, color=colour, marker=marker, edgecolor="0.2", linewidth=0.3, label=str(name)
        )
    ax.set(xlim=view[:, 0], ylim=view[:, 1], xlabel=axes_names[0], ylabel=axes_names[1])
    handles, names = ax.get_legend_handles_labels()
    border = Line2D([], [], color="black", linestyle="--", linewidth=1.2)
    ax.legend(
        [*handles, border],
        [*names, "borders of\nsigmoid + MSE"],
        title="Areas:\nsoftmax +\ncross-entropy",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    return ax


def jacobian(logits: ArrayLike, *, labels: Sequence[Any] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the Jacobian of the softmax, diag(p) − p pᵀ, as a heat map.

    Parameters
    ----------
    logits : array-like of shape (n_classes,)
        Where to take it.
    labels : sequence, optional
        Names of the classes; by default their numbers.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `logits` is not one row, or if there are not as many labels as logits.

    Notes
    -----
    Red cells grow with the logit, blue ones shrink; every row and every column sums to 0.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import jacobian
    >>> ax = jacobian([0.0, 0.0], ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['0.25', '-0.25', '-0.25', '0.25']
    """
    row = np.asarray(logits, float)
    if row.ndim != 1 or not row.size:
        raise ValueError(f"logits must be one row, got shape {row.shape}")
    names = range(len(row)) if labels is None else labels
    if len(names) != len(row):
        raise ValueError(f"labels must be {len(row)}, as many as logits, got {len(names)}")
    matrix = softmax_jacobian(softmax(row))
    ax = _axes(ax)
    _signed_map(ax, matrix, names, names, write=len(row) <= 12)
    ax.set(xlabel="Logit that is changed", ylabel="Probability that changes", aspect="equal")
    return ax


def coefficients(
    coef: ArrayLike,
    *,
    feature_names: Sequence[str],
    class_names: Sequence[Any],
    ax: Axes | None = None,
) -> Axes:
    """Plot what each feature does to the score of each class, as a heat map.

    Parameters
    ----------
    coef : array-like of shape (n_classes, n_features)
        Weights of standardised features, such as ``SteelClassifier.coef_``.
    feature_names, class_names : sequence
        As many as `coef` has columns and rows.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the names do not fit `coef`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import coefficients
    >>> names = {"feature_names": ["length"], "class_names": ["Bumps", "Stains"]}
    >>> ax = coefficients([[1.0], [-1.0]], **names, ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['1.0', '-1.0']
    """
    table = np.asarray(coef, float)
    if table.shape != (len(class_names), len(feature_names)):
        wanted = (len(class_names), len(feature_names))
        raise ValueError(f"coef must have the shape {wanted} of its names, got {table.shape}")
    ax = _axes(ax)
    _signed_map(ax, table.T, feature_names, class_names, write=True, digits=1)
    ax.set(aspect="auto")
    ax.set_xlabel("Change of the score for one standard deviation of the feature")
    return ax


def importance(
    drops: ArrayLike, deviations: ArrayLike, *, feature_names: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Plot by how much the accuracy drops when a feature is shuffled, the largest drop on top.

    Parameters
    ----------
    drops, deviations : array-like of shape (n_features,)
        Mean and standard deviation of the drop over the shufflings, as shares of the rows; such as
        "importances_mean" and "importances_std" of ``sklearn.inspection.permutation_importance``.
    feature_names : sequence of str
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the three differ in length.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import importance
    >>> ax = importance([0.1, 0.2], [0.0, 0.1], feature_names=["width", "length"], ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['length', 'width']
    """
    means, errors = np.asarray(drops, float), np.asarray(deviations, float)
    if not means.shape == errors.shape == (len(feature_names),):
        raise ValueError(
            f"drops and deviations must be {len(feature_names)}, as many as names, got shapes "
            f"{means.shape} and {errors.shape}"
        )
    ax = _axes(ax)
    order = np.argsort(-means, kind="stable")
    ax.barh(range(len(order)), 100 * means[order], xerr=100 * errors[order], color=_BLUE, ecolor="0.35", capsize=2)
    ax.set_yticks(range(len(order)), [feature_names[k] for k in order], fontsize=8)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.axvline(0, color="black", linewidth=1)
    ax.set_xlabel("Drop of accuracy when shuffled, percentage points")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def comparison(
    results: Sequence[Mapping[str, Any]],
    *,
    quantity: Literal["accuracy", "log_loss"] = "accuracy",
    ax: Axes | None = None,
) -> Axes:
    """Plot a figure of every fold of cross-validations side by side, and their means.

    Parameters
    ----------
    results : sequence of mappings
        One record a cross-validation, as in the JSON of ``steelfast compare``: "loss", "optimizer", and the
        "accuracy" and "log_loss" of each fold.
    quantity : {"accuracy", "log_loss"}, default "accuracy"
        What to plot.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are no results, or if the quantity is unknown.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import comparison
    >>> result = {"loss": "sigmoid_mse", "optimizer": "sgd", "accuracy": [0.6, 0.7]}
    >>> ax = comparison([result], ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['sigmoid_mse, sgd']
    """
    labels = {"accuracy": "Accuracy, share of the plates", "log_loss": "Log-loss, nats a plate"}
    if quantity not in labels:
        raise ValueError(f'quantity must be "accuracy" or "log_loss", got {quantity!r}')
    if not results:
        raise ValueError("results must have at least one record, got none")
    ax = _axes(ax)
    losses = list(dict.fromkeys(each["loss"] for each in results))
    for y, each in enumerate(results):
        folds = np.asarray(each[quantity], float)
        k = losses.index(each["loss"]) % len(_COLOURS)
        ax.plot(folds, np.full(len(folds), y), "|", color=_COLOURS[k], alpha=0.6, markersize=9)
        ax.plot(folds.mean(), y, _MARKERS[k], color=_COLOURS[k], markersize=7)
    ax.set_yticks(range(len(results)), [f"{each['loss']}, {each['optimizer']}" for each in results], fontsize=8)
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlabel(f"{labels[quantity]}: folds and their mean")
    ax.tick_params(axis="y", length=0)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def speed_ratios(measurements: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Axes:
    """Plot how many times as long the fastest peer takes as steelfast, by operation, shape and dtype.

    Parameters
    ----------
    measurements : sequence of mappings
        One record a case, as in the report of `steelfast.bench.as_report`: "operation", "label", "dtype",
        "fastest_peer" and "ratio".
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if there is none.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are no measurements.

    Notes
    -----
    On the right stands who the fastest peer is, of float32 and of float64 where they differ.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from steelfast.plotting import speed_ratios
    >>> case = {"operation": "softmax", "label": "10 × 7", "dtype": "float32"}
    >>> ax = speed_ratios([{**case, "fastest_peer": "NumPy", "ratio": 20.0}], ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['softmax', '10 × 7']
    """
    if not measurements:
        raise ValueError("measurements must have at least one record, got none")
    ax = _axes(ax)
    from matplotlib.ticker import LogLocator, NullFormatter

    operations: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for each in measurements:
        by_label = operations.setdefault(each["operation"], {"": {}})  # the first row is the heading
        by_label.setdefault(each["label"], {})[each["dtype"]] = each
    ordered = [
        ((operation, label), by_dtype)
        for operation, by_label in operations.items()
        for label, by_dtype in by_label.items()
    ]
    offsets = _OFFSETS if len({each["dtype"] for each in measurements}) > 1 else dict.fromkeys(_OFFSETS, 0.0)
    for y, (_, by_dtype) in enumerate(ordered):
        points = [(each["ratio"], y + offsets[dtype]) for dtype, each in by_dtype.items()]
        ax.plot(*zip(*points, strict=True), color="0.8", zorder=1)
        peers = dict.fromkeys(each["fastest_peer"] for each in by_dtype.values())
        ax.text(1.01, y, ", ".join(peers), transform=ax.get_yaxis_transform(), va="center", color="0.35", fontsize=8)
    for dtype, colour, marker in (("float32", _BLUE, "o"), ("float64", _VERMILION, "D")):
        points = [(each[dtype]["ratio"], y + offsets[dtype]) for y, (_, each) in enumerate(ordered) if dtype in each]
        if points:
            ratios, heights = zip(*points, strict=True)
            ax.scatter(ratios, heights, s=28, color=colour, marker=marker, label=dtype, zorder=2)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks(range(len(ordered)), [label or operation for (operation, label), _ in ordered], fontsize=8)
    for text, ((_, label), _) in zip(ax.get_yticklabels(), ordered, strict=True):
        text.set_fontweight("normal" if label else "bold")
    ax.set_ylim(len(ordered) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("Time of the fastest peer, named on the right, by that of steelfast:\nabove 1 steelfast is faster")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return ax


def _signed_map(
    ax: Axes, table: Any, row_names: Sequence[Any], column_names: Sequence[Any], *, write: bool, digits: int = 2
) -> None:
    """A heat map of numbers of both signs; 0 is white."""
    largest = np.abs(table).max() or 1.0
    ax.imshow(table, cmap="RdBu_r", vmin=-largest, vmax=largest)
    if write:
        for (i, j), value in np.ndenumerate(table):
            dark = abs(value) > 0.68 * largest
            text = f"{value:.{digits}f}".replace(f"-{0:.{digits}f}", f"{0:.{digits}f}")
            ax.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.set_yticks(range(len(row_names)), [str(name) for name in row_names], fontsize=8)
    ax.set_xticks(range(len(column_names)), [str(name) for name in column_names], fontsize=8)
    if max(len(str(name)) for name in column_names) > 3:
        for label in ax.get_xticklabels():
            label.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    # pyplot picks the backend and keeps the figure: notebooks show it
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ImportError(f'steelfast.plotting needs matplotlib: pip install "steelfast[plot]" ({error})') from error
    return plt.figure(layout="constrained").add_subplot()
