"""Writes a table of millions of rows, sorted by class, and learns from it; a test runs this in a process of its own.

Prints how good the model is, how good it could be, and the largest memory of this process, in bytes.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from steelfast.chunks import Table, fit
from steelfast.estimator import SteelClassifier

N_ROWS, N_FEATURES, CLASSES = 5_000_000, 16, list("abcde")
GROUP = 50_000


def peak_memory():
    try:
        # what rusage has for this includes what the process was before it became Python
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def main(folder):
    rng = np.random.default_rng(50)
    centres = 0.6 * rng.standard_normal((len(CLASSES), N_FEATURES), np.float32)
    columns = [f"x{j}" for j in range(N_FEATURES)]
    schema = pa.schema([*((name, pa.float32()) for name in columns), ("fault", pa.string())])
    with parquet.ParquetWriter(folder / "sorted.parquet", schema, use_dictionary=["fault"]) as writer:
        for start in range(0, N_ROWS, GROUP):
            label = start * len(CLASSES) // N_ROWS
            X = centres[label] + rng.standard_normal((GROUP, N_FEATURES), np.float32)
            writer.write(pa.table([*X.T.copy(), [CLASSES[label]] * GROUP], schema=schema), row_group_size=GROUP)
    Table(folder / "sorted.parquet", "fault").write_shuffled(folder / "shuffled.parquet", progress=True)
    table = Table(folder / "shuffled.parquet", "fault", buffer_rows=0)
    model = fit(SteelClassifier(random_state=0), table, progress=True)

    labels = rng.integers(len(CLASSES), size=20_000)
    X = centres[labels] + rng.standard_normal((len(labels), N_FEATURES))
    nearest = np.square(X[:, np.newaxis] - centres).sum(axis=2).argmin(axis=1)
    result = {
        "n_rows": table.n_rows,
        "n_chunks": model.n_iter_,
        "accuracy": model.score(X, np.array(CLASSES)[labels]),
        "possible": np.mean(nearest == labels),
        "peak": peak_memory(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
