"""A step of each optimiser on a million parameters: the textbook's lines in NumPy, steelfast and PyTorch.

Run with ``pytest benchmarks/ --benchmark-only``. Each contender must arrive at the same parameters before it is timed.
``python benchmarks/test_bench_optimizers.py`` has them take turns in one process and prints ratios, beside what
the memory allows: bytes that a step must read and write, a second, against those of ``np.copyto``.
"""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from steelfast import bench
from steelfast.optimizers import SGD, Adam, Momentum, RMSProp

N = 1_000_000
RATE, DECAY, BETA, EPS = 0.001, 0.9, 0.999, 1e-8


def numpy_sgd(g):
    while True:
        w = yield
        w -= RATE * g


def numpy_momentum(g):
    v = np.zeros_like(g)
    while True:
        w = yield
        v *= DECAY
        v += g
        w -= RATE * v


def numpy_rmsprop(g):
    s = np.zeros_like(g)
    while True:
        w = yield
        s *= BETA
        s += (1 - BETA) * g**2
        w -= RATE * g / (np.sqrt(s) + EPS)


def numpy_adam(g):
    m, s, t = np.zeros_like(g), np.zeros_like(g), 0
    while True:
        w = yield
        t += 1
        m *= DECAY
        m += (1 - DECAY) * g
        s *= BETA
        s += (1 - BETA) * g**2
        w -= RATE * (m / (1 - DECAY**t)) / (np.sqrt(s / (1 - BETA**t)) + EPS)


# ours; the lines in NumPy; the name and the settings in torch.optim; arrays that a step must read or write
OPTIMIZERS = {
    "SGD": (SGD(RATE), numpy_sgd, "SGD", {}, 3),
    "Momentum": (Momentum(RATE, DECAY), numpy_momentum, "SGD", {"momentum": DECAY}, 5),
    "RMSProp": (RMSProp(RATE, BETA, EPS), numpy_rmsprop, "RMSprop", {"alpha": BETA, "eps": EPS}, 5),
    "Adam": (Adam(RATE, DECAY, BETA, EPS), numpy_adam, "Adam", {"betas": (DECAY, BETA), "eps": EPS}, 7),
}
CONTENDERS = ["steelfast", "NumPy", *(["PyTorch foreach", "PyTorch fused"] if find_spec("torch") else [])]


def arrays(dtype):
    rng = np.random.default_rng(0)
    return rng.standard_normal(N).astype(dtype), rng.standard_normal(N).astype(dtype)


def step_of(contender, name, w, g):
    """The call that takes one step and changes w; None if the contender has no such form."""
    ours, lines, torch_name, settings, _ = OPTIMIZERS[name]
    if contender == "steelfast":
        return partial(ours.update, w, g)
    if contender == "NumPy":
        steps = lines(g)
        next(steps)
        return partial(steps.send, w)
    import torch

    torch.set_num_threads(1)
    parameter = torch.nn.Parameter(torch.from_numpy(w))
    parameter.grad = torch.from_numpy(g)
    try:
        optimizer = getattr(torch.optim, torch_name)([parameter], lr=RATE, **{contender.split()[1]: True}, **settings)
    except TypeError:  # RMSprop is not fused
        return None
    return partial(optimizer.step)


def checked_step_of(contender, name, dtype):
    w, g = arrays(dtype)
    step, expected = step_of(contender, name, w, g), arrays(dtype)[0]
    if step is None:
        return None
    numpy_step = step_of("NumPy", name, expected, g)
    for _ in range(3):
        step()
        numpy_step()
    np.testing.assert_allclose(w, expected, rtol=1e-10 if dtype == "float64" else 1e-4, atol=1e-6)
    return step


@pytest.mark.benchmark(min_rounds=5, max_time=0.2)
@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step(benchmark, name, dtype, contender):
    step = checked_step_of(contender, name, dtype)
    if step is None:
        pytest.skip("there is no such form")
    benchmark.group = f"step of {name}, {N:,} {dtype}"
    benchmark(step)


def main():
    for dtype in "float32", "float64":
        for name, (*_, n_arrays) in OPTIMIZERS.items():
            calls = {each: step for each in CONTENDERS if (step := checked_step_of(each, name, dtype)) is not None}
            w, copy = arrays(dtype)
            times = bench._times(calls | {"copy": partial(np.copyto, copy, w)}, 31, bench.SECONDS_PER_ROUND)
            ours, of_copy = times["steelfast"][1], times["copy"][1]
            ratios = ", ".join(f"{each} {times[each][1] / ours:.1f} ×" for each in calls if each != "steelfast")
            rates = f"{n_arrays * w.nbytes / ours / 1e3:.0f} GB/s, copy {2 * w.nbytes / of_copy / 1e3:.0f} GB/s"
            print(f"{name:8} {dtype}: {ours:5.0f} µs; {ratios}; {rates}")


if __name__ == "__main__":
    with bench.one_core():
        main()
