"""Counterexamples: what a refutation found, run on both sides as the reference runs it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv.equivalence import balls
from isoconv.equivalence.answer import Counterexample
from isoconv.equivalence.sides import Side
from isoconv.ops.recorder import Array
from isoconv.reference import run
from isoconv.rewriting.proof.refute import Refutation

FIT = 300
"""The most weights of the other side that are fitted; more stay 0."""


def witness(found: Refutation, side: Side, other: Side) -> Counterexample | None:
    """An input and weights of `side`, and the weights of `other` that come nearest.

    None where the refutation names no weights, or no finite results of them.
    """
    if found.weights is None or found.entries is None:
        return None
    weights = parts_of(side, found.weights[0])
    points = _probes(side, found)
    mine = results(side, points, weights)
    nearest = _fitted(other, points, mine)
    theirs = results(other, points, nearest)
    # The first input is the smallest; only a difference larger than the fit's rounding counts.
    apart = np.abs(mine - theirs).max(1)
    if not (np.isfinite(apart).all() and apart.any()):
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
        nearest,
        found.why,
    )


def _probes(side: Side, found: Refutation) -> Array:
    """The inputs that matter: nothing, and the units that the entries name, of both signs."""
    size = sum(prod(n for n in shape if n is not None) for shape in side.shapes)
    rows = {0}
    assert found.entries is not None
    for entry in found.entries:
        if entry is not None and entry[0]:
            unit = (entry[0] - 1) % size + 1
            rows |= {unit, -unit} if entry[0] > size else {unit}
    points = np.zeros((len(rows), size))
    for point, row in zip(points, sorted(rows, key=lambda r: (abs(r), r < 0)), strict=True):
        if row:
            point[abs(row) - 1] = 2.0 if row > 0 else -2.0
    return points


def parts_of(side: Side, flat: Array) -> list[Array]:
    """Flat weights as arrays, in the order in which the program reads them."""
    result, at = [], 0
    for variable in side.weights:
        size = prod(variable.shape)
        result.append(flat[at : at + size].reshape(variable.shape).astype(np.float64))
        at += size
    return result


def results(side: Side, points: Array, weights: Sequence[Array]) -> Array:
    """The outputs [points, elements] in float64."""
    graph = side.trace(side.shapes, len(points)).graph
    feeds = side.feeds(len(points), points, weights)
    outputs = run(graph, feeds, precision="float64")
    return np.concatenate([each.reshape(len(points), -1) for each in outputs], 1)


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


def _fitted(side: Side, points: Array, wanted: Array) -> list[Array]:
    """Weights under which the side comes near the wanted results at the points.

    Exact for sides linear in their weights; others start from small numbers and improve, going
    less far where results would not be finite, as with negative variances.
    """
    sizes = [prod(variable.shape) for variable in side.weights]
    flat = np.zeros(sum(sizes))
    if not 0 < len(flat) <= FIT:
        return parts_of(side, flat)
    for step in range(3):
        here = results(side, points, parts_of(side, flat))
        slopes = np.stack(
            [
                (results(side, points, parts_of(side, flat + unit)) - here).reshape(-1)
                for unit in np.eye(len(flat))
            ],
            1,
        )
        missing = (wanted - here).reshape(-1)
        if not (np.isfinite(slopes).all() and np.isfinite(missing).all()):
            break
        change = np.linalg.lstsq(slopes, missing, rcond=None)[0]
        if step == 0 and not slopes.any():
            change = np.resize([1.0, 2.0, -1.0], len(flat)) - flat
        for part in 2.0 ** -np.arange(12):
            new = np.round(flat + part * change, 6)
            if np.isfinite(results(side, points, parts_of(side, new))).all():
                flat = new
                break
    return parts_of(side, flat)


def shaped(shapes: Sequence[Any], flat: Array) -> Any:
    """A flat point in its shapes; a list where there are several."""
    ends = np.cumsum([prod(shape) for shape in shapes])
    arrays = [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
    return arrays[0] if len(arrays) == 1 else arrays
