"""Positions added around a tensor, or taken from its ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoconv import dtypes
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.ops import show
from isoconv.ir.sizes import Dim
from isoconv.ops.convert import as_tensor
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import node
from isoconv.ops.shapes import concatenate
from isoconv.ops.tensor import Tensor


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """x with more positions before and after the elements of each axis.

    pad_width: (before, after) an axis, or one pair for all; for "constant" negative crops.
    mode: what they hold, by NumPy's names: "constant" (`constant_values`), "reflect" (the
    elements mirrored at the outermost one), "symmetric" (mirrored with it), "edge" (the outermost
    one again), "wrap" (those of the other end). An axis must have the elements that are taken.
    """
    x = as_tensor(x)
    if mode not in ("constant", *_MODES):
        expected = f"one of 'constant', {', '.join(map(repr, _MODES))}"
        raise ArgumentError(explain("pad: mode", repr(mode), expected))
    pairs = _pad_pairs(pad_width, x.ndim)
    if mode != "constant":
        return _from_within(x, pairs, mode)
    value = float(constant_values) if dtypes.is_float(x.dtype) else int(constant_values)
    return node(
        "pad",
        x,
        low=tuple(low for low, _ in pairs),
        high=tuple(high for _, high in pairs),
        interior=(0,) * x.ndim,
        value=value,
    )


def _pad_pairs(pad_width: Any, rank: int) -> list[tuple[Any, Any]]:
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * rank
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else pair for pair in pad_width]
    if len(pairs) == 2 and all(isinstance(side, int) for side in pairs):
        return [(pairs[0], pairs[1])] * rank
    if len(pairs) == 1:
        pairs = pairs * rank
    if len(pairs) != rank or any(not isinstance(p, tuple) or len(p) != 2 for p in pairs):
        raise ShapeError(explain("pad: pad_width", pad_width, f"{rank} pairs (before, after)"))
    return pairs


def _from_within(x: Tensor, pairs: list[tuple[Any, Any]], mode: str) -> Tensor:
    """Each axis with copies of its own elements at its ends, one axis after the other."""
    for axis, (low, high) in enumerate(pairs):
        if min(low, high) < 0:
            given = f"{low} and {high} positions"
            raise ArgumentError(explain(f"pad: {mode}", given, "none negative"))
        _check_enough(x, axis, max(low, high), mode)
        before = [_MODES[mode](x, axis, low, True)] if low else []
        after = [_MODES[mode](x, axis, high, False)] if high else []
        x = concatenate([*before, x, *after], axis) if before or after else x
    return x


def _check_enough(x: Tensor, axis: int, taken: int, mode: str) -> None:
    length = x.dims[axis]
    needed = {"reflect": taken + 1, "edge": 1}.get(mode, taken)
    if taken and isinstance(length, int) and length < needed:
        given = f"{length} elements on axis {axis} of {show(x.dims)}"
        raise ShapeError(explain(f"pad: {mode}", given, f"at least {needed} to take them from"))


def _part(x: Tensor, axis: int, start: Dim, size: int) -> Tensor:
    """`size` elements from `start` on; said so at run time where there are not as many."""
    starts: list[Dim] = [0] * x.ndim
    shape = list(x.dims)
    starts[axis], shape[axis] = start, size
    return node("slice", x, start=tuple(starts), shape=tuple(shape), step=(1,) * x.ndim)


def _mirrored(skipped: int) -> Callable[[Tensor, int, int, bool], Tensor]:
    """The elements next to an end, turned round; `skipped` of them are left out."""

    def mirrored(x: Tensor, axis: int, size: int, before: bool) -> Tensor:
        start = skipped if before else x.dims[axis] - skipped - size
        return node("reverse", _part(x, axis, start, size), axes=(axis,))

    return mirrored


def _edge(x: Tensor, axis: int, size: int, before: bool) -> Tensor:
    shape = list(x.dims)
    shape[axis] = size
    outermost = _part(x, axis, 0 if before else x.dims[axis] - 1, 1)
    return node("broadcast", outermost, shape=tuple(shape))


def _wrapped(x: Tensor, axis: int, size: int, before: bool) -> Tensor:
    return _part(x, axis, x.dims[axis] - size if before else 0, size)


_MODES: dict[str, Callable[[Tensor, int, int, bool], Tensor]] = {
    "reflect": _mirrored(1),
    "symmetric": _mirrored(0),
    "edge": _edge,
    "wrap": _wrapped,
}
