"""Measure trainings beside those of other libraries, and write docs/training.md of it; no figure is typed by hand.

    OPENBLAS_NUM_THREADS=1 python tools/training_page.py          measure, write docs/training.json and the page
    python tools/training_page.py --page                          write the page from the file that is there

Who takes part, and that all arrive at the same weights, stands in benchmarks/. They take turns on one core, in time of
the processor.
"""

import argparse
import json
import statistics
import sys
import timeit
import warnings
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np

from steelfast import SteelClassifier
from steelfast._configuration import configuration
from steelfast.bench import one_core
from steelfast.network import Network
from steelfast.reporting import three_digits

ROOT = Path(__file__).parents[1]
FIGURES, PAGE = ROOT / "docs" / "training.json", ROOT / "docs" / "training.md"
N_ROUNDS = 15
SECONDS_PER_ROUND = 0.02
HIDDEN = ((16,), (64,), (64, 32), (256,), (256, 256), (1024,))
BATCH_SIZE = 128
PREDICTIONS = ("predict", "predict_proba")


def medians(calls):
    """The median time of each call, in milliseconds; they take turns."""
    timers = {name: timeit.Timer(call, timer=process_time) for name, call in calls.items()}
    numbers = {name: max(1, int(SECONDS_PER_ROUND / timer.repeat(3, 1)[-1])) for name, timer in timers.items()}
    times = {name: [] for name in calls}
    for _ in range(N_ROUNDS):
        for name, timer in timers.items():
            times[name].append(timer.timeit(numbers[name]) / numbers[name])
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}


def ten_epochs():
    """The published experiment, of minibatches of ten rows."""
    import test_bench_training as bench

    plates = bench.training_plates()
    for loss in bench.LOSSES:
        calls = {name: build(*plates, loss) for name, build in bench.CONTENDERS.items()}
        yield {"loss": loss, "milliseconds": medians(calls)}


def hidden_layers():
    """An epoch through hidden layers."""
    import test_bench_network as bench

    X, labels, order = bench.training_plates()
    for dtype in ("float32", "float64"):
        for hidden in HIDDEN:
            calls = {}
            for name, build in bench.CONTENDERS.items():
                network = Network(X.shape[1], hidden, 7, rng=np.random.default_rng(1), dtype=dtype)
                calls[name] = build(network, X.astype(dtype), labels, order, BATCH_SIZE)
            yield {"hidden": hidden, "dtype": dtype, "milliseconds": medians(calls)}


def predictions():
    """Of one plate, and of a million."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((1_000_000, 27)), rng.integers(7, size=1000)
    for hidden in ((), (64,)):
        model = SteelClassifier(hidden_layer_sizes=hidden, max_epochs=1, random_state=0).fit(X[:1000], labels)
        cases = {
            "one plate": (X[:1], {}),
            "one plate, `check_input=False`": (X[:1], {"check_input": False}),
            "a million plates": (X, {}),
        }
        times = medians(
            {
                (of, method): partial(getattr(model, method), rows, **settings)
                for of, (rows, settings) in cases.items()
                for method in PREDICTIONS
            }
        )
        for of in cases:
            yield {"hidden": hidden, "of": of, "milliseconds": {name: times[of, name] for name in PREDICTIONS}}


def measure():
    sys.path.append(str(ROOT / "benchmarks"))
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    about = configuration()
    keys = ("processor", "instruction_set", "compiler", "numpy", "python")
    with one_core():
        return {
            "date": datetime.now(UTC).date().isoformat(),
            **{key: about[key] for key in keys},
            "others": {name: module_version(name) for name in ("torch", "sklearn")},
            "ten_epochs": list(ten_epochs()),
            "hidden_layers": list(hidden_layers()),
            "predictions": list(predictions()),
        }


def module_version(name):
    return __import__(name).__version__


def page(report):
    """The page as Markdown."""
    about = (
        "Milliseconds of processor time, medians on one core of an {processor}, kernels built for {instruction_set} "
        "with {compiler}, NumPy {numpy}, Python {python}, PyTorch {others[torch]}, scikit-learn {others[sklearn]}, "
        "{date}. All took turns, so that ratios mean more than milliseconds where other work slows the machine down."
    ).format(**report)
    return (
        "\n\n".join(
            [
                "# Speed of training",
                "Made by `tools/training_page.py` from [training.json](training.json); do not edit.",
                about,
                "## Ten epochs of the published experiment",
                "1550 plates, 27 features, 7 classes, minibatches of ten, plain gradient descent: all is overhead. "
                "The book's NumPy, PyTorch with slices for a data loader, scikit-learn's `SGDClassifier`, and "
                "`SteelClassifier.fit`, all of it.",
                _ten_epochs(report["ten_epochs"]),
                "## An epoch through hidden layers",
                f"1553 plates in minibatches of {BATCH_SIZE}, ReLU, Adam. scikit-learn is its `MLPClassifier`; the "
                "ratio is that of the faster of the two others and steelfast.",
                _hidden_layers(report["hidden_layers"]),
                "## Predictions",
                "`SteelClassifier`, float64.",
                _predictions(report["predictions"]),
                "[How an epoch is fused](inside.md#how-an-epoch-is-fused).",
            ]
        )
        + "\n"
    )


def _ten_epochs(measurements):
    ours = ("float32", "float64")
    names = ("NumPy", "PyTorch", "scikit-learn", *ours)
    rows = [["Loss", *names[:3], "steelfast, float32", "float64", *(f"NumPy : {name}" for name in ours)]]
    for each in measurements:
        times = each["milliseconds"]
        ratios = (three_digits(times["NumPy"] / times[name]) for name in ours)
        rows.append([f"`{each['loss']}`", *(three_digits(times[name]) for name in names), *ratios])
    return _table(rows)


def _hidden_layers(measurements):
    rows = [["Hidden units", "dtype", "PyTorch", "scikit-learn", "steelfast", "Ratio"]]
    for each in measurements:
        times = each["milliseconds"]
        names = ("PyTorch", "scikit-learn", "steelfast")
        ratio = three_digits(min(times["PyTorch"], times["scikit-learn"]) / times["steelfast"])
        rows.append(
            [", ".join(map(str, each["hidden"])), each["dtype"], *(three_digits(times[n]) for n in names), ratio]
        )
    return _table(rows)


def _predictions(measurements):
    rows = [["Hidden units", "Of", *(f"`{method}`" for method in PREDICTIONS)]]
    for each in measurements:
        times = (_duration(each["milliseconds"][name]) for name in PREDICTIONS)
        rows.append([", ".join(map(str, each["hidden"])) or "none", each["of"], *times])
    return _table(rows)


def _duration(milliseconds):
    return f"{three_digits(milliseconds)} ms" if milliseconds >= 1 else f"{three_digits(1e3 * milliseconds)} µs"


def _table(rows):
    header, *rows = rows
    line = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, line, *rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="measure nothing")
    if not parser.parse_args().page:
        FIGURES.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(FIGURES.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
