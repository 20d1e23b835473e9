"""Tables larger than memory: CSV or Parquet in chunks of rows, shuffled, for `partial_fit`.

Needs pyarrow, which reads the files; no more of them is in memory than a few chunks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from glob import glob
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from steelfast._arguments import as_count
from steelfast._files import check_writable, written_whole

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import csv, parquet
except ModuleNotFoundError as error:
    raise ImportError(f'steelfast.chunks needs pyarrow: pip install "steelfast[scale]" ({error})') from error

if TYPE_CHECKING:
    from steelfast.estimator import SteelClassifier

__all__ = ["Table", "fit"]

Array = NDArray[Any]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_Classifier = TypeVar("_Classifier", bound="SteelClassifier")
_Step = Callable[[int, str], None]  # moves a bar on by so many rows, with a text beside it

_CSV_BLOCK = 2**22  # bytes at a time
_COLUMN_BUFFER = 2**18  # bytes of a column of Parquet at a time
_PART = 2**25  # bytes of rows that are shuffled in memory, up to twice as many
_MOST_PARTS = 256  # of a table or of a part, each of them an open file


class Table:
    """Rows of features with a class each, in files that need not fit into memory.

    Parameters
    ----------
    paths : str, path-like or sequence of them
        CSV files with a header (.csv, .csv.gz) or Parquet files (.parquet); a pattern such as ``plates-*.parquet``
        stands for all files that match, sorted.
    target : str or sequence of str
        The column of the classes: texts, integers, floats or booleans; or one column for each class, 1 in the rows that
        belong to it and 0 in the others, as the Steel Plates Faults table has them.
    features : sequence of str, optional
        Their columns, in this order; all but the target's if not given.
    chunk_rows : int, default 50_000
        Rows of a chunk; the last of a pass may have fewer.
    buffer_rows : int, default 200_000
        Rows among which a shuffled pass mixes, see `chunks`; 0 for files that are in random order already.
    dtype : {"float64", "float32"}, default "float64"
        Of the features.

    Attributes
    ----------
    features : list of str
    n_rows : int or None
        None with CSV, until a pass has counted them.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If a file is damaged, has another ending, lacks a column or has it twice, if classes are not of one type in all
        files, or a parameter is not what it should be; in a pass, if there is something else than a number in a
        feature, or one that is too large for float32 where that is the dtype, or no class in a row.

    Notes
    -----
    A feature without a number is NaN: an empty cell of a CSV file, or one such as ``NA`` or ``null``, and a null of
    Parquet. A number in a CSV file that is too large for float64 is infinite. `fit` refuses both. Whether the classes
    in a CSV file are whole numbers, numbers or texts is what its first 4 MB say: a pass refuses a file that goes on
    otherwise.

    Examples
    --------
    >>> from steelfast.chunks import Table
    >>> with open("plates.csv", "w") as file:
    ...     _ = file.write("length,width,fault\\n5,1,Bumps\\n2,2,Stains\\n7,1,Bumps\\n")
    >>> table = Table("plates.csv", "fault", chunk_rows=2)
    >>> for X, y in table.chunks():
    ...     print(X.tolist(), y.tolist())
    [[5.0, 1.0], [2.0, 2.0]] ['Bumps', 'Stains']
    [[7.0, 1.0]] ['Bumps']
    >>> table.n_rows, table.classes().tolist()
    (3, ['Bumps', 'Stains'])
    """

    def __init__(
        self,
        paths: Paths,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        chunk_rows: int = 50_000,
        buffer_rows: int = 200_000,
        dtype: DTypeLike = "float64",
    ) -> None:
        self.target = target if isinstance(target, str) else list(target)
        self._of_target = [self.target] if isinstance(self.target, str) else self.target
        self.chunk_rows = as_count(chunk_rows, "chunk_rows", 1)
        self.buffer_rows = as_count(buffer_rows, "buffer_rows", 0)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float64, np.float32):
            raise ValueError(f"dtype must be float64 or float32, got {self.dtype}")
        self._files = [_File(path) for path in _found(paths)]
        if features is None:
            features = [name for name in self._files[0].columns if name not in self._of_target]
        if isinstance(features, str):  # a sequence of letters otherwise
            raise TypeError(f"features must be a sequence of names, got {features!r:.60}")
        self.features = list(features)
        if not self.features or not self._of_target:
            raise ValueError(f"a table needs features and a target, got {self.features} and {self._of_target}")
        for what, names in ("features", self.features), ("target", self._of_target):
            if again := [name for k, name in enumerate(names) if name in names[:k]]:
                raise ValueError(f"{what} must name each column once, got {again[0]!r} again")
        if both := set(self.features) & set(self._of_target):
            raise ValueError(f"features must not have the target, got {', '.join(sorted(both))}")
        for file in self._files:
            file.check(
                [*self.features, *self._of_target],
                self.features if isinstance(self.target, str) else [*self.features, *self.target],
            )
        self._class_dtype = _common_dtype(self._files, self.target) if isinstance(self.target, str) else np.dtype(str)
        counts = [file.n_rows for file in self._files]
        self.n_rows = None if None in counts else sum(filter(None, counts))

    def chunks(self, seed: int | Sequence[int] | None = None) -> Iterator[tuple[Array, Array]]:
        """All rows once, in chunks.

        Parameters
        ----------
        seed : int or sequence of int, optional
            Shuffle, always in the same way for the same seed; take another one for each epoch. In the order of the
            files if not given.

        Yields
        ------
        X : ndarray of shape (n, n_features)
        y : ndarray of shape (n,)
            New in each chunk. n is at most `chunk_rows`.

        Notes
        -----
        The shuffle is not uniform: files, and of Parquet their row groups, come in random order, and go through a
        buffer of `buffer_rows` from which each chunk is drawn at random. A row may come much later than its turn, but
        no earlier than by the length of the buffer. Where rows are sorted, as by class, that is enough only with row
        groups that are many and small; else write them in a truly random order first, see `write_shuffled`.
        """
        if seed is None:
            yield from self._in_order(self._pieces(), self.features)
            return
        rng = np.random.default_rng(seed)
        pieces = self._pieces()
        chunks = self._in_order([pieces[k] for k in rng.permutation(len(pieces))], self.features)
        yield from self._mixed(chunks, rng) if self.buffer_rows else chunks

    def classes(self) -> Array:
        """The classes that occur, sorted; reads the target of all rows."""
        found = np.empty(0)
        for number, (_, y) in enumerate(self._in_order(self._pieces(), [])):
            found = np.unique(np.concatenate([found, y]) if number else y)
        self._check_not_empty()
        return found

    def write_shuffled(self, path: str | os.PathLike[str], *, seed: int = 0, progress: bool | None = None) -> None:
        """Write the rows to a Parquet file in random order, however many there are.

        Any order is as likely as any other: each row is thrown into one of many parts on disk, and then each part is
        shuffled in memory. A part that is too large for that is thrown into parts once more, so that there is no limit
        but the disk: at most 256 parts are open at a time, and some 64 MB of rows are in memory besides a chunk. A
        table of more than 16 GB is so written twice before it is shuffled.

        Parameters
        ----------
        path : str or path-like
            The file, .parquet; beside it there must be room for a second copy meanwhile. Has the columns of this table.
            A link stays a link.
        seed : int, default 0
        progress : bool, optional
            As for `fit`.

        Examples
        --------
        >>> from steelfast.chunks import Table
        >>> with open("plates.csv", "w") as file:
        ...     _ = file.write("length,fault\\n" + "".join(f"{k},Bumps\\n" for k in range(5)))
        >>> Table("plates.csv", "fault").write_shuffled("shuffled.parquet")
        >>> [(X, y)] = Table("shuffled.parquet", "fault").chunks()
        >>> sorted(X.ravel().tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0]
        """
        path = Path(path)
        if path.suffix != ".parquet":
            raise ValueError(f"path must end in .parquet, got {path}")
        rng = np.random.default_rng(as_count(seed, "seed", 0))
        check_writable(path)
        target = Path(os.path.realpath(path))  # a link stays a link
        if target.exists() and not target.is_file():
            raise ValueError(f"path must name a file, got {path}, which is a device or a pipe")
        n_bytes = sum(file.n_bytes for file in self._files)
        with (
            written_whole(target.parent) as folder,
            TemporaryDirectory(dir=target.parent) as beside,
            _bars(progress) as bar,
        ):
            step = bar("Into parts", self.n_rows)
            no_rows = self._as_batch(np.empty((0, len(self.features)), self.dtype), np.empty(0, self._class_dtype))
            schema = no_rows.schema
            parts = _thrown(self._batches(step), schema, Path(beside, "part"), _n_parts(n_bytes), rng)
            self._check_not_empty()
            step = bar("Shuffled", self.n_rows)
            with parquet.ParquetWriter(folder / target.name, schema, use_dictionary=self._of_target) as out:
                for rows in chain.from_iterable(_shuffled(part, rng) for part in parts):
                    out.write_table(rows, row_group_size=self.chunk_rows)
                    step(len(rows), "")

    def _check_not_empty(self) -> None:
        """After a pass."""
        if not self.n_rows:
            raise ValueError(f"{self._files[0].path} has no rows")

    def _pieces(self) -> list[tuple[_File, int]]:
        return [(file, number) for file in self._files for number in range(file.n_pieces)]

    def _in_order(self, pieces: Sequence[tuple[_File, int]], features: Sequence[str]) -> Iterator[tuple[Array, Array]]:
        """The rows of the pieces, always `chunk_rows` of them."""
        n_rows = n = 0
        X, y = np.empty((self.chunk_rows, len(features)), self.dtype), []
        for file, number in pieces:
            for batch in file.batches(number, [*features, *self._of_target], features, self.chunk_rows):
                n_rows += len(batch)
                for part in (batch[: self.chunk_rows - n], *_slices(batch, self.chunk_rows - n, self.chunk_rows)):
                    for j, name in enumerate(features):
                        _put(part.column(name).to_numpy(zero_copy_only=False), X[n : n + len(part), j], name, file)
                    y.append(self._classes_of(part, file))
                    n += len(part)
                    if n == self.chunk_rows:
                        yield X, np.concatenate(y)
                        n, X, y = 0, np.empty_like(X), []
        if n:
            yield X[:n], np.concatenate(y)
        self.n_rows = n_rows

    def _classes_of(self, batch: pa.RecordBatch, file: _File) -> Array:
        if not isinstance(self.target, str):
            one_hot = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in self.target])
            if not ((one_hot == 0) | (one_hot == 1)).all() or (one_hot.sum(axis=1) != 1).any():
                raise ValueError(f"{file.path} must have one 1 in each row, else 0, in {', '.join(self.target)}")
            names: Array = np.array(self.target)[one_hot.argmax(axis=1)]
            return names
        column = batch.column(self.target)
        if column.null_count:
            raise ValueError(f"{file.path} must have a class in each row, but {self.target!r} is empty in some")
        if _is_text(column.type):
            column = column.dictionary_encode()  # few texts to make Python's of
        if pa.types.is_dictionary(column.type):
            values = column.dictionary.to_pylist()
            of_rows: Array = np.array(values)[column.indices.to_numpy()]
            if "" in values and (of_rows == "").any():
                raise ValueError(f"{file.path} must have a class in each row, but {self.target!r} is empty in some")
        else:
            of_rows = column.to_numpy(zero_copy_only=False)
        if self._class_dtype.kind != "U":  # texts have lengths
            of_rows = of_rows.astype(self._class_dtype, copy=False)
        if self._class_dtype.kind == "f" and np.isnan(of_rows).any():
            raise ValueError(f"{file.path} must have a class in each row, but {self.target!r} is NaN in some")
        return of_rows

    def _batches(self, step: _Step) -> Iterator[pa.RecordBatch]:
        for X, y in self.chunks():
            yield self._as_batch(X, y)
            step(len(X), "")

    def _as_batch(self, X: Array, y: Array) -> pa.RecordBatch:
        columns = dict(zip(self.features, X.T, strict=True))
        if isinstance(self.target, str):
            columns[self.target] = y
        else:
            columns |= {name: (y == name).astype(np.int8) for name in self.target}
        return pa.RecordBatch.from_pydict({name: pa.array(column) for name, column in columns.items()})

    def _mixed(self, chunks: Iterator[tuple[Array, Array]], rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """What is drawn from a buffer, whose places the next rows take."""
        X_held, y_held = np.empty((self.buffer_rows, len(self.features)), self.dtype), np.empty(0)
        n_held = 0
        for X, y in chunks:
            if n_held == 0:
                y_held = np.empty(self.buffer_rows, y.dtype)
            elif y.dtype != y_held.dtype:  # longer names
                y_held = y_held.astype(np.promote_types(y.dtype, y_held.dtype))
            n_new = min(len(X), self.buffer_rows - n_held)
            X_held[n_held : n_held + n_new], y_held[n_held : n_held + n_new] = X[:n_new], y[:n_new]
            n_held += n_new
            for start in range(n_new, len(X), self.buffer_rows):
                rows = slice(start, start + self.buffer_rows)
                places = rng.choice(self.buffer_rows, len(X[rows]), replace=False)
                drawn = X_held[places], y_held[places]
                X_held[places], y_held[places] = X[rows], y[rows]
                yield drawn
        order = rng.permutation(n_held)
        for start in range(0, n_held, self.chunk_rows):
            places = order[start : start + self.chunk_rows]
            yield X_held[places], y_held[places]


class _File:
    """A file of a table: its columns, and pieces that can be read in any order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_parquet = path.suffix == ".parquet"
        if not (self._is_parquet or path.name.endswith((".csv", ".csv.gz"))):
            raise ValueError(f"{path} must be .csv, .csv.gz or .parquet")
        self.n_rows: int | None = None
        self.n_pieces = 1
        self.n_bytes = path.stat().st_size * (10 if path.suffix == ".gz" else 1)  # of its rows, roughly
        with self._naming():
            if self._is_parquet:
                with parquet.ParquetFile(path) as file:
                    schema, self.n_rows, self.n_pieces = file.schema_arrow, file.metadata.num_rows, file.num_row_groups
                self.n_bytes = 8 * self.n_rows * len(schema)
            else:
                with csv.open_csv(path, csv.ReadOptions(block_size=_CSV_BLOCK)) as reader:
                    schema = reader.schema
            self._names = schema.names
            self.columns = dict(zip(self._names, schema.types, strict=True))

    def check(self, names: Sequence[str], numbers: Sequence[str]) -> None:
        """Refuse a file that lacks a column or has it twice, or has no numbers where there must be."""
        for name in names:
            if name not in self.columns:
                raise ValueError(f"{self.path} has no column {name!r}; it has {', '.join(self.columns)}")
            if (count := self._names.count(name)) > 1:
                raise ValueError(f"{self.path} has {count} columns {name!r}, wanted one")
        for name in numbers:
            found = self.columns[name]
            is_number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found)
            if not is_number and not pa.types.is_null(found):
                raise ValueError(f"the column {name!r} of {self.path} must hold numbers, got {found}")

    def batches(self, number: int, columns: list[str], floats: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of a piece, these columns of them."""
        with self._naming():
            if self._is_parquet:
                # with a buffer, or whole columns of a row group are read at once
                with parquet.ParquetFile(self.path, buffer_size=_COLUMN_BUFFER) as file:
                    yield from file.iter_batches(n_rows, row_groups=[number], columns=columns)
                return
            options = csv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(floats, pa.float64()),  # what begins with whole numbers may go on otherwise
            )
            with csv.open_csv(self.path, csv.ReadOptions(block_size=_CSV_BLOCK), convert_options=options) as reader:
                yield from reader

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Errors of pyarrow in one line, with the file."""
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if getattr(error, "errno", None) is not None:  # the system's; those on what is in a file have no number
                raise
            raise ValueError(f"{self.path} cannot be read: {str(error).splitlines()[0]}") from error


def _found(paths: Paths) -> list[Path]:
    found: list[Path] = []
    for each in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = os.fspath(each)
        matching = [path] if Path(path).is_file() else sorted(glob(path))
        if not matching:
            raise FileNotFoundError(f"there is no file {path}")
        for one in map(Path, matching):
            if one.is_dir():
                raise IsADirectoryError(f"paths must name files, got the directory {one}")
            found.append(one)
    if not found:
        raise ValueError("paths must name at least one file, got none")
    return found


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def _common_dtype(files: Sequence[_File], target: str) -> np.dtype[Any]:
    """That of the classes, wide enough for all files; of texts no length."""
    common, path = None, None
    for file in files:
        found = file.columns[target]
        if pa.types.is_dictionary(found):
            found = found.value_type
        if pa.types.is_null(found):
            continue  # it has no rows, or what a pass refuses
        is_number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found)
        if not is_number and not _is_text(found):
            raise ValueError(
                f"the column {target!r} of {file.path} must hold texts, integers, floats or booleans, got {found}"
            )
        dtype = np.dtype(found.to_pandas_dtype()) if is_number else np.dtype(str)
        if common is None:
            common, path = dtype, file.path
            continue
        wider = np.promote_types(common, dtype)
        if len({each.kind.replace("u", "i") for each in (common, dtype, wider)}) > 1:
            raise ValueError(
                f"the column {target!r} must hold classes of one type in all files, "
                f"got {_name_of(common)} in {path} and {_name_of(dtype)} in {file.path}"
            )
        common = wider
    return np.dtype(str) if common is None else common


def _name_of(dtype: np.dtype[Any]) -> str:
    return "texts" if dtype.kind == "U" else dtype.name


def _slices(batch: pa.RecordBatch, start: int, n: int) -> list[pa.RecordBatch]:
    return [batch[k : k + n] for k in range(start, len(batch), n)]


def _put(values: Array, into: Array, name: str, file: _File) -> None:
    try:
        with np.errstate(over="raise"):
            into[...] = values
    except FloatingPointError:
        finite = values[np.isfinite(values)]
        raise ValueError(
            f"the column {name!r} of {file.path} must hold numbers within {into.dtype}, "
            f"got {finite[np.abs(finite).argmax()]}"
        ) from None


class _Part(NamedTuple):
    """Rows in a file that is there only while others are shuffled."""

    path: Path
    n_rows: int
    n_bytes: int


def _n_parts(n_bytes: int) -> int:
    return min(_MOST_PARTS, 1 + n_bytes // _PART) if n_bytes > 2 * _PART else 1


def _thrown(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, stem: Path, n_parts: int, rng: np.random.Generator
) -> list[_Part]:
    """Each row in one of the parts, all with the same chance; those that have any."""
    paths = [stem.with_name(f"{stem.name}-{k}") for k in range(n_parts)]
    n_rows, n_bytes = np.zeros(n_parts, np.int64), np.zeros(n_parts, np.int64)
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(path, schema)) for path in paths]
        for batch in batches:
            part_of = rng.integers(n_parts, size=len(batch))
            sorted_batch = batch.take(pa.array(np.argsort(part_of, kind="stable")))
            counts = np.bincount(part_of, minlength=n_parts)
            for k, stop in zip(counts.nonzero()[0], counts.cumsum()[counts > 0], strict=True):
                rows = sorted_batch[stop - counts[k] : stop]
                writers[k].write_batch(rows)
                n_bytes[k] += rows.nbytes
            n_rows += counts
    return [_Part(*each) for each in zip(paths, n_rows.tolist(), n_bytes.tolist(), strict=True) if each[1]]


def _shuffled(part: _Part, rng: np.random.Generator) -> Iterator[pa.Table]:
    """The rows of a part, as many at a time as are shuffled in memory; the file is gone then."""
    n_parts = min(part.n_rows, _n_parts(part.n_bytes))
    # a path would be mapped into memory, as a whole
    with pa.OSFile(str(part.path)) as file, pa.ipc.open_stream(file) as stream:
        if n_parts == 1:
            rows, smaller = stream.read_all(), []
        else:
            rows, smaller = None, _thrown(stream, stream.schema, part.path, n_parts, rng)
    part.path.unlink()
    if rows is not None:
        yield rows.take(pa.array(rng.permutation(len(rows))))
    for each in smaller:
        yield from _shuffled(each, rng)


def fit(
    classifier: _Classifier,
    table: Table,
    *,
    n_epochs: int = 1,
    seed: int = 0,
    classes: ArrayLike | None = None,
    transform: Callable[[Array], Array] | None = None,
    progress: bool | None = None,
) -> _Classifier:
    """Learn from a table of any size, chunk by chunk, by `partial_fit`.

    Parameters
    ----------
    classifier : SteelClassifier
        Goes on from what it learned before, with its classes.
    table : Table
    n_epochs : int, default 1
        Passes over all rows. On millions of them a linear model has learned most after one.
    seed : int, default 0
        Shuffles each pass anew, as `Table.chunks` describes.
    classes : array-like, optional
        All classes. If not given, those of the classifier if it is fitted, else a pass over the target finds them.
    transform : callable, optional
        What is done to the features of each chunk, such as the method of a fitted ``StandardScaler``.
    progress : bool, optional
        Show a bar on stderr; if not given, where that is a terminal. Needs rich.

    Returns
    -------
    classifier : SteelClassifier

    Raises
    ------
    ValueError
        As `Table.chunks` and `steelfast.SteelClassifier.partial_fit`; what was learned of the chunks before stays.

    Notes
    -----
    The classifier takes means and scales of the features from its first chunk, which is as random as the shuffle. For
    those of all rows, have a scaler learn them in a pass of its own, give its ``transform``, and set
    ``standardize=False``. With a ``schedule``, set the classifier's `max_epochs` to the number of all chunks.

    Examples
    --------
    >>> from steelfast import SteelClassifier
    >>> from steelfast.chunks import Table, fit
    >>> with open("plates.csv", "w") as file:
    ...     _ = file.write("length,width,fault\\n" + 1000 * "5,1,Bumps\\n2,2,Stains\\n")
    >>> model = fit(SteelClassifier(random_state=0), Table("plates.csv", "fault"))
    >>> model.predict([[5.0, 1.0]]).tolist()
    ['Bumps']
    """
    n_epochs = as_count(n_epochs, "n_epochs", 1)
    seed = as_count(seed, "seed", 0)
    if classes is None:
        classes = classifier.classes_ if classifier.__sklearn_is_fitted__() else table.classes()
    with _bars(progress) as bar:
        for epoch in range(n_epochs):
            step = bar(f"Epoch {epoch + 1} of {n_epochs}", table.n_rows)
            for X, y in table.chunks((seed, epoch)):
                classifier.partial_fit(X if transform is None else transform(X), y, classes)
                last = classifier.history_[-1]
                step(len(X), f"loss {last['loss']:.3f}  accuracy {last['accuracy']:.3f}")
            table._check_not_empty()
    return classifier


def _bars(progress: bool | None) -> AbstractContextManager[Callable[[str, int | None], _Step]]:
    """What it gives starts a bar for so many rows."""
    if progress is None:
        progress = sys.stderr.isatty()
    return _shown_bars() if progress else nullcontext(lambda description, total: lambda n_rows, figures: None)


@contextmanager
def _shown_bars() -> Iterator[Callable[[str, int | None], _Step]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True),
    ) as bars:

        def bar(description: str, total: int | None) -> _Step:
            task = bars.add_task(description, total=total, figures="")
            return lambda n_rows, figures: bars.update(task, advance=n_rows, figures=figures)

        yield bar
