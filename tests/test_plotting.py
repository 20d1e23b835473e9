"""The plots: what they show is what they were given."""

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
    ],
)
def test_what_is_missing_is_named(monkeypatch, missing, plot, message):
    for name in [each for each in sys.modules if each.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message):
        plot()
