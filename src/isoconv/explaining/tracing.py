"""A layer or model on an input of known sizes, as a graph, with the calls of its layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from isoconv.errors import ArgumentError, ShapeError, explain, nearest
from isoconv.explaining.activations import layer_calls
from isoconv.ir.graph import Graph, Node
from isoconv.layers.base import Layer
from isoconv.layers.input import Input
from isoconv.models.model import Model
from isoconv.models.sequential import Sequential
from isoconv.ops import tree
from isoconv.ops.program import Spec, trace
from isoconv.ops.recorder import Noted
from isoconv.ops.variable import without_initial_values


@dataclass(frozen=True)
class Traced:
    """calls: of the layers that call no others, by their paths. single: whether it is one layer."""

    layer: Layer
    graph: Graph
    inputs: tuple[Node, ...]
    calls: dict[str, Noted]
    single: bool


def traced(layer: Layer, input_shape: Any, batch: int) -> Traced:
    """The layer on `batch` samples of a shape; ShapeError where it is not known or does not fit."""
    layer, shapes = prepared(layer, input_shape)
    specs = specs_of(layer, shapes, batch)
    calls: dict[str, Noted] = {}

    def run(*given: Any) -> Any:
        results, found = layer_calls(layer, [given[0] if len(given) == 1 else list(given)])
        calls.update(found)
        return results

    graph = trace(run, specs, keep_updates=False).graph
    # A layer may also do its work beside layers that it calls: whoever calls counts as a model.
    around = {call.path.rpartition("/")[0] for call in calls.values()}
    inner = {name: call for name, call in calls.items() if call.path not in around}
    single = all(call.target is layer for call in inner.values())
    return Traced(layer, graph, graph.inputs[: len(specs)], inner, single)


def specs_of(layer: Layer, shapes: Sequence[tuple[int, ...]], batch: int) -> list[Spec]:
    """What a trace is told of the inputs."""
    dtypes = [tensor.dtype for tensor in _inputs(layer)] or [layer.input_dtype] * len(shapes)
    return [Spec((batch, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]


def _inputs(layer: Layer) -> list[Any]:
    drawn = isinstance(layer, Model) and layer.network is not None
    return layer.network.flat_inputs if drawn else []  # type: ignore[attr-defined]


def prepared(layer: Layer, input_shape: Any) -> tuple[Layer, list[tuple[int, ...]]]:
    """The layer, or a copy built for the shape where it is not built; and the shapes."""
    known = [tuple(tensor.shape[1:]) for tensor in _inputs(layer)]
    given = known or _called_on(layer) if input_shape is None else _shapes(input_shape)
    if not given:
        remedy = "Say what goes in, without the batch, such as (600, 300)."
        raise ShapeError(explain("explain: input_shape", "none", "the input's sizes", remedy))
    for shape in given:
        if any(not isinstance(size, int) or size < 1 for size in shape):
            remedy = "Give input_shape with numbers for all sizes."
            raise ShapeError(explain("explain: input_shape", shape, "known sizes", remedy))
    if known:
        fit(layer, given)
    elif not layer.built:
        layer = _copy(layer, given)
    return layer, given


def _called_on(layer: Layer) -> list[tuple[int, ...]]:
    """The shapes of a layer's first call, where it stands in a model."""
    return [tuple(leaf.shape[1:]) for leaf in tree.leaves(layer.input)] if layer._calls else []


def _shapes(value: Any) -> list[tuple[int, ...]]:
    if isinstance(value, int):
        return [(value,)]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ShapeError(explain("explain: input_shape", repr(value), "a tuple of sizes"))
    if value and all(isinstance(each, list | tuple) for each in value):
        return [tuple(each) for each in value]
    return [tuple(value)]


def fit(model: Layer, given: Sequence[Any]) -> None:
    """ShapeError where a drawn model takes other shapes than these; None is any size."""
    inputs = _inputs(model)
    for tensor, shape in zip(inputs, given, strict=False):
        want = tuple(tensor.shape[1:])
        agree = all(None in (w, s) or w == s for w, s in zip(want, shape, strict=False))
        if len(want) != len(shape) or not agree:
            raise ShapeError(explain(f"input '{tensor.name}'", f"shape {shape}", f"shape {want}"))
    if len(inputs) != len(given):
        raise ShapeError(explain(model.name, f"{len(given)} shapes", f"{len(inputs)} for inputs"))


def _copy(layer: Layer, shapes: Sequence[tuple[int, ...]]) -> Layer:
    """An equal layer, built for these shapes; the one given stays open to any."""
    try:
        copy = type(layer).from_config(layer.get_config())
    except (TypeError, NotImplementedError, ArgumentError):
        copy = layer
    with without_initial_values():
        drawn = [Input(shape, dtype=copy.input_dtype) for shape in shapes]
        copy(drawn[0] if len(drawn) == 1 else drawn)
    return copy


def layer_within(model: Layer, name: str, input_shape: Any) -> tuple[Layer, Any]:
    """A layer of a model by its path, and the shape that it takes there, without the batch."""
    calls = traced(model, input_shape, 1).calls
    if name not in calls:
        raise ArgumentError(unknown_layer(model.name, name, calls))
    shapes = [leaf.shape[1:] for leaf in tree.leaves(calls[name].args) if hasattr(leaf, "node")]
    return calls[name].target, shapes[0] if len(shapes) == 1 else shapes


def unknown_layer(model: str, name: str, known: Iterable[str]) -> str:
    """What is said where a model has no layer of that name."""
    expected = f"one of {', '.join(known)}"
    return explain(f"{model}: layer", repr(name), expected, nearest(name, known))


def chain(layers: Sequence[Layer]) -> Layer:
    """One layer as it is, several as a model of one after the other."""
    return layers[0] if len(layers) == 1 else Sequential(list(layers))


def first(value: Any) -> Node:
    """The node of the first tensor of a structure."""
    node: Node = next(leaf for leaf in tree.leaves(value) if hasattr(leaf, "node")).node
    return node


def between(outputs: Any, inputs: Any) -> list[Node]:
    """The nodes that compute some tensors from others, in no order."""
    stops = {leaf.node for leaf in tree.leaves(inputs) if hasattr(leaf, "node")}
    found: dict[Node, None] = {}
    stack = [leaf.node for leaf in tree.leaves(outputs) if hasattr(leaf, "node")]
    while stack:
        node = stack.pop()
        if node not in found and node not in stops:
            found[node] = None
            stack += node.inputs
    return list(found)
