"""Where along an input the outputs of a layer look, read off the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoconv.explaining.reach import element, reach
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number


@dataclass(frozen=True)
class Alignment:
    """Output p looks at inputs around start + p * step, on their axis."""

    start: float
    step: float


def alignment(output: Node, source: Node, axis: int = 1) -> Alignment:
    """The alignment of a layer's outputs to an input, both with their positions on this axis.

    Told by outputs in the middle, whose windows do not touch the ends of the input; where all do,
    the outputs are taken to be spread evenly over the input.
    """
    count, length = number(output.shape[axis]), number(source.shape[axis])
    centres: dict[int, float] = {}
    for place in range(max(count // 2 - 1, 0), min(count // 2 + 2, count)):
        at = [place if i == axis else 0 for i in range(output.rank)]
        masks = reach(output, element(output, at)).get(source)
        if masks is None:
            continue
        read = np.flatnonzero(masks[axis])
        if len(read) and read[0] > 0 and read[-1] < length - 1:
            centres[place] = float(read[0] + read[-1]) / 2
    if len(centres) < 2:
        step = length / count
        return Alignment((step - 1) / 2, step)
    (first, begin), *_, (last, end) = centres.items()
    step = (end - begin) / (last - first)
    return Alignment(begin - first * step, step)
