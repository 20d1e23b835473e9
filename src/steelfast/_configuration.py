"""What is installed and on what it runs: for bug reports, and for the tables of measured figures."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from steelfast import _kernels
from steelfast._version import __version__


def configuration() -> dict[str, Any]:
    """Versions, the processor, and the build of the kernels in use, as plain data."""
    packages: dict[str, str | None] = {}
    for name in ("jinja2", "matplotlib", "pooch", "rich", "scikit-learn", "scipy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "steelfast": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "packages": packages,
        "platform": platform.platform(),
        "processor": _processor_name(),
        "instruction_set": _kernels.ISA,
        "available_instruction_sets": list(_kernels.available_isas()),
        "compiler": _kernels.COMPILER,
    }


def show_config() -> None:
    """Print versions, the processor, and the build of the kernels in use.

    Examples
    --------
    >>> import steelfast
    >>> steelfast.show_config()  # doctest: +ELLIPSIS
    steelfast ...
    """
    settings = configuration()
    packages = settings.pop("packages")
    lines = [(key.replace("_", " "), value) for key, value in settings.items()]
    lines += [(name, found or "not installed") for name, found in packages.items()]
    width = max(len(key) for key, _ in lines)
    for key, value in lines:
        text = ", ".join(value) if isinstance(value, list) else value
        sys.stdout.write(f"{key:<{width}}  {text}\n")


def get_include() -> str:
    """The folder of the C headers that ``steelfast._elementary`` and ``steelfast._rows`` need when they are cimported.

    Returns
    -------
    str
        For the ``include_dirs`` of an extension; the .pxd files lie there too.

    Examples
    --------
    >>> import os, steelfast
    >>> os.path.exists(os.path.join(steelfast.get_include(), "_elementary.h"))
    True
    """
    return os.path.dirname(os.path.abspath(__file__))


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
