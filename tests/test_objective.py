"""Loss and gradient as sums: against NumPy, finite differences and scikit-learn's minimum; parts make the whole."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

import steelfast
from steelfast.heads import HEADS
from steelfast.objective import loss_and_grad

every_loss = pytest.mark.parametrize("loss", HEADS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_shape = pytest.mark.parametrize(
    ("n_rows", "n_features", "n_classes"),
    [(1, 1, 2), (23, 5, 4), (333, 27, 7), (1000, 3, 65), (70, 0, 3), (9, 4, 1), (20_000, 2, 3)],
)


def of_numpy(X, y, coef, intercept, loss, weights):
    """By the textbook's formulas."""
    z = X @ coef.T + intercept
    one_hot = np.eye(z.shape[1])[y]
    if loss == "softmax_cross_entropy":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        losses, grad = -(one_hot * np.log(p)).sum(axis=1), p - one_hot
    else:
        p = 1 / (1 + np.exp(-z))
        if loss == "sigmoid_mse":
            losses, grad = ((p - one_hot) ** 2).mean(axis=1), 2 * (p - one_hot) * p * (1 - p)
        else:
            losses = -(one_hot * np.log(p) + (1 - one_hot) * np.log(1 - p)).mean(axis=1)
            grad = p - one_hot
        grad /= z.shape[1]
    grad *= weights[:, None]
    return weights @ losses, grad.T @ X, grad.sum(axis=0)


def problem(n_rows, n_features, n_classes, dtype=np.float64, seed=60):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    coef = rng.normal(size=(n_classes, n_features)).astype(dtype)
    return X, rng.integers(0, n_classes, n_rows), coef, rng.normal(size=n_classes).astype(dtype)


@every_loss
@every_dtype
@every_shape
@pytest.mark.parametrize("weighted", [False, True])
def test_against_numpy(loss, dtype, n_rows, n_features, n_classes, weighted):
    X, y, coef, intercept = problem(n_rows, n_features, n_classes, dtype)
    weights = np.random.default_rng(61).integers(0, 4, n_rows) / 2.0 if weighted else np.ones(n_rows)
    got = loss_and_grad(X, y, coef, intercept, loss=loss, sample_weight=weights if weighted else None)
    expected = of_numpy(X.astype(float), y, coef.astype(float), intercept, loss, weights)
    limit = {np.float32: 2e-6, np.float64: 1e-14}[dtype] * (1 + n_rows)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=limit, atol=limit)
    assert type(got[0]) is float
    for mine, shape in zip(got[1:], (coef.shape, intercept.shape), strict=True):
        assert (mine.dtype, mine.shape, mine.flags.c_contiguous) == (dtype, shape, True)


@every_loss
def test_against_finite_differences(loss):
    X, y, coef, intercept = problem(40, 3, 4)
    weights = np.random.default_rng(62).random(40)
    together = np.column_stack([coef, intercept])

    def value(parameters):
        return loss_and_grad(X, y, parameters[:, :-1], parameters[:, -1], loss=loss, sample_weight=weights)[0]

    _, grad_coef, grad_intercept = loss_and_grad(X, y, coef, intercept, loss=loss, sample_weight=weights)
    gradient = np.column_stack([grad_coef, grad_intercept])
    h = 1e-3
    for place in np.ndindex(together.shape):
        step = np.zeros_like(together)
        step[place] = h
        central = 8 * (value(together + step) - value(together - step))
        slope = (central - value(together + 2 * step) + value(together - 2 * step)) / (12 * h)
        assert gradient[place] == pytest.approx(slope, rel=1e-8, abs=1e-9)


@every_loss
@every_dtype
def test_parts_of_the_rows_make_the_whole(loss, dtype):
    X, y, coef, intercept = problem(1001, 27, 7, dtype)
    weights = np.random.default_rng(63).random(1001)
    whole = loss_and_grad(X, y, coef, intercept, loss=loss, sample_weight=weights)
    edges = [0, 1, 400, 400, 1001]  # one of one row, one without any
    parts = [
        loss_and_grad(X[a:b], y[a:b], coef, intercept, loss=loss, sample_weight=weights[a:b])
        for a, b in pairwise(edges)
    ]
    limits = {"rtol": 1e-5, "atol": 1e-3} if dtype == np.float32 else {"rtol": 1e-12}
    for mine, theirs in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_allclose(mine, sum(theirs), **limits)


def test_sums_over_many_rows_in_float32():
    X, y, coef, intercept = problem(1_000_000, 3, 4, np.float32)
    _, *got = loss_and_grad(X + 1, y, coef, intercept)
    _, *exact = loss_and_grad((X + 1).astype(float), y, coef, intercept)
    for mine, theirs in zip(got, exact, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * abs(theirs).max())


def test_a_weight_is_as_many_rows():
    X, y, coef, intercept = problem(50, 4, 3)
    times = np.random.default_rng(64).integers(0, 4, 50)
    weighted = loss_and_grad(X, y, coef, intercept, sample_weight=times)
    repeated = loss_and_grad(np.repeat(X, times, axis=0), np.repeat(y, times), coef, intercept)
    for mine, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-13)


def test_its_minimum_is_that_of_scikit_learn():
    X, y = steelfast.load_steel_plates(source="twin", return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    l2, shape = 0.01, (7, X.shape[1] + 1)

    def objective(flat):
        parameters = flat.reshape(shape)
        loss, grad_coef, grad_intercept = loss_and_grad(X, y, parameters[:, :-1], parameters[:, -1])
        gradient = np.column_stack([grad_coef / len(X) + l2 * parameters[:, :-1], grad_intercept / len(X)])
        return loss / len(X) + l2 / 2 * (parameters[:, :-1] ** 2).sum(), gradient.ravel()

    found = minimize(
        objective,
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-10, "ftol": 0, "maxiter": 10_000},
    )
    theirs = LogisticRegression(C=1 / (l2 * len(X)), tol=1e-9, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(found.x.reshape(shape)[:, :-1], theirs.coef_, atol=1e-4)


def test_it_is_the_gradient_that_the_classifier_follows():
    """One step of SGD on all rows at once."""
    X, y, _, _ = problem(60, 4, 3)
    classifier = steelfast.SteelClassifier(
        optimizer="sgd", learning_rate=0.5, batch_size=60, max_epochs=1, l2=0.0, standardize=False, random_state=0
    ).fit(X, y)
    _, grad_coef, grad_intercept = loss_and_grad(X, y, np.zeros((3, 4)), np.zeros(3))
    np.testing.assert_allclose(classifier.coef_, -0.5 * grad_coef / 60, rtol=1e-12)
    np.testing.assert_allclose(classifier.intercept_, -0.5 * grad_intercept / 60, rtol=1e-12)


def misaligned(array):
    """The same four bytes further on, as arrays may arrive from another machine."""
    buffer = np.empty(array.nbytes + 12, np.uint8)
    moved = buffer[(4 - buffer.ctypes.data) % 8 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def test_any_form_of_the_arrays():
    X, y, coef, intercept = problem(30, 4, 3)
    expected = loss_and_grad(X, y, coef, intercept)
    X.flags.writeable = False
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    for x, labels, w, b in [
        (X, y.astype(np.uint8), coef, intercept),
        (np.asfortranarray(X), y.tolist(), np.asfortranarray(coef), intercept.tolist()),
        (wide, y[::-1][::-1], coef.astype(">f8"), intercept),
        tuple(map(misaligned, (X, y, coef, intercept))),
    ]:
        for mine, theirs in zip(loss_and_grad(x, labels, w, b), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert loss_and_grad(X.astype(np.float32), y, coef, intercept)[1].dtype == np.float64
    assert loss_and_grad(X.astype(np.float16), y, *(a.astype(np.float32) for a in (coef, intercept)))[1].dtype == "f4"
    assert loss_and_grad(np.ones((2, 1), int), [0, 1], [[1], [2]], [0, 0])[1].dtype == np.float64


def test_no_rows():
    loss, grad_coef, grad_intercept = loss_and_grad(np.empty((0, 4)), [], np.ones((3, 4)), np.ones(3))
    assert loss == 0
    assert not grad_coef.any()
    assert not grad_intercept.any()


def test_arguments_stay_as_they_are():
    arrays = problem(30, 4, 3)
    before = [each.copy() for each in arrays]
    results = loss_and_grad(*arrays)
    for mine, theirs in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not any(np.shares_memory(a, b) for a in results[1:] for b in arrays)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.zeros(4)}, ValueError, "X must be a matrix, got an array of shape (4,)"),
        ({"X": np.zeros((3, 5))}, ValueError, "X must have the 4 features of coef, got shape (3, 5)"),
        ({"X": np.full((3, 4), "a")}, TypeError, "X must hold real numbers"),
        ({"X": np.zeros((3, 4), complex)}, TypeError, "X must hold real numbers"),
        ({"X": [[1, 2], [3]]}, ValueError, "X must be an array, or lists of equal lengths"),
        ({"coef": np.zeros(4)}, ValueError, "coef must be a matrix, got an array of shape (4,)"),
        ({"coef": np.zeros((0, 4))}, ValueError, "coef must have a row for at least one class, got shape (0, 4)"),
        ({"intercept": np.zeros(3)}, ValueError, "intercept must have shape (2,), got (3,)"),
        ({"y": [0, 1]}, ValueError, "y must hold one label for each row, shape (3,), got shape (2,)"),
        ({"y": [0, 1, 2]}, ValueError, "y must lie in 0 … 1, got label 2 in row 2"),
        ({"y": [0, -1, 2]}, ValueError, "y must lie in 0 … 1, got label -1 in row 1"),
        ({"y": np.array([0, 2**64 - 1, 0], np.uint64)}, ValueError, "y must lie in 0 … 1, got label 18446744"),
        ({"y": [0.0, 1.0, 1.0]}, TypeError, "y must hold integer labels, got an array of shape (3,) and dtype float64"),
        ({"y": [True, False, True]}, TypeError, "y must hold integer labels"),
        ({"loss": "hinge"}, ValueError, "loss must be one of 'softmax_cross_entropy', 'sigmoid_mse', "),
        ({"loss": None}, ValueError, "loss must be one of 'softmax_cross_entropy', 'sigmoid_mse', "),
        ({"sample_weight": [1, 2]}, ValueError, "sample_weight must have shape (3,), got (2,)"),
        ({"sample_weight": [1, -1, 2]}, ValueError, "sample_weight must be finite and not negative, got -1"),
        ({"sample_weight": [1, np.nan, 2]}, ValueError, "sample_weight must be finite and not negative, got nan"),
    ],
)  # fmt: skip
def test_bad_arguments(change, error, message):
    arguments = {"X": np.zeros((3, 4)), "y": [0, 1, 1], "coef": np.zeros((2, 4)), "intercept": [0.0, 0.0]}
    with pytest.raises(error) as caught:
        loss_and_grad(**arguments | change)
    assert str(caught.value).startswith(message)


def test_a_weight_that_is_finite_but_not_in_float32():
    arguments = {name: np.zeros(shape, np.float32) for name, shape in [("X", (2, 4)), ("coef", (2, 4))]}
    with pytest.raises(ValueError, match=r"^sample_weight must be finite in float32 and not negative, got 1e\+39 at"):
        loss_and_grad(**arguments, intercept=np.zeros(2, np.float32), y=[0, 1], sample_weight=[1, 1e39])


def test_what_leaves_float32_does_so_without_a_word():
    """Warnings are errors in this suite."""
    coef, intercept = np.zeros((2, 1), np.float32), np.zeros(2, np.float32)
    with np.errstate(all="raise"):
        _, grad, _ = loss_and_grad(np.full((25_000, 1), 3e34, np.float32), [0] * 25_000, coef, intercept)
        _, tiny, _ = loss_and_grad(
            np.full((3, 1), 3e-41, np.float32), [0] * 3, coef, intercept, sample_weight=np.full(3, 1e-3, np.float32)
        )
    np.testing.assert_array_equal(grad, [[-np.inf], [np.inf]])
    assert np.abs(tiny).max() < 1e-43
