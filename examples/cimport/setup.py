"""Build every .pyx of this folder against the steelfast that is installed."""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

import steelfast

MSVC = sys.platform == "win32"
# exact sums need a compiler that does not rearrange them, and loops over the primitives are vectorised once inlined
FLAGS = ["/O2", "/fp:precise"] if MSVC else ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
INLINE = "__forceinline" if MSVC else "inline __attribute__((always_inline))"

setup(
    ext_modules=cythonize(
        [
            Extension(
                "*",
                ["*.pyx"],
                include_dirs=[steelfast.get_include()],
                define_macros=[("CYTHON_INLINE", INLINE)],
                extra_compile_args=FLAGS,
            )
        ],
        # where `from steelfast._rows cimport ...` is found, also when steelfast is installed in place
        include_path=[os.path.dirname(steelfast.get_include())],
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True},
    )
)
