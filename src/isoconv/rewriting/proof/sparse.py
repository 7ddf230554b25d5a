"""The faces y and x of the form for data that are almost all 0, such as impulses."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.field import Array

ENTRIES = 2_000_000
"""So many products are made at once."""

FEW = 10
"""Data of which fewer than one in so many is not 0 are taken element by element."""


def is_sparse(data: Array) -> bool:
    return bool(np.count_nonzero(data) * FEW < data.size)


def spread_out(
    data: Array,
    w: Array,
    axes: Sequence[Axis],
    groups: int,
    sizes: Sequence[int],
    face: str,
    prime: int | None,
) -> Array:
    """The results [rows, o..., g*f] of face "y" or [rows, i..., g*c] of face "x", modulo a
    prime if there is one.

    data: [rows, i..., g*c] or [rows, o..., g*f]. w: [k..., c, g*f], sizes: of the
    result's places.
    """
    rows, *places, channels = np.nonzero(data)
    values = data[rows, *places, channels]
    inner, each = w.shape[-2], w.shape[-1] // groups
    wide, long = (inner, each) if face == "y" else (each, inner)
    group, own = channels // wide, channels % wide
    shape = tuple(axis.taps for axis in axes)
    order = (0, 2, 1, 3) if face == "y" else (0, 2, 3, 1)
    kernel = w.reshape(-1, inner, groups, each).transpose(order)
    total = np.zeros((len(data) * prod(sizes) * groups, long), data.dtype)
    at_once = max(1, ENTRIES // max(1, len(rows) * long))
    for first in range(0, len(kernel), at_once):
        taps = np.arange(first, min(first + at_once, len(kernel)))
        found = np.ones((len(taps), len(rows)), bool)
        to = np.broadcast_to(rows, found.shape)
        each_tap = np.unravel_index(taps, shape) if shape else ()
        for axis, k, place, size in zip(axes, each_tap, places, sizes, strict=True):
            at, fits = _tied(axis, k[:, None], place, face)
            found &= fits & (at >= 0) & (at < size)
            to = to * size + at
        which, one = np.nonzero(found)
        products = values[one, None] * kernel[taps[which], group[one], own[one]]
        _add(total, to[which, one] * groups + group[one], _within(products, prime))
    return _within(total, prime).reshape(len(data), *sizes, groups * long)


def _within(values: Array, prime: int | None) -> Array:
    return values if prime is None else values % prime


def _tied(axis: Axis, taps: Array, place: Array, face: str) -> tuple[Array, Array]:
    """Where the form ties each place to by each tap, and whether it does."""
    offset = taps * axis.dilation - number(axis.low)
    if face == "x":
        at = place * axis.stride + offset
        return at, np.ones(at.shape, bool)
    steps = place - offset
    return steps // axis.stride, steps % axis.stride == 0


def _add(total: Array, at: Array, values: Array) -> None:
    """Adds rows of values at places of which some are the same."""
    if not len(at):
        return
    order = np.argsort(at, kind="stable")
    places = at[order]
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    total[places[starts]] += np.add.reduceat(values[order], starts)
