"""The two orders of axes: channels last, as programs have them, and channels second."""

from __future__ import annotations

from isoconv.ir.graph import Node
from isoconv.ir.ops import make


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
