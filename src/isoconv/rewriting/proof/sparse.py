"""The faces y and x of the form for data that are almost all 0, such as impulses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.field import Array

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
    values = data[rows, *places, channels][:, None]
    inner, each = w.shape[-2], w.shape[-1] // groups
    wide = inner if face == "y" else each
    kernel = w.reshape(*w.shape[:-2], inner, groups, each)
    into = (len(data), *sizes, groups)
    total = np.zeros((prod(into), each if face == "y" else inner), data.dtype)
    for tap in product(*(range(axis.taps) for axis in axes)):
        found = np.ones(len(rows), bool)
        to = []
        for axis, k, place, size in zip(axes, tap, places, sizes, strict=True):
            at, fits = _tied(axis, k, place, face)
            found &= fits & (at >= 0) & (at < size)
            to.append(at)
        group, own = channels[found] // wide, channels[found] % wide
        factors = kernel[tap][own, group] if face == "y" else kernel[tap][:, group, own].T
        at = np.ravel_multi_index((rows[found], *(each[found] for each in to), group), into)
        _add(total, at, _within(values[found] * factors, prime))
    return _within(total, prime).reshape(len(data), *sizes, -1)


def _within(values: Array, prime: int | None) -> Array:
    return values if prime is None else values % prime


def _tied(axis: Axis, tap: int, place: Array, face: str) -> tuple[Array, Array]:
    """Where the form ties each place to by one tap, and whether it does."""
    offset = tap * axis.dilation - number(axis.low)
    if face == "x":
        return place * axis.stride + offset, np.ones(len(place), bool)
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
