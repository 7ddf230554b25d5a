"""The weights of a layer: kernels as tiles, one a filter or one a filter and channel; vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv.drawing import panels
from isoconv.errors import ArgumentError, explain
from isoconv.explaining.describe import meaning
from isoconv.layers.base import Layer
from isoconv.ops.recorder import Array

_MOST, _COLUMNS, _ROWS = 16, 8, 64


def weights(layer: Layer) -> Any:
    """The weights of a built layer as a matplotlib Figure, one panel each.

    Kernels over one axis are one tile a filter, taps across and channels down (of one channel: a
    row a filter); over two, a tile a filter and channel, filters down and channels across; over
    three, the planes of depth follow each other across. Of many filters and channels the first are
    shown.
    """
    if not isinstance(layer, Layer) or not layer.weights:
        remedy = "Give a layer that is built and has weights, such as model.get_layer(name)."
        raise ArgumentError(explain("draw.weights", repr(layer), "a layer with weights", remedy))
    arrays = [weight.array.astype("float64") for weight in layer.weights]
    parts = [_tiles(array) if array.ndim > 1 else None for array in arrays]
    heights = [0.9 if part is None else panels.tiled_height(part) for part in parts]
    figure, axes = panels.stacked(heights, f"{layer.name}: weights")
    for weight, array, part, panel in zip(layer.weights, arrays, parts, axes, strict=True):
        if part is None:
            panels.bars(panel, array.reshape(-1))
        else:
            panels.tiled(panel, part)
        cut = (
            "; the first ones" if part is not None and np.isfinite(part).sum() < array.size else ""
        )
        panels.titled(panel, weight.name, meaning(layer, weight.name, weight.shape) + cut)
    return figure


def _tiles(array: Array) -> Array:
    """(rows, columns, height, width) of a kernel (taps..., channels, filters)."""
    *taps, channels, filters = array.shape
    if not taps:
        return array[:256, :512].reshape(1, 1, min(channels, 256), min(filters, 512))
    if len(taps) == channels == 1:
        return array[:, 0, :_ROWS].T[None, None]
    turned = np.moveaxis(array, -1, 0)[:_MOST]
    if len(taps) == 1:
        return panels.folded(turned.swapaxes(1, 2)[:, :64], min(len(turned), _COLUMNS))
    planes = np.moveaxis(turned, -1, 1)[:, :_MOST].reshape(len(turned), -1, *taps[-2:])
    if planes.shape[1] == 1:
        return panels.folded(planes[:, 0], min(len(planes), _COLUMNS))
    return planes[:, :_MOST]
