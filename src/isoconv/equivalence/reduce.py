"""Large inputs as small ones: sizes on which everything repeats, brought down by whole periods."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from isoconv.equivalence.answer import Counterexample, Equivalence
from isoconv.equivalence.fitting import results
from isoconv.equivalence.free import Free
from isoconv.equivalence.lengths import bounds
from isoconv.equivalence.open_sizes import with_reason
from isoconv.equivalence.sides import Shape, Side
from isoconv.equivalence.witness import shaped
from isoconv.errors import ArgumentError, InternalError, RuntimeCheckError
from isoconv.ops.recorder import Array
from isoconv.rewriting.proof.values import NotUnderstoodError

LARGE = 1500
"""Inputs or outputs of more elements are brought down."""


def decide_reduced(a: Side, b: Side) -> Equivalence | None:
    """The answer found at smaller sizes that decide the given ones; None where there are none."""
    given = a.shapes, b.shapes
    if len(a.shapes) != 1 or len(b.shapes) != 1 or _size(a) <= LARGE >= _size(b):
        return None
    places = [[j for j, n in enumerate(side.shapes[0]) if n != 1] for side in (a, b)]
    wide = [[side.shapes[0][j] for j in own] for side, own in zip((a, b), places, strict=True)]
    if wide[0] != wide[1]:
        return None
    smaller: dict[int, int] = {}
    said = ""
    for at, size in enumerate(wide[0]):
        found = _smaller(a, b, [own[at] for own in places], int(size or 1))
        if found is not None:
            smaller[at], said = found
    try:
        for side, own in zip((a, b), places, strict=True):
            shape = list(side.shapes[0])
            for at, size in smaller.items():
                shape[own[at]] = size
            side.trace([tuple(shape)], 1)
            side.shapes = [tuple(shape)]
        answer = Free(a, b).decide() if smaller else None
    except _REFUSED:
        answer = None
    small = a.shapes
    a.shapes, b.shapes = given
    if answer is None:
        return None
    example = answer.counterexample
    if example is not None:
        answer = replace(answer, counterexample=_enlarged(a, b, example, small[0]))
    return with_reason(answer, f"decided at the smaller input {small[0]}: {said}")


_REFUSED = (ArgumentError, InternalError, NotUnderstoodError, RuntimeCheckError)


def _size(side: Side) -> int:
    outputs = [prod(shape) for shape in side.output_shapes(side.shapes)]
    return max(prod(n or 1 for n in side.shapes[0]), *outputs)


def _smaller(a: Side, b: Side, axes: list[int], size: int) -> tuple[int, str] | None:
    """A smaller size of one axis of both sides on which the same holds, and why."""
    try:
        for side, axis in zip((a, b), axes, strict=True):
            shape: list[int | None] = list(side.shapes[0])
            shape[axis] = None
            side.open_shapes = [tuple(shape)]
        (found,) = bounds([a, b])
    except _REFUSED:
        return None
    new = found.like(size)
    if new >= size or found.repeats > 1:
        return None
    return new, f"beyond {found.most} everything repeats with the period {found.period}"


def _enlarged(a: Side, b: Side, example: Counterexample, small: Shape) -> Counterexample | None:
    """The example at the sizes that were asked for, run on both; None if it shows nothing there."""
    if example.place is None or example.weights is None or example.other_weights is None:
        return None
    point = np.zeros([n or 1 for n in a.shapes[0]])
    spots = np.argwhere(example.input)
    for spot in spots:
        sizes = zip(spot, small, point.shape, strict=True)
        # Whatever stands in the second half of the smaller axis keeps its distance from the end.
        moved = tuple(i if 2 * i < (n or 1) else i + m - (n or 1) for i, n, m in sizes)
        point[moved] = example.input[tuple(spot)]
    held = {example.side: example.weights}
    values = [_run(side, point, held.get(side.letter, example.other_weights)) for side in (a, b)]
    gaps = values[0] - values[1]
    place = int(np.argmax(np.abs(gaps, out=gaps)))
    if gaps[place] == 0:
        return None
    shown: list[Any] = [
        shaped(side.output_shapes(side.shapes), each)
        for side, each in zip((a, b), values, strict=True)
    ]
    return replace(example, input=point, a=shown[0], b=shown[1], place=place)


def _run(side: Side, point: Array, weights: list[Array]) -> Array:
    found: Array = results(side, point.reshape(1, -1), weights)[0]
    return found
