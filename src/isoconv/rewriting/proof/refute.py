"""Shows that some function of one block is none of another's, whatever weights that has.

Five ways: entries of the table that are always alike in b and not in a; results of a that are not
those of b, if b has no weights; a table of a outside the linear span of those of b; more
independent directions in a than in b; and more weights of a that each show by themselves than b
has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from isoconv.ir.graph import Node
from isoconv.rewriting.proof.blocks import WRITTEN, Block
from isoconv.rewriting.proof.compare import SMALL, TABLE, WORK, Comparer
from isoconv.rewriting.proof.field import PRIMES, Array
from isoconv.rewriting.proof.values import evaluate, needed

Run = Callable[[Array, Array], tuple[Array, Array]]
"""The true results [points, outputs] of a block for inputs and weights that are whole numbers, and
how far they may be off.
"""

NEIGHBOURS = 9
"""How many inputs are probed at both ends and in the middle, where there are too many for all."""

COUNTED = 8, 64
"""How many inputs are looked at for the weights that they meet, at first and then."""

ATTEMPTS = 3
"""How many weights of a are tried."""

DRAWN, SIDE = 16, 4
"""How many inputs are drawn where b is one function, with so many neighbours on each axis."""

LARGE = 5_000_000
"""Blocks of more products are large; of twice as many, only three inputs are probed."""

SPAN = 100
"""The most independent entries for which spans are compared."""


@dataclass(frozen=True)
class Refutation:
    """Why a function of a is none of b.

    why: in words. weights: flat weights of a with that function. entries: the two places (row,
    output) of the table that b cannot tell apart, None standing for nothing; None if no two
    entries alone tell it. point: an input that shows it, if one was sought.
    """

    why: str
    weights: Array
    entries: tuple[tuple[int, int], tuple[int, int] | None] | None = None
    point: Array | None = None


def probes(block: Block, size: int, inputs: Array, signs: int = 2) -> Array:
    """Inputs: nothing; `size` at one of some inputs; with two signs, the same with it turned."""
    unit = np.zeros((len(inputs), block.inputs), np.int64)
    unit[np.arange(len(inputs)), inputs] = size
    return np.concatenate([np.zeros((1, block.inputs), np.int64), *[unit, -unit][:signs]])


def rows_of(values: Array, signs: int = 2) -> Array:
    """Of the results of probes: for no input; what a unit adds; what both signs add together."""
    count = len(values) // signs
    none, plus, minus = values[:1], values[1 : 1 + count], values[1 + count :]
    added = [plus + minus - 2 * none] if signs == 2 else []
    return np.concatenate([none, plus - none, *added])


def radii_of(off: Array, signs: int = 2) -> Array:
    """How far the rows of `rows_of` may be off."""
    count = len(off) // signs
    none, plus, minus = off[:1], off[1 : 1 + count], off[1 + count :]
    added = [plus + minus + 2 * none] if signs == 2 else []
    return np.concatenate([none, plus + none, *added]) * (1 + 2.0**-50)


def bounds(end: Node) -> tuple[float, float]:
    """Between which numbers a result stays, whatever it is computed from."""
    match end.op:
        case "relu":
            return 0.0, inf
        case "tanh" | "erf" | "sin" | "cos":
            return -1.0, 1.0
        case "reshape" | "transpose" | "slice" | "broadcast" | "reverse" | "pool_max":
            return bounds(end.inputs[0])
        case "pad":
            low, high = bounds(end.inputs[0])
            return min(low, end["value"]), max(high, end["value"])
    return -inf, inf


class Refuter:
    """Refutes that every function of a is one of b.

    run, run_other: run a and b for whole numbers, exactly.
    """

    def __init__(self, comparer: Comparer, a: Block, b: Block, run: Run, run_other: Run) -> None:
        self.comparer, self.a, self.b, self.run, self.run_other = comparer, a, b, run, run_other
        self.inputs = np.zeros(0, np.int64)
        cost = max(each.work + WRITTEN * each.volume for each in (a, b))
        self._most = min(TABLE // a.outputs, WORK // max(cost, 1)) // 2
        linear = max(*a.degrees[1:], b.degrees[1]) <= 1
        # Where inputs are numbers of rows, units and their negatives mean nothing.
        self._has_rows = any(node.op == "gather" for node in needed([a.end, b.end], {}))
        self._polynomial = linear and max(a.degrees[0], b.degrees[0]) < inf
        # What is linear in the input does the same with the sign turned.
        self._signs = 1 if linear else 2

    def refute(self) -> Refutation | None:
        found = self.refute_by_values() or self.refute_by_few() or self.refute_by_count()
        return found or self.refute_by_all()

    def refute_by_ends(self) -> Refutation | None:
        """By the first, the middle and the last input, of large blocks by the middle one, with one
        choice of weights, which is soon done.
        """
        if self._has_rows or self.a.inputs < 3 or self._most < 3:
            return None
        middle = self.a.middle
        large = max(self.a.work, self.b.work) > LARGE
        self.inputs = np.array([middle] if large else [0, middle, self.a.inputs - 1])
        return self._by_ties(1) or self._by_range(1)

    def refute_by_values(self) -> Refutation | None:
        """By results for neighbours in the middle, where b has no weights; as few as will do."""
        if self._has_rows or self.b.parameters:
            return None
        weights, none = self._small(ATTEMPTS), np.zeros((1, 0), np.int64)

        def differ(points: Array) -> Array:
            (mine, off), (theirs, other) = self.run(points, weights), self.run_other(points, none)
            found: Array = (np.abs(mine - theirs) > off + other).any(1)
            return found

        near = self._neighbours(SIDE)[1]
        drawn = self.comparer.generator.integers(-6, 7, (DRAWN, len(near)))
        points = np.zeros((2 * DRAWN, self.a.inputs), np.int64)
        points[:DRAWN, near] = np.where(np.abs(drawn) > 3, 0, drawn)
        # Below 0 everywhere: what is absent is seen, and where 0 is the largest.
        points[DRAWN:] = -4
        points[DRAWN:, near] = -np.abs(drawn) - 1
        found = np.flatnonzero(differ(points))
        if not len(found):
            return None
        point = points[found[0]]
        for place in np.intersect1d(near, np.flatnonzero(point)):
            less = np.where(np.arange(len(point)) == place, 0, point)
            point = less if differ(less[None])[0] else point
        return Refutation("the input below gives something else", weights, point=point)

    def refute_by_few(self) -> Refutation | None:
        """By the inputs at the ends, where padding shows, and in the middle, where every tap
        meets an input.
        """
        deep = max(self.a.work, self.b.work) > 2 * LARGE
        third = max(1, min(self._most // 3, 1 if deep else NEIGHBOURS))
        if self._has_rows or self.a.inputs <= third:
            return None
        places = self._neighbours(max(2, round(NEIGHBOURS ** (1 / len(self.a.shape)))))
        for few in sorted({1, third}):
            self.inputs = np.unique(np.concatenate([each[:few] for each in places]))
            found = self._by_ties(1) if few < third else self._by_entries()
            if found is not None:
                return found
        return None

    def refute_by_count(self) -> Refutation | None:
        """By neighbours in the middle that meet more weights of a than b has at all."""
        a, b = self.a, self.b
        if self._has_rows or a.parameters <= b.parameters or a.degrees[0] > 1:
            return None
        for count in COUNTED:
            few = min(self._most, count, a.inputs)
            pattern = self.comparer.pattern(a, self._near_middle(few))
            if pattern is None:
                return None
            shown = len(np.unique(pattern[1][pattern[1] >= 0]))
            if shown > b.parameters:
                return self._fewer(b.parameters, shown)
        return None

    def refute_by_all(self) -> Refutation | None:
        """By all inputs, where they are few."""
        entries = (self.a.inputs + 1) * self.a.outputs
        if self._has_rows or self.a.inputs > self._most or entries > SMALL:
            return None
        self.inputs = np.arange(self.a.inputs)
        found = self._by_entries()
        if found is None and self._polynomial:
            found = self._by_dimension()
        return found

    def _neighbours(self, many: int) -> list[Array]:
        """So many inputs side by side on each axis: at both ends of all axes, in their middle."""
        shape = self.a.shape
        each = [min(size, many) for size in shape]
        starts = [
            [place * (size - few) // 2 for size, few in zip(shape, each, strict=True)]
            for place in range(3)
        ]
        grid = np.indices(each).reshape(len(shape), -1)
        return [np.ravel_multi_index(grid + np.c_[start], shape) for start in starts]

    def _near_middle(self, count: int) -> Array:
        """So many neighbours around the input in the middle."""
        first = min(max(0, self.a.middle - count // 2), self.a.inputs - count)
        return first + np.arange(count)

    def _by_entries(self) -> Refutation | None:
        found = self._by_ties() or self._by_range()
        return self._by_span() if found is None and self._polynomial else found

    # -- entries that are alike ----------------------------------------------------------------

    def _keys(self, block: Block, primes: int) -> Array:
        """The table of a block for random weights, modulo so many primes as one number."""
        result = np.zeros((), np.int64)
        for prime in range(primes):
            result = result * 2**31 + self._residues(block, prime)
        return result

    def _residues(self, block: Block, prime: int) -> Array:
        """The table of a block for random weights, the same ones in both directions."""
        tables = self.comparer.tables
        key = (block, self.inputs.tobytes(), self._signs, prime)
        if key not in tables:
            weights = self.comparer.random(1, block.parameters, prime=prime)
            size = int(self.comparer.random(1, prime=prime)[0])
            points = probes(block, size, self.inputs, self._signs) % PRIMES[prime]
            values = self.comparer.value(block, points, weights, prime)
            values = np.broadcast_to(values, (len(points), block.outputs))
            tables[key] = rows_of(values, self._signs) % PRIMES[prime]
        return tables[key]

    def _by_ties(self, attempts: int = ATTEMPTS) -> Refutation | None:
        """Entries that b cannot tell apart, or that are always 0 in it, and not so in a."""
        keys, mine = self._keys(self.b, len(PRIMES)), self._keys(self.a, 1)
        partners, live = np.arange(keys.size), np.flatnonzero(keys)
        _, first, which = np.unique(keys.reshape(-1)[live], return_index=True, return_inverse=True)
        partners[live] = live[first[which]]
        partners = partners.reshape(keys.shape)
        nothing = keys == 0
        expected = np.where(nothing, 0, mine.reshape(-1)[partners])
        wrong = np.argwhere(mine != expected)
        if not len(wrong):
            return None
        others = partners[tuple(wrong.T)] // self.a.outputs
        rows = np.union1d(wrong[:, 0], others)
        if self._polynomial:
            # Where the formulas differ, numbers differ as well: two rows will do.
            rows = np.unique([wrong[0, 0], others[0]])
            kept = np.isin(wrong[:, 0], rows) & np.isin(others, rows)
            wrong = wrong[kept]
        ends = np.unravel_index(partners[tuple(wrong.T)], keys.shape)
        lacking = nothing[tuple(wrong.T)]
        for attempt in range(attempts):
            weights = self._small(attempt)
            table, radius = self._true(weights, rows)
            gaps = np.abs(table[tuple(wrong.T)] - np.where(lacking, 0, table[ends]))
            reach = radius[tuple(wrong.T)] + np.where(lacking, 0, radius[ends])
            found = np.flatnonzero(gaps > reach)
            if len(found):
                at = found[0]
                spot = self._spot(*wrong[at])
                if lacking[at]:
                    return Refutation(self._lacks(*spot), weights, (spot, None))
                pair = self._spot(ends[0][at], ends[1][at])
                return Refutation(self._ties(*spot, pair), weights, (spot, pair))
        return None

    def _true(self, weights: Array, rows: Array) -> tuple[Array, Array]:
        """Some rows of the table of a for these weights, and how far they may be off; others 0."""
        count = len(self.inputs)
        taken = np.unique((rows[rows > 0] - 1) % count)
        values, off = self.run(probes(self.a, 2, self.inputs[taken], self._signs), weights)
        places = [1 + taken + turned * count for turned in range(self._signs)]
        at = np.concatenate([[0], *places])
        result = []
        for part in (rows_of(values, self._signs), radii_of(off, self._signs)):
            whole = np.zeros((1 + self._signs * count, self.a.outputs))
            whole[at] = part
            result.append(whole)
        return result[0], result[1]

    def _spot(self, row: Any, output: Any) -> tuple[int, int]:
        """A place of the table as it would be if all inputs were in it."""
        if row == 0:
            return 0, int(output)
        turned, at = divmod(int(row) - 1, len(self.inputs))
        return int(self.inputs[at]) + 1 + turned * self.a.inputs, int(output)

    def _small(self, attempt: int) -> Array:
        """Small whole weights; at first positive ones, under which relu lets everything pass."""
        low = 1 if attempt < 2 else -3
        weights: Array = self.comparer.generator.integers(low, 4, (1, self.a.parameters))
        return weights

    def _lacks(self, row: int, output: int) -> str:
        if row == 0:
            return f"output {output} is 0 for no input"
        if row <= self.a.inputs:
            return f"output {output} never depends on input {row - 1} alone"
        place = row - 1 - self.a.inputs
        return f"output {output} answers to plus and minus input {place} in opposite ways"

    def _ties(self, row: int, output: int, other: tuple[int, int]) -> str:
        return f"{self._entry(row, output)} and {self._entry(*other)} are the same"

    def _entry(self, row: int, output: int) -> str:
        if row == 0:
            return f"output {output} for no input"
        count = self.a.inputs
        return f"what input {(row - 1) % count} does to output {output}"

    # -- bounds of the results -----------------------------------------------------------------

    def _by_range(self, attempts: int = ATTEMPTS) -> Refutation | None:
        """Results of a that leave the bounds which the last activation of b keeps."""
        (least, most), (low, high) = bounds(self.a.end), bounds(self.b.end)
        if low <= least and most <= high:
            return None
        for attempt in range(attempts):
            # Weights of both signs.
            weights = self._small(ATTEMPTS + attempt)
            values, off = self.run(probes(self.a, 2, self.inputs), weights)
            wrong = np.argwhere((values + off < low) | (values - off > high))
            if len(wrong):
                entry = self._spot(*wrong[0])
                why = f"no output leaves the range from {low:g} to {high:g}"
                return Refutation(why, weights, (entry, None))
        return None

    # -- spans and dimensions ------------------------------------------------------------------

    def _by_span(self) -> Refutation | None:
        comparer, p = self.comparer, PRIMES[0]
        sample = comparer.table(self.b, comparer.random(1, self.b.parameters), 0, self.inputs)
        other = comparer.table(self.b, comparer.random(1, self.b.parameters), 0, self.inputs)
        _, first = np.unique(sample * 2**31 + other, return_index=True)
        if len(first) > SPAN:
            return None
        spans = []
        for _ in range(len(first) + 2):
            weights = comparer.random(1, self.b.parameters)
            table = comparer.table(self.b, weights, 0, self.inputs)
            spans.append(np.append(table.reshape(-1)[first], 1))
        weights = self._small(0)
        table = comparer.table(self.a, weights[:, self.a.places], 0, self.inputs)
        rows = [*spans, np.append(table.reshape(-1)[first], 1)]
        field = comparer.fields[0]
        if field.rank(np.stack(rows) % p) > field.rank(np.stack(spans) % p):
            why = "the linear equations that all its tables satisfy do not hold in a"
            return Refutation(why, weights)
        return None

    def _by_dimension(self) -> Refutation | None:
        mine, theirs = self.dimension(self.a), self.dimension(self.b)
        if mine is None or theirs is None or mine <= theirs:
            return None
        return self._fewer(theirs, mine)

    def _fewer(self, theirs: int, mine: int) -> Refutation:
        why = f"its functions have {theirs} independent directions, fewer than the {mine} of a"
        # Almost all weights of a have a function that b lacks.
        return Refutation(why, self.comparer.generator.integers(1, 100, (1, self.a.parameters)))

    def dimension(self, block: Block) -> int | None:
        """How many independent directions the functions of a block have near random weights."""
        if block.parameters > 200:
            return None
        count = block.parameters + 4
        gradient, flow = self.comparer._gradient(block)
        weights = self.comparer.random(1, block.parameters)
        rows = []
        for _ in range(count):
            given = self.comparer.given(block, self.comparer.random(1, block.inputs), weights, 0)
            given[flow] = self.comparer.random(1, block.outputs)
            parts = evaluate(gradient, given, self.comparer.fields[0])
            rows.append(np.concatenate([part.reshape(-1) for part in parts] or [np.zeros(0, int)]))
        return self.comparer.fields[0].rank(np.stack(rows))
