"""How weights of one block become those of another: what is found, and from what it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isoconv.ir.graph import Node
from isoconv.rewriting.proof.blocks import Block
from isoconv.rewriting.proof.field import Array

SYNTAX = "the same normal form: the index relations agree axis by axis"
POINTS = "equal at random points modulo two primes"
WEIGHTS = "each weight meets the same pairs of input and output (weight gradients at random points)"
SOLVED = "the table of (input, output) pairs fits the weights of the other"
AFFINE = "every sum of the inputs times weights, plus a bias, is such a Dense"
SHARED = "a layer used several times is as many layers that hold the same weights"
ONCE = "each place looks up one row, so a constant may stand in all rows of one table"
CORNER = "the weights stand in the corners of larger ones, zeros around them"

EXACT = frozenset([SYNTAX, AFFINE])
"""Reasons that need no check at random points."""

SOME = 30
"""How many weights are looked at before all are."""


@dataclass(frozen=True)
class Reading:
    """Where each weight of `target` alone decides what the table holds: an entry, -1 for none.

    The entry in the table of `source`, less what `target` has there without weights, over what
    multiplies the weight there, is the weight. inputs: those the rows of the table are for.
    based: the weights to which what the source has for no input at that output is added; None
    for none.
    """

    source: Block
    target: Block
    entry: Array
    inputs: Array
    based: Array | None = None


def reading_of(
    source: Block, target: Block, spot: Array, inputs: Array, based: Array | None = None
) -> Reading:
    """A reading from those rows of the table that are read, `spot` being places in all rows."""
    rows, outputs = np.divmod(spot, target.outputs)
    read = np.unique(rows[(spot >= 0) & (rows > 0)])
    new = np.searchsorted(read, rows) + (rows > 0)
    entry = np.where(spot < 0, -1, new * target.outputs + outputs)
    return Reading(source, target, entry, inputs[read - 1], based)


@dataclass(frozen=True)
class Map:
    """How the weights of one block give those of another.

    sources, targets: the weights, as flat nodes. select: for each target element the source
    element, -1 for zero; or read: where it is found. one_to_one: whether every weight of the
    target comes from exactly one of the source.
    """

    sources: tuple[Node, ...]
    targets: tuple[Node, ...]
    reason: str
    one_to_one: bool
    select: Array | None = None
    read: Reading | None = None


@dataclass(frozen=True)
class Outcome:
    """The maps found from a to b and from b to a."""

    forth: Map | None = None
    back: Map | None = None

    @property
    def equal(self) -> bool:
        return self.forth is not None and self.back is not None and self.forth.one_to_one


@dataclass(frozen=True)
class Met:
    """What multiplies each weight of a block at some point; and the rest."""

    factors: Array
    rest: int

    @cached_property
    def ordered(self) -> Array:
        return np.sort(self.factors)

    def may_be_within(self, other: Met) -> bool:
        """Whether some of the factors, if they are not 0, are among the other's."""
        places = np.arange(0, len(self.factors), len(self.factors) // SOME + 1)
        some = self.factors[places]
        if not len(other.factors):
            return not some.any()
        for skip in (0, len(other.factors) - len(self.factors)):
            at = np.clip(places + skip, 0, len(other.factors) - 1)
            some = np.where(some == other.factors[at], 0, some)
        if not some.any():
            return True
        some = some[some != 0]
        at = np.minimum(np.searchsorted(other.ordered, some), len(other.ordered) - 1)
        return bool((other.ordered[at] == some).all())


def same(a: Block, b: Block, reason: str) -> Outcome:
    index = np.arange(a.parameters)
    return Outcome(
        Map(a.order, b.order, reason, True, select=index),
        Map(b.order, a.order, reason, True, select=index),
    )


def selection(a: Block, b: Block, left: Array, right: Array) -> Map | None:
    """Each weight of a as the weight of b that meets the same; None where one has no such.

    left, right: what each weight of a and of b meets, 0 for nothing. Weights that meet the same
    are taken in order, which is soon done where all of one side stand together on the other.
    """
    count, extra = min(len(left), len(right)), len(left) - len(right)
    for skip in (0, abs(extra)):
        i, j = skip * (extra > 0), skip * (extra < 0)
        if np.array_equal(left[i : i + count], right[j : j + count]):
            if left[:i].any() or left[i + count :].any():
                return None
            select = np.full(len(right), -1)
            select[j : j + count] = i + np.arange(count)
            return Map(a.order, b.order, WEIGHTS, extra == 0, select=select)
    keys, which = np.unique(np.concatenate([left, right]), return_inverse=True)
    mine, theirs = which[: len(left)], which[len(left) :]
    counts = [np.bincount(each, minlength=len(keys)) for each in (mine, theirs)]
    short = counts[0] > counts[1]
    if (keys[short] != 0).any():
        return None
    orders = [np.argsort(each, kind="stable") for each in (mine, theirs)]
    firsts = [np.cumsum(each) - each for each in counts]
    turn = np.arange(len(left)) - firsts[0][mine[orders[0]]]
    fits = turn < counts[1][mine[orders[0]]]
    places = firsts[1][mine[orders[0]]][fits] + turn[fits]
    select = np.full(len(right), -1)
    select[orders[1][places]] = orders[0][fits]
    whole = not short.any() and len(left) == len(right)
    return Map(a.order, b.order, WEIGHTS, whole, select=select)
