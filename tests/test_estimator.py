"""SteelClassifier: scikit-learn's own checks, what it learns, and models as files."""

import json
import os
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

import steelfast
from steelfast import SteelClassifier
from steelfast.datasets import load_steel_plates, read_steel_plates

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


def quick(**parameters):
    return SteelClassifier(**({"max_epochs": 3, "random_state": 0} | parameters))


def state(classifier):
    """All that was learned, bit for bit."""
    arrays = ("coef_", "intercept_", "mean_", "scale_", "classes_")
    return [getattr(classifier, name).tolist() for name in arrays], classifier.history_


# ---- scikit-learn's checks


@parametrize_with_checks(
    [
        SteelClassifier(),
        SteelClassifier(loss="sigmoid_mse", optimizer="rmsprop"),
        SteelClassifier(loss="sigmoid_cross_entropy", optimizer="sgd"),
        SteelClassifier(optimizer="momentum", class_weight="balanced", l2=1e-4),
        SteelClassifier(standardize=False),
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


def test_a_hold_out_on_the_real_file(real):
    from sklearn.model_selection import train_test_split

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
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"Epoch 1: loss={classifier.loss_curve_[0]:.4f}, accuracy=0.")
    assert "validation_loss=" in lines[0]
    quick().fit(*small)
    assert not capsys.readouterr().out


# ---- inputs


def test_data_frames(small):
    pandas = pytest.importorskip("pandas")
    X, y = small
    names = [f"feature {k}" for k in range(27)]
    frame, series = pandas.DataFrame(X, columns=names), pandas.Series(y)
    classifier = quick().fit(frame, series)
    assert classifier.feature_names_in_.tolist() == names
    assert classifier.coef_.tolist() == quick().fit(X, y).coef_.tolist()
    assert classifier.predict(frame).tolist() == quick().fit(X, y).predict(X).tolist()
    assert classifier.score(frame, series) > 0.4
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame[names[::-1]])


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
        ({"l2": -1e-3}, ValueError, "^l2 must be at least 0 and finite"),
        ({"l2": np.nan}, ValueError, "^l2 must be at least 0 and finite"),
        ({"dtype": "float16"}, ValueError, "^dtype must be one of .*'float16'"),
        ({"class_weight": "fair"}, ValueError, "class_weight"),
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
        ({"validation_data": (np.ones((2, 3)), [0, 1])}, "3 features"),
        ({"validation_data": (np.ones((2, 2)), [0])}, "inconsistent numbers of samples"),
    ],
)
def test_bad_data(options, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(*heaps(), **options)


def test_divergence_is_an_error():
    X, y = heaps()
    with pytest.raises(ValueError, match=r"learning_rate 1e\+308 is too large"):
        SteelClassifier(optimizer="sgd", learning_rate=1e308, standardize=False).fit(X, y)


# ---- models as files


def assert_same_model(loaded, classifier, X):
    assert state(loaded) == state(classifier)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(classifier, method)(X), strict=True)
    assert loaded.get_params() == classifier.get_params()
    assert vars(loaded).keys() == vars(classifier).keys()
    for name in ("classes_", "coef_", "intercept_"):
        assert getattr(loaded, name).dtype == getattr(classifier, name).dtype


@pytest.mark.parametrize(
    "parameters",
    [
        *({"loss": loss} for loss in LOSSES),
        {"dtype": "float32"},
        {"optimizer": "sgd", "learning_rate": np.float32(0.1), "batch_size": np.int64(7)},
        {"class_weight": "balanced", "l2": 1e-3, "standardize": False, "verbose": 0},
        {"random_state": None},
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


def test_it_is_the_packages():
    assert steelfast.SteelClassifier is SteelClassifier
