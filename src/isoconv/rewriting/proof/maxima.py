"""Equations of maxima over windows and over whole axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.field import Array

if TYPE_CHECKING:
    from isoconv.rewriting.proof.normal import Normal

RISING = "what only rises may be applied before a maximum or after it"
NESTED = "a maximum of maxima is that of all that they meet"

_RISING = frozenset(["relu", "tanh", "erf", "exp", "expm1", "floor"])


def maximum(normal: Normal, op: str, x: Node, axes: tuple[Any, ...]) -> Node:
    """The "pool_max" or "reduce_max" of x, below functions of one number and over all at once."""
    if x.op in _RISING and (op == "reduce_max" or _none_empty(x, axes)):
        normal.used[RISING] = None
        inner = maximum(normal, op, x.inputs[0], axes)
        return normal.elementwise(x.op, [inner], dict(x.attrs))
    if x.op == "pool_max":
        (source,) = x.inputs
        places = tuple(range(x.rank - 1 - len(x["axes"]), x.rank - 1))
        if op == "reduce_max" and axes == places:
            axes = tuple(Axis(number(x.shape[place])) for place in places)
            op = "pool_max"
        sizes = [number(source.shape[place]) for place in places]
        joined = list(map(_joined, x["axes"], axes, sizes)) if op == "pool_max" else [None]
        if None not in joined:
            normal.used[NESTED] = None
            return maximum(normal, op, source, tuple(joined))
    return make(op, x, axes=axes)


def _none_empty(x: Node, axes: tuple[Axis, ...]) -> bool:
    """Whether every window meets an element."""
    sizes = x.shape[x.rank - 1 - len(axes) : -1]
    for axis, size in zip(axes, map(number, sizes), strict=True):
        first = np.arange(number(axis.output(size)))[:, None] * axis.stride - number(axis.low)
        at = first + np.arange(axis.taps) * axis.dilation
        if not ((at >= 0) & (at < size)).any(1).all():
            return False
    return True


def _joined(inner: Axis, outer: Axis, size: int) -> Axis | None:
    """The windows over so many elements of what outer windows meet through inner ones, if these
    leave no gaps and no outer one is empty.
    """
    if inner.dilation > 1 or outer.dilation > 1 or inner.stride > inner.taps:
        return None
    places = number(inner.output(size))
    count = number(outer.output(places))
    first, last = _met(outer, np.arange(count), np.arange(count), places)
    if (first > last).any():
        return None
    taps = (outer.taps - 1) * inner.stride + inner.taps
    stride = outer.stride * inner.stride
    low = number(inner.low) + inner.stride * number(outer.low)
    joined = Axis(taps, stride, 1, low, (count - 1) * stride + taps - low - size)
    through = _met(inner, first, last, size)
    at_once = _met(joined, np.arange(count), np.arange(count), size)
    same = np.array_equal(through, at_once) and bool((through[0] <= through[1]).all())
    return joined if same else None


def _met(axis: Axis, first: Array, last: Array, size: int) -> tuple[Array, Array]:
    """The first and last of so many elements that windows from the first to the last meet."""
    low = number(axis.low)
    return (
        np.maximum(first * axis.stride - low, 0),
        np.minimum(last * axis.stride - low + axis.taps - 1, size - 1),
    )
