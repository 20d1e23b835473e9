"""Every kernel beside the same in NumPy, in Python loops and in the other libraries that are installed.

Run with ``pytest benchmarks/ --benchmark-only``. Each contender must give the right result before it is timed. A group
is one operation on one dtype and shape. ``steelfast bench --peers`` has more shapes, and the contenders take turns.
"""

import numpy as np
import pytest
from kernel_cases import KERNELS

from steelfast import bench
from steelfast._contenders import NAMES, is_installed, load

SHAPES = [(10, 7), (1553, 7), (100_000, 7), (4096, 1000)]
SHAPES_OF_THE_OTHERS = SHAPES[1:2]  # of the kernels that the command does not measure


def cases():
    """What the command measures, on a few shapes; and every other kernel on one."""
    of_the_command = bench.cases(operations=bench.OPERATIONS.keys() & KERNELS.keys(), shapes=SHAPES)
    yield from (case for case in of_the_command if case.layout == "C")
    for name in KERNELS.keys() - bench.OPERATIONS.keys():
        for shape in SHAPES_OF_THE_OTHERS:
            yield bench.Case(name, shape, "float64")


def calls():
    for case in sorted(cases(), key=str):
        for name in NAMES:
            if is_installed(name) and case.operation in load(name).builders:
                yield pytest.param(case, name, id=f"{case} {name}")


@pytest.mark.benchmark(min_rounds=3, max_time=0.05, warmup=False)
@pytest.mark.parametrize(("case", "contender"), list(calls()))
def test_kernel(benchmark, case, contender):
    kernel = KERNELS[case.operation]
    arguments = kernel.arguments(case.shape, np.dtype(case.dtype).type, np.random.default_rng(0), 1.0)
    call = load(contender).call(case.operation, arguments)
    if call is None:
        pytest.skip("too large for loops")
    result = call()
    if contender != "copy":
        assert bench.agree(bench.as_numpy(result), kernel.reference(*arguments), case.dtype)
    benchmark.group = str(case)
    benchmark(call.func, *call.args)
