"""What holds for any logits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernel_cases import KERNELS

import steelfast

settings.register_profile("steelfast", deadline=None, max_examples=60)
settings.load_profile("steelfast")

EPS = {np.dtype(dtype): float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}


@st.composite
def logits(draw, elements=None):
    """A matrix of up to 20 rows and 40 classes, with logits of up to a thousand."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    width = np.finfo(dtype).bits
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 40)))
    numbers = st.floats(-1000, 1000, width=width) if elements is None else elements
    return draw(hnp.arrays(dtype, shape, elements=numbers))


# with these, adding and subtracting is exact
quarters = st.integers(-4000, 4000).map(lambda i: i / 4)


@given(logits())
def test_probabilities_are_between_0_and_1_and_sum_to_one(z):
    probs = steelfast.softmax(z)
    assert np.all((probs >= 0) & (probs <= 1))
    for row in probs:
        assert math.fsum(row.tolist()) == pytest.approx(1, abs=2 * EPS[z.dtype])


@given(logits(elements=quarters), quarters)
def test_a_shift_changes_nothing_but_the_rounding(z, shift):
    shifted = z + z.dtype.type(shift)
    for function in steelfast.softmax, steelfast.log_softmax:
        np.testing.assert_allclose(
            function(shifted),
            function(z),
            rtol=4 * EPS[z.dtype],
            atol=2 * np.finfo(z.dtype).smallest_subnormal,
        )


@given(logits(), st.randoms(use_true_random=False))
def test_order_of_the_classes_does_not_matter(z, random):
    order = random.sample(range(z.shape[1]), z.shape[1])
    np.testing.assert_allclose(
        steelfast.softmax(z[:, order]),
        steelfast.softmax(z)[:, order],
        rtol=4 * EPS[z.dtype],
        atol=2 * np.finfo(z.dtype).smallest_subnormal,
    )


@given(logits(elements=quarters))
def test_larger_logits_have_no_smaller_probability(z):
    order = np.argsort(z, axis=1)
    assert np.all(np.diff(np.take_along_axis(steelfast.softmax(z), order, axis=1), axis=1) >= 0)


@given(logits())
def test_softmax_is_the_exponential_of_log_softmax(z):
    log_probs = steelfast.log_softmax(z).astype(np.float64)
    probs = steelfast.softmax(z)
    assert np.all(log_probs <= 0)
    normal = probs >= np.finfo(z.dtype).tiny
    tolerance = EPS[z.dtype] * (4 + 2 * np.abs(log_probs[normal]))
    assert np.all(np.abs(np.exp(log_probs[normal]) / probs[normal] - 1) <= tolerance)


@given(logits())
def test_log_softmax_is_the_logit_less_logsumexp(z):
    difference = z.astype(np.float64) - steelfast.logsumexp(z, keepdims=True)
    scale = np.abs(z).max(axis=1, keepdims=True) + math.log(z.shape[1]) + 1
    assert np.all(np.abs(steelfast.log_softmax(z) - difference) <= 4 * EPS[z.dtype] * scale)


@given(logits(elements=quarters))
def test_two_classes_are_the_sigmoid_of_their_difference(z):
    first, last = z[:, 0], z[:, -1]
    np.testing.assert_allclose(
        steelfast.softmax(np.stack([first, last], axis=1))[:, 0],
        steelfast.sigmoid(first - last),
        rtol=4 * EPS[z.dtype],
        atol=2 * np.finfo(z.dtype).smallest_subnormal,
    )


@given(logits())
def test_sigmoids_of_x_and_of_minus_x_sum_to_one(z):
    np.testing.assert_allclose(
        steelfast.sigmoid(z).astype(np.float64) + steelfast.sigmoid(-z), 1, rtol=2 * EPS[z.dtype]
    )


@given(logits(), st.integers(0, 2**32 - 1), st.floats(-4, 4), st.floats(-4, 4))
def test_vjp_is_linear_in_the_gradient(z, seed, a, b):
    rng = np.random.default_rng(seed)
    probs = steelfast.softmax(z).astype(np.float64)
    f, g = rng.standard_normal((2, *z.shape))
    np.testing.assert_allclose(
        steelfast.softmax_vjp(probs, a * f + b * g),
        a * steelfast.softmax_vjp(probs, f) + b * steelfast.softmax_vjp(probs, g),
        rtol=1e-12,
        atol=1e-13,
    )


@given(logits())
def test_rows_and_columns_of_the_jacobian_sum_to_zero(z):
    jacobian = steelfast.softmax_jacobian(steelfast.softmax(z))
    assert np.all(np.abs(jacobian.sum(axis=-1, dtype=np.float64)) <= 4 * EPS[z.dtype])
    np.testing.assert_array_equal(jacobian, jacobian.swapaxes(-1, -2))


@given(logits(), st.integers(0, 2**32 - 1))
def test_gradients_of_a_row_sum_to_zero(z, seed):
    labels = np.random.default_rng(seed).integers(z.shape[1], size=len(z))
    grad = steelfast.softmax_cross_entropy_grad(z, labels, reduction="none")
    assert np.all(np.abs(grad.sum(axis=-1, dtype=np.float64)) <= 4 * EPS[z.dtype])


@given(logits(), st.integers(0, 2**32 - 1))
def test_labels_are_one_hot_probabilities(z, seed):
    labels = np.random.default_rng(seed).integers(z.shape[1], size=len(z))
    by_label = steelfast.softmax_cross_entropy(z, labels, reduction="none")
    by_probability = steelfast.softmax_cross_entropy(z, np.eye(z.shape[1], dtype=z.dtype)[labels], reduction="none")
    assert np.all(by_label >= 0)
    np.testing.assert_allclose(
        by_label,
        by_probability,
        rtol=4 * EPS[z.dtype],
        atol=2 * np.finfo(z.dtype).smallest_subnormal,
    )


@given(logits(elements=st.floats(-6, 6, width=32)), st.sampled_from([None, 2, 10]))
def test_cross_entropy_is_entropy_plus_divergence(z, base):
    p, q = steelfast.softmax(z), steelfast.softmax(np.flip(z))
    together = steelfast.entropy(p, base=base) + steelfast.kl_divergence(p, q, base=base)
    cross_entropy = steelfast.cross_entropy(p, q, base=base)
    np.testing.assert_allclose(cross_entropy, together, rtol=20 * EPS[z.dtype], atol=20 * EPS[z.dtype])
    assert np.all(steelfast.entropy(p) >= 0)
    assert np.all(steelfast.kl_divergence(p, q) >= -4 * EPS[z.dtype])
    np.testing.assert_array_equal(steelfast.cross_entropy(p, p, base=base), steelfast.entropy(p, base=base))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmax_cross_entropy"])
def test_the_same_call_gives_the_same_bits(name, dtype):
    kernel = KERNELS[name]
    arguments = kernel.arguments((200, 7), dtype, np.random.default_rng(92), 1.0)
    first = kernel.function(*arguments)
    assert all(kernel.function(*arguments).tobytes() == first.tobytes() for _ in range(20))
