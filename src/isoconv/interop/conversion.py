"""From one model file to another: which weight goes where, and whether both say the same.

Both sides are run on random inputs, in their own framework too where that is installed.
"""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from isoconv import dtypes, optional
from isoconv.errors import ArgumentError, FileError, IsoconvError, ShapeError, explain
from isoconv.interop.onnx import reading, writing
from isoconv.interop.torch.flattening import in_own_order, in_torchs_order
from isoconv.interop.torch.loading import load_state_dict
from isoconv.interop.weight_map import WeightMap, WeightRow
from isoconv.models import Model, formats, load_model
from isoconv.ops import tree
from isoconv.sections import WIDTH, Section, as_text

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
        """The table at 80 columns, with = for a name and nothing for a shape that stays."""
        head, *rows = self.weights.table()
        shown = [
            (name, shape, "=" if to == name else to, "" if there == shape else there, how)
            for name, shape, to, there, how in rows
        ]
        table = as_text([Section("", (), [head, *shown], True)])
        checks = (wrap(str(check), WIDTH, subsequent_indent="  ") for check in self.checks)
        return "\n".join([table, "", *chain.from_iterable(checks)])

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON data."""
        titles = ("from", "from_shape", "to", "to_shape", "transposition")
        rows = [dict(zip(titles, row, strict=True)) for row in self.weights.table()[1:]]
        return {"weights": rows, "checks": [vars(check) for check in self.checks]}


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
) -> Conversion:
    """Reads the model in `source` and writes it to `target`; their suffixes say the formats.

    Where a file holds weights alone (.weights.h5, .safetensors, .pt, .pth), they are those of a
    model: that of the file `model` for a `source`. Raises FileError, and leaves `target` as it was,
    where the two sides give other numbers.
    """
    given, wanted = Path(source), Path(target)
    save = _writer(wanted)
    network, rows = _read(given, None if model is None else Path(model))
    inputs, expected = _example(network)
    checks = [
        _check(f"{given.name} in {n}", run, given, inputs, expected)
        for n, run in _own(given, network, model is not None)
    ]
    with tempfile.TemporaryDirectory(dir=wanted.resolve().parent, prefix=".convert") as folder:
        made = Path(folder, wanted.name)
        save(network, made)
        alone = not formats.can("load", wanted)
        here = _weights_by_isoconv(network) if alone else _by_isoconv
        sides = [("isoconv", here), *_own(wanted, network, alone)]
        checks += [_check(f"{wanted.name} in {n}", run, made, inputs, expected) for n, run in sides]
        _refuse_different(checks)
        made.replace(wanted.resolve())
    joined = [row for each in rows for row in _joined(each, _written(network, wanted))]
    return Conversion(WeightMap(joined, given.name, wanted.name), tuple(checks))


def _writer(path: Path) -> Callable[[Model, Path], None]:
    """What writes a model, or its weights where the format holds no more."""
    writer: Callable[[Model, Path], None] = formats.function(
        "save_weights" if formats.can("save_weights", path, but="save") else "save", path
    )
    return writer


def _refuse_different(checks: Sequence[Check]) -> None:
    for check in checks:
        if check.difference is not None and not check.difference <= TOLERANCE:
            given = f"{check.difference:.1e}"
            expected = f"at most {TOLERANCE:.0e} of the largest output"
            raise FileError(explain(f"convert: difference of {check.name}", given, expected))


# -- weights ----------------------------------------------------------------------------------


def _read(path: Path, of: Path | None) -> tuple[Model, list[WeightRow]]:
    """The model of a file, and where each of its weights comes from. of: a file with the model, for
    one that holds weights alone.
    """
    if of is not None:
        return _read_weights(path, of)
    if not formats.can("load", path) and formats.can("load_weights", path):
        remedy = "Name a file with the model that they belong to: --model FILE."
        raise ArgumentError(explain("convert", f"weights alone in {path.name}", "a model", remedy))
    if path.suffix.lower() == ".onnx":
        model, found = reading.read(path)
        return model, [_source(label, variable, axes) for label, variable, axes in found]
    model = load_model(path)
    if not isinstance(model, Model):
        raise ArgumentError(explain("convert", repr(model), "a file with a model"))
    return model, _plain(model)


def _read_weights(path: Path, of: Path) -> tuple[Model, list[WeightRow]]:
    """The model of the file `of` with the weights of another file."""
    model, _ = _read(of, None)
    if not _is_torchs(path):
        model.load_weights(path)
        return model, _plain(model)
    # The map's rows have the order of the model's weights in PyTorch.
    order = [variable for variable, _ in in_torchs_order(model)]
    found = load_state_dict(model, path)
    return model, [replace(row, target=v.path) for v, row in zip(order, found, strict=True)]


def _is_torchs(path: Path) -> bool:
    return path.suffix.lower() in (".pt", ".pth", ".safetensors")


def _plain(model: Model) -> list[WeightRow]:
    """Rows of weights that are called and shaped the same on both sides."""
    return [WeightRow(w.path, w.shape, w.path, w.shape) for w in model.weights]


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
    if _is_torchs(path):
        return [replace(row.reversed, source=v.path) for v, row in in_torchs_order(model)]
    return _plain(model)


def _joined(row: WeightRow, targets: Sequence[WeightRow]) -> list[WeightRow]:
    """A row that leads to the model, led on to the places in the other file."""
    found: list[WeightRow] = []
    for target in targets:
        if target.source != row.target:
            continue
        led = WeightRow(row.source, row.source_shape, target.target, target.target_shape)
        if row.transposition == "":
            found.append(replace(led, axes=target.axes, split=target.split))
        elif target.transposition == "":
            found.append(replace(led, axes=row.axes, split=row.split))
        elif row.axes is not None and row.split is target.split is None:
            order = range(len(row.axes)) if target.axes is None else target.axes
            found.append(replace(led, axes=tuple(row.axes[axis] for axis in order)))
        elif _is_restored(row, target):
            found.append(led)
        else:
            found += [row, target]
    return found


def _is_restored(there: WeightRow, back: WeightRow) -> bool:
    """Whether the second row puts elements in the order that they had before the first."""
    places = np.arange(math.prod(there.source_shape))
    moved = back.forward(there.forward(places.reshape(there.source_shape)))
    return bool((moved.ravel() == places).all())


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
    model = optional.keras("bench").models.load_model(path, compile=False)
    return _leaves(model(inputs if len(inputs) > 1 else inputs[0]))


def _weights_by_isoconv(model: Model) -> Run:
    """The model with the weights of a file, and none of its own."""

    def run(path: Path, inputs: list[Array]) -> list[Array]:
        other = deepcopy(model)
        for weight in other.weights:
            weight.assign(np.zeros(weight.shape, weight.dtype))
        other.load_weights(path)
        return _leaves(other(inputs if len(inputs) > 1 else inputs[0]))

    return run


def _weights_by_keras(model: Model) -> Run:
    """Keras' reading of the model, with the weights of a file."""

    def run(path: Path, inputs: list[Array]) -> list[Array]:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder, "model.keras")
            model.save(whole)
            network = optional.keras("bench").models.load_model(whole, compile=False)
        network.load_weights(path)
        return _leaves(network(inputs if len(inputs) > 1 else inputs[0]))

    return run


def _weights_by_torch(model: Model) -> Run:
    """The model as PyTorch's module, with the weights of a file."""

    def run(path: Path, inputs: list[Array]) -> list[Array]:
        torch, module = optional.require("torch", "torch"), model.to_torch()
        if path.suffix.lower() == ".safetensors":
            state = optional.require("safetensors.torch", "test").load_file(path)
        else:
            state = torch.load(path, weights_only=True)
        own = {}
        # The module flattens as the model does; the file is for one that flattens PyTorch's layout.
        pairs = zip(in_torchs_order(model), in_own_order(model), strict=True)
        for (_, there), (_, here) in pairs:
            array = here.backward(there.forward(np.asarray(state.pop(there.source))))
            own[here.source] = torch.from_numpy(array.copy())
        module.load_state_dict(own | state)
        with torch.no_grad():
            return _leaves(module(*map(torch.from_numpy, inputs)))

    return run


def _own(path: Path, model: Model, alone: bool) -> list[tuple[str, Run]]:
    """The framework that a file is of. alone: whether its weights alone are meant."""
    if _is_torchs(path):
        return [("PyTorch", _weights_by_torch(model))]
    if path.suffix.lower() == ".onnx":
        return [("onnxruntime", _by_onnxruntime)]
    return [("Keras", _weights_by_keras(model) if alone else _by_keras)]


def _check(name: str, run: Run, path: Path, inputs: list[Array], expected: list[Array]) -> Check:
    try:
        with warnings.catch_warnings(action="ignore"):  # of frameworks, about what the file says
            found = run(path, inputs)
    except IsoconvError as error:
        if run is _by_isoconv:
            raise
        return Check(name, None, str(error))
    except Exception as error:  # another framework's, which may not know all that the file has
        said = next(iter(str(error).strip().splitlines()), "no reason given")
        return Check(name, None, f"{type(error).__name__}: {said}")
    if [each.shape for each in found] != [each.shape for each in expected]:
        return Check(name, float("inf"))
    pairs = list(zip(found, expected, strict=True))
    largest = max((float(np.abs(each).max(initial=0)) for each in expected), default=0.0)
    most = max((float(np.abs(a - b).max(initial=0)) for a, b in pairs), default=0.0)
    return Check(name, most / (largest or 1.0))
