"""The scripts and the notebook in examples/ run as their readers run them, and what they print is looked at."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steelfast import SteelClassifier, load_steel_plates

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "published_experiment.ipynb"
REAL_FILE = os.path.abspath(os.environ["STEELFAST_DATA"]) if os.environ.get("STEELFAST_DATA") else None


@pytest.fixture(scope="module")
def twin():
    return load_steel_plates(source="twin")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Neither table nor cache nor network, in a folder with nothing in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEELFAST_DATA", raising=False)
    monkeypatch.setenv("STEELFAST_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing listens
        monkeypatch.delenv(name.lower(), raising=False)


def output_of(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def numbers(pattern, text):
    found = [float(number) for number in re.findall(pattern, text)]
    assert found, text
    return found


def test_every_example_is_in_the_index():
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((\w[\w./]*)\)", index))
    examples = {path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".ipynb"}} | {"cimport"}
    assert linked == examples


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_script_says_how_to_run_it(path):
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert f"python examples/{path.name}" in docstring


# ---- scripts


@pytest.mark.usefixtures("offline")
def test_train():
    out, err = output_of("-X", "utf8", EXAMPLES / "train.py")
    assert "synthetic twin" in out
    assert "TwinDataWarning" in err
    [accuracy] = numbers(r"accuracy on 389 plates held out: ([\d.]+)", out)
    assert 0.65 < accuracy < 0.8
    assert len(numbers(r"is taken for \w+ with probability ([\d.]+)", out)) == 3


def test_train_is_ten_lines():
    code = (EXAMPLES / "train.py").read_text(encoding="utf-8").split('"""')[2]
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10


@pytest.mark.usefixtures("offline")
def test_pandas_pipeline(twin):
    out, _ = output_of("-X", "utf8", "-W", "error", EXAMPLES / "pandas_pipeline.py")
    plain, bent = numbers(r"columns: accuracy ([\d.]+) ± [\d.]+ over 10 folds", out)
    assert 0.65 < plain < plain + 0.03 < bent < 0.85
    assert "as they are, 26 columns" in out
    decisive = dict(re.findall(r"^ *(\w+): (\w+, \w+, \w+)$", out, re.MULTILINE))
    assert decisive.keys() == set(twin.target_names)
    assert set(", ".join(decisive.values()).split(", ")) <= {*twin.feature_names, "Type_of_Steel_A400"}
    assert re.search(r"in another order: (\w+)$", out)[1] in twin.target_names


@pytest.mark.usefixtures("offline")
def test_custom_loss():
    out, _ = output_of("-X", "utf8", "-W", "error", EXAMPLES / "custom_loss.py")
    assert re.findall(r"^(\w+): gradient", out, re.MULTILINE) == ["cross_entropy", "focal_loss", "cost_sensitive"]
    assert max(numbers(r"gradient within (\S+) of finite", out)) < 1e-8
    first, last = (np.array(numbers(rf"loss.* ([\d.]+) in the {which}", out)) for which in ("first epoch", "last"))
    assert np.all(last < first / 2)
    assert min(numbers(r"held out: accuracy ([\d.]+)", out)) > 0.65
    costs = numbers(r"trained on: .*cost of a plate ([\d.]+)", out)
    assert costs[2] < costs[0] - 0.02


# ---- notebook


def test_the_notebook_is_committed_without_results():
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.usefixtures("offline")
def test_notebook(monkeypatch, tmp_path):
    """On the real table where there is one: a second run would take as long as all other examples."""
    if REAL_FILE:
        monkeypatch.setenv("STEELFAST_DATA", REAL_FILE)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    executed = tmp_path / "executed.ipynb"
    output_of("-m", "jupyter", "execute", NOTEBOOK, "--startup_timeout=300", f"--output={executed}")
    outputs = [
        output
        for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", [])
    ]
    assert {output.get("name", "plot") for output in outputs} == {"stdout", "plot"}  # no warnings
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    text = "".join("".join(output.get("text", "")) for output in outputs)

    equal = numbers(r"(\d+) of 30 figures are those in print", text)
    assert ("are synthetic" in text) == (REAL_FILE is None)
    assert equal == [30, 30, 10, 29] if REAL_FILE else max(equal) < 10
    [[by_hand, by_reproduce]] = re.findall(r"loss of the epoch: ([\d.]+), by `reproduce`: ([\d.]+)", text)
    assert by_hand == by_reproduce
    [[share, capped]] = re.findall(r"this share of 23.03 is ([\d.]+)\n.*with the 1e-10: +([\d.]+)", text)
    assert float(share) == pytest.approx(float(capped), abs=0.05)
    assert 0.68 < numbers(r"ten-fold cross-validation: ([\d.]+)", text)[0] < 0.75


# ---- server


@pytest.fixture(scope="module")
def model(twin):
    """Trained on a frame whose columns are in another order than the table's."""
    names = np.array(twin.target_names)[twin.target]
    frame = pd.DataFrame(twin.data, columns=twin.feature_names)
    return SteelClassifier(max_epochs=5, random_state=0).fit(frame[sorted(frame)], names)


@pytest.fixture(scope="module")
def address(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.npz"
    model.save(path)
    errors = path.with_name("errors.txt")
    command = [sys.executable, "-W", "error", str(EXAMPLES / "serve.py"), str(path), "--port", "0"]
    with errors.open("w") as stderr, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as it:
        try:
            port = re.search(r"http://127\.0\.0\.1:(\d+)/predict", it.stdout.readline())
            assert port, errors.read_text()
            yield "127.0.0.1", int(port[1])
        finally:
            it.terminate()
    assert "Traceback" not in errors.read_text()


@pytest.fixture
def ask(address):
    connection = HTTPConnection(*address, timeout=30)

    def ask(method, path, content=None, **headers):
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(response.read())

    yield ask
    connection.close()


@pytest.fixture
def plate(twin):
    return dict(zip(twin.feature_names, twin.data[0].tolist(), strict=True))


def test_the_server_says_what_it_wants(ask, model):
    assert ask("GET", "/") == (200, {"faults": [*model.classes_], "features": [*model.feature_names_in_]})


def test_the_server_predicts_what_the_model_does(ask, model, twin):
    frame = pd.DataFrame(twin.data, columns=twin.feature_names).iloc[::400]
    expected = model.predict_proba(frame[sorted(frame)])
    for probs, (_, row) in zip(expected, frame.iterrows(), strict=True):  # one connection for all
        status, answer = ask("POST", "/predict", row.to_dict())
        assert status == 200
        assert answer["fault"] == model.classes_[probs.argmax()]
        assert [*answer["probabilities"]] == [*model.classes_]
        np.testing.assert_allclose([*answer["probabilities"].values()], probs, rtol=1e-12)


def test_the_server_answers_many_at_once(address, plate):
    def answer(_):
        connection = HTTPConnection(*address, timeout=30)
        try:
            connection.request("POST", "/predict", json.dumps(plate))
            return connection.getresponse().read()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(answer, range(32)))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X_Maximum": None}, "X_Maximum must be a finite number, got None"),
        ({"X_Maximum": "50"}, "X_Maximum must be a finite number, got '50'"),
        ({"X_Maximum": True}, "X_Maximum must be a finite number, got True"),
        ({"X_Maximum": float("nan")}, "X_Maximum must be a finite number, got nan"),
        ({"X_Maximum": 10**400}, "X_Maximum must be a finite number, got 1000"),
        ({"X_Max": 50}, "the model knows no X_Max"),
    ],
)
def test_a_plate_that_is_refused(ask, plate, change, message):
    status, answer = ask("POST", "/predict", plate | change)
    assert status == 400
    assert answer["error"].startswith(message)
    assert ask("POST", "/predict", plate)[0] == 200  # on the same connection


def test_what_a_plate_lacks_is_named(ask, plate):
    del plate["X_Maximum"], plate["Steel_Plate_Thickness"]
    assert ask("POST", "/predict", plate) == (400, {"error": "the plate lacks Steel_Plate_Thickness, X_Maximum"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/predict", b"{", 400, "the plate must be JSON"),
        ("POST", "/predict", b"", 400, "the plate must be JSON"),
        ("POST", "/predict", b"\xff", 400, "the plate must be JSON"),
        ("POST", "/predict", b"[" * 50_000, 400, "the plate must be JSON"),
        ("POST", "/predict", [1, 2], 400, "the plate must be an object of names and numbers, got list"),
        ("POST", "/predict", b" " * 100_001, 413, "a plate must fit in 100000 bytes, got 100001"),
        ("POST", "/", {}, 404, "nothing to POST to at /"),
        ("GET", "/favicon.ico", None, 404, "nothing at /favicon.ico"),
        ("GET", "/predict", None, 405, "plates are sent with POST"),
        ("DELETE", "/", None, 501, "Unsupported method"),
    ],
)
def test_a_request_that_is_refused(ask, method, path, body, status, message):
    got, answer = ask(method, path, body)
    assert got == status
    assert answer["error"].startswith(message)


def test_a_request_without_a_length_is_refused(address):
    connection = HTTPConnection(*address, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


@pytest.mark.usefixtures("offline")
def test_a_server_without_a_model_says_so():
    done = subprocess.run([sys.executable, str(EXAMPLES / "serve.py"), "no.npz"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No such file or directory: 'no.npz'" in done.stderr
    assert "Traceback" not in done.stderr
