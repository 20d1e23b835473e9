"""What several files of tests need."""

import pytest


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory):
    """A Dask cluster of two workers, each a process of its own on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=":0",
        local_directory=tmp_path_factory.mktemp("dask"),
    ) as cluster:
        yield cluster
