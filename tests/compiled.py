"""Cython modules outside the package, compiled while the tests run."""

import shutil
import sysconfig

import exhaustive_float32
import pytest


def compiled(source, folder, instruction_set="baseline"):
    """The module built and imported; a test that asks for it is skipped where it cannot be built."""
    for package in ("Cython", "setuptools"):
        pytest.importorskip(package, reason=f"{package} builds {source.name}")
    compiler = (sysconfig.get_config_var("CC") or "cl").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler ({compiler}) to build {source.name}")
    return exhaustive_float32.compiled(source, folder, instruction_set)
