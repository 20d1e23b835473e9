"""The pages of the documents: their code runs, what is measured stands in them as measured, translations keep up."""

import doctest
import importlib.util
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_layers import LAYER_OF

import steelfast
from steelfast import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMANDS_OF_THE_START = ["train", "data", "predict", "evaluate", "explain", "compare", "sweep", "train"]
PAGES = sorted(DOCS.glob("*.md"))  # translations have the same code, see below
TRANSLATIONS = [("README.md", "README.ko.md"), ("docs/tutorial.md", "docs/ko/tutorial.md")]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def code_of(text):
    """The language and the text of each fenced block of code, in their order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names, report = {"__name__": page.stem}, []
    runner = doctest.DocTestRunner()
    for language, code in code_of(read(page)):
        if language == "python":
            exec(code, names)
        elif language == "pycon":
            example = doctest.DocTestParser().get_doctest(code, names, page.name, None, None)
            assert example.examples
            runner.run(example, out=report.append, clear_globs=False)
            names = example.globs
    assert not runner.summarize(verbose=False).failed, "".join(report)


def test_commands_of_the_start_run(monkeypatch, tmp_path, capsys):
    twin = steelfast.load_steel_plates(source="twin")
    table = np.hstack([twin.data, twin.one_hot])
    header = ",".join(twin.feature_names + twin.target_names)
    np.savetxt(tmp_path / "faults.csv", table, delimiter=",", header=header, comments="")
    monkeypatch.setenv("STEELFAST_DATA", str(tmp_path / "faults.csv"))
    monkeypatch.chdir(tmp_path)
    text = read(DOCS / "start.md")
    commands = re.findall(r"^steelfast (.+)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == COMMANDS_OF_THE_START
    for command in commands:
        command, _, file = command.partition(" > ")
        assert cli.main(command.split()) == 0
        out = capsys.readouterr().out
        assert out
        if file:
            Path(file).write_text(out, encoding="utf-8")
    for written in (tmp_path / "steelfast-run").iterdir():
        assert f"`{written.name}`" in text


@pytest.mark.skipif(not os.environ.get("STEELFAST_DATA"), reason="STEELFAST_DATA does not name the real faults.csv")
@pytest.mark.parametrize("hidden", [[], ["--hidden", "64"]], ids=["linear", "hidden"])
def test_accuracies_of_the_readme_are_those_of_the_plates(hidden, tmp_path, capsys):
    assert cli.main(["train", *hidden, "--cv", "10", "--out", str(tmp_path), "--quiet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    folds = 100 * np.array(report["cross_validation"]["accuracy"])
    for readme in TRANSLATIONS[0]:
        shown = [float(number) for number in re.findall(r"([\d.]+) ± [\d.]+ %", read(readme))]
        assert shown[bool(hidden)] == pytest.approx(folds.mean(), abs=0.3)  # other processors round otherwise


@pytest.mark.parametrize(("original", "translation"), TRANSLATIONS)
def test_a_translation_has_the_same_code_headings_and_tables(original, translation):
    original, translation = read(original), read(translation)
    assert code_of(translation) == code_of(original)
    for beginning in ("#", "|", "![", "$$"):
        kept = [len(re.findall(rf"^{re.escape(beginning)}", text, re.MULTILINE)) for text in (original, translation)]
        assert kept[0] == kept[1], f"lines that begin with {beginning}"


@pytest.mark.parametrize(("original", "translation"), TRANSLATIONS)
def test_original_and_translation_link_to_each_other(original, translation):
    for page, other in ((original, translation), (translation, original)):
        link = os.path.relpath(ROOT / other, (ROOT / page).parent)
        assert f"]({link})" in read(page)


def tool_of(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_tables_of_the_tutorial_are_what_was_measured():
    tool = tool_of("tutorial_costs")
    report = json.loads(tool.FIGURES.read_text(encoding="utf-8"))
    for page in tool.TEXTS:
        text = read(DOCS / page)
        assert tool.table(report, page) in text
        assert tool.with_table(text, report, page) == text


def test_the_tables_of_the_errors_are_what_was_measured():
    tool = tool_of("accuracy_page")
    report, text = json.loads(tool.FIGURES.read_text(encoding="utf-8")), read(tool.PAGE)
    assert tool.page(report, text) == text
    report["kernels"][0]["float32"]["normal"] = 7
    assert "| `softmax` | 7.00 |" in tool.page(report, text)


@pytest.mark.parametrize("name", ["benchmarks", "benchmarks_avx2"])
def test_the_page_of_the_benchmarks_is_what_was_measured(name):
    tool = tool_of("benchmarks_page")
    assert tool.page(json.loads(read(f"docs/{name}.json")), name) == read(f"docs/{name}.md")


def test_the_page_of_the_trainings_is_what_was_measured():
    tool = tool_of("training_page")
    report = json.loads(tool.FIGURES.read_text(encoding="utf-8"))
    assert tool.page(report) == read(tool.PAGE)
    for each in report["ten_epochs"]:  # the README says a fiftieth
        assert each["milliseconds"]["NumPy"] > 50 * each["milliseconds"]["float32"]


def test_inside_shows_every_module_in_its_layer():
    rows = re.findall(r"^\| (`.*?) \|", read("docs/inside.md"), re.MULTILINE)
    layers = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    shown = set().union(*layers)
    assert shown == LAYER_OF.keys() - {"__init__", "__main__"}
    for layer, above in pairwise(layers[::-1]):  # from the bottom
        assert max(LAYER_OF[module] for module in layer) <= min(LAYER_OF[module] for module in above)
