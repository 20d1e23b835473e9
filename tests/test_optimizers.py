"""The optimisers: against their formulas in NumPy, and against PyTorch where it is installed."""

import copy

import numpy as np
import pytest

from steelfast.optimizers import SGD, Adam, Momentum, RMSProp
from steelfast.schedules import Constant, Cosine, OneCycle, Step

N_STEPS = 120


def sgd(w, gradients, rates, weight_decay=0.0):
    for g, rate in zip(gradients, rates, strict=True):
        w = w - rate * (g + weight_decay * w)
    return w


def momentum(w, gradients, rates, momentum=0.9, nesterov=False, weight_decay=0.0):
    v = np.zeros_like(w)
    for g, rate in zip(gradients, rates, strict=True):
        g = g + weight_decay * w
        v = momentum * v + g
        w = w - rate * (g + momentum * v if nesterov else v)
    return w


def rmsprop(w, gradients, rates, decay=0.99, eps=1e-8, weight_decay=0.0):
    s = np.zeros_like(w)
    for g, rate in zip(gradients, rates, strict=True):
        g = g + weight_decay * w
        s = decay * s + (1 - decay) * g**2
        w = w - rate * g / (np.sqrt(s) + eps)
    return w


def adam(w, gradients, rates, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        if decoupled_weight_decay:
            w = w - rate * weight_decay * w
        else:
            g = g + weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


# optimiser, its formula, its settings, its name in torch.optim, and what its settings are called there
CASES = {
    "SGD": (SGD, sgd, {}, "SGD", {}),
    "SGD with decay": (SGD, sgd, {"weight_decay": 0.1}, "SGD", {"weight_decay": 0.1}),
    "Momentum": (Momentum, momentum, {}, "SGD", {"momentum": 0.9}),
    "Momentum without": (Momentum, momentum, {"momentum": 0.0}, "SGD", {}),
    "Momentum with decay": (
        Momentum,
        momentum,
        {"momentum": 0.8, "weight_decay": 0.1},
        "SGD",
        {"momentum": 0.8, "weight_decay": 0.1},
    ),
    "Nesterov": (Momentum, momentum, {"nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "Nesterov with decay": (
        Momentum,
        momentum,
        {"nesterov": True, "weight_decay": 0.1},
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "RMSProp": (RMSProp, rmsprop, {}, "RMSprop", {"alpha": 0.99}),
    "RMSProp with others": (
        RMSProp,
        rmsprop,
        {"decay": 0.8, "eps": 1e-3},
        "RMSprop",
        {"alpha": 0.8, "eps": 1e-3},
    ),
    "RMSProp with decay": (RMSProp, rmsprop, {"weight_decay": 0.1}, "RMSprop", {"alpha": 0.99, "weight_decay": 0.1}),
    "Adam": (Adam, adam, {}, "Adam", {}),
    "Adam with others": (
        Adam,
        adam,
        {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
        "Adam",
        {"betas": (0.7, 0.9), "eps": 1e-3},
    ),
    "Adam with a large eps": (Adam, adam, {"eps": 3.0}, "Adam", {"eps": 3.0}),
    "Adam with decay": (Adam, adam, {"weight_decay": 0.1}, "Adam", {"weight_decay": 0.1}),
    "AdamW": (
        Adam,
        adam,
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
        "AdamW",
        {"weight_decay": 0.1},
    ),
    "AdamW without": (Adam, adam, {"decoupled_weight_decay": True}, "AdamW", {"weight_decay": 0.0}),
}
RATES = {
    "constant": (0.02, np.full(N_STEPS, 0.02)),
    "schedule": (Step(0.02, 7, 0.9), 0.02 * 0.9 ** (np.arange(N_STEPS) // 7)),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_optimizer = pytest.mark.parametrize("make", [SGD, Momentum, RMSProp, Adam])


def start_and_gradients(shape=(7, 5), dtype=np.float64):
    rng = np.random.default_rng(90)
    # of very different sizes, and with a zero
    gradients = rng.normal(size=(N_STEPS, *shape)) * 10.0 ** rng.integers(-6, 4, shape)
    gradients[0].flat[:1] = 0
    return rng.normal(size=shape).astype(dtype), gradients.astype(dtype)


def after(make, w, gradients, **settings):
    w = w.copy()
    optimizer = make(**settings)
    for g in gradients:
        assert optimizer.update(w, g) is None
    return w


# ---- what comes out


@every_case
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("shape", [(7, 5), (1,), (64,), (2, 3, 4), (), (0,)])
def test_formula(case, shape, rate):
    make, formula, settings, *_ = case
    learning_rate, rates = rate
    w, gradients = start_and_gradients(shape)
    np.testing.assert_allclose(
        after(make, w, gradients, learning_rate=learning_rate, **settings),
        formula(w, gradients, rates, **settings),
        rtol=1e-12,
        atol=1e-12,
    )


@every_case
def test_formula_in_float32(case):
    make, formula, settings, *_ = case
    w, gradients = start_and_gradients(dtype=np.float32)
    result = after(make, w, gradients, learning_rate=0.02, **settings)
    assert result.dtype == np.float32
    expected = formula(w.astype(float), gradients.astype(float), RATES["constant"][1], **settings)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_the_complement_of_a_decay_keeps_its_digits_in_float32():
    """1 − 0.999999 is 1e-6 to 3 % only where both are single: a step would be 1.4 % too long."""
    w = np.zeros(1, np.float32)
    RMSProp(1.0, decay=0.999999, eps=0.0).update(w, np.ones(1, np.float32))
    assert w[0] == pytest.approx(-1000, rel=1e-6)


@every_case
def test_torch(case):
    torch = pytest.importorskip("torch")
    make, _, settings, name, torch_settings = case
    w, gradients = start_and_gradients()
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimizer = getattr(torch.optim, name)([parameter], lr=0.02, **torch_settings)
    ours, ours_optimizer = w.copy(), make(learning_rate=0.02, **settings)
    for g in gradients:
        parameter.grad = torch.tensor(g)
        optimizer.step()
        ours_optimizer.update(ours, g)
        np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_descent_as_published(dtype):
    """J(w) = w² − 10w + 25 from 0 with rate 0.01: 0.1 after one step, 4.9999 after 1000 more."""
    w = np.zeros(1, dtype)
    descent = SGD(learning_rate=0.01)

    def step():
        descent.update(w, 2 * w - 10)

    step()
    assert f"{w[0]:.6g}" == "0.1"
    for _ in range(1000):
        step()
    assert str(w[0])[:6] == "4.9999"
    if dtype is np.float64:
        assert w[0] == pytest.approx(5 - 5 * 0.98**1001, abs=1e-12)


@every_optimizer
def test_all_find_the_bottom_of_a_bowl(make):
    w = np.array([3.0, -2.0])
    optimizer = make(learning_rate=0.02)
    for _ in range(2000):
        optimizer.update(w, 2 * (w - [1, 2]))
    np.testing.assert_allclose(w, [1, 2], atol=0.03)


# ---- parameters


@every_optimizer
def test_each_parameter_has_a_memory_of_its_own(make):
    (w, w_gradients), (b, b_gradients) = start_and_gradients((4, 3)), start_and_gradients((3,))
    expected = after(make, w, w_gradients), after(make, b, b_gradients)
    optimizer = make()
    for w_gradient, b_gradient in zip(w_gradients, b_gradients, strict=True):
        optimizer.update(w, w_gradient)
        optimizer.update(b, b_gradient)
    np.testing.assert_array_equal(w, expected[0])
    np.testing.assert_array_equal(b, expected[1])


@every_optimizer
def test_memory_goes_with_its_parameter(make):
    """A new array at the address of an old one is new."""
    optimizer = make()
    expected = after(make, np.ones(5), [np.ones(5)])
    for _ in range(50):
        w = np.ones(5)
        optimizer.update(w, np.ones(5))
        np.testing.assert_array_equal(w, expected)
        del w


@every_optimizer
@pytest.mark.parametrize(
    "view",
    [
        lambda w: w.T,
        lambda w: w[::2],
        lambda w: w[:, ::-1],
        lambda w: np.asfortranarray(w),
    ],
)
def test_parameters_of_any_layout(make, view):
    w, _ = start_and_gradients()
    parameter = view(w)
    gradients = np.random.default_rng(91).normal(size=(5, *parameter.shape))
    expected = after(make, np.array(parameter, float), gradients)
    optimizer = make()
    for g in gradients:
        optimizer.update(parameter, g)
    np.testing.assert_array_equal(parameter, expected)


@every_optimizer
@pytest.mark.parametrize(
    "form",
    [
        np.ndarray.tolist,
        lambda g: g.astype(np.float32).astype(float).astype(np.float32),
        lambda g: np.asfortranarray(g),
        lambda g: g[::-1][::-1],
    ],
)
def test_gradients_of_any_form(make, form):
    w, gradients = start_and_gradients()
    gradients = gradients.astype(np.float32).astype(float)
    expected = after(make, w, gradients)
    np.testing.assert_array_equal(after(make, w, [form(g) for g in gradients]), expected)


@every_optimizer
def test_gradients_are_not_changed(make):
    w, gradients = start_and_gradients()
    copy = gradients.copy()
    gradients.flags.writeable = False
    after(make, w, gradients)
    np.testing.assert_array_equal(gradients, copy)


@every_optimizer
def test_the_gradient_may_be_the_parameter(make):
    w, _ = start_and_gradients()
    expected = after(make, w, [w])
    optimizer = make()
    optimizer.update(w, w)
    np.testing.assert_array_equal(w, expected)


# ---- many steps at once


def take(plan, w, gradients):
    assert len(plan.rates) == len(gradients)
    for k, g in enumerate(gradients):
        plan.take(k, w, g)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.02, Step(0.02, 7), Cosine(0.02, 50, 0.001), OneCycle(0.02, N_STEPS)], ids=repr)
def test_steps_of_a_plan_are_those_of_update(case, rate, dtype):
    make, _, settings, *_ = case
    w, gradients = start_and_gradients(dtype=dtype)
    expected = after(make, w, gradients, learning_rate=rate, **settings)
    optimizer = make(learning_rate=rate, **settings)
    optimizer.update(w, gradients[0])
    take(optimizer.begin(w, 40), w, gradients[1:41])
    optimizer.update(w, gradients[41])
    take(optimizer.begin(w, 0), w, gradients[:0])
    take(optimizer.begin(w, N_STEPS - 42), w, gradients[42:])
    np.testing.assert_array_equal(w, expected)


@every_optimizer
def test_plans_of_several_parameters(make):
    w, b = np.ones((4, 3)), np.ones(3, np.float32)
    optimizer = make(Step(0.5, 1, 0.5))
    optimizer.update(w, np.ones((4, 3)))
    of_w, of_b = optimizer.begin(w, 2), optimizer.begin(b, 3)
    assert (of_w.number, of_b.number) == (2, 1)
    np.testing.assert_array_equal(of_w.rates, [0.25, 0.125])
    np.testing.assert_array_equal(of_b.rates, [0.5, 0.25, 0.125])
    for plan, parameter in (of_w, w), (of_b, b):
        for memory in plan.first, plan.second:
            assert memory is None or (memory.shape == parameter.shape and memory.dtype == parameter.dtype)


@every_case
def test_steps_have_the_same_bits_wherever_a_number_stands(case):
    """Lanes and the rest after the last full register; and neighbours do not matter."""
    make, _, settings, *_ = case
    for dtype in np.float32, np.float64:
        w, gradients = start_and_gradients((37,), dtype)
        together = after(make, w, gradients, **settings)
        for k in range(w.size):
            alone = after(make, w[k : k + 1], gradients[:, k : k + 1], **settings)
            np.testing.assert_array_equal(together[k], alone[0])


# ---- learning rates on the way


def test_each_parameter_counts_its_own_steps():
    w, b = np.zeros(1), np.zeros(1)
    optimizer = SGD(Step(1.0, 1, 0.5))
    for parameter in (w, w, b, w, b):
        optimizer.update(parameter, np.ones(1))
    assert (w[0], b[0]) == (-1.75, -1.5)


def test_a_schedule_may_be_a_function():
    w = np.zeros(1)
    optimizer = SGD(lambda step: 1 / (1 + step))
    for _ in range(4):
        optimizer.update(w, np.ones(1))
    assert w[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3 + 1 / 4), rel=1e-15)


def test_learning_rate_can_be_changed_on_the_way():
    w = np.zeros(2)
    optimizer = SGD(1.0)
    optimizer.update(w, np.ones(2))
    optimizer.learning_rate = 0.25
    optimizer.update(w, np.ones(2))
    np.testing.assert_array_equal(w, [-1.25, -1.25])


# ---- what is refused


REFUSED = [
    ([1.0, 2.0], np.ones(2), TypeError, "parameter must be an array of float32 or float64, got"),
    (np.ones(2, int), np.ones(2), TypeError, "parameter .* int64"),
    (np.ones(2, np.float16), np.ones(2), TypeError, "parameter .* float16"),
    (np.ones(2), np.ones(3), ValueError, r"gradient must have shape \(2,\), got \(3,\)"),
    (np.ones((2, 1)), np.ones(2), ValueError, r"gradient must have shape \(2, 1\), got \(2,\)"),
    (np.ones(2), 1.0, ValueError, r"gradient must have shape \(2,\), got \(\)"),
    (np.ones(2), ["a", "b"], TypeError, "gradient must hold real numbers"),
    (np.ones(2), np.ones(2, complex), TypeError, "gradient must hold real numbers"),
]


@every_optimizer
@pytest.mark.parametrize(("parameter", "gradient", "error", "message"), REFUSED)
def test_refused_with_nothing_changed(make, parameter, gradient, error, message):
    before = np.copy(parameter)
    with pytest.raises(error, match=message):
        make().update(parameter, gradient)
    np.testing.assert_array_equal(parameter, before)


@every_optimizer
def test_read_only_parameter(make):
    w = np.ones(3)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="parameter must be writeable"):
        make().update(w, np.ones(3))
    np.testing.assert_array_equal(w, 1)


@every_optimizer
def test_a_refused_step_is_not_remembered(make):
    w, gradients = start_and_gradients()
    expected = after(make, w, gradients)
    optimizer = make()
    for g in gradients:
        with pytest.raises(ValueError, match="gradient"):
            optimizer.update(w, g[:-1])
        optimizer.update(w, g)
    np.testing.assert_array_equal(w, expected)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (SGD, {"learning_rate": -0.1}),
        (SGD, {"learning_rate": np.nan}),
        (SGD, {"learning_rate": np.inf}),
        (SGD, {"weight_decay": -0.1}),
        (Adam, {"weight_decay": np.nan}),
        (Momentum, {"momentum": 1.1}),
        (Momentum, {"momentum": -0.1}),
        (RMSProp, {"decay": 2}),
        (RMSProp, {"eps": -1e-8}),
        (Adam, {"beta1": 1.0}),
        (Adam, {"beta2": 1.0}),
        (Adam, {"eps": np.nan}),
        (Adam, {"eps": np.inf}),
    ],
)
def test_settings_out_of_range(make, settings):
    [name] = settings
    with pytest.raises(ValueError, match=f"^{name} must be at least 0 and (finite|below 1|at most 1), got"):
        make(**settings)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (SGD, {"learning_rate": "fast"}),
        (SGD, {"learning_rate": None}),
        (SGD, {"learning_rate": [0.1]}),
        (SGD, {"weight_decay": 1j}),
        (Momentum, {"momentum": "0.9"}),
        (Momentum, {"nesterov": "no"}),
        (Momentum, {"nesterov": 1}),
        (RMSProp, {"decay": None}),
        (Adam, {"decoupled_weight_decay": None}),
    ],
)
def test_settings_of_the_wrong_type(make, settings):
    [name] = settings
    with pytest.raises(TypeError, match=f"^{name} must "):
        make(**settings)


def test_settings_are_checked_when_they_are_changed_too():
    w, optimizer = np.zeros(2), Adam(0.5)
    for name, value in {"learning_rate": -1, "beta1": 1.0, "beta2": 2, "eps": np.nan, "weight_decay": np.inf}.items():
        before = getattr(optimizer, name)
        with pytest.raises(ValueError, match=f"^{name} must"):
            setattr(optimizer, name, value)
        assert getattr(optimizer, name) == before
    optimizer.learning_rate = Constant(0.25)
    optimizer.update(w, np.ones(2))
    np.testing.assert_allclose(w, -0.25)


BAD_SCHEDULES = {
    "raises": (lambda step: 1 / 0, ZeroDivisionError, "division"),
    "a number for an array": (lambda step: 0.1, ValueError, r"learning_rate gives must have shape \(1,\), got \(\)"),
    "negative": (lambda step: -0.1 * (step + 1), ValueError, "learning_rate gives must be finite and not negative"),
    "nan": (lambda step: step * np.nan, ValueError, "learning_rate gives must be finite and not negative, got nan"),
    "text": (lambda step: ["fast"], TypeError, "learning_rate gives must hold real numbers"),
    "a class": (Cosine, TypeError, "n_steps"),
}


@every_optimizer
@pytest.mark.parametrize(("schedule", "error", "message"), BAD_SCHEDULES.values(), ids=BAD_SCHEDULES)
def test_a_schedule_that_fails_changes_nothing(make, schedule, error, message):
    w, gradients = start_and_gradients()
    expected = after(make, w, gradients[:5], learning_rate=0.02)
    optimizer = make(0.02)
    for g in gradients[:5]:
        optimizer.learning_rate = schedule
        with pytest.raises(error, match=message):
            optimizer.update(w, g)
        with pytest.raises(error, match=message):
            optimizer.begin(w, 1)
        optimizer.learning_rate = 0.02
        optimizer.update(w, g)
    np.testing.assert_array_equal(w, expected)
    assert optimizer.begin(w, 1).number == 6


def read_only(array):
    array.flags.writeable = False
    return array


@every_optimizer
@pytest.mark.parametrize(
    ("parameter", "n_steps", "error", "message"),
    [
        ([1.0], 1, TypeError, "parameter must be an array of float32 or float64"),
        (np.ones(2, int), 1, TypeError, "parameter must be an array of float32 or float64"),
        (read_only(np.ones(2)), 1, ValueError, "parameter must be writeable"),
        (np.ones(2), -1, ValueError, "n_steps must be at least 0, got -1"),
        (np.ones(2), 1.0, TypeError, "n_steps must be an integer"),
        (np.ones(2), True, TypeError, "n_steps must be an integer"),
        (np.ones(2), None, TypeError, "n_steps must be an integer"),
    ],
)
def test_plans_that_are_refused(make, parameter, n_steps, error, message):
    optimizer = make()
    with pytest.raises(error, match=message):
        optimizer.begin(parameter, n_steps)
    if isinstance(parameter, np.ndarray) and parameter.dtype == float and parameter.flags.writeable:
        assert optimizer.begin(parameter, 1).number == 1


@every_optimizer
@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize(("attribute", "value"), [("shape", (2, 3)), ("dtype", np.float32)])
def test_a_parameter_that_became_another_is_refused(make, attribute, value):
    """What is remembered of it would not fit: a kernel would read beyond its end."""
    w, optimizer = np.ones(6), make()
    optimizer.update(w, np.ones(6))
    setattr(w, attribute, value)
    before = w.copy()
    message = r"^parameter must keep the shape \(6,\) and dtype float64 of its first step, got"
    with pytest.raises(ValueError, match=message):
        optimizer.update(w, np.ones(w.shape))
    with pytest.raises(ValueError, match=message):
        optimizer.begin(w, 1)
    np.testing.assert_array_equal(w, before)


@every_optimizer
def test_repr_makes_the_same_again(make):
    text = repr(make(learning_rate=0.125))
    again = eval(text)
    assert type(again) is make
    assert repr(again) == text
    assert "0.125" in text


def test_a_gradient_that_overlaps_the_parameter_is_read_first():
    buffer = np.arange(1.0, 6.0)
    wanted = buffer[1:] - 0.5 * buffer[:4]
    SGD(0.5).update(buffer[1:], buffer[:4])
    np.testing.assert_array_equal(buffer[1:], wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [SGD, Momentum, RMSProp, Adam])
def test_another_optimizer_resumes(make, dtype):
    """With another array of the same numbers, as if there had been one."""
    rng = np.random.default_rng(0)
    w, gradients = rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(6, 3, 4)).astype(dtype)
    first = make(Cosine(0.1, 6))
    for gradient in gradients[:3]:
        first.update(w, gradient)
    again, second = w.copy(), make(Cosine(0.1, 6))
    second.resume(again, copy.deepcopy(first.begin(w, 0)))
    for gradient in gradients[3:]:
        first.update(w, gradient)
        second.update(again, gradient)
    np.testing.assert_array_equal(again, w)
    with pytest.raises(ValueError, match=r"plan must be of a .* for an array of shape"):
        (Momentum if make is not Momentum else Adam)(0.1).resume(again, first.begin(w, 0))
    if make is not SGD:
        with pytest.raises(ValueError, match="plan must be of a"):
            second.resume(np.zeros((3, 3), dtype), first.begin(w, 0))


@pytest.mark.parametrize("make", [Momentum, RMSProp, Adam])
def test_a_copy_and_a_plan_have_memories_of_their_own(make):
    """Steps through them are none of the first optimiser's."""
    w, gradient = np.array([1.0]), np.array([0.5])
    optimizer = make(0.1)
    optimizer.update(w, gradient)
    alone = copy.deepcopy((w, optimizer))
    other = copy.copy(optimizer)
    kept = w.copy()
    other.update(w, -5 * gradient)
    w[:] = kept
    plan, resumed, elsewhere = optimizer.begin(w, 0), make(0.1), w.copy()
    resumed.resume(elsewhere, plan)
    resumed.update(elsewhere, 7 * gradient)
    for parameter, each in (w, optimizer), alone:
        each.update(parameter, gradient)
    assert w == alone[0]
