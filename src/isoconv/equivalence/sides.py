"""One side of a comparison: a layer, model or chain of them, traced for an input shape."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import prod
from typing import Any

import numpy as np

from isoconv import spec
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir import sizes
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import number
from isoconv.layers.base import Layer
from isoconv.layers.input import InputLayer
from isoconv.layers.wrapping import Lambda
from isoconv.models.model import Model
from isoconv.models.sequential import Sequential
from isoconv.ops.program import Spec, Trace, trace
from isoconv.ops.recorder import Array, training_scope
from isoconv.ops.variable import Variable, without_initial_values
from isoconv.rewriting.proof.blocks import Block, flattened, substitute
from isoconv.rewriting.proof.normal import Normal, Views

Shape = tuple[int | None, ...]


def open_name(index: int) -> sizes.Size:
    """The name of an open size, counted over all inputs in order."""
    return sizes.name(f"n{index}")


class Side:
    """What is compared on one side.

    given: a layer, a model, a list of them one after the other, or a spec as text. letter: "a"
    or "b". keep: whether the weights it holds matter, so that it must have some.
    """

    def __init__(self, given: Any, letter: str, keep: bool) -> None:
        self.letter, self.keep = letter, keep
        self.title, self.layers = _layers_of(given, letter)
        if keep and isinstance(given, str):
            remedy = "Give layers with weights, or ask for weights='free'."
            raise ArgumentError(explain(f"equivalent: {letter}", "a spec", "its weights", remedy))
        self._traces: dict[tuple[Any, ...], Trace] = {}
        self.shapes: list[Shape] = []
        self.open_shapes: list[Shape] = []

    # -- shapes --------------------------------------------------------------------------------

    def own_shapes(self) -> list[Shape] | None:
        """The shapes of the inputs without the batch, where the layers know them."""
        first = self.layers[0]
        if isinstance(first, Model) and first.network is not None:
            return [tuple(each.shape[1:]) for each in first.inputs]
        if first._input_shape_argument is not None:
            return [tuple(first._input_shape_argument)]
        if first.built and len(first.build_shapes) == 1:
            (shape,) = first.build_shapes.values()
            if isinstance(shape, list | tuple) and all(isinstance(n, int) for n in shape[1:]):
                return [tuple(shape[1:])]
        return None

    def ready(self, shapes: Sequence[Shape]) -> None:
        """Builds the layers for inputs of these shapes; those not built yet are copied first."""
        self.shapes = self.open_shapes = [tuple(shape) for shape in shapes]
        if self.keep:
            missing = [layer.name for layer in self.layers if not layer.built]
            if missing:
                where = f"equivalent: {self.letter}: {missing[0]}"
                remedy = "Build it or call it first, or ask for weights='free'."
                raise ArgumentError(explain(where, "no weights yet", "its weights", remedy))
        else:
            self.layers = [_copy(layer) for layer in self.layers]
        with without_initial_values():
            if any(None in shape for shape in self.shapes):
                self.trace_open()
            else:
                self.trace(self.shapes, 1)

    # -- tracing -------------------------------------------------------------------------------

    def trace(self, shapes: Sequence[Shape], batch: int) -> Trace:
        """The program for so many samples of these shapes, not in training."""
        key = (batch, *map(tuple, shapes))
        if key not in self._traces:
            number = count()
            named = [
                tuple(open_name(next(number)) if n is None else n for n in shape)
                for shape in shapes
            ]
            dtype = self.layers[0].input_dtype
            if isinstance(self.layers[0], Model) and self.layers[0].network is not None:
                types = [each.dtype for each in self.layers[0].inputs]
            else:
                types = [dtype] * len(shapes)
            pairs = zip(named, types, strict=True)
            specs = [Spec((batch, *shape), kind) for shape, kind in pairs]
            with training_scope(False):
                found = trace(self._call, specs)
            self._refuse(found)
            self._traces[key] = found
        return self._traces[key]

    def trace_open(self) -> Graph:
        """The program for one sample with names for the sizes that are left open."""
        return self.trace(self.open_shapes, 1).graph

    def _call(self, *inputs: Any) -> Any:
        value: Any = inputs[0] if len(inputs) == 1 else list(inputs)
        for layer in self.layers:
            value = layer(value)
        return value

    def _refuse(self, found: Trace) -> None:
        """ArgumentError for what is no function of its input."""
        random = [node for node in found.graph.nodes if node.op == "random"]
        where = f"equivalent: {self.letter}"
        remedy = "Compare what it does in inference, with training=False."
        if random:
            name = random[0].origin or "a layer"
            given = f"{name}, which draws random numbers in training mode"
            raise ArgumentError(explain(where, given, "a function of its input alone", remedy))
        if found.updated:
            given = f"a layer that changes its state {found.updated[0].path} in training mode"
            raise ArgumentError(explain(where, given, "a function of its input alone", remedy))

    # -- as a block ----------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """The variables the program reads, in order."""
        return self.weights_at(self.shapes)

    def weights_at(self, shapes: Sequence[Shape]) -> list[Variable]:
        captured = self.trace(shapes, 1).captured
        return [each for each in captured if isinstance(each, Variable)]

    def output_shapes(self, shapes: Sequence[Shape]) -> list[tuple[int, ...]]:
        graph = self.trace(shapes, 1).graph
        return [tuple(map(number, node.shape[1:])) for node in graph.outputs]

    def block(
        self, shapes: Sequence[Shape], views: Views = "rise"
    ) -> tuple[Block, dict[Node, Array], Normal]:
        """The program for one sample in normal form, the values of its fixed inputs, and the
        equations that were used.
        """
        found = self.trace(shapes, 1)
        count = len(found.graph.inputs) - len(found.captured)
        arguments, captured = found.graph.inputs[:count], found.graph.inputs[count:]
        new, start = _one_input(arguments)
        weights: list[Node] = []
        fixed: dict[Node, Array] = {}
        for index, (node, source) in enumerate(zip(captured, found.captured, strict=True)):
            flat = _input(f"{self.letter}{index}", node)
            new[node] = make("reshape", flat, shape=node.shape)
            if isinstance(source, Variable) and not self.keep:
                weights.append(flat)
            else:
                array = source.array if isinstance(source, Variable) else source
                fixed[flat] = array.reshape(-1)
        normal = Normal(views)
        ends = [flattened(normal, substitute(out, new)) for out in found.graph.outputs]
        end = ends[0] if len(ends) == 1 else make("concat", *ends, axis=0)
        return Block(start, tuple(weights), end, tuple(fixed)), fixed, normal

    def feeds(self, batch: int, points: Array, weights: Sequence[Array]) -> dict[str, Array]:
        """The named inputs of the program for so many samples: flat points, weights in order."""
        found = self.trace(self.shapes, batch)
        count = len(found.graph.inputs) - len(found.captured)
        feeds, at, own = {}, 0, iter(weights)
        for node in found.graph.inputs[:count]:
            size = _size(node) // batch
            feeds[node["name"]] = points[:, at : at + size].reshape(node.shape)  # type: ignore[arg-type]
            at += size
        for node, source in zip(found.graph.inputs[count:], found.captured, strict=True):
            if isinstance(source, Variable):
                feeds[node["name"]] = np.asarray(next(own)).reshape(source.shape)
            else:
                feeds[node["name"]] = source
        return feeds


def _one_input(arguments: Sequence[Node]) -> tuple[dict[Node, Node], Node]:
    """The arguments as parts of one flat input."""
    total = sum(map(_size, arguments))
    kinds = {node.dtype for node in arguments}
    start = make(
        "input", name="x", shape=(total,), dtype=kinds.pop() if len(kinds) == 1 else "float64"
    )
    new: dict[Node, Node] = {}
    at = 0
    for node in arguments:
        part = start
        if len(arguments) > 1:
            part = make("slice", start, start=(at,), shape=(_size(node),), step=(1,))
        if part.dtype != node.dtype:
            part = make("cast", part, dtype=node.dtype)
        new[node] = make("reshape", part, shape=node.shape)
        at += _size(node)
    return new, start


def _input(name: str, like: Node) -> Node:
    return make("input", name=name, shape=(_size(like),), dtype=like.dtype)


def _size(node: Node) -> int:
    return prod(map(number, node.shape))


def _layers_of(given: Any, letter: str) -> tuple[str, list[Layer]]:
    """How a side is named, and its layers in order."""
    parts = list(given) if isinstance(given, list | tuple) else [given]
    titles, layers = [], []
    for part in parts:
        if isinstance(part, str):
            found = spec.layers(part)
            layers += found
            titles.append(" > ".join(map(spec.text, found)))
        elif isinstance(part, Layer):
            layers.append(part)
            titles.append(spec.text(part))
        else:
            expected = "a layer, a model, a list of them, or a spec such as 'Conv1D(64, 3)'"
            raise ArgumentError(explain(f"equivalent: {letter}", repr(part), expected))
    layers = [layer for layer in layers if not isinstance(layer, InputLayer)]
    if not layers:
        raise ArgumentError(explain(f"equivalent: {letter}", "no layers", "at least one"))
    return " > ".join(titles), layers


def _copy(layer: Layer) -> Layer:
    """A layer that is not built yet as another one, so that comparing does not build it."""
    unbuilt = not layer.built and not (isinstance(layer, Model) and layer.network is not None)
    if not unbuilt or (isinstance(layer, Model) and not isinstance(layer, Sequential)):
        return layer
    if isinstance(layer, Lambda):
        # It has no weights, and its function may have no name to make another one by.
        return layer
    return type(layer).from_config(layer.get_config())


def numbers(shape: Any, where: str) -> Shape:
    """A shape without the batch, of whole numbers and None."""
    each = list(shape) if isinstance(shape, list | tuple) else [shape]
    if not all(n is None or (isinstance(n, int | np.integer) and n > 0) for n in each):
        raise ShapeError(explain(where, repr(shape), "positive sizes, or None for any, no batch"))
    return tuple(None if n is None else int(n) for n in each)
