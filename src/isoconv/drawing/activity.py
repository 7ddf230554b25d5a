"""What the layers of a model give for a sample: lines and heat maps under the input, and tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv.drawing import panels
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.explaining.activations import activations as outputs_of
from isoconv.explaining.alignment import Alignment, alignment
from isoconv.explaining.tracing import traced
from isoconv.ir.graph import Node
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.ops import tree
from isoconv.ops.recorder import Array, Noted

# Lines drawn one over another; planes of one layer; layers of one picture.
_LINES, _PLANES, _COLUMNS, _LAYERS = 4, 24, 8, 24


@dataclass(frozen=True)
class _Panel:
    """title, note: above it. height: in inches. draw: told the panel. along: whether its axis
    across is that of the input.
    """

    title: str
    note: str
    height: float
    draw: Callable[[Any], None]
    along: bool = False


def activations(model: Layer, x: Any, layers: Any = None, *, sample: int = 0) -> Any:
    """The outputs of layers for one sample, as a matplotlib Figure, the input above them.

    Args:
        model: a model, or a layer.
        x: the input, with all samples: an array, or a list or dict of them.
        layers: as for `isoconv.activations`: names, classes or layers; all if left out. At most 24
            are drawn.
        sample: which of the samples is shown.

    Outputs (positions, channels) are lines, of the channels that change most, and a heat map of all
    channels; each position stands under the middle of what it reads of the input. Outputs over two
    and three axes are tiles, a channel each, and vectors bars. Save it with `savefig` or
    `draw.save`.
    """
    if isinstance(x, dict) and isinstance(model, Model):
        x = model.drawn_network().arrange(x)
    one = _one(x, sample)
    found = outputs_of(model, one, layers)
    if len(found) > _LAYERS:
        remedy = "Say which ones, by their names or classes."
        given = f"{len(found)} layers"
        raise ArgumentError(explain("draw.activations", given, f"at most {_LAYERS}", remedy))
    inputs = [leaf[0] for leaf in tree.leaves(one)]
    traces = traced(model, [leaf.shape for leaf in inputs], 1)
    turned = _channels_first(traces.calls)
    inputs = [
        _channels_last(leaf, _read_channels_first(traces.calls, node))
        for leaf, node in zip(inputs, traces.inputs, strict=True)
    ]
    all_panels = [
        panel
        for number, leaf in enumerate(inputs)
        for panel in _panels("input" if len(inputs) == 1 else f"input {number}", leaf, None)
    ]
    for name, value in found.items():
        first = turned.get(name, False)
        place = _place(traces.calls, name, traces.inputs[0], 2 if first else 1)
        shown = _channels_last(value[0] if value.ndim else value[None], first)
        all_panels += _panels(name, shown, place)
    heights = [panel.height for panel in all_panels]
    title = f"{model.name}: what its layers give for sample {sample}"
    figure, axes = panels.stacked(heights, title)
    length = len(inputs[0])
    for panel, axis in zip(all_panels, axes, strict=True):
        panel.draw(axis)
        panels.titled(axis, panel.title, panel.note)
        if panel.along:
            axis.set_xlim(-0.5, length - 0.5)
    return figure


def _one(x: Any, sample: int) -> Any:
    """One sample, with a batch of 1."""
    arrays = tree.transform(np.asarray, x)
    counts = {len(leaf) if leaf.ndim else 0 for leaf in tree.leaves(arrays)}
    if len(counts) != 1 or not isinstance(sample, int) or not 0 <= sample < max(counts):
        given = f"sample {sample!r} of {sorted(counts)}"
        raise ShapeError(explain("draw.activations", given, "a sample that all inputs have"))
    return tree.transform(lambda leaf: leaf[sample : sample + 1], arrays)


def _channels_first(calls: Mapping[str, Noted]) -> dict[str, bool]:
    """Whether the outputs of calls have their channels first: as the layer says, or, where it does
    not care, the one before it.
    """
    found = {}
    now = "channels_last"
    for name, call in calls.items():
        now = getattr(call.target, "data_format", None) or now
        found[name] = now == "channels_first"
    return found


def _read_channels_first(calls: Mapping[str, Noted], source: Node) -> bool:
    """Whether a layer that reads this input takes its channels first."""
    return any(
        getattr(leaf, "node", None) is source
        for call in calls.values()
        if getattr(call.target, "data_format", None) == "channels_first"
        for leaf in tree.leaves(call.args)
    )


def _channels_last(value: Array, first: bool) -> Array:
    return np.moveaxis(value, 0, -1) if first else value


def _place(calls: Mapping[str, Noted], name: str, source: Node, axis: int) -> Alignment | None:
    """How a layer's outputs lie along the input, where both have one axis of positions."""
    call = calls.get(name)
    nodes = [] if call is None else [leaf.node for leaf in tree.leaves(call.result)]
    if not nodes or nodes[0].rank != 3 or source.rank not in (axis + 1, 3):
        return None
    return alignment(nodes[0], source, axis)


def _panels(name: str, value: Array, place: Alignment | None) -> list[_Panel]:
    """The panels of an array: by its rank."""
    shape = " x ".join(map(str, value.shape))
    value = value.astype("float64")
    if value.ndim == 2:
        return _along(name, value, place or Alignment(0.0, 1.0))
    if value.ndim < 2:
        flat = value.reshape(-1)
        return [
            _Panel(name, _counted(flat.size, "number"), 0.9, lambda panel: panels.bars(panel, flat))
        ]
    tiles, note = _tiles(value)
    height = panels.tiled_height(tiles)
    return [_Panel(name, f"{shape}: {note}", height, lambda panel: panels.tiled(panel, tiles))]


def _along(name: str, value: Array, place: Alignment) -> list[_Panel]:
    """Lines and a heat map along the input."""
    count, channels = value.shape
    places = place.start + place.step * np.arange(count)
    most = np.sort(np.argsort(-value.std(0), kind="stable")[:_LINES])
    told = f"{_counted(count, 'position')} x {_counted(channels, 'channel')}"
    told += "" if channels <= _LINES else f"; lines: the {_LINES} that change most"
    first = _Panel(
        name,
        told,
        0.9,
        lambda panel: panels.lines(panel, places, value[:, most], [f"channel {c}" for c in most]),
        True,
    )
    if channels == 1:
        return [first]
    half = place.step / 2
    extent = (places[0] - half, places[-1] + half, channels - 0.5, -0.5)
    height = float(np.clip(channels * 0.06, 0.5, 1.6))
    second = _Panel("", "", height, lambda panel: _heat(panel, value.T, extent), True)
    return [first, second]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _heat(panel: Any, values: Array, extent: tuple[float, ...]) -> None:
    panels.heat(panel, values, extent)
    panel.set_ylabel("channel", fontsize=8)


def _tiles(value: Array) -> tuple[Array, str]:
    """Planes of an array (..., height, width, channels): a channel each, in rows; where there are
    more axes, a row a channel and a column a place on them.
    """
    channels = value.shape[-1]
    planes = np.moveaxis(value, -1, 0).reshape(channels, -1, *value.shape[-3:-1])
    if planes.shape[1] == 1:
        shown = min(channels, _PLANES)
        note = f"channels 0 to {shown - 1}" if shown > 1 else "one channel"
        return panels.folded(planes[:shown, 0], min(shown, _COLUMNS)), note
    shown, slices = min(channels, _COLUMNS), min(planes.shape[1], _COLUMNS)
    note = f"channels 0 to {shown - 1} down, slices 0 to {slices - 1} across"
    return planes[:shown, :slices], note
