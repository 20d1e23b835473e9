"""What the commands of the command line do, each from its parsed options."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import sys
import textwrap
import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelfast import _contenders, datasets, experiments, reporting
from steelfast import bench as benchmark
from steelfast._configuration import configuration, show_config
from steelfast._files import check_writable, new_directory, write_bytes, write_text, written_whole
from steelfast.datasets import CLASS_NAMES, FEATURE_NAMES, SteelPlates, load_steel_plates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from steelfast.estimator import SteelClassifier

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.intp]
Step = Callable[..., None]  # see `_terminal.progress`

# a model names its classes, or has their indices when it was trained so
_INDEX_OF_CLASS: dict[Any, int] = {name: k for k, name in enumerate(CLASS_NAMES)} | {
    k: k for k in range(len(CLASS_NAMES))
}


# ---------------------------------------------------------------------------------- train


def train(options: Namespace) -> None:
    """Train on some plates, test on the others, write what came of it."""
    _require("jinja2", "matplotlib", "rich", "sklearn")
    from steelfast._terminal import progress
    from steelfast.estimator import SteelClassifier

    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out {out} is a file, wanted a directory")
    plates = _load(options)
    training, test = _split(plates, options)
    if options.cv:
        _check_folds(plates, options.cv)
    model = SteelClassifier(
        options.loss, options.optimizer, learning_rate=options.learning_rate, **_training_settings(options)
    )
    with new_directory(out), written_whole(out) as folder:
        with progress("Training", options.epochs * (1 + (options.cv or 0)), quiet=options.quiet) as step:
            started = time.perf_counter()
            # rows that say when to stop are no test
            _fit(model, plates, training, step, held_out=None if options.early_stopping else test)
            seconds = time.perf_counter() - started
            folds = _cross_validate(model, plates, options, step) if options.cv else None
        log_probs = _log_probabilities(model, plates.data[test])
        report: dict[str, Any] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": _command(plates, options),
            "data": reporting.describe(plates),
            "settings": {**model.get_params(), "learning_rate": model.learning_rate_, "l2": model.l2_},
            "split": {
                "test_size": options.test_size,
                "seed": options.seed,
                "n_train": len(training),
                "n_test": len(test),
            },
            "training": {"seconds": seconds, "history": model.history_},
            "test": reporting.evaluate(plates.target[test], log_probs),
            "mistakes": reporting.mistakes(plates.target[test], log_probs, test + 1),
            "cross_validation": folds,
            "configuration": configuration(),
        }
        model.save(folder / "model.npz")
        pictures = reporting.figures(report, plates.target[test], log_probs)
        for name, figure in pictures.items():
            figure.savefig(folder / f"{name}.png", dpi=150)
        write_text(folder / "report.json", reporting.as_json(report))
        write_text(folder / "report.md", reporting.as_markdown(report))
        write_text(folder / "report.html", reporting.as_html(report, pictures))
        names = sorted(path.name for path in folder.iterdir())

    if options.json:
        _write("-", reporting.as_json(report))
    if options.json or options.quiet:
        return
    print(f"Data: {_origin(plates)}.")
    print(
        f"Trained on {len(training)}, tested on {len(test)} others (seed {options.seed}); "
        f"{model.n_iter_} epochs in {seconds:.2f} s."
    )
    _print_result(report["test"])
    if folds:
        print(f"{reporting.in_folds(folds)}\n")
    print(f"Written to {out}{os.sep} (report.html is to be looked at):\n{textwrap.fill(', '.join(names), 80)}")


def _training_settings(options: Namespace) -> dict[str, Any]:
    """What `train` and `compare` have in common of a classifier's parameters."""
    return {
        "schedule": options.schedule,
        "batch_size": options.batch_size,
        "max_epochs": options.epochs,
        "hidden_layer_sizes": options.hidden,
        "early_stopping": options.early_stopping,
        "random_state": options.seed,
    }


def _split(plates: SteelPlates, options: Namespace) -> tuple[IntArray, IntArray]:
    """The rows to train on and those to test on, each class in the same proportion."""
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    _check_classes(plates)
    try:
        training, test = train_test_split(
            np.arange(len(plates.target)),
            test_size=options.test_size,
            random_state=options.seed,
            stratify=plates.target,
        )
    except ValueError as error:
        raise ValueError(f"the plates cannot be split into training and test: {error}") from error
    if unknown := np.setdiff1d(plates.target[test], plates.target[training]).tolist():
        names = ", ".join(CLASS_NAMES[k] for k in unknown)
        raise ValueError(f"--test-size {options.test_size:g} leaves no plate of {names} to train on")
    return training, test


def _check_classes(plates: SteelPlates) -> None:
    if len(np.unique(plates.target)) < 2:
        raise ValueError(f"all plates are of the class {CLASS_NAMES[plates.target[0]]}, wanted at least two classes")


def _check_folds(plates: SteelPlates, n_folds: int) -> None:
    _check_classes(plates)
    counts = np.bincount(plates.target)
    rarest = int(np.where(counts, counts, len(plates.target)).argmin())
    if n_folds > counts[rarest]:
        raise ValueError(
            f"--cv {n_folds} needs a plate of every class in each fold, got {counts[rarest]} of {CLASS_NAMES[rarest]}"
        )


def _fit(
    model: SteelClassifier,
    plates: SteelPlates,
    rows: IntArray,
    step: Step,
    held_out: IntArray | None = None,
) -> SteelClassifier:
    names = np.array(plates.target_names)[plates.target]
    model.fit(
        plates.data[rows],
        names[rows],
        validation_data=None if held_out is None else (plates.data[held_out], names[held_out]),
        callback=lambda epoch: step(loss=epoch["loss"], accuracy=epoch["accuracy"]),
    )
    step(model.max_epochs - model.n_iter_)  # what early stopping spared
    return model


def _cross_validate(model: SteelClassifier, plates: SteelPlates, options: Namespace, step: Step) -> dict[str, Any]:
    """Accuracy and log-loss of each fold, from a model trained on the other folds."""
    from sklearn.base import clone  # type: ignore[import-untyped]
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(options.cv, shuffle=True, random_state=options.seed)
    results = [
        reporting.evaluate(
            plates.target[test],
            _log_probabilities(_fit(clone(model), plates, training, step), plates.data[test]),
        )
        for training, test in folds.split(plates.data, plates.target)
    ]
    return {
        "n_folds": options.cv,
        **{figure: [result[figure] for result in results] for figure in ("accuracy", "log_loss", "calibration_error")},
    }


# ---------------------------------------------------------------------------------- use a model


def evaluate(options: Namespace) -> None:
    """Score a model on a table."""
    _require("rich", "sklearn")
    model = _load_model(options.model)
    plates = _load(options)
    _name_strange_features(model, plates.data)
    result = reporting.evaluate(plates.target, _log_probabilities(model, plates.data))
    if options.json:
        report = {"model": options.model, "data": reporting.describe(plates), "result": result}
        _write("-", reporting.as_json(report))
        return
    print(f"Data: {_origin(plates)}.")
    print("All of them count, those too that the model may have been trained on.")
    _print_result(result)


def predict(options: Namespace) -> None:
    """Name the fault of each plate."""
    _require("sklearn")
    if options.data == "-" and (sys.stdin is None or sys.stdin.isatty()):
        options.refuse("nothing comes through a pipe: name a table with --data")
    model = _load_model(options.model)
    data = datasets.read_features(options.data)
    _name_strange_features(model, data)
    probs = np.exp(_log_probabilities(model, data))
    _write(options.output, (_predictions_as_json if options.json else _predictions_as_csv)(probs))


def _predictions_as_csv(probs: FloatArray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["fault", *CLASS_NAMES])
    for row in probs:
        writer.writerow([CLASS_NAMES[row.argmax()], *(f"{prob:.6g}" for prob in row)])
    return text.getvalue()


def _predictions_as_json(probs: FloatArray) -> str:
    return reporting.as_json(
        [
            {"fault": CLASS_NAMES[row.argmax()], "probabilities": dict(zip(CLASS_NAMES, row.tolist(), strict=True))}
            for row in probs
        ]
    )


def _load_model(path: str) -> SteelClassifier:
    from steelfast.estimator import SteelClassifier

    model = SteelClassifier.load(path)
    n_features = model.n_features_in_
    if n_features != len(FEATURE_NAMES) or not set(model.classes_) <= _INDEX_OF_CLASS.keys():
        raise ValueError(
            f"{path} is no model of steel plates: it takes {n_features} features and tells apart "
            f"{', '.join(map(str, model.classes_))}"
        )
    return model


def _name_strange_features(model: SteelClassifier, data: FloatArray) -> None:
    """A notice of the features that are far from those of the training, as they are in other units.

    Their mean over n plates is to lie within 3 + 5/√n standard deviations of the training's. Of the real plates one in
    300 is stranger than that by itself, in a feature with a long tail; plates of a single class are not.
    """
    if not model.standardize:  # then the model does not know means and deviations
        return
    means = data.mean(axis=0)
    strange = np.abs(means - model.mean_) > (3 + 5 / np.sqrt(len(data))) * model.scale_
    if strange.any():
        each = (
            "{} {} ({} ± {})".format(FEATURE_NAMES[k], *map(_digits, (means[k], model.mean_[k], model.scale_[k])))
            for k in np.flatnonzero(strange)
        )
        notice(
            f"far from the plates that the model was trained on, whose mean and deviation are in brackets; "
            f"are the units the same? {', '.join(each)}"
        )


def _digits(number: float) -> str:
    """A number to four digits, never with an exponent."""
    return np.format_float_positional(number, 4, unique=False, fractional=False, trim="-")


def _log_probabilities(model: SteelClassifier, data: FloatArray) -> FloatArray:
    """Logarithms of the probabilities in the order of `CLASS_NAMES`; −inf for a class that the model never saw."""
    log_probs = np.full((len(data), len(CLASS_NAMES)), -np.inf)
    log_probs[:, [_INDEX_OF_CLASS[each] for each in model.classes_]] = model.predict_log_proba(data)
    return log_probs


def _print_result(result: dict[str, Any]) -> None:
    from steelfast import _terminal

    low, high = result["accuracy_interval"]
    print(f"\naccuracy  {result['accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    print(f"log-loss  {reporting.loss(result['log_loss'])}")
    print(f"expected calibration error  {result['calibration_error']:.3f}\n")
    _terminal.console().print(_terminal.confusion_table(result))
    print()


# ---------------------------------------------------------------------------------- reproduce


def reproduce(options: Namespace) -> None:
    """Compute the published runs, and show what is published beside them."""
    plates = _load(options)
    results = experiments.reproduce(plates)
    report = experiments.to_json(results)
    if plates.is_twin:
        report["note"] = reporting.TWIN_NOTE
    if options.json is not None:
        _write(options.json, reporting.as_json(report))
    if options.json == "-":
        return

    print(f"Data: {_origin(plates)}.")
    if plates.is_twin:
        print("The published figures belong to the real plates: nothing is compared.")
    else:
        print("On the right what is published, marked * where it differs.")
    differences = {(each.run, each.epoch, each.figure) for each in experiments.compare(results)}
    published_runs = experiments.published_runs()
    for number, (result, run) in enumerate(zip(results, published_runs, strict=True), 1):
        print(f"\nRun {number}: {result.head}, learning rate {result.learning_rate:g}")
        for epoch, published in zip(result.epochs, run["epochs"], strict=True):
            loss, training, test = (
                published[figure] + "*" * ((number, epoch.epoch, figure) in differences)
                for figure in ("loss", "train_accuracy", "test_accuracy")
            )
            beside = "" if plates.is_twin else f"{loss}, {training}/{test}"
            print(f"{epoch.line():<46}{beside}".rstrip())
    if not plates.is_twin:
        print()
        for number, result in enumerate(results, 1):
            wrong = [figure for run_number, _, figure in differences if run_number == number]
            print(_count(number, len(result.epochs), wrong))


def _count(number: int, n_epochs: int, wrong: list[str]) -> str:
    """How many figures of a run come out as published."""
    kinds = {"loss": "losses", "train_accuracy": "training", "test_accuracy": "test accuracies"}
    right = [f"{n_epochs - wrong.count(figure)} {name}" for figure, name in kinds.items()]
    return f"run {number}: {3 * n_epochs - len(wrong)} of {3 * n_epochs} figures ({', '.join(right)})"


# ---------------------------------------------------------------------------------- data


def data_fetch(options: Namespace) -> None:
    """Download the table."""
    print(datasets.fetch_steel_plates())


def data_path(options: Namespace) -> None:
    """Say where the table is, or where the download would go."""
    path = datasets.find_steel_plates()
    if path is None:
        notice("no file is there yet; it comes with: steelfast data fetch")
    print(path or datasets.cache_path())


def data_info(options: Namespace) -> None:
    """Describe the table."""
    plates = _load(options)
    about = reporting.describe(plates)
    if options.json:
        _write("-", reporting.as_json(about))
        return
    print(f"{_origin(plates)}; {about['n_features']} features\n")
    for name, count in about["class_counts"].items():
        print(f"  {name:<12}  {count:>4}  {count / about['n_plates']:6.1%}")
    print()
    print(textwrap.fill(plates.description, 80, break_long_words=False, break_on_hyphens=False))


def data_example(_: Namespace) -> None:
    """Print some plates of the twin, without their faults: nobody should learn from them and forget that they are
    synthetic."""
    rows = load_steel_plates(source="twin").data[::200]
    _write(
        "-", "".join(",".join(cells) + "\n" for cells in [FEATURE_NAMES, *(map(repr, row) for row in rows.tolist())])
    )


def _load(options: Namespace) -> SteelPlates:
    """The plates that the options ask for."""
    if options.data is not None:
        return load_steel_plates(options.data)
    if datasets.find_steel_plates() is None:
        if options.offline:
            notice(
                "the real table is not on this machine, and --offline does not fetch it: "
                "what is used is its statistical twin, 1941 synthetic plates"
            )
            return load_steel_plates(source="twin")
        if find_spec("pooch") is not None:  # which downloads it
            notice("the real table is not on this machine; asking UCI for it, 10 seconds at most")
    return load_steel_plates()


def _command(plates: SteelPlates, options: Namespace) -> str:
    """The command line, with the table that the environment named: elsewhere it may name none."""
    command: str = options.command_line
    if options.data is None and plates.source == "file":
        command += f" --data {shlex.quote(str(plates.path))}"
    return command


def _origin(plates: SteelPlates) -> str:
    n_plates = len(plates.target)
    if plates.is_twin:
        return f"{n_plates} synthetic plates, the statistical twin of the real table"
    return f"{n_plates} plates of {plates.path}"


# ---------------------------------------------------------------------------------- bench, info


def bench(options: Namespace) -> None:
    """Time the kernels."""
    _require("rich", *([] if options.plot is None else ["matplotlib"]))
    from steelfast import _terminal

    for path in (options.json, options.plot):
        if path not in (None, "-"):
            check_writable(path)
    an_overview = not (options.peers or options.peer or options.shape)
    try:
        cases = benchmark.cases(
            operations=options.operation,
            shapes=benchmark.OVERVIEW if an_overview else options.shape,
            dtypes=options.dtype,
        )
    except ValueError as error:
        options.refuse(str(error))
    settings: dict[str, Any] = {"n_rounds": 3, "seconds_per_round": 0.001} if options.quick else {}
    measurements = []
    with benchmark.one_core() as core, _terminal.progress("Measuring", len(cases), quiet=options.quiet) as step:
        contenders = [_contenders.load(name) for name in _contenders_to_load(options)]
        for measurement in benchmark.measure(cases, contenders, **settings):
            measurements.append(measurement)
            step()
    report = benchmark.as_report(measurements, contenders, core=core, **settings)
    if options.json is not None:
        _write(options.json, reporting.as_json(report))
    if options.json != "-":
        _print_bench(report)
    if options.plot is not None:
        if not any(each["fastest_peer"] for each in report["measurements"]):
            raise ValueError(f"nothing to plot in {options.plot}: no other library took part that could be compared")
        _write_figure(options.plot, reporting.bench_figure(report))


def _print_bench(report: dict[str, Any]) -> None:
    from steelfast import _terminal

    print(
        "Median microseconds of a call; how many times as fast steelfast is; largest\n"
        "error in ULP, of steelfast and of the worst of the others.\n"
    )
    console = _terminal.console(width=100 if len(report["contenders"]) > 4 else None)
    for table in _terminal.bench_tables(report):
        console.print(table)
        print()
    about = report["configuration"]
    versions = report["contenders"].items()
    others = ", ".join(f"{name} {version}" for name, version in versions if name not in ("loops", "copy"))
    print(f"{about['processor']}, {about['instruction_set']} kernels; {report['date']}")
    print(textwrap.fill(f"{others}, Python {about['python']}", 80))


def _contenders_to_load(options: Namespace) -> list[str]:
    """Names of steelfast and of those it is to be measured against."""
    if options.peer:
        return [name for name in _contenders.NAMES if name == "steelfast" or name in options.peer]
    if not options.peers:
        return ["steelfast", "loops", "NumPy"]
    missing = [name for name in _contenders.NAMES if not _contenders.is_installed(name)]
    if missing:
        notice(f'left out, as not installed: {", ".join(missing)}; they come with: pip install "steelfast[bench]"')
    return [name for name in _contenders.NAMES if name not in missing]


def info(options: Namespace) -> None:
    """Say what is installed and on what it runs."""
    if options.json:
        print(json.dumps(configuration(), indent=2))
    else:
        show_config()


# ---------------------------------------------------------------------------------- all of them


def notice(text: str) -> None:
    """Tell the user something that is no result, unless --quiet keeps it back as it does warnings."""
    warnings.warn(text, stacklevel=2)


def _write(path: str, text: str) -> None:
    """Write to a file, or to standard output if the path is "-"."""
    if path == "-":
        # line by line, or Python with PYTHONUNBUFFERED overlooks that a pipe was closed
        sys.stdout.writelines(text.splitlines(keepends=True))
    else:
        write_text(path, text)


def _write_figure(path: str, figure: Figure) -> None:
    """Write a picture, as SVG if the path ends so, else as PNG."""
    image = io.BytesIO()
    figure.savefig(image, format="svg" if path.lower().endswith(".svg") else "png", dpi=150)
    write_bytes(path, image.getvalue())


def _require(*modules: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names = " and ".join(missing).replace("sklearn", "scikit-learn")
        raise ModuleNotFoundError(f'this command needs {names}: pip install "steelfast[cli]"')
