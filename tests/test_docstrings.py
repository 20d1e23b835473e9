"""The examples in docstrings and README run, on the installed package; compiled modules count too."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import steelfast

# _isa holds builds for other processors, and __main__ is not for import
MODULES = [
    importlib.import_module(f"steelfast.{module.name}")
    for module in pkgutil.iter_modules(steelfast.__path__)
    if module.name not in {"_isa", "__main__"}
]


def documented():
    """Name, docstring and module of all that has an example, each docstring once."""
    found = {}
    for module in MODULES:
        owners = {module.__name__: module}
        for name, member in vars(module).items():
            # compiled functions come from the build for this processor, which is part of the package too
            if callable(member) and str(getattr(member, "__module__", "")).startswith("steelfast"):
                owners[f"{module.__name__}.{name}"] = member
                if inspect.isclass(member):
                    owners |= {f"{module.__name__}.{name}.{key}": each for key, each in vars(member).items()}
        for name, owner in owners.items():
            text = inspect.getdoc(getattr(owner, "__func__", owner))  # of a class method, its function
            if text and ">>>" in text:
                found.setdefault(text, (name, module))
    return [(name, text, module) for text, (name, module) in found.items()]


@pytest.mark.parametrize(("name", "text", "module"), [pytest.param(*each, id=each[0]) for each in documented()])
def test_example(name, text, module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEELFAST_CACHE", str(tmp_path))
    monkeypatch.delenv("STEELFAST_DATA", raising=False)
    names = {**vars(module), "np": np, "steelfast": steelfast}
    example = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    report = []
    results = doctest.DocTestRunner().run(example, out=report.append)
    assert results.attempted
    assert not results.failed, "".join(report)


@pytest.mark.parametrize("name", [name for name in steelfast.__all__ if callable(getattr(steelfast, name))])
def test_what_is_public_has_an_example(name):
    assert ">>>" in getattr(steelfast, name).__doc__


def test_examples_of_compiled_functions_are_found():
    found = {text for _, text, _ in documented()}
    assert inspect.getdoc(steelfast.softmax) in found


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python_of(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_python_of_the_readme_runs(monkeypatch, tmp_path, capsys):
    twin = steelfast.load_steel_plates(source="twin")
    table = np.hstack([twin.data, twin.one_hot])
    header = ",".join(twin.feature_names + twin.target_names)
    np.savetxt(tmp_path / "plates.csv", table, delimiter=",", header=header, comments="")
    monkeypatch.setenv("STEELFAST_DATA", str(tmp_path / "plates.csv"))
    monkeypatch.chdir(tmp_path)
    blocks = python_of(README)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
    assert 0.6 < float(capsys.readouterr().out.splitlines()[0]) < 0.8
    assert (tmp_path / "model.npz").exists()


def test_names_in_the_readme_are_public():
    table = README.partition("## What is in it")[2].partition("## ")[0]
    names = re.findall(r"`(\w+)`", table)
    assert names
    for name in names:
        assert name in steelfast.__all__ or importlib.util.find_spec(f"steelfast.{name}")
