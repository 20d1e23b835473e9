"""The book's functions: against the book's formulas in plain NumPy."""

import os
import re

import numpy as np
import pytest

import steelfast
from steelfast import textbook
from steelfast.datasets import load_steel_plates, read_steel_plates
from steelfast.experiments import PUBLISHED_RUNS, Run, reproduce, run
from steelfast.textbook import *  # noqa: F403
from steelfast.textbook import steel_exec

X = np.random.default_rng(100).normal(0, 3, (6, 5))
ONE_HOT = np.eye(5)[[0, 1, 2, 3, 4, 0]]
LABELS = np.random.default_rng(101).integers(0, 2, (6, 5))


def book_sigmoid(x):
    return np.exp(-np.maximum(-x, 0)) / (1 + np.exp(-np.abs(x)))


def book_softmax(x):
    e = np.exp((x.T - x.max(axis=1)).T)
    return (e.T / e.sum(axis=1)).T


def book_sigmoid_cross_entropy(z, x):
    return np.maximum(x, 0) - x * z + np.log(1 + np.exp(-np.abs(x)))


def close(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-15)


def test_every_name_is_there_for_an_import_of_all():
    wanted = [
        "eval_accuracy",
        "relu",
        "sigmoid",
        "sigmoid_cross_entropy_with_logits",
        "sigmoid_cross_entropy_with_logits_derv",
        "sigmoid_derv",
        "softmax",
        "softmax_cross_entropy_with_logits",
        "softmax_cross_entropy_with_logits_derv",
        "softmax_derv",
        "steel_exec",
    ]
    assert sorted(textbook.__all__) == wanted
    assert all(name in globals() for name in wanted)
    assert steelfast.textbook is textbook


def test_relu():
    close(textbook.relu(X), X * (X > 0))


def test_sigmoid():
    close(textbook.sigmoid(X), book_sigmoid(X))


def test_sigmoid_derv():
    y = textbook.sigmoid(X)
    close(textbook.sigmoid_derv(X, y), y * (1 - y))
    h = 1e-6
    slope = (textbook.sigmoid(X + h) - textbook.sigmoid(X - h)) / (2 * h)
    np.testing.assert_allclose(textbook.sigmoid_derv(X, y), slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("labels", [LABELS, 1, 0.25, LABELS[0]])
def test_sigmoid_cross_entropy(labels):
    close(textbook.sigmoid_cross_entropy_with_logits(labels, X), book_sigmoid_cross_entropy(labels, X))
    close(textbook.sigmoid_cross_entropy_with_logits_derv(labels, X), -labels + book_sigmoid(X))


def test_softmax():
    close(textbook.softmax(X), book_softmax(X))


def test_softmax_derv():
    y = textbook.softmax(X)
    jacobian = textbook.softmax_derv(X, y)
    assert jacobian.shape == (6, 5, 5)
    for n, row in enumerate(y):
        for i in range(5):
            for j in range(5):
                expected = row[i] * (1 - row[i]) if i == j else -row[i] * row[j]
                assert jacobian[n, i, j] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("labels", [ONE_HOT, book_softmax(X[::-1])], ids=["one-hot", "soft"])
def test_softmax_cross_entropy(labels):
    losses = textbook.softmax_cross_entropy_with_logits(labels, X)
    close(losses, -(labels * np.log(book_softmax(X) + 1e-10)).sum(axis=1))
    close(textbook.softmax_cross_entropy_with_logits_derv(labels, X), book_softmax(X) - labels)


def test_the_cap_of_the_books_loss():
    wrong = textbook.softmax_cross_entropy_with_logits([[1, 0]], [[0, 1e5]])
    assert f"{wrong[0]:.2f}" == "23.03"
    assert steelfast.softmax_cross_entropy([[0, 1e5]], [0]) == 1e5


def test_derivative_of_labels_that_do_not_sum_to_one():
    close(
        textbook.softmax_cross_entropy_with_logits_derv(2 * ONE_HOT, X),
        book_softmax(X) - 2 * ONE_HOT,
    )


def test_eval_accuracy():
    right = ONE_HOT.copy()
    assert textbook.eval_accuracy(X, X) == 1
    assert np.isnan(textbook.eval_accuracy(X[:0], X[:0]))
    right[0] = ONE_HOT[1]
    assert textbook.eval_accuracy(right, ONE_HOT) == 5 / 6
    assert textbook.eval_accuracy(right.tolist(), ONE_HOT.tolist()) == 5 / 6


TEXT, WIDE, ROW = [["a"]], np.zeros((6, 4)), np.zeros((1, 5))


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("relu", (TEXT,), TypeError, "^x must hold real numbers"),
        ("sigmoid", (TEXT,), TypeError, "^x must hold real numbers"),
        ("sigmoid_derv", (X, TEXT), TypeError, "^y must hold real numbers"),
        ("sigmoid_cross_entropy_with_logits", (TEXT, X), TypeError, "^z must hold real numbers"),
        ("sigmoid_cross_entropy_with_logits", (X, TEXT), TypeError, "^x must hold real numbers"),
        ("sigmoid_cross_entropy_with_logits", (WIDE, X), ValueError, r"broadcast: z \(6, 4\) and x \(6, 5\)$"),
        ("sigmoid_cross_entropy_with_logits_derv", (WIDE, X), ValueError, r"broadcast: z \(6, 4\) and x \(6, 5\)$"),
        ("softmax", (TEXT,), TypeError, "^x must hold real numbers"),
        ("softmax", (1.0,), ValueError, "^x must have at least one dimension"),
        ("softmax_derv", (X, TEXT), TypeError, "^y must hold real numbers"),
        ("softmax_derv", (X, 1.0), ValueError, "^y must have at least one dimension"),
        ("softmax_cross_entropy_with_logits", (TEXT, X), TypeError, "^labels must hold real numbers"),
        (
            "softmax_cross_entropy_with_logits",
            (ROW, X),
            ValueError,
            r"^logits must have the shape of labels, \(1, 5\), got \(6, 5\)$",
        ),
        (
            "softmax_cross_entropy_with_logits",
            ([[1.0], [0.0, 1.0]], X),
            ValueError,
            "^labels must be an array, or lists",
        ),
        (
            "softmax_cross_entropy_with_logits_derv",
            (WIDE, X),
            ValueError,
            r"broadcast: labels \(6, 4\) and logits \(6, 5\)$",
        ),
        ("eval_accuracy", (X[0], X[0]), ValueError, r"^output must have a row for each plate, got shape \(5,\)$"),
        ("eval_accuracy", (X, [0] * 6), ValueError, r"\by\b.*\(6,\)"),
        ("eval_accuracy", (X, ROW), ValueError, r"^y must have the shape of output, \(6, 5\), got \(1, 5\)$"),
    ],
)
def test_a_message_names_the_argument_as_the_book_does(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(textbook, name)(*arguments)


# ---- the experiment


@pytest.fixture(scope="module")
def twin():
    return load_steel_plates(source="twin")


def lines_of(result):
    final = f"Final Test: final accuracy = {result.final_test_accuracy:.3f}"
    return [*(epoch.line() for epoch in result.epochs), "", final]


def test_steel_exec_prints_the_books_lines(twin, capsys):
    assert steel_exec(plates=twin) is None
    [result] = reproduce(twin, runs=PUBLISHED_RUNS[:1])
    assert capsys.readouterr().out.splitlines() == lines_of(result)


def test_steel_exec_on_the_real_file(capsys):
    path = os.environ.get("STEELFAST_DATA")
    if not path:
        pytest.skip("STEELFAST_DATA does not name the real faults.csv")
    stream = np.random.RandomState(1234)
    plates = read_steel_plates(path)
    steel_exec(plates=plates, stream=stream)
    steel_exec(plates=plates, stream=stream, learning_rate=0.0001)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Epoch 1: loss=15.984, accuracy=0.306/0.320"
    assert printed[9] == "Epoch 10: loss=15.316, accuracy=0.335/0.455"
    assert printed[11] == "Final Test: final accuracy = 0.455"
    assert printed[12] == "Epoch 1: loss=16.471, accuracy=0.284/0.110"
    assert printed[-1] == "Final Test: final accuracy = 0.189"


def test_steel_exec_loads_the_plates_itself(twin, monkeypatch, capsys, tmp_path):
    rows = np.hstack([twin.data, twin.one_hot])[::4]
    path = tmp_path / "plates.csv"
    header = ",".join(twin.feature_names + twin.target_names)
    np.savetxt(path, rows, fmt="%.17g", delimiter=",", header=header, comments="")
    monkeypatch.setenv("STEELFAST_DATA", str(path))
    steel_exec(1)
    from_file = capsys.readouterr().out
    steel_exec(1, plates=read_steel_plates(path))
    assert capsys.readouterr().out == from_file


def test_steel_exec_takes_other_settings(twin, capsys):
    steel_exec(4, 25, 2, learning_rate=0.01, head="sigmoid+MSE", plates=twin, stream=np.random.RandomState(3))
    result = run(
        twin,
        Run("sigmoid+MSE", 0.01),
        np.random.RandomState(3),
        epoch_count=4,
        mb_size=25,
    )
    lines = lines_of(result)
    assert capsys.readouterr().out.splitlines() == [lines[1], lines[3], *lines[4:]]


def test_steel_exec_without_a_report(twin, capsys):
    steel_exec(2, 100, 0, plates=twin)
    assert re.fullmatch(r"\nFinal Test: final accuracy = 0\.\d{3}\n", capsys.readouterr().out)


def test_steel_exec_names_what_is_wrong(twin):
    with pytest.raises(ValueError, match="head must be one of"):
        steel_exec(head="softmax", plates=twin)
