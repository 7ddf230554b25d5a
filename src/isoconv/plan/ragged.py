"""How much of a form's register tiles is idle at the edges of its input.

The rows of a tile meet the same taps: outputs of a small image fall into many groups, few of which
fill tiles. Tap by tap, all outputs that meet one are a group, but their sums go to memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, groupby, product
from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import number

# What a row costs that stands alone, in rows of whole tiles, what a trip of a sum to memory costs,
# in products (measured on Zen 4), and what must be gained.
_ALONE, _TRIP, _WORTH = 2.3, 3, 1.05
# Lines of one task, where rows fill tiles over several of them.
_LINES = 4


@cache
def taps_pay(axes: tuple[tuple[Axis, int, int], ...], summed: int, deep: int) -> bool:
    """Whether one tap after another takes less time than whole sums.

    axes: the last two spatial ones, or one, with the lengths of their inputs and outputs. summed:
    products of a tap. deep: the rows of a tile.
    """
    groups = [_groups(*axis) for axis in axes]
    meeting = [_meeting(each, axis.taps) for each, (axis, _, _) in zip(groups, axes, strict=True)]
    if len(axes) == 1:
        groups.append([(_LINES, 0, 1)])
        meeting.append([_LINES])
    whole = sum(
        _rows(prod(outputs for outputs, _, _ in group), deep)
        * prod(stop - start for _, start, stop in group)
        for group in product(*groups)
    )
    half = -(-deep // 2)
    apart = sum(-(-prod(outputs) // half) * half for outputs in product(*meeting))
    return bool(apart * (1 + _TRIP / summed) * _WORTH < whole)


def _groups(axis: Axis, length: int, outputs: int) -> list[tuple[int, int, int]]:
    """Neighbouring outputs that meet the same taps: how many, the first of these and their end."""
    low, step, dilation = number(axis.low), axis.stride, axis.dilation

    def live(output: int) -> tuple[int, int]:
        before = low - output * step
        start = min(max(-(-before // dilation), 0), axis.taps)
        return start, max(min((length - 1 + before) // dilation + 1, axis.taps), start)

    # All between these two meet all taps.
    first = min(max(-(-low // step), 0), outputs)
    last = max(min((length - axis.span + low) // step + 1, outputs), first)
    edges = [[live(output) for output in part] for part in (range(first), range(last, outputs))]
    before, after = ([(len(list(g)), *taps) for taps, g in groupby(edge)] for edge in edges)
    between = [(last - first, 0, axis.taps)] if last > first else []
    return [*before, *between, *after]


def _meeting(groups: Sequence[tuple[int, int, int]], taps: int) -> list[int]:
    """The outputs that meet each tap."""
    changes = [0] * (taps + 1)
    for outputs, start, stop in groups:
        changes[start] += outputs
        changes[stop] -= outputs
    return list(accumulate(changes[:-1]))


def _rows(count: int, deep: int) -> float:
    """What so many rows cost that meet the same taps."""
    return count * _ALONE if count < deep else -(-count // deep) * deep
