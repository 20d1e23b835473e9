"""The optimisers: against their formulas in NumPy, and against PyTorch where it is installed."""

import numpy as np
import pytest

from steelfast.optimizers import SGD, Adam, Momentum, RMSProp

N_STEPS = 25


def sgd(w, gradients, rate):
    for g in gradients:
        w = w - rate * g
    return w


def momentum(w, gradients, rate, momentum=0.9):
    v = np.zeros_like(w)
    for g in gradients:
        v = momentum * v + g
        w = w - rate * v
    return w


def rmsprop(w, gradients, rate, decay=0.99, eps=1e-8):
    s = np.zeros_like(w)
    for g in gradients:
        s = decay * s + (1 - decay) * g**2
        w = w - rate * g / (np.sqrt(s) + eps)
    return w


def adam(w, gradients, rate, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


# optimiser, its formula, its name in torch.optim, and what its settings are called there
CASES = {
    "SGD": (SGD, sgd, {}, "SGD", {}),
    "Momentum": (Momentum, momentum, {}, "SGD", {"momentum": 0.9}),
    "Momentum without": (Momentum, momentum, {"momentum": 0.0}, "SGD", {}),
    "RMSProp": (RMSProp, rmsprop, {}, "RMSprop", {"alpha": 0.99}),
    "RMSProp with others": (
        RMSProp,
        rmsprop,
        {"decay": 0.8, "eps": 1e-3},
        "RMSprop",
        {"alpha": 0.8, "eps": 1e-3},
    ),
    "Adam": (Adam, adam, {}, "Adam", {}),
    "Adam with others": (
        Adam,
        adam,
        {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
        "Adam",
        {"betas": (0.7, 0.9), "eps": 1e-3},
    ),
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
@pytest.mark.parametrize("shape", [(7, 5), (1,), (64,), (2, 3, 4), (), (0,)])
def test_formula(case, shape):
    make, formula, settings, *_ = case
    w, gradients = start_and_gradients(shape)
    np.testing.assert_allclose(
        after(make, w, gradients, learning_rate=0.02, **settings),
        formula(w, gradients, 0.02, **settings),
        rtol=1e-12,
        atol=1e-13,
    )


@every_case
def test_formula_in_float32(case):
    make, formula, settings, *_ = case
    w, gradients = start_and_gradients(dtype=np.float32)
    result = after(make, w, gradients, learning_rate=0.02, **settings)
    assert result.dtype == np.float32
    expected = formula(w.astype(float), gradients.astype(float), 0.02, **settings)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@every_case
def test_torch(case):
    torch = pytest.importorskip("torch")
    make, _, settings, name, torch_settings = case
    w, gradients = start_and_gradients()
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimizer = getattr(torch.optim, name)([parameter], lr=0.02, **torch_settings)
    for g in gradients:
        parameter.grad = torch.tensor(g)
        optimizer.step()
    np.testing.assert_allclose(
        after(make, w, gradients, learning_rate=0.02, **settings),
        parameter.detach().numpy(),
        rtol=1e-12,
        atol=1e-13,
    )


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
        (Momentum, {"momentum": 1.1}),
        (Momentum, {"momentum": -0.1}),
        (RMSProp, {"decay": 2}),
        (RMSProp, {"eps": -1e-8}),
        (Adam, {"beta1": 1.0}),
        (Adam, {"beta2": 1.0}),
        (Adam, {"eps": np.nan}),
    ],
)
def test_settings_out_of_range(make, settings):
    [name] = settings
    with pytest.raises(ValueError, match=f"^{name} must be at least 0 and (finite|below 1|at most 1), got"):
        make(**settings)


@every_optimizer
def test_settings_of_the_wrong_type(make):
    with pytest.raises(TypeError, match="learning_rate"):
        make(learning_rate="fast")


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
