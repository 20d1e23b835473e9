"""The command line: ``steelfast``, or ``python -m steelfast``.

Results go to stdout, everything else to stderr. Exit codes: 0; 1 after an error, which is one line;
2 for a command line that makes no sense; 130 after Ctrl-C; 141 when nobody reads the output; 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from steelfast import _commands
from steelfast._contenders import NAMES
from steelfast._version import __version__
from steelfast.bench import DTYPES, OPERATIONS
from steelfast.heads import HEADS

__all__ = ["main", "make_parser"]

_CONTENDERS = tuple(name for name in NAMES if name != "steelfast")
_OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")  # the estimator's, which needs scikit-learn


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
            options.command_line = shlex.join(["steelfast", *arguments])
            options.run(options)
    except SystemExit as done:  # argparse's, after --help and after a wrong command line; and SIGTERM's
        return int(done.code or 0)
    except KeyboardInterrupt:
        print("steelfast: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError, RuntimeError, OverflowError) as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        return 141
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    print(f"steelfast: error: {text}", file=sys.stderr)
    return 1


@contextmanager
def _warnings_as_notices() -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _commands.notice(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
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
        self._action_max_length = 13  # argparse forgets that the names of commands are indented


class _Parser(argparse.ArgumentParser):
    """A wrong command line costs one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"steelfast: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; each command sets ``run`` to what does it, and ``refuse`` to its error."""
    parser = _Parser(
        prog="steelfast",
        description="Learn to name the faults of steel plates; see how fast it goes.",
        epilog=_examples("steelfast train", "steelfast predict steelfast-run/model.npz --data plates.csv"),
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
    )
    _add_data_options(train)
    _add_choice(train, "--loss", tuple(HEADS), "softmax_cross_entropy")
    _add_choice(train, "--optimizer", _OPTIMIZERS, "adam")
    train.add_argument(
        "--epochs",
        type=_whole(1),
        default=100,
        metavar="N",
        help="passes through the training plates (default 100)",
    )
    train.add_argument(
        "--batch-size",
        type=_whole(1),
        default=128,
        metavar="N",
        help="plates in a minibatch (default 128)",
    )
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
    train.add_argument(
        "--seed",
        type=_whole(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of the split and of the shuffling (default 0)",
    )
    train.add_argument(
        "--out",
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
    evaluate.add_argument("model", metavar="MODEL", help="the model.npz of a training")
    _add_data_options(evaluate)
    _add_json_flag(evaluate)

    predict = _add(
        commands,
        "predict",
        _commands.predict,
        "name the fault of each plate, with probabilities, as CSV",
        "steelfast predict steelfast-run/model.npz --data plates.csv -o predicted.csv",
        "head -3 plates.csv | steelfast predict steelfast-run/model.npz --data -",
    )
    predict.add_argument("model", metavar="MODEL", help="the model.npz of a training")
    predict.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="CSV with the 27 features named in its header; - is standard input",
    )
    predict.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="PATH",
        help="CSV file to write; default: standard output",
    )

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
    bench.add_argument("--plot", type=_no_dash, metavar="PATH", help="draw the ratios to the fastest peer, as PNG")

    data = commands.add_parser(
        "data",
        help="fetch, find or describe the table of plates",
        description="Fetch, find or describe the table of plates.",
        epilog=_examples("steelfast data fetch", "steelfast data info"),
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

    info = _add(
        commands,
        "info",
        _commands.info,
        "versions, processor and build of the kernels",
        "steelfast info",
    )
    _add_json_flag(info)
    return parser


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], what: str, *examples: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=_examples(*examples)
    )
    parser.set_defaults(run=run, refuse=parser.error)
    return parser


def _examples(*commands: str) -> str:
    return "\n  ".join(["examples:", *commands])


def _add_choice(parser: argparse.ArgumentParser, name: str, choices: Sequence[str], default: str) -> None:
    others = ", ".join(choice for choice in choices if choice != default)
    parser.add_argument(
        name,
        choices=choices,
        default=default,
        metavar="NAME",
        help=f"{default} (default), {others}",
    )


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="table of plates, as CSV or as UCI hands it out; default: the file that "
        "STEELFAST_DATA names, else the download from UCI, else the synthetic twin",
    )
    parser.add_argument("--offline", action="store_true", help="download nothing; use the twin if need be")


def _add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


def _add_json_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="PATH", help="write JSON too; - prints it, and nothing else")


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
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}")
        return by_lower_case[text.lower()]

    return convert


def _no_dash(text: str) -> str:
    """A path, where an image would do a terminal no good."""
    if text == "-":
        raise argparse.ArgumentTypeError("must be a file, got '-'")
    return text


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
