"""Where along an input the outputs of a layer look, read off the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoconv.explaining.reach import element, reach
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number


@dataclass(frozen=True)
class Alignment:
    """Output p looks at inputs around start + p * step, on the axis after the batch."""

    start: float
    step: float


def alignment(output: Node, source: Node) -> Alignment:
    """The alignment of a layer's outputs to an input, both (batch, positions, ...).

    Told by outputs in the middle, whose windows do not touch the ends of the input; where all do,
    the outputs are taken to be spread evenly over the input.
    """
    count, length = number(output.shape[1]), number(source.shape[1])
    centres: dict[int, float] = {}
    for place in range(max(count // 2 - 1, 0), min(count // 2 + 2, count)):
        masks = reach(output, element(output, (0, place, *(0,) * (output.rank - 2)))).get(source)
        if masks is None:
            continue
        read = np.flatnonzero(masks[1])
        if len(read) and read[0] > 0 and read[-1] < length - 1:
            centres[place] = float(read[0] + read[-1]) / 2
    if len(centres) < 2:
        step = length / count
        return Alignment((step - 1) / 2, step)
    (first, at), *_, (last, end) = centres.items()
    step = (end - at) / (last - first)
    return Alignment(at - first * step, step)
