"""Measure the figures of docs/scale.md: python tools/scale_figures.py [sweep] [memory] [files] [gradients].

Prints Markdown. Needs the extra `scale`, for `files` two gigabytes of disk in the folder for temporary files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import steelfast
from steelfast import SteelClassifier, load_steel_plates, loss_and_grad
from steelfast.chunks import Table, fit
from steelfast.sweeps import results, sweep

N_FEATURES, N_CLASSES = 27, 7
MILLION = 1_000_000


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def plates(n_rows: int) -> tuple[Any, Any]:
    """Rows of seven classes, as many features as plates have."""
    rng = np.random.default_rng(0)
    y = rng.integers(N_CLASSES, size=n_rows)
    X = rng.standard_normal((n_rows, N_FEATURES))
    for start in range(0, n_rows, MILLION):
        X[start : start + MILLION] += 0.4 * rng.standard_normal((N_CLASSES, N_FEATURES))[y[start : start + MILLION]]
    return X, y


def measure_sweep() -> None:
    """The default sweep: 24 settings in 5 folds of the twin, 121 trainings of 200 epochs."""
    from distributed import LocalCluster

    X, y = load_steel_plates(source="twin", return_X_y=True)
    classifier = SteelClassifier(max_epochs=200)
    winners = []

    def run(**engine: Any) -> Callable[[], None]:
        def work() -> None:
            winners.append(results(sweep(X, y, classifier=classifier, **engine), 1)[0]["settings"])

        return work

    print("| engine | seconds |\n|---|---|")
    print(f"| one thread | {seconds(run(n_jobs=1)):.1f} |")
    print(f"| two threads | {seconds(run(n_jobs=2)):.1f} |")
    print(f"| two processes, started for it | {seconds(run(engine='processes', n_jobs=2), 1):.1f} |")
    print(f"| two processes, there already | {seconds(run(engine='processes', n_jobs=2)):.1f} |")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        print(f"| Dask, two workers | {seconds(run(engine='dask', address=address)):.1f} |")
    assert all(winner == winners[0] for winner in winners)


def measure_memory() -> None:
    """An epoch in memory, and what the process needs for it."""
    print("| rows | dtype | table | seconds of an epoch | peak memory |\n|---|---|---|---|---|")
    for n_rows in (100_000, MILLION, 3 * MILLION):
        for dtype in ("float64", "float32"):
            done = subprocess.run(
                [sys.executable, __file__, "one_epoch", str(n_rows), dtype], check=True, capture_output=True, text=True
            )
            took, peak, size = json.loads(done.stdout)
            print(f"| {n_rows:,} | {dtype} | {size / 1e6:.0f} MB | {took:.2f} | {peak / 1e6:.0f} MB |")


def one_epoch(n_rows: int, dtype: str) -> None:
    X, y = plates(n_rows)
    X = X.astype(dtype, copy=False)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    model = SteelClassifier(max_epochs=1, dtype=dtype, random_state=0)  # type: ignore[arg-type]
    took = seconds(lambda: model.fit(X, y), 1)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(json.dumps([took, 1024 * int(status.partition("VmHWM:")[2].split()[0]), X.nbytes]))


def measure_files() -> None:
    """A table of files, sorted by class."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    n_rows = 2 * MILLION
    X, y = plates(n_rows)
    order = np.argsort(y, kind="stable")
    table = pa.table([*X[order].T.copy(), y[order]], names=[*(f"x{j}" for j in range(N_FEATURES)), "fault"])
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        csv.write_csv(table, here / "plates.csv")
        parquet.write_table(table, here / "plates.parquet", row_group_size=50_000, use_dictionary=["fault"])
        print("| two million rows | size | read in order | shuffled | an epoch of fit | write_shuffled | accuracy |")
        print("|---|---|---|---|---|---|---|")
        shuffled = here / "shuffled.parquet"
        for path, buffer_rows in ((here / "plates.csv", 200_000), (here / "plates.parquet", 200_000), (shuffled, 0)):
            of_file = Table(path, "fault", buffer_rows=buffer_rows)
            model = SteelClassifier(random_state=0)
            took = [
                seconds(lambda of_file=of_file: sum(len(X) for X, _ in of_file.chunks()), 1),  # type: ignore[misc]
                seconds(lambda of_file=of_file: sum(len(X) for X, _ in of_file.chunks(0)), 1),  # type: ignore[misc]
                seconds(lambda of_file=of_file, model=model: fit(model, of_file, classes=range(7)), 1),  # type: ignore[misc]
            ]
            cells = [f"{each:.1f} s" for each in took]
            if path != shuffled:
                cells.append(f"{seconds(lambda of_file=of_file: of_file.write_shuffled(shuffled), 1):.1f} s")  # type: ignore[misc]
            else:
                cells.append("")
            print(
                f"| {path.name} | {path.stat().st_size / 1e6:.0f} MB | {' | '.join(cells)} | {model.score(X, y):.3f} |"
            )
        in_memory = SteelClassifier(max_epochs=1, random_state=0).fit(X, y)
        print(f"| in memory | {X.nbytes / 1e6:.0f} MB | | | | | {in_memory.score(X, y):.3f} |")


def measure_gradients() -> None:
    """The gradient of all rows: here, in two threads, on a cluster."""
    from concurrent.futures import ThreadPoolExecutor

    from distributed import Client, LocalCluster

    n_rows = MILLION
    X, y = plates(n_rows)
    W, b = np.zeros((N_CLASSES, N_FEATURES)), np.zeros(N_CLASSES)
    halves = np.array_split(X, 2), np.array_split(y, 2)
    print("| the gradient of a million rows | seconds |\n|---|---|")
    print(f"| one call | {seconds(lambda: loss_and_grad(X, y, W, b), 7):.3f} |")
    with ThreadPoolExecutor(2) as pool:
        work = lambda: list(pool.map(lambda X, y: loss_and_grad(X, y, W, b), *halves))  # noqa: E731
        print(f"| two threads, half of the rows each | {seconds(work, 7):.3f} |")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as client,
    ):
        parts = [client.scatter(each) for each in halves]
        work = lambda: client.gather(client.map(loss_and_grad, *parts, coef=W, intercept=b, pure=False))  # noqa: E731
        print(f"| Dask, two workers, half of the rows each | {seconds(work, 7):.3f} |")
        few = [client.scatter([each[:100] for each in both]) for both in halves]
        work = lambda: client.gather(client.map(loss_and_grad, *few, coef=W, intercept=b, pure=False))  # noqa: E731
        print(f"| the same with a hundred rows each: what a step costs | {seconds(work, 7):.3f} |")


MEASURED = {"sweep": measure_sweep, "memory": measure_memory, "files": measure_files, "gradients": measure_gradients}

if __name__ == "__main__":
    if sys.argv[1:2] == ["one_epoch"]:
        one_epoch(int(sys.argv[2]), sys.argv[3])
    else:
        steelfast.show_config()
        for chosen in sys.argv[1:] or MEASURED:
            print(f"\n{MEASURED[chosen].__doc__}\n")
            MEASURED[chosen]()
