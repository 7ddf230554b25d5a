"""The table of rooms in docs/design.md, held against the imports of every module."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

# From the ground up. A room may import every room on a lower line, none on its own or a higher
# one. A room is a module or package of isoconv with all that is in it, less what is named as a
# room itself: "training" does not include "training.initializers". The first column is the level
# in docs/design.md.
ORDER = [
    (0, ["errors", "naming", "atomic", "sections", "changes"]),
    (0, ["dtypes", "settings", "optional", "registry"]),
    (0, ["memory", "sessions", "timing"]),
    (1, ["ir"]),
    (2, ["reference", "gradient", "recompute", "rewriting", "plan"]),
    (3, ["codegen"]),
    (4, ["runtime"]),
    (5, ["compiler"]),
    (6, ["ops"]),
    (6, ["autodiff", "utils"]),
    (
        6,
        [
            "training.initializers",
            "training.regularizers",
            "training.constraints",
            "training.activations",
        ],
    ),
    (6, ["layers"]),
    (6, ["training"]),
    (6, ["models"]),
    (6, ["spec"]),
    (7, ["conversion", "interop", "torch", "equivalence", "backend", "compat", "data"]),
    (8, ["demo", "doctor", "explaining", "racing", "bench", "distributed"]),
    (8, ["drawing"]),
    (9, ["cli"]),
    (9, ["__main__"]),
]

# What a room must not import although it is on a lower line, by the name of the importing room.
FORBIDDEN = {
    "reference": ["ir.geometry"],
    "runtime": ["rewriting"],
}
FORBIDDEN |= {
    room: ["codegen", "runtime"] for level, rooms in ORDER if level == 6 for room in rooms
}

# The record of one axis is the exception: the reference reads its fields, and
# test_reference_reads_only_the_fields_of_an_axis watches that it reads nothing else.
EXCEPTIONS = {("reference", "isoconv.ir.geometry.Axis")}

# Which rooms may import which package. The standard library is open to all; what is not here is
# optional and comes through isoconv.optional.
PACKAGES = {
    "numpy": None,
    "llvmlite": ["codegen", "runtime"],
    "h5py": ["models", "interop"],
    "rich": ["training", "models", "explaining", "bench", "cli"],
    "typer": ["cli"],
}

# The lazy names of isoconv/__init__.py, and the helper for optional packages, import late.
IMPORT_LATE = {"isoconv", "isoconv.optional"}

RANK = {room: rank for rank, (_, rooms) in enumerate(ORDER) for room in rooms}


def room_of(name: str) -> str | None:
    """The most particular room that a dotted name within isoconv belongs to."""
    inside = name.removeprefix("isoconv.")
    fitting = [room for room in RANK if f"{inside}.".startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def imported_names(tree: ast.AST) -> list[tuple[str, int]]:
    """Every name that is imported, dotted ("from a import b" gives "a.b"), and its line."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names += [(f"{start}.{alias.name}", node.lineno) for alias in node.names]
    return names


def late_imports(tree: ast.AST) -> list[int]:
    """The lines of the imports within functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, functions)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def fault(importer: str, name: str) -> str | None:
    """What is wrong with a module's importing a name, if anything."""
    room, package = room_of(importer), name.partition(".")[0]
    if package == "":
        return "a relative import"
    if package in sys.stdlib_module_names:
        return None
    if package != "isoconv":
        if package not in PACKAGES:
            return "an optional package, which only isoconv.optional imports"
        rooms = PACKAGES[package]
        return None if rooms is None or room in rooms else "a package that is not for this room"
    target = room_of(name)
    if target is None:
        return "no room of the table"
    if room is None or target == room:
        return None
    if RANK[target] >= RANK[room]:
        return f"'{target}' is not below '{room}'"
    inside = name.removeprefix("isoconv.")
    for forbidden in FORBIDDEN.get(room, []):
        if (room, name) not in EXCEPTIONS and f"{inside}.".startswith(f"{forbidden}."):
            return f"'{room}' must not know '{forbidden}'"
    return None


def faults(importer: str, source: str) -> list[str]:
    """Everything wrong with the imports of a module, by its dotted name and text."""
    tree = ast.parse(source)
    found = []
    # The package's own __init__ is above all rooms.
    if importer != "isoconv" and room_of(importer) is None:
        found.append(f"{importer} is in no room of the table")
    for name, line in imported_names(tree):
        reason = fault(importer, name)
        if reason:
            found.append(f"{importer}:{line} imports {name}: {reason}")
    if importer not in IMPORT_LATE:
        found += [f"{importer}:{line} imports within a function" for line in late_imports(tree)]
    return found


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_go_downwards(module):
    assert faults(module, modules()[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("isoconv.ir.graph", "from isoconv.layers import Dense"),
        ("isoconv.ir.graph", "import isoconv.plan.cost"),
        ("isoconv.ir.graph", "from isoconv import compiler"),
        ("isoconv.ir.graph", "from . import sizes"),
        ("isoconv.errors", "from isoconv import settings"),
        ("isoconv.reference.meaning", "from isoconv.ir.geometry import Axis, span"),
        ("isoconv.reference.meaning", "from isoconv.ir import geometry"),
        ("isoconv.gradient", "from isoconv.rewriting import driver"),
        ("isoconv.plan.cost", "import llvmlite.binding"),
        ("isoconv.plan.cost", "from isoconv import rewriting"),
        ("isoconv.runtime.jit", "from isoconv.rewriting.driver import run"),
        ("isoconv.runtime.jit", "from isoconv.layers import Dense"),
        ("isoconv.layers.dense", "from isoconv.runtime.executable import Executable"),
        ("isoconv.training.initializers", "from isoconv import codegen"),
        ("isoconv.training.initializers", "from isoconv.training import losses"),
        ("isoconv.layers.dense", "from isoconv.training.losses import MeanSquaredError"),
        ("isoconv.explaining.words", "from isoconv import racing"),
        ("isoconv.ops.nn", "import torch"),
        ("isoconv.ops.nn", "if True:\n    import rich"),
        ("isoconv.ops.nn", "def f():\n    import math"),
        ("isoconv.elsewhere", ""),
    ],
)
def test_planted_fault_is_found(importer, line):
    assert len(faults(importer, line)) == 1


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("isoconv", "def f():\n    from isoconv.models import Model"),
        ("isoconv.optional", "def f():\n    import importlib"),
        ("isoconv.reference.meaning", "from isoconv.ir.graph import Node"),
        ("isoconv.layers.dense", "from isoconv.training import initializers"),
        ("isoconv.training.losses", "from isoconv.training.initializers import get"),
        ("isoconv.codegen.emit", "import llvmlite.binding as llvm"),
        ("isoconv.cli", "import typer"),
    ],
)
def test_allowed_import_passes(importer, line):
    assert faults(importer, line) == []


def test_reference_reads_only_the_fields_of_an_axis():
    geometry = ast.parse((SOURCE / "isoconv/ir/geometry.py").read_text(encoding="utf-8"))
    methods = {
        method.name
        for node in geometry.body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
    assert "output" in methods
    for module, path in modules().items():
        if room_of(module) == "reference":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not read & methods, module


def test_documented_table_is_this_one():
    documented = []
    for row in (ROOT / "docs/design.md").read_text(encoding="utf-8").splitlines():
        level, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        if level.isdecimal():
            rooms, forbidden = (re.findall(r"`([\w.]+)`", cells[column]) for column in (0, 2))
            documented += [(int(level), room, forbidden) for room in rooms]
    assert documented == [
        (level, room, FORBIDDEN.get(room, [])) for level, rooms in ORDER for room in rooms
    ]


def test_plain_import_is_light():
    late = ["h5py", "rich", "typer", "torch", "jax", "keras", "onnx", "matplotlib"]
    program = f"import isoconv, sys; print([name for name in {late} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
