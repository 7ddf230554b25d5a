"""Given weights: whether two sides are the same function with the weights they hold."""

from __future__ import annotations

import numpy as np

from isoconv.equivalence.answer import Counterexample, Equivalence, argument
from isoconv.equivalence.carry import WeightMap, variables
from isoconv.equivalence.fitting import results
from isoconv.equivalence.free import Free, decide_free
from isoconv.equivalence.sides import Side
from isoconv.equivalence.witness import shaped, with_bounds
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number
from isoconv.ops.recorder import Array
from isoconv.rewriting.proof.blocks import Block
from isoconv.rewriting.proof.compare import TABLE
from isoconv.rewriting.proof.field import PRIMES
from isoconv.rewriting.proof.values import needed

MIXED, MOST = 20, 4 * TABLE
"""How many inputs that name rows are run, and up to how many coefficients all are looked at."""

ULPS = 16
"""How many roundings of the dtype may stand between two weights that came from the same."""


def decide_given(a: Side, b: Side) -> Equivalence:
    """The relation of two sides that are ready, with the weights they hold."""
    return Given(a, b).decide()


class Given(Free):
    """One comparison at known sizes of two sides without free weights."""

    def _decide(self) -> Equivalence:
        found = self.comparer.compare(self.left, self.right)
        if found.equal and found.forth is not None:
            held = "the weights were taken as the binary fractions they are"
            reasons = [*self._because([found.forth])[:-1], held]
            return self._said("equal", reasons, "exact")
        return self._differ()

    def _differ(self) -> Equivalence:
        came = self._came_from()
        if came is not None:
            return came
        points = self._points()
        runs = [self._held(side, points) for side in (self.a, self.b)]
        (x, dx), (y, dy) = runs
        linear = max(self.left.degrees[1], self.right.degrees[1]) <= 1
        reason = f"not the same polynomial modulo {PRIMES[0]}"
        if linear and self._only_rounded():
            why = f"every coefficient of a is that of b up to {ULPS} roundings of the dtype"
            return self._said("rounding", [reason, why], None)
        apart = np.argwhere(np.abs(x - y) > dx + dy)
        if not len(apart):
            if linear:
                return self._said("different", [reason], None)
            open_ = "no input was found on which they differ for certain"
            return self._said("unknown", [open_, *self._not_followed()], None)
        gaps = np.abs(x - y).max(1)
        row = int(np.argmax(gaps > gaps.max() / 2))
        place = int(np.argmax(np.abs(x[row] - y[row])))
        shown = [
            shaped(side.output_shapes(side.shapes), values[row])
            for side, values in ((self.a, x), (self.b, y))
        ]
        example = Counterexample(shaped(self.a.shapes, points[row]), shown[0], shown[1], place)
        return self._said(
            "different", ["run on both, with the bounds of the errors"], None, example
        )

    def _came_from(self) -> Equivalence | None:
        """The answer where one side holds what converting the other's weights gives, bit by bit or
        but for a few roundings.
        """
        sides = [Side(list(side.layers), side.letter, False) for side in (self.a, self.b)]
        for side in sides:
            side.ready(self.a.shapes if side.letter == "a" else self.b.shapes)
        found = decide_free(*sides)
        if found.weight_map is None:
            return None
        source, target = found.weight_map.source, found.weight_map.target
        own = [variable.numpy() for variable in variables(source)]
        held = [variable.numpy() for variable in variables(target)]
        gone = found.weight_map(own)
        said = (
            f"the weights of {target.letter} are those of {source.letter}, converted and rounded "
        )
        before = "before rounding both are the same function"
        if all(map(np.array_equal, gone, held)) and found.numeric != "exact":
            return self._said(
                "equal", [f"{said}once, bit by bit; {before}", *found.reasons], "rounded"
            )
        if not all(map(_near, gone, held, _sizes(found.weight_map, own))):
            return None
        why = f"{said}up to {ULPS} times; {before}"
        return self._said("rounding", [why, *found.reasons], None)

    def _points(self) -> Array:
        """Nothing, units of both signs (or some, where there are many), and a mixed input; numbers
        of rows, where rows of tables are looked up.
        """
        count = self.left.inputs
        tables = [node for each in (self.left, self.right) for node in _tables(each)]
        if tables:
            least = min(number(node.inputs[0].shape[0]) for node in tables)
            return self.comparer.generator.integers(0, least, (MIXED, count)).astype(float)
        few = max(1, min(count, self._at_once()))
        chosen = np.unique(np.linspace(0, count - 1, few).astype(int))
        unit = np.zeros((len(chosen), count))
        unit[np.arange(len(chosen)), chosen] = 1.0
        mixed = self.comparer.generator.integers(-3, 4, (4, count)).astype(float)
        return np.concatenate([np.zeros((1, count)), unit, -unit, mixed])

    def _at_once(self) -> int:
        """How many inputs are run together."""
        return TABLE // 8 // max(self.left.outputs, 1)

    def _held(self, side: Side, points: Array) -> tuple[Array, Array]:
        arrays = [variable.array for variable in side.weights]
        return with_bounds(side, points, arrays)

    def _only_rounded(self) -> bool:
        """Whether each coefficient differs by a few roundings only, as all inputs show."""
        count, few = self.left.inputs, max(1, self._at_once())
        if count * self.left.outputs > MOST:
            return False
        kinds = {each.dtype for each in (*self.a.weights, *self.b.weights)} or {"float32"}
        rounding = max(float(np.finfo(kind).eps) for kind in kinds)
        for first in range(-1, count, few):
            chosen = np.arange(first, min(first + few, count))
            points = np.zeros((len(chosen), count))
            # The first point is no input at all.
            points[chosen >= 0, chosen[chosen >= 0]] = 1.0
            x, y, *sizes = (
                results(side, np.abs(points), [change(v.array) for v in side.weights])
                for change in (np.asarray, np.abs)
                for side in (self.a, self.b)
            )
            if not (np.abs(x - y) <= ULPS * rounding * np.maximum(*map(np.abs, sizes))).all():
                return False
        return True

    def _said(
        self,
        relation: str,
        reasons: list[str],
        numeric: str | None,
        example: Counterexample | None = None,
    ) -> Equivalence:
        said = [*self.reasons, *reasons, *([f"numeric class: {numeric}"] if numeric else [])]
        sides = (self.a.title, self.b.title)
        proof = argument(relation, *sides, said)
        return Equivalence(relation, proof, example, None, numeric, tuple(said), *sides)


def _tables(block: Block) -> list[Node]:
    return [node for node in needed([block.end], {}) if node.op == "gather"]


def _sizes(way: WeightMap, weights: list[Array]) -> list[Array]:
    """How large what is summed up in each new weight may be: also where signs cancel it."""
    positive = [np.abs(each) for each in weights]
    signs = 1 - 2 * np.eye(len(weights) + 1, len(weights))
    found = [way([sign * each for sign, each in zip(row, positive, strict=True)]) for row in signs]
    sizes = [np.fmax.reduce(np.abs(each)) for each in zip(*found, strict=True)]
    # Weights of float64 are as exact as the map itself, whose numbers are differences of others.
    largest = max((each.max(initial=0) for each in sizes), default=0.0)
    return [np.maximum(each, largest * (each.dtype == np.float64)) for each in sizes]


def _near(new: Array, held: Array, size: Array) -> bool:
    """Whether numbers are a few roundings of their dtype apart; size: of what they are sums of."""
    bound = ULPS * float(np.finfo(new.dtype).eps) * np.maximum(np.abs(size), np.abs(new))
    apart = np.abs(new.astype(np.float64) - held)
    return bool(np.isfinite(bound).all() and (apart <= bound).all())
