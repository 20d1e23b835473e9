"""The plots: what they show is what they were given."""

import itertools
import os
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from steelfast import plotting

HISTORY = [
    {"epoch": 1, "loss": 1.5, "accuracy": 0.4, "validation_loss": 1.7, "validation_accuracy": 0.3},
    {"epoch": 2, "loss": 1.0, "accuracy": 0.6, "validation_loss": 1.2, "validation_accuracy": 0.5},
    {"epoch": 3, "loss": 0.8, "accuracy": 0.7, "validation_loss": 1.1, "validation_accuracy": 0.6},
]


@pytest.fixture
def ax():
    return Figure().subplots()


def curves(ax):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


@pytest.mark.parametrize(
    ("quantity", "training", "held_out"),
    [("loss", [1.5, 1.0, 0.8], [1.7, 1.2, 1.1]), ("accuracy", [0.4, 0.6, 0.7], [0.3, 0.5, 0.6])],
)
def test_learning_curve_shows_the_history(ax, quantity, training, held_out):
    assert plotting.learning_curve(HISTORY, quantity=quantity, ax=ax) is ax
    assert curves(ax) == {"training": ([1, 2, 3], training), "held out": ([1, 2, 3], held_out)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", quantity.capitalize())
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 2


def test_learning_curve_without_plates_held_out(ax):
    history = [{key: record[key] for key in ("epoch", "loss", "accuracy")} for record in HISTORY]
    plotting.learning_curve(history, ax=ax)
    assert curves(ax).keys() == {"training"}


def test_one_epoch_can_be_seen(ax):
    plotting.learning_curve(HISTORY[:1], ax=ax)
    assert all(line.get_marker() == "o" for line in ax.lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"history": []}, "at least one epoch"),
        ({"history": HISTORY, "quantity": "lost"}, 'must be "loss" or "accuracy", got \'lost\''),
    ],
)
def test_learning_curve_refuses(ax, arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.learning_curve(**arguments, ax=ax)


TARGET = ["Bumps", "Bumps", "Bumps", "Stains", "Pastry"]
PREDICTED = ["Bumps", "Stains", "Bumps", "Stains", "Bumps"]
LABELS = ["Stains", "Pastry", "Bumps"]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_confusion_matrix_counts_in_the_order_of_the_labels(ax):
    assert plotting.confusion_matrix(TARGET, PREDICTED, labels=LABELS, ax=ax) is ax
    assert texts(ax) == ["1", "·", "·", "·", "·", "1", "1", "·", "2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == LABELS
    assert [label.get_text() for label in ax.get_xticklabels()] == LABELS
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("True class", "Predicted class")


def test_confusion_matrix_is_coloured_by_the_share_of_the_row(ax):
    plotting.confusion_matrix(TARGET, PREDICTED, labels=LABELS, ax=ax)
    np.testing.assert_allclose(ax.images[0].get_array(), [[1, 0, 0], [0, 0, 1], [1 / 3, 0, 2 / 3]])
    assert ax.images[0].get_clim() == (0, 1)


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("n_right", range(11))
def test_counts_can_be_read_on_their_colour(ax, n_right):
    plotting.confusion_matrix(["a"] * 10 + ["b"], ["a"] * n_right + ["b"] * (11 - n_right), ax=ax)
    for text, share in zip(ax.texts, np.ravel(ax.images[0].get_array()), strict=True):
        dark, light = sorted(map(luminance, (text.get_color(), mpl.colormaps["Blues"](share))))
        assert (light + 0.05) / (dark + 0.05) > 3


def test_labels_are_those_that_occur_when_none_are_named(ax):
    plotting.confusion_matrix([3, 1], [1, 2], ax=ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]


def test_a_class_without_plates_is_no_division_by_zero(ax):
    plotting.confusion_matrix(["Bumps"], ["Bumps"], labels=["Bumps", "Stains"], ax=ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 0], [0, 0]])


def test_reliability_shows_shares_and_intervals(ax):
    confidence = np.repeat([0.55, 0.95], [20, 10])
    probs = np.stack([confidence, 1 - confidence], axis=1)
    target = np.repeat([0, 1, 0], [12, 8, 10])  # 12 of 20 right, then all 10
    assert plotting.reliability(target, probs, ax=ax) is ax
    shown = curves(ax)["expected calibration error 0.050"]  # (20 · 0.05 + 10 · 0.05) / 30
    np.testing.assert_allclose(shown, [[0.55, 0.95], [0.6, 1.0]])
    assert [text for text in texts(ax) if text != "rows"] == ["20", "10"]
    bars = ax.containers[0].lines[2][0].get_segments()
    low, high = bars[0][:, 1]
    np.testing.assert_allclose([low, high], [0.386582, 0.781193], atol=1e-6)  # Wilson's, of 12 in 20
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Probability of the predicted class", "Share that is right")


GOOD_PROBS = [[0.5, 0.5], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.5, 0.5]), r"probs must be a table of probabilities, a row each, got shape \(2,\)"),
        (([0, 1], [[0.5, 0.5], [1.2, -0.2]]), "probs must be a table of probabilities"),
        (([0, 1], [[0.5, 0.5], [np.nan, 0.2]]), "probs must be a table of probabilities"),
        (([], np.empty((0, 2))), "probs must be a table of probabilities"),
        (([0], GOOD_PROBS), "target must be 2 whole numbers from 0 to 1"),
        (([0, 2], GOOD_PROBS), "target must be 2 whole numbers from 0 to 1"),
        (([0.0, 1.0], GOOD_PROBS), "target must be 2 whole numbers from 0 to 1"),
    ],
)
def test_reliability_refuses(ax, arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.reliability(*arguments, ax=ax)


def test_reliability_needs_a_range(ax):
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        plotting.reliability([0, 1], GOOD_PROBS, n_bins=0, ax=ax)


def clouds(n_classes):
    """Three columns; the first two tell the classes apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(range(n_classes), 30)
    angle = 2 * np.pi * labels / n_classes
    X = np.stack([5 * np.cos(angle), 5 * np.sin(angle), 0 * angle], axis=1) + rng.normal(size=(len(labels), 3))
    return X, np.array([f"class {k}" for k in labels])


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_decision_comparison_draws_areas_borders_and_rows(ax, n_classes):
    from matplotlib.collections import PathCollection, QuadMesh
    from matplotlib.contour import ContourSet

    X, y = clouds(n_classes)
    names = ["length, mm", "width, mm", "colour"]
    assert plotting.decision_comparison(X, y, features=(0, 1), feature_names=names, ax=ax) is ax
    kinds = [type(each) for each in ax.collections]
    assert kinds.count(QuadMesh) == 1
    assert kinds.count(PathCollection) == n_classes
    assert any(issubclass(kind, ContourSet) for kind in kinds)
    areas = next(each for each in ax.collections if isinstance(each, QuadMesh)).get_array()
    assert set(np.unique(areas)) == set(range(n_classes))
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [*np.unique(y), "borders of\nsigmoid + MSE"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length, mm", "width, mm")


def test_decision_comparison_takes_principal_components_by_default(ax):
    plotting.decision_comparison(*clouds(3), ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("First principal component", "Second principal component")


@pytest.mark.parametrize(
    ("X", "y", "settings", "message"),
    [
        ([[0, 1]] * 4, ["a"] * 4, {}, "y must have from 2 to 8 classes, got 1"),
        ([[0, 1]] * 9, range(9), {}, "y must have from 2 to 8 classes, got 9"),
        ([[0, 1]] * 2, ["a", "b"], {"features": (0, 2)}, r"features must be two columns from 0 to 1, got \(0, 2\)"),
        ([[0, 1]] * 2, ["a", "b"], {"features": (0,)}, r"features must be two columns from 0 to 1, got \(0,\)"),
        ([[0], [1]], ["a", "b"], {}, "1 feature"),
        ([[0, np.nan]] * 2, ["a", "b"], {}, "NaN"),
        ([[0, 1]] * 3, ["a", "b"], {}, "inconsistent numbers of samples"),
    ],
)
def test_decision_comparison_refuses(ax, X, y, settings, message):
    with pytest.raises(ValueError, match=message):
        plotting.decision_comparison(X, y, **settings, ax=ax)


def test_jacobian_is_that_of_the_softmax_at_the_logits(ax):
    logits = np.array([2.0, 0.5, -1.0])
    assert plotting.jacobian(logits, labels=LABELS, ax=ax) is ax
    probs = np.exp(logits) / np.exp(logits).sum()
    expected = np.diag(probs) - np.outer(probs, probs)
    np.testing.assert_allclose(ax.images[0].get_array(), expected, rtol=1e-12)
    assert [float(text) for text in texts(ax)] == expected.round(2).ravel().tolist()
    assert ax.images[0].get_clim() == pytest.approx((-expected.max(), expected.max()))  # 0 is white
    assert [label.get_text() for label in ax.get_yticklabels()] == LABELS


def test_many_numbers_are_not_written(ax):
    plotting.jacobian(np.zeros(13), ax=ax)
    assert not texts(ax)


@pytest.mark.parametrize(
    ("logits", "settings", "message"),
    [
        ([[0.0, 1.0]], {}, r"logits must be one row, got shape \(1, 2\)"),
        ([], {}, r"logits must be one row, got shape \(0,\)"),
        ([0.0, 1.0], {"labels": ["a"]}, "labels must be 2, as many as logits, got 1"),
    ],
)
def test_jacobian_refuses(ax, logits, settings, message):
    with pytest.raises(ValueError, match=message):
        plotting.jacobian(logits, **settings, ax=ax)


def test_coefficients_has_a_row_for_each_feature(ax):
    names = {"feature_names": ["length", "width", "colour"], "class_names": ["Bumps", "Stains"]}
    coef = np.array([[1.0, -2.0, 0.04], [-1.0, 2.0, -0.04]])
    assert plotting.coefficients(coef, **names, ax=ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), coef.T)
    assert texts(ax) == ["1.0", "-1.0", "-2.0", "2.0", "0.0", "0.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == names["feature_names"]
    assert [label.get_text() for label in ax.get_xticklabels()] == names["class_names"]
    with pytest.raises(ValueError, match=r"coef must have the shape \(2, 3\) of its names, got \(3, 2\)"):
        plotting.coefficients(coef.T, **names, ax=ax)


@pytest.mark.parametrize("value", np.linspace(-1, 1, 21))
def test_coefficients_can_be_read_on_their_colour(ax, value):
    plotting.coefficients([[value, 1.0]], feature_names=["a", "b"], class_names=["c"], ax=ax)
    text, image = ax.texts[0], ax.images[0]
    dark, light = sorted(map(luminance, (text.get_color(), image.cmap(image.norm(value)))))
    assert (light + 0.05) / (dark + 0.05) > 4.3


def test_importance_has_the_largest_on_top_in_percentage_points(ax):
    names = ["length", "width", "colour"]
    assert plotting.importance([0.01, 0.2, -0.01], [0.001, 0.02, 0.003], feature_names=names, ax=ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["width", "length", "colour"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [20, 1, -1])
    assert ax.get_ylim() == (2.5, -0.5)
    assert "percentage points" in ax.get_xlabel()
    with pytest.raises(ValueError, match="drops and deviations must be 3, as many as names"):
        plotting.importance([0.1], [0.1], feature_names=names, ax=ax)


RESULTS = [
    {"loss": "softmax_cross_entropy", "optimizer": "sgd", "accuracy": [0.6, 0.8], "log_loss": [1.0, 2.0]},
    {"loss": "sigmoid_mse", "optimizer": "sgd", "accuracy": [0.5, 0.6], "log_loss": [1.5, 2.5]},
    {"loss": "sigmoid_mse", "optimizer": "adam", "accuracy": [0.4, 0.5], "log_loss": [1.7, 2.7]},
]


@pytest.mark.parametrize("quantity", ["accuracy", "log_loss"])
def test_comparison_shows_folds_and_means(ax, quantity):
    assert plotting.comparison(RESULTS, quantity=quantity, ax=ax) is ax
    for y, (each, folds, mean) in enumerate(zip(RESULTS, ax.lines[::2], ax.lines[1::2], strict=True)):
        assert list(folds.get_xdata()) == each[quantity]
        assert (mean.get_xdata()[0], mean.get_ydata()[0]) == (np.mean(each[quantity]), y)
    looks = [(line.get_color(), line.get_marker()) for line in ax.lines[1::2]]
    assert looks[0] != looks[1] == looks[2]  # one for each loss
    assert ax.get_yticklabels()[2].get_text() == "sigmoid_mse, adam"


@pytest.mark.parametrize(
    ("results", "quantity", "message"),
    [
        ([], "accuracy", "results must have at least one record, got none"),
        (RESULTS, "loss", 'quantity must be "accuracy" or "log_loss", got \'loss\''),
    ],
)
def test_comparison_refuses(ax, results, quantity, message):
    with pytest.raises(ValueError, match=message):
        plotting.comparison(results, quantity=quantity, ax=ax)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_ratios_of_one_dtype_are_beside_their_labels(ax, dtype):
    case = {"operation": "softmax", "dtype": dtype, "fastest_peer": "NumPy", "ratio": 4.0}
    plotting.speed_ratios([{**case, "label": "10 × 7"}, {**case, "label": "64 × 7"}], ax=ax)
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[4, 1], [4, 2]]
    assert ax.get_yticks().tolist() == [0, 1, 2]


def contrast_in_colour_blindness(one, other):
    """The least distance in CIELAB of two colours as seen without one kind of cone, after Machado et al."""
    matrices = [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]

    def lab(linear):
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089])
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    def linear(colour):
        channels = np.array(mpl.colors.to_rgb(colour))
        return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)

    return min(
        np.linalg.norm(
            lab(np.clip(np.array(matrix) @ linear(one), 0, 1)) - lab(np.clip(np.array(matrix) @ linear(other), 0, 1))
        )
        for matrix in matrices
    )


def test_colours_stay_apart_in_every_colour_vision():
    distances = [contrast_in_colour_blindness(*pair) for pair in itertools.combinations(plotting._COLOURS, 2)]
    assert min(distances) > 15
    assert len(set(plotting._MARKERS)) == len(plotting._COLOURS)


def test_a_new_figure_is_pyplots():
    import matplotlib.pyplot as plt

    mpl.use("agg")
    ax = plotting.learning_curve(HISTORY)
    assert plt.gcf() is ax.figure
    plt.close(ax.figure)


def test_no_screen_is_needed_and_matplotlib_loads_late(tmp_path):
    program = f"""
import sys
from steelfast import plotting
assert "matplotlib" not in sys.modules
from matplotlib.figure import Figure
figure = Figure()
plotting.confusion_matrix([0, 1], [0, 0], ax=figure.subplots())
figure.savefig({str(tmp_path / "plot.png")!r})
assert not [name for name in sys.modules if "backend_tk" in name or "backend_qt" in name]
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"MPLBACKEND": "tkagg", "DISPLAY": ""})
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("missing", "plot", "message"),
    [
        ("matplotlib", lambda: plotting.learning_curve(HISTORY), r'matplotlib: pip install "steelfast\[plot\]"'),
        ("matplotlib", lambda: plotting.confusion_matrix([0], [0]), r'matplotlib: pip install "steelfast\[plot\]"'),
        ("matplotlib", lambda: plotting.speed_ratios([{}]), r'matplotlib: pip install "steelfast\[plot\]"'),
        ("sklearn", lambda: plotting.confusion_matrix([0], [0]), r'scikit-learn: pip install "steelfast\[sklearn\]"'),
        ("sklearn", lambda: plotting.reliability([0], [[1]]), r'scikit-learn: pip install "steelfast\[sklearn\]"'),
        (
            "sklearn",
            lambda: plotting.decision_comparison([[0, 1]] * 2, [0, 1]),
            r'scikit-learn: pip install "steelfast\[sklearn\]"',
        ),
    ],
)
def test_what_is_missing_is_named(monkeypatch, missing, plot, message):
    for name in [each for each in sys.modules if each.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message):
        plot()
