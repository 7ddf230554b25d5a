"""Views, joins and parts of ATen, drawn as layers and functions of `isoconv.ops`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from isoconv import layers
from isoconv.errors import explain
from isoconv.interop.torch.graph import Drawing, Handlers, NeedsSizes, concrete

HANDLERS = Handlers()


@HANDLERS.draws("view", "reshape", "flatten", "unflatten", "_unsafe_view", "squeeze", "unsqueeze")
def view(drawing: Drawing, a: SimpleNamespace) -> Any:
    """The same elements in the shape that export has worked out."""
    before, after = drawing.sizes_before(), drawing.sizes()
    kept = bool(before) and bool(after) and str(before[0]) == str(after[0])
    unknown = [size for size in after[1:] if not isinstance(size, int)]
    if kept and len(before) == len(after) == 2 and str(before) == str(after):
        return a.self
    if kept and len(after) == 2:
        return drawing.layer(layers.Flatten, a.self, data_format="channels_last")
    target = [size if isinstance(size, int) else -1 for size in after]
    if kept and len(after) > 1 and len(unknown) < 2:
        return drawing.layer(layers.Reshape, a.self, target[1:])
    if target.count(-1) > 1:
        return _by_axes(drawing, a, before, after)
    return drawing.function("reshape", a.self, target)


def _by_axes(drawing: Drawing, a: SimpleNamespace, before: Any, after: Any) -> Any:
    """Axes of size 1 added or dropped, where more sizes than one are known at run time only."""
    wanted = [str(size) for size in after if str(size) != "1"]
    if [str(size) for size in before if str(size) != "1"] != wanted:
        given = f"{tuple(before)} to {tuple(after)} in {drawing.where()}"
        expected = "a new shape with at most one size that is not known"
        raise NeedsSizes(explain("from_torch", given, expected))
    x = drawing.function("squeeze", a.self, suffix="squeezed")
    ones = [axis for axis, size in enumerate(after) if str(size) == "1"]
    return drawing.function("expand_dims", x, ones) if ones else x


@HANDLERS.draws("view_as", "reshape_as")
def view_as(drawing: Drawing, a: SimpleNamespace) -> Any:
    return view(drawing, a)


@HANDLERS.draws("expand_as")
def expand_as(drawing: Drawing, a: SimpleNamespace) -> Any:
    ones = drawing.function("ones_like", drawing.operand(a.other), suffix="ones")
    return drawing.function("multiply", drawing.operand(a.self), ones)


@HANDLERS.draws("expand")
def expand(drawing: Drawing, a: SimpleNamespace) -> Any:
    """Axes of size 1 repeated, as often as is known."""
    before, after = drawing.sizes_before(), drawing.sizes()
    new = len(after) - len(before)
    x = drawing.operand(a.self)
    if new:
        x = drawing.function("expand_dims", x, list(range(new)), suffix="wide")
    for axis, (one, many) in enumerate(zip((1,) * new + before, after, strict=True)):
        if str(one) != str(many):
            x = drawing.function("repeat", x, *concrete([many]), axis, suffix="expand")
    return x


@HANDLERS.draws("pixel_shuffle")
def pixel_shuffle(drawing: Drawing, a: SimpleNamespace) -> Any:
    """Squares of r x r places out of as many channels (Shi et al. 2016)."""
    r = a.upscale_factor
    channels, height, width = concrete(drawing.sizes_before()[1:])
    x = drawing.layer(layers.Reshape, a.self, [channels // r**2, r, r, height, width], suffix="cut")
    x = drawing.layer(layers.Permute, x, [1, 4, 2, 5, 3], suffix="turned")
    return drawing.layer(layers.Reshape, x, [channels // r**2, height * r, width * r])


@HANDLERS.draws("permute", "transpose", "t", "movedim", "swapaxes")
def permute(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = len(drawing.sizes_before())
    axes = _order(drawing, a, rank)
    if axes[0] == 0 and rank > 1:
        return drawing.layer(layers.Permute, a.self, axes[1:])
    return drawing.function("transpose", a.self, axes)


def _order(drawing: Drawing, a: SimpleNamespace, rank: int) -> list[int]:
    if hasattr(a, "dims"):
        return [axis % rank for axis in concrete(a.dims)]
    axes = list(range(rank))
    if hasattr(a, "source"):
        sources, places = (_list(each) for each in (a.source, a.destination))
        left = [axis for axis in axes if axis not in {s % rank for s in sources}]
        for source, place in sorted(zip(sources, places, strict=True), key=lambda p: p[1] % rank):
            left.insert(place % rank, source % rank)
        return left
    first, second = getattr(a, "dim0", 0), getattr(a, "dim1", 1)
    if rank > 1:
        axes[first], axes[second] = axes[second], axes[first]
    return axes


def _list(value: Any) -> list[int]:
    return concrete(value if isinstance(value, list) else [value])


@HANDLERS.draws("cat", "concat", "concatenate")
def cat(drawing: Drawing, a: SimpleNamespace) -> Any:
    tensors = [drawing.operand(each) for each in a.tensors]
    dim = a.dim % len(drawing.sizes())
    if dim and len(tensors) > 1:
        return drawing.layer(layers.Concatenate, tensors, axis=dim)
    return drawing.function("concatenate", tensors, dim)


@HANDLERS.draws("stack")
def stack(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.function("stack", [drawing.operand(each) for each in a.tensors], a.dim)


def _part(drawing: Drawing, x: Any, rank: int, dim: int, part: Any) -> Any:
    key: list[Any] = [slice(None)] * rank
    key[dim % rank] = part
    return drawing.function("getitem", x, key)


@HANDLERS.draws("slice")
def sliced(drawing: Drawing, a: SimpleNamespace) -> Any:
    ends = [None if end in (None, sys.maxsize) else end for end in (a.start, a.end)]
    known = concrete([end for end in ends if end is not None])
    if (not known or known == [0]) and ends[1] is None and a.step == 1:
        return a.self
    part = slice(ends[0], ends[1], a.step)
    return _part(drawing, a.self, len(drawing.sizes_before()), a.dim, part)


@HANDLERS.draws("select")
def select(drawing: Drawing, a: SimpleNamespace) -> Any:
    (index,) = concrete([a.index])
    return _part(drawing, a.self, len(drawing.sizes_before()), a.dim, index)


@HANDLERS.draws("split", "split_with_sizes", "chunk", "unbind")
def split(drawing: Drawing, a: SimpleNamespace) -> list[Any]:
    before, after = drawing.sizes_before(), drawing.node.meta["val"]
    rank, dim = len(before), a.dim % len(before)
    if len(after[0].shape) < rank:
        return [_part(drawing, a.self, rank, dim, place) for place in range(len(after))]
    parts, start = [], 0
    for width in _widths(after, dim):
        parts.append(_part(drawing, a.self, rank, dim, slice(start, start + width)))
        start += width
    return parts


def _widths(parts: Sequence[Any], dim: int) -> list[int]:
    return concrete([part.shape[dim] for part in parts])


@HANDLERS.draws("flip")
def flip(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.function("flip", a.self, concrete(a.dims))


@HANDLERS.draws(
    "contiguous", "clone", "detach", "alias", "lift_fresh_copy", "to", "_to_copy", "identity"
)
def unchanged(drawing: Drawing, a: SimpleNamespace) -> Any:
    first = drawing.node.args[0]
    before, after = (node.meta["val"].dtype for node in (first, drawing.node))
    if before == after:
        return getattr(a, "self", None)
    return drawing.function("cast", a.self, str(after).removeprefix("torch."))
