"""The numbers that meet in a layer's windows: what each of its operations reads, its weights, and
what it gives, for one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.explaining.activations import layer_calls
from isoconv.explaining.facts import AxisFacts, OperationFacts
from isoconv.explaining.operations import operands, operation, working
from isoconv.explaining.tracing import between, prepared, specs_of
from isoconv.ir.graph import Node
from isoconv.layers.base import Layer
from isoconv.ops import tree
from isoconv.ops.convert import as_array
from isoconv.ops.program import Program, trace
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import Tensor

# Weights and inputs that nobody gave: small enough to add up by eye.
_WEIGHTS, _INPUTS = (-2, 3), (0, 6)


@dataclass(frozen=True)
class Stage:
    """One operation with its numbers, without the batch.

    axes: one for each axis of places, those included that it has no window on. data: (places...,
    channels). weights: (taps..., channels of a group, filters), or None where it only compares or
    adds up. result: (places..., filters).
    """

    facts: OperationFacts
    axes: tuple[AxisFacts, ...]
    data: Array
    weights: Array | None
    result: Array

    def meets(self, place: Sequence[int]) -> list[list[tuple[int, int | None]]]:
        """For each axis what each tap meets at an output place: a position among those of
        `spread`, and the input there; None where it is absent.
        """
        return [axis_meets(axis, at) for axis, at in zip(self.axes, place, strict=True)]

    def channels_of(self, filter: int) -> range:
        """The channels that a filter reads."""
        groups, filters = self.facts.groups, self.facts.filters
        if self.weights is None:
            return range(filter, filter + 1)
        each = self.facts.channels // groups
        first = filter // (filters // groups) * each
        return range(first, first + each)

    def weight(self, taps: Sequence[int], channel: int, filter: int) -> float | None:
        """The weight of a tap between a channel, counted within the filter's, and a filter."""
        if self.weights is None:
            return None
        if self.facts.axes and self.facts.axes[0].transposed:
            filters = self.facts.filters // self.facts.groups
            here, there = filter % filters, self.channels_of(filter)[channel]
        else:
            here, there = channel, filter
        return float(self.weights[(*taps, here, there)])


def axis_meets(axis: AxisFacts, output: int) -> list[tuple[int, int | None]]:
    """What each tap meets at an output. A transposed window slides over inputs that stand `stride`
    apart, with absent positions between them.
    """
    apart = axis.stride if axis.transposed else 1
    found = []
    for tap in range(axis.taps):
        if axis.transposed:
            at = output + axis.before - tap * axis.dilation
        else:
            at = output * axis.stride - axis.before + tap * axis.dilation
        inside = at % apart == 0 and 0 <= at // apart < axis.length
        found.append((at, at // apart if inside else None))
    return found


@dataclass(frozen=True)
class Staged:
    """A layer's stages, and what it gives in the end with channels last: after bias and activation.

    made: whether weights and input are whole numbers made up here, since nobody gave any.
    """

    layer: Layer
    shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    result: Array
    made: bool


def staged(target: Layer, input_shape: Any = None, x: Any = None) -> Staged:
    """One layer's stages on an input: a sample of that shape, small whole numbers if left out.

    A layer that is not built is not changed: a copy of it has small whole numbers for weights.
    ArgumentError for a model, and for layers without windows or products.
    """
    if x is not None:
        x = as_array(x)
    layer, shapes = prepared(
        target, np.shape(x) if input_shape is None and x is not None else input_shape
    )
    if len(shapes) != 1 or (x is not None and x.shape != shapes[0]):
        given = f"{len(shapes)} inputs" if x is None else f"x of shape {x.shape}"
        raise ShapeError(explain(target.where("stages"), given, f"one sample of {shapes[0]}"))
    if not target.built:
        _fill(layer)
    rng = np.random.default_rng(0)
    sample = rng.integers(*_INPUTS, shapes[0]) if x is None else x
    found: list[Node] = []
    (spec,) = specs_of(layer, shapes, 1)

    def run(given: Tensor) -> Any:
        result, calls = layer_calls(layer, [given])
        (call, *others) = calls.values()
        if others:
            remedy = "Give one of its layers."
            raise ArgumentError(explain("stages", f"{len(calls)} layers", "one layer", remedy))
        given_nodes = [leaf.node for leaf in tree.leaves(call.args) if hasattr(leaf, "node")]
        found.extend(working(between(call.result, call.args), given_nodes))
        parts = [[Tensor(node) for node in (*operands(each), each) if node] for each in found]
        return [parts, result]

    values, result = Program(trace(run, [spec], False))([sample.astype(spec.dtype)[None]])
    if not found:
        remedy = "Give a convolution, a pooling layer or Dense."
        given = type(layer).__name__
        raise ArgumentError(explain("stages", given, "a layer of windows or products", remedy))
    stages = tuple(_stage(node, parts) for node, parts in zip(found, values, strict=True))
    if getattr(layer, "data_format", None) == "channels_first":
        result = np.moveaxis(result, 1, -1)
    return Staged(layer, shapes[0], stages, result[0], x is None or not target.built)


def _fill(layer: Layer) -> None:
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.integers(*_WEIGHTS, weight.shape).astype(weight.dtype))


def _stage(node: Node, parts: Sequence[Array]) -> Stage:
    data, *weights, result = parts
    facts = operation(node)
    extra = result.ndim - 2 - len(facts.axes)
    still = tuple(_still(f"axis {i}", size) for i, size in enumerate(result.shape[1 : 1 + extra]))
    taps = weights[0].reshape((1,) * extra + weights[0].shape) if weights else None
    return Stage(facts, (*still, *facts.axes), data[0], taps, result[0])


def _still(name: str, size: int) -> AxisFacts:
    """An axis without a window."""
    return replace(
        AxisFacts(name, size, size, 1, 1, 1, 1, 0, 0, False, 0, 0),
    )
