"""Which elements of an input some elements of an output depend on: positions followed back through
a graph whose sizes are numbers.

A set of elements is kept as one array of bools an axis, and stands for all their combinations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node, sort
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import number

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Reach = tuple[Mask, ...]


def element(node: Node, position: Sequence[int]) -> Reach:
    """One element of a node."""
    masks = tuple(np.zeros(number(size), bool) for size in node.shape)
    for mask, place in zip(masks, position, strict=True):
        mask[place : place + 1] = True
    return masks


def reach(output: Node, wanted: Reach) -> Mapping[Node, Reach]:
    """For each node before `output`: the elements that the wanted ones depend on."""
    found: dict[Node, Reach] = {output: wanted}
    for node in reversed(sort([output])):
        if node not in found:
            continue
        for before, needed in zip(node.inputs, BACK[node.op](node, found[node]), strict=True):
            old = found.get(before)
            joined = (
                needed if old is None else tuple(a | b for a, b in zip(old, needed, strict=True))
            )
            found[before] = joined
    return found


def tied_inputs(axis: Axis, outputs: Mask, length: int) -> Mask:
    """The inputs that a window's outputs read: i = o * stride + k * dilation - low."""
    places = np.flatnonzero(outputs)[:, None] * axis.stride - number(axis.low)
    read = (places + np.arange(axis.taps) * axis.dilation).ravel()
    inputs = np.zeros(length, bool)
    inputs[read[(read >= 0) & (read < length)]] = True
    return inputs


def tied_outputs(axis: Axis, inputs: Mask, length: int) -> Mask:
    """The outputs whose windows hold one of these inputs."""
    starts = np.flatnonzero(inputs)[:, None] + number(axis.low)
    reached = (starts - np.arange(axis.taps) * axis.dilation).ravel()
    reached = reached[reached % axis.stride == 0] // axis.stride
    outputs = np.zeros(length, bool)
    outputs[reached[(reached >= 0) & (reached < length)]] = True
    return outputs


# -- one rule an operation: what of each operand is needed ------------------------------------


def _everything(node: Node) -> Reach:
    return tuple(np.ones(number(size), bool) for size in node.shape)


def _all_of_each(node: Node, wanted: Reach) -> list[Reach]:
    return [_everything(before) for before in node.inputs]


def _same_place(node: Node, wanted: Reach) -> list[Reach]:
    return [_fitted(before, wanted) for before in node.inputs]


def _fitted(before: Node, wanted: Reach) -> Reach:
    """The same positions, where axes of size 1 stand for all."""
    return tuple(
        mask if len(mask) == size else np.ones(number(size), bool) & mask.any()
        for mask, size in zip(wanted, before.shape, strict=True)
    )


def _reshape(node: Node, wanted: Reach) -> list[Reach]:
    (before,) = node.inputs
    given = [number(size) for size in before.shape]
    result: list[Mask] = []
    for left, right in _groups(given, [len(mask) for mask in wanted]):
        result += _regrouped(wanted[right], given[left])
    return [tuple(result)]


def _groups(given: Sequence[int], new: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Neighbouring axes on both sides that hold as many elements, as few as can be."""
    i = j = 0
    while i < len(given) or j < len(new):
        start, begin = i, j
        i, j = min(i + 1, len(given)), min(j + 1, len(new))
        while (left := prod(given[start:i])) != (right := prod(new[begin:j])):
            i, j = (i + 1, j) if left < right else (i, j + 1)
        yield slice(start, i), slice(begin, j)


def _regrouped(masks: Sequence[Mask], sizes: Sequence[int]) -> list[Mask]:
    """A group of axes as others of as many elements, in row-major order."""
    joint: Mask = np.ones((), bool)
    for mask in masks:
        joint = np.logical_and.outer(joint, mask)
    joint = joint.reshape(tuple(sizes))
    others = [tuple(j for j in range(len(sizes)) if j != axis) for axis in range(len(sizes))]
    return [np.asarray(joint.any(axis=other), bool) for other in others]


def _after(node: Node, wanted: Reach) -> list[Reach]:
    return [wanted, tuple(np.zeros(number(size), bool) for size in node.inputs[1].shape)]


def _transpose(node: Node, wanted: Reach) -> list[Reach]:
    result = list(wanted)
    for place, source in enumerate(node["perm"]):
        result[source] = wanted[place]
    return [tuple(result)]


def _pad(node: Node, wanted: Reach) -> list[Reach]:
    (before,) = node.inputs
    result = []
    each = zip(wanted, before.shape, node["low"], node["interior"], strict=True)
    for mask, size, low, interior in each:
        places = number(low) + np.arange(number(size)) * (interior + 1)
        inside = (places >= 0) & (places < len(mask))
        needed = np.zeros(number(size), bool)
        needed[inside] = mask[places[inside]]
        result.append(needed)
    return [tuple(result)]


def _slice(node: Node, wanted: Reach) -> list[Reach]:
    (before,) = node.inputs
    result = []
    for mask, size, start, step in zip(
        wanted, before.shape, node["start"], node["step"], strict=True
    ):
        needed = np.zeros(number(size), bool)
        needed[number(start) + np.flatnonzero(mask) * step] = True
        result.append(needed)
    return [tuple(result)]


def _reverse(node: Node, wanted: Reach) -> list[Reach]:
    axes = node["axes"]
    return [tuple(mask[::-1] if axis in axes else mask for axis, mask in enumerate(wanted))]


def _concat(node: Node, wanted: Reach) -> list[Reach]:
    axis, start = node["axis"], 0
    result = []
    for before in node.inputs:
        end = start + number(before.shape[axis])
        part = wanted[axis][start:end]
        others = (mask & part.any() for mask in wanted)
        result.append(tuple(part if i == axis else mask for i, mask in enumerate(others)))
        start = end
    return result


def _reduce(node: Node, wanted: Reach) -> list[Reach]:
    return [_fitted(node.inputs[0], wanted)]


def _pool(node: Node, wanted: Reach) -> list[Reach]:
    before = node.inputs[0]
    first = before.rank - 1 - len(node["axes"])
    result = list(wanted)
    for place, axis in enumerate(node["axes"]):
        here = first + place
        result[here] = tied_inputs(axis, wanted[here], number(before.shape[here]))
    return [tuple(result), *(_everything(each) for each in node.inputs[1:])]


def _conv(node: Node, wanted: Reach) -> list[Reach]:
    if node["face"] == "w":
        return _all_of_each(node, wanted)
    data = node.inputs[0 if node["face"] == "y" else 1]
    tied = tied_inputs if node["face"] == "y" else tied_outputs
    first = data.rank - 1 - len(node["axes"])
    result = list(wanted)
    for place, axis in enumerate(node["axes"]):
        here = first + place
        result[here] = tied(axis, wanted[here], number(data.shape[here]))
    groups = wanted[-1].reshape(node["groups"], -1).any(1)
    result[-1] = np.repeat(groups, number(data.shape[-1]) // node["groups"])
    return [tuple(result) if each is data else _everything(each) for each in node.inputs]


def _gather(node: Node, wanted: Reach) -> list[Reach]:
    table, rows = node.inputs
    return [_everything(table), wanted[: rows.rank]]


BACK: dict[str, Callable[[Node, Reach], Sequence[Reach]]] = {
    **{name: _same_place for name, row in OPS.items() if row.kind == "elementwise"},
    **{name: _all_of_each for name, row in OPS.items() if row.kind == "leaf"},
    "random": _all_of_each,
    "reshape": _reshape,
    "after": _after,
    "transpose": _transpose,
    "broadcast": _same_place,
    "pad": _pad,
    "slice": _slice,
    "reverse": _reverse,
    "concat": _concat,
    "reduce_sum": _reduce,
    "reduce_max": _reduce,
    "argmax": _reduce,
    "pool_max": _pool,
    "pool_argmax": _pool,
    "pool_take": _pool,
    "pool_scatter": _all_of_each,
    "to_points": _all_of_each,
    "from_points": _all_of_each,
    "conv": _conv,
    "gather": _gather,
    "scatter_add": _all_of_each,
}
"""A table beside that of the operations; a test demands that it is complete."""
