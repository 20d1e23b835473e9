"""Measure what the functions of the tutorial cost, and write the table of it into the tutorial's pages.

    python tools/tutorial_costs.py            measure, write docs/tutorial_costs.json and the tables
    python tools/tutorial_costs.py --tables   write the tables from the file that is there

What is timed is the code of docs/tutorial.md itself, in time of the processor. The forms of a function take turns, and
a time is a median, so that what slows the machine down for a while slows all of them.
"""

import argparse
import json
import re
import statistics
import timeit
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np

import steelfast
from steelfast import textbook
from steelfast._configuration import configuration
from steelfast.bench import one_core
from steelfast.reporting import three_digits

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "tutorial_costs.json"
FORMS = ("loop", "hand", "textbook", "kernel")
N_ROWS = (10, 1553)  # a minibatch of the book, and its plates for training
N_ROUNDS = 50
SECONDS_PER_ROUND = 0.005

TEXTS = {
    "tutorial.md": {
        "header": ("Function", "Rows", "Loops", "NumPy", "`textbook`", "Kernel", "Ratio"),
        "epoch": "`steel_exec`, an epoch",
        "about": "Microseconds of processor time for a call on rows of seven float64 numbers, and for an epoch of "
        "`steel_exec`; the ratio is that of NumPy and kernel. Medians on one core of an {processor}, kernels built for "
        "{instruction_set} with {compiler}, NumPy {numpy}, Python {python}, {date}: `python tools/tutorial_costs.py`.",
    },
    "ko/tutorial.md": {
        "header": ("함수", "행 수", "반복문", "NumPy", "`textbook`", "커널", "비율"),
        "epoch": "`steel_exec`, 1에포크",
        "about": "숫자 일곱 개로 된 행(float64)을 한 번 계산하는 프로세서 시간과 `steel_exec` 1에포크의 "
        "프로세서 시간이며, 단위는 마이크로초입니다. 비율은 NumPy 시간을 커널 시간으로 나눈 값입니다. "
        "{processor} 코어 하나에서 잰 중앙값이고, 커널은 {compiler}로 {instruction_set}용으로 빌드했습니다. "
        "NumPy {numpy}, Python {python}, {date}: `python tools/tutorial_costs.py`.",
    },
}


def python_of(page):
    """All that the page defines."""
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, names)
    return names


def calls(names, n_rows):
    """For each function of the book its forms, as calls without arguments."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n_rows, 7))
    labels = rng.integers(7, size=n_rows)
    one_hot = np.eye(7)[labels]
    sigmoids, probs = steelfast.sigmoid(logits), steelfast.softmax(logits)
    none = {"reduction": "none"}
    return {
        "relu": {"hand": partial(names["hand_relu"], logits), "textbook": partial(textbook.relu, logits)},
        "sigmoid": {
            "hand": partial(names["hand_sigmoid"], logits),
            "textbook": partial(textbook.sigmoid, logits),
            "kernel": partial(steelfast.sigmoid, logits),
        },
        "sigmoid_derv": {
            "hand": partial(names["hand_sigmoid_derv"], sigmoids),
            "textbook": partial(textbook.sigmoid_derv, logits, sigmoids),
        },
        "sigmoid_cross_entropy_with_logits": {
            "hand": partial(names["hand_sigmoid_cross_entropy"], one_hot, logits),
            "textbook": partial(textbook.sigmoid_cross_entropy_with_logits, one_hot, logits),
            "kernel": partial(steelfast.sigmoid_cross_entropy, logits, one_hot, **none),
        },
        "sigmoid_cross_entropy_with_logits_derv": {
            "hand": partial(names["hand_sigmoid_cross_entropy_derv"], one_hot, logits),
            "textbook": partial(textbook.sigmoid_cross_entropy_with_logits_derv, one_hot, logits),
            "kernel": partial(steelfast.sigmoid_cross_entropy_grad, logits, one_hot, **none),
        },
        "softmax": {
            "loop": partial(names["loop_softmax"], logits),
            "hand": partial(names["hand_softmax"], logits),
            "textbook": partial(textbook.softmax, logits),
            "kernel": partial(steelfast.softmax, logits),
        },
        "softmax_derv": {
            "loop": partial(names["loop_jacobian"], probs),
            "hand": partial(names["hand_jacobian"], probs),
            "textbook": partial(textbook.softmax_derv, logits, probs),
            "kernel": partial(steelfast.softmax_jacobian, probs),
        },
        "softmax_cross_entropy_with_logits": {
            "loop": partial(names["loop_cross_entropy"], one_hot, logits),
            "hand": partial(names["hand_cross_entropy"], one_hot, logits),
            "textbook": partial(textbook.softmax_cross_entropy_with_logits, one_hot, logits),
            "kernel": partial(steelfast.softmax_cross_entropy, logits, labels, **none),
        },
        "softmax_cross_entropy_with_logits_derv": {
            "hand": partial(names["hand_cross_entropy_derv"], one_hot, logits),
            "textbook": partial(textbook.softmax_cross_entropy_with_logits_derv, one_hot, logits),
            "kernel": partial(steelfast.softmax_cross_entropy_grad, logits, labels, **none),
        },
        "eval_accuracy": {
            "hand": partial(names["hand_accuracy"], logits, one_hot),
            "textbook": partial(textbook.eval_accuracy, logits, one_hot),
        },
    }


def training(names):
    """An epoch of the book's experiment; no line is printed before the last one."""
    plates = steelfast.load_steel_plates(source="twin")
    x, y = plates.data.astype(np.float32).astype(float), plates.one_hot
    labels = plates.target
    run = partial(steelfast.experiments.run, plates, steelfast.experiments.PUBLISHED_RUNS[0], epoch_count=1)
    return {
        "hand": partial(names["hand_exec"], x, y, epoch_count=1),
        "textbook": lambda: run(stream=np.random.RandomState(steelfast.experiments.SEED)),
        "kernel": partial(names["kernel_exec"], x, labels, epoch_count=1),
    }


def medians(forms):
    """The median time of each form, in microseconds; they take turns."""
    timers = {form: timeit.Timer(call, timer=process_time) for form, call in forms.items()}
    numbers = {form: max(1, int(SECONDS_PER_ROUND / min(timer.repeat(3, 1)))) for form, timer in timers.items()}
    times = {form: [] for form in forms}
    for _ in range(N_ROUNDS):
        for form, timer in timers.items():
            times[form].append(timer.timeit(numbers[form]) / numbers[form])
    return {form: 1e6 * statistics.median(each) for form, each in times.items()}


def measure():
    names = python_of((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    with one_core():
        measurements = [
            {"function": function, "rows": n_rows, "microseconds": medians(forms)}
            for n_rows in N_ROWS
            for function, forms in calls(names, n_rows).items()
        ]
        measurements.append({"function": "steel_exec", "rows": None, "microseconds": medians(training(names))})
    about = configuration()
    keys = ("processor", "instruction_set", "compiler", "numpy", "python")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        **{key: about[key] for key in keys},
        "measurements": measurements,
    }


def table(report, page):
    """The table in the language of the page, with what was measured on above it."""
    texts = TEXTS[page]
    lines = [texts["header"], ["---", *["---:"] * (len(texts["header"]) - 1)]]
    for each in report["measurements"]:
        times = each["microseconds"]
        shown = [three_digits(times[form]) if form in times else "–" for form in FORMS]
        ratio = three_digits(times["hand"] / times["kernel"]) if "kernel" in times else "–"
        name = texts["epoch"] if each["rows"] is None else f"`{each['function']}`"
        lines.append([name, "–" if each["rows"] is None else f"{each['rows']:,}", *shown, ratio])
    return texts["about"].format(**report) + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_table(text, report, page):
    """The page with the table in its place."""
    return re.sub(r"(?<=<!-- costs -->\n).*(?=<!-- /costs -->)", table(report, page) + "\n", text, flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    if not parser.parse_args().tables:
        FIGURES.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    report = json.loads(FIGURES.read_text(encoding="utf-8"))
    for page in TEXTS:
        path = DOCS / page
        path.write_text(with_table(path.read_text(encoding="utf-8"), report, page), encoding="utf-8")


if __name__ == "__main__":
    main()
