"""A model's program on its way to ONNX: traced once, with the calls of layers and operations noted.

What a call means as a whole (a softmax, a normalization) is written as one node where ONNX has one;
everything else is written operation by operation, so that no layer is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv.interop.onnx.calls import Whole, whole_calls
from isoconv.interop.onnx.primitives import EMIT
from isoconv.interop.onnx.sheet import Array, Sheet, Value, straight
from isoconv.interop.weight_map import WeightRow
from isoconv.ir.graph import Graph, Node, sort
from isoconv.ir.sizes import Size
from isoconv.ops.recorder import Recorder
from isoconv.ops.variable import Variable
from isoconv.reference import run


class Writer:
    """Writes nodes of a traced program to a sheet, each after those it needs.

    given: the values of the program's arguments. feeds: what its other inputs stand for.
    """

    def __init__(self, recorder: Recorder, given: Mapping[Node, Value]) -> None:
        self.sheet = Sheet()
        self._recorder = recorder
        self._given = given
        self._values = dict(given)
        captured = recorder.inputs[len(given) :]
        self._feeds = dict(zip(captured, recorder.captured, strict=True))
        self._calls: dict[Node, Whole] = {}
        self._users: dict[Node, int] = {}
        self._constant: dict[Node, bool] = {}
        self._open: dict[str, tuple[Node, Any]] = {}

    # -- order ---------------------------------------------------------------------------------

    def write(self, outputs: list[Node]) -> None:
        """Writes all that the outputs need."""
        self._calls = whole_calls(self._recorder)
        order = self._order(outputs)
        for node in order:
            for before in self._needs(node):
                self._users[before] = self._users.get(before, 0) + 1
        for node in outputs:
            self._users[node] = self._users.get(node, 0) + 2
        for node in order:
            if node not in self._values:
                self._values[node] = self._written(node)

    def _order(self, outputs: list[Node]) -> list[Node]:
        done: dict[Node, None] = {}
        stack = [(node, False) for node in reversed(outputs)]
        while stack:
            node, ready = stack.pop()
            if node in done:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            stack += [(each, False) for each in reversed(self._needs(node)) if each not in done]
        return list(done)

    def _needs(self, node: Node) -> list[Node]:
        """The nodes whose values are read to write this one."""
        if node in self._given or self.is_constant(node):
            return []
        behind = self._recorder.behind(node)
        if behind is not None:
            return [behind]
        return self._calls[node].operands if node in self._calls else list(node.inputs)

    def _written(self, node: Node) -> Value:
        if self.is_constant(node):
            return Value("", straight(node.rank), self._numbers(node))
        behind = self._recorder.behind(node)
        if behind is not None:
            return self._values[behind]
        if node in self._calls:
            return self._calls[node].write(self)
        return EMIT[node.op](self, node)

    # -- what nodes stand for ------------------------------------------------------------------

    def value(self, node: Node) -> Value:
        """The value of a node that was written before."""
        return self._values[node]

    def is_constant(self, node: Node) -> bool:
        """Whether a node depends on weights and numbers alone."""
        if node not in self._constant:
            for each in sort([node]):
                if each in self._constant:
                    continue
                if each.op == "input":
                    known = each in self._feeds
                else:
                    sizes = any(isinstance(dim, Size) for dim in each.shape)
                    known = not sizes and each.op not in ("size", "random")
                    known = known and all(self._constant[before] for before in each.inputs)
                self._constant[each] = known
        return self._constant[node]

    def _numbers(self, node: Node) -> Array:
        leaves = tuple(each for each in sort([node]) if each.op == "input")
        feeds = {leaf["name"]: self._array(leaf) for leaf in leaves}
        if not leaves and node.op == "full":
            return np.full([int(str(d)) for d in node.shape], node["value"], node.dtype)
        if node.op == "input":
            return feeds[node["name"]]
        return np.asarray(run(Graph(leaves, (node,)), feeds)[0], node.dtype)

    def _array(self, leaf: Node) -> Array:
        source = self._feeds[leaf]
        return source.array if isinstance(source, Variable) else source

    def label(self, node: Node) -> str:
        """The name of a constant: that of the one weight it is made of, else of its layer."""
        if not self.is_constant(node):
            return "constant"
        sources = [self._feeds[each] for each in sort([node]) if each.op == "input"]
        paths = {source.path for source in sources if isinstance(source, Variable)}
        if len(paths) == 1:
            return paths.pop()
        return "/".join(filter(None, (node.origin, "constant")))

    def scalar(self, node: Node) -> str:
        """The name of a number that stands everywhere; "" for other nodes."""
        while node.op in ("broadcast", "reshape") and self.is_constant(node):
            (node,) = node.inputs
        return self.sheet.number(node["value"], node.dtype) if node.op == "full" else ""

    # -- weights -------------------------------------------------------------------------------

    def weight(self, node: Node, name: str, axes: tuple[int, ...]) -> None:
        """Notes that a weight, seen through views, was written as `name`, its axes turned."""
        views = [node]
        while views[-1].op in ("reshape", "transpose"):
            views.append(views[-1].inputs[0])
        source = self._feeds.get(views[-1])
        if not isinstance(source, Variable) or any(each.op == "transpose" for each in views):
            return
        shape = tuple(int(str(dim)) for dim in node.shape)
        target = tuple(shape[axis] for axis in axes)
        split = shape if shape != source.shape else None
        row = WeightRow(source.path, source.shape, name, target, axes, split)
        if row not in self.sheet.rows:
            self.sheet.rows.append(row)

    def open(self, node: Node, value: Value) -> None:
        """Lets an addition after this node become its bias."""
        self._open[value.name] = (node, self.sheet.nodes[-1])

    def with_bias(self, node: Node) -> Value | None:
        """The sum of an open node, read by nobody else, and one number a filter, as its bias."""
        for x, b in (node.inputs, node.inputs[::-1]):
            value, bias = self._values[x], self._values[b]
            if value.name not in self._open or bias.array is None:
                continue
            made, proto = self._open[value.name]
            place = len(made.shape) - 1 if proto.op_type == "MatMul" else 1
            filters = made.shape[-1]
            turned = bias.array.transpose(np.argsort(value.perm))
            wanted = [filters if axis == place else 1 for axis in range(node.rank)]
            matrix = proto.op_type == "MatMul"
            if list(turned.shape) != wanted or self._read_elsewhere(x, made):
                continue
            if matrix and node.rank != 2:
                continue
            if matrix:
                proto.op_type = "Gemm"
                proto.name = self.sheet.unique(f"{made.origin}/Gemm".lstrip("/"))
            name = self.sheet.constant(turned.reshape(-1), self.label(b))
            self.weight(b, name, straight(b.rank)) if b.rank == 1 else self._bias_row(b, name)
            proto.input.append(name)
            del self._open[value.name]
            return value
        return None

    def _bias_row(self, node: Node, name: str) -> None:
        source = self._feeds.get(node.inputs[0]) if node.op == "reshape" else None
        if isinstance(source, Variable) and source.array.ndim == 1:
            self.sheet.rows.append(WeightRow(source.path, source.shape, name, source.shape))

    def _read_elsewhere(self, x: Node, made: Node) -> bool:
        """Whether any of the transpositions between two nodes, ends included, has other readers."""
        while self._users.get(x, 0) == 1:
            if x is made:
                return False
            x = x.inputs[0]
        return True
