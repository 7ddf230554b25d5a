"""Other orders of axes than those of programs: channels second, weights group by group or in lines
of the cache.
"""

from __future__ import annotations

from isoconv import dtypes
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import number


def first_order(rank: int) -> tuple[int, ...]:
    """The permutation that brings channels from the end to the second place."""
    return (0, rank - 1, *range(1, rank - 1))


def last_order(rank: int) -> tuple[int, ...]:
    """The permutation that brings channels from the second place to the end."""
    return (0, *range(2, rank), 1)


def to_first(x: Node) -> Node:
    return make("transpose", x, perm=first_order(x.rank))


def to_last(x: Node) -> Node:
    return make("transpose", x, perm=last_order(x.rank))


def joined(weights: Node) -> Node:
    """Weights [k..., g, c, f], group by group, as those of a form: [k..., c, g*f]."""
    rank = weights.rank
    *taps, groups, channels, filters = weights.shape
    turned = make("transpose", weights, perm=(*range(rank - 3), rank - 2, rank - 3, rank - 1))
    return make("reshape", turned, shape=(*taps, channels, number(groups) * number(filters)))


def apart(weights: Node, groups: int) -> Node | None:
    """The weights [k..., g, c, f] of which `joined` made those of a form with so many groups."""
    if weights.op != "reshape" or weights.inputs[0].op != "transpose":
        return None
    (found,) = weights.inputs[0].inputs
    if found.rank != weights.rank + 1 or found.shape[-3] != groups:
        return None
    return found if joined(found) is weights else None


def filters_a_line(dtype: str) -> int:
    """The filters whose weights of one channel fill a line of the cache, 64 bytes."""
    return 64 // dtypes.BYTES[dtype]


def to_lines(weights: Node) -> Node:
    """Weights [k..., c, f] as [l, k..., c, f/l], those of a line of filters after each other; f
    must be a whole number of lines.
    """
    each = filters_a_line(weights.dtype)
    *rows, filters = weights.shape
    split = make("reshape", weights, shape=(*rows, number(filters) // each, each))
    return make("transpose", split, perm=(len(rows), *range(len(rows)), len(rows) + 1))


def from_lines(weights: Node) -> Node:
    """Weights [l, k..., c, f/l] as those of a form."""
    lines, *rows, each = weights.shape
    last = len(rows) + 1
    split = make("transpose", weights, perm=(*range(1, last), 0, last))
    return make("reshape", split, shape=(*rows, number(lines) * number(each)))


def in_lines(weights: Node) -> Node | None:
    """The weights [l, k..., c, f/l] of which `from_lines` made those of a form."""
    if weights.op != "reshape" or weights.inputs[0].op != "transpose":
        return None
    (found,) = weights.inputs[0].inputs
    if found.rank != weights.rank + 1 or found.shape[-1] != filters_a_line(weights.dtype):
        return None
    return found if from_lines(found) is weights else None
