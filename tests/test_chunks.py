"""Tables in chunks: all rows, in order or shuffled as documented, and what is learned from them."""

import errno
import gzip
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, spearmanr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steelfast import chunks, load_steel_plates
from steelfast.chunks import Table, fit
from steelfast.estimator import SteelClassifier

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N_ROWS = 1000
NAMES = ["Bumps", "Stains", "Dirtiness"]


def rows_of(n_rows=N_ROWS, seed=70):
    """Features of which the first is the number of the row, and sorted classes."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.arange(n_rows), rng.normal(size=(n_rows, 2))])
    return X, np.array(NAMES)[np.arange(n_rows) * 3 // n_rows]


def write_csv(path, X, y):
    rows = zip(X.tolist(), y, strict=True)
    lines = ["number,a,fault,b", *(f"{number:.0f},{a!r},{label},{b!r}" for (number, a, b), label in rows)]
    content = "\n".join(lines).encode() + b"\n"
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_parquet(path, X, y, row_group_size=64):
    table = pa.table({"number": X[:, 0].astype(int), "a": X[:, 1], "fault": y.tolist(), "b": X[:, 2]})
    parquet.write_table(table, path, row_group_size=row_group_size)


WRITERS = {"csv": write_csv, "csv.gz": write_csv, "parquet": write_parquet}


@pytest.fixture(params=WRITERS)
def paths(request, tmp_path):
    """A table in three files, one of them with a single row."""
    X, y = rows_of()
    for number, (start, stop) in enumerate(pairwise([0, 300, 301, N_ROWS])):
        WRITERS[request.param](tmp_path / f"part-{number}.{request.param}", X[start:stop], y[start:stop])
    return [str(tmp_path / f"part-{number}.{request.param}") for number in range(3)]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(chunks, "_CSV_BLOCK", 512)


def joined(parts):
    X, y = zip(*parts, strict=True)
    return np.concatenate(X), np.concatenate(y)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chunk_rows", [1, 7, 64, 1000, 5000])
def test_chunks_are_the_rows_in_order(paths, chunk_rows):
    table = Table(paths, "fault", chunk_rows=chunk_rows)
    parts = list(table.chunks())
    assert [len(X) for X, _ in parts[:-1]] == [chunk_rows] * (len(parts) - 1)
    X, y = joined(parts)
    np.testing.assert_array_equal(X, rows_of()[0])
    np.testing.assert_array_equal(y, rows_of()[1])
    assert X.dtype == np.float64
    assert table.n_rows == N_ROWS
    np.testing.assert_array_equal(table.classes(), sorted(NAMES))


@pytest.mark.parametrize("ending", WRITERS)
def test_a_pattern_stands_for_the_files_sorted(paths, ending):
    if paths[0].endswith(f"-0.{ending}"):
        pattern = paths[0].removesuffix(f"-0.{ending}") + f"-*.{ending}"  # the folder's own name may have "-0" in it
        np.testing.assert_array_equal(joined(Table(pattern, "fault").chunks())[0], rows_of()[0])


def test_some_features_in_another_order(paths):
    table = Table(paths, "fault", features=["b", "number"], dtype="float32")
    X, _ = joined(table.chunks())
    np.testing.assert_array_equal(X, rows_of()[0][:, [2, 0]].astype(np.float32))
    assert X.dtype == np.float32


def test_chunks_are_the_callers(paths):
    """What is written to one does not show up in the next."""
    for seed in None, 1:
        parts = []
        for X, y in Table(paths, "fault", chunk_rows=30, buffer_rows=70).chunks(seed):
            parts.append((X.copy(), y.copy()))
            X[...] = np.nan
        numbers = np.sort(joined(parts)[0][:, 0])
        np.testing.assert_array_equal(numbers, np.arange(N_ROWS))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([3, 1, 3], pa.int16()), [3, 1, 3]),
        (pa.array([True, False, True]), [True, False, True]),
        (pa.array(["x", "yy", "x"], pa.large_string()), ["x", "yy", "x"]),
        (pa.array(["x", "yy", "x"]).dictionary_encode(), ["x", "yy", "x"]),
    ],
)
def test_labels_of_any_type(tmp_path, labels, expected):
    parquet.write_table(pa.table({"a": [0.5, 1.5, 2.5], "fault": labels}), tmp_path / "t.parquet")
    _, y = joined(Table(tmp_path / "t.parquet", "fault", chunk_rows=2).chunks())
    assert y.tolist() == expected
    assert y.dtype.kind in "ibU"


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (pa.array([1, 2], pa.int8()), pa.array([1000, 2], pa.int64()), np.int64),
        (pa.array([1, 2], pa.int8()), pa.array([200, 2], pa.uint8()), np.int16),
        (pa.array([1, 2], pa.int64()).dictionary_encode(), pa.array([3, 2], pa.int8()), np.int64),
        (pa.array([1.5, 2.0], pa.float32()), pa.array([1.5, 1e300], pa.float64()), np.float64),
        (pa.array(["x", "y"]), pa.array(["z", "yyy"], pa.large_string()).dictionary_encode(), None),
        (pa.array([], pa.null()), pa.array(["z", "y"]), None),
    ],
)
def test_labels_that_are_wider_in_the_next_file(tmp_path, first, second, dtype):
    for k, labels in enumerate([first, second]):
        parquet.write_table(pa.table({"a": np.zeros(len(labels)), "fault": labels}), tmp_path / f"{k}.parquet")
    table = Table(str(tmp_path / "?.parquet"), "fault", chunk_rows=2)
    expected = first.to_pylist() + second.to_pylist()
    assert joined(table.chunks())[1].tolist() == expected
    assert dtype is None or {y.dtype for _, y in table.chunks()} == {np.dtype(dtype)}
    table.write_shuffled(tmp_path / "out.parquet")
    assert sorted(joined(Table(tmp_path / "out.parquet", "fault").chunks())[1]) == sorted(expected)


def test_a_column_that_is_there_twice_may_be_left_out(tmp_path):
    path = write_text(tmp_path / "t.csv", "a,b,a,fault\n1,2,3,x\n")
    assert joined(Table(path, "fault", features=["b"]).chunks())[0].tolist() == [[2.0]]


def test_a_first_file_without_rows(tmp_path):
    paths = [write_text(tmp_path / "0.csv", "a,fault\n"), write_text(tmp_path / "1.csv", "a,fault\n1,x\n2,y\n")]
    [(X, y)] = Table(paths, "fault").chunks()
    assert X.tolist() == [[1.0], [2.0]]
    assert y.tolist() == ["x", "y"]
    assert Table(paths, "fault").classes().tolist() == ["x", "y"]


def test_one_column_for_each_class(tmp_path):
    twin = load_steel_plates(source="twin")
    header = ",".join(twin.feature_names + twin.target_names)
    table = np.hstack([twin.data, twin.one_hot])
    np.savetxt(tmp_path / "plates.csv", table, fmt="%.17g", delimiter=",", header=header, comments="")
    plates = Table(tmp_path / "plates.csv", twin.target_names, chunk_rows=500)
    assert plates.features == list(twin.feature_names)
    X, y = joined(plates.chunks())
    np.testing.assert_array_equal(X, twin.data)
    np.testing.assert_array_equal(y, np.array(twin.target_names)[twin.target])
    plates.write_shuffled(tmp_path / "shuffled.parquet")
    X, y = joined(Table(tmp_path / "shuffled.parquet", twin.target_names).chunks())
    order, wanted = np.lexsort(X.T), np.lexsort(twin.data.T)
    np.testing.assert_array_equal(X[order], twin.data[wanted])
    np.testing.assert_array_equal(y[order], np.array(twin.target_names)[twin.target][wanted])


# ---------------------------------------------------------------------------------- shuffled


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chunk_rows", [30, 2000])
@pytest.mark.parametrize("buffer_rows", [0, 1, 70, 1000, 5000])
def test_a_shuffled_pass_has_each_row_once(paths, chunk_rows, buffer_rows):
    table = Table(paths, "fault", chunk_rows=chunk_rows, buffer_rows=buffer_rows)
    X, y = joined(table.chunks(5))
    original, labels = rows_of()
    numbers = X[:, 0].astype(int)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(N_ROWS))
    np.testing.assert_array_equal(X, original[numbers])
    np.testing.assert_array_equal(y, labels[numbers])
    assert all(0 < len(x) <= chunk_rows for x, _ in table.chunks(5))

    again = joined(table.chunks(5))[0]
    np.testing.assert_array_equal(again, X)
    if buffer_rows > 1:
        assert (joined(table.chunks(6))[0] != X).any()
        assert (joined(table.chunks((5, 1)))[0] != X).any()


def test_a_buffer_of_all_rows_shuffles_them_uniformly(paths):
    table = Table(paths, "fault", buffer_rows=N_ROWS)
    places = [joined(table.chunks(seed))[0][:, 0].argmin() for seed in range(200)]
    assert chisquare(np.bincount(np.array(places) * 10 // N_ROWS, minlength=10)).pvalue > 1e-3


def test_no_row_comes_earlier_than_a_buffer_before_its_turn(tmp_path):
    write_csv(tmp_path / "t.csv", *rows_of())
    numbers = joined(Table(tmp_path / "t.csv", "fault", chunk_rows=50, buffer_rows=200).chunks(0))[0][:, 0]
    early = numbers - np.arange(N_ROWS)
    assert 100 < early.max() < 250
    assert -early.min() > 250  # but later


def test_row_groups_come_in_random_order(tmp_path):
    write_parquet(tmp_path / "t.parquet", *rows_of(), row_group_size=20)
    table = Table(tmp_path / "t.parquet", "fault", buffer_rows=60, chunk_rows=20)
    numbers = joined(table.chunks(0))[0][:, 0]
    assert abs(spearmanr(numbers, np.arange(N_ROWS)).statistic) < 0.25
    groups = joined(Table(tmp_path / "t.parquet", "fault", buffer_rows=0, chunk_rows=20).chunks(0))[0][:, 0]
    np.testing.assert_array_equal(groups.reshape(-1, 20) % 20, np.tile(np.arange(20.0), (50, 1)))
    assert (groups[::20] != np.arange(0, N_ROWS, 20)).any()


def test_names_that_are_longer_than_those_before(tmp_path):
    X, y = np.zeros((6, 3)), np.array(["a", "a", "a", "bbbb", "bbbb", "cccccc"])
    for k in range(6):
        write_csv(tmp_path / f"{k}.csv", X[k : k + 1], y[k : k + 1])
    table = Table(str(tmp_path / "?.csv"), "fault", chunk_rows=1, buffer_rows=2)
    for seed in None, 0, 1, 2:
        assert sorted(joined(table.chunks(seed))[1]) == y.tolist()
    assert table.classes().tolist() == ["a", "bbbb", "cccccc"]


@pytest.mark.parametrize(("part", "most"), [(2**25, 256), (3000, 256), (3000, 3), (600, 2)])
def test_write_shuffled(paths, tmp_path, monkeypatch, part, most):
    monkeypatch.setattr(chunks, "_PART", part)
    monkeypatch.setattr(chunks, "_MOST_PARTS", most)  # so that parts are thrown into parts
    table = Table(paths, "fault", chunk_rows=100)
    table.write_shuffled(tmp_path / "out.parquet", seed=3)
    shuffled = Table(tmp_path / "out.parquet", "fault")
    assert (shuffled.n_rows, shuffled.features) == (N_ROWS, ["number", "a", "b"])
    X, y = joined(shuffled.chunks())
    original, labels = rows_of()
    numbers = X[:, 0].astype(int)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(N_ROWS))
    np.testing.assert_array_equal(X, original[numbers])
    np.testing.assert_array_equal(y, labels[numbers])
    assert abs(spearmanr(numbers, np.arange(N_ROWS)).statistic) < 0.12
    assert parquet.ParquetFile(tmp_path / "out.parquet").metadata.num_row_groups >= 10

    content = (tmp_path / "out.parquet").read_bytes()
    table.write_shuffled(tmp_path / "out.parquet", seed=3)
    assert (tmp_path / "out.parquet").read_bytes() == content
    table.write_shuffled(tmp_path / "out.parquet", seed=4)
    assert (tmp_path / "out.parquet").read_bytes() != content
    assert {path.name for path in tmp_path.iterdir()} == {Path(path).name for path in paths} | {"out.parquet"}


def test_write_shuffled_keeps_a_link(tmp_path):
    write_csv(tmp_path / "t.csv", *rows_of(30))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.parquet").symlink_to("folder/out.parquet")
    Table(tmp_path / "t.csv", "fault").write_shuffled(tmp_path / "link.parquet")
    assert (tmp_path / "link.parquet").is_symlink()
    assert Table(tmp_path / "folder" / "out.parquet", "fault").n_rows == 30
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["out.parquet"]


def test_write_shuffled_refuses_a_path_before_it_reads(tmp_path, monkeypatch):
    write_csv(tmp_path / "t.csv", *rows_of(30))
    (tmp_path / "folder.parquet").mkdir()
    table = Table(tmp_path / "t.csv", "fault")
    monkeypatch.setattr(Table, "chunks", None)
    for name, error, message in [
        ("folder.parquet", IsADirectoryError, r"/folder\.parquet cannot be written: it is a directory$"),
        ("no/out.parquet", FileNotFoundError, r"/no/out\.parquet cannot be written: .*/no is not a directory$"),
    ]:
        with pytest.raises(error, match=message):
            table.write_shuffled(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_write_shuffled_does_not_replace_a_pipe(tmp_path):
    write_csv(tmp_path / "t.csv", *rows_of(30))
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(ValueError, match=r"^path must name a file, got .*pipe\.parquet, which is a device or a pipe$"):
        Table(tmp_path / "t.csv", "fault").write_shuffled(tmp_path / "pipe.parquet")
    assert (tmp_path / "pipe.parquet").is_fifo()


def test_write_shuffled_opens_few_files(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    write_csv(tmp_path / "t.csv", *rows_of(300))
    monkeypatch.setattr(chunks, "_PART", 2)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, limits[1]))
    try:
        Table(tmp_path / "t.csv", "fault").write_shuffled(tmp_path / "out.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert Table(tmp_path / "out.parquet", "fault").n_rows == 300


@pytest.mark.parametrize(("part", "most"), [(2**25, 256), (40, 256), (2, 2)])  # one part; four; parts of parts
def test_write_shuffled_has_no_order_that_is_likelier(tmp_path, monkeypatch, part, most):
    write_csv(tmp_path / "t.csv", *rows_of(4))
    monkeypatch.setattr(chunks, "_PART", part)
    monkeypatch.setattr(chunks, "_MOST_PARTS", most)
    table = Table(tmp_path / "t.csv", "fault")
    counts = dict.fromkeys(range(256), 0)
    for seed in range(240):
        table.write_shuffled(tmp_path / "out.parquet", seed=seed)
        numbers = next(iter(Table(tmp_path / "out.parquet", "fault").chunks()))[0][:, 0].astype(int)
        counts[int("".join(map(str, numbers)), 4)] += 1
    found = [count for count in counts.values() if count]
    assert len(found) == 24
    assert chisquare(found).pvalue > 1e-3


# ---------------------------------------------------------------------------------- learning


def test_fit_is_partial_fit_of_the_chunks(paths):
    table = Table(paths, "fault", features=["a", "b"], chunk_rows=80, buffer_rows=200)
    model = fit(SteelClassifier(random_state=1), table, n_epochs=2, seed=9)
    expected = SteelClassifier(random_state=1)
    for epoch in range(2):
        for X, y in table.chunks((9, epoch)):
            expected.partial_fit(X, y, classes=NAMES)
    assert model.coef_.tobytes() == expected.coef_.tobytes()
    assert model.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(model.classes_, sorted(NAMES))
    again = fit(SteelClassifier(random_state=1), table, n_epochs=2, seed=9, classes=[*NAMES, "Other"])
    assert again.classes_.tolist() == sorted([*NAMES, "Other"])


def test_fit_goes_on_with_the_classes_of_the_classifier(tmp_path, monkeypatch):
    X, y = rows_of(30)
    model = SteelClassifier(random_state=0).partial_fit(X, y, classes=NAMES)
    expected = SteelClassifier(random_state=0).partial_fit(X, y, classes=NAMES)
    write_csv(tmp_path / "two.csv", X[:20], y[:20])
    table = Table(tmp_path / "two.csv", "fault")
    assert table.classes().tolist() == ["Bumps", "Stains"]
    monkeypatch.setattr(Table, "classes", None)  # no pass for what is known
    fit(model, table, seed=5)
    [chunk] = table.chunks((5, 0))
    expected.partial_fit(*chunk)
    assert model.coef_.tobytes() == expected.coef_.tobytes()
    assert model.classes_.tolist() == sorted(NAMES)


def test_fit_with_the_scaling_of_all_rows(paths):
    table = Table(paths, "fault", chunk_rows=90)
    scaler = StandardScaler()
    for X, _ in table.chunks():
        scaler.partial_fit(X)
    original, labels = rows_of()
    np.testing.assert_allclose(scaler.mean_, original.mean(axis=0))
    classifier = SteelClassifier(standardize=False, random_state=0)
    fit(classifier, table, transform=scaler.transform)
    expected = SteelClassifier(standardize=False, random_state=0)
    for X, y in table.chunks((0, 0)):
        expected.partial_fit((X - original.mean(axis=0)) / original.std(axis=0), y, classes=NAMES)
    np.testing.assert_allclose(classifier.coef_, expected.coef_, rtol=1e-9)
    assert make_pipeline(scaler, classifier).score(original, labels) > 0.65


def test_what_was_sorted_is_learned_as_well_as_in_memory(tmp_path):
    twin = load_steel_plates(source="twin")
    order = np.argsort(twin.target, kind="stable")
    table = pa.table([*twin.data[order].T.copy(), twin.target[order]], names=[*twin.feature_names, "fault"])
    parquet.write_table(table, tmp_path / "sorted.parquet")
    Table(tmp_path / "sorted.parquet", "fault").write_shuffled(tmp_path / "shuffled.parquet")
    shuffled = Table(tmp_path / "shuffled.parquet", "fault", chunk_rows=500, buffer_rows=0)
    model = fit(SteelClassifier(random_state=0), shuffled, n_epochs=50)
    in_memory = SteelClassifier(max_epochs=50, random_state=0).fit(twin.data, twin.target)
    assert model.score(twin.data, twin.target) > in_memory.score(twin.data, twin.target) - 0.01


def test_a_bar_counts_rows(paths, capfd):
    table = Table(paths, "fault", chunk_rows=300)
    fit(SteelClassifier(), table, n_epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Epoch 2 of 2" in err
    assert err.count("1000/1000") == 2
    assert "accuracy 0." in err or "accuracy 1." in err
    fit(SteelClassifier(), table)  # no terminal
    assert capfd.readouterr() == ("", "")


def test_millions_of_rows_in_little_memory(tmp_path):
    program = Path(__file__).with_name("train_on_millions.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    result = json.loads(done.stdout)
    assert result["n_rows"] == 5_000_000
    assert result["n_chunks"] == 100
    assert result["accuracy"] > result["possible"] - 0.01
    assert result["peak"] < 500e6
    assert done.stderr.count("5000000/5000000") == 3  # bars: into parts, shuffled, learned from


# ---------------------------------------------------------------------------------- what goes wrong


def write_text(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": "none.csv"}, FileNotFoundError, "there is no file none.csv"),
        ({"paths": "none-*.csv"}, FileNotFoundError, r"there is no file none-\*.csv"),
        ({"paths": []}, ValueError, "paths must name at least one file, got none"),
        ({"paths": "t.txt"}, ValueError, "t.txt must be .csv, .csv.gz or .parquet"),
        ({"paths": "empty.csv"}, ValueError, "empty.csv cannot be read: "),
        ({"paths": "wrong.parquet"}, ValueError, "wrong.parquet cannot be read: "),
        ({"target": "class"}, ValueError, "t.csv has no column 'class'; it has a, b, fault"),
        ({"features": ["c"]}, ValueError, "t.csv has no column 'c'; it has a, b, fault"),
        ({"features": "a"}, TypeError, "features must be a sequence of names, got 'a'"),
        ({"paths": ["t.csv", "other.csv"]}, ValueError, "other.csv has no column 'b'; it has a, fault"),
        ({"features": ["a", "fault"]}, ValueError, "features must not have the target, got fault"),
        ({"features": []}, ValueError, r"a table needs features and a target, got \[\] and \['fault'\]"),
        ({"target": []}, ValueError, "a table needs features and a target"),
        ({"target": "a"}, ValueError, "the column 'fault' of t.csv must hold numbers, got string"),
        ({"chunk_rows": 0}, ValueError, "chunk_rows must be at least 1, got 0"),
        ({"buffer_rows": -1}, ValueError, "buffer_rows must be at least 0, got -1"),
        ({"dtype": "int64"}, ValueError, "dtype must be float64 or float32, got int64"),
        ({"paths": "folder.csv"}, IsADirectoryError, "paths must name files, got the directory folder.csv"),
        ({"paths": "fold*.csv"}, IsADirectoryError, "paths must name files, got the directory folder.csv"),
        ({"paths": "twice.csv"}, ValueError, "twice.csv has 2 columns 'a', wanted one"),
        ({"paths": "twice.parquet", "target": "b"}, ValueError, "twice.parquet has 2 columns 'a', wanted one"),
        ({"features": ["b", "a", "b"]}, ValueError, "features must name each column once, got 'b' again"),
        ({"features": ["a"], "target": ["b", "b"]}, ValueError, "target must name each column once, got 'b' again"),
        ({"target": ["fault", "b"]}, ValueError, "the column 'fault' of t.csv must hold numbers, got string"),
        ({"paths": ["t.csv", "numbers.csv"]}, ValueError, "the column 'fault' must hold classes of one type in all "
         "files, got texts in t.csv and int64 in numbers.csv"),
        ({"paths": ["numbers.csv", "none.parquet", "t.csv"]}, ValueError, "the column 'fault' must hold classes of one "
         "type in all files, got int64 in numbers.csv and texts in t.csv"),
        ({"paths": ["numbers.csv", "floats.csv"]}, ValueError, "the column 'fault' must hold classes of one type in "
         "all files, got int64 in numbers.csv and float64 in floats.csv"),
        ({"paths": "lists.parquet"}, ValueError, "the column 'fault' of lists.parquet must hold texts, integers, "
         "floats or booleans, got list<"),
    ],
)  # fmt: skip
def test_a_table_that_is_refused(tmp_path, monkeypatch, options, error, message):
    monkeypatch.chdir(tmp_path)
    write_text(Path("t.csv"), "a,b,fault\n1,2,x\n3,4,y\n")
    write_text(Path("other.csv"), "a,fault\n1,x\n")
    write_text(Path("twice.csv"), "a,b,a,fault\n1,2,3,x\n")
    write_text(Path("numbers.csv"), "a,b,fault\n1,2,3\n")
    write_text(Path("floats.csv"), "a,b,fault\n1,2,3.5\n")
    Path("folder.csv").mkdir()
    parquet.write_table(pa.table([[1.0], [2.0], [3.0]], names=["a", "a", "b"]), "twice.parquet")
    parquet.write_table(pa.table({"a": [1.0], "b": [1.0], "fault": [[1, 2]]}), "lists.parquet")
    parquet.write_table(pa.table({"a": [1.0], "b": [1.0], "fault": [None]}), "none.parquet")
    for name in "t.txt", "empty.csv", "wrong.parquet":
        write_text(Path(name), "" if name == "empty.csv" else "what is this")
    with pytest.raises(error, match=f"^{message}"):
        Table(**{"paths": "t.csv", "target": "fault", **options})


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("rows", "target", "message"),
    [
        ("1,2,x\n" * 200 + "1,two,x\n", "fault", r".*t\.csv cannot be read: .*two"),
        ("1,2,x\n" * 200 + "1,2\n", "fault", r".*t\.csv cannot be read: .*3 columns, got 2"),
        ("1,2,1\n" * 200 + "1,2,x\n", "fault", r".*t\.csv cannot be read: .*'x'"),
        ("1,2,1\n" * 200 + "1,2,\n", "fault", r".*t\.csv must have a class in each row, but 'fault' is empty in some"),
        ("1,2,x\n" * 200 + "1,2,\n", "fault", r".*t\.csv must have a class in each row, but 'fault' is empty in some"),
        ("1,1,0\n" * 200 + "1,1,1\n", ["b", "fault"], r".*t\.csv must have one 1 in each row, else 0, in b, fault"),
        ("1,1,0\n" * 200 + "1,0,0\n", ["b", "fault"], r".*t\.csv must have one 1 in each row, else 0, in b, fault"),
        ("1,1,0\n" * 200 + "1,2,-1\n", ["b", "fault"], r".*t\.csv must have one 1 in each row, else 0, in b, fault"),
    ],
)
def test_what_is_wrong_far_behind(tmp_path, rows, target, message):
    table = Table(write_text(tmp_path / "t.csv", "a,b,fault\n" + rows), target, chunk_rows=50)
    with pytest.raises(ValueError, match=f"^{message}"):
        list(table.chunks(0))
    with pytest.raises(ValueError, match=f"^{message}"):
        table.write_shuffled(tmp_path / "out.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv"}


def test_a_class_that_is_nan(tmp_path):
    parquet.write_table(pa.table({"a": [0.5, 1.5], "fault": [1.0, np.nan]}), tmp_path / "t.parquet")
    table = Table(tmp_path / "t.parquet", "fault")
    for read in table.classes, lambda: list(table.chunks()), lambda: fit(SteelClassifier(), table, classes=[1.0, 2.0]):
        with pytest.raises(ValueError, match=r"t\.parquet must have a class in each row, but 'fault' is NaN in some"):
            read()


def test_a_number_that_is_too_large_for_float32(tmp_path):
    path = write_text(tmp_path / "t.csv", "a,b,fault\n1,2,x\n3,inf,y\n3,1e38,y\n5,-1e300,y\n")
    assert joined(Table(path, "fault").chunks())[0][:, 1].tolist() == [2.0, np.inf, 1e38, -1e300]
    table = Table(path, "fault", dtype="float32")
    with pytest.raises(ValueError, match=r"^the column 'b' of .*t\.csv must hold numbers within float32, got -1e\+300"):
        list(table.chunks())


@pytest.mark.usefixtures("small_blocks")
def test_whole_numbers_that_go_on_otherwise(tmp_path):
    path = write_text(tmp_path / "t.csv", "a,b,fault\n" + "1,2,x\n" * 500 + "1.5,,x\n")
    X, _ = joined(Table(path, "fault").chunks())
    assert X[-1, 0] == 1.5
    assert np.isnan(X[-1, 1])
    with pytest.raises(ValueError, match="NaN"):
        fit(SteelClassifier(), Table(path, "fault"))


@pytest.mark.parametrize(("cell", "expected"), [("", np.nan), ("NA", np.nan), ("null", np.nan), ("1e400", np.inf)])
def test_cells_without_a_number_and_with_too_large_a_one(tmp_path, cell, expected):
    """As the notes on `Table` say."""
    path = write_text(tmp_path / "t.csv", f"a,b,fault\n1,2,x\n3,{cell},y\n")
    for dtype in "float64", "float32":
        table = Table(path, "fault", dtype=dtype)
        np.testing.assert_array_equal(joined(table.chunks())[0], [[1.0, 2.0], [3.0, expected]])
        with pytest.raises(ValueError, match="NaN" if np.isnan(expected) else "infinity"):
            fit(SteelClassifier(), table)


def test_a_file_that_is_cut_off(tmp_path):
    write_parquet(tmp_path / "t.parquet", *rows_of())
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"t\.parquet cannot be read"):
        Table(tmp_path / "t.parquet", "fault")


def test_a_csv_that_is_cut_off_in_its_compression(tmp_path):
    write_csv(tmp_path / "t.csv.gz", *rows_of())
    content = (tmp_path / "t.csv.gz").read_bytes()
    (tmp_path / "t.csv.gz").write_bytes(content[:-12])
    with pytest.raises(ValueError, match=r"^.*/t\.csv\.gz cannot be read: Truncated compressed stream$"):
        list(Table(tmp_path / "t.csv.gz", "fault").chunks())


def test_a_page_that_is_damaged(tmp_path):
    write_parquet(tmp_path / "t.parquet", *rows_of())
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:2000] = b"\xff" * 1996  # after the mark of the format; names and places of the columns are at the end
    (tmp_path / "t.parquet").write_bytes(content)
    table = Table(tmp_path / "t.parquet", "fault")
    with pytest.raises(ValueError, match=r"^[^\n]*/t\.parquet cannot be read: [^\n]+$"):
        list(table.chunks())


def test_names_that_are_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes("a,breit\xe9,fault\n1,2,x\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"t\.csv cannot be read: .*can't decode byte 0xe9"):
        Table(tmp_path / "t.csv", "fault")


def test_a_file_that_is_gone_is_an_error_of_the_system(paths):
    table = Table(paths, "fault")
    Path(paths[1]).unlink()
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        list(table.chunks())
    assert caught.value.errno == errno.ENOENT


def test_a_file_without_rows(tmp_path):
    table = Table(write_text(tmp_path / "t.csv", "a,b,fault\n"), "fault")
    assert list(table.chunks(0)) == list(table.chunks()) == []
    with pytest.raises(ValueError, match=r"t\.csv has no rows"):
        table.write_shuffled(tmp_path / "out.parquet")
    for classes in None, ["x", "y"]:
        with pytest.raises(ValueError, match=r"t\.csv has no rows"):
            fit(SteelClassifier(), table, classes=classes)


def test_wrong_arguments_of_fit_and_write_shuffled(tmp_path):
    table = Table(write_text(tmp_path / "t.csv", "a,b,fault\n1,2,x\n3,4,y\n"), "fault")
    with pytest.raises(ValueError, match=r"^n_epochs must be at least 1, got 0"):
        fit(SteelClassifier(), table, n_epochs=0)
    with pytest.raises(ValueError, match=r"^seed must be at least 0, got -1"):
        fit(SteelClassifier(), table, seed=-1)
    with pytest.raises(ValueError, match=r"^path must end in \.parquet, got out\.csv"):
        table.write_shuffled("out.csv")
    with pytest.raises(ValueError, match="which is none of"):
        fit(SteelClassifier(), table, classes=["x", "z"])
