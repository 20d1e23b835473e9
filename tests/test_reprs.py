"""What an object shows of itself, in a terminal and in a notebook."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from steelfast import SteelClassifier, load_steel_plates, optimizers, schedules
from steelfast.models import LinearModel
from steelfast.network import Network

TWIN = load_steel_plates(source="twin")


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (TWIN, "<SteelPlates: 1941 plates, 27 features, synthetic twin>"),
        (LinearModel(np.zeros((27, 7), "f4"), np.zeros(7, "f4")), "<LinearModel: 27 features, 7 classes, float32>"),
        (
            Network(27, (64, 32), 7, activation="tanh", rng=np.random.default_rng(0)),
            "<Network: 27 features, 64, 32 hidden units (tanh), 7 classes, float64>",
        ),
        (
            Network(3, (), 2, rng=np.random.default_rng(0)),
            "<Network: 3 features, no hidden units, 2 classes, float64>",
        ),
        (SteelClassifier(hidden_layer_sizes=(64,)), "SteelClassifier(hidden_layer_sizes=(64,))"),
    ],
)
def test_repr(shown, text):
    assert repr(shown) == text


@pytest.mark.parametrize("name", ["SGD", "Momentum", "RMSProp", "Adam"])
def test_an_optimizer_is_shown_as_it_is_made(name):
    made = getattr(optimizers, name)(schedules.Step(0.3, step_size=10), weight_decay=0.01)
    again = eval(repr(made), vars(optimizers) | vars(schedules))
    assert repr(again) == repr(made)
    assert again.learning_rate(25) == made.learning_rate(25)


def test_plates_in_a_notebook():
    page = ElementTree.fromstring(f"<div>{replace(TWIN, source='file', path=Path('<b>&.csv'))._repr_html_()}</div>")
    assert page.findtext("p") == "SteelPlates: 1941 plates, 27 features, file: <b>&.csv"
    names, counts = ([cell.text for cell in row] for row in page.iter("tr"))
    assert dict(zip(names, map(int, counts), strict=True)) == {
        name: (TWIN.target == k).sum() for k, name in enumerate(TWIN.target_names)
    }


def test_the_classifier_in_a_notebook():
    html = SteelClassifier(loss="sigmoid_mse", hidden_layer_sizes=(64,)).fit(TWIN.data, TWIN.target)._repr_html_()
    for shown in ("SteelClassifier", "hidden_layer_sizes", "sigmoid_mse", "64"):
        assert shown in html
