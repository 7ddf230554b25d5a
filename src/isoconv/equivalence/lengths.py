"""Inputs some of whose sizes are left open: decided for all sizes by deciding some.

On an axis whose size is open, windows, pads and slices tie positions by i = o * stride + k *
dilation - low, and low depends on the size through floor divisions alone. So the ties repeat: far
from both ends they are the same everywhere, one period apart, and so are those at the ends for
sizes that differ by a period. Every size beyond the reach of both ends repeats the size one period
below, whatever the sizes of the other axes. Deciding all sizes up to there, in every combination
with those of the other axes, therefore decides all. A program in which an open axis is more than
such ties (cut in the middle, counted with, added to another axis) is not understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import lcm, prod

from isoconv.equivalence.sides import Shape, Side, open_name
from isoconv.equivalence.ties import Ties, refuse_mixed

MOST = 2500
"""The most combinations of sizes that are decided one by one."""


@dataclass(frozen=True)
class Bound:
    """How many sizes of an open axis decide all: all up to `last`.

    reach: positions around its own that an output can read on this axis. period: of all strides
    and floor divisions. ends: reaches that a size must hold so that all that can differ does.
    repeats: periods on top; more than one where results are fractions of polynomials in the size.
    """

    period: int
    reach: int
    ends: int
    repeats: int

    @property
    def last(self) -> int:
        return self.ends * self.reach + self.repeats * self.period

    @property
    def most(self) -> str:
        times = {2: "twice", 4: "four times"}[self.ends]
        return f"{times} the reach of all windows ({self.reach})"

    def like(self, size: int) -> int:
        """The smallest size on which all is as on a size beyond the ends."""
        ends = self.ends * self.reach
        return ends + (size - ends) % self.period

    def __str__(self) -> str:
        periods = "one period" if self.repeats == 1 else f"{self.repeats} periods"
        return (
            f"all sizes up to {self.last}, which is {self.most} and {periods} of strides and "
            f"paddings ({self.period}); from there on everything repeats"
        )


def bounds(sides: Sequence[Side]) -> list[Bound]:
    """The bound for each open axis, for all sides together; NotUnderstoodError if there is none."""
    count = len(open_axes(sides[0].open_shapes))
    graphs = [side.trace_open() for side in sides]
    for graph in graphs:
        refuse_mixed(graph)
    return [_bound([Ties(graph, open_name(k)) for graph in graphs]) for k in range(count)]


def _bound(ties: Sequence[Ties]) -> Bound:
    return Bound(
        lcm(*(each.period for each in ties)),
        max(each.reach for each in ties),
        4 if any(each.everywhere for each in ties) else 2,
        1 + sum(each.degree for each in ties),
    )


def open_axes(shapes: Sequence[Shape]) -> list[tuple[int, int]]:
    """The input and axis of each size that is left open."""
    return [(i, j) for i, shape in enumerate(shapes) for j, n in enumerate(shape) if n is None]


def filled(shapes: Sequence[Shape], sizes: Sequence[int]) -> list[Shape]:
    """The shapes with open sizes filled in, in order."""
    new = iter(sizes)
    return [tuple(next(new) if n is None else n for n in shape) for shape in shapes]


def choices(found: Sequence[Bound]) -> Iterator[tuple[int, ...]]:
    """The sizes to decide, the largest first: on several axes, every combination of them.

    One axis at a time does not do: a difference may show only where two axes are both short.
    """
    return product(*(range(each.last, 0, -1) for each in found))


def combinations(found: Sequence[Bound]) -> int:
    """How many choices there are."""
    return prod(each.last for each in found)
