"""Looks for a way through two chains of blocks on which each block fits the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from isoconv.ir.graph import Node
from isoconv.rewriting.proof.blocks import Block, Chain, size_of
from isoconv.rewriting.proof.compare import WORK, Comparer
from isoconv.rewriting.proof.field import PRIMES, Array
from isoconv.rewriting.proof.maps import CORNER, Map, Outcome
from isoconv.rewriting.proof.normal import Views

Shapes = Mapping[Node, tuple[int, ...]]

REACH = 5
"""Places that one step of the way may take on either side."""


LONG = 4_000_000
"""Comparing blocks of so many products counts as one comparison more."""


@dataclass(frozen=True)
class Way:
    """The blocks of both sides that were compared, as ranges of places, and what was found."""

    steps: tuple[tuple[tuple[int, int], tuple[int, int], Outcome], ...]

    def forth(self) -> list[Map]:
        return [found.forth for *_, found in self.steps if found.forth is not None]

    def back(self) -> list[Map]:
        return [found.back for *_, found in self.steps if found.back is not None]


class Search:
    """Ways through the chains a and b; what was compared once is remembered."""

    def __init__(self, comparer: Comparer, a: Block, b: Block, views: Views = "rise") -> None:
        self.comparer = comparer
        self.a, self.b = Chain(a, views), Chain(b, views)
        self._found: dict[tuple[int, ...], Outcome] = {}
        self.left = 60 + 8 * max(len(self.a), len(self.b))

    def way(self, fits: Callable[[Outcome], bool], equal: bool = False) -> Way | None:
        """A way from start to end of both on which every outcome fits.

        equal: whether no outcome fits where one side has more weights than the other, or applies
        functions such as relu more often.
        """
        whole = (0, len(self.a)), (0, len(self.b))
        if self.a.block.canonical is self.b.block.canonical:
            found = self.comparer.compare(self.a.block, self.b.block)
            return Way(((*whole, found),))
        dead: set[tuple[int, int]] = set()

        def walk(i: int, j: int) -> list[tuple[tuple[int, int], tuple[int, int], Outcome]] | None:
            if (i, j) == (len(self.a), len(self.b)):
                return []
            if (i, j) in dead:
                return None
            for k, m in self._steps(i, j):
                if equal and _weighed(self.a.part(i, k)) != _weighed(self.b.part(j, m)):
                    continue
                found = self._outcome(i, k, j, m)
                if found is not None and fits(found):
                    rest = walk(k, m)
                    if rest is not None:
                        return [((i, k), (j, m), found), *rest]
            dead.add((i, j))
            return None

        steps = walk(0, 0)
        return None if steps is None else Way(tuple(steps))

    def whole(self) -> Way | None:
        """The way of one step, whatever was found on it."""
        k, m = len(self.a), len(self.b)
        found = self._outcome(0, k, 0, m)
        return None if found is None else Way((((0, k), (0, m), found),))

    def excluded(self) -> tuple[bool, bool]:
        """Whether it was seen that not every a is a b, and that not every b is an a."""
        a, b = self.a.part(0, len(self.a)), self.b.part(0, len(self.b))
        seen = self.comparer.excluded
        return (a, b) in seen, (b, a) in seen

    def _steps(self, i: int, j: int) -> Iterator[tuple[int, int]]:
        """Where to go next: to where both bend; by small steps, on both sides if possible; last the
        whole rest.
        """
        ends = (len(self.a), len(self.b))
        near = [
            (k, m)
            for k in range(i, min(i + REACH, ends[0]) + 1)
            for m in range(j, min(j + REACH, ends[1]) + 1)
            if (k, m) != (i, j)
        ]
        bends = self.a.bend(i), self.b.bend(j)
        near.sort(key=lambda each: (each != bends, _far(each[0] - i, each[1] - j)))
        if ends not in near and ends != (i, j):
            near.append(ends)
        for k, m in near:
            if size_of(self.a.places[k]) == size_of(self.b.places[m]):
                yield k, m

    def _outcome(self, i: int, k: int, j: int, m: int) -> Outcome | None:
        for sought in ((True, True), self.comparer.sought):
            if (i, k, j, m, *sought) in self._found:
                return self._found[i, k, j, m, *sought]
        if self.left <= 0:
            return None
        a, b = self.a.part(i, k), self.b.part(j, m)
        self.left -= 1 + (a.work + b.work) // LONG
        found = self.comparer.compare(a, b)
        self._found[i, k, j, m, *self.comparer.sought] = found
        return found


def _weighed(block: Block) -> tuple[int, int]:
    return block.parameters, block.depth


def _far(left: int, right: int) -> tuple[int, bool, int]:
    """An order of steps by how many places they take on either side."""
    return max(left, right), 0 in (left, right), abs(left - right)


def embedding(comparer: Comparer, a: Block, b: Block, shapes: Shapes) -> list[Map] | None:
    """The weights of a in the corners of larger ones of b, zeros elsewhere, if that makes b an a.

    shapes: of all weights of both. This is how wider hidden layers hold narrower ones.
    """
    small, large = ([shapes[node] for node in block.order] for block in (a, b))
    if list(map(len, small)) != list(map(len, large)):
        return None
    if not all(
        n <= m for s, t in zip(small, large, strict=True) for n, m in zip(s, t, strict=True)
    ):
        return None
    select, first = [], 0
    for inner, outer in zip(small, large, strict=True):
        place = np.full(outer, -1)
        place[tuple(slice(n) for n in inner)] = np.arange(first, first + prod(inner)).reshape(inner)
        select.append(place.reshape(-1))
        first += prod(inner)
    if not select:
        return None
    maps = [Map(a.order, b.order, CORNER, False, select=np.concatenate(select))]
    return maps if holds(comparer, a, b, maps) else None


def holds(comparer: Comparer, a: Block, b: Block, maps: list[Map]) -> bool:
    """Whether b with the weights that the maps give from those of a is a, at random points; False
    as well where the tables that they read would take too long.
    """
    reads = [way.read for way in maps if way.read is not None]
    if sum((len(read.inputs) + 1) * read.source.cost for read in reads) > 24 * WORK:
        return False
    summed = any(way.read is not None and way.read.based is not None for way in maps)
    for prime in range(len(PRIMES)):
        weights = {node: comparer.random(1, size_of(node), prime=prime) for node in a.order}
        start = comparer.random(1, a.inputs, prime=prime)
        values: dict[Node, Array] = dict(weights)
        for way in maps:
            values |= comparer.apply(way, values, prime)
        flat = [values.get(node, np.zeros((1, size_of(node)), np.int64)) for node in b.order]
        empty = np.zeros((1, 0), np.int64)
        left = comparer.value(
            a, start, np.concatenate([*weights.values(), empty], 1), prime, summed
        )
        right = comparer.value(b, start, np.concatenate([*flat, empty], 1), prime, summed)
        if not np.array_equal(left, right):
            return False
    return True
