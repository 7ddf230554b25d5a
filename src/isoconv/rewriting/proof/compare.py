"""Compares two blocks: which functions of one are functions of the other, and by which weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, starmap

import numpy as np

from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.rewriting.proof.blocks import Block, size_of
from isoconv.rewriting.proof.field import PRIMES, Array, Field
from isoconv.rewriting.proof.maps import (
    AFFINE,
    ONCE,
    POINTS,
    SOLVED,
    SYNTAX,
    Map,
    Met,
    Outcome,
    Reading,
    reading_of,
    same,
    selection,
)
from isoconv.rewriting.proof.values import evaluate

Pullback = Callable[[Sequence[Node], Sequence[Node], Sequence[Node]], list[Node]]

SMALL, LINE, CHUNK = 60_000, 512, 32
"""Tables of so many entries are written out whole; else inputs are added, those of a line of at
most so many, and then so many at first.
"""

WORK = 150_000_000
"""The most products that one table may take; all tables of a comparison take 24 times that."""

FEW = 6
"""How many inputs are looked at before all are."""

TABLE = 3_000_000
"""The most entries of a table of (input, output) pairs that is written out."""


class Comparer:
    """Compares blocks of two programs whose fixed inputs have the values `fixed`.

    pullback: graph -> graph vector-Jacobian products. sought: whether maps from a to b, and from b
    to a, are looked for in tables, which takes long where they are large. excluded: pairs of blocks
    of which some function of the first was seen to be none of the second. tables: what refuters
    computed, by block, inputs, signs and prime.
    """

    def __init__(self, pullback: Pullback, fixed: Mapping[Node, Array], seed: int = 0) -> None:
        self.fields = [Field(prime, seed) for prime in PRIMES]
        self._summed = [Field(prime, seed, sums=True) for prime in PRIMES]
        self.generator = np.random.default_rng(seed)
        self._pullback = pullback
        self.fixed = [{n: f.exactly(v)[None] for n, v in fixed.items()} for f in self.fields]
        self.sought = True, True
        self.excluded: set[tuple[Block, Block]] = set()
        self.tables: dict[tuple[Block, bytes, int, int], Array] = {}
        self._budget = 24 * WORK
        self._points: dict[tuple[int, ...], Array] = {}
        self._patterns: dict[tuple[Block, bytes], tuple[Array, Array, Array] | None] = {}
        self._met_by_block: dict[tuple[Block, int], Met] = {}

    # -- values --------------------------------------------------------------------------------

    def value(
        self, block: Block, start: Array, weights: Array, prime: int = 0, summed: bool = False
    ) -> Array:
        """The results [points, outputs] for flat inputs and flat weights [points, ...].

        summed: whether it counts that one row is looked up at each place.
        """
        given = self.given(block, start, weights, prime)
        return evaluate([block.end], given, (self._summed if summed else self.fields)[prime])[0]

    def given(self, block: Block, start: Array, weights: Array, prime: int) -> dict[Node, Array]:
        return {**self.fixed[prime], block.start: start} | split(block.order, weights)

    def random(self, *shape: int, prime: int = 0) -> Array:
        return self.fields[prime].random(shape, self.generator)

    # -- the ways ------------------------------------------------------------------------------

    def compare(self, a: Block, b: Block) -> Outcome:
        """Maps between two blocks, by the first way that decides."""
        if a.canonical is b.canonical:
            return same(a, b, SYNTAX)
        if not a.weights and not b.weights:
            return same(a, b, POINTS) if self._alike(a, b) else Outcome()
        linear = a.degrees[0] <= 1 and b.degrees[0] <= 1
        if linear:
            found = self.by_gradients(a, b)
            if found.forth or found.back:
                return self._completed(a, b, found)
        elif [size_of(n) for n in a.order] == [size_of(n) for n in b.order] and self._alike(a, b):
            return same(a, b, POINTS)
        return self._completed(a, b, Outcome())

    def _completed(self, a: Block, b: Block, found: Outcome) -> Outcome:
        """The maps still missing, by tables."""
        forth, back = found.forth, found.back
        if forth is None and self.sought[0]:
            forth = self.read(a, b)
        if back is None and self.sought[1]:
            back = self.read(b, a)
        return Outcome(forth, back)

    def _alike(self, a: Block, b: Block) -> bool:
        """Whether both are the same function of input and weights, taken in order."""
        for prime in range(len(PRIMES)):
            start = self.random(1, a.inputs, prime=prime)
            weights = self.random(1, a.parameters, prime=prime)
            left, right = (self.value(each, start, weights, prime) for each in (a, b))
            if not np.array_equal(left, right):
                return False
        return True

    def by_gradients(self, a: Block, b: Block) -> Outcome:
        """For results linear in their weights: what multiplies each weight, at random points."""
        sides: list[list[Met]] = [[], []]
        forth, back = self.sought
        for prime in range(len(PRIMES)):
            left, right = (self._met_by(block, prime) for block in (a, b))
            sides[0].append(left)
            sides[1].append(right)
            forth = forth and left.may_be_within(right)
            back = back and right.may_be_within(left)
            if left.rest != right.rest or not (forth or back):
                return Outcome()
        left_keys, right_keys = (both[0].factors * 2**31 + both[1].factors for both in sides)
        return Outcome(
            selection(a, b, left_keys, right_keys) if forth else None,
            selection(b, a, right_keys, left_keys) if back else None,
        )

    def _met_by(self, block: Block, prime: int) -> Met:
        """`_factors` at points that are the same for all blocks of as many inputs and outputs."""
        key = (block, prime)
        if key not in self._met_by_block:
            start = self._point(block.inputs, prime, 0)
            seen = self._point(block.outputs, prime, 1)
            factors, rest = self._factors(block, start, seen, prime)
            self._met_by_block[key] = Met(factors, rest)
        return self._met_by_block[key]

    def _point(self, *key: int) -> Array:
        """A random point of so many numbers modulo a prime; the same one whenever asked for."""
        if key not in self._points:
            size, prime, _ = key
            self._points[key] = self.random(1, size, prime=prime)
        return self._points[key]

    def _factors(self, block: Block, start: Array, seen: Array, prime: int) -> tuple[Array, int]:
        """What multiplies each weight in the sum of the results times `seen`, and the rest."""
        field = self.fields[prime]
        gradient, flow = self._gradient(block)
        given = self.given(block, start, np.zeros((1, block.parameters), np.int64), prime)
        given[flow] = seen
        values = evaluate([block.end, *gradient], given, field)
        rest = int((values[0] * seen % field.prime).sum() % field.prime)
        parts = [value.reshape(-1) for value in values[1:]]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64), rest

    def _gradient(self, block: Block) -> tuple[list[Node], Node]:
        flow = make("input", name="flow", shape=block.end.shape, dtype=block.end.dtype)
        return self._pullback([block.end], block.order, [flow]), flow

    # -- tables --------------------------------------------------------------------------------

    def table(
        self, block: Block, weights: Array, prime: int = 0, inputs: Array | None = None
    ) -> Array:
        """Row 0: the results for no input; then for each of the inputs what a unit there adds."""
        at = np.arange(block.inputs) if inputs is None else inputs
        impulses = np.zeros((len(at) + 1, block.inputs), np.int64)
        impulses[np.arange(len(at)) + 1, at] = 1
        rows = self.value(block, impulses, weights, prime)
        rows = np.broadcast_to(rows, (len(at) + 1, block.outputs)).copy()
        rows[1:] = self.fields[prime].minus(rows[1:], rows[0])
        return rows

    def telling(self, a: Block, b: Block) -> Array | None:
        """Inputs which together meet every weight of b; all, where they are few; None if too many
        are needed. First those of an axis in the middle of all others: there no tap is outside.
        """
        if (b.inputs + 1) * b.outputs <= SMALL:
            return np.arange(b.inputs)
        start, seen = self.random(1, b.inputs), self.random(1, b.outputs)
        chosen = np.zeros(0, np.int64)
        most = min(TABLE // b.outputs, WORK // max(a.cost, b.cost))
        if (most + 1) * b.outputs < b.parameters:
            return None
        unmet = self._factors(b, start, seen, 0)[0] != 0
        lines = [line for line in b.lines() if len(line) <= min(most, LINE)]
        if lines:
            met, chosen = max(
                ((self._met(b, line), line) for line in lines), key=lambda each: each[0].sum()
            )
            unmet &= ~met
        while unmet.any():
            touching = self._touching(b, unmet)
            if not touching.size:
                break
            more = max(CHUNK, len(chosen))
            if len(chosen) + more > most:
                return None
            middle = max(0, len(touching) // 2 - more // 2)
            chosen = np.union1d(chosen, touching[middle : middle + more])
            unmet &= ~self._met(b, chosen)
        return chosen

    def _touching(self, b: Block, weights: Array) -> Array:
        """The inputs that meet any of some weights."""
        field = self.fields[0]
        flow = make("input", name="flow", shape=b.end.shape, dtype=b.end.dtype)
        (gradient,) = self._pullback([b.end], [b.start], [flow])
        values = np.where(weights, self.random(b.parameters), 0)
        given = self.given(b, self.random(1, b.inputs), values[None], 0)
        given[flow] = self.random(1, b.outputs)
        return np.flatnonzero(evaluate([gradient], given, field)[0].reshape(-1))

    def _met(self, b: Block, inputs: Array) -> Array:
        """Which weights meet one of these inputs, or the result for none."""
        start = np.zeros((1, b.inputs), np.int64)
        start[0, inputs] = self.random(len(inputs))
        met: Array = self._factors(b, start, self.random(1, b.outputs), 0)[0] != 0
        return met

    def read(self, a: Block, b: Block) -> Map | None:
        """The weights of b that give any function of a, where each pair meets one weight of b."""
        if b.degrees[0] > 1 or max(a.degrees[1], b.degrees[1]) > 1:
            return None
        if b.dense is not None:
            reading = Reading(a, b, b.dense, np.arange(b.inputs))
            return Map(a.order, b.order, AFFINE, False, read=reading)
        if a.ones and a.ones == b.ones:
            return self._read_rows(a, b)
        if self._solved(a, b, self._few(b)) is None:
            return None
        inputs = self.telling(a, b)
        if inputs is None:
            return None
        spot = self._solved(a, b, inputs)
        if spot is None:
            return None
        whole = (spot >= 0).all() and b.parameters == a.parameters and a.degrees[0] <= 1
        return Map(a.order, b.order, SOLVED, bool(whole), read=reading_of(a, b, spot, inputs))

    def _read_rows(self, a: Block, b: Block) -> Map | None:
        """The same for ones where rows stand: what a has for no input may be in each row of one
        table, since one of them is looked up.
        """
        if (b.inputs + 1) * b.outputs > TABLE:
            return None
        inputs = np.arange(b.inputs)
        pattern = self.pattern(b, inputs)
        if pattern is None:
            return None
        ends = np.cumsum([0, *map(size_of, b.order)]).tolist()
        own = dict(zip(b.order, starmap(range, pairwise(ends)), strict=True))
        for table in (None, *(own[node] for node in b.weights)):
            spread = None if table is None else _spread(pattern[1], table, b.ones)
            if table is not None and spread is None:
                continue
            spot = self._solved(a, b, inputs, spread)
            if spot is None:
                continue
            whole = (spot >= 0).all() and b.parameters == a.parameters and a.degrees[0] <= 1
            based = None if table is None else np.isin(np.arange(b.parameters), table)
            reason = SOLVED if table is None else f"{SOLVED}; {ONCE}"
            reading = reading_of(a, b, spot, inputs, based)
            return Map(a.order, b.order, reason, bool(whole) and table is None, read=reading)
        return None

    def _few(self, block: Block) -> Array:
        """Some inputs, at the ends and in the middle."""
        return np.unique(np.linspace(0, block.inputs - 1, FEW).astype(np.int64))

    def _solved(
        self, a: Block, b: Block, inputs: Array, spread: Array | None = None
    ) -> Array | None:
        """Where the table of a says what each weight of b is, -1 for nowhere; None where no
        weights of b give the table of a for these inputs, or that takes too long.

        spread: the entries to which the results for no input go.
        """
        pattern = self.pattern(b, inputs)
        if pattern is None or not self._afford(a, len(inputs)):
            return None
        fixed, which, factor = pattern
        p = PRIMES[0]
        found = self.table(a, self.random(1, a.parameters), 0, inputs)
        found = self.fields[0].minus(found, fixed)
        if spread is not None:
            found = (found + spread * found[0]) % p
            found[0] = 0
        if found[which < 0].any():
            self._exclude(a, b)
            return None
        live = np.flatnonzero(which.reshape(-1) >= 0)
        index, values = which.reshape(-1)[live], found.reshape(-1)[live]
        values = values * self.fields[0].inverse(factor.reshape(-1)[live]) % p
        met, first = np.unique(index, return_index=True)
        chosen, spot = np.zeros(b.parameters, np.int64), np.full(b.parameters, -1, np.int64)
        chosen[met], spot[met] = values[first], live[first]
        if (values != chosen[index]).any():
            self._exclude(a, b)
            return None
        return spot

    def _exclude(self, a: Block, b: Block) -> None:
        """Notes that not every a is a b, if the table is of inputs that there are."""
        if not a.ones and not b.ones:
            self.excluded.add((a, b))

    def pattern(self, b: Block, inputs: Array) -> tuple[Array, Array, Array] | None:
        """The table of b without weights; which weight each pair meets (-1: none), times what.
        None if a pair meets several, or that takes too long to find.
        """
        key = (b, inputs.tobytes())
        if key not in self._patterns:
            self._patterns[key] = self._pattern(b, inputs)
        return self._patterns[key]

    def _pattern(self, b: Block, inputs: Array) -> tuple[Array, Array, Array] | None:
        if not self._afford(b, 3 * len(inputs)):
            return None
        fixed = self.table(b, np.zeros((1, b.parameters), np.int64), 0, inputs)
        # One weight meets a pair exactly if its own label is the ratio of what both labels add.
        p, own = PRIMES[0], self.generator.choice(PRIMES[0] - 1, b.parameters, replace=False) + 1
        tables = [
            self.fields[0].minus(self.table(b, labels[None], 0, inputs), fixed)
            for labels in (np.ones_like(own), own)
        ]
        live = np.flatnonzero((tables[0] != 0) | (tables[1] != 0))
        which, factor = np.full(fixed.shape, -1), tables[0]
        if not live.size:
            return fixed, which, factor
        below, above = (each.reshape(-1)[live] for each in tables)
        ratios = above * self.fields[0].inverse(below) % p
        order = np.argsort(own)
        at = order[np.minimum(np.searchsorted(own[order], ratios), len(order) - 1)]
        if (own[at] != ratios).any():
            return None
        which.reshape(-1)[live] = at
        return fixed, which, factor

    def _afford(self, block: Block, points: int) -> bool:
        """Takes from what tables may cost; False where too little is left."""
        cost = (points + 1) * block.cost
        if cost > self._budget:
            return False
        self._budget -= cost
        return True

    # -- applying ------------------------------------------------------------------------------

    def apply(self, way: Map, values: Mapping[Node, Array], prime: int) -> dict[Node, Array]:
        """The target weights, as residues [1, size], for the source weights."""
        flat = np.concatenate([values[node][0] for node in way.sources] or [np.zeros(0, np.int64)])
        if way.read is None:
            chosen = np.append(flat, 0)[way.select]
        else:
            chosen = self._read(way.read, flat, prime)
        return split(way.targets, chosen[None])

    def _read(self, reading: Reading, weights: Array, prime: int) -> Array:
        """The weights that a reading finds."""
        p, inverse = PRIMES[prime], self.fields[prime].inverse
        labels = self.random(1, reading.target.parameters, prime=prime)
        tables = [
            self.table(block, each, prime, reading.inputs).reshape(-1)
            for block, each in (
                (reading.source, weights[None]),
                (reading.target, np.zeros_like(labels)),
                (reading.target, labels),
            )
        ]
        factor = (tables[2] - tables[1])[reading.entry] * inverse(labels[0]) % p
        change = tables[0] - tables[1]
        values = change[reading.entry]
        if reading.based is not None:
            values = values + reading.based * change[reading.entry % reading.target.outputs]
        values = values % p * inverse(factor) % p
        return np.where(reading.entry < 0, 0, values)


def _spread(which: Array, table: range, ones: int) -> Array | None:
    """The entries that meet a weight of one table, if for each output they are of one place."""
    met = (which >= table.start) & (which < table.stop)
    places = met[1:].reshape(-1, ones, met.shape[1])
    whole = places.all(1)
    alone = (whole.sum(0) == 1) & (places.sum((0, 1)) == ones)
    return met.astype(np.int64) if alone.all() and not met[0].any() else None


def split(nodes: Sequence[Node], flat: Array) -> dict[Node, Array]:
    """Values [points, all] of several flat nodes, each by itself."""
    result, at = {}, 0
    for node in nodes:
        result[node] = flat[:, at : at + size_of(node)]
        at += size_of(node)
    return result
