"""How weights of one block become those of another: what is found, and from what it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoconv.ir.graph import Node
from isoconv.rewriting.proof.blocks import Block
from isoconv.rewriting.proof.field import Array

SYNTAX = "the same normal form: the index relations agree axis by axis"
POINTS = "equal at random points modulo two primes"
WEIGHTS = "each weight meets the same pairs of input and output (weight gradients at random points)"
SOLVED = "the table of (input, output) pairs fits the weights of the other"
SHARED = "a layer used several times is as many layers that hold the same weights"
CORNER = "the weights stand in the corners of larger ones, zeros around them"

SOME = 30
"""How many weights are looked at before all are."""


@dataclass(frozen=True)
class Reading:
    """Where each weight of `target` alone decides what the table holds: an entry, -1 for none.

    The entry in the table of `source`, less what `target` has there without weights, over what
    multiplies the weight there, is the weight. inputs: those the rows of the table are for.
    """

    source: Block
    target: Block
    entry: Array
    inputs: Array


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
    """What multiplies each weight of a block at some point, also in order; and the rest."""

    factors: Array
    ordered: Array
    rest: int

    def may_be_within(self, other: Met) -> bool:
        """Whether some of the factors, if they are not 0, are among the other's."""
        some = self.ordered[:: len(self.ordered) // SOME + 1]
        if not len(other.ordered):
            return not some.any()
        at = np.minimum(np.searchsorted(other.ordered, some), len(other.ordered) - 1)
        return bool(((other.ordered[at] == some) | (some == 0)).all())


def same(a: Block, b: Block, reason: str) -> Outcome:
    index = np.arange(a.parameters)
    return Outcome(
        Map(a.order, b.order, reason, True, select=index),
        Map(b.order, a.order, reason, True, select=index),
    )


def selection(a: Block, b: Block, left: Array, right: Array) -> Map | None:
    """Each weight of a as the weight of b that meets the same; None where one has no such.

    left, right: what each weight of a and of b meets, 0 for nothing. Weights that meet the same
    are taken in order.
    """
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
