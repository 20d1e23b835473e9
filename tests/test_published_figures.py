"""Figures printed in books and articles, recomputed (see the sources in the documentation)."""

import numpy as np
import pytest

import steelfast

PREDICTIONS = [0.1, 0.01, 0.05, 0.2, 0.14, 0.07, 0.6, 0.3, 0.1, 0.1]
ONE_HOT_6 = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_mean_squared_error():
    assert steelfast.mse(PREDICTIONS, ONE_HOT_6) == pytest.approx(0.03471, abs=1e-12)
    wrong = np.array(PREDICTIONS)
    wrong[[2, 6]] = 0.6, 0.05
    assert steelfast.mse(wrong, ONE_HOT_6) == pytest.approx(0.14471, abs=1e-12)


@pytest.mark.parametrize(("q", "figure"), [(0.6, 0.510825457099338), (0.05, 2.9957302735559908)])
def test_cross_entropy_with_an_epsilon(q, figure):
    others = np.full(9, (1 - q) / 9)
    predictions = np.insert(others, 6, q)
    assert steelfast.cross_entropy(ONE_HOT_6, predictions, eps=1e-7) == pytest.approx(figure, rel=1e-15)


def test_softmax_with_two_classes_is_logistic_regression():
    logits = np.random.default_rng(60).normal(0, 5, (100, 2))
    np.testing.assert_allclose(
        steelfast.softmax(logits)[:, 1], steelfast.sigmoid(logits[:, 1] - logits[:, 0]), rtol=1e-13
    )


def test_gradient_of_the_loss_is_prediction_minus_target():
    rng = np.random.default_rng(61)
    logits, targets = rng.normal(0, 2, (50, 7)), rng.dirichlet(np.ones(7), 50)
    np.testing.assert_allclose(
        steelfast.softmax_cross_entropy_grad(logits, targets, reduction="none"),
        steelfast.softmax(logits) - targets,
        rtol=1e-12,
        atol=1e-15,
    )


@pytest.mark.parametrize("base", [None, 2])
def test_cross_entropy_less_entropy_is_the_divergence(base):
    rng = np.random.default_rng(62)
    p, q = rng.dirichlet(np.ones(3), 20), rng.dirichlet(np.ones(3), 20)
    np.testing.assert_allclose(
        steelfast.cross_entropy(p, q, base=base) - steelfast.entropy(p, base=base),
        steelfast.kl_divergence(p, q, base=base),
        rtol=1e-12,
        atol=1e-14,
    )


def test_entropy_in_bits():
    assert steelfast.entropy([0.5, 0.5], base=2) == 1
    assert steelfast.entropy([0.25] * 4, base=2) == 2


def test_cross_entropy_of_a_perfect_and_of_an_impossible_prediction():
    assert steelfast.cross_entropy([0, 0, 1], [0, 0, 1]) == 0
    assert steelfast.cross_entropy([1, 0, 0], [0, 0, 1]) == np.inf
    assert steelfast.kl_divergence([1, 0, 0], [0, 0, 1]) == np.inf
