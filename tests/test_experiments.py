"""The published experiment: against the figures that were printed, and against plain NumPy."""

import json
import os

import numpy as np
import pytest

from steelfast.datasets import load_steel_plates, read_steel_plates
from steelfast.experiments import (
    HEADS,
    PUBLISHED_RUNS,
    Epoch,
    Run,
    RunResult,
    compare,
    published_runs,
    reproduce,
    run,
    to_json,
)

FIGURES = ("loss", "train_accuracy", "test_accuracy")


@pytest.fixture(scope="module")
def twin():
    plates = load_steel_plates(source="twin")
    return plates.data, plates.target


@pytest.fixture(scope="module")
def real():
    path = os.environ.get("STEELFAST_DATA")
    if not path:
        pytest.skip("STEELFAST_DATA does not name the real faults.csv")
    plates = read_steel_plates(path)
    return plates.data, plates.target


# ---- the protocol in plain NumPy


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def softmax_head(z, y):
    p = softmax(z)
    return -(y * np.log(p + 1e-10)).sum(axis=1).mean(), (p - y) / len(z)


def mse_head(z, y):
    d = sigmoid(z) - y
    return (d**2).mean(), 2 * d / d.size


def mse_of_sigmoids_head(z, y):
    d = sigmoid(z) - sigmoid(y)
    # 1 − σ(z) = σ(−z), of which the difference keeps no digit when z is large
    return (d**2).mean(), 2 * d * sigmoid(z) * sigmoid(-z) / d.size


PLAIN_HEADS = {
    "softmax+cross-entropy": softmax_head,
    "sigmoid+MSE": mse_head,
    "sigmoid+MSE of sigmoids": mse_of_sigmoids_head,
}


def accuracy(z, y):
    return (z.argmax(axis=1) == y.argmax(axis=1)).mean()


def plain_run(table, head, rate, stream, n_epochs=10, size=10):
    """Rows (loss, training accuracy, test accuracy), one an epoch."""
    data, target = table
    x, y = data.astype(np.float32), np.eye(7)[target]
    w, b = stream.normal(0, 0.0030, (27, 7)), np.zeros(7)
    index = np.arange(len(x))
    stream.shuffle(index)
    n_train = int(len(x) * 0.8) // size * size
    test = index[n_train:]
    figures = []
    for _ in range(n_epochs):
        stream.shuffle(index[:n_train])
        losses, accuracies = [], []
        for n in range(n_train // size):
            rows = index[n * size : (n + 1) * size]
            z = x[rows] @ w + b
            loss, g = PLAIN_HEADS[head](z, y[rows])
            losses.append(loss)
            accuracies.append(accuracy(z, y[rows]))
            w -= rate * (x[rows].T @ g)
            b -= rate * g.sum(axis=0)
        test_accuracy = accuracy(x[test] @ w + b, y[test])
        figures.append((np.mean(losses), np.mean(accuracies), test_accuracy))
    return figures


def plain_runs(table):
    first = np.random.RandomState(1234)
    yield plain_run(table, "softmax+cross-entropy", 0.001, first)
    yield plain_run(table, "softmax+cross-entropy", 0.0001, first)
    second = np.random.RandomState(1234)
    yield plain_run(table, "sigmoid+MSE", 0.001, second)
    yield plain_run(table, "sigmoid+MSE", 0.0001, second)


def assert_same(result, expected):
    computed = [[getattr(epoch, figure) for figure in FIGURES] for epoch in result.epochs]
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-9)
    for row, right in zip(computed, expected, strict=True):
        assert [f"{x:.3f}" for x in row] == [f"{x:.3f}" for x in right]
    assert [epoch.epoch for epoch in result.epochs] == list(range(1, len(expected) + 1))


def assert_reproduces(table):
    results = reproduce(table)
    for result, expected in zip(results, plain_runs(table), strict=True):
        assert_same(result, expected)


def rows_taken_out(table, seed):
    """The table without some hundred rows, in its order."""
    data, target = table
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(data))[: rng.integers(500, 1900)])
    return data[kept], target[kept]


def test_protocol_on_the_twin(twin):
    assert_reproduces(twin)


def test_protocol_on_the_real_file(real):
    assert_reproduces(real)


@pytest.mark.parametrize("seed", range(4))
def test_protocol_on_the_twin_with_rows_taken_out(twin, seed):
    assert_reproduces(rows_taken_out(twin, seed))


@pytest.mark.parametrize("seed", range(4))
def test_protocol_on_the_real_file_with_rows_taken_out(real, seed):
    assert_reproduces(rows_taken_out(real, seed))


@pytest.mark.parametrize("n_rows", [13, 24, 25, 26, 500])
def test_protocol_on_few_rows(twin, n_rows):
    rows = np.sort(np.random.default_rng(0).permutation(1941)[:n_rows])
    assert_reproduces((twin[0][rows], twin[1][rows]))


@pytest.mark.parametrize("head", HEADS)
def test_every_head_and_other_settings(twin, head):
    for rate, n_epochs, size in (0.01, 3, 10), (0.001, 2, 32), (1e-5, 1, 1941 // 2):
        result = run(
            twin,
            Run(head, rate),
            np.random.RandomState(5),
            epoch_count=n_epochs,
            mb_size=size,
        )
        expected = plain_run(twin, head, rate, np.random.RandomState(5), n_epochs, size)
        assert_same(result, expected)


def test_heads_are_known_to_the_oracle():
    assert HEADS.keys() == PLAIN_HEADS.keys()


def test_it_is_reproducible(twin):
    assert reproduce(twin) == reproduce(twin)


def test_streams():
    """Two runs on one stream differ; a run that does not share starts afresh."""
    plates = load_steel_plates(source="twin")
    afresh, shared = Run("sigmoid+MSE", 0.001), Run("sigmoid+MSE", 0.001, True)
    results = reproduce(plates, runs=[afresh, shared, afresh, shared])
    assert results[:2] == results[2:]
    assert results[0] != results[1]


# ---- the published figures


def test_what_is_published():
    published = published_runs()
    assert [(each["head"], each["learning_rate"]) for each in published] == [
        (each.head, each.learning_rate) for each in PUBLISHED_RUNS
    ]
    assert all(len(each["epochs"]) == 10 for each in published)


def test_published_figures(real):
    """All but the accuracies of the third run, whose rule is not published, and a misprint in the fourth."""
    results = reproduce(real)
    differing = compare(results)
    assert {(each.run, each.figure) for each in differing if each.run < 4} <= {
        (3, "train_accuracy"),
        (3, "test_accuracy"),
    }
    [misprint] = [each for each in differing if each.run == 4]
    assert (misprint.epoch, misprint.figure, misprint.published) == (9, "test_accuracy", "0.192")
    assert f"{misprint.computed:.3f}" == "0.340"
    for each in differing:
        epoch = results[each.run - 1].epochs[each.epoch - 1]
        assert each.computed == getattr(epoch, each.figure)
        assert each.published == published_runs()[each.run - 1]["epochs"][each.epoch - 1][each.figure]
    assert results[0].epochs[0].line() == "Epoch 1: loss=15.984, accuracy=0.306/0.320"


def test_nothing_is_looked_up(real):
    """With one value changed, the figures are those of the protocol and not the published ones."""
    data = real[0].copy()
    data[1000, 2] *= 2
    assert_reproduces((data, real[1]))
    assert sum(each.run != 3 for each in compare(reproduce((data, real[1])))) > 10


def as_published(run_, **changed):
    """The published run as if it had come out."""
    epochs = [Epoch(each["epoch"], *(float(each[figure]) for figure in FIGURES)) for each in run_["epochs"]]
    for number, epoch in changed.items():
        epochs[int(number.removeprefix("epoch_")) - 1] = epoch
    return RunResult(run_["head"], run_["learning_rate"], tuple(epochs))


def test_compare():
    first, second, *_ = published_runs()
    assert compare([as_published(first), as_published(second)]) == []
    loss, train, test = (float(second["epochs"][3][figure]) for figure in FIGURES)
    # 0.0004 is within the printed digits, 0.0006 is not
    changed = Epoch(4, loss + 0.0004, train - 0.0006, test + 0.0006)
    differing = compare([as_published(first), as_published(second, epoch_4=changed)])
    assert [(each.run, each.epoch, each.figure) for each in differing] == [
        (2, 4, "train_accuracy"),
        (2, 4, "test_accuracy"),
    ]
    assert differing[0].computed == train - 0.0006
    assert differing[0].published == second["epochs"][3]["train_accuracy"]


def test_compare_finds_nan_and_the_rest():
    bad = Epoch(1, np.nan, 0.0, 0.0)
    assert len(compare([RunResult("softmax+cross-entropy", 0.001, (bad,))])) == 3


# ---- results as lines and as plain data


def test_line():
    assert Epoch(3, 15.98449, 0.3056, 1.0).line() == "Epoch 3: loss=15.984, accuracy=0.306/1.000"


def test_json(twin):
    results = reproduce(twin, runs=PUBLISHED_RUNS[:1])
    document = json.loads(json.dumps(to_json(results)))
    assert document.keys() == {"runs"}
    [each] = document["runs"]
    assert list(each) == ["head", "learning_rate", "epochs", "final_test_accuracy"]
    assert (each["head"], each["learning_rate"]) == ("softmax+cross-entropy", 0.001)
    assert [list(epoch) for epoch in each["epochs"]] == [["epoch", *FIGURES]] * 10
    [result] = results
    # full precision
    assert [epoch["loss"] for epoch in each["epochs"]] == [epoch.loss for epoch in result.epochs]
    assert each["final_test_accuracy"] == result.epochs[-1].test_accuracy


def test_callback(twin):
    seen = []
    results = reproduce(twin, lambda *what: seen.append(what))
    assert seen == [
        (settings, epoch) for settings, result in zip(PUBLISHED_RUNS, results, strict=True) for epoch in result.epochs
    ]


def test_plates_and_arrays_are_the_same_table(twin):
    plates = load_steel_plates(source="twin")
    runs = PUBLISHED_RUNS[:1]
    expected = reproduce(plates, runs=runs)
    assert reproduce(twin, runs=runs) == expected
    assert reproduce((plates.data.tolist(), plates.target.tolist()), runs=runs) == expected


# ---- what is refused


@pytest.mark.parametrize("n_rows", [0, 1, 12])
def test_too_few_rows(twin, n_rows):
    with pytest.raises(ValueError, match=f"table has too few rows: four fifths of {n_rows} .* 13"):
        reproduce((twin[0][:n_rows], twin[1][:n_rows]))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_message_names_the_fewest_rows(twin, size):
    def attempt(n_rows):
        rows = slice(n_rows)
        settings = Run("sigmoid+MSE", 0.001)
        return run((twin[0][rows], twin[1][rows]), settings, np.random.RandomState(0), mb_size=size)

    with pytest.raises(ValueError, match="wanted at least") as raised:
        attempt(0)
    fewest = int(str(raised.value).split()[-1])
    attempt(fewest)
    with pytest.raises(ValueError, match="too few"):
        attempt(fewest - 1)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ((np.zeros((20, 26)), np.zeros(20, int)), ValueError, r"data must have shape \(20, 27\)"),
        ((np.zeros((20, 27)), np.zeros(19, int)), ValueError, r"targets .*\(20,\).*\(19,\)"),
        ((np.zeros((20, 27)), np.full(20, 7)), ValueError, r"targets must lie in 0 … 6, got .*7"),
        ((np.zeros((20, 27)), np.zeros(20)), TypeError, "targets must be integer labels"),
        ((np.full((20, 27), "a"), np.zeros(20, int)), TypeError, "data must hold real numbers"),
    ],
)
def test_bad_tables(table, error, message):
    with pytest.raises(error, match=message):
        reproduce(table)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (Run("softmax", 0.001), {}, "head must be one of 'softmax.cross-entropy', .*'softmax'"),
        (Run("sigmoid+MSE", -1.0), {}, "learning_rate"),
        (Run("sigmoid+MSE", 0.001), {"epoch_count": 0}, "epoch_count"),
        (Run("sigmoid+MSE", 0.001), {"mb_size": 0}, "mb_size"),
    ],
)
def test_bad_settings(twin, settings, options, message):
    with pytest.raises(ValueError, match=message):
        run(twin, settings, np.random.RandomState(0), **options)
