"""Searches for the best settings: the same winner on every engine, and what a plain loop over settings finds."""

import itertools
import json
import math
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, loguniform
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from steelfast import _commands, _sweep_command, cli, sweeps
from steelfast.datasets import CLASS_NAMES, load_steel_plates
from steelfast.estimator import SteelClassifier
from steelfast.sweeps import DEFAULT_SETTINGS, results, sweep, workers

TWIN = load_steel_plates(source="twin")
X, y = TWIN.data[::3], TWIN.target[::3]
BASE = SteelClassifier(max_epochs=5)
SETTINGS = {"learning_rate": [0.001, 0.01, 0.05], "l2": [0.0, 0.01]}
SEED = 4


def scores_of_a_loop(settings, scoring="accuracy", n_folds=5):
    """Mean scores of all combinations, in the order of a grid's, without a search."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=SEED)
    return {
        values: cross_val_score(
            clone(BASE).set_params(random_state=SEED, **dict(zip(settings, values, strict=True))),
            *(X, y),
            cv=folds,
            scoring=scoring,
        ).mean()
        for values in itertools.product(*settings.values())
    }


@pytest.fixture(params=["one thread", "threads", "processes", "dask"])
def engine(request):
    """What `sweep` takes to run on an engine."""
    if request.param == "dask":
        return {"engine": "dask", "address": request.getfixturevalue("dask_cluster").scheduler_address}
    if request.param == "one thread":
        return {"engine": "threads", "n_jobs": 1}
    return {"engine": request.param, "n_jobs": 2}


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss"])
def test_the_winner_is_that_of_a_plain_loop_on_every_engine(engine, scoring):
    found = sweep(X, y, SETTINGS, classifier=BASE, scoring=scoring, seed=SEED, **engine)
    expected = scores_of_a_loop(SETTINGS, scoring)
    tried = results(found)
    assert {tuple(each["settings"][name] for name in SETTINGS): each["score"] for each in tried} == expected
    assert found.best_score_ == max(expected.values())
    assert expected[tuple(found.best_params_[name] for name in SETTINGS)] == found.best_score_
    assert [each["score"] for each in tried] == sorted(expected.values(), reverse=True)

    again = clone(BASE).set_params(random_state=SEED, **found.best_params_).fit(X, y)
    assert found.best_estimator_.coef_.tobytes() == again.coef_.tobytes()


@pytest.mark.parametrize("search", ["random", "halving"])
def test_what_is_drawn_is_the_same_on_every_engine(engine, search):
    settings = {"learning_rate": loguniform(1e-3, 0.1), "batch_size": [16, 128]}
    options = {"classifier": BASE, "search": search, "n_candidates": 4, "n_folds": 3, "seed": SEED}
    found = sweep(X, y, settings, **options, **engine)
    expected = sweep(X, y, settings, **options, engine="threads", n_jobs=1)

    def without_times(search):
        return [{**each, "fit_seconds": None} for each in results(search)]

    assert without_times(found) == without_times(expected)
    assert found.best_params_ == expected.best_params_
    assert len({each["settings"]["learning_rate"] for each in results(found)}) == 4
    assert all(1e-3 < each["settings"]["learning_rate"] < 0.1 for each in results(found))
    other = sweep(X, y, settings, **{**options, "seed": SEED + 1}, engine="threads", n_jobs=1)
    assert other.best_params_ != expected.best_params_


def test_both_workers_of_the_cluster_train(dask_cluster):
    from distributed import Client

    with Client(dask_cluster) as client:
        before = client.get_task_stream()  # from here on it is kept
        sweep(X, y, SETTINGS, classifier=BASE, engine="dask", address=dask_cluster.scheduler_address)
        tasks = client.get_task_stream()[len(before) :]
    assert len({task["worker"] for task in tasks}) == 2


def test_halving_trains_the_better_third_three_times_as_long():
    found = sweep(X, y, {"learning_rate": np.geomspace(1e-4, 0.1, 9)}, classifier=SteelClassifier(max_epochs=27),
                  search="halving", n_candidates=9, n_folds=3)  # fmt: skip
    tried = results(found)
    epochs = [each["settings"]["max_epochs"] for each in tried]
    assert epochs == [27] + 3 * [9] + 9 * [3]
    first_round = sorted(tried[4:], key=lambda each: -each["score"])
    assert {each["settings"]["learning_rate"] for each in tried[1:4]} == {
        each["settings"]["learning_rate"] for each in first_round[:3]
    }
    assert found.best_params_ == tried[0]["settings"]


@pytest.mark.parametrize(
    ("n_candidates", "max_epochs", "rounds"),
    [(20, 100, [11, 33, 99]), (20, 9, [1, 3, 9]), (8, 20, [6, 18]), (2, 20, [20]), (20, 5, [1, 3])],
)
def test_epochs_of_the_rounds_of_halving(n_candidates, max_epochs, rounds):
    found = sweep(X[::4], y[::4], {"learning_rate": loguniform(1e-3, 0.1)}, n_candidates=n_candidates, n_folds=2,
                  classifier=SteelClassifier(max_epochs=max_epochs), search="halving")  # fmt: skip
    assert sorted({each["settings"]["max_epochs"] for each in results(found)}) == rounds
    assert found.best_estimator_.max_epochs == found.best_params_["max_epochs"] == rounds[-1]


def test_a_random_search_tries_no_more_than_there_is():
    for search in "random", "halving":
        found = sweep(X, y, {"l2": [0.0, 0.01]}, classifier=BASE, search=search, n_folds=2)
        assert {each["settings"]["l2"] for each in results(found)} == {0.0, 0.01}


def test_the_default_settings_are_around_the_default_classifier():
    classifier = SteelClassifier().fit(X, y)
    assert classifier.learning_rate_ in DEFAULT_SETTINGS["learning_rate"]
    assert classifier.l2_ in DEFAULT_SETTINGS["l2"]
    assert classifier.batch_size in DEFAULT_SETTINGS["batch_size"]


def test_the_best_few():
    found = sweep(X, y, SETTINGS, classifier=BASE, n_folds=2)
    assert results(found, 2) == results(found)[:2]


def test_the_progress_bar_counts_the_settings(capfd):
    pytest.importorskip("sklearn.callback")  # from scikit-learn 1.9 on
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bar looks for Jupyter
        shown = sweep(X, y, SETTINGS, classifier=BASE, n_folds=2, progress=True)
    assert "100%" in capfd.readouterr().out
    assert results(shown)[0]["score"] == results(sweep(X, y, SETTINGS, classifier=BASE, n_folds=2))[0]["score"]
    assert capfd.readouterr().out == ""


# ---------------------------------------------------------------------------------- what goes wrong


def test_settings_whose_training_fails_come_last():
    with pytest.warns(UserWarning, match="^1 of 2 settings have no score: their training failed$"):
        found = sweep(X, y, {"max_epochs": [3, 0]}, classifier=BASE)
    tried = results(found)
    assert [each["settings"]["max_epochs"] for each in tried] == [3, 0]
    assert math.isnan(tried[1]["score"])


def test_a_search_without_any_score_says_why(engine):
    with pytest.raises(ValueError, match=r"^every training failed; .*max_epochs must be at least 1, got 0$"):
        sweep(X, y, {"max_epochs": [0, 0]}, classifier=BASE, **engine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": {}}, "settings must name at least one parameter to try, got none"),
        ({"settings": {"rate": [1]}}, "settings name 'rate', wanted one of activation, "),
        ({"settings": {"random_state": [1]}}, "settings name 'random_state', which is the seed's"),
        ({"settings": {"l2": []}}, r"settings of l2 must be a sequence of values, got \[\]"),
        ({"settings": {"l2": 0.1}}, "settings of l2 must be a sequence of values, got 0.1"),
        ({"settings": {"loss": "sigmoid_mse"}}, "settings of loss must be a sequence of values, got 'sigmoid_mse'"),
        ({"settings": {"l2": loguniform(1, 2)}}, "settings of l2 are a distribution: a grid needs values"),
        ({"settings": {"max_epochs": [1]}, "search": "halving"}, "settings name 'max_epochs', which halving raises"),
        ({"search": "bayes"}, "search must be one of 'grid', 'random', 'halving', got 'bayes'"),
        ({"search": ["grid"]}, r"search must be one of 'grid', 'random', 'halving', got \['grid'\]"),
        ({"search": np.array(["grid", "grid"])}, "search must be one of 'grid', 'random', 'halving', got array"),
        ({"engine": "ray"}, "engine must be one of 'threads', 'processes', 'dask', got 'ray'"),
        ({"engine": "dask"}, "the engine 'dask' needs an address, and no other takes one"),
        ({"address": "tcp://127.0.0.1:1"}, "the engine 'dask' needs an address, and no other takes one"),
        ({"n_folds": 1}, "n_folds must be at least 2, got 1"),
        ({"n_candidates": 0}, "n_candidates must be at least 1, got 0"),
        ({"n_jobs": 0}, "n_jobs must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, r"seed must be below 2\*\*32, got 4294967296"),
        ({"seed": "x"}, "seed must be an integer, got 'x' of type str"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"settings": [1]}, r"settings must be a mapping of parameters to the values to try, got \[1\] of type list"),
        ({"settings": None}, "settings must be a mapping of parameters to the values to try, got None"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        sweep(X, y, **{"settings": {"l2": [0.0]}, "classifier": BASE, **options})


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_cluster_that_is_not_there(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweeps, "_TIMEOUT", 0.5)
    with pytest.raises(OSError, match=f"^no Dask scheduler answers at {address}: "):
        sweep(X, y, SETTINGS, engine="dask", address=address)


def test_dask_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ModuleNotFoundError, match=r'needs distributed: pip install "steelfast\[scale\]"'),
        workers("dask", address="tcp://127.0.0.1:9"),
    ):
        pass


# ---------------------------------------------------------------------------------- the command


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run `steelfast sweep` on some plates; exit code, stdout, stderr."""
    table = np.hstack([TWIN.data, TWIN.one_hot])[::3]
    header = ",".join(TWIN.feature_names + TWIN.target_names)
    np.savetxt(tmp_path / "plates.csv", table, fmt="%.17g", delimiter=",", header=header, comments="")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(["sweep", "--data", "plates.csv", "--epochs", "5", "--cv", "3", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


RANDOM = ("--search", "random", "--set")
SET = ("--set", "l2=0,0.01", "--set", "learning_rate=0.001,0.01,0.05", "--seed", SEED)


def test_command_finds_what_the_loop_finds(run):
    code, out, err = run(*SET, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    names = np.array(CLASS_NAMES)[y]
    expected = sweep(X, names, {"l2": [0.0, 0.01], "learning_rate": [0.001, 0.01, 0.05]}, classifier=BASE, n_folds=3,
                     seed=SEED)  # fmt: skip
    assert report["best"]["settings"] == expected.best_params_
    assert [each["score"] for each in report["results"]] == [each["score"] for each in results(expected)]
    assert report["engine"] == "threads"


@pytest.mark.parametrize("jobs", [["--engine", "threads", "--jobs", "1"], ["--engine", "processes", "--jobs", "2"]])
def test_command_on_other_engines(run, jobs):
    assert (
        json.loads(run(*SET, "--json", *jobs)[1])["best"]["settings"]
        == json.loads(run(*SET, "--json")[1])["best"]["settings"]
    )


def test_command_on_a_cluster(run, dask_cluster):
    code, out, err = run(*SET, "--json", "--dask", dask_cluster.scheduler_address)
    assert (code, err) == (0, "")
    assert json.loads(out)["engine"] == "dask"
    assert json.loads(out)["best"]["settings"] == json.loads(run(*SET, "--json")[1])["best"]["settings"]


def test_command_prints_a_table_and_writes_the_best_model(run):
    code, out, err = run(*SET, "--top", 2, "-o", "best.npz")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    report = json.loads(run(*SET, "--json")[1])
    best = report["best"]
    rows = [line.split() for line in out.splitlines() if re.fullmatch(r"(\s*[\d.]+){5}\s*", line)]
    shown = [
        [*(f"{value:g}" for value in each["settings"].values()), f"{each['score']:.4f}", f"{each['std']:.4f}"]
        for each in report["results"][:2]
    ]
    assert [row[:4] for row in rows] == shown  # but for the time of a fit
    assert f"Best: l2={best['settings']['l2']:g}, learning_rate={best['settings']['learning_rate']:g}" in out
    model = SteelClassifier.load("best.npz")
    expected = clone(BASE).set_params(random_state=SEED, **best["settings"]).fit(X, np.array(CLASS_NAMES)[y])
    assert model.coef_.tobytes() == expected.coef_.tobytes()


def test_command_turns_the_log_loss_round(run):
    scores = [each["score"] for each in json.loads(run(*SET, "--json", "--score", "log_loss")[1])["results"]]
    assert scores == sorted(scores)
    assert 0 < scores[0] < scores[-1] < 3


def test_command_draws_from_ranges(run):
    search = ("--search", "random", "--set", "learning_rate=0.001:0.1", "--candidates", 3, "--json")
    tried = json.loads(run(*search)[1])["results"]
    rates = [each["settings"]["learning_rate"] for each in tried]
    assert len(set(rates)) == 3
    assert all(0.001 < rate < 0.1 for rate in rates)
    assert [each["settings"] for each in json.loads(run(*search)[1])["results"]] == [each["settings"] for each in tried]


def test_command_draws_whole_numbers_where_a_parameter_wants_them(run):
    code, out, err = run(*RANDOM, "batch_size=10:100", "--set", "l2=0.001:1", "--candidates", 5, "--json")
    assert (code, err) == (0, "")
    tried = [each["settings"] for each in json.loads(out)["results"]]
    assert all(isinstance(each["batch_size"], int) and 10 <= each["batch_size"] <= 100 for each in tried)
    assert len({each["batch_size"] for each in tried}) > 1
    assert all(isinstance(each["l2"], float) for each in tried)


def test_numbers_of_a_range():
    rng = np.random.RandomState(0)
    _, whole = _sweep_command.setting("batch_size=2:5")
    drawn = [whole.rvs(rng) for _ in range(2000)]
    expected = 2000 * np.log([3 / 2, 4 / 3, 5 / 4, 6 / 5]) / np.log(6 / 2)
    assert chisquare(np.bincount(drawn)[2:], expected).pvalue > 1e-3
    _, real = _sweep_command.setting("l2=2:5")
    drawn = [real.rvs(rng) for _ in range(2000)]
    assert kstest(drawn, loguniform(2, 5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", SteelClassifier().get_params())
def test_a_range_is_of_what_takes_numbers(run, monkeypatch, name):
    def takes(value):
        try:
            SteelClassifier().set_params(**{name: value})._settings()
        except (TypeError, ValueError):
            return False
        return name not in ("class_weight", "random_state", "verbose")  # which are looked at later

    assert (name in _sweep_command._REAL) == takes(0.25)
    assert (name in _sweep_command._WHOLE) == (takes(2) and not takes(0.25) and name != "hidden_layer_sizes")
    if name not in (*_sweep_command._REAL, *_sweep_command._WHOLE):
        monkeypatch.setattr(_commands, "_load", None)
        code, out, err = run(*RANDOM, f"{name}=64:128")
        assert (code, out) == (2, "")
        assert f"{name} must be given as {name}=A,B,..., got a range" in err or f"got '{name}', which" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l2=0,1e-3,.5", ("l2", [0, 0.001, 0.5])),
        ("loss=sigmoid_mse,softmax_cross_entropy", ("loss", ["sigmoid_mse", "softmax_cross_entropy"])),
        ("standardize=true,False", ("standardize", [True, False])),
        ("learning_rate=None,0.1", ("learning_rate", [None, 0.1])),
        ("hidden_layer_sizes=0,64,32x16", ("hidden_layer_sizes", [(), (64,), (32, 16)])),
    ],
)
def test_values_of_set(text, expected):
    name, values = _sweep_command.setting(text)
    assert (name, values) == expected
    assert list(map(type, values)) == list(map(type, expected[1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "l2"], "must be NAME=A,B,... or NAME=LOW:HIGH, got 'l2'"),
        (["--set", "l2="], "must be NAME=A,B,... or NAME=LOW:HIGH, got 'l2='"),
        (["--set", "l2=1:0.1"], "must be NAME=LOW:HIGH with 0 < LOW < HIGH, got 'l2=1:0.1'"),
        (["--set", "l2=0:1:2"], "must be NAME=LOW:HIGH with 0 < LOW < HIGH, got 'l2=0:1:2'"),
        (["--set", "learn_rate=1"], "(choose from activation, "),
        (["--set", "learn_rate=1"], "did you mean learning_rate?"),
        (["--set", "l2=0,a"], "argument --set: l2 must be a number, got 'a'"),
        (["--set", "max_epochs=5,-1"], "argument --set: max_epochs must be at"),
        (["--set", "l2=0.1:1"], "a range, as of l2, needs --search random or halving"),
        (["--set", "l2=0,0.1", "--set", "l2=0.2"], "argument --set: must name each parameter once, got 'l2' again"),
        ([*RANDOM, "l2=0.1:1", "--set", "l2=0"], "argument --set: must name each parameter once, got 'l2' again"),
        ([*RANDOM, "batch_size=1.5:9"], "with whole numbers 0 < LOW < HIGH, got 'batch_size=1.5:9'"),
        ([*RANDOM, "dropout=0.5:2"], "argument --set: dropout must be at least 0 and below 1, got 2.0"),
        ([*RANDOM, "learn_rate=1:2"], "did you mean learning_rate?"),
        (["--set", "max_epochs=2,3", "--search", "halving"], "got 'max_epochs', which is raised by halving"),
        (["--set", "random_state=1"], "must name what can be tried, got 'random_state', which is the number of --seed"),
        ([*RANDOM, "random_state=1:9"], "got 'random_state', which is the number of --seed"),
        (["--set", "verbose=true"], "must name what can be tried, got 'verbose', which changes no score"),
        (["--set", "hidden_layer_sizes=8y4"], "hidden_layer_sizes must be such as 64x32, or 0 for none, got '8y4'"),
        (["--dask", "tcp://127.0.0.1:9", "--jobs", "2"], "argument --dask: not allowed with --engine or --jobs"),
        (["--engine", "dask"], "argument --engine: invalid choice"),
    ],
)
def test_a_wrong_command_line(run, monkeypatch, arguments, message):
    monkeypatch.setattr(_commands, "_load", None)  # before there is any table
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cv", 1000], "--cv 1000 needs a plate of every class in each fold"),
        (["-o", "no/such/folder/best.npz"], "no/such/folder"),
    ],
)
def test_an_error_is_one_line(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("best.npz").exists()
