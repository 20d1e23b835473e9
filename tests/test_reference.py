"""The oracle itself, against 50 digits: what the kernels are timed against computes the same."""

import numpy as np
import pytest
from kernel_cases import KERNELS, softmax_cross_entropy_cases

from steelfast import reference

RNG = np.random.default_rng(40)
LOGITS = RNG.normal(0, 3, (11, 5))
PROBS = RNG.dirichlet(np.ones(5), 11)
ONE_HOT = np.eye(5)[RNG.integers(5, size=11)]


def assert_close(result, exact):
    expected = np.asarray(exact.values).astype(float)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.exact])
def test_values(name):
    kernel = KERNELS[name]
    arguments = kernel.arguments((11, 5), np.float64, np.random.default_rng(41), 3.0)
    assert_close(kernel.reference(*arguments, **kernel.each), kernel.exact(*arguments))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=str)
def test_works_in_the_dtype_of_its_input(kernel, dtype):
    arguments = kernel.arguments((4, 5), dtype, np.random.default_rng(42), 1.0)
    results = kernel.reference(*arguments)
    for result in results if isinstance(results, tuple) else (results,):
        assert result.dtype == dtype


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if "axis" in kernel.takes])
def test_axis(name):
    kernel = KERNELS[name]
    arguments = kernel.arguments((4, 5), np.float64, np.random.default_rng(43), 1.0)
    along_last = kernel.reference(*arguments)
    along_first = kernel.reference(*(argument.T for argument in arguments), axis=0)
    np.testing.assert_allclose(along_first.T, along_last, rtol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("targets", "options"), softmax_cross_entropy_cases(11, 5))
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_options_of_softmax_cross_entropy(name, targets, options, reduction):
    kernel = KERNELS[name]
    options = {"reduction": reduction, **options}
    assert_close(kernel.reference(LOGITS, targets, **options), kernel.exact(LOGITS, targets, **options))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "sigmoid_cross_entropy_grad"])
def test_pos_weight_of_sigmoid_cross_entropy(name, reduction):
    kernel = KERNELS[name]
    options = {"reduction": reduction, "pos_weight": np.linspace(0.5, 3, 5)}
    assert_close(kernel.reference(LOGITS, PROBS, **options), kernel.exact(LOGITS, PROBS, **options))


def test_a_mean_over_nothing_is_nan_and_its_gradient_zero():
    ignored = {"ignore_index": 3}
    labels = np.full(11, 3)
    assert np.isnan(reference.softmax_cross_entropy(LOGITS, labels, **ignored))
    assert not reference.softmax_cross_entropy_grad(LOGITS, labels, **ignored).any()
    assert np.isnan(reference.mse(np.empty((0, 5)), np.empty((0, 5))))


def test_zero_times_log_zero():
    logits = np.array([[0.0, -np.inf]])
    assert reference.softmax_cross_entropy(logits, [[1.0, 0.0]]) == 0
    assert reference.softmax_cross_entropy(logits, [1]) == np.inf
    assert reference.entropy([1.0, 0.0]) == 0
    assert reference.cross_entropy([1.0, 0.0], [1.0, 0.0]) == 0
    assert reference.kl_divergence([1.0, 0.0], [0.5, 0.5]) == np.log(2)
    assert reference.kl_divergence([0.5, 0.5], [1.0, 0.0]) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("softmax", (LOGITS,)),
        ("softmax_jacobian", (PROBS,)),
        ("softmax_cross_entropy", (LOGITS, ONE_HOT)),
        ("softmax_cross_entropy_grad", (LOGITS, ONE_HOT)),
        ("sigmoid_mse", (LOGITS, ONE_HOT)),
        ("sigmoid_mse_grad", (LOGITS, ONE_HOT)),
    ],
)
def test_loops_compute_the_same(name, arguments, dtype):
    arguments = [argument.astype(dtype) for argument in arguments]
    np.testing.assert_allclose(
        getattr(reference, f"{name}_loops")(*arguments),
        getattr(reference, name)(*arguments),
        rtol=100 * np.finfo(dtype).eps,
        atol=np.finfo(dtype).eps,
    )
