"""Triple loops, vectorised NumPy and the kernels, side by side.

Run with ``pytest benchmarks/ --benchmark-only``. Each contender must give the right result before
it is timed. A group is one operation on one dtype and shape.
"""

import numpy as np
import pytest
from kernel_cases import KERNELS

from steelfast import reference


def softmax_cross_entropy_loops(logits, targets):
    return (
        reference.softmax_cross_entropy_loops(logits, targets),
        reference.softmax_cross_entropy_grad_loops(logits, targets),
    )


def sigmoid_mse_loops(logits, targets):
    return (
        reference.sigmoid_mse_loops(logits, targets),
        reference.sigmoid_mse_grad_loops(logits, targets),
    )


LOOPS = {
    "softmax": reference.softmax_loops,
    "softmax_jacobian": reference.softmax_jacobian_loops,
    "softmax_cross_entropy_value_and_grad": softmax_cross_entropy_loops,
    "sigmoid_mse_value_and_grad": sigmoid_mse_loops,
}
DTYPES = [np.float32, np.float64]
SHAPES = [(10, 7), (1553, 7), (100_000, 7), (4096, 1000)]
SMALL = SHAPES[:2]  # where the loops take less than a second


def contenders():
    """The four operations at every shape that fits, then each other kernel at one shape."""
    for name in LOOPS:
        for shape in SHAPES:
            if name == "softmax_jacobian" and shape[1] > 100:
                continue  # 33 GB
            for dtype in DTYPES:
                if shape in SMALL:
                    yield name, shape, dtype, "loops"
                yield name, shape, dtype, "numpy"
                yield name, shape, dtype, "steelfast"
    for name in [name for name in KERNELS if name not in LOOPS]:
        yield name, SHAPES[1], np.float64, "numpy"
        yield name, SHAPES[1], np.float64, "steelfast"


def case_id(value):
    return value.__name__ if isinstance(value, type) else str(value)


def assert_close(results, expected, dtype):
    """Equal but for what NumPy and the loops lose by rounding."""
    if isinstance(results, tuple):
        for result, right in zip(results, expected, strict=True):
            assert_close(result, right, dtype)
    else:
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(results, expected, rtol=1000 * eps, atol=10 * eps)


@pytest.mark.benchmark(min_rounds=3, max_time=0.15)
@pytest.mark.parametrize(("name", "shape", "dtype", "contender"), list(contenders()), ids=case_id)
def test_kernel(benchmark, name, shape, dtype, contender):
    kernel = KERNELS[name]
    function = {
        "loops": LOOPS.get(name),
        "numpy": kernel.reference,
        "steelfast": kernel.function,
    }[contender]
    arguments = kernel.arguments(shape, dtype, np.random.default_rng(0), 1.0)
    if "softmax_cross" in name:  # the loops take one-hot targets, as the book has them
        logits, labels = arguments
        arguments = logits, np.eye(shape[1], dtype=dtype)[labels]

    assert_close(function(*arguments), kernel.reference(*arguments), dtype)
    benchmark.group = f"{name} {dtype.__name__} {shape}"
    benchmark(function, *arguments)
