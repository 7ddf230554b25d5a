"""How much of the input each layer's middle output reads: the receptive field as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv.drawing import panels
from isoconv.drawing.style import BLUE, GREY, SERIES, VERMILION
from isoconv.errors import ArgumentError, explain
from isoconv.explaining.describe import explain as explained
from isoconv.explaining.facts import LayerFacts
from isoconv.naming import shortened
from isoconv.ops.recorder import Array
from isoconv.optional import require

_MOST = 40


def field(target: Any, input_shape: Any = None, *, x: Any = None) -> Any:
    """The receptive field of each layer over the (first) input, as a matplotlib Figure.

    Args:
        target: a layer, a model, or text such as "Conv1D(8, 5) > MaxPooling1D(2)".
        input_shape: without the batch; a model that knows its inputs needs none.
        x: one sample to show it on: a signal (steps, channels), an image (height, width, channels),
            or a volume.

    One panel for each axis of places, with a bar a layer from the first to the last input that its
    middle output reads; paler where it does not read all between. Layers that read what the one
    before reads are left out.
    """
    found = explained(target, input_shape, measure=False)
    shape = found.inputs[0]
    shown = _growing(found.layers)
    if not shown:
        raise ArgumentError(explain("draw.field", found.name, "layers that read the first input"))
    axes = range(max(len(shape) - 1, 1))
    sample = None if x is None else np.asarray(x, "float64")
    if sample is not None and sample.shape != shape:
        raise ArgumentError(explain("draw.field: x", f"shape {sample.shape}", f"shape {shape}"))
    heights = [0.35 + 0.24 * len(shown)] * len(axes)
    above = [] if sample is None else [4.5 if sample.ndim > 2 else 1.1]
    title = f"{found.name}: what the middle output of each layer reads of {shape}"
    figure, rows = panels.stacked([*above, *heights], title)
    if sample is not None:
        _sample(rows.pop(0), sample, shown)
    for axis, panel in zip(axes, rows, strict=True):
        _bars(panel, shown, axis, shape[axis])
        panels.titled(panel, _name(axis, len(axes)), f"{shape[axis]} positions")
    return figure


def _growing(layers: Sequence[LayerFacts]) -> list[LayerFacts]:
    """The layers that read something else than the one before."""
    found: list[LayerFacts] = []
    for layer in layers:
        if layer.field.first and (not found or layer.field.count != found[-1].field.count):
            found.append(layer)
    return found[:_MOST]


def _name(axis: int, count: int) -> str:
    names = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
    return names.get(count, [f"axis {i}" for i in range(count)])[axis]


def _bars(panel: Any, layers: Sequence[LayerFacts], axis: int, length: int) -> None:
    for row, layer in enumerate(layers):
        first, last = layer.field.first[axis], layer.field.last[axis]
        wide, count = last - first + 1, layer.field.count[axis]
        alpha = 1.0 if count == wide else 0.45
        panel.barh(row, wide, left=first - 0.5, height=0.7, color=BLUE, alpha=alpha)
        told = f"{count}" if count == wide else f"{count} of {wide}"
        right = last + 1 <= length * 0.85
        panel.annotate(
            told,
            (last + 0.5 if right else first - 0.5, row),
            (4 if right else -4, 0) if right or first > length * 0.08 else (4, 0),
            textcoords="offset points",
            ha="left" if right or first <= length * 0.08 else "right",
            va="center",
            fontsize=8,
            color=GREY if right or first > length * 0.08 else "white",
        )
    panel.set(xlim=(-0.5, length - 0.5), ylim=(len(layers) - 0.4, -0.6))
    panel.set_yticks(range(len(layers)), [shortened(layer.name, 28) for layer in layers])
    panel.set_xlabel("position in the input", fontsize=8, color=GREY)


def _sample(panel: Any, sample: Array, layers: Sequence[LayerFacts]) -> None:
    """The input, with the last layer's field on it, or on an image that of every layer."""
    if sample.ndim < 3:
        values = sample.reshape(len(sample), -1)
        names = [f"channel {c}" for c in range(min(values.shape[1], 4))]
        panels.lines(panel, np.arange(len(values)), values, names)
        field_ = layers[-1].field
        panel.axvspan(field_.first[0] - 0.5, field_.last[0] + 0.5, color=VERMILION, alpha=0.12)
        panel.set_xlim(-0.5, len(values) - 0.5)
        panels.titled(panel, "input", f"shaded: what {layers[-1].name} reads")
        return
    # Of a volume the slice in the middle.
    middle = tuple(size // 2 for size in sample.shape[:-3])
    panel.imshow(sample[middle][..., 0], cmap="gray")
    patches = require("matplotlib.patches", "plot")
    for index, layer in enumerate(layers):
        (y, x), (y1, x1) = layer.field.first[-3:-1], layer.field.last[-3:-1]
        colour = SERIES[index % len(SERIES)]
        panel.add_patch(
            patches.Rectangle(
                (x - 0.5, y - 0.5),
                x1 - x + 1,
                y1 - y + 1,
                fill=False,
                edgecolor=colour,
                linewidth=2,
                label=shortened(layer.name, 28),
            )
        )
    panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    panels.titled(panel, "input", "each frame: what a layer's middle output reads")
