"""Reading ONNX: the graph is walked once and drawn as a functional model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, FileError, InternalError, explain
from isoconv.interop.onnx import elements, files, folding, moving, network, sizing, windows
from isoconv.interop.onnx.drawing import Sketch
from isoconv.interop.onnx.package import dtype_of, onnx
from isoconv.interop.onnx.site import HANDLERS, Drawn, Site, Value
from isoconv.models import Model
from isoconv.ops.variable import Variable, without_initial_values

# Each of these registers how it reads operations.
_READERS = (elements, folding, moving, network, sizing, windows)

# What attributes that are not what they should be make the readers of nodes raise.
_WRONG = (
    ArgumentError,
    AttributeError,
    IndexError,
    InternalError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)

Weights = Sequence[tuple[str, Variable, tuple[int, ...] | None]]


def from_onnx(model: Any) -> Model:
    """The functional model that an ONNX file describes; channels come first in it, as there.

    Layers stand for the operations that have one, functions of isoconv.ops for the others. Weights
    are initializers or constants. Sizes without a number in the file are free.

    Args:
        model: a path, the bytes of a file, or an onnx.ModelProto.

    Raises FileError, naming the part, for files that are damaged or contradict themselves, and for
    operations that are not known.
    """
    return read(model)[0]


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool) -> Model:
    """The model of a file, for `load_model`."""
    return from_onnx(path)


def read(model: Any) -> tuple[Model, Weights]:
    """Like `from_onnx`, and of each weight its name in the file and its transposition."""
    folder: Path | None = None
    label = "ONNX model"
    if isinstance(model, str | os.PathLike):
        folder, label = Path(model).parent, str(model)
        model = Path(model).read_bytes()
    if isinstance(model, bytes):
        model = files.parse(model, label)
    if not isinstance(model, onnx().ModelProto):
        raise ArgumentError(explain("from_onnx", repr(model), "a path or an onnx.ModelProto"))
    opset = files.check(model, label)
    with without_initial_values():
        return _Reader(model.graph, opset, folder, label).read()


class _Reader:
    """The walk through one graph. values: what each name stands for."""

    def __init__(self, graph: Any, opset: int, folder: Path | None, label: str) -> None:
        self.graph, self.opset, self.folder, self.label = graph, opset, folder, label
        self.sketch = Sketch()
        self.values: dict[str, Value] = {}
        self.uses: dict[str, list[Any]] = {}
        for node in graph.node:
            for each in node.input:
                self.uses.setdefault(each, []).append(node)

    def read(self) -> tuple[Model, Weights]:
        self._refuse_unknown()
        for tensor in self.graph.initializer:
            where = f"{self.label}: initializer {tensor.name!r}"
            self.values[tensor.name] = files.array_of(tensor, self.folder, where)
            self.sketch.learned.add(tensor.name)
        for entry in self.graph.input:
            if entry.name not in self.values:
                self.values[entry.name] = self._input(entry)
        if not self.sketch.inputs:
            raise FileError(explain(self.label, "no inputs", "a graph with an input"))
        if not self.graph.output:
            raise FileError(explain(self.label, "no outputs", "a graph with an output"))
        for number, node in enumerate(self.graph.node):
            self._node(number, node)
        outputs = [self._output(entry) for entry in self.graph.output]
        inputs = [each.drawn for each in self.sketch.inputs]
        name = re.sub(r"[^\w.\-]+", "_", self.graph.name) or "model"
        model = Model(_alone(inputs), _alone(outputs), name=name)
        return model, self.sketch.weights

    def _refuse_unknown(self) -> None:
        """FileError with all operations that are not known, if there are any."""
        found = {
            f"{node.domain}.{node.op_type}".removeprefix(".").removeprefix("ai.onnx.")
            for node in self.graph.node
            if node.domain not in ("", "ai.onnx") or node.op_type not in HANDLERS
        }
        if found:
            listed = ", ".join(sorted(found))
            raise FileError(f"{self.label} needs operations that isoconv does not have: {listed}.")

    def _input(self, entry: Any) -> Drawn:
        where = f"{self.label}: input {entry.name!r}"
        kind = entry.type.tensor_type
        if not entry.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise FileError(explain(where, "no shape", "a tensor of known rank"))
        shape: list[int | str | None] = [
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
            for dim in kind.shape.dim
        ]
        try:
            return self.sketch.input(entry.name, shape, dtype_of(kind.elem_type, where))
        except ArgumentError as error:
            text = str(error)
            raise FileError(text if text.startswith(where) else f"{where}: {text}") from error

    def _output(self, entry: Any) -> Any:
        where = f"{self.label}: output {entry.name!r}"
        if entry.name not in self.values:
            raise FileError(explain(where, "a name that nothing gives", "the output of a node"))
        value = self.values[entry.name]
        site = self._site("Identity", where, entry.name, [entry.name], [entry.name], {})
        if not isinstance(value, Drawn):
            value = site.as_drawn(value, entry.name)
        if any(value is each for each in self.sketch.inputs):
            value = network.identity(site)
        return value.drawn

    # -- nodes ---------------------------------------------------------------------------------

    def _site(
        self,
        op: str,
        label: str,
        name: str,
        operands: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any],
    ) -> Site:
        missing = [each for each in operands if each and each not in self.values]
        if missing:
            raise FileError(explain(label, f"{missing[0]!r}, which nothing gives", "known names"))
        given = [self.values[each] if each else None for each in operands]
        return Site(op, self.opset, label, name, given, operands, outputs, attributes, self.sketch)

    def _node(self, number: int, node: Any) -> None:
        if all(each in self.values for each in node.output if each):
            return  # done together with a node before it
        label = f"{self.label}: node {node.name or number!r} ({node.op_type})"
        attributes = {each.name: each for each in node.attribute}
        name = self._name(node)
        site = self._site(node.op_type, label, name, node.input, node.output, attributes)
        try:
            found = self._result(site, node)
        except _WRONG as error:
            text = str(error) or type(error).__name__
            known = isinstance(error, ArgumentError) and text.startswith(label)
            raise FileError(text if known else f"{label}: {text}") from error
        for each, value in zip(node.output, found, strict=False):
            self.values[each] = value
        unused = [each for each in node.output[len(found) :] if each and self._is_used(each)]
        if unused:
            raise FileError(explain(label, f"the output {unused[0]!r}", "outputs not in use"))

    def _result(self, site: Site, node: Any) -> Sequence[Value]:
        if all(not isinstance(value, Drawn) for value in site.inputs):
            folded = folding.fold(site)
            if folded is not None:
                return folded
        bias = self._bias_after(site, node)
        if bias is not None:
            after, place = bias
            value = network.dense(site, self.values[after.input[place]], after.input[place])
            if value is not None:
                self.values[after.output[0]] = value
                return [value]
        found = HANDLERS[site.op](site)
        return found if isinstance(found, list) else [found]

    def _bias_after(self, site: Site, node: Any) -> tuple[Any, int] | None:
        """The Add, and the place of its constant, that alone reads a product of matrices."""
        if site.op != "MatMul" or self._is_output(node.output[0]):
            return None
        users = self.uses.get(node.output[0], [])
        if len(users) != 1 or users[0].op_type != "Add" or users[0].attribute:
            return None
        place = 1 - list(users[0].input).index(node.output[0])
        constant = self.values.get(users[0].input[place])
        return (users[0], place) if isinstance(constant, np.ndarray) else None

    def _is_output(self, name: str) -> bool:
        return any(entry.name == name for entry in self.graph.output)

    def _is_used(self, name: str) -> bool:
        return bool(self.uses.get(name)) or self._is_output(name)

    def _name(self, node: Any) -> str:
        """A readable name: that of the module whose weights it uses, else the node's own."""
        for each in node.input[1:]:
            owner, dot, part = re.sub(r"[/:]", ".", each).rpartition(".")
            if dot and part in _WEIGHTS and isinstance(self.values.get(each), np.ndarray):
                return owner
        parts = [part for part in node.name.split("/") if part]
        parts = [p for p, after in zip(parts, [*parts[1:], ""], strict=False) if p not in after]
        if len(parts) > 1 and re.fullmatch(rf"{node.op_type}(_\d+)?", parts[-1]):
            del parts[-1]
        return ".".join(parts) or node.op_type.lower()


_WEIGHTS = frozenset({"weight", "bias", "kernel", "gamma", "beta", "running_mean", "embeddings"})


def _alone(values: Iterable[Any]) -> Any:
    found = list(values)
    return found[0] if len(found) == 1 else found
