"""A cluster of two workers learns what one process learns: by Dask-ML's Incremental, and by averaging gradients."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from steelfast import SteelClassifier, load_steel_plates, loss_and_grad

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

TWIN = load_steel_plates(source="twin")
ORDER = np.random.default_rng(81).permutation(len(TWIN.target))
X, y = TWIN.data[ORDER], TWIN.target[ORDER]
N_CLASSES = len(TWIN.target_names)
BLOCK = 500


@pytest.fixture
def client(dask_cluster):
    with distributed.Client(dask_cluster) as client:
        yield client


@pytest.mark.usefixtures("client")
def test_incremental_learns_what_partial_fit_of_the_blocks_learns():
    incremental = pytest.importorskip("dask_ml.wrappers").Incremental
    blocks = da.from_array(X, chunks=(BLOCK, -1)), da.from_array(y, chunks=BLOCK)
    model = incremental(SteelClassifier(random_state=0), shuffle_blocks=False)
    expected = SteelClassifier(random_state=0)
    for _ in range(3):
        model.partial_fit(*blocks, classes=range(N_CLASSES))
        for start in range(0, len(X), BLOCK):
            rows = slice(start, start + BLOCK)
            expected.partial_fit(X[rows], y[rows], classes=range(N_CLASSES))
    assert model.estimator_.coef_.tobytes() == expected.coef_.tobytes()
    np.testing.assert_array_equal(model.predict(blocks[0]).compute(), expected.predict(X))
    assert model.score(*blocks) == expected.score(X, y)


def test_averaged_gradients_lead_to_the_minimum(client):
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    l2, shape = 0.01, (N_CLASSES, X.shape[1] + 1)
    edges = np.array_split(np.arange(len(X)), 4)
    parts = [client.scatter([scaled[rows] for rows in edges]), client.scatter([y[rows] for rows in edges])]
    used = set()

    def objective(flat):
        W = flat.reshape(shape)
        sums = client.map(loss_and_grad, *parts, coef=W[:, :-1], intercept=W[:, -1])
        loss, grad_coef, grad_intercept = (sum(each) / len(X) for each in zip(*client.gather(sums), strict=True))
        used.update(*client.who_has(sums).values())
        W = W.copy()
        W[:, -1] = 0  # the intercepts are free
        return loss + l2 / 2 * (W**2).sum(), (np.column_stack([grad_coef, grad_intercept]) + l2 * W).ravel()

    found = minimize(
        objective, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "ftol": 0}
    )
    expected = LogisticRegression(C=1 / (l2 * len(X)), tol=1e-8, max_iter=10_000).fit(scaled, y)
    np.testing.assert_allclose(found.x.reshape(shape)[:, :-1], expected.coef_, atol=1e-3)
    assert len(used) == 2


def test_a_worker_that_sends_gradients_needs_numpy_alone():
    program = (
        "import sys; before = set(sys.modules); from steelfast import loss_and_grad;"
        "loss_and_grad([[1.0]], [0], [[1.0]], [0.0]);"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {name for name in done.stdout.split() if "cython" not in name} == {"numpy", "steelfast"}
