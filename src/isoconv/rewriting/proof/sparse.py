"""The form for data that are almost all 0, such as impulses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    inner, each = w.shape[-2], w.shape[-1] // groups
    wide, long = (inner, each) if face == "y" else (each, inner)
    order = (0, 2, 1, 3) if face == "y" else (0, 2, 3, 1)
    kernel = w.reshape(-1, inner, groups, each).transpose(order)
    total = np.zeros((len(data) * prod(sizes) * groups, long), data.dtype)
    for taps, which, values, to in _meetings(data, axes, sizes, face, long):
        group, own = which // wide, which % wide
        products = values[:, None] * kernel[taps, group, own]
        _add(total, to * groups + group, _within(products, prime))
    return _within(total, prime).reshape(len(data), *sizes, groups * long)


def gathered(
    data: Array, flow: Array, axes: Sequence[Axis], groups: int, inner: int, prime: int | None
) -> Array:
    """The weights [k..., c, g*f] of face "w", modulo a prime if there is one.

    data: [rows, i..., g*c], almost all 0. flow: [rows, o..., g*f]. inner: c.
    """
    sizes, each = flow.shape[1:-1], flow.shape[-1] // groups
    shape = tuple(axis.taps for axis in axes)
    rows = flow.reshape(-1, groups, each)
    total = np.zeros((prod(shape) * inner * groups, each), data.dtype)
    for taps, which, values, to in _meetings(data, axes, sizes, "y", each):
        group, own = which // inner, which % inner
        products = values[:, None] * rows[to, group]
        _add(total, (taps * inner + own) * groups + group, _within(products, prime))
    return _within(total, prime).reshape(*shape, inner, groups * each)


def _meetings(
    data: Array, axes: Sequence[Axis], sizes: Sequence[int], face: str, long: int
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Of what is not 0 in data [rows, places..., channels], every tap that it meets, its channel,
    its value, and the place among rows and `sizes` that the tap ties it to; in portions, as each
    will be multiplied by `long` numbers.
    """
    rows, *places, channels = np.nonzero(data)
    values = data[rows, *places, channels]
    shape = tuple(axis.taps for axis in axes)
    count = prod(shape)
    at_once = max(1, ENTRIES // max(1, len(rows) * long))
    for first in range(0, count, at_once):
        taps = np.arange(first, min(first + at_once, count))
        found = np.ones((len(taps), len(rows)), bool)
        to = np.broadcast_to(rows, found.shape)
        each_tap = np.unravel_index(taps, shape) if shape else ()
        for axis, k, place, size in zip(axes, each_tap, places, sizes, strict=True):
            at, fits = _tied(axis, k[:, None], place, face)
            found &= fits & (at >= 0) & (at < size)
            to = to * size + at
        which, one = np.nonzero(found)
        yield taps[which], channels[one], values[one], to[which, one]


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
