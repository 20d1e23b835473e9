"""The schedules: against their formulas, and against PyTorch where it is installed."""

import dataclasses
import math

import numpy as np
import pytest

from steelfast.schedules import Constant, Cosine, OneCycle, Schedule, Step


def cosine(start, end, part):
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def one_cycle(t, highest, n_steps, pct_start=0.3, div_factor=25, final_div_factor=1e4):
    t = min(t, n_steps - 1)
    start, peak, last = highest / div_factor, pct_start * n_steps - 1, n_steps - 1
    if t <= peak:
        return cosine(start, highest, t / peak if peak else 1)
    return cosine(highest, start / final_div_factor, (t - peak) / (last - peak))


# schedule, its formula, its name in torch.optim.lr_scheduler, and what its settings are called there
CASES = [
    (Constant(0.3), lambda t: 0.3, "ConstantLR", {"factor": 1.0}),
    (Step(0.3, 1), lambda t: 0.3 * 0.1**t, "StepLR", {"step_size": 1}),
    (Step(0.3, 7, 0.9), lambda t: 0.3 * 0.9 ** (t // 7), "StepLR", {"step_size": 7, "gamma": 0.9}),
    (Step(0.3, 7, gamma=0.0), lambda t: 0.3 if t < 7 else 0.0, "StepLR", {"step_size": 7, "gamma": 0.0}),
    (Cosine(0.3, 1), lambda t: cosine(0.3, 0, t), "CosineAnnealingLR", {"T_max": 1}),
    (
        Cosine(0.3, 150, 0.01),
        lambda t: cosine(0.3, 0.01, t / 150),
        "CosineAnnealingLR",
        {"T_max": 150, "eta_min": 0.01},
    ),
    (Cosine(0.3, 40), lambda t: cosine(0.3, 0, t / 40), "CosineAnnealingLR", {"T_max": 40}),
    *(
        (
            OneCycle(0.3, n_steps, **settings),
            lambda t, n_steps=n_steps, settings=settings: one_cycle(t, 0.3, n_steps, **settings),
            "OneCycleLR",
            {"max_lr": 0.3, "total_steps": n_steps, "cycle_momentum": False, **settings},
        )
        for n_steps, settings in [
            (150, {}),
            (101, {"pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0}),
            (150, {"pct_start": 0.0}),
            (150, {"pct_start": 1.0}),
            (10, {"pct_start": 0.1}),  # the first step is the peak
            (3, {}),
            (1, {}),
        ]
    ),
]
every_case = pytest.mark.parametrize(
    ("schedule", "formula", "name", "settings"), CASES, ids=[repr(case[0])[:70] for case in CASES]
)


@every_case
def test_formula(schedule, formula, name, settings):
    expected = [formula(t) for t in range(200)]
    rates = schedule(np.arange(200))
    assert rates.dtype == np.float64
    np.testing.assert_allclose(rates, expected, rtol=0, atol=1e-14)


@every_case
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")
def test_torch(schedule, formula, name, settings):
    torch = pytest.importorskip("torch")
    if settings.get("pct_start") == 0.1:
        pytest.skip("PyTorch divides by zero where the first step is the peak")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    expected = []
    for t in range(n_steps := settings.get("total_steps", 150)):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if t < n_steps - 1:
            scheduler.step()
    np.testing.assert_allclose(schedule(np.arange(n_steps)), expected, rtol=0, atol=1e-12)


@every_case
def test_a_step_has_the_bits_that_it_has_in_an_array(schedule, formula, name, settings):
    rates = schedule(np.arange(200))
    for t in range(200):
        rate = schedule(t)
        assert type(rate) is float
        assert rate == rates[t] == schedule(np.int32(t)) == schedule(np.arange(t, 200))[0] == schedule(np.array(t))


@every_case
def test_shapes(schedule, formula, name, settings):
    steps = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(schedule(steps), schedule(np.arange(12)).reshape(3, 4))
    assert schedule(np.arange(0)).shape == (0,)


@every_case
def test_far_away_steps_are_finite(schedule, formula, name, settings):
    for t in 10**9, 2**62, np.uint64(2**63 - 1):
        assert 0 <= schedule(t) <= 0.3


@every_case
def test_repr_makes_the_same_again(schedule, formula, name, settings):
    again = eval(repr(schedule))
    assert again == schedule
    assert repr(again) == repr(schedule)


@every_case
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (-1, ValueError, "^step must be at least 0 and below 2\\*\\*63, got -1"),
        (np.array([3, -2]), ValueError, "^step must be at least 0 and below 2\\*\\*63, got -2"),
        (-(2**70), ValueError, "^step must be at least 0 and below .*, got -1180591620717411303424"),
        (2**64, ValueError, "^step must be at least 0 and below .*, got 18446744073709551616"),
        (np.uint64(2**63), ValueError, "^step must be at least 0 and below .*, got 9223372036854775808"),
        (np.array([1, 2**63], np.uint64), ValueError, "^step must be at least 0 and below .*, got 9223372036854775808"),
        (1.0, TypeError, "^step must be an integer or an array of integers, got 1.0"),
        (True, TypeError, "^step must be an integer"),
        ("1", TypeError, "^step must be an integer"),
        (None, TypeError, "^step must be an integer"),
    ],
)
def test_bad_steps(schedule, formula, name, settings, step, error, message):
    with pytest.raises(error, match=message):
        schedule(step)


@pytest.mark.parametrize(
    ("make", "settings", "error"),
    [
        (Constant, {"learning_rate": -1}, ValueError),
        (Constant, {"learning_rate": "fast"}, TypeError),
        (Step, {"learning_rate": np.inf}, ValueError),
        (Step, {"step_size": 0}, ValueError),
        (Step, {"step_size": 2.0}, TypeError),
        (Step, {"gamma": 1.1}, ValueError),
        (Step, {"gamma": -0.1}, ValueError),
        (Cosine, {"learning_rate": np.nan}, ValueError),
        (Cosine, {"n_steps": 0}, ValueError),
        (Cosine, {"n_steps": None}, TypeError),
        (Cosine, {"minimum": -0.1}, ValueError),
        (OneCycle, {"max_learning_rate": -0.1}, ValueError),
        (OneCycle, {"n_steps": -5}, ValueError),
        (OneCycle, {"n_steps": True}, TypeError),
        (OneCycle, {"pct_start": 1.5}, ValueError),
        (OneCycle, {"div_factor": 0.5}, ValueError),
        (OneCycle, {"final_div_factor": np.inf}, ValueError),
    ],
)
def test_bad_settings(make, settings, error):
    good = {
        Constant: {"learning_rate": 0.1},
        Step: {"learning_rate": 0.1, "step_size": 1},
        Cosine: {"learning_rate": 0.1, "n_steps": 1},
        OneCycle: {"max_learning_rate": 0.1, "n_steps": 1},
    }[make]
    make(**good)
    [name] = settings
    with pytest.raises(error, match=f"^{name} must (be|hold) "):
        make(**good | settings)


def test_settings_are_plain_numbers_that_stay():
    schedule = Cosine(np.float32(0.5), np.int64(10))
    assert repr(schedule) == "Cosine(learning_rate=0.5, n_steps=10, minimum=0.0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.learning_rate = -1.0


def test_all_are_schedules():
    assert {type(schedule) for schedule, *_ in CASES} == set(Schedule.__subclasses__())


@pytest.mark.parametrize(
    "make",
    [lambda n: Step(0.1, n), lambda n: Cosine(0.1, n), lambda n: OneCycle(0.1, n)],
    ids=["Step", "Cosine", "OneCycle"],
)
def test_as_many_steps_as_can_be_counted(make):
    assert np.isfinite(make(2**62 - 1)(np.array([0, 7, 2**62]))).all()
    with pytest.raises(ValueError, match=r"^(step_size|n_steps) must be below 2\*\*62, got 4611686018427387904$"):
        make(2**62)


def test_a_rate_comes_down_to_0_without_a_word():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(Step(0.1, 1)(np.array([320, 1000])), [9.98012605e-322, 0])
