"""How much of a form's register tiles is idle at the edges of its input.

The rows of a tile meet the same taps: outputs of a small image fall into many groups, few of which
fill tiles. Tap by tap, all outputs that meet one are a group, but their sums go to memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, product
from math import prod

from isoconv.ir.geometry import Axis

# What a row costs that stands alone, in rows of whole tiles, what a trip of a sum to memory costs,
# in products (measured on Zen 4), and what must be gained.
_ALONE, _TRIP, _WORTH = 2.3, 3, 1.05
# Lines of one task, where rows fill tiles over several of them.
_LINES = 4


def taps_pay(axes: Sequence[tuple[Axis, int, int]], summed: int, deep: int) -> bool:
    """Whether one tap after another takes less time than whole sums.

    axes: the last two spatial ones, or one, with the lengths of their inputs and outputs. summed:
    products of a tap. deep: the rows of a tile.
    """
    live = [_live(*axis) for axis in axes]
    groups = [[(len(list(group)), len(taps)) for taps, group in groupby(each)] for each in live]
    meeting = [
        [sum(tap in taps for taps in each) for tap in range(axis.taps)]
        for (axis, _, _), each in zip(axes, live, strict=True)
    ]
    if len(axes) == 1:
        groups.append([(_LINES, 1)])
        meeting.append([_LINES])
    whole = sum(
        _rows(prod(outputs), deep) * prod(taps)
        for outputs, taps in (zip(*group, strict=True) for group in product(*groups))
    )
    half = -(-deep // 2)
    apart = sum(-(-prod(outputs) // half) * half for outputs in product(*meeting))
    return bool(apart * (1 + _TRIP / summed) * _WORTH < whole)


def _live(axis: Axis, length: int, outputs: int) -> list[tuple[int, ...]]:
    """The taps that meet the input, of each output."""
    low = axis.low
    assert isinstance(low, int)
    return [
        tuple(
            tap
            for tap in range(axis.taps)
            if 0 <= output * axis.stride + tap * axis.dilation - low < length
        )
        for output in range(outputs)
    ]


def _rows(count: int, deep: int) -> float:
    """What so many rows cost that meet the same taps."""
    return count * _ALONE if count < deep else -(-count // deep) * deep
