"""What points of tiles mean: the matrices of schemes, written out tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.ir.schemes import scheme
from isoconv.ir.sizes import evaluate

if TYPE_CHECKING:
    from isoconv.reference.meaning import Call

Array = np.ndarray[Any, Any]
Index = tuple[Any, ...]


def to_points(call: Call, x: Array) -> Array:
    axes, matrix = call["axes"], _matrix(call)
    x = _flat(x, len(axes))
    tiles = call.shape[-1 - len(axes) : -1]
    v = np.zeros((len(x), *tiles, len(matrix), x.shape[-1]), call.dtype)
    for tile, column, position in _tied(call, tiles, x.shape[1:-1]):
        weights = matrix[:, column, None].astype(v.dtype)
        v[tile] += weights * x[position][:, None]
    return v.reshape(call.shape)


def from_points(call: Call, v: Array) -> Array:
    axes, matrix = call["axes"], _matrix(call)
    tiles = v.shape[-1 - len(axes) : -1]
    v = _flat(v, len(axes))
    v = v.reshape(*v.shape[:-1], len(matrix), -1)
    x = np.zeros((len(v), *call.shape[-1 - len(axes) : -1], v.shape[-1]), call.dtype)
    for tile, column, position in _tied(call, tiles, x.shape[1:-1]):
        weights = matrix[:, column].astype(v.dtype)
        x[position] += np.einsum("p,npc->nc", weights, v[tile])
    return x.reshape(call.shape)


def _matrix(call: Call) -> Array:
    """From the positions of a tile to its points, over all axes."""
    return reduce(np.kron, [scheme(name).matrix(call["side"]) for name in call["schemes"]])


def _flat(array: Array, spatial: int) -> Array:
    first = array.ndim - 1 - spatial
    return array.reshape(prod(array.shape[:first]), *array.shape[first:])


def _tied(
    call: Call, tiles: tuple[int, ...], sizes: tuple[int, ...]
) -> Iterator[tuple[Index, int, Index]]:
    """Each tile with each of its places that exists: the tile, the place's number, its position,
    of all samples.
    """
    axes = call["axes"]
    for tile in product(*map(range, tiles)):
        for number, place in enumerate(product(*(range(axis.taps) for axis in axes))):
            each = zip(tile, place, axes, strict=True)
            position = tuple(t * axis.stride + i - evaluate(axis.low, {}) for t, i, axis in each)
            if all(0 <= i < size for i, size in zip(position, sizes, strict=True)):
                yield (slice(None), *tile), number, (slice(None), *position)
