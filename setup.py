"""Build the kernels: every .pyx of KERNELS once for each instruction set of this platform.

The same source becomes `steelfast._isa.<instruction set>._softmax` and so on; `steelfast._kernels` imports the
build that fits the processor. Everything else about the package stands in pyproject.toml.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = ["_softmax", "_losses", "_linear", "_layers", "_updates"]
# what they include and cimport
HEADERS = [
    "_eight.h",
    "_elementary.h",
    "_exp.h",
    "_product.h",
    "_transpose.h",
    "_arrays.pxd",
    "_elementary.pxd",
    "_heads.pxd",
    "_loss_rows.pxd",
    "_rows.pxd",
    "_steps.pxd",
]
DEBUG = os.environ.get("STEELFAST_DEBUG") == "1"
PLATFORM = sysconfig.get_platform()
MSVC = PLATFORM.startswith("win")  # Python of MinGW has sys.platform "win32" too
# the processor to build for, where it is not that of Python itself: as Xcode and Visual Studio are told
TARGET = os.environ.get("ARCHFLAGS", "") + os.environ.get("VSCMD_ARG_TGT_ARCH", "")
# neither ARM nor both at once ("universal2")
X86 = re.search("x86_64|amd64|i[3-6]86", PLATFORM) is not None and "arm" not in TARGET
X86_64 = X86 and sys.maxsize > 2**32  # a Python of 32 bits may run on a system of 64

# name of the build -> what the compiler needs to know for it; the names are importable forms of the psABI's
INSTRUCTION_SETS = {"baseline": []}
if X86_64:
    INSTRUCTION_SETS |= {
        "x86_64_v3": ["/arch:AVX2"] if MSVC else ["-march=x86-64-v3"],
        "x86_64_v4": ["/arch:AVX512"] if MSVC else ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }


def is_understood(flags: list[str]) -> bool:
    """Whether the compiler knows them, the one of $CC or of Python; clang refuses what it has never heard of."""
    try:
        command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        tried = subprocess.run([*command, *flags, "-fsyntax-only", "-x", "c", os.devnull], capture_output=True)
    except (OSError, ValueError):
        return False
    return tried.returncode == 0


if MSVC:
    COMPILE = ["/O2", "/fp:precise"]
    LINK = []
else:
    # These come after the CFLAGS of whoever builds. No -ffast-math: infinities, NaN and error-free sums must mean what
    # they say; no contraction but our own fma(). Linked with -Ofast, a library flushes subnormals of the whole process.
    COMPILE = ["-O3", "-g0", "-fno-fast-math", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
    COMPILE += ["-Wall", "-Wextra"]
    # what gcc unrolls before it vectorises, as loops over LANES, it no longer vectorises; nor does it in functions that
    # have grown too large
    COMPILE += ["--param=max-completely-peel-times=4", "-fno-inline-functions-called-once"]
    # nor what it fears could overflow; Python's own flags say so too, if nobody has replaced them
    COMPILE += ["-fwrapv"]
    # nor may it make a call, or a slow instruction, of a loop that fills or copies a few registers; clang 14 refuses it
    COMPILE += [flag for flag in ["-fno-tree-loop-distribute-patterns"] if is_understood([flag])]
    # where a loop happens to begin may make it a tenth slower; the third is for loops that gcc takes for seldom used
    COMPILE += ["-falign-functions=64", "-falign-loops=32", "--param=align-threshold=65536"]
    # NumPy's headers and Cython's own code; and clang, of an | that is there to have no branch
    COMPILE += ["-Wno-unused-parameter", "-Wno-unused-function", "-Wno-missing-field-initializers"]
    COMPILE += ["-Wno-bitwise-instead-of-logical"]
    COMPILE += ["-Wno-unused-command-line-argument", "-Wno-ignored-optimization-argument"]  # what gcc needs
    LINK = ["-O3", "-fno-fast-math"]
    if X86:
        COMPILE += ["-msse2", "-mfpmath=sse"]  # not the x87 of 32 bits, which rounds twice
    if DEBUG:
        COMPILE += ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        LINK += ["-fsanitize=address,undefined"]

# In the 32 registers of AVX-512 there is room to begin what waits before what does not, which gcc leaves to the
# processor: softmax of doubles up to a quarter faster. With 16 registers, and for the losses of a few rows, slower.
SCHEDULE = ["-fschedule-insns", "-fsched-pressure"]
SCHEDULED = {("x86_64_v4", "_softmax"), ("x86_64_v4", "_linear")}


MACROS = [
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
    # the row primitives must end up in one function with their arrays, or no loop over them is vectorised
    ("CYTHON_INLINE", "__forceinline" if MSVC else "inline __attribute__((always_inline))"),
]

DIRECTIVES = {
    "language_level": 3,
    "freethreading_compatible": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": False,
    # nothing in a module but what its source and its stub name
    "autotestdict": False,
    "auto_pickle": False,
}


def extension(module: str, source: str) -> Extension:
    return Extension(
        f"steelfast.{module}",
        [f"src/steelfast/{source}.pyx"],
        include_dirs=["src/steelfast", numpy.get_include()],
        define_macros=MACROS,
        extra_link_args=LINK,
        depends=[f"src/steelfast/{name}" for name in HEADERS],
    )


def cythonized(extensions: list[Extension], name: str, flags: list[str]) -> list[Extension]:
    # a folder of its own for each instruction set: the modules' names differ, and so does the C
    extensions = cythonize(
        extensions,
        build_dir=f"build/cython/{name}{'-debug' if DEBUG else ''}",
        include_path=["src"],
        compiler_directives=DIRECTIVES,
    )
    for each in extensions:
        # not before: cythonize adds what it was given for the same source earlier
        each.extra_compile_args = COMPILE + flags
    return extensions


ext_modules = cythonized([extension("_processor", "_processor")], "processor", [])
schedule = SCHEDULE if X86_64 and not MSVC and not DEBUG and is_understood(SCHEDULE) else []
for name, flags in INSTRUCTION_SETS.items():
    for k in KERNELS:
        more = schedule if (name, k) in SCHEDULED else []
        ext_modules += cythonized([extension(f"_isa.{name}.{k}", k)], name, flags + more)

setup(ext_modules=ext_modules, options={"build_ext": {"parallel": os.cpu_count()}})
