"""From one model file to another: which weight goes where, and whether both say the same.

Both sides are run on random inputs, in their own framework too where that is installed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import dtypes, optional
from isoconv.errors import ArgumentError, FileError, IsoconvError, ShapeError, explain
from isoconv.interop.onnx import reading, writing
from isoconv.interop.weight_map import WeightMap, WeightRow
from isoconv.models import Model, formats, load_model
from isoconv.ops import tree

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-4
"""How much of the largest output the sides may differ by."""

# Sizes that are tried for axes of free size, until the model takes them.
_SIZES = (16, 32, 64, 128, 256, 512, 1024, 4096)


@dataclass(frozen=True)
class Check:
    """One side that was run. difference: of the largest output; None with a `note` why not."""

    name: str
    difference: float | None
    note: str = ""

    def __str__(self) -> str:
        if self.difference is None:
            return f"{self.name}: not run ({self.note})"
        return f"{self.name}: differs by {self.difference:.1e} of the largest output"


@dataclass(frozen=True)
class Conversion:
    """What `convert` did: the table of weights, and the checks of the result."""

    weights: WeightMap
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        return "\n".join([str(self.weights), "", *map(str, self.checks)])

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON data."""
        titles = ("from", "from_shape", "to", "to_shape", "transposition")
        rows = [dict(zip(titles, row, strict=True)) for row in self.weights.table()[1:]]
        return {"weights": rows, "checks": [vars(check) for check in self.checks]}


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Conversion:
    """Reads the model in `source` and writes it to `target`; their suffixes say the formats.

    Raises FileError, and leaves `target` as it was, where the two sides give other numbers.
    """
    given, wanted = Path(source), Path(target)
    save = formats.function("save", wanted)
    model, rows = _read(given)
    inputs, expected = _example(model)
    checks = [
        _check(f"{given.name} in {n}", run, given, inputs, expected) for n, run in _own(given)
    ]
    with tempfile.TemporaryDirectory(dir=wanted.resolve().parent, prefix=".convert") as folder:
        made = Path(folder, wanted.name)
        save(model, made)
        sides = [("isoconv", _by_isoconv), *_own(wanted)]
        checks += [_check(f"{wanted.name} in {n}", run, made, inputs, expected) for n, run in sides]
        _refuse_different(checks)
        made.replace(wanted.resolve())
    joined = [row for each in rows for row in _joined(each, _written(model, wanted))]
    return Conversion(WeightMap(joined, given.name, wanted.name), tuple(checks))


def _refuse_different(checks: Sequence[Check]) -> None:
    for check in checks:
        if check.difference is not None and not check.difference <= TOLERANCE:
            given = f"{check.difference:.1e}"
            expected = f"at most {TOLERANCE:.0e} of the largest output"
            raise FileError(explain(f"convert: difference of {check.name}", given, expected))


# -- weights ----------------------------------------------------------------------------------


def _read(path: Path) -> tuple[Model, list[WeightRow]]:
    """The model of a file, and where each of its weights comes from."""
    if path.suffix.lower() == ".onnx":
        model, found = reading.read(path)
        return model, [_source(label, variable, axes) for label, variable, axes in found]
    model = load_model(path)
    if not isinstance(model, Model):
        raise ArgumentError(explain("convert", repr(model), "a file with a model"))
    return model, [WeightRow(w.path, w.shape, w.path, w.shape) for w in model.weights]


def _source(label: str, variable: Any, axes: tuple[int, ...] | None) -> WeightRow:
    """The row of a weight in an ONNX file, which was transposed by `axes` on the way."""
    shape = variable.shape
    if axes is not None:
        shape = tuple(variable.shape[axes.index(axis)] for axis in range(len(axes)))
    return WeightRow(label or variable.path, shape, variable.path, variable.shape, axes)


def _written(model: Model, path: Path) -> list[WeightRow]:
    """Where each weight goes in a file."""
    if path.suffix.lower() == ".onnx":
        return writing.written(model)[1]
    return [WeightRow(w.path, w.shape, w.path, w.shape) for w in model.weights]


def _joined(row: WeightRow, targets: Sequence[WeightRow]) -> list[WeightRow]:
    """A row that leads to the model, led on to the places in the other file."""
    found: list[WeightRow] = []
    for target in targets:
        if target.source != row.target:
            continue
        if row.axes is None:
            ends = (target.target, target.target_shape, target.axes, target.split)
            found.append(WeightRow(row.source, row.source_shape, *ends))
        elif target.split is None:
            order = range(len(row.axes)) if target.axes is None else target.axes
            axes = tuple(row.axes[axis] for axis in order)
            ends_plain = (target.target, target.target_shape, axes)
            found.append(WeightRow(row.source, row.source_shape, *ends_plain))
        else:
            found += [row, target]
    return found


# -- running ----------------------------------------------------------------------------------


def _example(model: Model) -> tuple[list[Array], list[Array]]:
    """Random inputs that the model takes, and what it gives for them."""
    rng = np.random.default_rng(0)
    for size in _SIZES:
        inputs = [_random(tensor, size, rng) for tensor in model.inputs]
        try:
            return inputs, _leaves(model(inputs if len(inputs) > 1 else inputs[0]))
        except ShapeError:
            if size == _SIZES[-1]:
                raise
    raise AssertionError("sizes were tried")


def _random(tensor: Any, size: int, rng: np.random.Generator) -> Array:
    free = (2 if axis == 0 else size for axis in range(len(tensor.shape)))
    shape = [f if known is None else known for known, f in zip(tensor.shape, free, strict=True)]
    if dtypes.is_float(tensor.dtype):
        return rng.normal(size=shape).astype(tensor.dtype)
    return rng.integers(0, 2, shape).astype(tensor.dtype)


def _leaves(result: Any) -> list[Array]:
    return [np.asarray(leaf) for leaf in tree.leaves(result)]


Run = Callable[[Path, list[Array]], list[Array]]


def _by_isoconv(path: Path, inputs: list[Array]) -> list[Array]:
    return _leaves(load_model(path)(inputs if len(inputs) > 1 else inputs[0]))


def _by_onnxruntime(path: Path, inputs: list[Array]) -> list[Array]:
    session = optional.require("onnxruntime", "bench").InferenceSession(str(path))
    names = [entry.name for entry in session.get_inputs()]
    return _leaves(session.run(None, dict(zip(names, inputs, strict=True))))


def _by_keras(path: Path, inputs: list[Array]) -> list[Array]:
    model = optional.require("keras", "test").models.load_model(path, compile=False)
    return _leaves(model(inputs if len(inputs) > 1 else inputs[0]))


def _own(path: Path) -> list[tuple[str, Run]]:
    """The framework that a file is of."""
    if path.suffix.lower() == ".onnx":
        return [("onnxruntime", _by_onnxruntime)]
    return [("Keras", _by_keras)]


def _check(name: str, run: Run, path: Path, inputs: list[Array], expected: list[Array]) -> Check:
    try:
        found = run(path, inputs)
    except IsoconvError as error:
        if run is _by_isoconv:
            raise
        return Check(name, None, str(error))
    except Exception as error:  # another framework's, which may not know all that the file has
        return Check(name, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
    if [each.shape for each in found] != [each.shape for each in expected]:
        return Check(name, float("inf"))
    pairs = list(zip(found, expected, strict=True))
    largest = max((float(np.abs(each).max(initial=0)) for each in expected), default=0.0)
    most = max((float(np.abs(a - b).max(initial=0)) for a, b in pairs), default=0.0)
    return Check(name, most / (largest or 1.0))
