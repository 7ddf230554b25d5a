"""PyTorch's layers in a row, computed together where these kernels can. Their arguments are
PyTorch's, device and dtype those of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from isoconv import optional
from isoconv.torch.choosing import Choices
from isoconv.torch.linking import linked
from isoconv.torch.links import Activation
from isoconv.torch.operator import is_ours, is_plain
from isoconv.torch.row import Row, through

torch: Any = optional.require("torch", "torch")


class Sequential(torch.nn.Sequential):  # type: ignore[misc]
    """`torch.nn.Sequential` whose layers are computed together, as far as they are plain layers
    without hooks of their own.
    """

    # Set by `accelerate`: what PyTorch computes faster is left to it.
    choices: Choices | None = None

    def forward(self, x: Any) -> Any:
        if not _is_input(x):
            return super().forward(x)
        for row in _rows(self):
            if len(row.links) > 1 and _is_input(x):
                x = through(row, x, self.choices, partial(_one_by_one, row.layers))
            else:
                x = _one_by_one(row.layers, x)
        return x


class _Single(torch.nn.Module):  # type: ignore[misc]
    """A layer that is a link by itself."""

    choices: Choices | None = None

    def forward(self, x: Any) -> Any:
        alone = super().forward
        if not _is_input(x):
            return alone(x)
        found = linked(self, True)
        if found is None or isinstance(found[0], Activation):
            return alone(x)
        row = Row()
        row.add(self, *found)
        return through(row, x, self.choices, alone)


class BatchNorm1d(_Single, torch.nn.BatchNorm1d):  # type: ignore[misc]
    """`torch.nn.BatchNorm1d` on these kernels; x (batch, channels) or (batch, channels, length)."""


class BatchNorm2d(_Single, torch.nn.BatchNorm2d):  # type: ignore[misc]
    """`torch.nn.BatchNorm2d` on these kernels; x (batch, channels, height, width)."""


class BatchNorm3d(_Single, torch.nn.BatchNorm3d):  # type: ignore[misc]
    """`torch.nn.BatchNorm3d` on these kernels; x (batch, channels, depth, height, width)."""


class Dropout(_Single, torch.nn.Dropout):  # type: ignore[misc]
    """`torch.nn.Dropout` on these kernels. Its choices follow from PyTorch's seed, but are others
    than PyTorch's.
    """


def _is_input(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and is_ours(x, x) and is_plain(x)


def _one_by_one(layers: Iterable[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _rows(layers: Iterable[Any]) -> Iterator[Row]:
    """The layers in order: rows of links, and between them, by themselves, the others."""
    row = Row()
    for layer in _flat(layers):
        found = None if _is_watched(layer) else linked(layer, not row.links)
        # What a layer changes in its first place, it reads in its second.
        if found is None or any(layer is each for each in row.layers):
            yield row
            yield Row([layer])
            row = Row()
        else:
            row.add(layer, *found)
    yield row


def _flat(layers: Iterable[Any]) -> Iterator[Any]:
    for layer in layers:
        if type(layer) is Sequential and not _is_watched(layer):
            yield from _flat(layer)
        else:
            yield layer


_registry = torch.nn.modules.module


def _is_watched(layer: Any) -> bool:
    """Whether somebody is to see what the layer takes and gives, or computes it himself."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or _registry._global_forward_hooks
        or _registry._global_forward_pre_hooks
        or _registry._global_backward_hooks
        or _registry._global_backward_pre_hooks
        or "forward" in layer.__dict__
    )
