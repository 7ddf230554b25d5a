"""Free weights: which functions of one side are functions of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isoconv.equivalence import balls
from isoconv.equivalence.answer import Counterexample, Equivalence, argument
from isoconv.equivalence.carry import WeightMap
from isoconv.equivalence.sides import Shape, Side
from isoconv.equivalence.witness import with_bounds, witness
from isoconv.gradient import vjp
from isoconv.ir.graph import Node, sort
from isoconv.rewriting.proof import sharing
from isoconv.rewriting.proof.blocks import Block
from isoconv.rewriting.proof.compare import Comparer
from isoconv.rewriting.proof.field import PRIMES, Array
from isoconv.rewriting.proof.maps import EXACT, Map, Outcome
from isoconv.rewriting.proof.normal import Views
from isoconv.rewriting.proof.refute import Refutation, Refuter
from isoconv.rewriting.proof.search import Search, Way, embedding, holds
from isoconv.rewriting.proof.values import NotUnderstoodError


def decide_free(a: Side, b: Side) -> Equivalence:
    """The relation of two sides that are ready, for all weights."""
    return Free(a, b).decide()


class Free:
    """One comparison at known sizes."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.left, fixed, normal = a.block(a.shapes)
        self.right, others, other_normal = b.block(b.shapes)
        self.comparer = Comparer(vjp, {**fixed, **others})
        self.titles = list({**normal.used, **other_normal.used})
        self.reasons = shapes_said(a, b)
        self.first: Refutation | None = None
        self.second: Refutation | None = None

    def is_plain(self) -> bool:
        """Whether the normal forms or the sizes of the results already decide."""
        same = self.left.canonical is self.right.canonical
        return same or self.left.outputs != self.right.outputs

    def decide(self) -> Equivalence:
        if self.left.outputs != self.right.outputs:
            return self._of_other_size()
        try:
            # What is no number where a side is run is near no other, and warns of nothing.
            with np.errstate(all="ignore"):
                return self._decide()
        except NotUnderstoodError as error:
            reason = f"not understood: {error}"
            return self._answer("unknown", [reason])

    def _decide(self) -> Equivalence:
        searches = [Search(self.comparer, self.left, self.right)]
        maps = None
        if self.left.canonical is not self.right.canonical:
            maps = self._linear()
            if maps is None:
                self._refute_soon()
            if self.first is not None and self.second is not None:
                return self._refuted()
        maps = maps or self._equal(searches[0])
        for views in self._other_views():
            if maps is None:
                left, right = (side.block(side.shapes, views)[0] for side in (self.a, self.b))
                searches.append(Search(self.comparer, left, right, views))
                maps = self._equal(searches[-1])
        if maps is not None:
            return self._answer("equal", self._because(maps), self._map(self.a, self.b, maps))
        forth, back = self._within(searches[0])
        for search in searches[1:]:
            if forth is None or back is None:
                others = self._within(search)
                forth, back = forth or others[0], back or others[1]
        if forth is None or back is None:
            others = self._within_unshared()
            forth, back = forth or others[0], back or others[1]
        shapes = {
            node: variable.shape
            for side, block in ((self.a, self.left), (self.b, self.right))
            for node, variable in zip(block.weights, side.weights, strict=True)
        }
        if self.first is None:
            forth = forth or embedding(self.comparer, self.left, self.right, shapes)
        if self.second is None:
            back = back or embedding(self.comparer, self.right, self.left, shapes)
        if forth is None and back is None:
            return self._refuted()
        return self._one_way(forth, back)

    def _linear(self) -> list[Map] | None:
        """The map from a to b where both are linear in as many weights, if it is one to one."""
        if self.left.parameters != self.right.parameters or not self.left.parameters:
            return None
        if max(self.left.degrees[0], self.right.degrees[0]) > 1:
            return None
        found = self.comparer.by_gradients(self.left, self.right)
        if not found.equal or found.forth is None:
            return None
        return [found.forth] if self._holds(self.left, self.right, [found.forth]) else None

    def _other_views(self) -> list[Views]:
        """Where else views may stand, where that can matter."""
        met = {node.op for each in (self.left, self.right) for node in _nodes(each)}
        ways: list[Views] = ["sink"] if "transpose" in met else []
        return [*ways, "stay"] if "reduce_max" in met else ways

    def _refute_soon(self) -> None:
        """Looks at a few inputs, and lets no maps be looked for where there are none."""
        self.first, self.second = (
            refuter.refute_by_ends() or refuter.refute_by_count()
            for refuter in map(self._refuter, (self.a, self.b))
        )
        self.comparer.sought = self.first is None, self.second is None

    def _refuter(self, side: Side) -> Refuter:
        """Refutes that every function of the side is one of the other."""
        left, right = (self.left, self._run(self.a)), (self.right, self._run(self.b))
        (one, run), (other, run_other) = (left, right) if side is self.a else (right, left)
        return Refuter(self.comparer, one, other, run, run_other)

    def _equal(self, search: Search) -> list[Map] | None:
        """The maps from a to b where every block has one that is one to one."""
        if self.left.parameters != self.right.parameters or not all(self.comparer.sought):
            return None
        way = search.way(lambda found: found.equal, equal=True)
        maps = None if way is None else way.forth()
        return maps if self._holds(self.left, self.right, maps) else None

    def carried(self, found: WeightMap) -> bool:
        """Whether maps found at other sizes hold at these as well."""
        if self.left.outputs != self.right.outputs:
            return False
        ends = (self.left, self.right) if found.source is self.a else (self.right, self.left)
        return holds(self.comparer, *ends, list(found.maps))

    def _within(
        self, search: Search, copies: tuple[sharing.Copies, sharing.Copies] = ({}, {})
    ) -> tuple[list[Map] | None, list[Map] | None]:
        """The maps from a to b and from b to a, where every block has one.

        copies: of weights of a and of b, which the blocks have instead of them.
        """
        forth = back = None
        sought = self.comparer.sought
        if sought[0]:
            self.comparer.sought = True, False
            forth = self._way(search, search.b.block, lambda found: found.forth is not None)
        if sought[1]:
            self.comparer.sought = False, True
            back = self._way(search, search.a.block, lambda found: found.back is not None)
        self.comparer.sought = sought
        lent = [sharing.handed_out(each) for each in copies]
        kept = [sharing.taken_back(each) for each in copies]
        maps = None if forth is None else [*lent[0], *forth.forth(), *kept[1]]
        others = None if back is None else [*lent[1], *back.back(), *kept[0]]
        return (
            maps if self._holds(self.left, self.right, maps) else None,
            others if self._holds(self.right, self.left, others) else None,
        )

    def _holds(self, a: Block, b: Block, maps: list[Map] | None) -> bool:
        """Whether maps, if there are any, make every a a b."""
        if maps is None or all(each.reason in EXACT for each in maps):
            return maps is not None
        return holds(self.comparer, a, b, maps)

    def _way(self, search: Search, target: Block, fits: Callable[[Outcome], bool]) -> Way | None:
        """A way to the target on which all fits; in one step where its weights stand alone."""
        if (
            target.degrees[0] <= 1
            and max(search.a.block.degrees[1], search.b.block.degrees[1]) <= 1
        ):
            whole = search.whole()
            if whole is not None and fits(whole.steps[0][-1]):
                return whole
            if search.excluded()[target is search.a.block]:
                return None
        return search.way(fits)

    def _within_unshared(self) -> tuple[list[Map] | None, list[Map] | None]:
        """The same with layers that are used several times as several layers."""
        (left, mine), (right, theirs) = map(sharing.unshared, (self.left, self.right))
        if not mine and not theirs:
            return None, None
        return self._within(Search(self.comparer, left, right), (mine, theirs))

    def _one_way(self, forth: list[Map] | None, back: list[Map] | None) -> Equivalence:
        fewer = self.left.parameters <= self.right.parameters
        if forth is not None and (back is None or fewer):
            relation, maps, source, target = "a_within_b", forth, self.a, self.b
            found = self.second
        else:
            assert back is not None
            relation, maps, source, target = "b_within_a", back, self.b, self.a
            found = self.first
        reasons = self._because(maps)
        example = None
        if forth is not None and back is not None:
            reasons.append(
                "the other way there is a map too, but none that is one to one: one side has "
                "weights that it does not need"
            )
        else:
            found = found or self._refuter(target).refute()
            if found is not None:
                example = self._example(found, target)
                reasons.append(f"not the other way: of every {source.letter}, {found.why}")
            else:
                reasons.append("whether the other way holds as well is not known")
        return self._answer(relation, reasons, self._map(source, target, maps), example)

    def _refuted(self) -> Equivalence:
        one, other = self._refuter(self.a), self._refuter(self.b)
        first = self.first or one.refute_by_values() or one.refute_by_few()
        second = self.second or other.refute_by_values() or other.refute_by_few()
        if first is None and second is None:
            first, second = one.refute_by_all(), other.refute_by_all()
        reasons = []
        for found, letter in ((first, "b"), (second, "a")):
            if found is not None:
                reasons.append(f"of every {letter}, {found.why}; not so of the other side")
        if not reasons:
            reason = (
                "no map between the weights was found, and nothing that one side does and the "
                "other cannot do"
            )
            return self._answer("unknown", [reason, *self._not_followed()])
        for found, one_letter, other_letter in ((first, "a", "b"), (second, "b", "a")):
            if found is None:
                reasons.append(f"whether every {one_letter} is a {other_letter} is not known")
        example = None if first is None else self._example(first, self.a)
        if example is None and second is not None:
            example = self._example(second, self.b)
        return self._answer("different", reasons, None, example)

    def _example(self, found: Refutation, side: Side) -> Counterexample | None:
        """Where some function of the side is seen to be none of the other's."""
        other, block = (self.b, self.right) if side is self.a else (self.a, self.left)
        return witness(found, side, other, block.degrees[0] <= 1)

    def _not_followed(self) -> list[str]:
        """The activations that are open functions here."""
        names = set()
        for block in (self.left, self.right):
            if block.degrees[1] == float("inf"):
                names |= {n.op for n in _nodes(block) if n.op in balls.STEADY | set(balls.SLOPES)}
        return [
            f"{', '.join(sorted(names))} were taken as functions of which nothing is known"
        ] * bool(names)

    def _of_other_size(self) -> Equivalence:
        shapes = [side.output_shapes(side.shapes) for side in (self.a, self.b)]
        reason = f"the outputs have different sizes: {_list(shapes[0])} and {_list(shapes[1])}"
        every: list[Sequence[Shape]] = [self.a.shapes, *shapes]
        zeros = [[np.zeros([n or 1 for n in shape]) for shape in each] for each in every]
        inputs, left, right = (each[0] if len(each) == 1 else each for each in zeros)
        example = Counterexample(inputs, left, right)
        return self._answer("different", [reason], None, example)

    # -- words ---------------------------------------------------------------------------------

    def _because(self, maps: Sequence[Map]) -> list[str]:
        reasons = list(dict.fromkeys(way.reason for way in maps))
        said = [f"rule: {title}" for title in self.titles]
        if EXACT.issuperset(reasons):
            return [*said, *(f"decided exactly: {reason}" for reason in reasons)]
        bound = f"checked with those weights at random points modulo {PRIMES[0]} and {PRIMES[1]}"
        return [*said, *(f"decided by: {reason}" for reason in reasons), bound]

    def _map(self, source: Side, target: Side, maps: Sequence[Map]) -> WeightMap:
        names = {"a": self.left.weights, "b": self.right.weights}
        return WeightMap(source, target, tuple(maps), (names[source.letter], names[target.letter]))

    def _answer(
        self,
        relation: str,
        reasons: Sequence[str],
        weight_map: WeightMap | None = None,
        example: Counterexample | None = None,
    ) -> Equivalence:
        numeric = None
        if weight_map is not None:
            folds = any(
                way.read is not None and way.read.source.degrees[0] > 1 for way in weight_map.maps
            )
            numeric = "folding" if folds else "exact"
        said = [*self.reasons, *reasons]
        if numeric:
            said.append(f"numeric class: {numeric}")
        sides = (self.a.title, self.b.title)
        proof = argument(relation, *sides, said)
        return Equivalence(relation, proof, example, weight_map, numeric, tuple(said), *sides)

    def _run(self, side: Side) -> Any:
        def run(points: Array, weights: Array) -> tuple[Array, Array]:
            ends = np.cumsum([_size(each.shape) for each in side.weights])
            return with_bounds(side, points, np.split(weights[0], ends)[: len(side.weights)])

        return run


def shapes_said(a: Side, b: Side) -> list[str]:
    """What is identified with what, where shapes differ."""
    said = []
    if a.shapes != b.shapes:
        said.append(f"inputs {_list(a.shapes)} and {_list(b.shapes)} identified in row-major order")
    outputs = [side.output_shapes(side.shapes) for side in (a, b)]
    if outputs[0] != outputs[1] and [*map(_size, outputs[0])] == [*map(_size, outputs[1])]:
        said.append(
            f"outputs {_list(outputs[0])} and {_list(outputs[1])} identified in row-major order"
        )
    return said


def _list(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes))


def _size(shape: Any) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _nodes(block: Block) -> list[Node]:
    return sort([block.end])


__all__ = ["Free", "decide_free", "shapes_said"]
