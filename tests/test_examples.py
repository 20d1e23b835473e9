"""The example package, built against the steelfast that is imported here, and its focal loss against mpmath."""

from pathlib import Path

import numpy as np
import pytest
from compiled import compiled
from exact import exactly, exp, log

import steelfast

EXAMPLE = Path(__file__).parents[1] / "examples" / "cimport"
DTYPES = [np.float32, np.float64]


@pytest.fixture(scope="module")
def focal_loss(tmp_path_factory):
    module = compiled(EXAMPLE / "focal_loss.pyx", tmp_path_factory.mktemp("cimport"), steelfast.available_isas()[-1])
    return module.focal_loss


def exact_focal_loss(logits, labels, gamma):
    """By its definition, in 50 digits: the loss, and dL/dp · dp/dz."""
    exps = exp(exactly(logits))
    probs = exps / exps.sum(-1, keepdims=True)
    is_label = np.arange(logits.shape[1]) == labels[:, None]
    p = np.where(is_label, probs, 0).sum(-1)
    q = np.where(is_label, 0, probs).sum(-1)
    slope = gamma * q ** (gamma - 1) * log(p) - q**gamma / p
    return -(q**gamma) * log(p), slope[:, None] * p[:, None] * (is_label - probs)


def assert_close(result, exact, eps):
    """Relative errors of some ULP; what underflows is 0."""
    assert np.all(np.isfinite(result))
    errors = np.abs(exactly(result) - exact)
    tolerance = eps * np.abs(exact) + np.finfo(result.dtype).tiny
    assert np.all(errors <= tolerance), f"{float(np.max(errors / tolerance))} times the tolerance"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("shape", [(1, 2), (16, 7), (37, 3), (33, 128)])
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_loss_and_gradient(focal_loss, dtype, gamma, shape, scale):
    rng = np.random.default_rng(50)
    logits = (scale * rng.standard_normal(shape)).astype(dtype)
    labels = rng.integers(shape[1], size=shape[0])
    labels[::3] = np.argmax(logits[::3], axis=1)
    loss, grad = focal_loss(logits, labels, gamma)
    assert loss.dtype == grad.dtype == dtype
    exact_loss, exact_grad = exact_focal_loss(logits, labels, gamma)
    # q**gamma is exp(gamma log q): an error in the last place of the exponent, which is below 150 here, is relative
    eps = (8 + 150 * gamma) * np.finfo(dtype).eps
    assert_close(loss, exact_loss, eps)
    assert_close(grad, exact_grad, eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gamma_0_is_the_cross_entropy(focal_loss, dtype):
    rng = np.random.default_rng(51)
    logits = rng.normal(0, 100, (40, 5)).astype(dtype)
    labels = rng.integers(5, size=40)
    ours = steelfast.softmax_cross_entropy_value_and_grad(logits, labels, reduction="none")
    for result, expected in zip(focal_loss(logits, labels, 0.0), ours, strict=True):
        np.testing.assert_allclose(result, expected, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def test_special_rows(focal_loss):
    inf, nan = np.inf, np.nan
    rows = [[nan, 0, 0], [inf, 0, 1], [0, inf, 1], [1, 1, -inf], [inf, inf, 0], [3e38, -3e38, 0]]
    loss, grad = focal_loss(np.array(rows, np.float32), np.array([1, 0, 0, 2, 0, 0]), 2.0)
    np.testing.assert_array_equal(loss, [nan, 0, inf, inf, nan, 0])
    assert np.isnan(grad[[0, 4]]).all()
    np.testing.assert_array_equal(grad[[1, 2, 3, 5]], [[0, 0, 0], [-1, 1, 0], [0.5, 0.5, -1], [0, 0, 0]])


def test_no_rows(focal_loss):
    loss, grad = focal_loss(np.empty((0, 3)), np.empty(0, np.intp))
    assert loss.shape == (0,)
    assert grad.shape == (0, 3)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((2, 3), [0, 3], "labels must be from 0 to 2; got 3 in row 1"),
        ((2, 3), [-1, 0], "labels must be from 0 to 2; got -1 in row 0"),
        ((2, 3), [0], "labels must be as many as the rows of logits, 2; got 1"),
        ((1, 129), [0], "logits must have 1 to 128 columns; got 129"),
        ((1, 0), [0], "logits must have 1 to 128 columns; got 0"),
    ],
)
def test_what_is_refused(focal_loss, shape, labels, message):
    with pytest.raises(ValueError, match=message):
        focal_loss(np.zeros(shape), np.array(labels, np.intp))


@pytest.mark.parametrize(
    "name", ["_elementary.h", "_exp.h", "_transpose.h", "_elementary.pxd", "_rows.pxd", "__init__.py"]
)
def test_what_the_example_includes_is_where_get_include_says(name):
    assert (Path(steelfast.get_include()) / name).is_file()
