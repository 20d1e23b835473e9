"""The quick benchmark: what it times computes the same, and what it says adds up."""

import json

import numpy as np
import pytest

from steelfast import bench


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bench, "_SECONDS_PER_ROUND", 0.0)
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    monkeypatch.setattr(bench, "_SHAPES_OF_THE_OTHERS", ((10, 7), (2000, 7)))
    monkeypatch.setattr(bench, "_SHAPES", {"Jacobian": ((20, 7),), "training epoch, minibatches of 10": ((20, 27),)})


@pytest.mark.usefixtures("quick")
def test_every_operation_is_measured_in_both_types():
    measurements = list(bench.measure())
    assert len(measurements) == bench.n_measurements()
    assert {(each.operation, each.dtype) for each in measurements} == {
        (operation, dtype) for operation in bench._OPERATIONS for dtype in ("float32", "float64")
    }
    assert all(each.numpy > 0 and each.steelfast > 0 for each in measurements)
    # loops would take seconds on many rows
    assert all((each.loops is None) == (each.shape == (2000, 7)) for each in measurements)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("contender", [0, 2])
@pytest.mark.parametrize("operation", bench._OPERATIONS)
def test_a_wrong_result_is_not_timed(monkeypatch, operation, contender):
    functions = list(bench._OPERATIONS[operation])
    right = functions[contender]

    def slightly_wrong(*arguments):
        results = right(*arguments)
        if isinstance(results, tuple):
            return (results[0] * 1.01, *results[1:])
        return results * 1.01

    functions[contender] = slightly_wrong
    monkeypatch.setattr(bench, "_OPERATIONS", {operation: tuple(functions)})
    with pytest.raises(RuntimeError, match=f"{operation}.*slightly_wrong"):
        list(bench.measure())


def test_times_are_microseconds():
    rows = np.arange(3.0)
    calls = []

    def sleeping(values):
        calls.append(values)
        import time

        time.sleep(0.002)

    assert 2000 <= bench._median_time(sleeping, (rows,)) < 100_000
    assert all(values is rows for values in calls)


def test_ratios():
    measurement = bench.Measurement("softmax", (10, 7), "float32", loops=50.0, numpy=5.0, steelfast=0.5)
    assert (measurement.times_loops, measurement.times_numpy) == (100, 10)
    without_loops = bench.Measurement("softmax", (10, 7), "float32", loops=None, numpy=5.0, steelfast=0.5)
    assert without_loops.times_loops is None


def test_report_says_where_and_when():
    measurement = bench.Measurement("softmax", (10, 7), "float32", loops=None, numpy=5.0, steelfast=0.5)
    report = json.loads(json.dumps(bench.as_report([measurement])))
    assert report["configuration"].keys() >= {"processor", "instruction_set", "numpy", "steelfast"}
    assert report["date"].startswith("20")
    assert report["measurements"] == [
        {
            "operation": "softmax",
            "shape": [10, 7],
            "dtype": "float32",
            "loops": None,
            "numpy": 5.0,
            "steelfast": 0.5,
            "times_loops": None,
            "times_numpy": 10.0,
        }
    ]
