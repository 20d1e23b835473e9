"""SteelClassifier: scikit-learn's own checks, what it learns, and models as files."""

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from fractions import Fraction

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

import steelfast
from steelfast import SteelClassifier
from steelfast.datasets import load_steel_plates, read_steel_plates
from steelfast.models import scaling_of
from steelfast.schedules import Cosine, OneCycle, Step

LOSSES = ["softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"]
OPTIMIZERS = ["sgd", "momentum", "rmsprop", "adam"]

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@pytest.fixture(scope="module")
def twin():
    plates = load_steel_plates(source="twin")
    return plates.data, np.array(plates.target_names)[plates.target]


@pytest.fixture(scope="module")
def real():
    path = os.environ.get("STEELFAST_DATA")
    if not path:
        pytest.skip("STEELFAST_DATA does not name the real faults.csv")
    plates = read_steel_plates(path)
    return plates.data, np.array(plates.target_names)[plates.target]


@pytest.fixture(scope="module")
def small(twin):
    """Two hundred plates of the twin."""
    rows = np.random.default_rng(110).permutation(1941)[:200]
    return twin[0][rows], twin[1][rows]


def heaps(n_classes=3):
    """Heaps around the corners of a polygon, far from each other."""
    rng = np.random.default_rng(111)
    y = np.repeat(np.arange(n_classes), 30)
    angle = 2 * np.pi * y / n_classes
    X = np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.07, (len(y), 2))
    return X * [100, 0.01] + [5000, -3], y


NETWORK = {"hidden_layer_sizes": (9, 5)}


def quick(**parameters):
    return SteelClassifier(**({"max_epochs": 3, "random_state": 0} | parameters))


def state(classifier):
    """All that was learned, bit for bit."""
    names = ("coefs_", "intercepts_") if hasattr(classifier, "coefs_") else ("coef_", "intercept_")
    learned = [[layer.tolist() for layer in getattr(classifier, name)] for name in names]
    return (
        learned,
        [getattr(classifier, name).tolist() for name in ("mean_", "scale_", "classes_")],
        classifier.history_,
    )


# ---- scikit-learn's checks


@parametrize_with_checks(
    [
        SteelClassifier(),
        SteelClassifier(loss="sigmoid_mse", optimizer="rmsprop"),
        SteelClassifier(loss="sigmoid_cross_entropy", optimizer="sgd"),
        SteelClassifier(optimizer="momentum", class_weight="balanced", l2=1e-4),
        SteelClassifier(standardize=False),
        SteelClassifier(hidden_layer_sizes=(16,)),
        SteelClassifier(loss="sigmoid_mse", hidden_layer_sizes=(8, 4), activation="tanh", schedule="cosine"),
        SteelClassifier(optimizer="rmsprop", schedule="one_cycle", l2=0.0),
    ]
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        # a check may tell that it skips itself
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        check(estimator)


# ---- what it learns


@every_optimizer
@every_loss
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_separable_heaps_are_learned(loss, optimizer, n_classes):
    X, y = heaps(n_classes)
    classifier = SteelClassifier(loss=loss, optimizer=optimizer, random_state=0)
    assert classifier.fit(X, y).score(X, y) == 1
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]


@every_loss
def test_float32(loss):
    X, y = heaps()
    single = SteelClassifier(loss=loss, dtype="float32", random_state=0).fit(X, y)
    double = SteelClassifier(loss=loss, random_state=0).fit(X, y)
    assert single.score(X, y) == 1
    assert single.coef_.dtype == single.intercept_.dtype == np.float32
    assert single.predict_proba(X).dtype == single.decision_function(X).dtype == np.float32
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=1e-4)


def test_cross_validation_on_the_twin(twin):
    X, y = twin
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    probs = cross_val_predict(SteelClassifier(random_state=0), X, y, cv=folds, method="predict_proba")
    assert np.mean(np.unique(y)[probs.argmax(axis=1)] == y) > 0.70
    assert log_loss(y, probs) < 0.76


@pytest.mark.parametrize(
    ("loss", "accuracy", "worst_log_loss"),
    [
        ("softmax_cross_entropy", 0.70, 0.80),
        ("sigmoid_mse", 0.70, 0.90),
        ("sigmoid_cross_entropy", 0.70, 0.85),
    ],
)
def test_cross_validation_on_the_real_file(real, loss, accuracy, worst_log_loss):
    X, y = real
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    classifier = SteelClassifier(loss=loss, random_state=0)
    probs = cross_val_predict(classifier, X, y, cv=folds, method="predict_proba")
    assert np.mean(np.unique(y)[probs.argmax(axis=1)] == y) >= accuracy
    assert log_loss(y, probs) < worst_log_loss


def test_cross_validation_of_a_hidden_layer_on_the_real_file(real):
    X, y = real
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    classifier = SteelClassifier(hidden_layer_sizes=(64,), random_state=0)
    probs = cross_val_predict(classifier, X, y, cv=folds, method="predict_proba")
    predicted = probs.argmax(axis=1)
    assert np.mean(np.unique(y)[predicted] == y) >= 0.755
    assert log_loss(y, probs) < 0.66
    # calibrated: the mean distance, over ten ranges of confidence, between confidence and accuracy
    confidence, right = probs.max(axis=1), np.unique(y)[predicted] == y
    ranges = np.minimum((10 * confidence).astype(int), 9)
    assert np.abs(np.bincount(ranges, right - confidence)).sum() / len(y) < 0.035


def test_a_hold_out_on_the_real_file(real):
    X, X_test, y, y_test = train_test_split(*real, test_size=0.2, stratify=real[1], random_state=0)
    assert SteelClassifier(random_state=0).fit(X, y).score(X_test, y_test) > 0.66


@every_loss
def test_same_seed_same_bits(small, loss):
    first, second, other = (quick(loss=loss, random_state=k).fit(*small) for k in (7, 7, 8))
    assert state(first) == state(second)
    assert state(first) != state(other)
    assert state(clone(first).fit(*small)) == state(first)


def test_scale_and_place_of_the_features_do_not_matter(small):
    X, y = small
    there = quick().fit(X, y)
    moved = quick().fit(X * 1024 - 3, y)
    np.testing.assert_allclose(moved.predict_proba(X * 1024 - 3), there.predict_proba(X), rtol=1e-6)


def test_standardisation(small):
    X, y = small
    classifier = quick().fit(X, y)
    np.testing.assert_allclose(classifier.mean_, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(classifier.scale_, X.std(axis=0), rtol=1e-9)
    by_hand = quick(standardize=False).fit((X - classifier.mean_) / classifier.scale_, y)
    np.testing.assert_array_equal(by_hand.coef_, classifier.coef_)
    assert not by_hand.mean_.any()
    assert (by_hand.scale_ == 1).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_scaling_is_that_of_scikit_learn(weighted):
    """Of features on all scales, far from 0, and constant but for rounding."""
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 12)) * 10.0 ** np.linspace(-120, 120, 12)
    X = np.column_stack([X, np.full(1000, 0.1), np.zeros(1000), np.full(1000, 7e8), 1e6 + rng.random(1000), X[:, 5]])
    X[:, -1] = np.float32(0.3)
    X = np.column_stack([X, 1e8 + 1e-3 * rng.random(1000)])  # hardly varies
    weights = rng.integers(0, 3, 1000) / 2 if weighted else None
    expected = StandardScaler().fit(X, sample_weight=weights)
    mean, scale = scaling_of(X, weights)
    np.testing.assert_allclose(mean, expected.mean_, rtol=1e-11)
    np.testing.assert_allclose(scale, expected.scale_, rtol=1e-11)
    assert list(scale[[12, 13, 14, 16]]) == [1, 1, 1, 1]


@pytest.mark.parametrize("factor", [1e-14, 1.0, 1e14])
def test_the_scaling_is_the_same_on_every_scale_of_the_weights(factor):
    rng = np.random.default_rng(0)
    constants, weights = np.exp(rng.uniform(-9, 9, 200)), rng.random(1000)
    X = np.column_stack([rng.standard_normal((1000, 2)) + 5, np.tile(constants, (1000, 1))])
    expected_mean = np.average(X, axis=0, weights=weights)
    expected_scale = np.sqrt(np.average((X[:, :2] - expected_mean[:2]) ** 2, axis=0, weights=weights))
    mean, scale = scaling_of(X, factor * weights)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-12)
    np.testing.assert_allclose(scale[:2], expected_scale, rtol=1e-12)
    np.testing.assert_array_equal(scale[2:], 1)


@pytest.mark.parametrize("value", [0.0, 0.1, -7e8, 1e-300])
def test_constant_features(small, value):
    X, y = small
    X = X.copy()
    X[:, 3] = value
    with np.errstate(divide="raise", invalid="raise"):
        probs = quick().fit(X, y).predict_proba(X)
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs, quick().fit(np.delete(X, 3, 1), y).predict_proba(np.delete(X, 3, 1)), rtol=1e-6)


def test_the_model_is_what_its_attributes_say(small):
    X, y = small
    classifier = quick().fit(X, y)
    z = (X - classifier.mean_) / classifier.scale_ @ classifier.coef_.T + classifier.intercept_
    np.testing.assert_allclose(classifier.decision_function(X), z, rtol=1e-12)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(X), p, rtol=1e-12)
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(p), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[z.argmax(axis=1)])
    assert classifier.score(X, y) == np.mean(classifier.predict(X) == y)
    assert classifier.coef_.shape == (7, 27)
    assert classifier.intercept_.shape == (7,)
    assert classifier.n_features_in_ == 27


@pytest.mark.parametrize("hidden_layer_sizes", [(), (3,)])
@pytest.mark.parametrize("n_classes", [2, 7, 32, 33, 50])
def test_what_is_predicted_is_the_likeliest_class(n_classes, hidden_layer_sizes):
    """Found by the kernel or by NumPy, as is faster; classes that are not their own numbers."""
    rng = np.random.default_rng(n_classes)
    y = np.array([f"{k:02}" for k in range(n_classes)]).repeat(4)
    X = rng.normal(size=(len(y), 3)) + np.arange(len(y))[:, np.newaxis]
    classifier = quick(hidden_layer_sizes=hidden_layer_sizes).fit(X, y)
    places = classifier.predict_proba(X).argmax(axis=1)
    assert len(set(places)) > 1
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[places])


@every_loss
def test_probabilities_sum_to_one(small, loss):
    X, y = small
    classifier = quick(loss=loss).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-13)
    z = classifier.decision_function(X)
    odds = np.exp(z) if loss == "softmax_cross_entropy" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(classifier.predict_proba(X), odds / odds.sum(axis=1, keepdims=True), rtol=1e-12)


@every_loss
def test_with_two_classes_the_decision_is_the_log_odds(loss):
    X, y = heaps(2)
    classifier = quick(loss=loss).fit(X, y)
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(classifier.decision_function(X), np.log(p[:, 1] / p[:, 0]))


def test_the_first_epoch_is_gradient_descent_as_written_out(small):
    """One full minibatch from zero weights, in plain NumPy."""
    X, y = small
    classifier = SteelClassifier(optimizer="sgd", learning_rate=0.3, batch_size=1000, max_epochs=1).fit(X, y)
    classes = np.unique(y)
    Z, Y = (X - X.mean(axis=0)) / X.std(axis=0), (y[:, None] == classes).astype(float)
    g = (1 / 7 - Y) / len(y)
    np.testing.assert_allclose(classifier.coef_, -0.3 * g.T @ Z, rtol=0, atol=1e-12)
    np.testing.assert_allclose(classifier.intercept_, -0.3 * g.sum(axis=0), rtol=0, atol=1e-14)
    assert classifier.history_[0]["loss"] == pytest.approx(np.log(7), abs=1e-14)


def test_l2(small):
    norms = [np.linalg.norm(quick(max_epochs=50, l2=l2).fit(*small).coef_) for l2 in (0, 0.1, 10)]
    assert norms[0] > norms[1] > norms[2]


# ---- weights


def test_class_weight(twin):
    X, y = twin
    rows = np.isin(y, ["Dirtiness", "Other_Faults"])
    X, y = X[rows], y[rows]

    def recall(class_weight):
        predicted = quick(class_weight=class_weight, max_epochs=20).fit(X, y).predict(X)
        return np.mean(predicted[y == "Dirtiness"] == "Dirtiness")

    assert recall({"Dirtiness": 50}) > recall("balanced") > recall({"Dirtiness": 0.01})


def test_class_weights_are_weights_of_rows(small):
    """Only that the features are standardised without them."""
    X, y = small
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    by_class = {name: 1 + k for k, name in enumerate(np.unique(y))}
    of_rows = np.array([by_class[name] for name in y])
    by_rows = quick(standardize=False).fit(X, y, sample_weight=of_rows)
    assert state(quick(standardize=False, class_weight=by_class).fit(X, y)) == state(by_rows)
    both = quick(standardize=False, class_weight=by_class).fit(X, y, sample_weight=of_rows)
    squared = quick(standardize=False).fit(X, y, sample_weight=of_rows**2)
    assert state(both) == state(squared)


def test_balanced_classes_weigh_the_same(small):
    X, y = small
    names, counts = np.unique(y, return_counts=True)
    by_hand = dict(zip(names, len(y) / counts, strict=True))
    balanced = quick(class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(balanced.coef_, quick(class_weight=by_hand).fit(X, y).coef_, rtol=1e-9)


def test_the_scale_of_the_weights_does_not_matter(small):
    X, y = small
    weights = np.random.default_rng(0).integers(1, 5, len(y)).astype(float)
    assert state(quick().fit(X, y, sample_weight=weights)) == state(quick().fit(X, y, sample_weight=1024 * weights))


# ---- what is seen of a training


def test_history(small):
    classifier = quick().fit(*small)
    assert [list(epoch) for epoch in classifier.history_] == [["epoch", "loss", "accuracy"]] * 3
    assert classifier.loss_curve_ == [epoch["loss"] for epoch in classifier.history_]
    assert classifier.n_iter_ == 3
    json.dumps(classifier.history_)


def test_validation_data(small):
    X, y = small
    classifier = quick().fit(X[:150], y[:150], validation_data=(X[150:], y[150:]))
    last = classifier.history_[-1]
    assert last["validation_accuracy"] == classifier.score(X[150:], y[150:])
    probs = classifier.predict_proba(X[150:])
    expected = log_loss(y[150:], probs, labels=classifier.classes_)
    assert last["validation_loss"] == pytest.approx(expected, rel=1e-12)
    # nothing is learned from it
    assert classifier.coef_.tolist() == quick().fit(X[:150], y[:150]).coef_.tolist()


def test_callback(small):
    seen = []
    classifier = quick().fit(*small, callback=seen.append)
    assert seen == classifier.history_
    stopped = quick().fit(*small, callback=lambda epoch: epoch["epoch"] == 2)
    assert stopped.n_iter_ == 2
    assert state(stopped) == state(quick(max_epochs=2).fit(*small))


def test_verbose(small, capsys):
    classifier = quick(verbose=True).fit(*small, validation_data=small)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"Epoch 1: loss={classifier.loss_curve_[0]:.4f}, accuracy=0.")
    assert "validation_loss=" in lines[0]
    for none in (False, 0):
        quick(verbose=none).fit(*small)
        assert not capsys.readouterr().out
    quick(verbose=1).fit(*small, validation_data=small)
    assert capsys.readouterr().out == out


# ---- inputs


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(small, library):
    library = pytest.importorskip(library)
    X, y = small
    names = [f"feature {k}" for k in range(27)]
    frame, series = library.DataFrame(dict(zip(names, X.T, strict=True))), library.Series(y.tolist())
    expected = quick().fit(X, y)
    for classifier in (quick().fit(frame, series), quick().partial_fit(frame, series, classes=np.unique(y))):
        assert classifier.feature_names_in_.tolist() == names
        assert classifier.classes_.tolist() == expected.classes_.tolist()
        classifier.partial_fit(frame, series)
        with pytest.raises(ValueError, match="feature names"):
            classifier.predict(frame[names[::-1]])
        with pytest.raises(ValueError, match="feature names"):
            classifier.partial_fit(frame[names[::-1]], series)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            classifier.predict(X)
    classifier = quick().fit(frame, series)
    assert state(classifier) == state(expected)
    assert classifier.predict(frame).tolist() == expected.predict(X).tolist()
    assert classifier.score(frame, series) > 0.4


@pytest.mark.parametrize(
    "names",
    [
        ["bad", "fair", "good"],
        [-5, 2, 100],
        [False, True],
        np.array(["bad", "fair", "good"], dtype=object),
        [1.0, 2.0, 3.0],
    ],
    ids=repr,
)
def test_labels_of_any_kind(names):
    X, k = heaps(len(names))
    y = np.asarray(names)[k]
    classifier = SteelClassifier(max_epochs=60, random_state=0).fit(X, y)
    assert classifier.classes_.tolist() == list(names)
    assert classifier.predict(X).tolist() == y.tolist()


@pytest.mark.parametrize(
    "labels",
    [
        [3, 3, 7, 4, 7],
        [-2, -1, -2, 0, 1],
        [0, 10**6, 5, 5, 0],
        [-(2**63), 2**63 - 1, 0, 0, 0],
        [2**63 - 1, 2**63 - 2, 2**63 - 1, 2**63 - 1, 2**63 - 1],
        [5, 5, 5, 5, 5],
    ],
    ids=repr,
)
def test_whole_numbers_are_told_apart_as_numpy_does(labels):
    for dtype in np.int64, np.dtype(np.int64).newbyteorder(), np.int32 if max(map(abs, labels)) < 2**31 else np.int64:
        y = np.array(labels, dtype)
        classifier = SteelClassifier(max_epochs=2, random_state=0).fit(np.eye(5), y)
        classes, numbers = np.unique(y, return_inverse=True)
        np.testing.assert_array_equal(classifier.classes_, classes)
        assert classifier.classes_.dtype == classes.dtype
        again = SteelClassifier(max_epochs=2, random_state=0).fit(np.eye(5), numbers)
        np.testing.assert_array_equal(classifier.predict_proba(np.eye(5)), again.predict_proba(np.eye(5)))


def test_one_class():
    classifier = quick().fit([[0.0], [1.0]], ["a", "a"])
    assert classifier.predict([[5.0]]).tolist() == ["a"]
    assert classifier.predict_proba([[5.0]]).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"loss": "hinge"}, ValueError, "^loss must be one of .*, got 'hinge'"),
        ({"optimizer": "lbfgs"}, ValueError, "^optimizer must be one of .*'lbfgs'"),
        ({"optimizer": None}, ValueError, "^optimizer must be one of .*None"),
        ({"learning_rate": -1}, ValueError, "^learning_rate must be at least 0 and finite, got -1"),
        ({"learning_rate": "fast"}, TypeError, "^learning_rate"),
        ({"batch_size": 0}, ValueError, "^batch_size must be at least 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "^batch_size must be an integer"),
        ({"max_epochs": -1}, ValueError, "^max_epochs must be at least 1, got -1"),
        ({"schedule": "linear"}, ValueError, "^schedule must be one of .*'linear'"),
        ({"activation": "gelu"}, ValueError, "^activation must be one of .*'gelu'"),
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "^each of hidden_layer_sizes must be at least 1, got 0"),
        ({"hidden_layer_sizes": 2.5}, TypeError, "^each of hidden_layer_sizes must be an integer"),
        ({"hidden_layer_sizes": "64"}, TypeError, "^each of hidden_layer_sizes must be an integer"),
        ({"hidden_layer_sizes": np.array(2.5)}, TypeError, "^each of hidden_layer_sizes must be an integer"),
        ({"dropout": 1.0}, ValueError, "^dropout must be at least 0 and below 1, got 1"),
        ({"n_iter_no_change": 0}, ValueError, "^n_iter_no_change must be at least 1, got 0"),
        ({"tol": -1.0}, ValueError, "^tol must be at least 0"),
        ({"validation_fraction": 0}, ValueError, "^validation_fraction must be above 0"),
        ({"validation_fraction": 1}, ValueError, "^validation_fraction must be .*below 1, got 1"),
        ({"early_stopping": "no"}, TypeError, "^early_stopping must be True or False, got 'no'"),
        ({"standardize": 1}, TypeError, "^standardize must be True or False, got 1"),
        ({"warm_start": None}, TypeError, "^warm_start must be True or False, got None"),
        ({"hidden_layer_sizes": iter([3])}, TypeError, "^each of hidden_layer_sizes must be an integer"),
        ({"random_state": -1}, ValueError, "^random_state must be at least 0, got -1"),
        ({"l2": -1e-3}, ValueError, "^l2 must be at least 0 and finite"),
        ({"l2": np.nan}, ValueError, "^l2 must be at least 0 and finite"),
        ({"dtype": "float16"}, ValueError, "^dtype must be one of .*'float16'"),
        ({"verbose": "a"}, TypeError, "^verbose must be True, False or an integer, got 'a' of type str"),
        ({"verbose": None}, TypeError, "^verbose must be True, False or an integer, got None"),
        ({"class_weight": "fair"}, ValueError, "^class_weight must be a dict, 'balanced' or None, got 'fair'"),
        ({"class_weight": [1, 2]}, ValueError, r"^class_weight must be a dict, 'balanced' or None, got \[1, 2\]"),
        ({"class_weight": dict.fromkeys(range(3), 0)}, ValueError, "^class_weight leaves all"),
        ({"class_weight": {0: -1}}, ValueError, "^class_weight must be .* not negative"),
        ({"random_state": "seed"}, ValueError, "seed"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        SteelClassifier(**parameters).fit(*heaps())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": np.zeros(90)}, "sample_weight is zero in all rows"),
        ({"sample_weight": np.ones(89)}, r"sample_weight must have shape \(90,\), got \(89,\)"),
        ({"sample_weight": -np.ones(90)}, "sample_weight must be finite and not negative"),
        ({"validation_data": (np.ones((2, 2)), [0, 9])}, "validation_data has the class 9"),
        ({"validation_data": (np.ones((2, 3)), [0, 1])}, "^validation_data .* 3 features"),
        ({"validation_data": (np.ones((2, 2)), [0])}, "^validation_data .* inconsistent numbers of samples"),
        ({"validation_data": (np.full((2, 2), np.nan), [0, 1])}, "^validation_data .* X contains NaN"),
        ({"validation_data": (np.ones((2, 2)), [0, np.nan])}, "^validation_data .* y contains NaN"),
        ({"validation_data": (np.ones((2, 2)), [0, 1], [1, 1])}, r"validation_data must be a pair \(X, y\), got"),
        ({"validation_data": 5}, r"validation_data must be a pair \(X, y\), got 5"),
    ],
)
def test_bad_data(options, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(*heaps(), **options)


def test_a_callback_must_be_callable():
    with pytest.raises(TypeError, match="callback must be callable, got 5 of type int"):
        quick().fit(*heaps(), callback=5)


def test_a_single_weight_is_that_of_all_rows(small):
    np.testing.assert_allclose(quick().fit(*small, sample_weight=2.0).coef_, quick().fit(*small).coef_, rtol=1e-9)


def test_weights_at_the_ends_of_the_numbers(small):
    X, y = small
    weights = np.random.default_rng(0).integers(1, 5, len(y)).astype(float)
    by_class = {name: 1.0 + k for k, name in enumerate(np.unique(y))}
    tiny = {name: np.ldexp(weight, -1074) for name, weight in by_class.items()}
    huge = {name: np.ldexp(weight, 1021) for name, weight in by_class.items()}
    expected = quick(class_weight=by_class, standardize=False).fit(X, y, sample_weight=weights)
    for extreme, exponent in ((tiny, -1074), (huge, 1021)):
        classifier = quick(class_weight=extreme, standardize=False)
        assert state(classifier.fit(X, y, sample_weight=np.ldexp(weights, exponent))) == state(expected)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weight", [5e-324, 1e-320, 1e306, 1.7e308])
def test_equal_weights_are_none(small, weight, early_stopping, standardize, class_weight):
    """However large or small: sums of them must neither overflow nor lose their digits."""
    X, y = small[0] / np.abs(small[0]).max(axis=0), small[1]
    options = {"class_weight": class_weight, "standardize": standardize, "early_stopping": early_stopping}
    expected = quick(**options).fit(X, y)
    classifier = quick(**options).fit(X, y, sample_weight=np.full(len(y), weight))
    for name in ("mean_", "scale_", "coef_"):
        np.testing.assert_allclose(getattr(classifier, name), getattr(expected, name), rtol=1e-8, atol=1e-13)
    parts = quick(class_weight=class_weight, standardize=standardize)
    for _ in range(3):
        parts.partial_fit(X, y, np.unique(y), sample_weight=np.full(len(y), weight))
    expected = quick(class_weight=class_weight, standardize=standardize).fit(X, y)
    np.testing.assert_allclose(parts.coef_, expected.coef_, rtol=1e-8, atol=1e-13)


def test_a_weight_next_to_nothing_is_nothing_where_classes_are_balanced():
    X, y = heaps()
    weights = np.where(y == 2, 1e-320, 1.0)
    classifier = quick(class_weight="balanced").fit(X, y, sample_weight=weights)
    assert state(classifier) == state(quick(class_weight="balanced").fit(X, y, sample_weight=np.floor(weights)))


def test_a_row_held_out_may_weigh_far_more_than_the_others(small):
    X, y = small
    _, out = held_out_of(y, 0.1, 0)
    weights = np.random.default_rng(0).uniform(1, 2, len(y))
    options = {"class_weight": "balanced", "early_stopping": True}
    expected = quick(**options).fit(X, y, sample_weight=weights)
    weights = np.ldexp(weights, -60)
    weights[out] = np.ldexp(weights[out], 1060)
    assert state(quick(**options).fit(X, y, sample_weight=weights)) == state(expected)


def test_what_is_too_large_is_named():
    X, y = heaps()
    with pytest.raises(ValueError, match=r"X is too large to be standardised: feature 0 reaches 5\.1e\+203"):
        quick().fit(X * 1e200, y)
    with pytest.raises(
        ValueError, match=r"l2 1e\+10 is too large for learning_rate 0\.2, their product must be below 2"
    ):
        SteelClassifier(optimizer="sgd", l2=1e10, max_epochs=200).fit(X, y)
    for hidden in ((), (4,)):
        single = quick(dtype="float32", hidden_layer_sizes=hidden)
        with pytest.raises(ValueError, match=r"^X is too large for a model of float32: it reaches 1e\+300"):
            single.fit(X, y).predict(np.full((1, 2), 1e300))
        with pytest.raises(ValueError, match=r"^X must be finite in float32, got inf"):
            single.set_params(standardize=False).fit(X * 1e200, y)


@pytest.mark.parametrize("parameters", [{}, {"standardize": False}, NETWORK, NETWORK | {"standardize": False}], ids=str)
def test_numbers_that_scikit_learn_was_not_to_look_at(parameters):
    X, y = heaps()
    classifier = quick(**parameters).fit(X, y)
    X[7, 1] = np.nan
    with config_context(assume_finite=True):
        with pytest.raises(ValueError, match=r"^Input X contains NaN|^X must be finite in float64, got nan$"):
            quick(**parameters).fit(X, y)
        with pytest.raises(ValueError, match=r"^Input X contains NaN"):
            classifier.predict(X)


@pytest.mark.parametrize(
    ("parameters", "name"), [({}, "coef_"), ({}, "intercept_"), ({}, "mean_"), (NETWORK, "coefs_"), (NETWORK, "scale_")]
)
def test_a_model_that_is_not_finite_is_not_taken_for_rows_that_are_too_large(tmp_path, parameters, name):
    X, y = heaps()
    classifier = quick(**parameters).fit(X, y)
    changed = getattr(classifier, name)
    (changed[-1] if name == "coefs_" else changed)[..., 0] = np.nan
    with pytest.raises(ValueError, match=r"^the model has numbers that are not finite"):
        classifier.predict(X)
    with pytest.raises(ValueError, match=r"^this model cannot be written to a file: .* not finite"):
        classifier.save(tmp_path / "model.npz")
    assert not os.listdir(tmp_path)


def test_divergence_is_an_error():
    X, y = heaps()
    with pytest.raises(ValueError, match=r"learning_rate 1e\+308 is too large"):
        SteelClassifier(optimizer="sgd", learning_rate=1e308, standardize=False).fit(X, y)


@pytest.mark.parametrize("parameters", [{}, NETWORK])
@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"learning_rate": 1e300, "optimizer": "sgd", "standardize": False}, {}, "left the finite numbers"),
        ({}, {"validation_data": (np.ones((2, 2)), [0, 9])}, "validation_data has the class 9"),
        ({"l2": -1}, {}, "l2"),
        ({}, {"callback": lambda epoch: 1 / 0 if epoch["epoch"] == 2 else None}, "division"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_fit_that_fails_leaves_the_one_before(small, parameters, changed, options, message):
    classifier = quick(**parameters).fit(*small)
    before, names = state(classifier), vars(classifier).keys()
    X, y = heaps()
    with pytest.raises((ValueError, ZeroDivisionError), match=message):
        classifier.set_params(**changed).fit(X * 1e100, y, **options)
    assert state(classifier) == before
    assert vars(classifier).keys() == names
    assert classifier.predict(small[0]).shape == (200,)


def test_lists_and_arrays_of_other_layouts_are_the_same_rows(small):
    """What needs no conversion takes a way of its own."""
    X, y = small
    expected = state(quick().fit(X, y))
    for rows, labels in ((X.tolist(), y.tolist()), (np.asfortranarray(X), y), (X[::-1][::-1], y.astype(object))):
        classifier = quick().fit(rows, labels)
        assert state(classifier) == expected
        assert classifier.predict_proba(rows).tolist() == quick().fit(X, y).predict_proba(X).tolist()


def test_labels_in_any_place_of_memory(small):
    X, y = small[0], np.unique(small[1], return_inverse=True)[1]
    expected = state(quick().fit(X, y))
    table, apart = np.stack([y, 1 - y], axis=1), np.zeros(8 * len(y) + 1, np.uint8)[1:].view(np.int64)
    apart[:] = y
    for labels in (table[:, 0], y[::-1].copy()[::-1], apart):
        assert state(quick().fit(X, labels)) == expected


def test_labels_that_change_during_a_fit_do_not_matter(small):
    X, y = small[0], np.unique(small[1], return_inverse=True)[1]
    expected = state(quick().fit(X, y))
    labels = y.copy()
    assert state(quick().fit(X, labels, callback=lambda _: labels.fill(1 << 45))) == expected


def test_rows_of_float32_stay_what_they_are(small):
    X, y = small
    X = X.astype(np.float32)
    assert state(quick().fit(X, y)) == state(quick().fit(X.astype(np.float64), y))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict"])
def test_numbers_that_are_not_finite_are_refused(small, method, number):
    X, y = small[0].copy(), small[1]
    classifier = quick().fit(X, y)
    X[7, 3] = number
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        getattr(classifier, method)(X, *(() if method == "predict" else (y,)))


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("n_features", [4, 20_000])
def test_nor_are_they_predicted_of_where_nothing_was_learned(n_features, number):
    """A feature that is constant in training has weights of 0; large models multiply in another way."""
    X, y = np.zeros((20, n_features)), np.arange(20) % 2
    X[:, 0] = y
    classifier = quick().fit(X, y)
    assert not classifier.coef_[:, 1].any()
    X[7, 1] = number
    for method in (classifier.predict, classifier.predict_proba, classifier.predict_log_proba):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            method(X)


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("labels", ["texts", "objects", "numbers"])
def test_many_rows_are_predicted_a_part_at_a_time(monkeypatch, small, labels, hidden):
    monkeypatch.setattr("steelfast.estimator._ROWS_AT_ONCE", 64)
    X, y = small[0][:192].copy(), small[1]
    y = {"texts": y, "objects": y.astype(object), "numbers": np.unique(y, return_inverse=True)[1]}[labels]
    classifier = quick(hidden_layer_sizes=hidden).fit(small[0], y)
    for n in (1, 63, 64, 65, 128, 150, 192):
        predicted = classifier.predict(X[:n])
        assert predicted.dtype == classifier.classes_.dtype
        likeliest = classifier.classes_[classifier.predict_proba(X[:n]).argmax(axis=1)]
        np.testing.assert_array_equal(predicted, likeliest)
        np.testing.assert_array_equal(classifier.predict(X[:n].tolist()), likeliest)
    X[-1, 2] = np.nan
    with pytest.raises(ValueError, match=r"Input X contains NaN\.\nSteelClassifier does not accept"):
        classifier.predict(X)
    assert classifier.predict(X, check_input=False).shape == (192,)


def test_rows_too_large_to_sum_are_fine():
    X = np.linspace(1e307, 1.7e308, 40).reshape(20, 2)
    classifier = quick(standardize=False, learning_rate=1e-320, optimizer="sgd").fit(X, np.arange(20) % 2)
    assert classifier.predict(X).shape == (20,)


def test_random_states():
    X, y = heaps()
    by_seed = [state(quick(random_state=seed).fit(X, y)) for seed in (3, np.int64(3), 4)]
    assert by_seed[0] == by_seed[1] != by_seed[2]
    by_generator = [state(quick(random_state=np.random.RandomState(3)).fit(X, y)) for _ in range(2)]
    assert by_generator[0] == by_generator[1]
    np.random.seed(0)  # noqa: NPY002 -- that None means NumPy's global generator is scikit-learn's rule
    first = quick(random_state=None).fit(X, y)
    np.random.seed(0)  # noqa: NPY002
    assert state(first) == state(quick(random_state=None).fit(X, y))
    assert state(first) != state(quick(random_state=None).fit(X, y))


# ---- hidden layers


@every_loss
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_what_no_linear_model_learns(loss, activation):
    """Rings around each other."""
    rng = np.random.default_rng(112)
    y = np.arange(300) % 3
    angle = rng.uniform(0, 2 * np.pi, 300)
    X = ((1 + y) * np.stack([np.cos(angle), np.sin(angle)])).T + rng.normal(0, 0.1, (300, 2))
    parameters = {"loss": loss, "activation": activation, "batch_size": 32, "learning_rate": 0.01, "random_state": 0}
    classifier = SteelClassifier(hidden_layer_sizes=(32, 16), **parameters).fit(X, y)
    assert classifier.score(X, y) > 0.97
    assert SteelClassifier(loss=loss, random_state=0).fit(X, y).score(X, y) < 0.6


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@every_loss
def test_the_network_is_what_its_attributes_say(small, loss, activation):
    X, y = small
    classifier = quick(loss=loss, activation=activation, **NETWORK).fit(X, y)
    assert [w.shape for w in classifier.coefs_] == [(27, 9), (9, 5), (5, 7)]
    assert [b.shape for b in classifier.intercepts_] == [(9,), (5,), (7,)]
    h = (X - classifier.mean_) / classifier.scale_
    for w, b in zip(classifier.coefs_[:-1], classifier.intercepts_[:-1], strict=True):
        h = np.tanh(h @ w + b) if activation == "tanh" else np.maximum(h @ w + b, 0)
    z = h @ classifier.coefs_[-1] + classifier.intercepts_[-1]
    np.testing.assert_allclose(classifier.decision_function(X), z, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-13)
    assert not hasattr(classifier, "coef_")
    assert not hasattr(quick().fit(X, y), "coefs_")


def test_a_single_width_is_a_single_layer(small):
    expected = state(quick(hidden_layer_sizes=[6]).fit(*small))
    for width in (6, np.array(6), np.array([6])):
        assert state(quick(hidden_layer_sizes=width).fit(*small)) == expected


def test_the_same_seed_drops_the_same_units_out(small):
    first, second, none = (quick(dropout=rate, **NETWORK).fit(*small) for rate in (0.5, 0.5, 0.0))
    assert state(first) == state(second)
    assert state(first) != state(none)


# ---- parts


FITS = [
    *({"loss": loss} for loss in LOSSES),
    *({"optimizer": optimizer} for optimizer in OPTIMIZERS),
    *({"schedule": schedule} for schedule in ("step", "cosine", "one_cycle")),
    {"dtype": "float32", "optimizer": "momentum"},
    {"class_weight": "balanced"},
    {"standardize": False, "batch_size": 1000, "learning_rate": 1e-8, "optimizer": "sgd"},
    NETWORK,
    NETWORK | {"dropout": 0.3, "activation": "tanh", "schedule": "cosine"},
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parameters", FITS, ids=str)
def test_partial_fit_is_fit_epoch_by_epoch(small, parameters, weighted):
    X, y = small
    weights = np.random.default_rng(5).uniform(0, 2, len(y)) if weighted else None
    whole = quick(**parameters).fit(X, y, sample_weight=weights)
    parts = quick(**parameters)
    for k in range(3):
        assert parts.partial_fit(X, y, np.unique(y) if k == 0 else None, sample_weight=weights) is parts
    assert state(parts) == state(whole)
    assert parts.n_iter_ == 3
    # and on from there
    assert state(whole.partial_fit(X, y, sample_weight=weights)) == state(
        parts.partial_fit(X, y, sample_weight=weights)
    )


def test_partial_fit_on_parts(twin):
    X, y = twin
    rows = np.random.default_rng(6).permutation(len(y))
    classifier = SteelClassifier(random_state=0)
    for _ in range(20):
        for part in np.array_split(rows, 4):
            classifier.partial_fit(X[part], y[part], classes=np.unique(y))
    assert classifier.score(X, y) > 0.72
    assert classifier.n_iter_ == 80
    first = np.array_split(rows, 4)[0]
    np.testing.assert_allclose(classifier.mean_, X[first].mean(axis=0), rtol=1e-12)


def test_partial_fit_takes_parts_without_some_classes(small):
    X, y = small
    classes = ["A", *np.unique(y).tolist(), "z"]
    classifier = quick(class_weight="balanced").partial_fit(X[y == "Bumps"], y[y == "Bumps"], classes)
    classifier.partial_fit(X, y)
    assert classifier.classes_.tolist() == classes
    assert classifier.predict_proba(X).shape == (200, 9)


@pytest.mark.parametrize("parameters", [{}, {"optimizer": "sgd", "schedule": "step"}, NETWORK | {"dropout": 0.2}])
def test_it_goes_on_after_a_pickle_and_a_copy(small, tmp_path, parameters):
    """joblib copies an array wherever it finds it, and may map it read-only."""
    X, y = small
    classifier = quick(**parameters).partial_fit(X, y, np.unique(y))
    joblib.dump(classifier, tmp_path / "classifier")
    others = [
        pickle.loads(pickle.dumps(classifier)),
        copy.deepcopy(classifier),
        joblib.load(tmp_path / "classifier"),
        joblib.load(tmp_path / "classifier", mmap_mode="r"),
    ]
    for _ in range(2):
        expected = state(classifier.partial_fit(X, y))
        for other in others:
            assert state(other.partial_fit(X, y)) == expected


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_part_that_diverges_leaves_no_trace(small, hidden):
    """Not even in what shuffles the rows of the next one."""
    X, y = small
    one, other = (quick(hidden_layer_sizes=hidden, optimizer="adam").partial_fit(X, y, np.unique(y)) for _ in range(2))
    with pytest.raises(ValueError, match="left the finite numbers in epoch 2"):
        one.set_params(learning_rate=1e200).partial_fit(X * 1e150, y)
    one.set_params(learning_rate=other.learning_rate)
    assert state(one.partial_fit(X, y)) == state(other.partial_fit(X, y))


@pytest.mark.parametrize("name", ["history_", "loss_curve_", "n_iter_"])
def test_nothing_is_seen_of_a_training_that_was_not(name):
    assert not hasattr(SteelClassifier(), name)
    with pytest.raises(NotFittedError, match="SteelClassifier instance is not fitted yet"):
        getattr(SteelClassifier(), name)


@pytest.mark.parametrize("dtype", [int, float])
def test_no_classes_have_no_class(small, dtype):
    X, y = small[0], np.zeros(len(small[0]), dtype)
    with pytest.raises(ValueError, match=r"y has the class 0(\.0)?, which is none of \[\]"):
        SteelClassifier().partial_fit(X, y, classes=np.array([], dtype))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({0, 1, 2}, r"^classes must be a list or an array of labels, got \{0, 1, 2\} of type set"),
        (3, "^classes must be a list or an array of labels, got 3 of type int"),
        ([[0, 1, 2]], r"^classes must be a list or an array of labels, got \[\[0, 1, 2\]\]"),
        ([0, 1, 2, np.nan], "^classes must be numbers or texts, got NaN"),
        (np.array([0, 1, 2, np.nan], object), "^classes must be numbers or texts, got NaN"),
    ],
    ids=repr,
)
def test_what_are_no_classes(classes, message):
    classifier = quick()
    with pytest.raises(ValueError, match=message):
        classifier.partial_fit(*heaps(), classes=classes)
    assert vars(classifier) == vars(quick())


@pytest.mark.parametrize("y", [[0, 1, np.nan], np.array(["a", "b", np.nan], object)], ids=repr)
def test_no_class_is_nan(y):
    with pytest.raises(ValueError, match="contains NaN"):
        quick().fit(np.eye(3), y)
    with pytest.raises(ValueError, match="contains NaN"):
        quick().partial_fit(np.eye(3), y, classes=y[:2])


def test_what_was_seen_of_a_training_stays(small):
    X, y = small
    classifier = quick().partial_fit(X, y, np.unique(y))
    history, other = classifier.history_, copy.copy(classifier)
    classifier.partial_fit(X, y)
    assert (len(history), other.n_iter_, classifier.n_iter_) == (1, 1, 2)
    both = classifier.history_
    other.partial_fit(X[::2], y[::2]).partial_fit(X, y)  # from here on they differ
    assert [len(each.history_) for each in (classifier, other)] == [classifier.n_iter_, other.n_iter_] == [2, 3]
    assert classifier.history_ == both
    assert other.history_[0] == both[0]
    assert [epoch["epoch"] for epoch in other.history_] == [1, 2, 3]
    assert other.history_[1]["loss"] != both[1]["loss"]


def test_who_looks_during_a_fit_sees_the_one_before(small):
    X, y = small
    classifier = quick().fit(X, y)
    before, seen = classifier.predict_proba(X), []
    classifier.fit(1000 * X + 5, y[::-1], callback=lambda epoch: seen.append(classifier.predict_proba(X)))
    for each in seen:
        np.testing.assert_array_equal(each, before)


@pytest.mark.parametrize(
    "changed",
    [
        {"standardize": False},
        {"loss": "sigmoid_mse"},
        {"dtype": "float32"},
        {"activation": "tanh"},
        {"dropout": 0.5},
        {"hidden_layer_sizes": (3,)},
    ],
    ids=str,
)
@pytest.mark.parametrize("parameters", [{}, NETWORK])
def test_what_is_set_after_a_fit_does_not_change_the_model(small, tmp_path, parameters, changed):
    X, y = small
    classifier = quick(**parameters).fit(X, y)
    expected, original = classifier.predict_proba(X), quick(**parameters).get_params()
    classifier.set_params(**changed)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    classifier.save(tmp_path / "model.npz")
    loaded = SteelClassifier.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    assert loaded.get_params() == original
    [name] = changed
    if parameters or name not in ("activation", "dropout"):
        with pytest.raises(ValueError, match=f"{name} must stay"):
            classifier.partial_fit(X, y)
        with pytest.raises(ValueError, match=f"{name} must stay"):
            classifier.set_params(warm_start=True).fit(X, y)
    else:
        classifier.partial_fit(X, y)


@pytest.mark.parametrize("parameters", [{}, NETWORK])
@pytest.mark.parametrize(
    ("X", "y", "options", "changed", "message"),
    [
        (np.ones((2, 3)), [0, 1], {}, {}, "3 features, but SteelClassifier is expecting 2"),
        (np.ones((2, 2)), [0, 7], {}, {}, r"y has the class 7, which is none of \[0, 1, 2\]"),
        (np.ones((2, 2)), [0, 1], {"classes": [0, 1]}, {}, r"classes must stay .*\[0, 1, 2\], got \[0, 1\]"),
        (np.ones((2, 2)), [0], {}, {}, "inconsistent numbers of samples"),
        (np.ones((2, 2)), [0, 1], {"sample_weight": [0, 0]}, {}, "sample_weight is zero"),
        (np.ones((2, 2)), [0, 1], {}, {"early_stopping": True}, "early_stopping must be False"),
        (np.ones((2, 2)), [0, 1], {}, {"hidden_layer_sizes": (3,)}, "hidden_layer_sizes must stay"),
        (np.ones((2, 2)), [0, 1], {}, {"dtype": "float32"}, "dtype must stay 'float64'"),
        (np.full((2, 2), 1e200), [0, 1], {}, {}, "left the finite numbers in epoch 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_part_that_is_refused_changes_nothing(parameters, X, y, options, changed, message):
    rows, labels = heaps()
    huge = {"standardize": False, "optimizer": "sgd", "learning_rate": 1e150} if X[0, 0] > 1 else {}
    classifier = quick(**parameters | huge | ({"learning_rate": 1e-9} if huge else {}))
    classifier.partial_fit(rows, labels, classes=[0, 1, 2]).set_params(**changed | huge)
    before = state(classifier)
    with pytest.raises(ValueError, match=message):
        classifier.partial_fit(X, y, **options)
    assert state(classifier) == before
    assert classifier.n_features_in_ == 2


def test_other_settings_begin_the_optimizer_anew(small):
    """Without any they go on, else as if there had been no steps before."""
    X, y = small
    options = {"classes": np.unique(y)}
    classifier = quick(batch_size=1000).partial_fit(X, y, **options)
    coef = classifier.coef_
    classifier.set_params(optimizer="sgd", learning_rate=0.0).partial_fit(X, y)
    np.testing.assert_array_equal(classifier.coef_, coef)
    classifier.set_params(learning_rate=0.5, l2=0.0).partial_fit(X, y)
    fresh = quick(batch_size=1000, optimizer="sgd", learning_rate=0.5, l2=0.0, max_epochs=1, warm_start=True)
    fresh.set_params(learning_rate=0.0).fit(X, y)
    fresh.coef_, fresh.intercept_ = coef, quick(batch_size=1000).partial_fit(X, y, **options).intercept_
    fresh.set_params(learning_rate=0.5).fit(X, y)
    np.testing.assert_allclose(classifier.coef_, fresh.coef_, rtol=0, atol=1e-14)


def test_the_first_part_needs_the_classes():
    classifier = quick()
    with pytest.raises(ValueError, match="classes must be given in the first call of partial_fit"):
        classifier.partial_fit(*heaps())
    assert vars(classifier) == vars(quick())


# ---- when to stop, and where to go on


def test_early_stopping_keeps_the_best_weights(small):
    X, y = small
    held_out = (X[140:], y[140:])
    classifier = SteelClassifier(learning_rate=0.3, early_stopping=True, n_iter_no_change=4, random_state=0, l2=0.0)
    classifier.fit(X[:140], y[:140], validation_data=held_out)
    losses = [epoch["validation_loss"] for epoch in classifier.history_]
    best = int(np.argmin(losses))
    assert classifier.n_iter_ == best + 1 + 4 < 100
    probs = classifier.predict_proba(held_out[0])
    assert log_loss(held_out[1], probs, labels=classifier.classes_) == pytest.approx(losses[best], rel=1e-12)
    there = clone(classifier).set_params(max_epochs=best + 1, early_stopping=False).fit(X[:140], y[:140])
    assert state(there)[0] == state(classifier)[0]


def held_out_of(y, fraction, seed):
    """The split that `fit` makes."""
    rng = np.random.default_rng(seed)
    return train_test_split(np.arange(len(y)), test_size=fraction, stratify=y, random_state=int(rng.integers(1 << 32)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_early_stopping_holds_rows_out(small, weighted, class_weight):
    """In each class a quarter; nothing comes from them but the loss, in which they count their weights."""
    X, y = small
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y)) if weighted else None
    parameters = {"max_epochs": 2, "random_state": 0, "class_weight": class_weight, "optimizer": "sgd"}
    stopping = {"early_stopping": True, "validation_fraction": 0.25}
    classifier = SteelClassifier(**parameters, **stopping).fit(X, y, sample_weight=weights)
    training, out = held_out_of(y, 0.25, 0)
    for name, count in zip(*np.unique(y, return_counts=True), strict=True):
        assert np.sum(y[out] == name) == pytest.approx(count / 4, abs=1)
    Z = X[training]
    w = None if weights is None else weights[training]
    np.testing.assert_allclose(classifier.mean_, np.average(Z, axis=0, weights=w), rtol=1e-12)
    # the same full steps as of the training rows alone, whatever is held out
    alone = {"batch_size": 1000} | parameters
    stopped = SteelClassifier(**alone, **stopping, tol=0.0).fit(X, y, sample_weight=weights)
    expected = SteelClassifier(**alone).fit(Z, y[training], sample_weight=w)
    np.testing.assert_allclose(stopped.coef_, expected.coef_, rtol=0, atol=1e-12)
    factors = np.ones(len(out)) if weights is None else weights[out]
    if class_weight:
        of_rows = np.ones(len(Z)) if w is None else w
        factors = factors / [of_rows[y[training] == name].sum() for name in y[out]]
    probs = stopped.predict_proba(X[out])
    loss = log_loss(y[out], probs, sample_weight=factors, labels=stopped.classes_)
    assert stopped.history_[-1]["validation_loss"] == pytest.approx(loss, rel=1e-12)


def test_held_out_rows_must_weigh_something(small):
    X, y = small
    training, out = held_out_of(y, 0.1, 0)
    for rows, which in ((training, "held out"), (out, "to train on")):
        weights = np.zeros(len(y))
        weights[rows] = 1
        with pytest.raises(ValueError, match=f"^sample_weight leaves all rows {which} with a weight of zero$"):
            SteelClassifier(early_stopping=True, random_state=0).fit(X, y, sample_weight=weights)


def test_a_held_out_loss_that_is_not_finite_is_an_error():
    X, y = heaps()
    held_out = (np.array([[1.7e308, -1.7e308]] * 3), [0, 1, 2])
    with pytest.raises(ValueError, match=r"the loss of the rows held out is (nan|inf) in epoch"):
        quick(standardize=False, early_stopping=True, learning_rate=1.0).fit(X, y, validation_data=held_out)


def test_a_warm_start_is_never_worse_than_what_it_starts_from(small):
    X, y = small
    held_out = (X[140:], y[140:])
    classifier = SteelClassifier(early_stopping=True, warm_start=True, random_state=0).fit(
        X[:140], y[:140], validation_data=held_out
    )
    loss = log_loss(held_out[1], classifier.predict_proba(held_out[0]), labels=classifier.classes_)
    again = classifier.set_params(learning_rate=3.0, l2=0.0).fit(X[:140], y[:140], validation_data=held_out)
    assert log_loss(held_out[1], again.predict_proba(held_out[0]), labels=again.classes_) <= loss


def test_the_tolerance_of_early_stopping(small):
    X, y = small
    options = {"early_stopping": True, "n_iter_no_change": 2, "random_state": 0}
    assert SteelClassifier(tol=10.0, **options).fit(X, y).n_iter_ == 1 + 2
    assert SteelClassifier(tol=0.0, max_epochs=12, **options).fit(X, y).n_iter_ == 12


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 19 + ["b"], "^early_stopping .* y has a single row of the class 'b'$"),
        (list("abcdefghijklmnopqrst"), "^early_stopping .* y has a single row of the class 'a'$"),
        (list("abcdefghij") * 2, "^validation_fraction must leave rows of all 10 classes .*, got 0.1 of 20 rows$"),
    ],
)
def test_too_few_rows_to_hold_some_out(y, message):
    X = np.arange(20.0)[:, np.newaxis]
    with pytest.raises(ValueError, match=message):
        quick(early_stopping=True).fit(X, y)
    quick().fit(X, y)


@pytest.mark.parametrize("parameters", [{}, NETWORK, {"dtype": "float32"}])
def test_warm_start(small, parameters):
    X, y = small
    classifier = quick(warm_start=True, **parameters).fit(X, y)
    cold, history, predicted = state(quick(**parameters).fit(X, y)), classifier.history_, classifier.predict_proba(X)
    assert state(classifier) == cold
    mean = classifier.mean_
    classifier.fit(X[:100], y[:100])
    assert classifier.n_iter_ == 6
    assert [epoch["epoch"] for epoch in classifier.history_] == [1, 2, 3, 4, 5, 6]
    assert classifier.history_[3]["loss"] < history[0]["loss"]
    assert classifier.mean_ is mean  # or the weights would mean something else
    assert len(history) == 3
    assert not np.array_equal(classifier.predict_proba(X), predicted)
    with pytest.raises(ValueError, match="classes of the fit before"):
        classifier.fit(X, np.where(y == "Bumps", "Z_Scratch", y))
    with pytest.raises(ValueError, match="26 features"):
        classifier.fit(X[:, 1:], y)
    with pytest.raises(ValueError, match="hidden_layer_sizes must stay"):
        classifier.set_params(hidden_layer_sizes=(3,)).fit(X, y)
    assert classifier.n_iter_ == 6


def test_weights_can_be_set(small):
    """As averages of classifiers in several places are."""
    X, y = small
    classifier, other = quick().fit(X, y), quick(random_state=1).fit(X, y)
    classifier.coef_, classifier.intercept_ = other.coef_, other.intercept_.tolist()
    np.testing.assert_array_equal(classifier.predict_proba(X), other.predict_proba(X))
    with pytest.raises(ValueError, match=r"coef_ must have shape \(7, 27\), got \(27, 7\)"):
        classifier.coef_ = other.coef_.T
    with pytest.raises(ValueError, match="intercept_ must be finite, got nan at index 1"):
        classifier.intercept_ = [0, np.nan, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(classifier.predict_proba(X), other.predict_proba(X))
    for name in ("coef_", "intercept_", "coefs_", "intercepts_", "n_iter_", "loss_curve_"):
        assert not hasattr(SteelClassifier(), name)


def test_another_schedule_begins_the_optimizer_anew(small):
    X, y = small
    options = {"standardize": False, "batch_size": 1000, "optimizer": "sgd", "learning_rate": 1e-9, "l2": 0.0}
    X = np.abs(X).max(axis=0) / X.shape[1] + X
    classifier = quick(schedule="one_cycle", max_epochs=100, **options).partial_fit(X, y, np.unique(y))
    first = np.abs(classifier.coef_).max()
    before = classifier.coef_.copy()
    classifier.set_params(schedule="constant").partial_fit(X, y)
    # a cycle begins with a 25th of the rate
    assert np.abs(classifier.coef_ - before).max() > 10 * first


@pytest.mark.parametrize(
    ("schedule", "made"),
    [
        ("step", lambda n: Step(0.02, -(-n // 3), 0.1)),
        ("cosine", lambda n: Cosine(0.02, n)),
        ("one_cycle", lambda n: OneCycle(0.02, n)),
    ],
)
def test_schedules_go_through_all_steps(small, schedule, made):
    """Full minibatches, so that the order of the rows does not matter: steps of the optimiser, one by one."""
    X, y = small
    parameters = {"standardize": False, "batch_size": 1000, "max_epochs": 7, "optimizer": "sgd", "l2": 0.0}
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    classifier = SteelClassifier(schedule=schedule, learning_rate=0.02, **parameters).fit(X, y)
    classes = np.unique(y)
    Y, w, b = (y[:, None] == classes).astype(float), np.zeros((27, 7)), np.zeros(7)
    rates = made(7)(np.arange(7))
    assert len(set(rates)) > 2
    for rate in rates:
        z = X @ w + b
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        w, b = w - rate * X.T @ (p - Y) / len(y), b - rate * (p - Y).mean(axis=0)
    np.testing.assert_allclose(classifier.coef_, w.T, rtol=0, atol=1e-13)
    np.testing.assert_allclose(classifier.intercept_, b, rtol=0, atol=1e-13)


# ---- speed of use


@pytest.mark.parametrize("parameters", [{}, {"dtype": "float32", "loss": "sigmoid_mse"}, NETWORK])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_without_the_checks_it_is_the_same(small, method, parameters):
    X, y = small
    classifier = quick(**parameters).fit(X, y)
    result = getattr(classifier, method)
    for rows in (X, X[:1], X.astype(np.float32)):
        np.testing.assert_array_equal(result(rows, check_input=False), result(rows), strict=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_prediction_of_a_row_depends_on_that_row_alone(small, loss):
    X, y = small
    classifier = quick(loss=loss).fit(X, y)
    together = classifier.predict_proba(X)
    for k in range(0, 200, 17):
        np.testing.assert_array_equal(classifier.predict_proba(X[k : k + 1]), together[k : k + 1])


# ---- models as files


def assert_same_model(loaded, classifier, X):
    assert state(loaded) == state(classifier)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(classifier, method)(X), strict=True)
    assert loaded.get_params() == classifier.get_params()
    assert vars(loaded).keys() == vars(classifier).keys()
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert loaded.predict_proba(X).dtype == classifier.predict_proba(X).dtype


@pytest.mark.parametrize(
    "parameters",
    [
        *({"loss": loss} for loss in LOSSES),
        {"dtype": "float32"},
        {"optimizer": "sgd", "learning_rate": np.float32(0.1), "batch_size": np.int64(7)},
        {"class_weight": "balanced", "l2": 1e-3, "standardize": False, "verbose": 0},
        {"random_state": None},
        {"hidden_layer_sizes": (6, np.int64(4)), "dropout": 0.1, "schedule": "step"},
        {"hidden_layer_sizes": 6, "activation": "tanh", "dtype": "float32"},
        {"early_stopping": True, "warm_start": True},
    ],
)
def test_round_trip(small, tmp_path, parameters):
    X, y = small
    classifier = quick(**parameters).fit(X, y, validation_data=small)
    classifier.save(tmp_path / "model.npz")
    assert_same_model(SteelClassifier.load(tmp_path / "model.npz"), classifier, X)
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, 5, 8]),
        np.array([1.0, 2.0, 3.0]),
        np.array(["a", "ä", "字"]),
        np.array(["a", "ä", "字"], dtype=object),
    ],
    ids=repr,
)
def test_round_trip_of_labels(tmp_path, names):
    X, k = heaps()
    classifier = quick(class_weight=dict(zip(names, (1, 2, 3), strict=True))).fit(X, names[k])
    classifier.save(tmp_path / "model.npz")
    assert_same_model(SteelClassifier.load(tmp_path / "model.npz"), classifier, X)


@pytest.mark.parametrize("classes", [[0, 1, 2], [False, True], [0.0, 1.0, 2.0], ["a", "b", "c"]], ids=str)
def test_round_trip_of_objects(tmp_path, classes):
    X, k = heaps(len(classes))
    classifier = quick().partial_fit(X, np.array(classes)[k], classes=np.array(classes, object))
    classifier.save(tmp_path / "model.npz")
    loaded = SteelClassifier.load(tmp_path / "model.npz")
    assert_same_model(loaded, classifier, X)
    assert loaded.classes_.dtype == object
    assert [type(each) for each in loaded.classes_] == [type(each) for each in classes]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.array(["2026-11-01", "2026-11-02"], "datetime64[D]"), r"classes_ is an array .* datetime64\[D\], wanted"),
        (np.array(["a", "b\0"], object), r"classes_ has 'b\\x00' of type str, which would come back as 'b'"),
        (np.array([False, 1, 2], object), "classes_ has False of type bool, which would come back as 0 of type int"),
        (np.array([0, 1, 2**70], object), "classes_ is an array .* dtype object, wanted"),
    ],
    ids=repr,
)
def test_classes_that_no_file_can_hold(tmp_path, classes, message):
    X, k = heaps(2)
    y = k if classes.dtype == object and len(classes) > 2 else classes[k]
    classifier = quick().partial_fit(X, y, classes=classes)
    assert set(classifier.predict(X)) <= set(classes)
    with pytest.raises(ValueError, match=f"^this model cannot be written to a file: {message}"):
        classifier.save(tmp_path / "model.npz")
    assert not os.listdir(tmp_path)


def test_feature_names_that_no_file_can_hold(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = heaps()
    classifier = quick().fit(pandas.DataFrame(X, columns=["a", "b\0"]), y)
    message = r"^this model cannot be written to a file: feature_names_in_ has 'b\\x00' of type str, which would come"
    with pytest.raises(ValueError, match=message):
        classifier.save(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class_weight": [1, 2]}, "^class_weight must be a dict"),
        ({"class_weight": {(0, 1): 2}}, "^this model cannot be written to a file"),
        ({"max_epochs": 0}, "^max_epochs must be at least 1"),
    ],
    ids=str,
)
def test_what_was_set_to_nonsense_is_not_saved(tmp_path, changed, message):
    path = tmp_path / "model.npz"
    path.write_bytes(b"the old one")
    with pytest.raises(ValueError, match=message):
        quick().fit(*heaps()).set_params(**changed).save(path)
    assert path.read_bytes() == b"the old one"


def test_round_trip_of_feature_names(small, tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = small
    frame = pandas.DataFrame(X, columns=[f"größe {k}" for k in range(27)])
    classifier = quick().fit(frame, pandas.Series(y))
    classifier.save(tmp_path / "model.npz")
    loaded = SteelClassifier.load(tmp_path / "model.npz")
    assert_same_model(loaded, classifier, frame)
    assert loaded.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[frame.columns[::-1]])


def test_a_loaded_model_can_be_cloned_and_fitted_again(small, tmp_path):
    classifier = quick().fit(*small)
    classifier.save(tmp_path / "model.npz")
    again = clone(SteelClassifier.load(tmp_path / "model.npz")).fit(*small)
    assert state(again) == state(classifier)


def test_a_generator_is_not_kept(small, tmp_path):
    quick(random_state=np.random.RandomState(0)).fit(*small).save(tmp_path / "model.npz")
    assert SteelClassifier.load(tmp_path / "model.npz").random_state is None


def test_to_save_draws_nothing(small, tmp_path):
    classifier = quick(random_state=None, dropout=0.1, **NETWORK).fit(*small)
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002 -- what None stands for
    classifier.save(tmp_path / "model.npz")
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_any_name_will_do(small, tmp_path):
    path = tmp_path / "model of ours"
    quick().fit(*small).save(str(path))
    assert os.listdir(tmp_path) == [path.name]
    SteelClassifier.load(str(path))


def test_only_a_fitted_model_can_be_saved(tmp_path):
    with pytest.raises(Exception, match="not fitted yet"):
        SteelClassifier().save(tmp_path / "model.npz")
    assert not os.listdir(tmp_path)


def test_a_save_that_fails_leaves_the_old_model(small, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(b"the old one")
    classifier = quick().fit(*small)

    def fail(self, target):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        classifier.save(path)
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["model.npz"]


def test_hidden_layers_in_a_file(small, tmp_path):
    """Whatever way they lie in memory: the weights of each layer, units by inputs, and after them the biases."""
    X, y = small
    classifier = SteelClassifier(hidden_layer_sizes=(5, 3), max_epochs=2, random_state=0).fit(X, y)
    classifier.save(tmp_path / "model.npz")
    expected = np.concatenate([*(w.T.ravel() for w in classifier.coefs_), *classifier.intercepts_])
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["parameters"], expected)
    loaded = SteelClassifier.load(tmp_path / "model.npz")
    for one, other in zip(loaded.coefs_ + loaded.intercepts_, classifier.coefs_ + classifier.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_is_no_pickle(small, tmp_path):
    quick().fit(*small).save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.npz"
    quick(max_epochs=1).fit(*heaps()).save(path)
    return path


def assert_no_model(path):
    with pytest.raises(ValueError, match="is no model of SteelClassifier, or damaged: ") as raised:
        SteelClassifier.load(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        SteelClassifier.load(tmp_path / "absent.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"not a model", b"\x93NUMPY\x01\x00", b"\x80\x04N."])
def test_foreign_bytes(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    assert_no_model(path)


def test_foreign_arrays(tmp_path):
    path = tmp_path / "model.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert_no_model(path)
    np.savez(path, a=np.zeros(3))
    assert_no_model(path)


def test_truncated_files(model_file):
    content = model_file.read_bytes()
    for length in range(0, len(content), 13):
        model_file.write_bytes(content[:length])
        assert_no_model(model_file)


def test_altered_files(model_file):
    """One byte altered: an error, or, where the byte says nothing, the same model."""
    X, _ = heaps()
    classifier = SteelClassifier.load(model_file)
    content = bytearray(model_file.read_bytes())
    rng = np.random.default_rng(0)
    n_errors = 0
    for position in range(0, len(content), 7):
        altered = content.copy()
        altered[position] ^= rng.integers(1, 256)
        model_file.write_bytes(altered)
        try:
            loaded = SteelClassifier.load(model_file)
        except ValueError:
            n_errors += 1
        else:
            assert state(loaded) == state(classifier)
            np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert n_errors > 100


def rewritten(path, **changed):
    with np.load(path) as archive:
        arrays = dict(archive) | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    "changed",
    [
        {"about": None},
        {"about": np.frombuffer(b"{}", np.uint8)},
        {"about": np.frombuffer(b"no JSON", np.uint8)},
        {"coef_": None},
        {"coef_": np.zeros(2)},
        {"coef_": np.zeros((3, 3))},
        {"coef_": np.full((3, 2), np.nan)},
        {"coef_": np.zeros((3, 2), int)},
        {"intercept_": np.zeros(2)},
        {"scale_": np.array([1, np.inf])},
        {"mean_": np.array(["a", "b"])},
        {"classes_": np.arange(4)},
        {"feature_names_in_": np.array(["a"])},
    ],
    ids=str,
)
def test_whole_archives_with_the_wrong_arrays(model_file, changed):
    rewritten(model_file, **changed)
    assert_no_model(model_file)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "other"},
        {"version": 1},
        {"parameters": {}},
        {"parameters": {"class_weight": None, "loss": "hinge"}},
        {"parameters": {"class_weight": None, "unknown": 1}},
        {"history": None},
    ],
    ids=str,
)
def test_whole_archives_with_the_wrong_description(model_file, changed):
    with np.load(model_file) as archive:
        about = json.loads(archive["about"].tobytes())
    rewritten(model_file, about=np.frombuffer(json.dumps(about | changed).encode(), np.uint8))
    assert_no_model(model_file)


def test_the_description_takes_a_byte_for_a_character(model_file):
    with np.load(model_file) as archive:
        about = archive["about"]
    assert about.dtype == np.uint8
    assert json.loads(bytes(about))["version"] == 3


def test_pickled_arrays_are_not_opened(model_file):
    with np.load(model_file) as archive:
        arrays = dict(archive) | {"classes_": np.array([0, 1, 2], dtype=object)}
    np.savez(model_file, **arrays)
    assert_no_model(model_file)


@pytest.mark.parametrize(
    ("name", "made", "message"),
    [
        ("mean_", lambda a: a.astype(np.float32), "mean_ has dtype float32, wanted float64"),
        ("scale_", lambda a: a.astype(">f8"), "scale_ has dtype >f8, wanted float64"),
        ("scale_", np.zeros_like, "scale_ has numbers that are not positive"),
        ("scale_", np.negative, "scale_ has numbers that are not positive"),
        ("coef_", lambda a: a.astype(np.float32), "coef_ has dtype float32, wanted float64"),
        ("classes_", lambda a: a[::-1], "classes_ are not in order"),
        ("classes_", lambda a: np.repeat(a[:1], len(a)), "classes_ are not in order, or not all different"),
        ("classes_", lambda a: a[:0], "wanted one label at least"),
        ("classes_", lambda a: a.astype([("text", "U9")]), "wanted one label at least, numbers or texts"),
        ("feature_names_in_", lambda a: np.arange(2), "wanted 2 different texts"),
        ("feature_names_in_", lambda a: np.repeat("a", 2), "wanted 2 different texts"),
        ("more", lambda a: np.zeros(3), "it has other arrays"),
    ],
)
def test_arrays_that_make_no_model(model_file, name, made, message):
    with np.load(model_file) as archive:
        arrays = dict(archive)
    arrays[name] = made(arrays.get(name))
    np.savez(model_file, **arrays)
    with pytest.raises(ValueError, match=f"damaged: .*{message}"):
        SteelClassifier.load(model_file)


def test_compressed_archives_are_not_unpacked(model_file):
    """A file of a megabyte might fill the memory."""
    with np.load(model_file) as archive:
        np.savez_compressed(model_file, **dict(archive))
    with pytest.raises(ValueError, match="damaged: its arrays are compressed"):
        SteelClassifier.load(model_file)


def test_a_link_stays_a_link(small, tmp_path):
    classifier = quick().fit(*small)
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "model.npz", tmp_path / "there" / "model.npz"
    link.symlink_to(target)
    classifier.save(link)
    assert link.is_symlink()
    assert_same_model(SteelClassifier.load(target), classifier, small[0])
    with pytest.raises(IsADirectoryError, match="there"):
        classifier.save(tmp_path / "there")


def test_a_parameter_that_no_file_can_hold_is_named(small, tmp_path):
    classifier = quick(class_weight={"Bumps": Fraction(1, 2)}).fit(*small)
    classifier.save(tmp_path / "model.npz")
    assert SteelClassifier.load(tmp_path / "model.npz").class_weight == {"Bumps": 0.5}
    with pytest.raises(TypeError, match=r"a model with a parameter Fraction.* cannot be written to a file"):
        classifier.set_params(random_state=Fraction(1, 2)).save(tmp_path / "other.npz")
    assert os.listdir(tmp_path) == ["model.npz"]


def test_the_archive_is_a_zip_file_of_arrays(model_file):
    assert zipfile.is_zipfile(model_file)


# ---- without scikit-learn


def test_without_scikit_learn_the_message_says_what_to_install():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import steelfast\n"
        "try: steelfast.SteelClassifier\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert 'pip install "steelfast[sklearn]"' in done.stdout


def test_without_scikit_learn_all_that_is_listed_is_there():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import inspect, steelfast\n"
        "from steelfast import *\n"
        "names = {name for name, _ in inspect.getmembers(steelfast)}\n"
        "print('SteelClassifier' in names, 'softmax' in names, textbook.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False True steelfast.textbook\n"


def test_it_is_the_packages():
    assert steelfast.SteelClassifier is SteelClassifier


@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_a_fit_in_another_thread_is_seen_whole_or_not_at_all(monkeypatch, method, hidden):
    """A fit ends while the logits are made, as it may in another thread; also between the parts of many rows."""
    X, y = heaps()
    classifier = SteelClassifier(hidden_layer_sizes=hidden, max_epochs=2, random_state=0).fit(X, y)
    rows = np.tile(X, (-(-70_000 // len(X)), 1)) if method == "predict" else X
    before = getattr(classifier, method)(rows)
    model = type(classifier._model)
    logits_of = model.logits

    def logits(self, *arguments):
        result = logits_of(self, *arguments)
        monkeypatch.setattr(model, "logits", logits_of)
        classifier.fit(1000 * X + 5, np.where(y == y[0], -2, 20 + y))
        return result

    monkeypatch.setattr(model, "logits", logits)
    np.testing.assert_array_equal(getattr(classifier, method)(rows), before)
    assert classifier.classes_.min() == -2


@pytest.mark.parametrize("constant", [1.7e18, 1e16 / 3, 1.23e16, 1e12 / 3, -1e150])
def test_a_constant_becomes_0_however_large_it_is(constant):
    X, y = heaps()
    features = np.column_stack([np.full(len(y), constant), X])
    classifier = SteelClassifier(max_epochs=3, random_state=0).fit(features, y)
    assert (classifier.mean_[0], classifier.scale_[0]) == (constant, 1)
    without = SteelClassifier(max_epochs=3, random_state=0).fit(X, y)
    np.testing.assert_allclose(classifier.loss_curve_, without.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e20), ("float64", 1e160)])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_square_that_overflows_is_a_divergence(optimizer, dtype, scale, hidden):
    """The parameters stay finite, for a step by it is 0; but nothing is learned any more."""
    rows = (np.random.default_rng(0).normal(size=(200, 2)) * scale).astype(dtype)
    classifier = SteelClassifier(
        optimizer=optimizer, hidden_layer_sizes=hidden, standardize=False, dtype=dtype, max_epochs=3, l2=0.0
    )
    with pytest.raises(ValueError, match=r"^training left the finite numbers in epoch .* these features, which reach"):
        classifier.fit(rows, rows[:, 0] > 0)


@pytest.mark.parametrize("parameters", [{}, NETWORK], ids=["linear", "hidden"])
@pytest.mark.parametrize(("dtype", "value"), [("float32", 1e300), ("float64", 1.7e308)])
def test_rows_too_large_for_the_model_are_named_without_a_warning(parameters, dtype, value):
    """A single one and many; warnings are errors in this suite."""
    X, y = heaps()
    classifier = quick(dtype=dtype, **parameters).fit(X, y)
    for n in 1, 100:
        with pytest.raises(
            ValueError, match=rf"^X is too large for a model of {dtype}: it reaches {value:g}$".replace("+", r"\+")
        ):
            classifier.predict(np.full((n, 2), value))
