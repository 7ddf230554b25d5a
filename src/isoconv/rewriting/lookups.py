"""Row 21: a convolution over rows of a table, as the sum of one look-up a tap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import Dim
from isoconv.rewriting.rule import Facts, Rule
from isoconv.rewriting.weights import data_of, is_form, taps_of, weights_of

MOST_BYTES = 1 << 26
"""Tables larger than this are not made: they take longer to fill than they save."""

LEAST_CHANNELS = 8
"""Below this a look-up of each tap reads about as much as it saves."""


def look_up(node: Node, facts: Facts) -> Node | None:
    if not is_form(node, facts) or node["groups"] > 1 or not node["axes"]:
        return None
    x, w, axes = data_of(node), weights_of(node), node["axes"]
    if x.op != "gather" or not facts.is_fixed(x.inputs[0]) or not facts.read_once(x):
        return None
    table, rows = x.inputs
    # So every number is read, and one that names no row is still an error.
    if table.rank != 2 or rows.rank != len(axes) + 1 or not all(map(_reads_all, axes)):
        return None
    if not pays(table, w, axes):
        return None
    lengths = node.shape[1:-1]
    total: Node | None = None
    for taps in product(*(range(axis.taps) for axis in axes)):
        found = _tap(table, rows, w, axes, taps, lengths)
        total = found if total is None else make("add", total, found)
    return total


def _reads_all(axis: Axis) -> bool:
    low, high = axis.low, axis.high
    known = isinstance(low, int) and isinstance(high, int) and low >= 0 and high >= 0
    return known and axis.stride == 1 and axis.dilation == 1


def pays(table: Node, w: Node, axes: Sequence[Axis]) -> bool:
    """Whether the tables stay small and save arithmetic; sizes of tables and weights alone."""
    rows, channels, filters = table.shape[0], table.shape[1], w.shape[-1]
    size = rows * filters * (taps_of(axes) * np.dtype(table.dtype).itemsize)
    fits = isinstance(size, int) and size <= MOST_BYTES
    return fits and isinstance(channels, int) and channels >= LEAST_CHANNELS


def _tap(
    table: Node,
    rows: Node,
    w: Node,
    axes: Sequence[Axis],
    taps: tuple[int, ...],
    lengths: Sequence[Dim],
) -> Node:
    """What one tap adds to every output: a row of table times weights, nothing at the edges."""
    channels, filters = w.shape[-2:]
    one = make(
        "slice",
        w,
        start=(*taps, 0, 0),
        shape=(*(1,) * len(taps), channels, filters),
        step=(1,) * w.rank,
    )
    flat = make("reshape", one, shape=(channels, filters))
    products = make("conv", table, flat, face="y", axes=(), groups=1, sizes=())
    offsets = [tap - axis.low for axis, tap in zip(axes, taps, strict=True)]
    shifted = make(
        "pad",
        rows,
        low=(0, *(-offset for offset in offsets)),
        high=(
            0,
            *(
                start + length - given
                for start, length, given in zip(offsets, lengths, rows.shape[1:], strict=True)
            ),
        ),
        interior=(0,) * rows.rank,
        value=0,
    )
    found = make("gather", products, shifted)
    for place, axis in enumerate(axes):
        if (axis.low, axis.high) != (0, 0):
            found = _present(found, place + 1, offsets[place], rows.shape[place + 1])
    return found


def _present(found: Node, axis: int, offset: Dim, length: Dim) -> Node:
    """The look-ups, with 0 where position + offset lies outside the input."""
    shape = tuple(dim if place == axis else 1 for place, dim in enumerate(found.shape))
    ones = (1,) * found.rank
    place = make("iota", axis=axis, shape=shape, dtype="int32")
    place = make("add", place, make("full", value=offset, shape=ones, dtype="int32"))
    size = make("reshape", make("size", dim=length, dtype="int32"), shape=ones)
    start = make("full", value=0, shape=ones, dtype="int32")
    inside = make("and", make("le", start, place), make("lt", place, size))
    return make("where", inside, found, make("full", value=0.0, shape=ones, dtype=found.dtype))


RULES = (
    Rule(
        "an embedding under a convolution",
        "21",
        "conv(gather(table, rows), w)",
        "sum over k of gather(table * w[k], rows moved by k)",
        "stride and dilation 1; the tables stay below a bound, and have 8 columns or more",
        "folding",
        frozenset({"conv"}),
        look_up,
    ),
)
