"""The Steel Plates Faults table: read it, fetch it, or draw its statistical twin.

A file is believed only after every cell has been checked; a download and a cached file only after
their checksum has. Importing this module needs NumPy alone and touches neither disk nor network.
"""

from __future__ import annotations

import codecs
import csv
import html
import io
import math
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, overload
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

__all__ = [
    "CLASS_NAMES",
    "FEATURE_NAMES",
    "UCI",
    "DataSource",
    "SteelPlates",
    "TwinDataWarning",
    "cache_path",
    "fetch_steel_plates",
    "find_steel_plates",
    "load_steel_plates",
    "read_features",
    "read_steel_plates",
]

#: The 27 features, in the order of the columns.
FEATURE_NAMES = (
    "X_Minimum",
    "X_Maximum",
    "Y_Minimum",
    "Y_Maximum",
    "Pixels_Areas",
    "X_Perimeter",
    "Y_Perimeter",
    "Sum_of_Luminosity",
    "Minimum_of_Luminosity",
    "Maximum_of_Luminosity",
    "Length_of_Conveyer",
    "TypeOfSteel_A300",
    "TypeOfSteel_A400",
    "Steel_Plate_Thickness",
    "Edges_Index",
    "Empty_Index",
    "Square_Index",
    "Outside_X_Index",
    "Edges_X_Index",
    "Edges_Y_Index",
    "Outside_Global_Index",
    "LogOfAreas",
    "Log_X_Index",
    "Log_Y_Index",
    "Orientation_Index",
    "Luminosity_Index",
    "SigmoidOfAreas",
)
#: The 7 kinds of fault, in the order of the columns.
CLASS_NAMES = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")

_COLUMN_NAMES = FEATURE_NAMES + CLASS_NAMES
_FEATURES_SUFFICE = f"{len(_COLUMN_NAMES)}, or {len(FEATURE_NAMES)} without the classes"
_ALIASES = {"K_Scratch": "K_Scatch"}
_UCI_MEMBER = "Faults.NNA"
_DATA_VARIABLE = "STEELFAST_DATA"

_N_INTEGER_FEATURES = 14  # the first fourteen features are whole numbers, the rest have 4 decimals
# Of the seeds 0 to 9 the one whose plates are as hard as the real ones: logistic regression gets
# 0.716 of either right in ten-fold cross-validation, the mean over four shufflings.
_TWIN_SEED = 7

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class TwinDataWarning(UserWarning):
    """The real table could not be had: what was loaded is the synthetic twin."""


@dataclass(frozen=True)
class DataSource:
    """Where a table comes from, how to know it again, and whom to cite for it."""

    url: str
    sha256: str
    csv_sha256: str
    licence: str
    doi: str
    citation: str


#: The real table, at UCI.
UCI = DataSource(
    url="https://archive.ics.uci.edu/static/public/198/steel+plates+faults.zip",
    sha256="cb8eb9859198b63f053e443513036b401746fa517ef58bd17c846c6741c93919",
    csv_sha256="315b45ecd2b7ab441335dc83efa0daed49eb97e6eee59f9612b4b7a1048aeb03",
    licence="CC BY 4.0",
    doi="10.24432/C5J88N",
    citation=(
        "Buscema, M., Terzi, S. and Tastle, W. (2010). Steel Plates Faults. "
        "UCI Machine Learning Repository. https://doi.org/10.24432/C5J88N"
    ),
)
_REAL_DESCRIPTION = f"Faults of steel plates, measured. {UCI.citation}. Licence: {UCI.licence}."
_TWIN_DESCRIPTION = (
    "Synthetic: a statistical twin of the Steel Plates Faults table, drawn from its per-class "
    f"quantiles and rank correlations; no row was measured. After {UCI.citation}."
)


@dataclass(frozen=True, eq=False, repr=False)
class SteelPlates:
    """Steel plates with their measured features and the kind of their fault.

    Attributes
    ----------
    data : float64 array of shape (n_plates, 27)
        The features, rows in the order of the file.
    target : int64 array of shape (n_plates,)
        Index of each plate's fault in `target_names`.
    feature_names, target_names : tuple of str
        Names of the 27 features and of the 7 kinds of fault.
    source : {"file", "cache", "uci", "twin"}
        A file that was named, the cached download, a fresh download, or the synthetic twin.
    path : Path or None
        The file that was read; None for the twin.
    description : str
        What the plates are, the citation and the licence.
    """

    data: FloatArray
    target: IntArray
    source: Literal["file", "cache", "uci", "twin"]
    path: Path | None
    description: str
    feature_names: tuple[str, ...] = FEATURE_NAMES
    target_names: tuple[str, ...] = CLASS_NAMES

    @property
    def is_twin(self) -> bool:
        """Whether the plates are synthetic."""
        return self.source == "twin"

    @property
    def one_hot(self) -> FloatArray:
        """The targets as a float64 array of shape (n_plates, 7), one 1 in a row."""
        return np.eye(len(self.target_names))[self.target]

    def __repr__(self) -> str:
        n_plates, n_features = self.data.shape
        origin = "synthetic twin" if self.path is None else f"{self.source}: {self.path}"
        return f"<SteelPlates: {n_plates} plates, {n_features} features, {origin}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the same, and how many plates there are of each class."""
        counts = np.bincount(self.target, minlength=len(self.target_names))
        names, numbers = (
            "".join(f"<td>{each}</td>" for each in row) for row in (map(html.escape, self.target_names), counts)
        )
        return f"<p>{html.escape(repr(self)[1:-1])}</p><table><tr>{names}</tr><tr>{numbers}</tr></table>"


# ---------------------------------------------------------------------------------- load


@overload
def load_steel_plates(
    path: str | os.PathLike[str] | None = None,
    *,
    return_X_y: Literal[False] = False,
    source: Literal["auto", "uci", "twin"] = "auto",
) -> SteelPlates: ...
@overload
def load_steel_plates(
    path: str | os.PathLike[str] | None = None,
    *,
    return_X_y: Literal[True],
    source: Literal["auto", "uci", "twin"] = "auto",
) -> tuple[FloatArray, IntArray]: ...
def load_steel_plates(
    path: str | os.PathLike[str] | None = None,
    *,
    return_X_y: bool = False,
    source: Literal["auto", "uci", "twin"] = "auto",
) -> SteelPlates | tuple[FloatArray, IntArray]:
    """Load the Steel Plates Faults table: 1941 plates, 27 features, 7 kinds of fault.

    Parameters
    ----------
    path : str or path-like, optional
        A file to read, in any form that `read_steel_plates` takes.
    return_X_y : bool, default False
        Return ``(data, target)`` instead of a `SteelPlates`.
    source : {"auto", "uci", "twin"}, default "auto"
        "auto" takes the first of these that there is: `path`, the file that the environment
        variable STEELFAST_DATA names, the cached download, a download from UCI, the twin.
        "uci" insists on the real table, from the cache or from UCI.
        "twin" insists on the synthetic twin, and needs neither file nor network.

    Returns
    -------
    SteelPlates, or (data, target)
        float64 features of shape (n, 27) and int64 targets of shape (n,), in the file's order.
        The file is sorted by class: shuffle before splitting.

    Raises
    ------
    ValueError
        If `source` is unknown, if a `path` comes with a `source` other than "auto", or if the file
        is not a sound table.
    FileNotFoundError
        If the file named by `path` or STEELFAST_DATA does not exist.
    OSError, ModuleNotFoundError
        With "uci", if the table is not cached and cannot be downloaded.

    Warns
    -----
    TwinDataWarning
        If "auto" had to fall back to the twin; the message says why and what to do.

    Notes
    -----
    The twin stands in where the real table cannot be had. It has the same shape, class counts and
    column types, its quantiles and rank correlations within each class are those of the real table
    up to sampling, and a linear classifier does about as well on it (0.716). It is synthetic:
    nothing found on it is a finding about steel.

    Examples
    --------
    >>> from steelfast.datasets import load_steel_plates
    >>> plates = load_steel_plates(source="twin")
    >>> plates
    <SteelPlates: 1941 plates, 27 features, synthetic twin>
    >>> plates.target_names[plates.target[0]]
    'Pastry'
    """
    if source not in ("auto", "uci", "twin"):
        raise ValueError(f'source must be "auto", "uci" or "twin", got {source!r}')
    if path is not None and source != "auto":
        raise ValueError(f'a path goes with source="auto" only, got source={source!r} and a path')
    plates = _load(path, source)
    return (plates.data, plates.target) if return_X_y else plates


def _load(path: str | os.PathLike[str] | None, source: Literal["auto", "uci", "twin"]) -> SteelPlates:
    if source == "twin":
        return _draw_twin()
    if path is None and source == "auto":
        path = _named_file()
    if path is not None:
        return read_steel_plates(path)
    try:
        cached = _cached_file()
        if cached is not None:
            return replace(read_steel_plates(cached), source="cache")
        return replace(read_steel_plates(fetch_steel_plates()), source="uci")
    except (OSError, ImportError) as error:
        if source == "uci":
            raise
        warnings.warn(
            f"{error} What is loaded now is the statistical twin: 1941 synthetic plates.",
            TwinDataWarning,
            stacklevel=3,
        )
    return _draw_twin()


def find_steel_plates() -> Path | None:
    """Find the real table on this machine, without the network.

    Returns
    -------
    Path or None
        The file that STEELFAST_DATA names, else the cached download if it is there and whole,
        else None.

    Raises
    ------
    FileNotFoundError
        If STEELFAST_DATA names a file that does not exist.

    Examples
    --------
    >>> from steelfast.datasets import find_steel_plates
    >>> path = find_steel_plates()
    >>> path is None or path.exists()
    True
    """
    return _named_file() or _cached_file()


def _named_file() -> Path | None:
    name = os.environ.get(_DATA_VARIABLE)
    if not name:
        return None
    if not Path(name).exists():
        raise FileNotFoundError(f"{_DATA_VARIABLE} names {name}, which does not exist")
    return Path(name)


# --------------------------------------------------------------------------------- fetch


def fetch_steel_plates(*, timeout: float = 9.0) -> Path:
    """Download the table from UCI into the cache, unless it is there already.

    Parameters
    ----------
    timeout : float, default 9.0
        Seconds after which to give up, all in all: name lookup, connection and transfer.

    Returns
    -------
    Path
        UCI's zip file in the cache, its checksum verified; `read_steel_plates` reads it.

    Raises
    ------
    ValueError
        If `timeout` is not a positive number.
    ModuleNotFoundError
        If the table is not cached and pooch, which downloads it, is not installed.
    OSError
        If the download fails, takes too long or has the wrong checksum, or if the cache cannot be
        written. The message says how to put the file there by hand.

    Notes
    -----
    The cache is the directory that the environment variable STEELFAST_CACHE names; else
    ``steelfast`` in ``%LOCALAPPDATA%`` on Windows, in ``~/Library/Caches`` on macOS, and in
    ``$XDG_CACHE_HOME`` or ``~/.cache`` elsewhere. The file is written beside its place and then
    renamed, so that it is there whole or not at all. A cached file with the wrong checksum is
    never used; a good download replaces it.

    Examples
    --------
    >>> from steelfast.datasets import fetch_steel_plates, read_steel_plates
    >>> plates = read_steel_plates(fetch_steel_plates())  # doctest: +SKIP
    """
    if not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout!r}")
    target = cache_path()
    try:
        if _cached_file() is None:
            content = _download(UCI.url, timeout)
            if _sha256(content) != UCI.sha256:
                raise OSError(f"what came has another sha256, {_sha256(content)}")
            _write(target, content)
    except ModuleNotFoundError as error:
        reason = f'{error.name} is not installed (pip install "steelfast[cli]" brings it)'
        raise ModuleNotFoundError(_advice(reason, target), name=error.name) from error
    except OSError as error:
        raise OSError(_advice(str(error), target)) from error
    return target


def cache_path() -> Path:
    """Name the file in which `fetch_steel_plates` keeps the download, whether it is there or not.

    Returns
    -------
    Path
        ``steel+plates+faults.zip`` in the cache directory; see `fetch_steel_plates`.

    Examples
    --------
    >>> from steelfast.datasets import cache_path
    >>> cache_path().name
    'steel+plates+faults.zip'
    """
    directory = os.environ.get("STEELFAST_CACHE")
    if not directory:
        if sys.platform == "win32":
            parent = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            parent = Path.home() / "Library" / "Caches"
        else:
            parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = os.path.join(parent, "steelfast")
    return Path(directory) / UCI.url.rpartition("/")[2]


def _cached_file() -> Path | None:
    """The download in the cache, if it is there and whole."""
    path = cache_path()
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return path if _sha256(content) == UCI.sha256 else None


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _advice(reason: str, target: Path) -> str:
    damaged = "The file in the cache is damaged (its sha256 is wrong) and was not used. "
    return (
        f"The Steel Plates Faults table could not be fetched: {reason}. "
        f"{damaged if target.exists() else ''}To put it there by hand, save {UCI.url} "
        f"(sha256 {UCI.sha256}) as {target}, or name a copy in the environment variable "
        f"{_DATA_VARIABLE}."
    )


def _download(url: str, timeout: float) -> bytes:
    """Get `url` within `timeout` seconds in all, or raise an OSError with a short text.

    The time limits of sockets cover neither a name lookup that hangs nor a server that sends a
    byte now and then, so the download runs in a thread of its own, which can be left behind.
    """
    import threading
    from concurrent.futures import Future

    import pooch  # type: ignore[import-untyped]
    import requests

    done: Future[None] = Future()

    def download(buffer: io.BytesIO) -> None:
        try:
            # its own limit, for each step alone, is only there to end the thread some day
            pooch.HTTPDownloader(timeout=timeout + 1)(url, buffer, None)
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    # leaving the block closes the buffer, and with it ends a thread that still writes there
    with io.BytesIO() as buffer:
        threading.Thread(target=download, args=(buffer,), daemon=True).start()
        try:
            done.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"no complete answer within {timeout:g} seconds") from None
        except requests.HTTPError as error:
            if error.response is not None:
                error.response.close()
            raise
        except Exception as error:
            raise OSError(f"the download from {urlsplit(url).netloc} failed ({_innermost(error)})") from error
        return buffer.getvalue()


def _innermost(error: BaseException) -> str:
    """What the matter was in the end: the texts of the errors around it run over many lines."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    from tempfile import TemporaryDirectory

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_bytes(content)
        part.replace(path)


# ---------------------------------------------------------------------------------- read


def read_steel_plates(path: str | os.PathLike[str]) -> SteelPlates:
    """Read a table of steel plates with their faults.

    Parameters
    ----------
    path : str or path-like
        One of these, told apart by content: a CSV file whose header holds the 34 column names, in
        any order; UCI's ``Faults.NNA``, 34 columns separated by tabs or spaces, without a header;
        UCI's zip file. UTF-8; a byte-order mark, CRLF and blank lines at the end are accepted, and
        so is ``K_Scratch`` for ``K_Scatch``.

    Returns
    -------
    SteelPlates
        With ``source="file"`` and the rows in the order of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no file at `path`.
    ValueError
        If a column is missing, unknown or named twice, if a line has too few or too many cells, if
        a cell is not a finite number, if a class cell is neither 0 nor 1, if a row has no class or
        several, if there are no rows, or if the file is not text. The message names file, line and
        column, counted from 1.

    Examples
    --------
    >>> from steelfast.datasets import read_steel_plates
    >>> plates = read_steel_plates("faults.csv")  # doctest: +SKIP
    """
    path = Path(path)
    table = _parse(*_contents(path), labelled=True)
    data, classes = np.split(table, [len(FEATURE_NAMES)], axis=1)
    target = classes.argmax(axis=1).astype(np.int64)
    return SteelPlates(data.copy(), target, "file", path, _REAL_DESCRIPTION)


def read_features(file: str | os.PathLike[str] | IO[str] | IO[bytes]) -> FloatArray:
    """Read the features of steel plates whose faults need not be known.

    Parameters
    ----------
    file : str, path-like, or file object
        As for `read_steel_plates`, but the 27 feature columns suffice; "-" is standard input.

    Returns
    -------
    float64 array of shape (n_plates, 27)
        The features in the order of `FEATURE_NAMES`, rows in the order of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        As for `read_steel_plates`; class columns that are there are checked too.

    Examples
    --------
    >>> import io
    >>> from steelfast.datasets import FEATURE_NAMES, read_features
    >>> plate = ["0.5"] * 27
    >>> read_features(io.StringIO(",".join(FEATURE_NAMES) + "\\n" + ",".join(plate))).shape
    (1, 27)
    """
    if file == "-":
        file = sys.stdin
    if isinstance(file, (str, os.PathLike)):
        content, name = _contents(Path(file))
    else:
        # the bytes below a text stream, where it has any, do not depend on the locale
        received: str | bytes = getattr(file, "buffer", file).read()
        if isinstance(received, str):
            received = received.encode(errors="surrogatepass")
        content = received
        name = str(getattr(file, "name", "<stream>"))
    return _parse(content, name, labelled=False)[:, : len(FEATURE_NAMES)].copy()


def _contents(path: Path) -> tuple[bytes, str]:
    """The bytes of the table, and the name to give it in messages."""
    import zipfile
    import zlib

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory, wanted a file of steel plates")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    if not content.startswith(b"PK\x03\x04"):
        return content, str(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(_UCI_MEMBER), f"{path}/{_UCI_MEMBER}"
    except KeyError:
        raise ValueError(f"{path} is a zip file without {_UCI_MEMBER} in it") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is a damaged zip file: {error}") from error


def _parse(content: bytes, name: str, *, labelled: bool) -> FloatArray:
    """The checked table with its columns in the order of the names; 27 will do if not labelled.

    A blank line in the middle is refused: it is the trace of an accident, and what else was lost
    with it cannot be told. So line and row numbers differ by a constant.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{name} is text in UTF-16, wanted UTF-8")
    text = content.decode("utf-8-sig", "surrogateescape")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{name} is empty, wanted a table of steel plates")

    separator = "," if "," in lines[0] else "\t" if "\t" in lines[0] else None
    first_row = _split(lines[0], separator, name, 1)
    columns: Sequence[str]
    if separator == ",":
        columns = _header(first_row, name, labelled=labelled)
    elif not labelled and len(first_row) == len(FEATURE_NAMES):
        columns = FEATURE_NAMES
    elif not labelled and len(first_row) != len(_COLUMN_NAMES) and any(map(str.strip, first_row)):
        raise _error(name, 1, f"{len(first_row)} columns, wanted {_FEATURES_SUFFICE}")
    else:
        columns = _COLUMN_NAMES
    first_line = 2 if separator == "," else 1

    rows = [
        _row(_split(line, separator, name, number), columns, name, number)
        for number, line in enumerate(lines[first_line - 1 :], first_line)
    ]
    if not rows:
        raise ValueError(f"{name} has a header and no rows")
    order = [columns.index(column) for column in _COLUMN_NAMES[: len(columns)]]
    table = np.array(rows).take(order, axis=1)
    _check_classes(table[:, len(FEATURE_NAMES) :], order[len(FEATURE_NAMES) :], name, first_line)
    return table


def _split(line: str, separator: str | None, name: str, number: int) -> list[str]:
    if separator != ",":
        return line.split(separator)
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise _error(name, number, f"broken quotes ({error})") from None


def _header(cells: list[str], name: str, *, labelled: bool) -> list[str]:
    import difflib

    columns = [_ALIASES.get(cell.strip(), cell.strip()) for cell in cells]
    if not any(math.isnan(_number(cell)) for cell in cells):
        raise _error(name, 1, f"no header, wanted the column names {', '.join(_COLUMN_NAMES)}")
    for position, column in enumerate(columns):
        if column not in _COLUMN_NAMES:
            close = difflib.get_close_matches(column, _COLUMN_NAMES, n=1)
            problem = _unlike(cells[position], "the name of a column")
            hint = f", did you mean {close[0]}?" if close else ""
            raise _error(name, 1, problem + hint, position)
        if column in columns[:position]:
            raise _error(name, 1, "the column is there twice", position, column)
    some_classes = not set(columns).isdisjoint(CLASS_NAMES)
    wanted = _COLUMN_NAMES if labelled or some_classes else FEATURE_NAMES
    missing = [column for column in wanted if column not in columns]
    if missing:
        only_classes_missing = not labelled and set(missing) <= set(CLASS_NAMES)
        number = _FEATURES_SUFFICE if only_classes_missing else str(len(wanted))
        problem = f"{len(columns)} columns, wanted {number}: there is no {', '.join(missing)}"
        raise _error(name, 1, problem)
    return columns


def _row(cells: list[str], columns: Sequence[str], name: str, number: int) -> list[float]:
    if len(cells) != len(columns):
        if not any(map(str.strip, cells)):
            raise _error(name, number, "the line is blank")
        raise _error(name, number, f"{len(cells)} columns, wanted {len(columns)}")
    values = [_number(cell) for cell in cells]
    for position, value in enumerate(values):
        if math.isnan(value):
            problem = _unlike(cells[position], "a finite number")
            raise _error(name, number, problem, position, columns[position])
    return values


def _number(cell: str) -> float:
    """The finite number that a cell holds, or nan."""
    # float() alone would read 1_000 too, and the digits of other scripts
    if not cell.isascii() or "_" in cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _unlike(cell: str, wanted: str) -> str:
    """Say why a cell is not what was wanted."""
    if not cell.strip():
        return "the cell is empty"
    if any("\udc80" <= character <= "\udcff" for character in cell):
        return "the cell is not UTF-8"
    if "\0" in cell:
        return "the cell holds a NUL byte"
    return f"{cell[:40]!r} is not {wanted}"


def _check_classes(classes: FloatArray, positions: list[int], name: str, first_line: int) -> None:
    """Refuse a row whose classes are not six times 0 and once 1; no class columns are fine."""
    neither = (classes != 0) & (classes != 1)
    if neither.any():
        row, k = np.argwhere(neither)[0]
        problem = f"{classes[row, k]:g} is not 0 or 1"
        raise _error(name, first_line + row, problem, positions[k], CLASS_NAMES[k])
    wrong = classes.sum(axis=1) != 1
    if positions and wrong.any():
        row = int(wrong.argmax())
        marked = [
            f"column {position + 1} ({label})"
            for position, label, value in zip(positions, CLASS_NAMES, classes[row], strict=True)
            if value
        ]
        found = " and ".join(marked) or f"none of columns {', '.join(str(p + 1) for p in positions)}"
        raise _error(name, first_line + row, f"{found} marked, wanted one class")


def _error(name: str, line: int, problem: str, position: int | None = None, column: str = "") -> ValueError:
    place = f"{name}, line {line}"
    if position is not None:
        place += f", column {position + 1}" + (f" ({column})" if column else "")
    return ValueError(f"{place}: {problem}")


# ---------------------------------------------------------------------------------- twin


def _draw_twin(seed: int = _TWIN_SEED) -> SteelPlates:
    """Draw plates class by class from a Gaussian copula, sorted by class as the real ones are."""
    import json
    from importlib.resources import files

    summary = json.loads(files("steelfast._data").joinpath("steel_plates_summary.json").read_text("utf-8"))
    rng = np.random.default_rng(seed)
    levels = np.array(summary["quantile_levels"])
    data = np.concatenate([_draw_class(each, levels, rng) for each in summary["classes"]])
    target = np.repeat(np.arange(len(CLASS_NAMES)), [each["count"] for each in summary["classes"]])
    return SteelPlates(data, target, "twin", None, _TWIN_DESCRIPTION)


def _draw_class(summary: dict[str, Any], levels: FloatArray, rng: np.random.Generator) -> FloatArray:
    # The file holds the lower triangle of the correlation of the normal scores Φ⁻¹((rank − ½)/n),
    # which is the parameter of a Gaussian copula as it stands.
    correlation = np.eye(len(FEATURE_NAMES))
    for row, coefficients in enumerate(summary["correlation"]):
        correlation[row, :row] = correlation[:row, row] = coefficients
    # It is singular, the two types of steel being opposites. The symmetric root of what it is with
    # its eigenvalues clipped does not depend on the signs of the eigenvectors, which differ from
    # one LAPACK to the next, and is well conditioned: rounded, the plates are the same everywhere.
    eigenvalues, eigenvectors = np.linalg.eigh(correlation)
    root = eigenvectors * np.sqrt(np.maximum(eigenvalues, 1e-4)) @ eigenvectors.T
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    scores = rng.standard_normal((summary["count"], len(FEATURE_NAMES))) @ root.T
    uniform = np.vectorize(math.erfc)(-scores * math.sqrt(0.5)) / 2
    table = np.column_stack([np.interp(u, levels, q) for u, q in zip(uniform.T, summary["quantiles"], strict=True)])
    _restore_relations(table)
    return table


def _restore_relations(table: FloatArray) -> None:
    """Give drawn features, in place, the precision and the relations of measured ones."""
    feature = dict(zip(FEATURE_NAMES, table.T, strict=True))  # views
    table[:, :_N_INTEGER_FEATURES] = np.rint(table[:, :_N_INTEGER_FEATURES])
    feature["TypeOfSteel_A400"][:] = 1 - feature["TypeOfSteel_A300"]
    feature["Maximum_of_Luminosity"][:] = np.maximum(feature["Minimum_of_Luminosity"], feature["Maximum_of_Luminosity"])
    width = np.rint(10 ** feature["Log_X_Index"])
    height = np.rint(10 ** feature["Log_Y_Index"])
    feature["X_Minimum"][:] = np.minimum(feature["X_Minimum"], feature["Length_of_Conveyer"] - width)
    feature["X_Maximum"][:] = feature["X_Minimum"] + width
    feature["Y_Maximum"][:] = feature["Y_Minimum"] + height
    feature["Log_X_Index"][:] = np.log10(width)
    feature["Log_Y_Index"][:] = np.log10(height)
    feature["LogOfAreas"][:] = np.log10(feature["Pixels_Areas"])
    feature["Outside_Global_Index"][:] = (np.sign(height - width) + 1) / 2
    table[:, _N_INTEGER_FEATURES:] = np.round(table[:, _N_INTEGER_FEATURES:], 4)
