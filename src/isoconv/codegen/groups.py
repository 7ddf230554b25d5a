"""Vectors whose lanes are filters of several small groups: which input each lane meets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number


class Groups:
    """The groups of a face y or w as vectors of filters see them.

    channels, filters: of one group; filters divide the lanes or the lanes divide them, and there
    are no more channels than filters.
    """

    def __init__(self, b: Builder, node: Node, lanes: int) -> None:
        x, other = node.inputs
        last = other.shape[-1]
        self.channels = number(x.shape[-1] // node["groups"])
        self.filters = number(last // node["groups"])
        self._b = b
        self._lanes = lanes
        self._scalar = SCALARS[node.dtype]

    def source(self, filter_: Value) -> Value:
        """The first channel that a vector of filters from `filter_` on meets."""
        if self.channels == self.filters <= self._lanes:
            return filter_
        return self._b.mul(self._b.floordiv(filter_, self.filters), self.channels)

    def mask(self, source: Value, channels: Value, mask: Value | None) -> Value | None:
        """The channels from `source` on that exist, as lanes; `mask` is that of the filters."""
        if mask is None and self.channels == self.filters:
            return None
        return self._b.mask_below(self._b.sub(channels, source), self._lanes)

    def spread(self, address: Value, mask: Value | None) -> Callable[[int], Value]:
        """Of the channels at `address`: a function that gives lanes channel c of their group."""
        b, lanes, scalar = self._b, self._lanes, self._scalar
        if self.channels > lanes:
            return cache(lambda c: b.splat(b.load(b.at(address, c, scalar), scalar), lanes))
        type_ = vector_type(scalar, lanes)
        row = b.load_masked(address, type_, mask)
        if self.filters == 1:
            return lambda c: row
        return cache(lambda c: b.shuffle(row, [self._lane(lane, c) for lane in range(lanes)]))

    def _lane(self, lane: int, channel: int) -> int:
        return lane // self.filters * self.channels + channel
