"""Gradients and Jacobians against finite differences of the values, and against one another."""

from fractions import Fraction

import numpy as np
import pytest
from kernel_cases import KERNELS, softmax_cross_entropy_cases

import steelfast

N_ROWS, N_CLASSES = 4, 5
LOGITS = np.random.default_rng(50).normal(0, 2, (N_ROWS, N_CLASSES))
CASES = softmax_cross_entropy_cases(N_ROWS, N_CLASSES)


def finite_differences(function, x, step=1e-3):
    """The derivative of every value of function(x) by every x, to fourth order in the step."""
    value_shape = np.shape(function(x))
    derivative = np.empty(value_shape + x.shape)
    for index in np.ndindex(x.shape):
        towards = np.zeros_like(x)
        towards[index] = step
        derivative[(..., *index)] = (
            8 * (function(x + towards) - function(x - towards))
            - (function(x + 2 * towards) - function(x - 2 * towards))
        ) / (12 * step)
    return derivative


def assert_gradient(value, grad, x):
    """The gradient of a loss, or of the sum of the losses where they are not reduced."""
    expected = finite_differences(lambda x: np.sum(value(x)), x)
    assert np.abs(expected).max() > 1e-3  # it is a test of something
    np.testing.assert_allclose(grad(x), expected, rtol=1e-9, atol=1e-11)


def test_finite_differences():
    x = np.array([0.5, -2.0])
    np.testing.assert_allclose(finite_differences(np.exp, x), np.diag(np.exp(x)), rtol=1e-11)


GRADIENTS = [kernel for kernel in KERNELS.values() if kernel.of]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("kernel", GRADIENTS, ids=str)
def test_gradient(kernel, reduction):
    logits, targets = kernel.arguments(LOGITS.shape, np.float64, np.random.default_rng(51), 2.0)
    value = KERNELS[kernel.of].function
    assert_gradient(
        lambda x: value(x, targets, reduction=reduction),
        lambda x: kernel.function(x, targets, reduction=reduction),
        logits,
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("targets", "options"), CASES)
def test_gradient_of_softmax_cross_entropy_with_options(targets, options, reduction):
    options = {"targets": targets, "reduction": reduction, **options}
    assert_gradient(
        lambda x: steelfast.softmax_cross_entropy(x, **options),
        lambda x: steelfast.softmax_cross_entropy_grad(x, **options),
        LOGITS,
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("pos_weight", [2.5, np.linspace(0.5, 3, N_CLASSES)], ids=["one", "per class"])
def test_gradient_of_sigmoid_cross_entropy_with_pos_weight(pos_weight, reduction):
    targets = np.random.default_rng(55).uniform(size=LOGITS.shape)
    options = {"targets": targets, "pos_weight": pos_weight, "reduction": reduction}
    assert_gradient(
        lambda x: steelfast.sigmoid_cross_entropy(x, **options),
        lambda x: steelfast.sigmoid_cross_entropy_grad(x, **options),
        LOGITS,
    )


def test_gradient_of_each_row_is_its_own():
    """With "none" a row's gradient is what the row alone has, whatever its neighbours."""
    labels = np.array([0, 3, 4, 3])
    options = {"class_weight": [1, 2, 3, 0.5, 1], "label_smoothing": 0.1, "reduction": "none"}
    together = steelfast.softmax_cross_entropy_grad(LOGITS, labels, **options)
    for i in range(N_ROWS):
        alone = steelfast.softmax_cross_entropy_grad(LOGITS[i], labels[i], **options)
        np.testing.assert_array_equal(together[i], alone)


@pytest.mark.parametrize("n_classes", [1, 2, 7, 20, 70])
def test_jacobian(n_classes):
    logits = np.random.default_rng(52).normal(0, 2, n_classes)
    np.testing.assert_allclose(
        steelfast.softmax_jacobian(steelfast.softmax(logits)),
        finite_differences(steelfast.softmax, logits),
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize("shape", [(7,), (1, 1), (20, 7), (3, 4, 33), (5, 100)])
def test_vjp_is_the_product_with_the_jacobian(shape):
    rng = np.random.default_rng(53)
    probs, grad = steelfast.softmax(rng.normal(0, 2, shape)), rng.standard_normal(shape)
    product = np.einsum("...i,...ij->...j", grad, steelfast.softmax_jacobian(probs))
    np.testing.assert_allclose(steelfast.softmax_vjp(probs, grad), product, rtol=1e-12, atol=1e-15)
    along_first = steelfast.softmax_vjp(np.moveaxis(probs, -1, 0), np.moveaxis(grad, -1, 0), axis=0)
    np.testing.assert_allclose(np.moveaxis(along_first, 0, -1), product, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [3, 200])
def test_what_a_cancellation_leaves_of_a_vjp_is_right(n_classes, dtype):
    """p (g − Σ g p) where p is nearly 1: in twice the precision, whatever multiplications the build has."""
    rng = np.random.default_rng(54)
    eps = Fraction(float(np.finfo(dtype).eps))
    small = 10.0 ** rng.uniform(-9, -6, (40, n_classes)) / n_classes
    small[:, 1] = 0.0
    probs, grad = small.astype(dtype), rng.normal(size=(40, n_classes)).astype(dtype)
    probs[:, 1] = 1 - small.sum(axis=1)
    for row, of_row, result in zip(probs, grad, steelfast.softmax_vjp(probs, grad)[:, 1], strict=True):
        p, g = [Fraction(float(x)) for x in row], [Fraction(float(x)) for x in of_row]
        exact = p[1] * (g[1] - sum(a * b for a, b in zip(p, g, strict=True)))
        assert abs(Fraction(float(result)) - exact) <= 2 * eps * abs(exact) + 8 * eps**2 * abs(g[1])


def test_vjp_of_log_is_the_gradient_of_the_loss():
    labels = np.array([0, 3, 4, 3])
    probs = steelfast.softmax(LOGITS)
    by_probs = -np.eye(N_CLASSES)[labels] / probs  # of −log p of the label
    np.testing.assert_allclose(
        steelfast.softmax_vjp(probs, by_probs),
        steelfast.softmax_cross_entropy_grad(LOGITS, labels, reduction="none"),
        rtol=1e-12,
        atol=1e-15,
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (10, 7), (33, 17), (20, 120), (5, 130), (7,), (2, 3, 4)])
@pytest.mark.parametrize("kernel", [k for k in KERNELS.values() if k.made_of], ids=str)
def test_value_and_grad_are_the_bits_of_the_two(kernel, shape, dtype, reduction):
    arguments = kernel.arguments(shape, dtype, np.random.default_rng(54), 2.0)
    value, grad = kernel.function(*arguments, reduction=reduction)
    for result, name in zip((value, grad), kernel.made_of, strict=True):
        separate = KERNELS[name].function(*arguments, reduction=reduction)
        assert result.dtype == separate.dtype == dtype
        np.testing.assert_array_equal(result, separate, strict=True)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("targets", "options"), CASES)
def test_value_and_grad_are_the_bits_of_the_two_with_options(targets, options, reduction):
    arguments = {"logits": LOGITS, "targets": targets, "reduction": reduction, **options}
    value, grad = steelfast.softmax_cross_entropy_value_and_grad(**arguments)
    np.testing.assert_array_equal(value, steelfast.softmax_cross_entropy(**arguments))
    np.testing.assert_array_equal(grad, steelfast.softmax_cross_entropy_grad(**arguments))
