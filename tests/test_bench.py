"""The benchmark: what it times computes the same, its errors are those against 50 digits, what it says adds up."""

import importlib.util
import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exact import exactly
from kernel_cases import KERNELS
from matplotlib.figure import Figure

from steelfast import _contenders, _long_double, _terminal, bench, plotting, reporting
from steelfast._contenders import NAMES, is_installed, load

SMALL = [
    *(bench.Case(name, (12, 5), dtype) for name in KERNELS.keys() & bench.OPERATIONS for dtype in bench.DTYPES),
    bench.Case("softmax", (5, 12), "float32", "axis 0"),
    bench.Case("softmax", (12, 5), "float32", "strided"),
    bench.Case("softmax", (12,), "float64"),
    bench.Case("training_epoch", (20, 27), "float64"),
]
SMALL.sort(key=str)
QUICK = {"n_rounds": 2, "seconds_per_round": 0.0}
QUICK_CONTENDERS = ("steelfast", "loops", "NumPy", "SciPy", "copy")  # those that load at once


@pytest.fixture(scope="module")
def contenders():
    return [load(name) for name in QUICK_CONTENDERS]


# ---- the oracle


def exact_parts(kernel, arguments):
    if kernel.made_of is None:
        return [kernel.exact(*arguments).values]
    return [KERNELS[name].exact(*arguments, reduction="mean").values for name in kernel.made_of]


@pytest.mark.skipif(not _long_double.can_measure("float64"), reason="long double is no wider than double here")
@pytest.mark.parametrize("scale", bench.SCALES)
@pytest.mark.parametrize("operation", sorted(KERNELS.keys() & bench.OPERATIONS))
def test_long_double_is_right_far_beyond_double(operation, scale):
    for n_classes in (2, 7, 40):
        arguments = bench.Case(operation, (6, n_classes), "float64").arguments(scale=scale)
        if "softmax_" not in operation:  # z − m with more digits than long double has
            arguments[0][:, 0], arguments[0][:, 1] = -640.3, 0.00123 * np.arange(1, 7)
        result = bench.OPERATIONS[operation].exact(*arguments)
        parts = result if isinstance(result, tuple) else (result,)
        for part, exact in zip(parts, exact_parts(KERNELS[operation], arguments), strict=True):
            part, exact = np.asarray(part), np.asarray(exact)
            high = part.astype(np.float64)  # mpmath takes doubles: two of them are the long double
            difference = exactly(high) + exactly((part - high).astype(np.float64)) - exact
            error = np.atleast_1d(np.abs(difference) / exactly(np.spacing(np.abs(high))))
            assert all(error[np.atleast_1d(np.abs(high) > 1e-290)] < 0.05)  # below, the second one is subnormal


def test_errors_are_counted_in_the_last_place():
    exact = np.array([1.0, 2.0, -3.0], np.longdouble)
    right = exact.astype(np.float32)
    assert _long_double.ulp_error(right, exact, "float32") == 0
    assert _long_double.ulp_error(np.nextafter(right, np.float32(9)), exact, "float32") == 1
    assert _long_double.ulp_error((right, right + 2), (exact, exact), "float32") == 2**24  # of 1.0 is the unit 2⁻²³
    for wrong in (np.nan, np.inf):
        assert _long_double.ulp_error(np.full(3, wrong), exact, "float32") == np.inf
    below_normal = np.array([1e-40], np.longdouble)
    assert _long_double.ulp_error(np.zeros(1), below_normal, "float32") == 0


# ---- the registry


def test_everything_that_is_measured_is_in_the_registry_of_kernels():
    known = KERNELS.keys() | {"training_epoch"}
    assert bench.OPERATIONS.keys() <= known
    for name in QUICK_CONTENDERS:
        assert load(name).builders.keys() <= known
    assert load("steelfast").builders.keys() == load("NumPy").builders.keys() == known


@pytest.mark.parametrize("name", [name for name in NAMES if name != "copy"])
def test_a_contender_gives_the_right_result(name):
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    contender = load(name)
    n_checked = 0
    for case in SMALL:
        arguments = case.arguments()
        call = contender.call(case.operation, arguments, case.axis)
        if call is not None:
            assert bench.agree(bench.as_numpy(call()), case.exact(arguments), case.dtype), case
            assert not call.keywords  # the timer would leave them out
            n_checked += 1
    assert n_checked >= 8


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(_contenders._MODULES, "JAX", "no_such_module")
    load.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="JAX is not installed: pip install no_such_module"):
        load("JAX")


def test_loading_leaves_the_environment_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = dict(os.environ)
    seen = {}
    monkeypatch.setitem(_contenders._LOADERS, "SciPy", lambda: seen.update(os.environ))
    load.cache_clear()
    load("SciPy")
    load.cache_clear()
    assert seen["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


# ---- cases


def test_cases_are_chosen():
    assert len(bench.cases()) == len(set(bench.cases()))
    chosen = bench.cases(operations=["softmax"], shapes=[(100_000, 7)], dtypes=["float64"])
    assert [str(case) for case in chosen] == ["softmax float64 100,000 × 7", "softmax float64 100,000 × 7 strided"]
    with pytest.raises(ValueError, match=r"nothing is measured .* there are the shapes 10x7, 1553x7, 100000x7"):
        bench.cases(operations=["softmax_jacobian"], shapes=[(4096, 1000)])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"operations": ["softmax", "softmaxx"]}, "operations must be of softmax, .*training_epoch, got softmaxx"),
        ({"shapes": [(10, 7), (5, 5)]}, "shapes must be of 7x100000, 10x7, .*, got 5x5"),
        ({"dtypes": ["float16"]}, "dtypes must be of float32, float64, got float16"),
    ],
)
def test_a_case_that_there_is_not_is_named(wanted, message):
    with pytest.raises(ValueError, match=message):
        bench.cases(**wanted)


def test_layouts():
    (columns,) = bench.Case("softmax", (7, 100), "float32", "axis 0").arguments()
    assert (columns.shape, columns.dtype) == ((7, 100), np.float32)
    (sample,) = bench.Case("softmax", (7, 100), "float32", "axis 0").arguments(most=70)
    assert sample.shape == (7, 10)
    (strided,) = bench.Case("softmax", (100, 7), "float64", "strided").arguments(most=70)
    assert (strided.shape, strided.strides) == ((10, 7), (14 * 8, 16))


# ---- measuring


def test_every_contender_is_measured(contenders):
    measured = list(bench.measure(SMALL, contenders, **QUICK))
    assert [each.case for each in measured] == SMALL
    for each in measured:
        names = {c.name for c in contenders if each.case.operation in c.builders}
        assert each.microseconds.keys() == names
        assert all(0 < lower <= median <= upper for lower, median, upper in each.microseconds.values())
        if each.case.operation == "training_epoch":
            assert not each.ulp
        elif _long_double.can_measure(each.case.dtype):
            assert each.ulp.keys() == names - {"copy"}
            assert each.ulp["steelfast"] <= 4


def test_loops_sit_out_where_they_take_long():
    arguments = bench.Case("softmax", (100_000, 7), "float32").arguments()
    assert load("loops").call("softmax", arguments) is None


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", ["steelfast", "loops", "NumPy"])
@pytest.mark.parametrize("operation", ["softmax", "softmax_cross_entropy_value_and_grad"])
def test_a_wrong_result_is_not_timed(contenders, operation, name, position):
    right = load(name)

    def build(*arguments, axis=-1):
        call = right.call(operation, arguments, axis)

        def slightly_wrong():
            results = call()
            if not isinstance(results, tuple):
                return results * 1.01
            return tuple(result * (1.01 if i == position else 1) for i, result in enumerate(results))

        return partial(slightly_wrong)

    wrong = replace(right, builders={operation: build})
    others = [each for each in contenders if each.name != name]
    cases = [bench.Case(operation, (1000, 7), "float32")]  # entries of the gradient are as small as 1e-5
    with pytest.raises(RuntimeError, match=f"{operation}.*the result of {name} is wrong"):
        list(bench.measure(cases, [wrong, *others], **QUICK))


def test_small_numbers_are_compared_with_one_another():
    right = np.linspace(1e-9, 1e-6, 5)
    assert bench.agree(right * (1 + 1e-5), right, "float32")
    assert not bench.agree(right * 1.01, right, "float32")
    assert not bench.agree(right[1:], right, "float32")


def test_times_are_microseconds_of_one_call():
    calls = []

    def sleeping(values):
        calls.append(values)
        time.sleep(0.002)

    rows = np.arange(3.0)
    times = bench._times({"a": partial(sleeping, rows), "b": partial(sleeping, rows)}, 3, 0.005)
    assert all(2000 <= median < 100_000 for _, median, _ in times.values())
    assert all(values is rows for values in calls)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the platform pins no process")
def test_one_core_is_given_back():
    before = os.sched_getaffinity(0)
    with bench.one_core() as core:
        assert os.sched_getaffinity(0) == {core} <= before
    assert os.sched_getaffinity(0) == before


# ---- what is said of it


def measurement(operation="softmax", dtype="float32", ulp=None, **medians):
    return bench.Measurement(
        bench.Case(operation, (10, 7), dtype), {name: (m / 2, m, 2 * m) for name, m in medians.items()}, ulp or {}
    )


def test_the_fastest_peer_is_neither_steelfast_nor_the_copy():
    each = measurement(steelfast=0.5, loops=50.0, NumPy=5.0, copy=0.1)
    assert each.fastest_peer == "NumPy"
    assert (each.ratio("NumPy"), each.ratio("loops")) == (10, 100)
    assert measurement(steelfast=0.5, copy=0.1).fastest_peer is None


def test_report_says_where_and_when_and_how(contenders):
    each = measurement(steelfast=0.5, NumPy=5.0, ulp={"steelfast": 1.23456, "NumPy": np.inf})
    report = json.loads(reporting.as_json(bench.as_report([each], contenders, core=1, n_rounds=2)))
    assert report["configuration"].keys() >= {"processor", "instruction_set", "numpy", "steelfast"}
    assert report["contenders"]["NumPy"] == np.__version__
    assert report["settings"]["core"] == 1
    assert report["settings"]["n_rounds"] == 2
    assert report["date"].startswith("20")
    assert report["measurements"] == [
        {
            "operation": "softmax",
            "shape": [10, 7],
            "layout": "C",
            "label": "10 × 7",
            "dtype": "float32",
            "fastest_peer": "NumPy",
            "ratio": 10.0,
            "microseconds": {"steelfast": [0.25, 0.5, 1.0], "NumPy": [2.5, 5.0, 10.0]},
            "ulp": {"steelfast": 1.23456, "NumPy": None},
        }
    ]


@pytest.fixture
def report(contenders):
    return bench.as_report(
        [
            measurement(steelfast=0.5, NumPy=5.0, SciPy=9.0, loops=50.0, copy=0.1, ulp={"steelfast": 1.2, "NumPy": 65}),
            measurement(dtype="float64", steelfast=4.0, NumPy=3.0, SciPy=9.0, ulp={"steelfast": 1.6, "NumPy": np.inf}),
            measurement("sigmoid", steelfast=1.0, SciPy=2.5, NumPy=5.0),
        ],
        contenders,
    )


def test_plot_of_the_ratios(report):
    ax = plotting.speed_ratios(report["measurements"], ax=Figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["softmax", "10 × 7", "sigmoid", "10 × 7"]
    points = {each.get_label(): each.get_offsets().tolist() for each in ax.collections}
    assert points == {"float32": [[10, 0.8], [2.5, 2.8]], "float64": [[0.75, 1.2]]}  # one does not hide the other
    assert [text.get_text() for text in ax.texts] == ["", "NumPy", "", "SciPy"]
    assert ax.get_xscale() == "log"
    assert reporting.bench_figure(report).axes


def test_labels_of_the_plot_keep_away_from_its_edge(report):
    figure = reporting.bench_figure(report)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert min(label.get_window_extent().x0 for label in ax.get_yticklabels()) >= 0.08 * figure.dpi


def test_plot_without_measurements():
    with pytest.raises(ValueError, match="at least one record"):
        plotting.speed_ratios([])


def benchmarks_page():
    path = Path(__file__).parents[1] / "tools" / "benchmarks_page.py"
    spec = importlib.util.spec_from_file_location("benchmarks_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(report):
    return benchmarks_page().page(report, "benchmarks")


def test_the_page_says_what_was_measured_and_where_we_lose(report):
    text = page(json.loads(reporting.as_json(report)))
    assert "In 2 of 3 cases steelfast is at least 1.5 times as fast" in text
    assert "in 1 it is slower; the median is 2.50 times" in text
    lost = text.partition("## Where steelfast does not win")[2].partition("##")[0]
    assert "| `softmax` | 10 × 7 | float64 | NumPy | 3.00 | 4.00 | 0.750 |" in lost
    assert "float32" not in lost
    assert "| 10 × 7 | 0.500 | 50.0 | 5.00 | 9.00 | 0.100 | NumPy | 10.0 |" in text
    assert "| `softmax` | float64 | 1.6 | – | ∞ | – |" in text
    assert "Losses are means, the cross-entropy over the rows, the sigmoid-MSE over all numbers" in text
    report["measurements"].pop(1)
    assert "Nowhere in this run." in page(report)


def test_the_page_and_the_terminal_round_a_ratio_once(contenders):
    report = bench.as_report([measurement(steelfast=0.1, NumPy=0.74749)], contenders)  # 7.4749, and not 7.475
    console = _terminal.console(width=100)
    with console.capture() as captured:
        console.print(*_terminal.bench_tables(report))
    assert " 7.47 " in captured.get()
    assert "the median is 7.47 times" in page(json.loads(reporting.as_json(report)))


def test_there_is_no_page_without_a_ratio(contenders, tmp_path, monkeypatch, capsys):
    path = tmp_path / "benchmarks.json"
    report = bench.as_report([measurement(steelfast=0.1, copy=0.5)], contenders)
    path.write_text(reporting.as_json(report), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["benchmarks_page.py", str(path)])
    with pytest.raises(SystemExit):
        benchmarks_page().main()
    assert f"{path} compares steelfast with no other library" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "text"),
    [(None, "–"), (0.0, "0.0"), (1.649, "1.6"), (9.97, "10"), (430.4, "430"), (16_777_216.0, "1.7e7"), (np.inf, "∞")],
)
def test_how_an_error_is_written(error, text):
    assert reporting.ulp(error) == text
