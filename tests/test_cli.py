"""The command line, end to end. Nothing here leaves the machine."""

import base64
import csv
import inspect
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import get_args
from xml.etree import ElementTree

import exhaustive_float32
import numpy as np
import pytest
import same_bits
import search_errors
from scipy.stats import binomtest
from sklearn.inspection import permutation_importance
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

import steelfast
from steelfast import _commands, _contenders, _terminal, bench, cli, datasets, estimator, experiments, reporting
from steelfast.datasets import CLASS_NAMES, FEATURE_NAMES, load_steel_plates, read_steel_plates
from steelfast.estimator import SteelClassifier

REAL_FILE = os.environ.get("STEELFAST_DATA")
needs_real_file = pytest.mark.skipif(not REAL_FILE, reason="STEELFAST_DATA does not name the real faults.csv")

TWIN = load_steel_plates(source="twin")
SMALL = slice(None, None, 8)  # 243 plates, all classes among them
PICTURES = {"learning_curve.png", "confusion_matrix.png", "reliability.png"}
WRITTEN = {"model.npz", "report.html", "report.json", "report.md"} | PICTURES


def write_table(path, rows=SMALL, classes=True):
    table = np.hstack([TWIN.data, TWIN.one_hot])[rows] if classes else TWIN.data[rows]
    header = ",".join(FEATURE_NAMES + CLASS_NAMES if classes else FEATURE_NAMES)
    np.savetxt(path, table, fmt="%.10g", delimiter=",", header=header, comments="")
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "plates.csv")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    names = np.array(CLASS_NAMES)[TWIN.target]
    SteelClassifier(max_epochs=5, random_state=0).fit(TWIN.data[SMALL], names[SMALL]).save(path)
    return str(path)


@pytest.fixture(autouse=True)
def _isolated(monkeypatch, tmp_path):
    """No test sees the user's files, the user's terminal or the real network."""
    for name in ("STEELFAST_DATA", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEELFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/plates.zip"
    monkeypatch.setattr(datasets, "UCI", replace(datasets.UCI, url=url))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def run(capsys):
    """Run a command line; its exit code, and what it wrote to stdout and to stderr."""

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def succeed(run):
    """Run a command line that works; what it wrote to stdout."""

    def succeed(*arguments):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        return out

    return succeed


def contents(folder):
    return {path.name for path in Path(folder).iterdir()}


# ---------------------------------------------------------------------------------- train


def test_train_writes_model_report_and_plots(succeed, table):
    out = succeed("train", "--data", table, "--epochs", 5)
    assert contents("steelfast-run") == WRITTEN
    assert all(name in out for name in WRITTEN)
    for name in PICTURES:
        assert Path("steelfast-run", name).read_bytes().startswith(b"\x89PNG")
    assert max(map(len, out.splitlines())) <= 80


def test_train_tests_on_plates_that_the_model_has_not_seen(succeed, table):
    out = succeed("train", "--data", table, "--epochs", 5, "--seed", 3, "--test-size", 0.3)
    report = json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))

    plates = read_steel_plates(table)
    names = np.array(CLASS_NAMES)[plates.target]
    X, X_test, y, y_test = train_test_split(plates.data, names, test_size=0.3, random_state=3, stratify=plates.target)
    expected = SteelClassifier(max_epochs=5, random_state=3).fit(X, y)
    model = SteelClassifier.load("steelfast-run/model.npz")
    np.testing.assert_array_equal(model.coef_, expected.coef_)

    accuracy = expected.score(X_test, y_test)
    assert report["test"]["accuracy"] == accuracy
    assert f"accuracy  {accuracy:.3f}" in out
    log_probs = expected.predict_log_proba(X_test)[np.arange(len(y_test)), np.searchsorted(expected.classes_, y_test)]
    assert report["test"]["log_loss"] == pytest.approx(-log_probs.mean())
    assert report["split"] == {"test_size": 0.3, "seed": 3, "n_train": len(y), "n_test": len(y_test)}
    assert report["training"]["history"][-1]["validation_accuracy"] == accuracy
    for each, name in zip(report["test"]["classes"], CLASS_NAMES, strict=True):
        of_class = y_test == name
        assert each["name"] == name
        assert each["n_plates"] == of_class.sum()
        assert each["recall"] == (expected.predict(X_test)[of_class] == name).mean()


def test_train_takes_its_settings(succeed, table):
    succeed(
        *("train", "--data", table, "--loss", "sigmoid_mse", "--optimizer", "sgd", "--epochs", 3),
        *("--batch-size", 7, "--learning-rate", 0.5, "--seed", 9, "--out", "deep/folder"),
        *("--hidden", "5,3", "--schedule", "cosine"),
    )
    model = SteelClassifier.load("deep/folder/model.npz")
    asked = {
        "loss": "sigmoid_mse",
        "optimizer": "sgd",
        "max_epochs": 3,
        "batch_size": 7,
        "learning_rate": 0.5,
        "random_state": 9,
        "hidden_layer_sizes": (5, 3),
        "schedule": "cosine",
    }
    assert model.get_params() == SteelClassifier(**asked).get_params()
    assert len(model.history_) == 3


def test_defaults_are_those_of_the_estimator():
    options = cli.make_parser().parse_args(["train"])
    defaults = {name: each.default for name, each in inspect.signature(SteelClassifier).parameters.items()}
    assert options.loss == defaults["loss"]
    assert options.optimizer == defaults["optimizer"]
    assert options.epochs == defaults["max_epochs"]
    assert options.batch_size == defaults["batch_size"]
    assert options.learning_rate == defaults["learning_rate"]
    assert options.hidden == defaults["hidden_layer_sizes"]
    assert options.schedule == defaults["schedule"]
    assert options.early_stopping == defaults["early_stopping"]
    assert set(cli._SCHEDULES) == set(get_args(estimator.Schedule))
    assert set(cli._OPTIMIZERS) == set(get_args(estimator.OptimizerName))


def test_early_stopping_does_not_look_at_the_test(succeed, table):
    report = json.loads(succeed("train", "--data", table, "--early-stopping", "--epochs", 400, "--json"))
    plates = read_steel_plates(table)
    names = np.array(CLASS_NAMES)[plates.target]
    X, _, y, _ = train_test_split(plates.data, names, test_size=0.2, random_state=0, stratify=plates.target)
    expected = SteelClassifier(early_stopping=True, max_epochs=400, random_state=0).fit(X, y)
    assert len(report["training"]["history"]) == expected.n_iter_ < 400
    np.testing.assert_array_equal(SteelClassifier.load("steelfast-run/model.npz").coef_, expected.coef_)


def test_quiet_training_says_nothing(run, table):
    assert run("train", "--data", table, "--epochs", 1, "--quiet") == (0, "", "")
    assert contents("steelfast-run") == WRITTEN
    assert run("train", "--offline", "--epochs", 1, "-q") == (0, "", "")  # no notice of the twin either


def test_train_json_is_the_report_and_nothing_else(succeed, table):
    report = json.loads(succeed("train", "--data", table, "--epochs", 2, "--json"))
    assert report == json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))
    assert report["data"]["path"] == table
    assert not report["data"]["synthetic"]
    assert report["command"] == f"steelfast train --data {table} --epochs 2 --json"


def test_cross_validation(succeed, table):
    out = succeed("train", "--data", table, "--epochs", 3, "--cv", 4, "--seed", 1)
    folds = json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))["cross_validation"]
    plates = read_steel_plates(table)
    expected = cross_val_score(
        SteelClassifier(max_epochs=3, random_state=1),
        plates.data,
        np.array(CLASS_NAMES)[plates.target],
        cv=StratifiedKFold(4, shuffle=True, random_state=1),
    )
    np.testing.assert_array_equal(folds["accuracy"], expected)
    assert f"4-fold cross-validation: accuracy {expected.mean():.3f} ± {expected.std(ddof=1):.3f}" in out
    assert "4-fold cross-validation" in Path("steelfast-run/report.md").read_text(encoding="utf-8")


def test_whatever_shows_a_result_on_the_twin_says_so(run):
    code, out, err = run("train", "--offline", "--epochs", 2)
    assert code == 0
    assert "synthetic" in out
    assert err.startswith("steelfast: notice: the real table is not on this machine")
    assert json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))["data"]["synthetic"]
    assert "**Synthetic plates.**" in Path("steelfast-run/report.md").read_text(encoding="utf-8")
    assert "Synthetic plates." in Path("steelfast-run/report.html").read_text(encoding="utf-8")
    assert "synthetic" in run("evaluate", "steelfast-run/model.npz", "--offline")[1]
    assert json.loads(run("evaluate", "steelfast-run/model.npz", "--offline", "--json")[1])["data"]["synthetic"]
    assert "synthetic" in run("data", "info", "--offline")[1]


def test_titles_of_plots_name_the_twin(table):
    history = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5}]
    for plates, named in ((TWIN, True), (read_steel_plates(table), False)):
        report = {"data": reporting.describe(plates), "training": {"history": history}, "test": {"accuracy": 0.5}}
        made = reporting.figures(report, np.array([0]), np.log(np.full((1, 7), 1 / 7)))
        assert {("synthetic" in figure.get_suptitle()) for figure in made.values()} == {named}


def test_without_a_network_the_twin_takes_over_within_ten_seconds(run):
    started = time.monotonic()
    code, out, err = run("data", "info")
    assert time.monotonic() - started < 10
    assert code == 0
    assert "asking UCI for it" in err
    assert "What is loaded now is the statistical twin" in err
    assert "1941 synthetic plates" in out


def test_without_pooch_nobody_is_asked(run, monkeypatch):
    monkeypatch.setattr(_commands, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pooch", None)
    code, _, err = run("data", "info")
    assert code == 0
    assert "asking UCI" not in err
    assert "pooch is not installed" in err


def test_a_huge_loss_takes_three_digits(succeed, table):
    out = succeed("train", "--data", table, "--epochs", 1, "--learning-rate", "1e100", "--cv", 3)
    assert re.search(r"log-loss  \d\.\d\de\+\d+\n", out)
    assert re.search(r"3-fold .*, log-loss \d\.\d\de\+\d+ ± \d\.\d\de\+\d+\n", out)
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"\| Log-loss \| \d\.\d\de\+\d+ \|", Path("steelfast-run/report.md").read_text("utf-8"))


def test_report_in_markdown(succeed, table):
    succeed("train", "--data", table, "--epochs", 2)
    text = Path("steelfast-run/report.md").read_text(encoding="utf-8")
    report = json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))
    assert f"{report['test']['accuracy']:.3f}" in text
    for name, row in zip(CLASS_NAMES, report["test"]["confusion_matrix"], strict=True):
        assert f"| {name} | {' | '.join(map(str, row))} |" in text
    assert set(re.findall(r"\]\((\S+)\)", text)) == PICTURES
    assert report["command"] in text
    assert ("On the synthetic plates again" in text) == report["data"]["synthetic"]
    blocks = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    assert len(blocks) == 6
    for block in blocks:  # each a table of Markdown: a rule below its head, as many cells in each row
        assert re.fullmatch(r"\|( --- \|)+", block[1])
        assert len({line.count("|") for line in block}) == 1
    assert "\n\n\n" not in text


class Page(HTMLParser):
    """What a page of HTML has: its text, the files it needs, and whether its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.text, self.sources, self.rows, self.open = "", [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "a":  # which the reader may follow
            self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "tr" in self.open and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_the_report_in_html_needs_no_other_file(succeed, table):
    succeed("train", "--data", table, "--epochs", 2, "--cv", 2)
    text = Path("steelfast-run/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert len(page.sources) == len(PICTURES)
    for source in page.sources:
        kind, _, content = source.partition(";base64,")
        assert kind == "data:image/svg+xml"
        ElementTree.fromstring(base64.b64decode(content))
    assert not re.search(r"url\(|@import|<script|<link", text)
    assert '<meta name="viewport"' in text
    assert '<a href="https://doi.org/10.24432/C5J88N"' in text


def test_the_report_in_html_has_the_figures(succeed, table):
    succeed("train", "--data", table, "--epochs", 2, "--cv", 2)
    report = json.loads(Path("steelfast-run/report.json").read_text(encoding="utf-8"))
    page = Page(Path("steelfast-run/report.html").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:] for row in page.rows}
    for each in report["test"]["classes"]:
        row = next(row for row in page.rows if row[0] == each["name"])  # the first table
        low, high = each["recall_interval"]
        assert row[1:3] == [str(each["n_plates"]), f"{each['recall']:.3f}{low:.3f} to {high:.3f}"]
    assert len(report["mistakes"]) == 10
    for each in report["mistakes"]:
        shown = rows[str(each["plate"])]
        assert (shown[0], shown[2]) == (each["fault"], each["predicted"])
        assert shown[3] == f"{each['predicted_probability']:.3f}"
    for name, value in SteelClassifier.load("steelfast-run/model.npz").get_params().items():
        assert rows[name] == [str(value)] or name in ("learning_rate", "l2")
    for figure in ("accuracy", "log_loss", "calibration_error"):
        assert f"{report['test'][figure]:.3f}" in page.text
    assert "2-fold cross-validation" in page.text
    for figure in ("steelfast", "instruction_set", "numpy", "processor"):
        assert report["configuration"][figure] in page.text
    assert report["command"] in page.text


def test_what_is_in_a_path_is_no_html(succeed, table):
    folder = Path("<b>&amp;")
    folder.mkdir()
    shutil.copy(table, folder / "plates.csv")
    succeed("train", "--data", folder / "plates.csv", "--epochs", 1)
    text = Path("steelfast-run/report.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "<b>&amp;/plates.csv" in Page(text).text


def test_the_worst_mistakes_are_the_surest(succeed, table):
    report = json.loads(succeed("train", "--data", table, "--epochs", 5, "--json"))
    plates = read_steel_plates(table)
    model = SteelClassifier.load("steelfast-run/model.npz")
    _, test = train_test_split(range(len(plates.target)), test_size=0.2, random_state=0, stratify=plates.target)
    probs = model.predict_proba(plates.data[test])
    predicted, names = model.predict(plates.data[test]), np.array(CLASS_NAMES)[plates.target[test]]
    wrong = predicted != names
    sureness = sorted(probs[wrong].max(axis=1), reverse=True)[:10]
    np.testing.assert_allclose([each["predicted_probability"] for each in report["mistakes"]], sureness)
    for each in report["mistakes"]:
        row = plates.data[[each["plate"] - 1]]
        assert each["fault"] == CLASS_NAMES[plates.target[each["plate"] - 1]]
        assert [each["predicted"]] == model.predict(row)
        of_fault = list(model.classes_).index(each["fault"])
        assert each["fault_probability"] == pytest.approx(model.predict_proba(row)[0, of_fault])


def test_a_training_without_mistakes_says_so():
    target = np.arange(7)
    log_probs = np.log(np.eye(7) * 0.93 + 0.01)
    assert reporting.mistakes(target, log_probs, target) == []
    report = json.loads(reporting.as_json({"test": reporting.evaluate(target, log_probs)}))
    assert report["test"]["accuracy"] == 1
    assert report["test"]["calibration_error"] == pytest.approx(0.06)


def test_precision_has_its_interval(succeed, table):
    report = json.loads(succeed("train", "--data", table, "--epochs", 5, "--json"))
    columns = np.sum(report["test"]["confusion_matrix"], axis=0)
    for k, each in enumerate(report["test"]["classes"]):
        n_right = report["test"]["confusion_matrix"][k][k]
        if not columns[k]:
            assert each["precision_interval"] == [None, None]
            continue
        expected = binomtest(n_right, int(columns[k])).proportion_ci(method="wilson")
        assert each["precision_interval"] == pytest.approx([expected.low, expected.high])
        assert each["f1_interval"][0] <= each["f1"] <= each["f1_interval"][1]


def test_the_log_loss_of_a_sure_mistake_is_exact():
    log_probs = np.log(np.full((2, 7), 1 / 7))
    log_probs[1] = [0.0, *[-1000.0] * 6]
    assert reporting.evaluate(np.array([3, 3]), log_probs)["log_loss"] == pytest.approx((np.log(7) + 1000) / 2)


def test_an_infinite_loss_is_null_in_json():
    assert json.loads(reporting.as_json({"losses": [np.inf, 1.0], "share": float("nan")})) == {
        "losses": [None, 1.0],
        "share": None,
    }


# ---------------------------------------------------------------------------------- use a model


def test_evaluate_scores_the_whole_table(succeed, table, model_file):
    out = succeed("evaluate", model_file, "--data", table)
    report = json.loads(succeed("evaluate", model_file, "--data", table, "--json"))
    plates = read_steel_plates(table)
    predicted = SteelClassifier.load(model_file).predict(plates.data)
    right = predicted == np.array(CLASS_NAMES)[plates.target]
    assert report["result"]["accuracy"] == right.mean()
    assert f"accuracy  {right.mean():.3f}" in out
    assert np.sum(report["result"]["confusion_matrix"]) == len(right)
    assert np.trace(report["result"]["confusion_matrix"]) == right.sum()
    assert max(map(len, out.splitlines())) <= 80


def test_a_model_of_class_indices_works_too(succeed, table, tmp_path):
    plates = read_steel_plates(table)
    model = SteelClassifier(max_epochs=5, random_state=0).fit(plates.data, plates.target)
    model.save(tmp_path / "model.npz")
    report = json.loads(succeed("evaluate", tmp_path / "model.npz", "--data", table, "--json"))
    assert report["result"]["accuracy"] == model.score(plates.data, plates.target)


def test_a_class_that_the_model_never_saw_has_probability_zero(succeed, table, tmp_path):
    plates = read_steel_plates(table)
    known = np.isin(plates.target, [1, 4, 6])
    names = np.array(CLASS_NAMES)[plates.target]
    model = SteelClassifier(max_epochs=5, random_state=0).fit(plates.data[known], names[known])
    model.save(tmp_path / "model.npz")
    report = json.loads(succeed("evaluate", tmp_path / "model.npz", "--data", table, "--json"))
    recalls = np.array([each["recall"] for each in report["result"]["classes"]])
    assert np.flatnonzero(recalls).tolist() == [1, 4, 6]
    assert report["result"]["log_loss"] is None  # infinite, which JSON does not know
    assert "log-loss  inf" in succeed("evaluate", tmp_path / "model.npz", "--data", table)


def test_classes_without_plates_have_no_recall(succeed, tmp_path, model_file):
    table = write_table(tmp_path / "pastry.csv", slice(0, 20))  # the twin is sorted by class
    report = json.loads(succeed("evaluate", model_file, "--data", table, "--json"))
    assert [each["recall"] is None for each in report["result"]["classes"]] == [False] + [True] * 6
    assert "–" in succeed("evaluate", model_file, "--data", table)


def expected_predictions(model_file, rows=SMALL):
    model = SteelClassifier.load(model_file)
    probs = model.predict_proba(TWIN.data[rows])
    order = [model.classes_.tolist().index(name) for name in CLASS_NAMES]
    return model.predict(TWIN.data[rows]), probs[:, order]


def read_predictions(text):
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["fault", *CLASS_NAMES]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], float)


@pytest.mark.parametrize("classes", [True, False])
def test_predict_names_faults_and_probabilities(succeed, model_file, tmp_path, classes):
    plates = write_table(tmp_path / "plates.csv", classes=classes)
    faults, probs = read_predictions(succeed("predict", model_file, "--data", plates))
    expected_faults, expected_probs = expected_predictions(model_file)
    assert faults == expected_faults.tolist()
    np.testing.assert_allclose(probs, expected_probs, rtol=1e-5)


def test_predict_as_json(succeed, model_file, table):
    each = json.loads(succeed("predict", model_file, "--data", table, "--json"))
    expected_faults, expected_probs = expected_predictions(model_file)
    assert [plate["fault"] for plate in each] == expected_faults.tolist()
    assert list(each[0]["probabilities"]) == list(CLASS_NAMES)
    probs = [list(plate["probabilities"].values()) for plate in each]
    np.testing.assert_allclose(probs, expected_probs, rtol=1e-12)


def test_predict_reads_standard_input(succeed, model_file, tmp_path, monkeypatch):
    text = Path(write_table(tmp_path / "plates.csv", slice(0, 5), classes=False)).read_text()
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    faults, _ = read_predictions(succeed("predict", model_file))
    assert faults == expected_predictions(model_file, slice(0, 5))[0].tolist()


def test_predict_does_not_wait_for_somebody_to_type_a_table(run, model_file, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    code, out, err = run("predict", model_file)
    assert (code, out) == (2, "")
    assert "nothing comes through a pipe: name a table with --data" in err


INCHES = [FEATURE_NAMES.index(name) for name in ("X_Maximum", "Length_of_Conveyer")]


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 50), SMALL])
def test_features_in_other_units_are_named_in_one_notice(run, model_file, tmp_path, rows):
    table = TWIN.data[rows].copy()
    table[:, INCHES] = 25.4 * table[:, INCHES].clip(600)
    np.savetxt(tmp_path / "inches.csv", table, delimiter=",", header=",".join(FEATURE_NAMES), comments="")
    code, out, err = run("predict", model_file, "--data", tmp_path / "inches.csv")
    assert code == 0
    assert len(read_predictions(out)[0]) == len(table)
    assert err.count("\n") == 1
    assert err.startswith("steelfast: notice: far from the plates that the model was trained on")
    assert [name for name in FEATURE_NAMES if f" {name} " in err] == ["X_Maximum", "Length_of_Conveyer"]
    model = SteelClassifier.load(model_file)
    mean, deviation = float(model.mean_[INCHES[1]]), float(model.scale_[INCHES[1]])
    shown = re.search(r"Length_of_Conveyer ([\d.]+) \(([\d.]+) ± ([\d.]+)\)", err)
    assert [*map(float, shown.groups())] == pytest.approx([table[:, INCHES[1]].mean(), mean, deviation], rel=1e-3)
    assert run("predict", model_file, "--data", tmp_path / "inches.csv", "--quiet")[2] == ""


def test_many_plates_show_other_units_where_one_does_not(run, model_file, tmp_path):
    k = FEATURE_NAMES.index("Y_Perimeter")
    table = TWIN.data.copy()
    table[:, k] *= 25.4
    noticed = []
    for rows in (slice(None), [int(np.argsort(table[:, k])[len(table) // 2])]):
        np.savetxt(tmp_path / "inches.csv", table[rows], delimiter=",", header=",".join(FEATURE_NAMES), comments="")
        noticed.append("Y_Perimeter" in run("predict", model_file, "--data", tmp_path / "inches.csv")[2])
    assert noticed == [True, False]


def test_plates_of_the_training_are_not_strange(run, model_file, tmp_path):
    noticed = 0
    for i in range(0, len(TWIN.data), 20):
        noticed += bool(run("predict", model_file, "--data", write_table(tmp_path / "one.csv", [i]))[2])
    assert noticed <= 3  # of 98: of a feature with a long tail
    for k in range(7):
        table = write_table(tmp_path / "class.csv", np.flatnonzero(TWIN.target == k))
        assert run("evaluate", model_file, "--data", table)[2] == ""


def test_a_model_of_raw_features_does_not_know_what_is_strange(run, table, tmp_path):
    names = np.array(CLASS_NAMES)[TWIN.target]
    model = SteelClassifier(standardize=False, max_epochs=1, learning_rate=1e-9).fit(TWIN.data, names)
    model.save(tmp_path / "model.npz")
    assert run("predict", tmp_path / "model.npz", "--data", table)[2] == ""


def test_predict_from_a_pipe_to_a_file(succeed, model_file, tmp_path, monkeypatch):
    text = Path(write_table(tmp_path / "plates.csv", slice(0, 5))).read_text()
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    Path("faults.csv").write_text("old")
    assert succeed("predict", model_file, "--data", "-", "-o", "faults.csv") == ""
    faults, _ = read_predictions(Path("faults.csv").read_text())
    assert faults == expected_predictions(model_file, slice(0, 5))[0].tolist()
    assert contents(".") == {"faults.csv"}


def test_a_link_to_write_to_stays_a_link(succeed, model_file, table):
    Path("target.csv").write_text("old")
    Path("link.csv").symlink_to("target.csv")
    succeed("predict", model_file, "--data", table, "-o", "link.csv")
    assert Path("link.csv").is_symlink()
    assert Path("target.csv").read_text().startswith("fault,")


def test_a_device_to_write_to_stays_a_device(succeed, model_file, table, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    succeed("predict", model_file, "--data", table, "-o", pipe)
    assert os.read(reader, 6) == b"fault,"
    assert pipe.is_fifo()
    os.close(reader)


# ---------------------------------------------------------------------------------- compare, explain


def test_compare_cross_validates_each_in_the_same_folds(succeed, table):
    line = ("compare", "--data", table, "--epochs", 3, "--cv", 4, "--seed", 2, "--optimizer", "adam")
    report = json.loads(succeed(*line, "--json"))
    plates = read_steel_plates(table)
    by_loss = {each["loss"]: each for each in report["results"]}
    assert by_loss.keys() == {"softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"}
    for loss, each in by_loss.items():
        expected = cross_val_score(
            SteelClassifier(loss, max_epochs=3, random_state=2),
            plates.data,
            np.array(CLASS_NAMES)[plates.target],
            cv=StratifiedKFold(4, shuffle=True, random_state=2),
        )
        np.testing.assert_array_equal(each["accuracy"], expected)
    means = [np.mean(each["accuracy"]) for each in report["results"]]
    assert means == sorted(means, reverse=True)

    first, *others = report["results"]
    for other, difference in zip(others, report["differences"][::-1], strict=True):
        assert difference["first"]["loss"] == first["loss"]
        assert difference["second"]["loss"] == other["loss"]
        gaps = np.subtract(first["accuracy"], other["accuracy"])
        assert difference["accuracy"]["mean"] == pytest.approx(gaps.mean())
        low, high = difference["accuracy"]["interval"]
        assert low < gaps.mean() < high

    out = succeed(*line)
    assert max(map(len, out.splitlines())) <= 80
    for each in report["results"]:
        mean, deviation = np.mean(each["accuracy"]), np.std(each["accuracy"], ddof=1)
        assert re.search(rf"{each['loss']} +adam +{mean:.3f} ± {deviation:.3f} ", out)
    assert "the folds do not tell them apart" in out or "the folds tell them apart" in out


def test_compare_takes_what_it_is_told(succeed, table):
    line = (
        "--loss sigmoid_mse --loss sigmoid_cross_entropy --optimizer sgd --optimizer adam --epochs 1 --cv 2 --hidden 3"
    )
    report = json.loads(succeed("compare", "--data", table, *line.split(), "--json", "--plot", "compare.svg"))
    pairs = {(each["loss"], each["optimizer"]) for each in report["results"]}
    assert pairs == {(loss, name) for loss in ("sigmoid_mse", "sigmoid_cross_entropy") for name in ("sgd", "adam")}
    assert report["settings"]["hidden_layer_sizes"] == [3]
    ElementTree.parse("compare.svg")


def test_one_loss_has_nothing_to_differ_from(succeed, table):
    out = succeed("compare", "--data", table, "--loss", "sigmoid_mse", "--epochs", 1, "--cv", 2, "--plot", "plot.png")
    assert "more than" not in out
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def hidden_model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "hidden.npz"
    names = np.array(CLASS_NAMES)[TWIN.target]
    SteelClassifier(max_epochs=5, hidden_layer_sizes=(8,), random_state=0).fit(TWIN.data, names).save(path)
    return str(path)


def test_explain_shows_coefficients_and_importance(succeed, table, model_file):
    line = ("explain", model_file, "--data", table, "--repeats", 3, "--seed", 5)
    report = json.loads(succeed(*line, "--json", "--plot", "explain.png"))
    model = SteelClassifier.load(model_file)
    coef = model.coef_ - model.coef_.mean(axis=0)
    for name, row in zip(model.classes_, coef, strict=True):
        assert list(report["coefficients"][name]) == list(FEATURE_NAMES)
        np.testing.assert_allclose(list(report["coefficients"][name].values()), row, rtol=1e-12)
    assert list(report["coefficients"]) == list(CLASS_NAMES)

    plates = read_steel_plates(table)
    names = np.array(CLASS_NAMES)[plates.target]
    expected = permutation_importance(model, plates.data, names, n_repeats=3, random_state=5)
    by_name = {each["feature"]: each for each in report["importance"]}
    drops = [by_name[name]["accuracy_drop"] for name in FEATURE_NAMES]
    np.testing.assert_allclose(drops, expected.importances_mean, atol=1e-12)
    np.testing.assert_allclose([by_name[n]["deviation"] for n in FEATURE_NAMES], expected.importances_std, atol=1e-12)
    assert [each["accuracy_drop"] for each in report["importance"]] == sorted(drops, reverse=True)
    recall = make_scorer(recall_score, labels=["Bumps"], average="macro")
    expected = permutation_importance(model, plates.data, names, scoring=recall, n_repeats=3, random_state=5)
    drops = [by_name[name]["recall_drops"]["Bumps"] for name in FEATURE_NAMES]
    np.testing.assert_allclose(drops, expected.importances_mean, atol=1e-12)
    assert all(list(each["recall_drops"]) == list(CLASS_NAMES) for each in report["importance"])
    assert Path("explain.png").read_bytes().startswith(b"\x89PNG")

    out = succeed(*line, "--top", 2)
    assert max(map(len, out.splitlines())) <= 80
    best = max(report["coefficients"]["Pastry"].items(), key=lambda pair: pair[1])
    assert re.search(rf"Pastry +{re.escape(f'{best[1]:+.2f}')}  {best[0]} ", out)
    assert len(re.findall(r" [+-]\d\.\d\d  [A-Z]", out)) == 2 * 2 * len(CLASS_NAMES)


def test_a_model_with_hidden_layers_has_only_the_importance(succeed, table, hidden_model_file):
    line = ("explain", hidden_model_file, "--data", table, "--repeats", 1)
    report = json.loads(succeed(*line, "--json", "--plot", "explain.png"))
    assert report["coefficients"] is None
    assert len(report["importance"]) == len(FEATURE_NAMES)
    assert "standard deviation.\n" not in succeed(*line)


def test_a_class_without_plates_has_no_recall_to_lose(succeed, tmp_path, model_file):
    table = write_table(tmp_path / "some.csv", np.flatnonzero(np.isin(TWIN.target, [0, 3])))
    report = json.loads(succeed("explain", model_file, "--data", table, "--repeats", 1, "--json"))
    assert set(report["importance"][0]["recall_drops"]) == {"Pastry", "Stains"}


def test_explain_of_plates_that_nothing_is_lost_on(succeed, tmp_path, table):
    """Where no feature matters there is no largest bar."""
    names = np.array(CLASS_NAMES)[TWIN.target]
    model = SteelClassifier(max_epochs=1, learning_rate=0.0).fit(TWIN.data, names)
    model.save(tmp_path / "model.npz")
    out = succeed("explain", tmp_path / "model.npz", "--data", table, "--repeats", 1)
    assert len(re.findall(r"^\w+ +0\.0 ± 0\.0 +0\.0 ", out, re.MULTILINE)) == len(FEATURE_NAMES)


@pytest.mark.parametrize("width", [50, 60, 70, 80])
@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_nothing_is_left_out_of_a_table_in_a_narrow_terminal(succeed, table, model_file, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = succeed(command, model_file, "--data", table)
    assert "…" not in out
    rows = [line for line in out.splitlines() if "  " in line.strip() and not line.startswith(("accuracy", "log-loss"))]
    assert max(map(len, rows)) <= width


# ---------------------------------------------------------------------------------- completion


# how each shell is asked: with the script of the completion beside it, it prints what may follow the words
ASK = {
    "bash": """
source ./script
COMP_WORDS=(steelfast $1) COMP_CWORD=$(wc -w <<<"$1")
_shtab_steelfast
printf '<%s>' "${COMPREPLY[@]}"
""",
    # only a zsh with a terminal completes: another one gives it a terminal, and a Tab
    "zsh": """
zmodload zsh/zpty
zpty child "TERM=dumb zsh -f -i"
cat >setup <<'SETUP'
autoload -U compinit
compinit -u -D
eval "$(cat ./script)"
compadd() {
    local -a found
    if [[ " $* " != *" -"[OAD]" "* ]]; then
        builtin compadd -A found "$@"
        printf '<%s>' $found
    fi
    builtin compadd "$@"
}
complete() { zle complete-word; print -n FINISHED; }
zle -N complete
bindkey '^I' complete
SETUP
zpty -w child "source ./setup; print REA''DY"
zpty -r -m child seen '*READY*'
zpty -w -n child "steelfast $1"$'\t'
zpty -r -m child seen '*FINISHED*'
zpty -d child
print -r -- $seen
""",
    "fish": """
source ./script
complete -C "steelfast $argv" | string replace -r '(.*?)(\\t.*)?$' '<$1>'
""",
}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("comp", {"compare", "completion"}),
        ("train --lo", {"--loss"}),
        ("train --loss sig", {"sigmoid_mse", "sigmoid_cross_entropy"}),
        ("bench --peer Nu", {"NumPy", "Numba"}),
        ("evaluate pl", {"plates.npz"}),
        ("train --seed 3 --data pl", {"plates.npz"}),
        ("data f", {"fetch"}),
    ],
)
@pytest.mark.parametrize("shell", ASK)
def test_shells_complete(succeed, monkeypatch, shell, words, wanted):
    if sys.platform == "win32" or shutil.which(shell) is None:  # its bash may be another system's
        pytest.skip(f"there is no {shell}")
    Path("plates.npz").touch()
    Path("script").write_text(succeed("completion", shell))
    monkeypatch.setenv("HOME", os.getcwd())
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    arguments = [shell, "-c", ASK[shell], *([] if shell == "fish" else [shell]), words]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    assert set(re.findall("<([^<>]+)>", done.stdout)) == wanted


@pytest.mark.parametrize("shell", cli._SHELLS)
def test_every_shell_has_a_script(succeed, shell):
    assert "steelfast" in succeed("completion", shell)


# ---------------------------------------------------------------------------------- reproduce


LINE = re.compile(r"Epoch \d+: loss=\d+\.\d{3}, accuracy=\d\.\d{3}/\d\.\d{3}")


def test_reproduce_computes_on_any_table(succeed, table):
    out = succeed("reproduce", "--data", table, "--json", "runs.json")
    results = experiments.reproduce(read_steel_plates(table))
    report = json.loads(Path("runs.json").read_text(encoding="utf-8"))
    assert report == json.loads(json.dumps(experiments.to_json(results)))
    assert LINE.findall(out) == [epoch.line() for result in results for epoch in result.epochs]
    assert max(map(len, out.splitlines())) <= 80


def test_reproduce_marks_and_counts_what_differs(succeed, table, monkeypatch):
    results = experiments.reproduce(read_steel_plates(table))
    published = [
        {"epochs": [{key: f"{value:.3f}" for key, value in vars(epoch).items()} for epoch in each.epochs]}
        for each in results
    ]
    published[1]["epochs"][2]["loss"] = "99.000"
    published[1]["epochs"][2]["test_accuracy"] = "0.999"
    monkeypatch.setattr(experiments, "published_runs", lambda: published)
    out = succeed("reproduce", "--data", table)
    marked = [line for line in out.splitlines() if line.startswith("Epoch") and "*" in line]
    assert len(marked) == 1
    assert re.search(r"99\.000\*, \d\.\d{3}/0\.999\*$", marked[0])
    counts = re.findall(r"run (\d): (\d+) of 30 figures \((\d+) losses, (\d+) training, (\d+) test", out)
    assert [tuple(map(int, count)) for count in counts] == [
        (1, 30, 10, 10, 10),
        (2, 28, 9, 10, 9),
        (3, 30, 10, 10, 10),
        (4, 30, 10, 10, 10),
    ]


def test_reproduce_on_the_twin_compares_nothing(run):
    code, out, _ = run("reproduce", "--offline", "--json", "runs.json")
    assert code == 0
    assert "synthetic" in out
    assert "nothing is compared" in out
    assert [bool(LINE.fullmatch(line)) for line in out.splitlines() if "=" in line] == [True] * 40
    assert " of 30 figures" not in out
    assert "twin" in json.loads(Path("runs.json").read_text(encoding="utf-8"))["note"]


def test_reproduce_json_to_stdout_is_json_alone(succeed, table):
    assert json.loads(succeed("reproduce", "--data", table, "--json", "-")).keys() == {"runs"}


@needs_real_file
def test_published_figures_on_the_real_table(succeed):
    out = succeed("reproduce", "--data", REAL_FILE)
    assert "run 1: 30 of 30 figures" in out
    assert "run 2: 30 of 30 figures" in out
    assert "run 3: 10 of 30 figures (10 losses" in out


# ---------------------------------------------------------------------------------- the others


def measured(shape, dtype="float32", **medians):
    case = bench.Case("softmax", shape, dtype)
    microseconds = {name: (median, median, median) for name, median in medians.items()}
    return bench.Measurement(case, microseconds, {"steelfast": 1.6, "NumPy": 65.0})


@pytest.fixture
def measurements(monkeypatch):
    """What `bench` is told to have measured; what it was asked for."""
    asked = {}
    each = [
        measured((1553, 7), loops=6000.0, NumPy=120.0, steelfast=10.0),
        measured((100_000, 7), NumPy=7000.0, steelfast=600.0),
        measured((100_000, 7), "float64", NumPy=7000.0, steelfast=900.0),
    ]

    def measure(cases, contenders, **settings):
        asked.update(cases=cases, contenders=[each.name for each in contenders], settings=settings)
        return iter(each)

    monkeypatch.setattr(bench, "measure", measure)
    return asked


def test_bench_prints_tables_and_writes_json_and_plot(succeed, measurements):
    out = succeed("bench", "--json", "bench.json", "--plot", "bench.png")
    assert measurements["contenders"] == ["steelfast", "loops", "NumPy"]
    assert {case.shape for case in measurements["cases"]} == set(bench.OVERVIEW)
    assert re.search(r"1,553 × 7 +10\.0 +6,000 +120 +600 +12\.0 +1\.6 +65", out)
    assert re.search(r"100,000 × 7 +600 +– +7,000 +– +11\.7 +1\.6 +65", out)
    assert f"NumPy {np.__version__}" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    report = json.loads(Path("bench.json").read_text(encoding="utf-8"))
    assert [each["ratio"] for each in report["measurements"]] == [12, 7000 / 600, 7000 / 900]
    assert Path("bench.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(succeed("bench", "--json", "-"))["measurements"] == report["measurements"]


def test_bench_with_peers_takes_all_that_are_installed(run, measurements, monkeypatch):
    monkeypatch.setattr(_contenders, "is_installed", lambda name: name not in ("PyTorch", "JAX", "Numba"))
    code, out, err = run("bench", "--peers", "--quick")
    assert code == 0
    assert measurements["contenders"] == ["steelfast", "loops", "NumPy", "SciPy", "copy"]
    assert measurements["cases"] == bench.cases()
    assert measurements["settings"]["n_rounds"] < bench.N_ROUNDS
    assert "left out, as not installed: PyTorch, JAX, Numba" in err
    assert 'pip install "steelfast[bench]"' in err
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100


def test_bench_table_of_many_peers_fits_100_columns():
    times = dict.fromkeys(_contenders.NAMES, 12_345.0)
    case = bench.Case("softmax", (100_000, 7), "float32", "strided")
    each = bench.Measurement(
        case, {name: (t, t, t) for name, t in times.items()}, dict.fromkeys(times, 9e15) | {"steelfast": 1.6}
    )
    report = bench.as_report([each], []) | {"contenders": times}
    console = _terminal.console(width=100)
    with console.capture() as captured:
        for table in _terminal.bench_tables(report):
            console.print(table)
    (line,) = [line for line in captured.get().splitlines() if "strided" in line]
    assert len(line.rstrip()) <= 100
    assert re.search(r"strided( +12,345){8} +1\.00 +1\.6 +9\.0e15", line)


def test_bench_table_of_a_row_that_no_peer_can_do():
    rows = [measured((1553, 7), steelfast=10.0, copy=1.0), measured((10, 7), steelfast=1.0, loops=40.0)]
    console = _terminal.console(width=100)
    for peers in ("loops",), ("loops", "NumPy", "SciPy"):
        also = measured((64, 32_000), **dict.fromkeys(("steelfast", *peers), 2.0))
        report = bench.as_report([*rows, also], []) | {"contenders": dict.fromkeys(("steelfast", *peers, "copy"))}
        with console.capture() as captured:
            console.print(*_terminal.bench_tables(report))
        (line,) = [line for line in captured.get().splitlines() if "1,553" in line]
        dashes = r" +–" * len(peers)
        assert re.search(rf"1,553 × 7 +10\.0{dashes} +1\.00 +– +1\.6", line)


def test_bench_takes_what_it_is_told(succeed, measurements):
    line = "bench --peer numpy --peer SciPy --operation sigmoid --shape 10x7 --shape 20000x100 --dtype float32"
    succeed(*line.split())
    assert measurements["contenders"] == ["steelfast", "NumPy", "SciPy"]
    assert [str(case) for case in measurements["cases"]] == ["sigmoid float32 10 × 7", "sigmoid float32 20,000 × 100"]


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("--peer tensorflow", 2, "argument --peer: must be one of loops, NumPy, .*got 'tensorflow'"),
        ("--operation relu", 2, "argument --operation: must be one of softmax, .*got 'relu'"),
        ("--shape 10by7", 2, "argument --shape: must be whole numbers with an x between, got '10by7'"),
        ("--dtype float16", 2, "argument --dtype: invalid choice: 'float16'"),
        ("--peers --peer numpy", 2, "argument --peer: not allowed with argument --peers"),
        ("--shape 10x7 --shape 3x3", 2, "error: shapes must be of 7x100000, 10x7, .*, got 3x3 .see steelfast bench"),
        ("--operation softmax_jacobian --shape 64x32000", 2, "nothing is measured of that .* shapes 10x7, 1553x7"),
        ("--json nowhere/bench.json", 1, "nowhere/bench.json cannot be written: .*nowhere is not a directory"),
        ("--plot nowhere/bench.png", 1, "nowhere/bench.png cannot be written: .*nowhere is not a directory"),
        ("--json .", 1, r"error: \. cannot be written: it is a directory\n"),
        ("--plot ..", 1, r"error: \.\. cannot be written: it is a directory\n"),
        (f"--json {'x' * 300}", 1, "error: x{300} cannot be written: File name too long\n"),
        ("--plot -", 2, "argument --plot: must be a file, got '-'"),
    ],
)
def test_bench_refuses_before_it_measures(run, measurements, line, code, message):
    assert run("bench", *line.split())[0] == code
    assert re.search(message, run("bench", *line.split())[2])
    assert not measurements
    assert not contents(".")


def test_bench_without_a_ratio_shows_what_it_measured_but_plots_nothing(run, monkeypatch):
    monkeypatch.setattr(bench, "measure", lambda *_, **__: iter([measured((10, 7), steelfast=1.0, copy=0.5)]))
    code, out, err = run("bench", "--peer", "copy", "--json", "bench.json", "--plot", "bench.png")
    assert (code, err) == (
        1,
        "steelfast: error: nothing to plot in bench.png: no other library took part that could be compared\n",
    )
    assert re.search(r"10 × 7 +1\.00 +0\.500", out)
    assert contents(".") == {"bench.json"}


def test_bench_names_the_peer_that_is_missing(run, measurements, monkeypatch):
    monkeypatch.setitem(_contenders._MODULES, "Numba", "no_such_module")
    _contenders.load.cache_clear()
    code, _, err = run("bench", "--peer", "numba")
    assert (code, err) == (1, "steelfast: error: Numba is not installed: pip install no_such_module\n")
    assert not measurements


def test_data_path_names_what_would_be_used(run, table, monkeypatch, tmp_path):
    code, out, err = run("data", "path")
    assert (code, out) == (0, f"{tmp_path / 'cache' / 'plates.zip'}\n")
    assert "steelfast data fetch" in err
    monkeypatch.setenv("STEELFAST_DATA", table)
    assert run("data", "path") == (0, f"{table}\n", "")


def test_data_fetch_says_how_to_do_it_by_hand(run):
    code, out, err = run("data", "fetch")
    assert (code, out) == (1, "")
    assert err.startswith("steelfast: error: ")
    assert datasets.UCI.url in err
    assert datasets.UCI.sha256 in err


def test_data_info(succeed, table):
    about = json.loads(succeed("data", "info", "--data", table, "--json"))
    plates = read_steel_plates(table)
    assert about["n_plates"] == len(plates.target)
    assert list(about["class_counts"].values()) == np.bincount(plates.target).tolist()
    out = succeed("data", "info", "--data", table)
    assert table in out
    assert "CC BY 4.0" in out


def test_there_are_plates_to_try_predict_on(succeed, model_file):
    Path("plates.csv").write_text(succeed("data", "example"))
    data = datasets.read_features("plates.csv")
    np.testing.assert_array_equal(data, TWIN.data[::200])
    assert Path("plates.csv").read_text().startswith(",".join(FEATURE_NAMES) + "\n")  # and no classes
    assert len(succeed("predict", model_file, "--data", "plates.csv").splitlines()) == 1 + len(data) == 11


def test_info(succeed):
    assert f"steelfast                   {steelfast.__version__}\n" in succeed("info")
    about = json.loads(succeed("info", "--json"))
    assert about["numpy"] == np.__version__
    assert about["instruction_set"] in about["available_instruction_sets"]


def test_the_table_that_the_environment_names_is_used(succeed, table, monkeypatch):
    monkeypatch.setenv("STEELFAST_DATA", table)
    assert json.loads(succeed("data", "info", "--json"))["path"] == table


@pytest.mark.parametrize("line", ["train", "compare --cv 2", "sweep --cv 2"])
def test_what_repeats_a_command_names_the_table_of_the_environment(succeed, table, tmp_path, monkeypatch, line):
    plates = tmp_path / "my plates.csv"
    shutil.copy(table, plates)
    monkeypatch.setenv("STEELFAST_DATA", str(plates))
    report = json.loads(succeed(*line.split(), "--epochs", 1, "--json"))
    assert report["command"] == f"steelfast {line} --epochs 1 --json --data '{plates}'"
    if line == "train":
        assert f"\n{report['command']}\n" in Path("steelfast-run/report.md").read_text(encoding="utf-8")


def test_what_repeats_a_training_on_the_twin_names_no_table(run):
    report = json.loads(run("train", "--offline", "--epochs", 1, "--json")[1])
    assert report["command"] == "steelfast train --offline --epochs 1 --json"


def test_version(succeed):
    assert succeed("--version") == f"steelfast {steelfast.__version__}\n"


COMMANDS = [
    *(["train"], ["evaluate"], ["predict"], ["compare"], ["explain"], ["sweep"], ["reproduce"]),
    *(["bench"], ["info"], ["data"], ["completion"]),
    *(["data", name] for name in ("fetch", "path", "info")),
]


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_shows_examples(succeed, command):
    out = succeed(*command, "--help")
    examples = out.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    assert examples
    assert max(map(len, out.splitlines())) <= 80
    for example in examples:  # each is a command line that is understood
        line = re.search(r"steelfast ([^|>)]+)", example)
        cli.make_parser().parse_args(line[1].split())


def test_commands_in_the_readme_are_understood():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"`(steelfast [a-z][^`]*)`", text)
    assert {line.split()[1] for line in lines} == {command[0] for command in COMMANDS}
    for line in lines:
        cli.make_parser().parse_args(line.partition(" > ")[0].split()[1:])


# ---------------------------------------------------------------------------------- errors


WRONG_USAGE = {
    "no command": "",
    "unknown command": "frobnicate",
    "no action": "data",
    "unknown option": "train --epoch 3",
    "no model": "evaluate",
    "no shell": "completion",
    "unknown shell": "completion dos",
    "epochs": "train --epochs 0",
    "epochs in words": "train --epochs many",
    "half an epoch": "train --epochs 1.5",
    "batch size": "train --batch-size -3",
    "learning rate": "train --learning-rate -1",
    "learning rate zero": "train --learning-rate 0",
    "learning rate nan": "train --learning-rate nan",
    "learning rate inf": "train --learning-rate inf",
    "test size": "train --test-size 2",
    "test size zero": "train --test-size 0",
    "folds": "train --cv 1",
    "seed": "train --seed -1",
    "large seed": "train --seed 4294967296",
    "loss": "train --loss hinge",
    "optimizer": "train --optimizer lbfgs",
    "schedule": "train --schedule linear",
    "no width": "train --hidden ''",
    "width zero": "train --hidden 64,0",
    "width in words": "train --hidden wide",
    "loss to compare": "compare --loss hinge",
    "one fold": "compare --cv 1",
    "nothing to show": "explain model.npz --top 0",
    "never shuffled": "explain model.npz --repeats 0",
    "plot on a terminal": "compare --plot -",
}


@pytest.mark.parametrize("line", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2(run, line):
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert re.fullmatch(r"steelfast: error: .+ \(see steelfast.* --help\)\n", err)
    assert contents(".") == set()


def test_wrong_value_is_named(run):
    assert "argument --epochs: must be a whole number at least 1, got '0'" in run("train", "--epochs", 0)[2]
    message = "argument --test-size: must be a number between 0 and 1, got 'x'"
    assert message in run("train", "--test-size", "x")[2]


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("train --out", "--out"),
        ("train --data", "--data"),
        ("evaluate", "MODEL"),
        ("predict", "MODEL"),
        ("predict model.npz --data", "--data"),
        ("predict model.npz --output", "-o/--output"),
        ("explain", "MODEL"),
        ("compare --plot", "--plot"),
        ("sweep -o", "-o/--output"),
        ("bench --json", "--json"),
    ],
)
def test_an_empty_path_is_refused(run, line, option):
    """As it comes from a variable of the shell that is not set."""
    code, out, err = run(*line.split(), "")
    assert (code, out) == (2, "")
    assert f"argument {option}: must be a path, got ''" in err
    assert contents(".") == set()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("trian", "train"),
        ("data inof", "info"),
        ("train --epoch 3", "--epochs"),
        ("train --batchsize=3", "--batch-size"),
        ("compare --los sigmoid_mse", "--loss"),
        ("train --loss softmax_crossentropy", "softmax_cross_entropy"),
        ("bench --operation sofmax", "softmax"),
        ("completion bsh", "bash"),
    ],
)
def test_what_may_have_been_meant_is_suggested(run, line, meant):
    assert re.search(rf"; did you mean {meant}\? \(see steelfast[a-z ]* --help\)\n$", run(*line.split())[2])


@pytest.mark.parametrize("line", ["xyzzy", "train --xyzzy", "train --loss hinge"])
def test_nothing_far_fetched_is_suggested(run, line):
    assert "did you mean" not in run(*line.split())[2]


@pytest.fixture
def bad_files(table, model_file):
    """Files that are not what a command wants, by name, in the working directory."""
    lines = Path(table).read_text().splitlines(keepends=True)
    Path("not-a-table.csv").write_text("hello\n")
    Path("bad-cell.csv").write_text("".join([*lines[:4], lines[4].replace(",", ",x", 1), *lines[5:]]))
    Path("one-plate.csv").write_text("".join(lines[:2]))
    Path("pastry.csv").write_text("".join(lines[:9]))
    Path("three-plates.csv").write_text("".join([*lines[:3], lines[-1]]))
    Path("utf-16.csv").write_text("".join(lines), encoding="utf-16")
    Path("columns.txt").write_text("1\t2\t3\n")
    Path("empty.csv").touch()
    Path("folder").mkdir()
    content = Path(model_file).read_bytes()
    Path("cut.npz").write_bytes(content[: len(content) // 2])
    np.savez("other.npz", values=np.arange(3))
    X = np.random.default_rng(0).normal(size=(20, 3))
    SteelClassifier(max_epochs=1).fit(X, X[:, 0] > 0).save("other-model.npz")
    X = np.random.default_rng(0).normal(size=(20, 27))
    SteelClassifier(max_epochs=1).fit(X, np.where(X[:, 0] > 0, "cat", "dog")).save("cats.npz")


ERRORS = {
    "train --data nowhere.csv": "nowhere.csv does not exist",
    "train --data folder": "folder is a directory",
    "train --data not-a-table.csv": "not-a-table.csv, line 1",
    "train --data bad-cell.csv": "bad-cell.csv, line 5, column 2 (X_Maximum)",
    "train --data empty.csv": "empty.csv is empty",
    "train --data one-plate.csv": "all plates are of the class Pastry",
    "train --data pastry.csv": "all plates are of the class Pastry",
    "train --data three-plates.csv": "the plates cannot be split",
    "train --data TABLE --test-size 0.001": "the plates cannot be split",
    "train --data TABLE --cv 1000": "--cv 1000 needs a plate of every class in each fold, got 7 of Dirtiness",
    "train --data TABLE --cv 8": "--cv 8 needs a plate of every class in each fold, got 7 of Dirtiness",
    "train --data utf-16.csv": "utf-16.csv is text in UTF-16, wanted UTF-8",
    "train --data TABLE --out /proc": "/proc cannot be written to: No such file or directory",
    "predict MODEL --data columns.txt": "columns.txt, line 1: 3 columns, wanted 34, or 27 without the classes",
    "train --data TABLE --out empty.csv": "--out empty.csv is a file, wanted a directory",
    "train --data TABLE --out empty.csv/deeper": "empty.csv/deeper cannot be made: Not a directory",
    "train --data TABLE --out /proc/x": "/proc/x cannot be made: No such file or directory",
    "train --data TABLE --learning-rate 1e308": "learning_rate 1e+308 is too large",
    "train --data TABLE --hidden 100000000000000": "Unable to allocate",
    "train --data TABLE --test-size 0.96": "--test-size 0.96 leaves no plate of Stains, Dirtiness to train on",
    "evaluate nowhere.npz --data TABLE": "nowhere.npz: No such file",
    "evaluate folder --data TABLE": "folder: Is a directory",
    "evaluate empty.csv --data TABLE": "empty.csv is no",
    "evaluate TABLE --data TABLE": "is no",
    "evaluate cut.npz --data TABLE": "cut.npz is no",
    "evaluate other.npz --data TABLE": "other.npz is no",
    "evaluate other-model.npz --data TABLE": "takes 3 features and tells apart False, True",
    "evaluate cats.npz --data TABLE": "cats.npz is no model of steel plates",
    "evaluate MODEL --data nowhere.csv": "nowhere.csv does not exist",
    "predict cats.npz --data TABLE": "cats.npz is no model of steel plates",
    "predict MODEL --data not-a-table.csv": "not-a-table.csv, line 1",
    "predict MODEL --data TABLE -o folder": "folder cannot be written: it is a directory",
    "predict MODEL --data TABLE -o nowhere/faults.csv": "nowhere is not a directory",
    "predict MODEL --data TABLE -o empty.csv/faults.csv": "empty.csv is not a directory",
    "predict MODEL --data TABLE -o /dev/full": "/dev/full cannot be written: No space left on device",
    "reproduce --data one-plate.csv": "table has too few rows",
    "reproduce --data bad-cell.csv": "bad-cell.csv, line 5, column 2",
    "reproduce --data TABLE --json folder": "folder cannot be written: it is a directory",
    "data info --data empty.csv": "empty.csv is empty",
    "compare --data nowhere.csv": "nowhere.csv does not exist",
    "compare --data pastry.csv --cv 2": "all plates are of the class Pastry, wanted at least two classes",
    "sweep --data pastry.csv --cv 2": "all plates are of the class Pastry, wanted at least two classes",
    "compare --data TABLE --cv 8": "--cv 8 needs a plate of every class in each fold, got 7 of Dirtiness",
    "compare --data TABLE --plot folder": "folder cannot be written: it is a directory",
    "compare --data TABLE --plot nowhere/plot.png": "nowhere is not a directory",
    "explain nowhere.npz --data TABLE": "nowhere.npz: No such file",
    "explain cats.npz --data TABLE": "cats.npz is no model of steel plates",
    "explain MODEL --data not-a-table.csv": "not-a-table.csv, line 1",
    "explain MODEL --data TABLE --plot folder": "folder cannot be written: it is a directory",
}


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize("line", ERRORS)
def test_an_error_is_one_line_and_leaves_nothing_behind(run, line, table, model_file):
    before = contents(".")
    code, out, err = run(*line.replace("TABLE", table).replace("MODEL", model_file).split())
    assert (code, out) == (1, "")
    assert err.startswith("steelfast: error: ")
    assert ERRORS[line] in err
    assert err.count("\n") == 1
    assert contents(".") == before


def test_a_table_that_the_environment_names_and_that_is_missing(run, monkeypatch):
    monkeypatch.setenv("STEELFAST_DATA", "nowhere.csv")
    for command in (["train"], ["data", "path"], ["data", "info", "--offline"]):
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert err == "steelfast: error: STEELFAST_DATA names nowhere.csv, which does not exist\n"


@pytest.mark.parametrize(
    ("missing", "command", "named"),
    [
        (["sklearn"], "train", "scikit-learn"),
        (["matplotlib", "rich"], "train", "matplotlib and rich"),
        (["rich"], "bench", "rich"),
        (["sklearn"], "predict MODEL --data x.csv", "scikit-learn"),
        (["rich"], "evaluate MODEL", "rich"),
        (["jinja2"], "train", "jinja2"),
        (["matplotlib"], "compare --plot x.png", "matplotlib"),
        (["rich", "sklearn"], "explain MODEL", "rich and scikit-learn"),
        (["shtab"], "completion bash", "shtab"),
    ],
)
def test_what_is_missing_is_named_before_any_work(run, monkeypatch, missing, command, named):
    monkeypatch.setattr(_commands, "find_spec", lambda name: None if name in missing else object())
    code, out, err = run(*command.split())
    assert (code, out) == (1, "")
    assert err == f'steelfast: error: this command needs {named}: pip install "steelfast[cli]"\n'


def test_a_failed_training_leaves_the_old_files(run, succeed, table, monkeypatch):
    succeed("train", "--data", table, "--epochs", 1)
    before = {path.name: path.read_bytes() for path in Path("steelfast-run").iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reporting, "as_html", full)  # the last that is written
    assert run("train", "--data", table, "--epochs", 2)[::2] == (
        1,
        "steelfast: error: No space left on device\n",
    )
    assert {path.name: path.read_bytes() for path in Path("steelfast-run").iterdir()} == before


def test_memory_that_runs_out_is_one_line(run, table, monkeypatch):
    def too_much(*_):
        raise MemoryError

    monkeypatch.setattr(reporting, "as_html", too_much)
    assert run("train", "--data", table, "--epochs", 1) == (1, "", "steelfast: error: not enough memory\n")
    assert contents(".") == set()


# ---------------------------------------------------------------------------------- as a process


def start(*arguments, **settings):
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | settings
    return subprocess.Popen([sys.executable, "-m", "steelfast", *map(str, arguments)], **settings)


def test_python_m():
    process = start("--version")
    assert process.communicate() == (f"steelfast {steelfast.__version__}\n", "")
    assert process.returncode == 0


def test_the_command_is_installed():
    command = shutil.which("steelfast", path=str(Path(sys.executable).parent))
    assert command is not None
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"steelfast {steelfast.__version__}\n"


@pytest.mark.parametrize("line", ["--version", "info", "train"])
def test_a_build_of_the_kernels_that_there_is_not_is_one_line(line):
    program = "import sys; from _steelfast_command import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, line],
        env=os.environ | {"STEELFAST_ISA": "fastest"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"steelfast: error: STEELFAST_ISA must [^\n]*\bbaseline\b[^\n]*; got 'fastest'\n", done.stderr)


def test_a_build_of_the_kernels_that_there_is_not_is_no_package():
    done = subprocess.run(
        [sys.executable, "-c", "import steelfast"],
        env=os.environ | {"STEELFAST_ISA": "fastest"},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].startswith("ImportError: STEELFAST_ISA must ")


@pytest.mark.parametrize(
    "line", ["--version", "--help", "info", "info --json", "data path", "data example", "reproduce --offline"]
)
def test_numpy_alone_is_enough_for(line):
    program = f"""
import sys
for name in ("matplotlib", "pandas", "pooch", "requests", "rich", "scipy", "sklearn"):
    sys.modules[name] = None
from steelfast.cli import main
sys.exit(main({line.split()}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_without_a_terminal_there_are_no_escape_codes_and_no_progress(table):
    out, err = start("train", "--data", table).communicate()
    assert "accuracy" in out
    assert err == ""
    assert "\x1b" not in out


def on_a_terminal(stream, *arguments, **environment):
    """What the command writes to the stream when that is a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **environment}
    process = start(*arguments, env=environment, **{stream: theirs})
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    process.communicate()
    assert process.returncode == 0
    return text.decode()


def test_progress_is_for_terminals_and_goes_to_stderr(table):
    assert "Training" in on_a_terminal("stderr", "train", "--data", table)
    assert "Training" not in on_a_terminal("stdout", "train", "--data", table)


def test_no_color(table, model_file):
    line = ("evaluate", model_file, "--data", table)
    assert "\x1b[" in on_a_terminal("stdout", *line)
    assert "\x1b" not in on_a_terminal("stdout", *line, NO_COLOR="1")


def test_a_terminal_that_lacks_a_sign_is_no_error(table, model_file):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("evaluate", model_file, "--data", table, env=environment)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "accuracy" in out


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [(signal.SIGINT, 130, "steelfast: interrupted\n"), (signal.SIGTERM, 143, "")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_leaves_no_half_written_file(table, sent, code, said):
    def heed_ctrl_c():  # which jobs in the background do not
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = start("train", "--data", table, "--epochs", 10**9, preexec_fn=heed_ctrl_c)
    try:
        deadline = time.monotonic() + 30
        while not list(Path().glob("steelfast-run/.steelfast-*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert (out, err) == ("", said)
    assert contents(".") == set()


def test_the_handler_of_sigterm_is_given_back(succeed):
    before = signal.getsignal(signal.SIGTERM)
    succeed("--version")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_runs_in_any_thread():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cli.main, ["--version"]).result() == 0


def test_ctrl_c_while_it_writes(run, table, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reporting, "as_html", interrupted)
    assert run("train", "--data", table, "--epochs", 1, "--out", "deep/folder") == (130, "", "steelfast: interrupted\n")
    assert contents(".") == set()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_quiet(model_file, tmp_path, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    plates = write_table(tmp_path / "plates.csv", np.arange(10_000) % len(TWIN.data), classes=False)
    process = start("predict", model_file, "--data", plates)
    assert process.stdout.readline().startswith("fault,")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is not there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "w") as full:
        process = start("info", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == "steelfast: error: No space left on device\n"


@pytest.mark.parametrize(
    "line",
    ["info", "info --json", "data example", "predict MODEL --data TABLE", "evaluate MODEL --data TABLE",
     "train -q --data TABLE --epochs 1"],
)  # fmt: skip
def test_a_closed_output_is_as_if_nobody_looked(table, model_file, line):
    arguments = line.replace("TABLE", table).replace("MODEL", model_file).split()
    process = start(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    assert contents(".") == ({"steelfast-run"} if "train" in arguments else set())


def test_an_error_that_nobody_can_see_is_no_output():
    process = start("evaluate", "nowhere.npz", stderr=None, preexec_fn=lambda: os.close(2))
    assert process.communicate()[0] == ""
    assert process.returncode == 1


def test_a_closed_input_has_no_table(model_file):
    process = start("predict", model_file, preexec_fn=lambda: os.close(0))
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "nothing comes through a pipe: name a table with --data" in err


# ---------------------------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("tool", "line", "message"),
    [
        (exhaustive_float32, "--every 0", "--every must be from 1 to 2**32 - 1, got 0"),
        (exhaustive_float32, "--functions exp foo", "--functions must be of exp, log, log1p, tanh, sigmoid"),
        (search_errors, "--seconds 0", "--seconds must be positive and finite, got 0"),
        (search_errors, "--seconds nan", "--seconds must be positive and finite, got nan"),
        (search_errors, "--seed -1", "--seed must not be negative, got -1"),
        (search_errors, "--kernels softmax foo", "--kernels must be of softmax; log_softmax; "),
        (same_bits, "", "the following arguments are required: command"),
        (same_bits, "record", "the following arguments are required: FILE"),
        (same_bits, "compare recorded.npz", "the following arguments are required: ISA"),
        (same_bits, "repeat recorded.npz", "invalid choice: 'repeat'"),
    ],
)
def test_a_tool_refuses_a_wrong_command_line(monkeypatch, capsys, tool, line, message):
    monkeypatch.setattr(sys, "argv", ["tool", *line.split()])
    functions = SimpleNamespace(exp=None, log=None, log1p=None, tanh=None)
    monkeypatch.setattr(exhaustive_float32, "compiled", lambda *_: functions)
    with pytest.raises(SystemExit) as done:
        tool.main()
    assert done.value.code == 2
    assert message in capsys.readouterr().err


def test_what_libraries_say_to_each_other_is_no_notice(capsys):
    """A warning may be for users and of what is deprecated; the second counts."""

    class Both(UserWarning, DeprecationWarning):
        pass

    with cli._warnings_as_notices():
        warnings.warn("spelt otherwise now", Both, stacklevel=1)
        warnings.warn("the plates are synthetic", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "steelfast: notice: the plates are synthetic\n"
