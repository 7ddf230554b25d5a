"""Counterexamples: what a refutation found, run on both sides on floats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv.equivalence import balls
from isoconv.equivalence.answer import Counterexample
from isoconv.equivalence.fitting import fitted, parts_of, results
from isoconv.equivalence.sides import Side
from isoconv.ops.recorder import Array
from isoconv.rewriting.proof.refute import Refutation

CLEAR = 1e-4
"""The part of the largest result by which two results must differ."""

WIDTHS = (1, 3, 12, 36)
"""How many neighbours are looked at where a refutation names no input; the next where the other
side can be fitted to all of them.
"""


def witness(found: Refutation, side: Side, other: Side, linear: bool) -> Counterexample | None:
    """An input and weights of `side`, and the weights of `other` fitted to them.

    linear: whether the results of the other side are linear in its weights. None where there are
    no finite results, or no difference that is larger than rounding.
    """
    weights = parts_of(side, found.weights[0])
    for points in _probes(side, found):
        mine = results(side, points, weights)
        fit = fitted(other, linear, points, mine)
        theirs = results(other, points, fit)
        # The first input is the smallest; only a difference larger than the fit's rounding counts.
        apart = np.abs(mine - theirs).max(1)
        if not np.isfinite(apart).all():
            return None
        if apart.max() > CLEAR * np.abs(mine).max():
            break
    else:
        return None
    row = int(np.argmax(apart > apart.max() / 2))
    place = int(np.argmax(np.abs(mine[row] - theirs[row])))
    shown = {
        each.letter: shaped(each.output_shapes(each.shapes), values[row])
        for each, values in ((side, mine), (other, theirs))
    }
    return Counterexample(
        shaped(side.shapes, points[row]),
        shown["a"],
        shown["b"],
        place,
        side.letter,
        weights,
        fit,
        found.why,
    )


def _probes(side: Side, found: Refutation) -> Iterator[Array]:
    """The inputs that matter, nothing first: the one that was found; the units that the entries
    name, of both signs; or more and more neighbours in the middle.
    """
    if found.point is not None:
        yield np.stack([np.zeros(len(found.point)), found.point])
        return
    size = sum(prod(n for n in shape if n is not None) for shape in side.shapes)
    if found.entries is None:
        for width in WIDTHS:
            first = max(0, (size - width) // 2)
            yield _units(size, range(first + 1, min(size, first + width) + 1))
        return
    rows = set()
    for entry in found.entries:
        if entry is not None and entry[0]:
            unit = (entry[0] - 1) % size + 1
            rows |= {unit, -unit} if entry[0] > size else {unit}
    yield _units(size, sorted(rows, key=lambda r: (abs(r), r < 0)))


def _units(size: int, places: Sequence[int]) -> Array:
    """Nothing, and 2 at each place, counted from 1, or -2 where it is negative."""
    points = np.zeros((len(places) + 1, size))
    for point, place in zip(points[1:], places, strict=True):
        point[abs(place) - 1] = 2.0 if place > 0 else -2.0
    return points


def with_bounds(side: Side, points: Array, weights: Sequence[Array]) -> tuple[Array, Array]:
    """The outputs [points, elements] and how far each may be off; any distance if not known."""
    graph = side.trace(side.shapes, len(points)).graph
    try:
        pairs = balls.run(graph, side.feeds(len(points), points, weights))
    except balls.UndecidedError:
        values = results(side, points, weights)
        return values, np.full(values.shape, np.inf)
    each = [[part.reshape(len(points), -1) for part in pair] for pair in pairs]
    return np.concatenate([m for m, _ in each], 1), np.concatenate([r for _, r in each], 1)


def shaped(shapes: Sequence[Any], flat: Array) -> Any:
    """A flat point in its shapes; a list where there are several."""
    ends = np.cumsum([prod(shape) for shape in shapes])
    arrays = [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
    return arrays[0] if len(arrays) == 1 else arrays
