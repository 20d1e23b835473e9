"""Plots of a training, of its result, and of a benchmark: clear in print and to colour-blind readers.

Every function draws into the axes it is given, or into a new figure, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_matrix", "learning_curve", "speed_ratios"]

# of the palette of Okabe and Ito, which stays apart for every kind of colour vision and in grey
_BLUE, _VERMILION = "#0072B2", "#D55E00"
_NAVY = "#08306b"  # the dark end of matplotlib's Blues
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
        One record an epoch, as in `SteelClassifier.history_`: "epoch", "loss", "accuracy", and
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
    for y, (_, by_dtype) in enumerate(ordered):
        points = [(each["ratio"], y + _OFFSETS[dtype]) for dtype, each in by_dtype.items()]
        ax.plot(*zip(*points, strict=True), color="0.8", zorder=1)
        peers = dict.fromkeys(each["fastest_peer"] for each in by_dtype.values())
        ax.text(1.01, y, ", ".join(peers), transform=ax.get_yaxis_transform(), va="center", color="0.35", fontsize=8)
    for dtype, colour, marker in (("float32", _BLUE, "o"), ("float64", _VERMILION, "D")):
        points = [(each[dtype]["ratio"], y + _OFFSETS[dtype]) for y, (_, each) in enumerate(ordered) if dtype in each]
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
    ax.set_xlabel("Time of the fastest peer, named on the right, by that of steelfast: above 1 steelfast is faster")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    # pyplot picks the backend and keeps the figure: notebooks show it
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ImportError(f'steelfast.plotting needs matplotlib: pip install "steelfast[plot]" ({error})') from error
    return plt.figure(layout="constrained").add_subplot()
