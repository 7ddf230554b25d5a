"""What a window means: the pairs of input and output positions that each tap ties together.

Only pairs whose positions both exist are touched, so an absent input contributes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isoconv.ir.sizes import Dim, evaluate

if TYPE_CHECKING:
    from isoconv.reference.meaning import Call

Array = np.ndarray[Any, Any]
Index = tuple[Array, ...]


class Axis(Protocol):
    """What is read of an axis of a window; its arithmetic is done here."""

    @property
    def taps(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def dilation(self) -> int: ...
    @property
    def low(self) -> Dim: ...


def _tied(axis: Axis, tap: int, inputs: int, outputs: int) -> tuple[list[int], list[int]]:
    """The input and output positions that one tap ties: i = o * stride + tap * dilation - low."""
    low = evaluate(axis.low, {})
    pairs = [(o * axis.stride + tap * axis.dilation - low, o) for o in range(outputs)]
    kept = [(i, o) for i, o in pairs if 0 <= i < inputs]
    return [i for i, _ in kept], [o for _, o in kept]


def ties(
    axes: Sequence[Axis], inputs: Sequence[int], outputs: Sequence[int], batch: int
) -> Iterator[tuple[tuple[int, ...], Index, Index]]:
    """Each tap in row-major order, with what it reads and writes in [batch, positions..., ...]."""
    everything = range(batch)
    for taps in product(*(range(axis.taps) for axis in axes)):
        sides = [_tied(*each) for each in zip(axes, taps, inputs, outputs, strict=True)]
        reads = np.ix_(everything, *(i for i, _ in sides))
        writes = np.ix_(everything, *(o for _, o in sides))
        yield taps, reads, writes


def _flat(array: Array, spatial: int, *channels: int) -> Array:
    """The array as [batch, positions..., channels...], all its batch axes made one."""
    first = array.ndim - 1 - spatial
    return array.reshape(prod(array.shape[:first]), *array.shape[first:-1], *channels)


def _grouped(w: Array, groups: int) -> Array:
    """Weights [k..., c, g*f] seen as [k..., c, g, f]."""
    return w.reshape(*w.shape[:-1], groups, w.shape[-1] // groups)


# -- the trilinear form -----------------------------------------------------------------------


def conv(call: Call, left: Array, right: Array) -> Array:
    return _FACES[call["face"]](call, left, right)


def _face_y(call: Call, x: Array, w: Array) -> Array:
    axes, groups = call["axes"], call["groups"]
    x = _flat(x, len(axes), groups, w.shape[-2])
    w = _grouped(w, groups)
    y = _flat(np.zeros(call.shape, call.dtype), len(axes), groups, w.shape[-1])
    for taps, reads, writes in ties(axes, x.shape[1:-2], y.shape[1:-2], len(x)):
        y[writes] += np.einsum("...gc,cgf->...gf", x[reads], w[taps])
    return y.reshape(call.shape)


def _face_x(call: Call, w: Array, y: Array) -> Array:
    axes, groups = call["axes"], call["groups"]
    w = _grouped(w, groups)
    y = _flat(y, len(axes), groups, w.shape[-1])
    x = _flat(np.zeros(call.shape, call.dtype), len(axes), groups, w.shape[-3])
    for taps, reads, writes in ties(axes, x.shape[1:-2], y.shape[1:-2], len(y)):
        # One tap ties each input position at most once, so += on indices adds every pair.
        x[reads] += np.einsum("...gf,cgf->...gc", y[writes], w[taps])
    return x.reshape(call.shape)


def _face_w(call: Call, x: Array, y: Array) -> Array:
    axes, groups = call["axes"], call["groups"]
    w = np.zeros(call.shape, call.dtype)
    grouped = _grouped(w, groups)
    x = _flat(x, len(axes), groups, w.shape[-2])
    y = _flat(y, len(axes), groups, grouped.shape[-1])
    for taps, reads, writes in ties(axes, x.shape[1:-2], y.shape[1:-2], len(x)):
        seen, made = (_rows(array) for array in (x[reads], y[writes]))
        grouped[taps] = np.einsum("ngc,ngf->cgf", seen, made)
    return w


def _rows(array: Array) -> Array:
    """[batch, positions..., g, c] with all that comes before the groups made one axis."""
    return array.reshape(prod(array.shape[:-2]), *array.shape[-2:])


_FACES = {"y": _face_y, "x": _face_x, "w": _face_w}


# -- pooling ----------------------------------------------------------------------------------


def _maximum(call: Call, x: Array) -> tuple[Array, Array]:
    """Of each window the first maximum and its tap; the least value and -1 where it is empty."""
    axes = call["axes"]
    x = _flat(x, len(axes), x.shape[-1])
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    best = _flat(np.full(call.shape, least, x.dtype), len(axes), x.shape[-1])
    where = np.full(best.shape, -1, "int32")
    for tap, (_, reads, writes) in enumerate(ties(axes, x.shape[1:-1], best.shape[1:-1], len(x))):
        new, old = x[reads], best[writes]
        # NaN counts as larger than everything, and the first one stays.
        wins = (where[writes] < 0) | ((new > old) | np.isnan(new)) & ~np.isnan(old)
        best[writes] = np.where(wins, new, old)
        where[writes] = np.where(wins, tap, where[writes])
    return best.reshape(call.shape), where.reshape(call.shape)


def pool_max(call: Call, x: Array) -> Array:
    return _maximum(call, x)[0]


def pool_argmax(call: Call, x: Array) -> Array:
    return _maximum(call, x)[1]


def pool_take(call: Call, x: Array, taps: Array) -> Array:
    axes = call["axes"]
    y = _flat(np.zeros(call.shape, call.dtype), len(axes), x.shape[-1])
    x, taps = (_flat(array, len(axes), x.shape[-1]) for array in (x, taps))
    for tap, (_, reads, writes) in enumerate(ties(axes, x.shape[1:-1], y.shape[1:-1], len(x))):
        y[writes] = np.where(taps[writes] == tap, x[reads], y[writes])
    return y.reshape(call.shape)


def pool_scatter(call: Call, y: Array, taps: Array) -> Array:
    axes = call["axes"]
    x = _flat(np.zeros(call.shape, call.dtype), len(axes), y.shape[-1])
    y, taps = (_flat(array, len(axes), y.shape[-1]) for array in (y, taps))
    for tap, (_, reads, writes) in enumerate(ties(axes, x.shape[1:-1], y.shape[1:-1], len(y))):
        x[reads] += np.where(taps[writes] == tap, y[writes], 0)
    return x.reshape(call.shape)
