"""The registry of the kernels: what each is called with, what comes out, and what it takes.

It drives the tests of accuracy, gradients and the contract, and the benchmarks. A kernel that is
public and not in here fails a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pytest
from exact import Exact, exactly, exp, log, log1p, mp

import steelfast
from steelfast import reference

# ---- arguments: functions of shape, dtype, random generator and scale of the logits


def _normal(shape, dtype, rng, scale):
    return (scale * rng.standard_normal(shape)).astype(dtype)


def _logits(shape, dtype, rng, scale):
    return (_normal(shape, dtype, rng, scale),)


def _probs(shape, dtype, rng, scale):
    return (reference.softmax(_normal(shape, dtype, rng, scale)),)


def _probs_and_grad(shape, dtype, rng, scale):
    return *_probs(shape, dtype, rng, scale), _normal(shape, dtype, rng, 1)


def _logits_and_labels(shape, dtype, rng, scale):
    return _normal(shape, dtype, rng, scale), rng.integers(shape[-1], size=shape[:-1])


def _logits_and_zeros_and_ones(shape, dtype, rng, scale):
    return _normal(shape, dtype, rng, scale), rng.integers(2, size=shape).astype(dtype)


def _two_arrays(shape, dtype, rng, scale):
    return _normal(shape, dtype, rng, scale), _normal(shape, dtype, rng, scale)


def _two_distributions(shape, dtype, rng, scale):
    return *_probs(shape, dtype, rng, scale), *_probs(shape, dtype, rng, 1)


# ---- the functions to 50 digits, over the last axis


def _shifted_and_others(logits):
    """z − m, and Σ exp(z − m) without one largest term, whose own exponential is 1."""
    z = exactly(logits)
    shifted = z - z.max(-1, keepdims=True)
    others = exp(shifted)
    np.put_along_axis(others, np.argmax(logits, -1)[..., None], mp.zero, -1)
    return shifted, others.sum(-1, keepdims=True)


def exact_softmax(logits):
    shifted, others = _shifted_and_others(logits)
    return Exact(exp(shifted) / (1 + others))


def exact_log_softmax(logits):
    shifted, others = _shifted_and_others(logits)
    return Exact(shifted - log1p(others))


def exact_logsumexp(logits):
    _, others = _shifted_and_others(logits)
    return Exact(exactly(logits).max(-1) + log1p(others[..., 0]))


def exact_softmax_jacobian(probs):
    p = exactly(probs)
    identity = np.eye(p.shape[-1], dtype=int)
    return Exact(p[..., :, None] * (identity - p[..., None, :]))


def exact_softmax_vjp(probs, grad):
    p, g = exactly(probs), exactly(grad)
    mean = (g * p).sum(-1, keepdims=True)
    terms = np.abs(g) + np.abs(g * p).sum(-1, keepdims=True)
    return Exact(p * (g - mean), p * terms)


def exact_sigmoid(x):
    return Exact(1 / (1 + exp(-exactly(x))))


def exact_log_sigmoid(x):
    return Exact(-log1p(exp(-exactly(x))))


def _rows_of_softmax_cross_entropy(
    logits,
    targets,
    class_weight=None,
    sample_weight=None,
    label_smoothing=0.0,
    ignore_index=None,
):
    """Row by row: what −log p weighs in each class, and the row's share of the mean's divisor."""
    n_rows, n_classes = logits.shape
    classes = exactly(np.ones(n_classes) if class_weight is None else class_weight)
    rows = exactly(np.ones(n_rows) if sample_weight is None else sample_weight)
    smoothing = mp.mpf(label_smoothing)
    targets = np.asarray(targets)
    for i in range(n_rows):
        weights = smoothing / n_classes * classes
        if targets.ndim == 2:
            weights = weights + (1 - smoothing) * exactly(targets[i]) * classes
            yield rows[i] * weights, rows[i]
        elif targets[i] == ignore_index:
            yield 0 * weights, mp.zero
        else:
            label = targets[i]
            weights[label] += (1 - smoothing) * classes[label]
            yield rows[i] * weights, rows[i] * classes[label]


def exact_softmax_cross_entropy(logits, targets, *, reduction="none", **options):
    log_probs = exact_log_softmax(logits).values
    weights, divisors = zip(*_rows_of_softmax_cross_entropy(logits, targets, **options), strict=True)
    losses = -(np.array(weights) * log_probs).sum(-1)
    return Exact(_reduced(losses, reduction, sum(divisors)))


def exact_softmax_cross_entropy_grad(logits, targets, *, reduction="none", **options):
    shifted, others = _shifted_and_others(logits)
    probs = exp(shifted) / (1 + others)
    complements = 1 - probs
    top = np.argmax(logits, -1)[:, None]
    np.put_along_axis(complements, top, others / (1 + others), -1)  # 1 − p, not lost where p → 1
    weights, divisors = zip(*_rows_of_softmax_cross_entropy(logits, targets, **options), strict=True)
    weights = np.array(weights)
    for_others = np.array([row.sum() - row for row in weights])
    grad = probs * for_others - weights * complements
    terms = probs * weights.sum(-1, keepdims=True) + weights
    plain_labels = np.ndim(targets) == 1 and not options.get("label_smoothing")
    scale = sum(divisors) if reduction == "mean" else 1
    return Exact(grad / scale, None if plain_labels else terms / scale)


def exact_sigmoid_cross_entropy(logits, targets, *, reduction="none", pos_weight=1.0):
    z, y = exactly(logits), exactly(targets)
    losses = exactly(pos_weight) * y * log1p(exp(-z)) + (1 - y) * log1p(exp(z))
    return Exact(_reduced(losses, reduction, losses.size))


def exact_sigmoid_cross_entropy_grad(logits, targets, *, reduction="none", pos_weight=1.0):
    z, y = exactly(logits), exactly(targets)
    down, up = (1 - y) / (1 + exp(-z)), exactly(pos_weight) * y / (1 + exp(z))
    scale = z.size if reduction == "mean" else 1
    return Exact((down - up) / scale, (down + up) / scale)


def _sigmoid_errors(logits, targets):
    """σ(z) − y as (1 − y) σ(z) − y σ(−z), which keeps its digits; and the magnitude of the two."""
    z, y = exactly(logits), exactly(targets)
    down, up = (1 - y) / (1 + exp(-z)), y / (1 + exp(z))
    return down - up, np.abs(down) + np.abs(up)


def exact_sigmoid_mse(logits, targets, *, reduction="none"):
    errors, terms = _sigmoid_errors(logits, targets)
    return Exact(
        _reduced(errors**2, reduction, errors.size),
        _reduced(np.abs(errors) * terms, reduction, errors.size),
    )


def exact_sigmoid_mse_grad(logits, targets, *, reduction="none"):
    errors, terms = _sigmoid_errors(logits, targets)
    z = exactly(logits)
    slopes = 2 / (1 + exp(-z)) / (1 + exp(z)) / (z.size if reduction == "mean" else 1)
    return Exact(errors * slopes, terms * slopes)


def exact_mse(predictions, targets, *, reduction="none"):
    losses = (exactly(predictions) - exactly(targets)) ** 2
    return Exact(_reduced(losses, reduction, losses.size))


def exact_mse_grad(predictions, targets, *, reduction="none"):
    grad = 2 * (exactly(predictions) - exactly(targets))
    return Exact(grad / (grad.size if reduction == "mean" else 1))


def _reduced(losses, reduction, divisor):
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / divisor}[reduction]


def exact_cross_entropy(p, q, *, base=None):
    unit = 1 if base is None else mp.log(base)
    p, q = exactly(p), exactly(q)
    terms = -p * log(np.where(p == 0, mp.one, q))
    return Exact(terms.sum(-1) / unit)


def exact_entropy(p, *, base=None):
    return exact_cross_entropy(p, p, base=base)


def exact_kl_divergence(p, q, *, base=None):
    unit = 1 if base is None else mp.log(base)
    p, q = exactly(p), exactly(q)
    logs = log(np.where(p == 0, mp.one, p / q))
    # p / q is rounded before its logarithm is taken: an error of p, however small the logarithm
    return Exact((p * logs).sum(-1) / unit, abs((p * (1 + np.abs(logs))).sum(-1) / unit))


# ---- the registry


@dataclass(frozen=True)
class Kernel:
    """One public kernel.

    ``arguments(shape, dtype, rng, scale)`` makes the positional arguments for a batch of that
    shape with logits of that scale; ``exact(*arguments)`` is the result to 50 digits, of every
    row or element. ``takes`` names which of axis, out and reduction it has. A gradient names the
    kernel it is the gradient ``of``, a fused kernel the two it is ``made_of``.
    """

    name: str
    family: Literal["rows", "elementwise", "loss", "distributions"]
    arguments: Callable[..., tuple[Any, ...]]
    exact: Callable[..., Exact] | None
    takes: frozenset[str] = frozenset()
    of: str | None = None
    made_of: tuple[str, str] | None = None

    @cached_property
    def function(self):
        return getattr(steelfast, self.name)

    @cached_property
    def reference(self):
        return getattr(reference, self.name)

    @property
    def each(self):
        """The keywords with which it gives a result for every row or element."""
        return {"reduction": "none"} if "reduction" in self.takes else {}

    def __str__(self):
        return self.name


def _kernel(name, family, arguments, exact, takes="", **partners):
    return Kernel(name, family, arguments, exact, frozenset(takes.split()), **partners)


KERNELS = {
    kernel.name: kernel
    for kernel in [
        _kernel("softmax", "rows", _logits, exact_softmax, "axis out"),
        _kernel("log_softmax", "rows", _logits, exact_log_softmax, "axis out"),
        _kernel("logsumexp", "rows", _logits, exact_logsumexp, "axis"),
        _kernel("softmax_jacobian", "rows", _probs, exact_softmax_jacobian, "out"),
        _kernel("softmax_vjp", "rows", _probs_and_grad, exact_softmax_vjp, "axis out"),
        _kernel("sigmoid", "elementwise", _logits, exact_sigmoid, "out"),
        _kernel("log_sigmoid", "elementwise", _logits, exact_log_sigmoid, "out"),
        _kernel(
            "softmax_cross_entropy",
            "loss",
            _logits_and_labels,
            exact_softmax_cross_entropy,
            "reduction",
        ),
        _kernel(
            "softmax_cross_entropy_grad",
            "loss",
            _logits_and_labels,
            exact_softmax_cross_entropy_grad,
            "reduction out",
            of="softmax_cross_entropy",
        ),
        _kernel(
            "softmax_cross_entropy_value_and_grad",
            "loss",
            _logits_and_labels,
            None,
            "reduction out",
            made_of=("softmax_cross_entropy", "softmax_cross_entropy_grad"),
        ),
        _kernel(
            "sigmoid_cross_entropy",
            "loss",
            _logits_and_zeros_and_ones,
            exact_sigmoid_cross_entropy,
            "reduction",
        ),
        _kernel(
            "sigmoid_cross_entropy_grad",
            "loss",
            _logits_and_zeros_and_ones,
            exact_sigmoid_cross_entropy_grad,
            "reduction",
            of="sigmoid_cross_entropy",
        ),
        _kernel(
            "sigmoid_cross_entropy_value_and_grad",
            "loss",
            _logits_and_zeros_and_ones,
            None,
            "reduction",
            made_of=("sigmoid_cross_entropy", "sigmoid_cross_entropy_grad"),
        ),
        _kernel("sigmoid_mse", "loss", _logits_and_zeros_and_ones, exact_sigmoid_mse, "reduction"),
        _kernel(
            "sigmoid_mse_grad",
            "loss",
            _logits_and_zeros_and_ones,
            exact_sigmoid_mse_grad,
            "reduction",
            of="sigmoid_mse",
        ),
        _kernel(
            "sigmoid_mse_value_and_grad",
            "loss",
            _logits_and_zeros_and_ones,
            None,
            "reduction",
            made_of=("sigmoid_mse", "sigmoid_mse_grad"),
        ),
        _kernel("mse", "loss", _two_arrays, exact_mse, "reduction"),
        _kernel("mse_grad", "loss", _two_arrays, exact_mse_grad, "reduction", of="mse"),
        _kernel("cross_entropy", "distributions", _two_distributions, exact_cross_entropy, "axis"),
        _kernel("entropy", "distributions", _probs, exact_entropy, "axis"),
        _kernel("kl_divergence", "distributions", _two_distributions, exact_kl_divergence, "axis"),
    ]
}


def with_(*taken):
    """The kernels that take all of these."""
    return [kernel for kernel in KERNELS.values() if kernel.takes.issuperset(taken)]


def softmax_cross_entropy_cases(n_rows, n_classes):
    """Both kinds of targets with every choice of the options, as parameters (targets, options).

    The numbers are float32, so that kernels of either precision get the same ones.
    """
    rng = np.random.default_rng(10)
    labels = rng.integers(n_classes, size=n_rows)
    probs = rng.dirichlet(np.ones(n_classes), n_rows).astype(np.float32)
    every_option = {
        "class_weight": rng.uniform(0.5, 2, n_classes).astype(np.float32),
        "sample_weight": rng.uniform(0, 3, n_rows).astype(np.float32),
        "label_smoothing": 0.125,
        "ignore_index": int(labels[1]),
    }
    return [
        pytest.param(targets, {name: every_option[name] for name in names}, id="-".join([kind, *names]))
        for kind, targets in {"labels": labels, "probabilities": probs}.items()
        for n_options in range(len(every_option) + 1)
        for names in combinations(every_option, n_options)
        if kind == "labels" or "ignore_index" not in names  # these two are refused together
    ]
