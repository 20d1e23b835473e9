#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""What CI does, on any system: `nox` runs tests, linters and types; `nox -l` lists all, `nox -s tests-3.12` runs one.

Each session has a virtual environment of its own, in which the package is built and installed.
"""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on the installed package; arguments go to pytest."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *(session.posargs or ("-n", "auto")))


@nox.session
def lint(session: nox.Session) -> None:
    """Style and what it finds of mistakes; nothing is built."""
    session.install("ruff", "cython-lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("cython-lint", "src")


@nox.session
def types(session: nox.Session) -> None:
    """The types, of the sources and of what is installed."""
    session.install(".[dev]")
    session.run("mypy")
    allowed = ("--allowlist", ".ci/stubtest-allowlist.txt", "--mypy-config-file", "pyproject.toml")
    session.run("python", "-m", "mypy.stubtest", "steelfast", *allowed)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The site of the documents, with warnings as errors, in build/docs."""
    session.install(".[docs]")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "docs", "build/docs")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The benchmarks, beside NumPy, SciPy, PyTorch, JAX and Numba; arguments go to pytest."""
    session.install(".[bench]")
    session.run("python", "-m", "pytest", "benchmarks", "--benchmark-only", *session.posargs)


if __name__ == "__main__":
    nox.main()
