"""What holds for any logits: properties, and the bits of a row wherever it stands."""

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


# ---- a row's result depends on that row alone, bit for bit

ROW_KERNELS = [
    kernel for kernel in KERNELS.values() if kernel.family in ("rows", "distributions") or "softmax" in kernel.name
]
every_row_kernel = pytest.mark.parametrize("kernel", ROW_KERNELS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_width = pytest.mark.parametrize(
    "n_classes", [1, 2, 3, 7, 15, 16, 17, 26, 33, 63, 64, 65, 128, 129, 100, 130, 1000]
)


def results_of(kernel, arguments, **options):
    results = kernel.function(*arguments, **kernel.each, **options)
    return results if isinstance(results, tuple) else (results,)


def assert_rows(kernel, arguments, expected, rows, **options):
    """The results are those rows of what is expected, bit for bit."""
    for result, whole in zip(results_of(kernel, arguments, **options), expected, strict=True):
        assert np.asarray(result).tobytes() == whole[rows].tobytes()


@pytest.fixture(scope="module")
def batch():
    """Arguments of forty rows and their results."""

    def make(kernel, n_classes, dtype):
        if kernel.name == "softmax_jacobian":
            n_classes = min(n_classes, 130)
        rng = np.random.default_rng(90)
        arguments = kernel.arguments((40, n_classes), dtype, rng, 3.0)
        return arguments, results_of(kernel, arguments)

    return make


@every_width
@every_dtype
@every_row_kernel
def test_bits_in_a_batch_of_any_size_and_at_any_place(batch, kernel, dtype, n_classes):
    arguments, expected = batch(kernel, n_classes, dtype)
    for n_rows in range(1, 41):
        assert_rows(kernel, [a[:n_rows] for a in arguments], expected, slice(n_rows))
    for i in range(40):
        assert_rows(kernel, [a[i] for a in arguments], expected, i)
        assert_rows(kernel, [a[i : i + 1] for a in arguments], expected, slice(i, i + 1))
        assert_rows(kernel, [a[i:] for a in arguments], expected, slice(i, None))


@every_width
@every_dtype
@every_row_kernel
def test_bits_of_strided_rows(batch, kernel, dtype, n_classes):
    arguments, expected = batch(kernel, n_classes, dtype)
    for rows in slice(None, None, 3), slice(None, None, -1), slice(30, 2, -7):
        assert_rows(kernel, [a[rows] for a in arguments], expected, rows)
    for step in 2, 5:  # strided classes
        spread = [np.repeat(a, step, axis=-1)[..., ::step] for a in arguments]
        assert_rows(kernel, spread, expected, slice(None))
    fortran = [np.asfortranarray(a) for a in arguments]
    assert_rows(kernel, fortran, expected, slice(None))


@every_width
@every_dtype
@every_row_kernel
def test_bits_of_misaligned_rows(batch, kernel, dtype, n_classes):
    arguments, expected = batch(kernel, n_classes, dtype)
    for n_bytes in 1, 4, 8, 12, 16, 36:
        moved = []
        for a in arguments:
            buffer = np.empty(a.nbytes + n_bytes, np.uint8)
            moved.append(buffer[n_bytes:].view(a.dtype).reshape(a.shape))
            moved[-1][...] = a
        assert_rows(kernel, moved, expected, slice(None))


@every_width
@every_dtype
@every_row_kernel
def test_bits_in_three_dimensions(batch, kernel, dtype, n_classes):
    arguments, expected = batch(kernel, n_classes, dtype)
    cubes = [a.reshape(5, 8, *a.shape[1:]) for a in arguments]
    assert_rows(kernel, cubes, expected, slice(None))
    swapped = [a.swapaxes(0, 1) for a in cubes]
    for result, whole in zip(results_of(kernel, swapped), expected, strict=True):
        again = np.ascontiguousarray(result.swapaxes(0, 1))
        assert again.tobytes() == whole.tobytes()


@every_width
@every_dtype
@pytest.mark.parametrize("kernel", [k for k in ROW_KERNELS if "axis" in k.takes], ids=str)
def test_bits_along_the_first_axis(batch, kernel, dtype, n_classes):
    arguments, (expected,) = batch(kernel, n_classes, dtype)
    for columns in ([a.T for a in arguments], [np.ascontiguousarray(a.T) for a in arguments]):
        for n_rows in 1, 7, 16, 33, 40:
            (result,) = results_of(kernel, [a[:, :n_rows] for a in columns], axis=0)
            assert np.ascontiguousarray(result.T).tobytes() == expected[:n_rows].tobytes()


@every_dtype
@pytest.mark.parametrize(
    "kernel",
    [k for k in KERNELS.values() if k.family == "elementwise" or "sigmoid_" in k.name],
    ids=str,
)
def test_bits_of_an_element_wherever_it_stands(kernel, dtype):
    arguments = kernel.arguments((67,), dtype, np.random.default_rng(91), 3.0)
    expected = results_of(kernel, arguments)
    for start in range(67):
        for stop in {start + 1, min(start + 17, 67), 67}:
            part = slice(start, stop)
            assert_rows(kernel, [a[part] for a in arguments], expected, part)
    assert_rows(kernel, [a[::-2] for a in arguments], expected, slice(None, None, -2))


@every_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmax_cross_entropy"])
def test_the_same_call_gives_the_same_bits(name, dtype):
    kernel = KERNELS[name]
    arguments = kernel.arguments((200, 7), dtype, np.random.default_rng(92), 1.0)
    first = kernel.function(*arguments)
    assert all(kernel.function(*arguments).tobytes() == first.tobytes() for _ in range(20))
