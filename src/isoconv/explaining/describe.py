"""`isoconv.explain`: all there is to say of a layer or model on an input, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from isoconv import dtypes, spec
from isoconv.errors import ArgumentError
from isoconv.errors import explain as message
from isoconv.explaining.credit import credited
from isoconv.explaining.facts import LayerFacts, Reading, WeightFacts
from isoconv.explaining.kernels import arena_bytes, kernels, planned, timed
from isoconv.explaining.operations import operations
from isoconv.explaining.others import other_forms
from isoconv.explaining.reach import Reach, element, reach
from isoconv.explaining.report import Explanation
from isoconv.explaining.tracing import Traced, between, chain, first, traced
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number
from isoconv.layers.base import Layer
from isoconv.layers.merge import Merge
from isoconv.layers.same_shape import SameShape
from isoconv.ops import tree
from isoconv.ops.recorder import Noted
from isoconv.runtime.host import host

# Axes of what has positions: a batch, a place and channels.
_PLACES = 3


def explain(
    target: Any, input_shape: Any = None, *, batch: int = 1, measure: bool | None = None
) -> Explanation:
    """What a layer or model does with an input of some shape.

    Args:
        target: a layer, a model, several layers one after the other, or text such as
            "Conv1D(64, 3) > ReLU()".
        input_shape: the shape without the batch, such as (600, 300); one an input for models of
            several inputs. A model that knows its inputs needs none.
        batch: the samples that kernels are planned and timed for. All that is counted is for one.
        measure: whether each kernel is timed; for models unless it is said.

    Returns an Explanation: printed it is text, in a notebook a table, `as_data()` gives all as JSON
    data. Nothing is changed: a layer that is not built stays so. Raises ShapeError where shapes do
    not fit, with their arithmetic.
    """
    layer = _layer(target)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ArgumentError(message("explain: batch", repr(batch), "an integer of at least 1"))
    found = traced(layer, input_shape, batch)
    weights = range(len(found.inputs), len(found.graph.inputs))
    program, rules = planned(found.graph, weights, found.layer.name)
    parts = kernels(program, found.layer.name)
    if measure or (measure is None and not found.single):
        parts = timed(program, parts)
    facts, channels = [], None
    for name, call in found.calls.items():
        channels = _channel_axis(call.target, channels)
        facts.append(_facts(name, call, found, batch, channels))
    layers, parts = credited(tuple(facts), parts)
    machine = host()
    return Explanation(
        name=found.layer.name,
        single=found.single,
        batch=batch,
        inputs=tuple(_shape(node) for node in found.inputs),
        outputs=tuple(_shape(node) for node in found.graph.outputs),
        layers=layers,
        kernels=parts,
        rules=rules,
        parameters=sum(weight.size for weight in found.layer.weights),
        trainable=sum(weight.size for weight in found.layer.trainable_weights),
        memory={
            "weights": sum(weight.array.nbytes for weight in found.layer.weights),
            "inputs": sum(map(_bytes, found.inputs)),
            "outputs": sum(map(_bytes, found.graph.outputs)),
            "between": arena_bytes(program),
        },
        machine={"processor": machine.cpu, "vector_bits": machine.vector_bits},
        forms=other_forms(found.layer, facts[0].inputs) if found.single else (),
    )


def _layer(target: Any) -> Layer:
    if isinstance(target, str):
        return chain(spec.layers(target))
    if isinstance(target, list | tuple) and target:
        for each in target:
            _layer(each)
        return chain(target)
    if not isinstance(target, Layer):
        expected = "a layer, a model, or text such as 'Conv1D(64, 3)'"
        raise ArgumentError(message("explain", repr(target), expected))
    return target


def _channel_axis(layer: Layer, before: int | None) -> int | None:
    """Where the channels of a layer's output are, if that is known; before: those of its input."""
    form = getattr(layer, "data_format", None)
    if form is not None:
        return 1 if form == "channels_first" else -1
    return before if isinstance(layer, SameShape | Merge) else None


def _of_all_channels(
    output: Node, middle: Reach, reached: Mapping[Node, Reach], channels: int | None
) -> Mapping[Node, Reach]:
    """What a position reads: as one element of it, but where channels were joined, which may read
    more or less, all of them.
    """
    joined = any(node.op == "concat" for node in reached)
    if channels is None or len(output.shape) < _PLACES or not joined:
        return reached
    masks = list(middle)
    masks[channels] = np.ones_like(masks[channels])
    return reach(output, tuple(masks))


def _facts(name: str, call: Noted, found: Traced, batch: int, channels: int | None) -> LayerFacts:
    layer = call.target
    given = [leaf.node for leaf in tree.leaves(call.args) if hasattr(leaf, "node")]
    output = first(call.result)
    nodes = between(call.result, call.args)
    weights = layer.weights
    middle = element(output, [number(size) // 2 for size in output.shape])
    reached = reach(output, middle)
    done = operations(nodes, given)
    return LayerFacts(
        name=name,
        kind=type(layer).__name__,
        spec=spec.text(layer),
        inputs=tuple(map(_shape, given)),
        output=_shape(output),
        operations=tuple(_for_one(operation, batch) for operation in done),
        weights=tuple(
            WeightFacts(w.name, w.shape, w.size, meaning(layer, w.name, w.shape), w.trainable)
            for w in weights
        ),
        memory={
            "weights": sum(weight.array.nbytes for weight in weights),
            "inputs": sum(map(_bytes, given)) // batch,
            "output": _bytes(output) // batch,
        },
        reads=_reading(output, given[0], reached),
        field=_reading(
            output, found.inputs[0], _of_all_channels(output, middle, reached, channels)
        ),
    )


def _for_one(operation: Any, batch: int) -> Any:
    """What was counted for a batch, for one sample."""
    return replace(
        operation,
        multiply_adds=operation.multiply_adds // batch,
        absent=operation.absent // batch,
    )


def _reading(output: Node, source: Node, reached: Mapping[Node, Any]) -> Reading:
    masks = reached.get(source, ())[1:]
    places = [mask.nonzero()[0] for mask in masks]
    empty = any(len(each) == 0 for each in places)
    return Reading(
        position=tuple(number(size) // 2 for size in output.shape[1:]),
        first=() if empty else tuple(int(each[0]) for each in places),
        last=() if empty else tuple(int(each[-1]) for each in places),
        count=tuple(len(each) for each in places),
    )


def meaning(layer: Layer, name: str, shape: tuple[int, ...]) -> str:
    """What the sizes of a weight are, in words."""
    *taps, inner, outer = shape if len(shape) > 1 else (0, *shape)
    spread = "" if not taps else f"{' x '.join(map(str, taps))} taps x "
    channels = "1 channel" if inner == 1 else f"{inner} channels"
    kinds = {
        "kernel": f"{spread}{channels} x {outer} filters",
        "depthwise_kernel": f"{spread}{channels} x {outer} for each",
        "pointwise_kernel": f"{channels} x {outer} filters",
        "embeddings": f"{inner} rows x {outer} numbers",
    }
    if len(shape) == 1:
        return f"one for each of {outer}"
    if type(layer).__name__.startswith("Depthwise"):
        return kinds["depthwise_kernel"]
    if type(layer).__name__.endswith("Transpose"):
        return f"{spread}{inner} filters x {outer} channels"
    return kinds.get(name, " x ".join(map(str, shape)))


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(map(number, node.shape[1:]))


def _bytes(node: Node) -> int:
    return prod(map(number, node.shape)) * dtypes.BYTES[node.dtype]
