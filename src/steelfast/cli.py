"""The command line: ``steelfast``, or ``python -m steelfast``.

Results go to stdout, everything else to stderr. Exit codes: 0; 1 after an error, which is one line;
2 for a command line that makes no sense; 130 after Ctrl-C; 141 when nobody reads the output; 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import difflib
import io
import math
import os
import re
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from steelfast import _commands, _compare_command, _explain_command, _sweep_command
from steelfast._contenders import NAMES
from steelfast._version import __version__
from steelfast.bench import DTYPES, OPERATIONS
from steelfast.heads import HEADS

__all__ = ["main", "make_parser"]

_CONTENDERS = tuple(name for name in NAMES if name != "steelfast")
_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
# the estimator's, which needs scikit-learn
_OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
_SCHEDULES = ("constant", "step", "cosine", "one_cycle")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the name of the program; by default what this process was started with.

    Returns
    -------
    int
        The exit code; see the head of this module.

    Examples
    --------
    >>> from steelfast.cli import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    steelfast ...
    0
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by who started this process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign shows another
    code = _run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        # what is still in the buffer must not be tried again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _failed(error)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        with _warnings_as_notices(), _sigterm_as_exit():
            options = make_parser().parse_args(arguments)
            if options.quiet:
                warnings.simplefilter("ignore", UserWarning)
            options.command_line = shlex.join(["steelfast", *arguments])
            options.run(options)
    except SystemExit as done:  # argparse's, after --help and after a wrong command line; and SIGTERM's
        return int(done.code or 0)
    except KeyboardInterrupt:
        print("steelfast: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError, RuntimeError, OverflowError, MemoryError) as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        return 141
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        text = text or "not enough memory"  # Python's own says nothing
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    print(f"steelfast: error: {text}", file=sys.stderr)
    return 1


@contextmanager
def _warnings_as_notices() -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"steelfast: notice: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # some are both: what libraries say to each other
        warnings.showwarning = show
        yield


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM ends what is done as an exception does, so that it leaves nothing behind."""

    def leave(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # only there signals have handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------------------------- arguments


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=28, **settings)
        self._action_max_length = 14  # argparse forgets that the names of commands are indented


class _Parser(argparse.ArgumentParser):
    """A wrong command line costs one line, which names what may have been meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            names = [name for action in options.parser._actions for name in action.option_strings]
            close = _suggestion(unknown[0].partition("=")[0], names)
            options.refuse(f"unrecognized arguments: {' '.join(unknown)}{close}")
        return options

    def error(self, message: str) -> NoReturn:
        if wrong := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            message += _suggestion(wrong[1], re.findall(r"[^\s',]+", wrong[2]))
        self.exit(2, f"steelfast: error: {message} (see {self.prog} --help)\n")


class _Several(argparse.Action):
    """Those that are named, in the place of all of them."""

    def __call__(self, _: Any, options: argparse.Namespace, value: Any, __: str | None = None) -> None:
        named = getattr(options, self.dest)
        setattr(options, self.dest, (value,) if named is self.default else (*named, value))


def _suggestion(wrong: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line.

    Each command sets ``run`` to what does it, ``parser`` to its own, and ``refuse`` to that one's error.
    """
    parser = _Parser(
        prog="steelfast",
        description="Learn to name the faults of steel plates; see how fast it goes.",
        epilog=_examples("steelfast train", "steelfast predict steelfast-run/model.npz --data plates.csv")
        + "\n\nexit codes: 0 done, 1 an error, 2 a command line that makes no sense,\n"
        "130 Ctrl-C, 141 nobody reads the output, 143 SIGTERM",
    )
    parser.add_argument("--version", action="version", version=f"steelfast {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = _add(
        commands,
        "train",
        _commands.train,
        "train a classifier, test it, write model, report and plots",
        "steelfast train",
        "steelfast train --data faults.csv --cv 10 --out run-1",
        "steelfast train --loss sigmoid_mse --optimizer sgd --epochs 200 --seed 7",
        "steelfast train --hidden 64 --early-stopping --schedule cosine",
    )
    _add_data_options(train)
    _add_choice(train, "--loss", tuple(HEADS), "softmax_cross_entropy")
    _add_choice(train, "--optimizer", _OPTIMIZERS, "adam")
    _add_training_options(train)
    train.add_argument(
        "--learning-rate",
        type=_between(0, math.inf),
        metavar="X",
        help="default: one that suits the loss and the optimizer",
    )
    train.add_argument(
        "--test-size",
        type=_between(0, 1),
        default=0.2,
        metavar="X",
        help="share of the plates to hold out for the test (default 0.2)",
    )
    train.add_argument("--cv", type=_whole(2), metavar="K", help="also cross-validate, in K folds of all plates")
    _add_seed(train, "of the split and of the shuffling")
    train.add_argument(
        "--out",
        type=_path,
        default="steelfast-run",
        metavar="DIR",
        help="directory to write to (default steelfast-run)",
    )
    _add_json_flag(train)

    evaluate = _add(
        commands,
        "evaluate",
        _commands.evaluate,
        "score a model on plates whose faults are known",
        "steelfast evaluate steelfast-run/model.npz --data faults.csv",
    )
    evaluate.add_argument("model", type=_path, metavar="MODEL", help="the model.npz of a training")
    _add_data_options(evaluate)
    _add_json_flag(evaluate)

    predict = _add(
        commands,
        "predict",
        _commands.predict,
        "name the fault of each plate, with probabilities, as CSV",
        "steelfast predict steelfast-run/model.npz --data plates.csv -o predicted.csv",
        "head -3 plates.csv | steelfast predict steelfast-run/model.npz",
    )
    predict.add_argument("model", type=_path, metavar="MODEL", help="the model.npz of a training")
    predict.add_argument(
        "--data",
        type=_path,
        default="-",
        metavar="PATH",
        help="CSV with the 27 features named in its header; default: -, standard input",
    )
    predict.add_argument(
        "-o",
        "--output",
        type=_path,
        default="-",
        metavar="PATH",
        help="file to write; default: standard output",
    )
    predict.add_argument("--json", action="store_true", help="write JSON in the place of CSV")

    compare = _add(
        commands,
        "compare",
        _compare_command.compare,
        "put losses and optimizers side by side in cross-validation",
        "steelfast compare",
        "steelfast compare --loss sigmoid_mse --hidden 64 --plot optimizers.png",
    )
    _add_data_options(compare)
    for option, names in (("--loss", tuple(HEADS)), ("--optimizer", _OPTIMIZERS)):
        compare.add_argument(
            option,
            action=_Several,
            choices=names,
            default=names,
            metavar="NAME",
            help=f"only this one of {', '.join(names)}; may be repeated",
        )
    _add_training_options(compare)
    compare.add_argument("--cv", type=_whole(2), default=10, metavar="K", help="folds (default 10)")
    _add_seed(compare, "of the folds and of the shuffling")
    _add_plot(compare, "draw accuracy and log-loss of every fold")
    _add_json_flag(compare)

    explain = _add(
        commands,
        "explain",
        _explain_command.explain,
        "show what drives each fault in a model",
        "steelfast explain steelfast-run/model.npz --data faults.csv",
        "steelfast explain steelfast-run/model.npz --top 3 --plot drives.png",
    )
    explain.add_argument("model", type=_path, metavar="MODEL", help="the model.npz of a training")
    _add_data_options(explain)
    explain.add_argument(
        "--top",
        type=_whole(1),
        default=4,
        metavar="N",
        help="coefficients to show of each fault, of each sign (default 4)",
    )
    explain.add_argument(
        "--repeats",
        type=_whole(1),
        default=10,
        metavar="N",
        help="how often each feature is shuffled (default 10)",
    )
    _add_seed(explain, "of the shuffling of features")
    _add_plot(explain, "draw coefficients and importance")
    _add_json_flag(explain)

    sweep = _add(
        commands,
        "sweep",
        _sweep_command.sweep,
        "try many settings in cross-validation, show the best",
        "steelfast sweep --data faults.csv",
        "steelfast sweep --set l2=0,0.003 --set learning_rate=0.001:0.1 --search random",
        "steelfast sweep --search halving --score log_loss -o best.npz",
        "steelfast sweep --dask tcp://10.0.0.1:8786",
    )
    _add_data_options(sweep)
    sweep.add_argument(
        "--set",
        action="append",
        default=[],
        type=_sweep_command.setting,
        metavar="NAME=VALUES",
        help="values of a parameter to try, as A,B,... or, drawn at random, as LOW:HIGH; may be repeated for others; "
        "default: learning_rate, l2 and batch_size around what they are",
    )
    _add_choice(sweep, "--search", _sweep_command.SEARCHES, "grid")
    sweep.add_argument(
        "--candidates",
        type=_whole(1),
        default=20,
        metavar="N",
        help="how many settings to draw, where not all of a grid are tried (default 20)",
    )
    _add_choice(sweep, "--score", tuple(_sweep_command.SCORES), "accuracy")
    sweep.add_argument("--cv", type=_whole(2), default=5, metavar="K", help="folds (default 5)")
    sweep.add_argument(
        "--epochs",
        type=_whole(1),
        default=100,
        metavar="N",
        help="passes through the plates, at most (default 100)",
    )
    sweep.add_argument(
        "--engine",
        choices=_sweep_command.ENGINES,
        metavar="NAME",
        help="threads (default) or processes",
    )
    sweep.add_argument("--jobs", type=_whole(1), metavar="N", help="how many of them (default: one for each core)")
    sweep.add_argument("--dask", metavar="ADDRESS", help="use all workers of the Dask cluster with this scheduler")
    _add_seed(sweep, "of the folds, of what is drawn, of the shuffling")
    sweep.add_argument("--top", type=_whole(1), default=10, metavar="N", help="rows of the table (default 10)")
    sweep.add_argument("-o", "--output", type=_no_dash, metavar="PATH", help="train with the best, write the model")
    _add_json_flag(sweep)

    reproduce = _add(
        commands,
        "reproduce",
        _commands.reproduce,
        "run the published experiment beside its figures",
        "steelfast reproduce --data faults.csv",
        "steelfast reproduce --json runs.json",
    )
    _add_data_options(reproduce)
    _add_json_file(reproduce)

    bench = _add(
        commands,
        "bench",
        _commands.bench,
        "time the kernels against NumPy, loops, other libraries",
        "steelfast bench",
        "steelfast bench --peers --json bench.json --plot bench.png",
        "steelfast bench --peer pytorch --operation softmax --shape 1553x7",
    )
    against = bench.add_mutually_exclusive_group()
    against.add_argument(
        "--peers",
        action="store_true",
        help="against every library that is installed, on all shapes: takes minutes; "
        "default: loops and NumPy, on the shapes of the plates",
    )
    against.add_argument(
        "--peer",
        action="append",
        type=_one_of(_CONTENDERS),
        metavar="NAME",
        help=f"against this one: {', '.join(_CONTENDERS)}; may be repeated, as may the next three",
    )
    bench.add_argument(
        "--operation",
        action="append",
        type=_one_of(tuple(OPERATIONS)),
        metavar="NAME",
        help="only this one, such as softmax",
    )
    bench.add_argument("--shape", action="append", type=_shape, metavar="NxC", help="only this one, such as 100000x7")
    bench.add_argument(
        "--dtype", action="append", choices=DTYPES, metavar="NAME", help="only this one: float32 or float64"
    )
    bench.add_argument("--quick", action="store_true", help="fewer, shorter rounds: rough figures")
    _add_json_file(bench)
    _add_plot(bench, "draw the ratios to the fastest peer")

    data = commands.add_parser(
        "data",
        help="fetch, find or describe the table of plates",
        description="Fetch, find or describe the table of plates.",
        epilog=_examples("steelfast data fetch", "steelfast data info", "steelfast data example > plates.csv"),
    )
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add(
        actions,
        "fetch",
        _commands.data_fetch,
        "download the table from UCI into the cache, and print its path",
        "steelfast data fetch",
    )
    _add(
        actions,
        "path",
        _commands.data_path,
        "print where the table is, or where the download would go",
        "steelfast data path",
    )
    about = _add(
        actions,
        "info",
        _commands.data_info,
        "describe the table: source, classes, citation, licence",
        "steelfast data info",
    )
    _add_data_options(about)
    _add_json_flag(about)

    _add(
        actions,
        "example",
        _commands.data_example,
        "print ten synthetic plates as CSV, for predict to be tried on",
        "steelfast data example | steelfast predict steelfast-run/model.npz",
    )

    info = _add(
        commands,
        "info",
        _commands.info,
        "versions, processor and build of the kernels",
        "steelfast info",
    )
    _add_json_flag(info)

    completion = _add(
        commands,
        "completion",
        _completion,
        "print a script that completes commands in a shell",
        'eval "$(steelfast completion bash)"',
        "steelfast completion zsh > ~/.zfunc/_steelfast",
        "steelfast completion fish > ~/.config/fish/completions/steelfast.fish",
    )
    completion.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    return parser


def _completion(options: argparse.Namespace) -> None:
    """Print the script that the shell completes command lines with."""
    _commands._require("shtab")
    import shtab

    def mark(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for each in action.choices.values():
                    mark(each)
            elif action.metavar in ("PATH", "MODEL"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            else:
                action.choices = action.choices or getattr(action.type, "names", None)

    parser = make_parser()
    mark(parser)
    print(shtab.complete(parser, options.shell))


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], what: str, *examples: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=_examples(*examples)
    )
    parser.set_defaults(run=run, parser=parser, refuse=parser.error)
    parser.add_argument("-q", "--quiet", action="store_true", help="no notices, no progress, no summary of a training")
    return parser


def _examples(*commands: str) -> str:
    return "\n  ".join(["examples:", *commands])


def _add_choice(
    parser: argparse.ArgumentParser, name: str, choices: Sequence[str], default: str, what: str = ""
) -> None:
    others = ", ".join(choice for choice in choices if choice != default)
    parser.add_argument(
        name,
        choices=choices,
        default=default,
        metavar="NAME",
        help=f"{what}{default} (default), {others}",
    )


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=_path,
        metavar="PATH",
        help="table of plates, as CSV or as UCI hands it out; default: the file that "
        "STEELFAST_DATA names, else the download from UCI, else the synthetic twin",
    )
    parser.add_argument("--offline", action="store_true", help="download nothing; use the twin if need be")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--epochs",
        type=_whole(1),
        default=100,
        metavar="N",
        help="passes through the training plates (default 100)",
    )
    parser.add_argument(
        "--batch-size",
        type=_whole(1),
        default=128,
        metavar="N",
        help="plates in a minibatch (default 128)",
    )
    parser.add_argument(
        "--hidden",
        type=_sizes,
        default=(),
        metavar="SIZES",
        help="widths of hidden layers, such as 64,32 (default: none, a linear model)",
    )
    _add_choice(parser, "--schedule", _SCHEDULES, "constant", "learning rate: ")
    parser.add_argument(
        "--early-stopping",
        action="store_true",
        help="hold out a tenth of the training plates; stop when their loss no longer falls",
    )


def _add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0, metavar="N", help=f"{what} (default 0)")


def _add_plot(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--plot", type=_no_dash, metavar="PATH", help=f"{what}, as PNG, or SVG if PATH ends so")


def _add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


def _add_json_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=_path, metavar="PATH", help="write JSON too; - prints it, and nothing else")


def _whole(low: int, high: float = math.inf) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"must be a whole number {limit}, got {text!r}")
        return number

    return convert


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    """One of the names, in capitals or not."""
    by_lower_case = {name.lower(): name for name in names}

    def convert(text: str) -> str:
        if text.lower() not in by_lower_case:
            close = _suggestion(text.lower(), tuple(by_lower_case))
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}{close}")
        return by_lower_case[text.lower()]

    convert.names = names  # type: ignore[attr-defined] # for the completion
    return convert


def _path(text: str) -> str:
    """A path; an empty one, which a variable of the shell may be that is not set, would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, got ''")
    return text


def _no_dash(text: str) -> str:
    """A path, where an image would do a terminal no good."""
    if text == "-":
        raise argparse.ArgumentTypeError("must be a file, got '-'")
    return _path(text)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(map(int, text.split(",")))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be whole numbers at least 1 with commas between, got {text!r}")
    return sizes


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split("x")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be whole numbers with an x between, got {text!r}") from None


def _between(low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low < number < high:
            limit = f"above {low}" if high == math.inf else f"between {low} and {high}"
            raise argparse.ArgumentTypeError(f"must be a number {limit}, got {text!r}")
        return number

    return convert
