"""Given weights: whether two sides are the same function with the weights they hold."""

from __future__ import annotations

import numpy as np

from isoconv.equivalence.answer import Counterexample, Equivalence, argument
from isoconv.equivalence.carry import variables
from isoconv.equivalence.free import Free, decide_free
from isoconv.equivalence.sides import Side
from isoconv.equivalence.witness import results, shaped, with_bounds
from isoconv.ops.recorder import Array
from isoconv.rewriting.proof.compare import TABLE
from isoconv.rewriting.proof.field import PRIMES

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
        points = self._points()
        runs = [self._held(side, points) for side in (self.a, self.b)]
        (x, dx), (y, dy) = runs
        linear = max(self.left.degrees[1], self.right.degrees[1]) <= 1
        if linear:
            came = self._came_from()
            if came is not None:
                return came
        reason = f"not the same polynomial modulo {PRIMES[0]}"
        if linear and self._only_rounded(points, x, y):
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
        """The answer where one side holds just what converting the other's weights gives."""
        sides = [Side(list(side.layers), side.letter, False) for side in (self.a, self.b)]
        for side in sides:
            side.ready(self.a.shapes if side.letter == "a" else self.b.shapes)
        found = decide_free(*sides)
        if found.weight_map is None or found.numeric == "exact":
            return None
        source, target = found.weight_map.source, found.weight_map.target
        gone = found.weight_map([variable.numpy() for variable in variables(source)])
        pairs = zip(gone, variables(target), strict=True)
        if not all(np.array_equal(new, variable.numpy()) for new, variable in pairs):
            return None
        came = (
            f"the weights of {target.letter} are those of {source.letter}, converted and rounded "
            "once, bit by bit; before rounding both are the same function"
        )
        return self._said("equal", [came, *found.reasons], "rounded")

    def _points(self) -> Array:
        """Nothing, units of both signs (or some, where there are many), and a mixed input."""
        count = self.left.inputs
        few = max(1, min(count, TABLE // 8 // max(self.left.outputs, 1)))
        chosen = np.unique(np.linspace(0, count - 1, few).astype(int))
        unit = np.zeros((len(chosen), count))
        unit[np.arange(len(chosen)), chosen] = 1.0
        mixed = self.comparer.generator.integers(-3, 4, (4, count)).astype(float)
        return np.concatenate([np.zeros((1, count)), unit, -unit, mixed])

    def _held(self, side: Side, points: Array) -> tuple[Array, Array]:
        arrays = [variable.array for variable in side.weights]
        return with_bounds(side, points, arrays)

    def _only_rounded(self, points: Array, x: Array, y: Array) -> bool:
        """Whether all units were run, and each coefficient differs by a few roundings only."""
        if len(points) < 2 * self.left.inputs + 1:
            return False
        sizes = [np.abs(self._sizes(side, points)) for side in (self.a, self.b)]
        kinds = {each.dtype for each in (*self.a.weights, *self.b.weights)} or {"float32"}
        rounding = max(float(np.finfo(kind).eps) for kind in kinds)
        return bool((np.abs(x - y) <= ULPS * rounding * np.maximum(*sizes)).all())

    def _sizes(self, side: Side, points: Array) -> Array:
        """What the results could be at most: with all numbers made positive."""
        arrays = [np.abs(variable.array) for variable in side.weights]
        return results(side, np.abs(points), arrays)

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
