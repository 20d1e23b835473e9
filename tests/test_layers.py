"""The layers of the package: imports go one way, and only what is needed is loaded."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "steelfast"

# A module imports from its own layer and those before it.
LAYERS = [
    {"_version", "_elementary", "_processor", "_arguments", "_files"},
    {"_rows", "_arrays", "_steps"},
    {"_loss_rows"},
    {"_heads"},
    {"_softmax", "_losses", "_linear", "_layers", "_updates"},
    {"_kernels", "_isa"},
    {"_configuration", "schedules", "heads", "datasets"},
    {"optimizers", "objective"},
    {"models"},
    {"network"},
    {"trainer"},
    {"estimator", "textbook", "experiments", "reference"},
    {"sweeps", "chunks"},
    {"_contenders", "_long_double", "_scores"},
    {"plotting", "reporting", "bench", "_terminal"},
    {"_commands"},
    {"_compare_command", "_explain_command", "_sweep_command"},
    {"cli"},
    {"__init__", "__main__"},
]
LAYER_OF = {module: layer for layer, modules in enumerate(LAYERS) for module in modules}

CYTHON_FROM = re.compile(r"^\s*from\s+([\w.]+)\s+c?import\s+(?:\(([^)]*)\)|(.*))", re.MULTILINE)
CYTHON_IMPORT = re.compile(r"^\s*c?import\s+([\w.]+)", re.MULTILINE)


class WithoutTypeChecking(ast.NodeTransformer):
    """Drops what only a type checker sees."""

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def imported_by_python(source):
    """Full names of what is imported, wherever in the file."""
    for node in ast.walk(WithoutTypeChecking().visit(ast.parse(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_by_cython(source):
    for module, in_parentheses, on_line in CYTHON_FROM.findall(source):
        names = (in_parentheses or on_line).split(",")
        yield from (f"{module}.{name.split()[0]}" for name in names if name.strip())
    yield from CYTHON_IMPORT.findall(source)


def modules_of_ours(names):
    """The modules of the package among what is imported; what is not a module is in __init__."""
    known = LAYER_OF.keys() | {path.stem for path in PACKAGE.iterdir()}
    for name in names:
        if re.match(r"\.+", name):
            name = f"steelfast.{name.lstrip('.')}"
        if name.split(".")[0] == "steelfast":
            parts = [part for part in name.split(".")[1:] if part in known]
            yield parts[0] if parts else "__init__"


SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd", ".pxi"})


def imports_of(path):
    source = path.read_text(encoding="utf-8")
    names = imported_by_python(source) if path.suffix == ".py" else imported_by_cython(source)
    return set(modules_of_ours(names))


def name_of(path):
    """A file of a subpackage counts as the subpackage."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(path.suffix)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    module, imported = name_of(path), imports_of(path)
    assert {module, *imported} <= LAYER_OF.keys(), "give the new module its layer"
    assert not {other for other in imported if LAYER_OF[other] > LAYER_OF[module]}


def test_imports_are_seen():
    assert imports_of(PACKAGE / "__init__.py")
    assert "_rows" in imports_of(PACKAGE / "_softmax.pyx")


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        (imported_by_python("from steelfast import softmax, trainer"), {"__init__", "trainer"}),
        (imported_by_python("def f():\n    from . import _kernels"), {"_kernels"}),
        (imported_by_python("import steelfast.cli as c, numpy"), {"cli"}),
        (imported_by_python("from steelfast.trainer import fit"), {"trainer"}),
        (imported_by_python("if TYPE_CHECKING:\n    from steelfast import cli"), set()),
        (imported_by_cython("from steelfast._rows cimport a, b as c\nimport numpy"), {"_rows"}),
        (imported_by_cython("from ._rows cimport (\n    a,\n    b,\n)"), {"_rows"}),
        (imported_by_cython("cimport steelfast._elementary"), {"_elementary"}),
    ],
)
def test_what_counts_as_an_import(names, modules):
    assert set(modules_of_ours(names)) == modules


def test_reference_is_for_tests_and_benchmarks():
    users = {name_of(path) for path in SOURCES if "reference" in imports_of(path)}
    assert users <= {"_contenders", "_long_double", "bench", "reference"}


def loaded_by(statement):
    """The top-level modules that the statement loads in a fresh interpreter."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_import_loads_numpy_and_nothing_else():
    loaded = loaded_by("import steelfast")
    assert {"steelfast", "numpy"} <= loaded
    # what Cython and editable installs leave behind
    of_the_build = {name for name in loaded if re.match(r"_?cython|__editable__|_distutils_hack", name)}
    assert loaded - of_the_build - set(sys.stdlib_module_names) == {"steelfast", "numpy"}


def test_import_loads_neither_the_reference_nor_the_command_line():
    program = "import sys, steelfast; print(*(m for m in sys.modules if m.startswith('steelfast.')))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[1] for name in done.stdout.split()}
    assert not loaded & {"reference", "bench", "cli", "plotting", "estimator"}


def test_import_loads_none_of_numpy_s_random_numbers():
    """Which take as long to load as all of steelfast."""
    program = "import sys, steelfast; print('numpy.random' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
