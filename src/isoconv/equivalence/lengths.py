"""Inputs some of whose sizes are left open: decided for all sizes by deciding some.

On an axis whose size is open, operations tie positions by i = o * stride + k * dilation - low, and
low depends on the size through floor divisions alone. So the ties repeat: far from both ends they
are the same everywhere, one period apart, and so are those at the ends for sizes that differ by a
period. Every size beyond twice the reach of all windows repeats the size one period below. Deciding
all sizes up to twice the reach and one period more therefore decides all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import lcm, prod
from typing import Any

from isoconv.equivalence.sides import Shape, Side
from isoconv.errors import ShapeError, explain
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.sizes import Dim, Floor, Maximum, Size

MOST = 150
"""The most sizes that are decided one by one."""


@dataclass(frozen=True)
class Bound:
    """How many sizes of an open axis decide all: all up to `last`, for a period and a reach."""

    period: int
    reach: int

    @property
    def last(self) -> int:
        return 2 * self.reach + self.period

    def __str__(self) -> str:
        return (
            f"all sizes up to {self.last}, which is twice the reach of all windows "
            f"({self.reach}) and one period of strides and paddings ({self.period}); from there "
            "on everything repeats"
        )


def bound(sides: Sequence[Side]) -> Bound:
    """The bound for the open axes of all sides together."""
    graphs = [side.trace_open() for side in sides]
    return Bound(lcm(*map(_period, graphs)), max(map(_reach, graphs)))


def _dims(graph: Graph) -> Iterator[Dim]:
    for node in graph.nodes:
        yield from node.shape
        for _, value in node.attrs:
            yield from _inside(value)


def _inside(value: Any) -> Iterator[Dim]:
    if isinstance(value, Size):
        yield value
    elif isinstance(value, Axis):
        yield from (value.low, value.high)
    elif isinstance(value, tuple):
        for each in value:
            yield from _inside(each)


def _period(graph: Graph) -> int:
    """A common multiple of all that sizes are divided by, and of all strides."""
    found = 1
    for dim in set(_dims(graph)):
        found = lcm(found, _divisor(dim))
    strides = [axis.stride for axis in _axes(graph)]
    return lcm(found, prod(strides) or 1)


def _divisor(dim: Dim) -> int:
    if isinstance(dim, int):
        return 1
    found = 1
    for monomial, _ in dim.terms:
        if len(monomial) > 1:
            raise ShapeError(_undecided(dim))
        for atom in monomial:
            if isinstance(atom, Floor):
                if not isinstance(atom.divisor, int):
                    raise ShapeError(_undecided(dim))
                found = lcm(found, atom.divisor * _divisor(atom.numerator))
            elif isinstance(atom, Maximum):
                found = lcm(found, _divisor(atom.left), _divisor(atom.right))
    return found


def _undecided(dim: Dim) -> str:
    where, remedy = "equivalent: input_shape", "Give numbers for these sizes."
    return explain(
        where, f"open sizes that make a size {dim}", "open sizes that stay apart", remedy
    )


def _axes(graph: Graph) -> list[Axis]:
    """The windows, of one axis or more, that move over an open size."""
    return [
        axis
        for node in graph.nodes
        for name, value in node.attrs
        if name == "axes"
        for axis in value
        if isinstance(axis, Axis)
    ]


def _reach(graph: Graph) -> int:
    """How many positions around its own an output can read at most."""
    wide, total = 1, 1
    for node in graph.nodes:
        for name, value in node.attrs:
            if name == "axes":
                axes = [axis for axis in value if isinstance(axis, Axis)]
                total += wide * max((axis.span for axis in axes), default=0)
                wide *= max((axis.stride for axis in axes), default=1)
            elif name in ("low", "high", "start"):
                total += wide * max((abs(n) for n in value if isinstance(n, int)), default=0)
    return total


def open_axes(shapes: Sequence[Shape]) -> list[tuple[int, int]]:
    """The input and axis of each size that is left open."""
    return [(i, j) for i, shape in enumerate(shapes) for j, n in enumerate(shape) if n is None]


def filled(shapes: Sequence[Shape], sizes: Sequence[int]) -> list[Shape]:
    """The shapes with open sizes filled in, in order."""
    new = iter(sizes)
    return [tuple(next(new) if n is None else n for n in shape) for shape in shapes]


def choices(count: int, found: Bound) -> list[tuple[int, ...]]:
    """The sizes to decide: the largest first; with several axes one at a time, and all alike."""
    last = found.last
    if count == 1:
        return [(n,) for n in range(last, 0, -1)]
    most = [last] * count
    each = [(*most[:i], n, *most[i + 1 :]) for i in range(count) for n in range(last, 0, -1)]
    alike = [(n,) * count for n in range(last, 0, -1)]
    corner = product((found.reach, found.reach + 1), repeat=count) if count < 4 else ()
    return list(dict.fromkeys([*each, *alike, *corner]))
