"""The published experiment: four runs of ten epochs on the steel plates, to the last printed digit.

The protocol is the book's, with what it does to the numbers: unscaled features, a loss that is
capped by the 1e-10 in its logarithm, and an MSE whose gradient leaves out the sigmoid's slope. It
runs through `trainer`; everything is computed, the published figures are only compared with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelfast import _kernels, trainer
from steelfast._arguments import as_index, as_labels, as_shaped
from steelfast.datasets import CLASS_NAMES, FEATURE_NAMES, SteelPlates
from steelfast.heads import Head, IntArray
from steelfast.models import LinearModel
from steelfast.optimizers import SGD
from steelfast.trainer import train

__all__ = [
    "CAP",
    "HEADS",
    "PUBLISHED_RUNS",
    "SEED",
    "Difference",
    "Epoch",
    "Run",
    "RunResult",
    "compare",
    "published_runs",
    "reproduce",
    "run",
    "to_json",
]

Array = NDArray[Any]
Table: TypeAlias = SteelPlates | tuple[ArrayLike, ArrayLike]

#: What the streams of random numbers are seeded with.
SEED = 1234
_INITIAL_DEVIATION = 0.0030
_TRAINING_SHARE = 0.8
#: What the book adds to a probability within its logarithm.
CAP = 1e-10


# -------------------------------------------------------------------------------- the book's losses


#: The book's heads, by their names.
HEADS: Mapping[str, Head] = MappingProxyType(
    {
        head.name: head
        for head in (
            Head("softmax+cross-entropy", "softmax_cross_entropy", np.asarray, cap=CAP),
            Head("sigmoid+MSE", "sigmoid_mse_without_slope", _kernels.log_sigmoid),
            # the second published form, which takes the sigmoid of the target too
            Head(
                "sigmoid+MSE of sigmoids",
                "sigmoid_mse",
                _kernels.log_sigmoid,
                targets=(0.5, float(_kernels.sigmoid(1.0))),
            ),
        )
    }
)


# -------------------------------------------------------------------------------- runs and figures


@dataclass(frozen=True)
class Run:
    """A run of the experiment: head, learning rate, and where its random numbers come from."""

    head: str
    learning_rate: float
    shares_stream_with_previous: bool = False


#: The four published runs, in their order.
PUBLISHED_RUNS = (
    Run("softmax+cross-entropy", 0.001),
    Run("softmax+cross-entropy", 0.0001, shares_stream_with_previous=True),
    Run("sigmoid+MSE", 0.001),
    Run("sigmoid+MSE", 0.0001, shares_stream_with_previous=True),
)


@dataclass(frozen=True)
class Epoch:
    """The figures of an epoch."""

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float

    def line(self) -> str:
        """The figures as the book prints them: ``Epoch 1: loss=15.984, accuracy=0.306/0.320``."""
        accuracies = f"{self.train_accuracy:5.3f}/{self.test_accuracy:5.3f}"
        return f"Epoch {self.epoch}: loss={self.loss:5.3f}, accuracy={accuracies}"


@dataclass(frozen=True)
class RunResult:
    """What came out of a run."""

    head: str
    learning_rate: float
    epochs: tuple[Epoch, ...]

    @property
    def final_test_accuracy(self) -> float:
        """The test accuracy after the last epoch."""
        return self.epochs[-1].test_accuracy

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data, in full precision."""
        return {
            **asdict(self),
            "epochs": list(map(asdict, self.epochs)),
            "final_test_accuracy": self.final_test_accuracy,
        }


def to_json(results: Iterable[RunResult]) -> dict[str, Any]:
    """All runs as plain data, in full precision."""
    return {"runs": [result.to_json() for result in results]}


# ---------------------------------------------------------------------------------- the protocol


def reproduce(
    table: Table,
    callback: Callable[[Run, Epoch], object] | None = None,
    *,
    runs: Sequence[Run] = PUBLISHED_RUNS,
) -> list[RunResult]:
    """Compute the published runs on a table of steel plates, whichever these are.

    Parameters
    ----------
    table : SteelPlates, or (data, target)
        In the order of the file: features of shape (n, 27) and labels of shape (n,), within 0 … 6.
    callback : callable, optional
        Called after each epoch with the run and the figures of the epoch.
    runs : sequence of Run
        The four published ones by default.

    Returns
    -------
    list of RunResult

    Raises
    ------
    ValueError, TypeError
        If the table has fewer than 13 rows or is none, or if a run names an unknown head.

    Notes
    -----
    Random numbers come from legacy streams seeded with 1234: one for the first two published runs, in this order, and
    one for the other two.

    Examples
    --------
    >>> from steelfast import load_steel_plates
    >>> from steelfast.experiments import PUBLISHED_RUNS, reproduce
    >>> twin = load_steel_plates(source="twin")
    >>> [result] = reproduce(twin, runs=PUBLISHED_RUNS[2:3])
    >>> result.epochs[0].line()[:16]
    'Epoch 1: loss=0.'
    """
    results: list[RunResult] = []
    stream = np.random.RandomState(SEED)
    for each in runs:
        if not each.shares_stream_with_previous:
            stream = np.random.RandomState(SEED)
        results.append(run(table, each, stream, callback=callback))
    return results


def run(
    table: Table,
    settings: Run,
    stream: np.random.RandomState,
    *,
    epoch_count: int = 10,
    mb_size: int = 10,
    callback: Callable[[Run, Epoch], object] | None = None,
) -> RunResult:
    """One run of the experiment; the stream, from where it is, draws the weights and shuffles.

    Parameters
    ----------
    table : SteelPlates, or (data, target)
    settings : Run
    stream : RandomState
    epoch_count, mb_size : int, at least 1
        How many epochs; how many rows in a minibatch.
    callback : callable, optional
        Called after each epoch with the run and the figures of the epoch.

    Returns
    -------
    RunResult

    Raises
    ------
    ValueError, TypeError
        If four fifths of the rows do not fill a minibatch, if the table is none, or if the head is
        unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast import load_steel_plates
    >>> from steelfast.experiments import Run, run
    >>> twin = load_steel_plates(source="twin")
    >>> settings, stream = Run("sigmoid+MSE of sigmoids", 0.001), np.random.RandomState(1234)
    >>> result = run(twin, settings, stream, epoch_count=2)
    >>> len(result.epochs)
    2
    """
    X, labels = _arrays(table)
    epoch_count, mb_size = as_index(epoch_count, "epoch_count"), as_index(mb_size, "mb_size")
    if epoch_count < 1 or mb_size < 1:
        raise ValueError(f"epoch_count and mb_size must be at least 1, got {epoch_count} and {mb_size}")
    if settings.head not in HEADS:
        raise ValueError(f"head must be one of {', '.join(map(repr, HEADS))}, got {settings.head!r:.60}")
    n_train = int(len(X) * _TRAINING_SHARE) // mb_size * mb_size
    if n_train == 0:
        raise ValueError(
            f"table has too few rows: four fifths of {len(X)} do not fill a minibatch of "
            f"{mb_size}, wanted at least {-(-mb_size * 5 // 4)}"
        )
    model = LinearModel(
        stream.normal(0, _INITIAL_DEVIATION, (len(FEATURE_NAMES), len(CLASS_NAMES))),
        np.zeros(len(CLASS_NAMES)),
    )
    index = np.arange(len(X))
    stream.shuffle(index)
    epochs: list[Epoch] = []

    def note(record: trainer.Epoch) -> None:
        epochs.append(Epoch(record["epoch"], record["loss"], record["accuracy"], record["validation_accuracy"]))
        if callback is not None:
            callback(settings, epochs[-1])

    train(
        model,
        X[index[:n_train]],
        labels[index[:n_train]],
        head=HEADS[settings.head],
        optimizer=SGD(settings.learning_rate),
        n_epochs=epoch_count,
        batch_size=mb_size,
        rng=stream,
        validation_data=(X[index[n_train:]], labels[index[n_train:]]),
        callback=note,
    )
    return RunResult(settings.head, settings.learning_rate, tuple(epochs))


def _arrays(table: Table) -> tuple[Array, IntArray]:
    """The features, rounded to float32 as in the book, and the labels."""
    data, target = (table.data, table.target) if isinstance(table, SteelPlates) else table
    shape = (len(np.asarray(data)), len(FEATURE_NAMES))
    X = as_shaped(data, "data", shape, np.dtype(np.float32))
    return X.astype(np.float64), as_labels(target, shape[:1], len(CLASS_NAMES), None)


# ---------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Difference:
    """A figure that does not come out as published."""

    run: int  # from 1
    epoch: int
    figure: str  # "loss", "train_accuracy" or "test_accuracy"
    computed: float
    published: str


def published_runs() -> list[dict[str, Any]]:
    """The published figures, as the texts that were printed.

    Returns
    -------
    list of dict
        In the layout of `RunResult.to_json`, with texts of three decimals for the figures.

    Examples
    --------
    >>> from steelfast.experiments import published_runs
    >>> published_runs()[0]["epochs"][0]["loss"]
    '15.984'
    """
    text = files("steelfast._data").joinpath("published_runs.json").read_text(encoding="utf-8")
    runs: list[dict[str, Any]] = json.loads(text)
    return runs


def compare(results: Sequence[RunResult]) -> list[Difference]:
    """The figures of the epochs that do not come out as published, printed with three decimals.

    Parameters
    ----------
    results : sequence of RunResult
        Of the published runs, in their order, as from `reproduce`.

    Returns
    -------
    list of Difference
        In the order of the runs, of the epochs, and of loss, training and test accuracy.

    Examples
    --------
    >>> from steelfast.experiments import PUBLISHED_RUNS, Epoch, RunResult, compare
    >>> first = RunResult("softmax+cross-entropy", 0.001, (Epoch(1, 15.9841, 0.3062, 0.3),))
    >>> compare([first])
    [Difference(run=1, epoch=1, figure='test_accuracy', computed=0.3, published='0.320')]
    """
    return [
        Difference(number, epoch.epoch, figure, computed, published[figure])
        for number, (result, run_) in enumerate(zip(results, published_runs(), strict=False), 1)
        for epoch, published in zip(result.epochs, run_["epochs"], strict=False)
        for figure in ("loss", "train_accuracy", "test_accuracy")
        if f"{(computed := getattr(epoch, figure)):.3f}" != published[figure]
    ]
