"""The data layer: reading, fetching, and the statistical twin. Nothing here leaves the machine."""

import contextlib
import gc
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import numpy as np
import pytest

from steelfast import datasets
from steelfast.datasets import (
    CLASS_NAMES,
    FEATURE_NAMES,
    TwinDataWarning,
    cache_path,
    fetch_steel_plates,
    find_steel_plates,
    load_steel_plates,
    read_features,
    read_steel_plates,
)

COLUMN_NAMES = FEATURE_NAMES + CLASS_NAMES
REAL_FILE = os.environ.get("STEELFAST_DATA")
needs_real_file = pytest.mark.skipif(not REAL_FILE, reason="STEELFAST_DATA does not name the real faults.csv")

# A small table whose numbers are exact in binary, so that it is its own oracle.
FEATURES = np.arange(4 * 27).reshape(4, 27) / 8 - 3
TARGETS = np.array([0, 2, 2, 6])
TABLE = np.hstack([FEATURES, np.eye(7)[TARGETS]])


def to_text(table=TABLE, header=COLUMN_NAMES, separator=",", end="\n"):
    rows = [list(header)] if header else []
    rows += [[f"{value:g}" for value in row] for row in table]
    return "".join(separator.join(row) + end for row in rows)


CSV = to_text()
UCI_TEXT = to_text(header=None, separator="\t")


def to_zip(content=UCI_TEXT, member="Faults.NNA"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # a ZipInfo of its own has a fixed date: the same bytes whenever it is called
        archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("Faults27x7_var"), "\n".join(COLUMN_NAMES))
    return buffer.getvalue()


def edit(text, line, column, cell, separator=","):
    """The table with one cell replaced; line and column count from 1."""
    lines = [each.split(separator) for each in text.splitlines()]
    lines[line - 1][column - 1] = cell
    return "".join(separator.join(each) + "\n" for each in lines)


def edit_line(text, line, change):
    lines = text.splitlines()
    lines[line - 1] = change(lines[line - 1])
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch, tmp_path):
    """No test sees the user's cache, the user's file or the real network."""
    monkeypatch.delenv("STEELFAST_DATA", raising=False)
    monkeypatch.setenv("STEELFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        set_source(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}/plates.zip")


def set_source(monkeypatch, url, content=b""):
    source = replace(datasets.UCI, url=url, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(datasets, "UCI", source)


@pytest.fixture
def write(tmp_path):
    def write(content, name="faults.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# ------------------------------------------------------------------------- reading


ORDER = np.random.default_rng(0).permutation(34)
GOOD = {
    "csv": CSV,
    "no newline at the end": CSV.rstrip("\n"),
    "byte-order mark": "\ufeff" + CSV,
    "CRLF": to_text(end="\r\n"),
    "CR": to_text(end="\r"),
    "blank lines at the end": CSV + "\n \n\t\r\n",
    "K_Scratch": CSV.replace("K_Scatch", "K_Scratch"),
    "other order of columns": to_text(TABLE[:, ORDER], [COLUMN_NAMES[k] for k in ORDER]),
    "quotes": to_text(header=[f'"{name}"' for name in COLUMN_NAMES]),
    "spaces after commas": to_text(separator=", "),
    "exponents": CSV.replace(",6.5,", ",+65e-1,"),
    "tabs": UCI_TEXT,
    "tabs, byte-order mark, CRLF": "\ufeff" + to_text(header=None, separator="\t", end="\r\n"),
    "spaces": to_text(header=None, separator="  "),
    "zip": to_zip(),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("name", ["faults.csv", "Faults.NNA"])
def test_reads_every_layout_by_its_content(write, content, name):
    path = write(content, name)
    plates = read_steel_plates(path)
    np.testing.assert_array_equal(plates.data, FEATURES)
    np.testing.assert_array_equal(plates.target, TARGETS)
    np.testing.assert_array_equal(plates.one_hot, TABLE[:, 27:])
    assert plates.data.dtype == plates.one_hot.dtype == np.float64
    assert plates.target.dtype == np.int64
    assert plates.data.flags.c_contiguous
    assert (plates.source, plates.path, plates.is_twin) == ("file", path, False)
    np.testing.assert_array_equal(read_features(path), FEATURES)


CELL = r", line 3, column 5 \(Pixels_Areas\): "
BAD_CELLS = {
    "text": ("many", "'many' is not a finite number"),
    "empty": ("", "the cell is empty"),
    "blank": (" ", "the cell is empty"),
    "nan": ("nan", "'nan' is not a finite number"),
    "inf": ("-inf", "'-inf' is not a finite number"),
    "overflow": ("1e999", "'1e999' is not a finite number"),
    "underscore": ("1_000", "'1_000' is not a finite number"),
    "other digits": ("٣", "'٣' is not a finite number"),
    "hexadecimal": ("0x10", "'0x10' is not a finite number"),
    "two numbers": ("1 2", "'1 2' is not a finite number"),
    "NUL": ("1\0", "the cell holds a NUL byte"),
    "not UTF-8": (b"1\xff", "the cell is not UTF-8"),
}


@pytest.mark.parametrize(("cell", "problem"), BAD_CELLS.values(), ids=BAD_CELLS)
@pytest.mark.parametrize("read", [read_steel_plates, read_features])
@pytest.mark.parametrize(("text", "separator"), [(CSV, ","), (UCI_TEXT, "\t")], ids=["csv", "uci"])
def test_bad_cell_is_named(write, read, cell, problem, text, separator):
    cell = cell if isinstance(cell, bytes) else cell.encode()
    path = write(edit(text, 3, 5, "CELL", separator).encode().replace(b"CELL", cell))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}{CELL}{re.escape(problem)}$"):
        read(path)


BAD_TABLES = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "header alone": (to_text(TABLE[:0]), "has a header and no rows"),
    "no header": (to_text(header=None), "line 1: no header, wanted the column names X_Minimum, "),
    "misspelt": (
        edit(CSV, 1, 3, "Y_Minimun"),
        "line 1, column 3: 'Y_Minimun' is not the name of a column, did you mean Y_Minimum?",
    ),
    "unlike any": (edit(CSV, 1, 3, "42"), "line 1, column 3: '42' is not the name of a column$"),
    "NUL in the header": (edit(CSV, 1, 3, "Y\0"), "line 1, column 3: the cell holds a NUL byte"),
    "column twice": (edit(CSV, 1, 2, "X_Minimum"), r"line 1, column 2 \(X_Minimum\): .* twice"),
    "both spellings": (
        edit(CSV, 1, 28, "K_Scratch"),
        r"line 1, column 30 \(K_Scatch\): the column is there twice",
    ),
    "header of 33": (
        to_text(TABLE[:, 1:], COLUMN_NAMES[1:]),
        "line 1: 33 columns, wanted 34: there is no X_Minimum",
    ),
    "header of 35": (
        CSV.replace("\n", ",0\n").replace("Faults,0", "Faults,Id"),
        "line 1, column 35: 'Id' is not the name of a column",
    ),
    "comma at the end": (CSV.replace("\n", ",\n"), "line 1, column 35: the cell is empty"),
    "row of 33": (
        edit_line(CSV, 4, lambda row: row.partition(",")[2]),
        "line 4: 33 columns, wanted 34",
    ),
    "row of 35": (edit_line(CSV, 4, lambda row: row + ",0"), "line 4: 35 columns, wanted 34"),
    "uci row of 33": (
        edit_line(UCI_TEXT, 4, lambda row: row.rpartition("\t")[0]),
        "line 4: 33 columns, wanted 34",
    ),
    "uci row of 35": (UCI_TEXT.replace("\n", "\t\n"), "line 1: 35 columns, wanted 34"),
    "semicolons": (CSV.replace(",", ";"), "line 1: 1 columns, wanted 34"),
    "header and tabs": (CSV.replace(",", "\t"), r"line 1, column 1 \(X_Minimum\): 'X_Minimum' is"),
    "blank line": (CSV.replace("\n", "\n\n", 2), "line 2: the line is blank"),
    "uci blank line": (UCI_TEXT.replace("\n", "\n\n", 2), "line 2: the line is blank"),
    "blank line at the start": ("\n" + CSV, "line 1: the line is blank"),
    "open quote": (edit(CSV, 3, 5, '"4'), "line 3: broken quotes"),
    "class of 2": (edit(CSV, 3, 31, "2"), r"line 3, column 31 \(Stains\): 2 is not 0 or 1"),
    "half a class": (edit(CSV, 3, 30, "0.5"), r"line 3, column 30 \(K_Scatch\): 0.5 is not 0 or"),
    "no class": (
        edit(CSV, 3, 30, "0"),
        "line 3: none of columns 28, 29, 30, 31, 32, 33, 34 marked, wanted one class",
    ),
    "two classes": (
        edit(UCI_TEXT, 3, 33, "1", "\t"),
        r"line 3: column 30 \(K_Scatch\) and column 33 \(Bumps\) marked, wanted one class",
    ),
    "UTF-16": (CSV.encode("utf-16"), "is text in UTF-16, wanted UTF-8"),
    "UTF-16, the other end first": (("\ufeff" + CSV).encode("utf-16-be"), "is text in UTF-16, wanted UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1: 1 columns, wanted 34"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_TABLES.values(), ids=BAD_TABLES)
@pytest.mark.parametrize("read", [read_steel_plates, read_features])
def test_bad_table_is_refused_with_its_place(write, read, content, problem):
    path = write(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}[ ,/]+{problem}"):
        read(path)


@pytest.mark.parametrize(("name", "position"), [("Pastry", 34), ("X_Minimum", 1)])
def test_place_is_that_of_the_file_when_columns_are_in_another_order(write, name, position):
    order = [*range(33, -1, -1)] if name == "Pastry" else [*range(34)]
    order = order[6:] + order[:6]
    at = [COLUMN_NAMES[k] for k in order].index(name) + 1
    text = edit(to_text(TABLE[:, order], [COLUMN_NAMES[k] for k in order]), 2, at, "7x")
    with pytest.raises(ValueError, match=rf"line 2, column {at} \({name}\): '7x' is not"):
        read_steel_plates(write(text))


def test_zip_without_the_table(write):
    with pytest.raises(ValueError, match=r"zip is a zip file without Faults\.NNA in it$"):
        read_steel_plates(write(to_zip(member="other"), "plates.zip"))


def test_damaged_zip(write):
    content = to_zip()
    for damaged in (content[: len(content) // 2], content[:60] + b"damage" + content[66:]):
        with pytest.raises(ValueError, match="is a damaged zip file: "):
            read_steel_plates(write(damaged, "plates.zip"))


def test_bad_cell_inside_a_zip_is_named(write):
    path = write(to_zip(edit(UCI_TEXT, 2, 1, "x", "\t")), "plates.zip")
    with pytest.raises(ValueError, match=r"plates\.zip/Faults\.NNA, line 2, column 1 \(X_Minimum\)"):
        read_steel_plates(path)


@pytest.mark.parametrize("read", [read_steel_plates, read_features, load_steel_plates])
def test_missing_file_and_directory(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv does not exist$"):
        read(tmp_path / "absent.csv")
    with pytest.raises(IsADirectoryError, match=" is a directory, wanted a file"):
        read(tmp_path)


# ------------------------------------------------------------------------ features


FEATURES_ONLY = {
    "csv": to_text(FEATURES, FEATURE_NAMES),
    "tabs": to_text(FEATURES, None, "\t"),
    "other order": to_text(FEATURES[:, ::-1], FEATURE_NAMES[::-1]),
}


@pytest.mark.parametrize("text", FEATURES_ONLY.values(), ids=FEATURES_ONLY)
def test_features_without_classes(write, text):
    features = read_features(write(text))
    np.testing.assert_array_equal(features, FEATURES)
    assert features.flags.c_contiguous
    with pytest.raises(ValueError, match="27 columns, wanted 34"):
        read_steel_plates(write(text))


def test_features_with_some_classes_are_refused(write):
    text = to_text(TABLE[:, :30], COLUMN_NAMES[:30])
    with pytest.raises(ValueError, match="30 columns, wanted 34, or 27 without the classes: there is no Stains, "):
        read_features(write(text))


@pytest.mark.parametrize("n_columns", [26, 33, 35])
def test_features_of_another_number_are_refused(write, n_columns):
    text = to_text(np.ones((1, n_columns)), None, "\t")
    message = f"line 1: {n_columns} columns, wanted 34, or 27 without the classes$"
    with pytest.raises(ValueError, match=message):
        read_features(write(text))


@pytest.mark.parametrize("stream", [io.StringIO, lambda text: io.BytesIO(text.encode())], ids=["text", "bytes"])
def test_features_from_a_stream(stream):
    np.testing.assert_array_equal(read_features(stream("\ufeff" + CSV)), FEATURES)
    with pytest.raises(ValueError, match=r"^<stream>, line 2, column 1 \(X_Minimum\): 'x' is not"):
        read_features(stream(edit(CSV, 2, 1, "x")))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_features_from_standard_input(monkeypatch, encoding):
    stdin = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + CSV.encode()), encoding=encoding)
    monkeypatch.setattr(sys, "stdin", stdin)
    np.testing.assert_array_equal(read_features("-"), FEATURES)


def test_undecodable_text_stream():
    with pytest.raises(ValueError, match=r"line 2, column 1 \(X_Minimum\): the cell is not UTF-8"):
        read_features(io.StringIO(edit(CSV, 2, 1, "\udcff")))


# --------------------------------------------------------------------------- load


def test_load_takes_path_then_variable_then_cache(monkeypatch, write):
    cache_path().parent.mkdir()
    cache_path().write_bytes(to_zip())
    set_source(monkeypatch, datasets.UCI.url, to_zip())
    assert find_steel_plates() == cache_path()
    for source in ("auto", "uci"):
        plates = load_steel_plates(source=source)
        assert (plates.source, plates.path) == ("cache", cache_path())
        np.testing.assert_array_equal(plates.data, FEATURES)

    named = write(to_text(TABLE[:2]), "named.csv")
    monkeypatch.setenv("STEELFAST_DATA", str(named))
    assert find_steel_plates() == named
    assert (load_steel_plates().source, load_steel_plates().path) == ("file", named)
    assert load_steel_plates(source="uci").source == "cache"

    given = write(to_text(TABLE[:1]), "given.csv")
    assert load_steel_plates(str(given)).path == given
    X, y = load_steel_plates(given, return_X_y=True)
    np.testing.assert_array_equal(X, FEATURES[:1])
    np.testing.assert_array_equal(y, TARGETS[:1])


def test_variable_that_names_no_file_is_no_reason_for_the_twin(monkeypatch, tmp_path):
    monkeypatch.setenv("STEELFAST_DATA", str(tmp_path / "absent.csv"))
    for load in (load_steel_plates, find_steel_plates):
        with pytest.raises(FileNotFoundError, match=r"^STEELFAST_DATA names .*absent\.csv, which"):
            load()


def test_bad_named_file_is_no_reason_for_the_twin(monkeypatch, write):
    monkeypatch.setenv("STEELFAST_DATA", str(write("nonsense")))
    with pytest.raises(ValueError, match="line 1: 1 columns, wanted 34"):
        load_steel_plates()


def test_load_refuses_unclear_sources(write):
    with pytest.raises(ValueError, match='source must be "auto", "uci" or "twin", got \'openml\''):
        load_steel_plates(source="openml")
    for source in ("uci", "twin"):
        with pytest.raises(ValueError, match='a path goes with source="auto" only'):
            load_steel_plates(write(CSV), source=source)


def test_plates_are_frozen_and_say_what_they_are(write):
    plates = read_steel_plates(write(CSV))
    assert re.fullmatch(r"<SteelPlates: 4 plates, 27 features, file: .*faults\.csv>", repr(plates))
    assert "Buscema" in plates.description
    assert "CC BY 4.0" in plates.description
    assert (plates.feature_names, plates.target_names) == (FEATURE_NAMES, CLASS_NAMES)
    with pytest.raises(FrozenInstanceError):
        plates.source = "uci"


# -------------------------------------------------------------------------- fetch


@contextlib.contextmanager
def serving(content, status=200, declared_length=None):
    """A server on the loopback that answers every request with `content`."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(declared_length or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/static/plates.zip", requests
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def endless(block, pause):
    """A server that promises a file and sends the same block again and again."""
    stop = threading.Event()

    def serve(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while not stop.wait(pause):
                connection.sendall(block)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/plates.zip"
        finally:
            stop.set()
            thread.join()


def trickling():
    return endless(b"x", pause=0.02)


def flooding():
    return endless(bytes(4096), pause=0.001)


@contextlib.contextmanager
def silent():
    """A server that lets clients connect and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/plates.zip"


def expect_advice(error, reason):
    message = str(error.value)
    assert re.match(f"The Steel Plates Faults table could not be fetched: {reason}", message)
    for part in (datasets.UCI.url, datasets.UCI.sha256, str(cache_path()), "STEELFAST_DATA"):
        assert part in message
    assert "\n" not in message


def test_fetch_downloads_once_and_load_reads_the_cache(monkeypatch):
    with serving(to_zip()) as (url, requests):
        set_source(monkeypatch, url, to_zip())
        assert find_steel_plates() is None
        plates = load_steel_plates(source="uci")
        assert (plates.source, plates.path) == ("uci", cache_path())
        np.testing.assert_array_equal(plates.data, FEATURES)
        assert fetch_steel_plates() == find_steel_plates() == cache_path()
        assert load_steel_plates().source == "cache"
    assert requests == ["/static/plates.zip"]
    assert [path.name for path in cache_path().parent.iterdir()] == ["plates.zip"]


NOBODY_LISTENS = r"the download from 127\.0\.0\.1:\d+ failed \(Connection refused\)\. "


def test_nobody_listens():
    with pytest.raises(OSError, match="Connection refused") as error:
        fetch_steel_plates()
    expect_advice(error, NOBODY_LISTENS)


def test_a_host_that_nobody_knows(monkeypatch):
    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match="Name or service not known") as error:
        fetch_steel_plates()
    expect_advice(error, r"the download from 127\.0\.0\.1:\d+ failed \(Name or service not known\)\. ")


@contextlib.contextmanager
def release_of_threads():
    """Wait until the threads started inside have ended, and free what they held.

    A download that breaks off leaves its socket to the garbage collector, which would warn in the
    middle of another test.
    """
    n_threads = threading.active_count()
    yield
    end = time.monotonic() + 10
    while threading.active_count() > n_threads:
        assert time.monotonic() < end, "a thread does not end"
        time.sleep(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("server", [silent, trickling, flooding])
def test_deadline_holds_whatever_the_server_does(monkeypatch, server):
    with release_of_threads(), server() as url:
        set_source(monkeypatch, url)
        begin = time.monotonic()
        with pytest.raises(OSError, match="no complete answer") as error:
            fetch_steel_plates(timeout=0.3)
        assert time.monotonic() - begin < 3
    expect_advice(error, r"no complete answer within 0\.3 seconds")


def test_download_that_is_left_behind_ends_at_its_next_write(monkeypatch):
    with flooding() as url, release_of_threads():
        set_source(monkeypatch, url)
        with pytest.raises(OSError, match="no complete answer"):
            fetch_steel_plates(timeout=0.1)


def test_download_that_is_left_behind_does_not_hold_up_the_exit():
    code = (
        "import dataclasses, sys; from steelfast import datasets\n"
        "datasets.UCI = dataclasses.replace(datasets.UCI, url=sys.argv[1])\n"
        "datasets.fetch_steel_plates(timeout=0.3)"
    )
    with trickling() as url:
        command = [sys.executable, "-c", code, url]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert "no complete answer within 0.3 seconds" in ended.stderr


def test_deadline_holds_when_the_name_lookup_hangs(monkeypatch):
    release = threading.Event()
    asked = []

    def getaddrinfo(host, *args, **kwargs):
        asked.append(host)
        release.wait(30)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    begin = time.monotonic()
    with release_of_threads():
        try:
            with pytest.raises(OSError, match="no complete answer"):
                fetch_steel_plates(timeout=0.3)
            assert time.monotonic() - begin < 3
        finally:
            release.set()
    assert asked == ["127.0.0.1"]


def test_default_deadline_leaves_less_than_ten_seconds():
    assert fetch_steel_plates.__kwdefaults__["timeout"] < 10


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_timeout_must_be_positive(timeout):
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds, got"):
        fetch_steel_plates(timeout=timeout)


WRONG_ANSWERS = {
    "another file": ({"content": b"<html>Please log in</html>"}, "what came has another sha256, "),
    "truncated, as promised": ({"content": to_zip()[:-9]}, "what came has another sha256, "),
    "cut off": (
        {"content": to_zip()[:-9], "declared_length": len(to_zip())},
        r"the download from 127\.0\.0\.1:\d+ failed \(IncompleteRead\(\d+ bytes read, ",
    ),
    "not found": ({"content": to_zip(), "status": 404}, "404 Client Error"),
}


@pytest.mark.parametrize(("answer", "reason"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_wrong_answer_never_reaches_the_cache(monkeypatch, answer, reason):
    with serving(**answer) as (url, requests):
        set_source(monkeypatch, url, to_zip())
        with pytest.raises(OSError, match=reason) as error:
            fetch_steel_plates()
    expect_advice(error, reason)
    assert len(requests) == 1
    assert not cache_path().parent.exists()


def test_damaged_cache_is_not_used_but_replaced(monkeypatch):
    cache_path().parent.mkdir()
    cache_path().write_bytes(to_zip()[:-1])
    set_source(monkeypatch, datasets.UCI.url, to_zip())
    assert find_steel_plates() is None
    with pytest.raises(OSError, match=r"The file in the cache is damaged .* was not used\.") as error:
        load_steel_plates(source="uci")
    expect_advice(error, NOBODY_LISTENS)
    with serving(to_zip()) as (url, _):
        set_source(monkeypatch, url, to_zip())
        assert load_steel_plates().source == "uci"
    assert cache_path().read_bytes() == to_zip()


def test_cache_that_cannot_be_written(monkeypatch, write):
    monkeypatch.setenv("STEELFAST_CACHE", str(write("a file", "cache")))
    with serving(to_zip()) as (url, _):
        set_source(monkeypatch, url, to_zip())
        with pytest.raises(OSError, match="could not be fetched") as error:
            fetch_steel_plates()
    expect_advice(error, r"\[Errno")


def test_interrupted_write_leaves_nothing(monkeypatch):
    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with serving(to_zip()) as (url, _):
        set_source(monkeypatch, url, to_zip())
        with pytest.raises(KeyboardInterrupt):
            fetch_steel_plates()
    assert list(cache_path().parent.iterdir()) == []


@pytest.mark.parametrize("missing", ["pooch", "requests"])
def test_missing_package_is_named_with_its_cure(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "steelfast\[cli\]"') as error:
        load_steel_plates(source="uci")
    expect_advice(error, f"{missing} is not installed")
    with pytest.warns(TwinDataWarning, match=f"{missing} is not installed"):
        assert load_steel_plates().is_twin


@pytest.mark.parametrize(
    ("platform", "variables", "directory"),
    [
        ("linux", {"HOME": "home"}, "home/.cache/steelfast"),
        ("linux", {"HOME": "home", "XDG_CACHE_HOME": "xdg"}, "xdg/steelfast"),
        ("darwin", {"HOME": "home"}, "home/Library/Caches/steelfast"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/steelfast"),
        ("linux", {"HOME": "home", "STEELFAST_CACHE": "own"}, "own"),
    ],
)
def test_cache_is_where_the_platform_keeps_caches(monkeypatch, platform, variables, directory):
    for name in ("STEELFAST_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USERPROFILE", "home")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_path().parent.as_posix() == directory


# --------------------------------------------------------------------------- twin


@pytest.fixture(scope="module")
def twin():
    return load_steel_plates(source="twin")


@pytest.fixture(scope="module")
def summary():
    text = files("steelfast._data").joinpath("steel_plates_summary.json").read_text("utf-8")
    return json.loads(text)


def test_auto_falls_back_to_the_twin_with_a_notice(twin):
    with pytest.warns(TwinDataWarning) as notices:
        plates = load_steel_plates()
    np.testing.assert_array_equal(plates.data, twin.data)
    (notice,) = notices
    assert notice.filename == __file__
    message = str(notice.message)
    for part in ("Connection refused", datasets.UCI.url, str(cache_path()), "1941 synthetic plates"):
        assert part in message


def test_insisting_on_the_twin_needs_no_network_and_gives_no_notice(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_download", None)
    monkeypatch.setenv("STEELFAST_DATA", str(tmp_path / "absent.csv"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X, y = load_steel_plates(source="twin", return_X_y=True)
    assert X.shape == (1941, 27)
    assert y.shape == (1941,)


def test_twin_says_that_it_is_synthetic(twin):
    assert (twin.is_twin, twin.source, twin.path) == (True, "twin", None)
    assert twin.description.startswith("Synthetic")
    assert "no row was measured" in twin.description
    assert repr(twin) == "<SteelPlates: 1941 plates, 27 features, synthetic twin>"


def test_twin_has_the_types_counts_and_order_of_the_real_table(twin, summary):
    assert (twin.data.dtype, twin.target.dtype) == (np.float64, np.int64)
    assert tuple(summary["features"]) == FEATURE_NAMES
    classes = summary["classes"]
    assert tuple(each["name"].removesuffix("_Fault") for each in classes) == CLASS_NAMES
    assert np.bincount(twin.target).tolist() == [158, 190, 391, 72, 55, 402, 673]
    assert (np.diff(twin.target) >= 0).all()


def check_relations(data):
    """What holds for every measured plate."""
    feature = dict(zip(FEATURE_NAMES, data.T, strict=True))
    assert np.isfinite(data).all()
    assert (data[:, :14] == np.rint(data[:, :14])).all()
    assert (data[:, 14:] == np.round(data[:, 14:], 4)).all()
    assert (data[:, :14] >= 0).all()
    assert (feature["TypeOfSteel_A300"] + feature["TypeOfSteel_A400"] == 1).all()
    assert set(feature["TypeOfSteel_A300"]) == {0, 1}
    assert (feature["Minimum_of_Luminosity"] <= feature["Maximum_of_Luminosity"]).all()
    assert (feature["X_Maximum"] <= feature["Length_of_Conveyer"]).all()
    width = feature["X_Maximum"] - feature["X_Minimum"]
    height = feature["Y_Maximum"] - feature["Y_Minimum"]
    assert (width >= 1).all()
    assert (height >= 1).all()
    for name, value in [
        ("Log_X_Index", width),
        ("Log_Y_Index", height),
        ("LogOfAreas", feature["Pixels_Areas"]),
    ]:
        np.testing.assert_allclose(feature[name], np.log10(value), atol=5.6e-5, rtol=0)
    outside = np.select([height > width, height == width], [1, 0.5], 0)
    np.testing.assert_array_equal(feature["Outside_Global_Index"], outside)


def test_twin_keeps_the_relations_of_the_real_table(twin):
    check_relations(twin.data)


# These follow from others, so only nearly from their own quantiles.
DERIVED = {"X_Minimum", "X_Maximum", "Y_Maximum", "Maximum_of_Luminosity", "Outside_Global_Index"}


def test_twin_follows_the_quantiles_of_each_class(twin, summary):
    """Within the Dvoretzky-Kiefer-Wolfowitz bound, which one seed in ten thousand would leave."""
    levels = np.array(summary["quantile_levels"])
    for k, each in enumerate(summary["classes"]):
        data = twin.data[twin.target == k]
        bound = np.sqrt(np.log(2 / (1e-4 / 27 / 7)) / (2 * each["count"]))
        for j, quantiles in enumerate(np.array(each["quantiles"])):
            if FEATURE_NAMES[j] in DERIVED:
                continue
            # drawn values are rounded to integers or 4 decimals, quantiles to 6 digits
            slack = (0.5 if j < 14 else 5e-5) + 5e-6 * np.abs(quantiles)
            at_most = (data[:, j, None] <= quantiles + slack).mean(axis=0)
            below = (data[:, j, None] < quantiles - slack).mean(axis=0)
            assert (at_most >= levels - bound).all(), (CLASS_NAMES[k], FEATURE_NAMES[j])
            assert (below <= levels + bound).all(), (CLASS_NAMES[k], FEATURE_NAMES[j])


def correlation_of_normal_scores(data):
    stats = pytest.importorskip("scipy.stats")
    ranks = stats.rankdata(data, axis=0)
    with np.errstate(invalid="ignore"):  # a feature may be constant
        return np.nan_to_num(np.corrcoef(stats.norm.ppf((ranks - 0.5) / len(data)).T))


def lower_triangle(rows):
    return np.concatenate([np.asarray(row, float) for row in rows])


def test_twin_follows_the_correlations_of_each_class(twin, summary):
    lower = np.tril_indices(27, -1)
    for k, each in enumerate(summary["classes"]):
        wanted = lower_triangle(each["correlation"])
        drawn = correlation_of_normal_scores(twin.data[twin.target == k])[lower]
        error = np.sqrt(np.mean((drawn - wanted) ** 2))
        assert error < 1.5 / np.sqrt(each["count"]) + 0.03, CLASS_NAMES[k]


def test_twin_is_the_same_everywhere_and_depends_on_the_seed(twin):
    digest = hashlib.sha256(twin.data.tobytes()).hexdigest()
    assert digest == "430b7229f644568ef1c77d60f015b4f3fd2c2f2573b180e4f62ffe6d360ad7d8"
    np.testing.assert_array_equal(datasets._draw_twin().data, twin.data)
    assert (datasets._draw_twin(seed=6).data != twin.data).mean() > 0.5


def accuracy_of_logistic_regression(X, y):
    """Accuracy in stratified ten-fold cross-validation on standardised features."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), linear_model.LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return cross_val_score(model, X, y, cv=folds).mean()


def test_twin_is_as_hard_as_the_real_table(twin):
    assert accuracy_of_logistic_regression(twin.data, twin.target) == pytest.approx(0.716, abs=0.01)


# ----------------------------------------------------------------------- real file


@pytest.fixture(scope="module")
def real():
    return read_steel_plates(REAL_FILE)


@needs_real_file
def test_real_file_is_the_known_one_and_reads_right(real):
    with open(REAL_FILE, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == datasets.UCI.csv_sha256
    oracle = np.loadtxt(REAL_FILE, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(real.data, oracle[:, :27])
    np.testing.assert_array_equal(real.one_hot, oracle[:, 27:])
    assert np.bincount(real.target).tolist() == [158, 190, 391, 72, 55, 402, 673]
    assert (np.diff(real.target) >= 0).all()
    check_relations(real.data)


@needs_real_file
def test_real_file_in_float32_is_rounded_once(real):
    oracle = np.loadtxt(REAL_FILE, delimiter=",", skiprows=1, dtype=np.float32)
    np.testing.assert_array_equal(real.data.astype(np.float32), oracle[:, :27])


@needs_real_file
def test_real_file_in_the_layout_of_uci(real, write):
    with open(REAL_FILE, encoding="utf-8") as file:
        rows = file.read().partition("\n")[2].replace(",", "\t")
    for content in (rows, to_zip(rows)):
        plates = read_steel_plates(write(content, "Faults.NNA"))
        np.testing.assert_array_equal(plates.data, real.data)
        np.testing.assert_array_equal(plates.target, real.target)


@needs_real_file
def test_real_table_is_as_hard_as_the_twin(real):
    assert accuracy_of_logistic_regression(real.data, real.target) == pytest.approx(0.716, abs=0.01)


@needs_real_file
def test_summary_is_that_of_the_real_file(real, summary):
    lower = np.tril_indices(27, -1)
    for k, each in enumerate(summary["classes"]):
        data = real.data[real.target == k]
        quantiles = np.quantile(data, summary["quantile_levels"], axis=0).T
        np.testing.assert_allclose(each["quantiles"], quantiles, rtol=5.1e-6)
        correlation = correlation_of_normal_scores(data)[lower]
        wanted = lower_triangle(each["correlation"])
        np.testing.assert_allclose(wanted, correlation, atol=5.1e-4)


# --------------------------------------------------------------------------- import


def test_import_needs_numpy_alone():
    code = "import sys, steelfast.datasets; print(*{name.partition('.')[0] for name in sys.modules})"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(output.stdout.split())
    assert "numpy" in loaded
    assert loaded.isdisjoint({"scipy", "sklearn", "pandas", "pooch", "requests", "matplotlib"})
