"""Every kernel against 50 digits: its largest error in units in the last place (ULP)."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import scipy.special
import search_errors
from exact import Exact, exactly, exp, log1p, mp, ulp_error, ulp_errors
from kernel_cases import KERNELS, softmax_cross_entropy_cases

import steelfast
from steelfast import _long_double

DTYPES = [np.float32, np.float64]
SCALES = [1e-3, 1.0, 30.0, 1e4]

# (rows, classes): around the width of a block of rows, of a vector, and of the switch of methods
# fmt: off
SHAPES = [
    (1, 1), (17, 1), (2, 2), (33, 2), (15, 3), (16, 3), (1, 7), (16, 7), (17, 7), (33, 7),
    (15, 16), (2, 17), (17, 17), (16, 31), (1, 33), (17, 33), (2, 63), (2, 64), (17, 65),
    (1, 97), (3, 130), (1, 1000),
]
# fmt: on

# The largest error allowed, in ULP: (float32, float64). Subnormal results are held to the same
# number of smallest subnormals. Sums whose terms cancel are measured in the ULP of their terms'
# magnitudes, as `exact_…` of the kernel's case says.
LIMITS = {
    "softmax": (2.0, 2.0),
    "log_softmax": (2.0, 2.0),
    "logsumexp": (2.0, 2.0),
    "softmax_jacobian": (2.0, 2.0),
    "softmax_vjp": (4.0, 4.0),
    "sigmoid": (2.0, 2.0),
    "log_sigmoid": (2.0, 2.0),
    "softmax_cross_entropy": (2.0, 2.0),
    "softmax_cross_entropy_grad": (2.0, 2.0),
    "sigmoid_cross_entropy": (2.0, 2.0),
    "sigmoid_cross_entropy_grad": (2.0, 2.0),
    "sigmoid_mse": (2.0, 2.0),
    "sigmoid_mse_grad": (2.0, 2.0),
    "mse": (2.0, 2.0),
    "mse_grad": (1.0, 1.0),
    "cross_entropy": (4.0, 4.0),
    "entropy": (4.0, 4.0),
    "kl_divergence": (4.0, 4.0),
}
REDUCED_LIMIT = 4.0  # of a sum, a mean, or what is weighted, smoothed or divided on top


def limit(name, dtype):
    return LIMITS[name][DTYPES.index(dtype)]


def assert_within(limit, **errors):
    """No error, named by its case, is over the limit."""
    over = {case: error for case, error in errors.items() if max(error) > limit}
    assert not over, f"more than {limit} ULP"


def test_every_kernel_has_a_limit():
    assert LIMITS.keys() == {name for name, kernel in KERNELS.items() if kernel.exact}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_error_in_ulp(name, dtype, scale):
    kernel = KERNELS[name]
    rng = np.random.default_rng(20)
    errors = {}
    for shape in SHAPES:
        if name == "softmax_jacobian" and shape[1] > 33:
            continue
        arguments = kernel.arguments(shape, dtype, rng, scale)
        result = kernel.function(*arguments, **kernel.each)
        assert result.dtype == dtype
        errors[f"{shape}"] = ulp_error(result, kernel.exact(*arguments))
    assert_within(limit(name, dtype), **errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_error_with_ten_thousand_classes(name, dtype):
    kernel = KERNELS[name]
    logits = np.random.default_rng(21).standard_normal((1, 10_000)).astype(dtype)
    errors = ulp_error(kernel.function(logits), kernel.exact(logits))
    assert_within(limit(name, dtype), all=errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "softmax_cross_entropy_grad"])
def test_many_small_terms_beside_a_large_one_are_not_lost(name, dtype):
    """Each is less than what the sum can take of it."""
    small = -15.35 if dtype == np.float32 else -35.5
    errors = {}
    for n_classes in 100, 129, 2000, 32_000:
        logits = np.full((1, n_classes), small, dtype)
        logits[0, 0] = 0
        arguments = (logits,) if name != "softmax_cross_entropy_grad" else (logits, np.array([0]))
        kernel = KERNELS[name]
        errors[str(n_classes)] = ulp_error(kernel.function(*arguments, **kernel.each), kernel.exact(*arguments))
    assert_within(limit(name, dtype), **errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [4, 130])
def test_softmax_of_nearly_equal_logits(n_classes, dtype):
    """Their exponentials are rounded to the same number, and yet are not the same."""
    logits = (np.finfo(dtype).eps * np.random.default_rng(5).uniform(0, 2, (200, n_classes))).astype(dtype)
    assert_within(2.0, error=ulp_error(steelfast.softmax(logits), KERNELS["softmax"].exact(logits)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_gradient_of_two_nearly_equal_logits(dtype):
    """Half of a weight that is not a number of few digits is left: it counts with its low part."""
    logits = (-28.4 + 1e-4 * np.random.default_rng(5).standard_normal((300, 2))).astype(dtype)
    arguments = logits, np.zeros(300, np.int64)
    kernel = KERNELS["softmax_cross_entropy_grad"]
    assert_within(2.0, error=ulp_error(kernel.function(*arguments), kernel.exact(*arguments, reduction="mean")))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid_mse", "sigmoid_mse_grad"])
def test_squares_that_are_nearly_subnormal(name, dtype):
    """Where there is no fused multiply-add, the parts of a product that make up for its rounding must not vanish."""
    tiny = float(np.finfo(dtype).tiny)
    far = np.random.default_rng(24).uniform(np.log(tiny) / 2, np.log(tiny) / 2 + 2, 1000).astype(dtype)
    far[0] = {np.float32: -43.75128173828125, np.float64: -354.365168919474}[dtype]  # the worst gradient of many
    kernel = KERNELS[name]
    errors = {
        f"target {target}": ulp_error(kernel.function(*arguments, reduction="none"), kernel.exact(*arguments))
        for target, logits in ((0, far), (1, -far))
        for arguments in [(logits, np.full(1000, target, dtype))]
    }
    assert_within(limit(name, dtype), **errors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_of_what_nearly_cancels(dtype):
    """Targets within two units in the last place of the sigmoid: the square is below all digits, but not below 0."""
    rng = np.random.default_rng(25)
    logits = np.concatenate([rng.uniform(-span, span, 2000) for span in (0.1, 1, 8)]).astype(dtype)
    sigmoid = exp(exactly(logits)) / (1 + exp(exactly(logits)))
    nearest = sigmoid.astype(np.float64).astype(dtype)
    targets = (nearest + np.spacing(nearest) * rng.integers(-2, 3, logits.size)).astype(dtype)
    losses = steelfast.sigmoid_mse(logits, targets, reduction="none")
    assert losses.min() >= 0
    residuals = np.abs(sigmoid - exactly(targets)).astype(np.float64)
    errors = np.abs(np.sqrt(losses.astype(np.float64)) - residuals) / np.spacing(targets).astype(np.float64)
    assert errors.max() < 0.5


def dominated(dtype, n_classes):
    """Rows whose first logit leads by more and more, until the others vanish beside it."""
    leads = np.linspace(0.5, {np.float32: 104, np.float64: 746}[dtype], 60)
    logits = np.random.default_rng(22).standard_normal((len(leads), n_classes)) - leads[:, None]
    logits[:, 0] = 0
    return (logits + np.random.default_rng(23).integers(-50, 50, (len(leads), 1))).astype(dtype)


@pytest.mark.parametrize("n_classes", [2, 7, 40, 130])
@pytest.mark.parametrize("dtype", DTYPES)
def test_log_softmax_keeps_its_digits_near_zero(dtype, n_classes):
    kernel = KERNELS["log_softmax"]
    logits = dominated(dtype, n_classes)
    errors = ulp_error(kernel.function(logits), kernel.exact(logits))
    assert_within(limit("log_softmax", dtype), all=errors)


@pytest.mark.parametrize("n_classes", [2, 7, 40, 130, 300])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp"])
def test_the_largest_logit_may_stand_anywhere_and_more_than_once(name, dtype, n_classes):
    """What is left of the sum is exact without it, whether another one is as large or all are far below."""
    kernel = KERNELS[name]
    rng = np.random.default_rng(24)
    logits = dominated(dtype, n_classes)
    for i, row in enumerate(logits):
        # anywhere, or 16 entries apart: in the same lane of neighbouring registers
        row[rng.integers(n_classes, size=i % 4) if i % 8 < 4 else 16 * np.arange(i % 4) % n_classes] = row[0]
        row[:] = np.roll(row, rng.integers(n_classes))
    assert_within(limit(name, dtype), all=ulp_error(kernel.function(logits), kernel.exact(logits)))


@pytest.mark.parametrize("n_classes", [16, 40, 80, 112, 128, 129, 256, 1000, 20000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_two_peaks_over_many_equal_terms_that_round_alike(name, dtype, n_classes):
    """Each of the small terms leaves its last digits in the low part of the sum, and all have one sign."""
    kernel = KERNELS[name]
    peaks = np.linspace(0.6, 1.2, 12 if n_classes < 1000 else 4)
    below = {np.float32: 24, np.float64: 53}[dtype] - np.arange(15 if n_classes < 1000 else 5)
    logits = np.zeros((len(peaks) * len(below), n_classes))
    logits[:, 1] = -np.repeat(peaks, len(below))
    logits[:, 2:] = (logits[:, 1] - np.tile(below, len(peaks)) * np.log(2) - 0.01)[:, None]
    logits = logits.astype(dtype)
    # the first three stand for all: the others are as the third, and many digits take their time
    few, times = exactly(logits[:, :3]), n_classes - 2
    exponentials = exp(few)
    others = exponentials[:, 1] + times * exponentials[:, 2]
    log_sums = log1p(others)
    if name == "logsumexp":
        errors = ulp_errors(kernel.function(logits), Exact(log_sums))
    elif name == "log_softmax":
        errors = ulp_errors(kernel.function(logits)[:, :3], Exact(few - log_sums[:, None]))
    else:
        labels = np.zeros(len(logits), np.int64)
        result = kernel.function(logits, labels, **kernel.each)
        if name == "softmax_cross_entropy":
            errors = ulp_errors(result, Exact(log_sums))
        else:
            gradient = exponentials / (1 + others)[:, None]
            gradient[:, 0] = -others / (1 + others)
            errors = ulp_errors(result[:, :3], Exact(gradient))
    assert errors.max() <= limit(name, dtype)


def test_log_sum_of_many_equal_logits():
    """All terms are rounded alike, too."""
    logits = np.full((1, 46000), -7.146491779088989)
    exact = Exact(np.array([exactly(logits[0, :1])[0] + mp.log(46000)]))
    assert ulp_error(steelfast.logsumexp(logits), exact).normal <= 1.0


@pytest.mark.parametrize("n_classes", [2, 7, 40, 130])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_loss_and_gradient_keep_their_digits_where_p_goes_to_one(name, dtype, n_classes):
    kernel = KERNELS[name]
    logits = dominated(dtype, n_classes)
    labels = np.zeros(len(logits), np.int64)
    errors = ulp_error(kernel.function(logits, labels, **kernel.each), kernel.exact(logits, labels))
    assert_within(limit(name, dtype), all=errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_one_hot_targets_keep_their_digits_where_p_goes_to_one(name, dtype):
    kernel = KERNELS[name]
    logits = dominated(dtype, 7)
    labels = np.zeros(len(logits), np.int64)
    one_hot = np.eye(7, dtype=dtype)[labels]
    errors = ulp_error(kernel.function(logits, one_hot, **kernel.each), kernel.exact(logits, labels))
    assert_within(REDUCED_LIMIT, all=errors)


@pytest.mark.parametrize(
    ("row", "dtype"),
    [([40, 0, -3], np.float32), ([40, 0, -3], np.float64), ([700, 0, -3], np.float64)],
)
def test_log_probability_of_a_dominating_logit_is_not_zero(row, dtype):
    """Where SciPy and PyTorch give 0: −exp(−40) (1 + exp(−3)), and the like."""
    logits = np.array([row], dtype)
    exact = KERNELS["log_softmax"].exact(logits)
    result = steelfast.log_softmax(logits)
    assert result[0, 0] < 0
    assert_within(limit("log_softmax", dtype), all=ulp_error(result, exact))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid"])
def test_sigmoid_from_tail_to_tail(name, dtype):
    """Evenly over the whole range, the subnormal left tail included."""
    end = {np.float32: 110, np.float64: 760}[dtype]
    kernel = KERNELS[name]
    x = np.concatenate([np.linspace(-end, end, 3001), np.linspace(-2, 2, 1001)]).astype(dtype)
    errors = ulp_error(kernel.function(x), kernel.exact(x))
    assert_within(limit(name, dtype), all=errors)


@pytest.mark.parametrize(("dtype", "x"), [(np.float32, -100.0), (np.float64, -740.0)])
def test_left_tail_of_the_sigmoid_keeps_its_subnormals(dtype, x):
    result = steelfast.sigmoid(dtype(x))
    assert 0 < result < np.finfo(dtype).tiny
    assert steelfast.log_sigmoid(dtype(x)) == dtype(x)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in LIMITS if "reduction" in KERNELS[name].takes])
def test_error_of_what_is_reduced(name, dtype, reduction):
    kernel = KERNELS[name]
    rng = np.random.default_rng(24)
    errors = {}
    for shape in [(1, 1), (10, 7), (33, 17), (3, 130)]:
        arguments = kernel.arguments(shape, dtype, rng, 1.0)
        result = kernel.function(*arguments, reduction=reduction)
        assert result.dtype == dtype
        errors[f"{shape}"] = ulp_error(result, kernel.exact(*arguments, reduction=reduction))
    assert_within(REDUCED_LIMIT, **errors)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy", "mse"])
def test_mean_of_many_does_not_drift(name):
    """A plain sum of 300,000 numbers in float32 would lose three digits."""
    kernel = KERNELS[name]
    arguments = kernel.arguments((300_000, 3), np.float32, np.random.default_rng(25), 1.0)
    losses = kernel.function(*arguments, reduction="none").astype(np.float64)
    mean = math.fsum(losses.ravel().tolist()) / losses.size
    assert kernel.function(*arguments) == pytest.approx(mean, rel=4 * 2.0**-23)


CASES = softmax_cross_entropy_cases(19, 5)
PROBS = np.random.default_rng(26).dirichlet(np.ones(5), 19).astype(np.float32)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("targets", "options"), CASES)
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_options_mean_what_they_mean_in_pytorch(name, targets, options, reduction):
    kernel = KERNELS[name]
    for dtype in DTYPES:
        logits = np.random.default_rng(27).normal(0, 2, (19, 5)).astype(dtype)
        result = kernel.function(logits, targets, reduction=reduction, **options)
        exact = kernel.exact(logits, targets, reduction=reduction, **options)
        assert_within(REDUCED_LIMIT, **{dtype.__name__: ulp_error(result, exact)})


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("pos_weight", [2.5, np.linspace(0.5, 3, 5).astype(np.float32)])
@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "sigmoid_cross_entropy_grad"])
def test_pos_weight(name, pos_weight, reduction):
    kernel = KERNELS[name]
    for dtype in DTYPES:
        logits = np.random.default_rng(28).normal(0, 3, PROBS.shape).astype(dtype)
        options = {"reduction": reduction, "pos_weight": pos_weight}
        result = kernel.function(logits, PROBS.astype(dtype), **options)
        exact = kernel.exact(logits, PROBS, **options)
        assert_within(REDUCED_LIMIT, **{dtype.__name__: ulp_error(result, exact)})


@pytest.mark.parametrize("base", [2, 10, 0.5])
@pytest.mark.parametrize("name", ["cross_entropy", "entropy", "kl_divergence"])
def test_base_of_the_logarithm(name, base):
    kernel = KERNELS[name]
    for dtype in DTYPES:
        arguments = kernel.arguments((9, 5), dtype, np.random.default_rng(29), 1.0)
        exact = kernel.exact(*arguments, base=base)
        result = kernel.function(*arguments, base=base)
        assert_within(REDUCED_LIMIT, **{dtype.__name__: ulp_error(result, exact)})


@pytest.mark.parametrize(
    ("name", "independent"),
    [
        ("softmax", lambda z: scipy.special.softmax(z, axis=-1)),
        ("log_softmax", lambda z: scipy.special.log_softmax(z, axis=-1)),
        ("logsumexp", lambda z: scipy.special.logsumexp(z, axis=-1)),
        ("sigmoid", scipy.special.expit),
        ("log_sigmoid", scipy.special.log_expit),
        ("entropy", lambda p: scipy.special.entr(p).sum(-1)),
        ("kl_divergence", lambda p, q: scipy.special.rel_entr(p, q).sum(-1)),
    ],
)
def test_scipy_agrees(name, independent):
    kernel = KERNELS[name]
    arguments = kernel.arguments((50, 7), np.float64, np.random.default_rng(30), 3.0)
    np.testing.assert_allclose(kernel.function(*arguments), independent(*arguments), rtol=1e-11, atol=1e-14)


def _torch_agrees(torch, ours, theirs, logits, reduction):
    """Value and gradient of both, given the same logits."""
    tensor = torch.tensor(logits, requires_grad=True)
    loss = theirs(tensor, reduction=reduction)
    loss.sum().backward()
    value, grad = ours(logits, reduction=reduction)
    np.testing.assert_allclose(value, loss.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_torch_agrees_on_softmax_cross_entropy():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(31).normal(0, 2, (19, 5))
    for case, reduction in itertools.product(CASES, ["none", "mean", "sum"]):
        targets, options = case.values
        if "sample_weight" in options:  # not in PyTorch
            continue
        theirs = dict(options)
        if "class_weight" in theirs:
            theirs["weight"] = torch.tensor(theirs.pop("class_weight"), dtype=torch.float64)
        targets = targets if targets.ndim == 1 else targets.astype(np.float64)
        _torch_agrees(
            torch,
            partial(steelfast.softmax_cross_entropy_value_and_grad, targets=targets, **options),
            partial(torch.nn.functional.cross_entropy, target=torch.tensor(targets), **theirs),
            logits,
            reduction,
        )


def test_torch_agrees_on_sigmoid_cross_entropy():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(32).normal(0, 3, PROBS.shape)
    targets = torch.tensor(PROBS, dtype=torch.float64)
    for weight, reduction in itertools.product([None, 2.5], ["none", "mean", "sum"]):
        pos_weight = None if weight is None else torch.tensor(weight)
        _torch_agrees(
            torch,
            partial(steelfast.sigmoid_cross_entropy_value_and_grad, targets=PROBS, pos_weight=weight),
            partial(
                torch.nn.functional.binary_cross_entropy_with_logits,
                target=targets,
                pos_weight=pos_weight,
            ),
            logits,
            reduction,
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "n_batches"),
    [
        ("softmax", 100),
        ("log_softmax", 20),
        ("logsumexp", 20),
        ("softmax_cross_entropy", 10),
        ("softmax_cross_entropy_grad", 20),
        ("softmax_cross_entropy_grad, mean", 10),
        ("softmax_cross_entropy, targets", 10),
        ("softmax_cross_entropy_grad, targets", 10),
    ],
)
def test_rows_that_are_made_to_be_hard(name, n_batches, dtype):
    """The start of what `tools/search_errors.py` goes on with: rows whose errors add up. The seed is one of those whose
    first rows were more than 2 ULP off before exponentials were reduced to less than a quarter below 1."""
    if not _long_double.can_measure(dtype):
        pytest.skip("long double is no wider than double here")
    batches = search_errors.batches(search_errors.KERNELS[name], dtype, seed=11)
    assert max(max(errors) for errors in itertools.islice(batches, n_batches)) <= 2


def test_rows_that_were_more_than_two_units_off():
    """Of all that was ever looked for: one term beside many equal ones, and results next to the smallest normal number;
    a sum whose many small terms pile up in its low part, and the logarithm of which cancels the maximum."""
    beside = float.fromhex("-0x1.8678b8p+5")
    many_equal = np.array([[float.fromhex("-0x1.815554p+5")] + 120 * [beside]], np.float32)
    entries = "-0x1.6a116ed967f14p-2", "-0x1.6192508dab6f9p+9", "-0x1.620e46c1f0741p+9"
    nearly_subnormal = np.array([[float.fromhex(entry) for entry in entries]])
    for logits in many_equal, nearly_subnormal:
        assert ulp_error(steelfast.softmax(logits), KERNELS["softmax"].exact(logits)).normal < 2
    piling_up = np.full((1, 117), -6.188235489525596)
    piling_up[0, 0] = -0.6741327975072939
    assert ulp_error(steelfast.logsumexp(piling_up), KERNELS["logsumexp"].exact(piling_up)).normal < 2


# ---- the measure itself


def test_ulp_of_the_correctly_rounded_result_is_at_most_a_half():
    thirds = exactly(np.arange(-9, 10)) / 3
    for dtype in DTYPES:
        assert ulp_error((np.arange(-9, 10) / 3).astype(dtype), Exact(thirds)).normal <= 0.5001


def test_ulp_counts_steps():
    exact = Exact(exactly([1.0, 1.0, -2.0, 2.0**-149]))
    computed = np.array([1.0, 1 + 3 * 2.0**-23, -2 - 2.0**-22, 2.0**-148], np.float32)
    np.testing.assert_array_equal(ulp_errors(computed, exact), [0, 3, 1, 1])
    assert ulp_error(computed, exact) == (3, 1)


def test_ulp_of_nan_and_infinity():
    exact = Exact(np.array([mp.nan, mp.inf, mp.inf, mp.one, mp.one], object))
    computed = np.array([np.nan, np.inf, 1.0, np.nan, np.inf])
    np.testing.assert_array_equal(ulp_errors(computed, exact), [0, 0, np.inf, np.inf, np.inf])
