"""Which cells of a stage are shown: all of a small one, of a large one those around an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from isoconv.explaining.facts import AxisFacts
from isoconv.explaining.stages import Stage, axis_meets

# Cells across and down, of planes beside and below each other together: at most, and how many of
# what is more.
_ACROSS, _DOWN = (24, 16), (14, 8)


@dataclass(frozen=True)
class Crop:
    """inputs: of each axis the positions shown, absent ones around and between included. channels,
    outputs, filters: those shown. whole: the same where nothing is left out.
    """

    inputs: tuple[range, ...]
    channels: range
    outputs: tuple[range, ...]
    filters: range
    whole_inputs: tuple[range, ...]


def crop(stage: Stage, place: Sequence[int], filter: int) -> Crop:
    """What to show so that an output and what it reads are seen."""
    facts = stage.facts
    whole = tuple(_extent(axis) for axis in stage.axes)
    counts = _fitted(
        [facts.channels, *map(len, whole)], [1, *(axis.span + 1 for axis in stage.axes)]
    )
    inputs = tuple(
        _from(each, min(at for at, _ in axis_meets(axis, here)), count)
        for each, axis, here, count in zip(whole, stage.axes, place, counts[1:], strict=True)
    )
    first = stage.channels_of(filter).start
    counts_out = _fitted([facts.filters, *(axis.output for axis in stage.axes)], None)
    outputs = tuple(
        _outputs(axis, seen, here, count)
        for axis, seen, here, count in zip(stage.axes, inputs, place, counts_out[1:], strict=True)
    )
    return Crop(
        inputs,
        _from(range(facts.channels), first, counts[0]),
        outputs,
        _from(range(facts.filters), filter, counts_out[0]),
        whole,
    )


def _extent(axis: AxisFacts) -> range:
    """All positions that hold an input, or that a window reads."""
    apart = axis.stride if axis.transposed else 1
    ends = [0, (axis.length - 1) * apart]
    for output in (0, axis.output - 1):
        ends += [at for at, _ in axis_meets(axis, output)]
    return range(min(ends), max(ends) + 1)


def _fitted(counts: Sequence[int], least: Sequence[int] | None) -> list[int]:
    """How many cells of each axis fit on the page; the first axis is that of channels.

    least: fewer only if it must be.
    """
    found, floors = list(counts), least or [1] * len(counts)
    for parity, (fit, most) in enumerate((_ACROSS, _DOWN)):
        mine = [i for i in range(len(found)) if (len(found) - 1 - i) % 2 == parity]
        if prod(found[i] for i in mine) <= fit:
            continue
        while prod(found[i] for i in mine) > most:
            above = [i for i in mine if found[i] > floors[i]] or mine
            widest = max(above, key=lambda i: found[i])
            found[widest] -= 1
    return found


def _from(whole: range, start: int, count: int) -> range:
    """So many positions: all, or those from `start` on, and before it where the end is reached."""
    if count >= len(whole):
        return whole
    first = max(whole.start, min(start, whole.stop - count))
    return range(first, first + count)


def _outputs(axis: AxisFacts, seen: range, place: int, count: int) -> range:
    """The outputs shown: `place`, and those whose windows are seen."""
    inside = [
        output
        for output in range(axis.output)
        if output == place or all(at in seen for at, _ in axis_meets(axis, output))
    ]
    first = place
    while first - 1 in inside:
        first -= 1
    last = place
    while last + 1 in inside:
        last += 1
    return _from(range(first, last + 1), place, count)
