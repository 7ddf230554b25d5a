"""In which order a model flattens, and what PyTorch's order makes of the weights behind that.

PyTorch has the channels second and flattens (channels, positions); with "channels_last" it is
(positions, channels). What then multiplies the flat vector has its rows in the one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from isoconv import layers
from isoconv.errors import ArgumentError, explain
from isoconv.interop.torch.weights import Rows, weight_rows
from isoconv.interop.weight_map import WeightRow
from isoconv.layers.normalization import Normalization
from isoconv.layers.same_shape import SameShape
from isoconv.layers.spatial import Spatial
from isoconv.models.model import Model
from isoconv.models.network import Network, needed
from isoconv.ops.tensor import Call, KerasTensor

Flat = tuple[int, ...]
"""(channels, positions...) of a vector that holds them as (positions..., channels)."""


def in_torchs_order(model: Model) -> Rows:
    """The weights of a model, each layer once, in the order of its calls, for a module that
    flattens PyTorch's layout.
    """
    return list(_rows(model.drawn_network(), "", True))


def in_own_order(model: Model) -> Rows:
    """The same for a module that flattens what the model flattens."""
    return list(_rows(model.drawn_network(), "", False))


def _rows(network: Network, prefix: str, turned: bool) -> Iterator[Any]:
    flat = _Flattened(network).found() if turned else {}
    seen: set[int] = set()
    for call in network.steps:
        layer = call.target
        if not isinstance(layer, layers.Layer) or id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, Model):
            yield from _rows(layer.drawn_network(), f"{prefix}{layer.name}.", turned)
            continue
        rows = weight_rows(layer, prefix + layer.name)
        if len(rows) != len(layer.weights):
            kind = f"a {type(layer).__name__} with weights"
            expected = "layers whose weights PyTorch has names for"
            raise ArgumentError(explain(layer.name, kind, expected))
        order = flat.get(id(layer))
        yield from ((v, row if order is None else _reordered(row, order)) for v, row in rows)


def _reordered(row: WeightRow, order: Flat) -> WeightRow:
    """The row for a weight with features along its first axis here, its last in PyTorch."""
    size, rank = math.prod(order), len(order)
    if len(row.target_shape) == 2 and row.target_shape[0] == size:
        units = row.target_shape[1]
        return replace(row, split=(units, *order), axes=(*range(2, rank + 1), 1, 0))
    if row.target_shape == (size,):
        return replace(row, split=order, axes=(*range(1, rank), 0))
    return row


class _Flattened:
    """Follows flat vectors of a network to the layers that have weights for their elements."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._flat: dict[int, Flat] = {}
        self._users: dict[int, Flat] = {}

    def found(self) -> dict[int, Flat]:
        """The order of what goes into layers with weights for it, by the layers' identity."""
        for call in self._network.steps:
            self._step(call)
        return self._users

    def _step(self, call: Call) -> None:
        given = list(needed(call))
        orders = [self._flat[id(each)] for each in given if id(each) in self._flat]
        if isinstance(call.target, layers.Flatten) and not orders:
            order = _order(given[0], call.target)
            if order is not None:
                self._flat[id(call.outputs[0])] = order
        elif orders:
            self._use(call, orders[0], len(given))

    def _use(self, call: Call, order: Flat, count: int) -> None:
        layer = call.target
        kept = isinstance(layer, SameShape | Normalization | layers.Flatten)
        if isinstance(layer, layers.Dense):
            self._users[id(layer)] = order
        elif kept and count == 1:
            self._flat[id(call.outputs[0])] = order
            self._users[id(layer)] = order
        else:
            expected = "Dense or a layer on each element after a Flatten of channels_last"
            given = f"{call.name}, of which PyTorch's order is not known"
            raise ArgumentError(explain("weights in PyTorch's order", given, expected))


def _order(x: KerasTensor, flatten: layers.Flatten) -> Flat | None:
    """(channels, positions...), if these come out the other way round; else None."""
    layout = _layout(x)
    rank = len(x.shape)
    if rank < 3 or layout is None or (layout == 1 and flatten.data_format == "channels_last"):
        return None
    axis = 1 if layout == 1 else rank - 1
    order = (x.shape[axis], *(size for i, size in enumerate(x.shape) if i not in (0, axis)))
    if math.prod(n or 2 for n in order[1:]) == 1 or order[0] == 1:
        return None
    known = tuple(size for size in order if size is not None)
    if len(known) < len(order):
        given = f"shape {x.shape}"
        raise ArgumentError(explain(f"{flatten.name}: input", given, "known sizes to flatten"))
    return known


def _layout(x: KerasTensor) -> int | None:
    """The axis of the channels, 1 or -1, as the layers before say; None where none does."""
    while x.call is not None:
        layer = x.call.target
        if isinstance(layer, Spatial):
            return 1 if layer.data_format == "channels_first" else -1
        given = list(needed(x.call))
        follows = not isinstance(layer, layers.Reshape | layers.Permute | layers.Flatten)
        if not given or not follows or len(given[0].shape) != len(x.shape):
            return None
        x = given[0]
    return None
