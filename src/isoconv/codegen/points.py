"""Tiles taken to points and back: a block of neighbouring positions is read once, each matrix of
the scheme is written out as sums over what is not 0, and lanes are channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product as combinations
from math import prod

import numpy as np

from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import Coord
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.schemes import Array, scheme
from isoconv.ir.sizes import Dim, ceildiv, number, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Blocks along the last axis that one task takes.
_BLOCKS = 4

Values = dict[tuple[int, ...], Value]


def _first_block(node: Node, axis: Axis) -> Dim:
    """The number of the first block: from_points counts them from where the first tile begins."""
    return 0 if node.op == "to_points" else axis.low // axis.stride


def _blocks(node: Node) -> tuple[Dim, ...]:
    """On each axis, the blocks of what is written: tiles, or the positions of one stride."""
    first = node.rank - 1 - len(node["axes"])
    lengths = node.shape[first:-1]
    if node.op == "to_points":
        return lengths
    return tuple(
        ceildiv(length + axis.low, axis.stride) - _first_block(node, axis)
        for length, axis in zip(lengths, node["axes"], strict=True)
    )


def row_shape(node: Node) -> tuple[Dim, ...]:
    """The tasks: batch, blocks of all axes but the last, and runs of blocks on that."""
    *outer, last = _blocks(node)
    return (*node.shape[: node.rank - 1 - len(node["axes"])], *outer, ceildiv(last, _BLOCKS))


def tasks(node: Node) -> Dim:
    """How many tasks such a kernel splits into."""
    return product(row_shape(node))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of to_points, or of from_points with its epilogue."""
    return _Points(kernel, machine).text()


@dataclass(frozen=True)
class _Side:
    """What a block reads or writes of a tensor: places on each axis, in every combination.

    places: on each axis, positions counted from `starts`, with the number of a point there;
    lengths: of the axes, None where all places exist.
    """

    node: Node
    places: tuple[tuple[tuple[int, int], ...], ...]
    starts: tuple[Value, ...]
    lengths: tuple[Value | None, ...]


class _Points:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.node = anchor
        (self.x,) = anchor.inputs
        self.forward = anchor.op == "to_points"
        self.axes: tuple[Axis, ...] = anchor["axes"]
        self.schemes = [scheme(name) for name in anchor["schemes"]]
        self.first = anchor.rank - 1 - len(self.axes)
        self.channels = number((self.x if self.forward else anchor).shape[-1])
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.pull = self.frame.pull(self.lanes)
        self.mask = self.b.mask_first(self.channels, self.lanes)
        # What is read where there is nothing.
        with self.b.at_entry():
            self.zeros = self.b.emit("ptr", f"alloca {self.vector}")
            self.b.store(self.b.const(self.vector, 0), self.zeros)

    def text(self) -> str:
        frame, b, sizes = self.frame, self.b, self.frame.sizes
        *_, last = _blocks(self.node)
        with frame.rows(row_shape(self.node), frame.begin, frame.end) as row, self.pull.scope():
            first = b.mul(row[-1].base, _BLOCKS)
            end = b.minimum(b.add(first, _BLOCKS), sizes(last))
            with b.loop(first, end) as loop, self.pull.scope():
                outer = [place.base for place in row[self.first : -1]]
                self._block(row[: self.first], [*outer, loop.index])
        return frame.text()

    def _block(self, batch: Sequence[Coord], blocks: Sequence[Value]) -> None:
        """All channels of a block, a vector of them at a time; the last ones may be done twice."""
        b, sizes = self.b, self.frame.sizes
        tiles = [
            b.add(block, sizes(_first_block(self.node, axis)))
            for block, axis in zip(blocks, self.axes, strict=True)
        ]
        source, target = self._sides(tiles)
        there, written = self._live(source), self._live(target)
        with b.loop(0, self.channels, step=self.lanes) as loop, self.pull.scope():
            last = max(self.channels - self.lanes, 0)
            channel = b.minimum(loop.index, last) if self.channels % self.lanes else loop.index
            values = self._read(batch, source, channel, there)
            for axis in reversed(range(len(self.axes))):
                values = self._through(values, axis)
            self._write(batch, target, channel, values, written)

    def _sides(self, tiles: Sequence[Value]) -> tuple[_Side, _Side]:
        """What is read and what is written."""
        b, sizes, axes = self.b, self.frame.sizes, self.axes
        positions, points = (self.x, self.node) if self.forward else (self.node, self.x)
        starts = tuple(
            b.sub(b.mul(tile, axis.stride), sizes(axis.low))
            for tile, axis in zip(tiles, axes, strict=True)
        )
        near = tuple(
            tuple((i, 0) for i in range(axis.taps if self.forward else axis.stride))
            for axis in axes
        )
        far = tuple(
            tuple((-back, p) for back in range(self._reach(axis)) for p in range(each.points))
            for axis, each in zip(axes, self.schemes, strict=True)
        )
        lengths = tuple(
            None if self.forward and axis.low == axis.high == 0 else sizes(length)
            for axis, length in zip(axes, positions.shape[self.first : -1], strict=True)
        )
        counts = tuple(
            None if self._reach(axis) == 1 and axis.low == 0 else sizes(length)
            for axis, length in zip(axes, points.shape[self.first : -1], strict=True)
        )
        sides = _Side(positions, near, starts, lengths), _Side(points, far, tuple(tiles), counts)
        return sides if self.forward else sides[::-1]

    def _reach(self, axis: Axis) -> int:
        """How many tiles meet in a block."""
        return 1 if self.forward else -(-axis.taps // axis.stride)

    def _live(self, side: _Side) -> Mapping[tuple[int, ...], Value]:
        """Of places that may not exist, by their numbers on each axis: whether they do."""
        b = self.b
        each = [
            [
                None if length is None else b.compare("ult", b.add(start, offset), length)
                for offset, _ in places
            ]
            for places, start, length in zip(side.places, side.starts, side.lengths, strict=True)
        ]
        found: dict[tuple[int, ...], Value] = {}
        for numbers in combinations(*map(range, map(len, each))):
            chosen = (each[axis][n] for axis, n in enumerate(numbers))
            conditions = [condition for condition in chosen if condition is not None]
            if conditions:
                found[numbers] = reduce(lambda left, right: b.op("and", left, right), conditions)
        return found

    def _addresses(
        self, base: Value, batch: Sequence[Coord], side: _Side, channel: Value
    ) -> Values:
        """Where each place lies, by its numbers on each axis."""
        b = self.b
        strides = self.pull.strides(side.node.shape)
        index = (*batch, *map(Coord, side.starts), Coord(channel))
        start = b.at(base, self.pull.lanes.offset(index, strides).base, self.scalar)
        found: Values = {(): start}
        for axis, places in enumerate(side.places):
            point = prod(each.points for each in self.schemes[axis + 1 :]) * self.channels
            step = strides[self.first + axis]
            found = {
                (*numbers, n): b.at(address, b.add(b.mul(step, offset), point * which), self.scalar)
                for numbers, address in found.items()
                for n, (offset, which) in enumerate(places)
            }
        return found

    def _read(
        self,
        batch: Sequence[Coord],
        source: _Side,
        channel: Value,
        live: Mapping[tuple[int, ...], Value],
    ) -> Values:
        b = self.b
        found: Values = {}
        addresses = self._addresses(self.frame.pointers[self.x], batch, source, channel)
        for numbers, address in addresses.items():
            if numbers in live:
                address = b.select(live[numbers], address, self.zeros)
            found[numbers] = b.load_masked(address, self.vector, self.mask)
        return found

    def _through(self, values: Values, axis: int) -> Values:
        """What the scheme's matrix makes of the places along one axis."""
        found: Values = {}
        factors = self._factors(axis)
        width = factors[0].shape[1]
        for others in dict.fromkeys((*n[:axis], *n[axis + 1 :]) for n in values):
            line = [values[(*others[:axis], n, *others[axis:])] for n in range(width)]
            for factor in factors:
                line = [self._sum(row, line) for row in factor]
            found |= {(*others[:axis], n, *others[axis:]): v for n, v in enumerate(line)}
        return found

    def _factors(self, axis: int) -> Sequence[Array]:
        """From what is read along an axis to what is written."""
        each, window = self.schemes[axis], self.axes[axis]
        factors = each.factors(self.node["side"])
        if self.forward:
            return factors
        if window.taps == window.stride:
            return [factor.T for factor in factors[::-1]]
        # The positions of one stride, in each of the tiles that reach them.
        rows = np.zeros((self._reach(window) * window.stride, each.points))
        rows[: window.taps] = each.matrix(self.node["side"]).T
        return [np.concatenate(np.split(rows, self._reach(window)), axis=1)]

    def _sum(self, row: Array, line: Sequence[Value]) -> Value:
        """The sum of values times the numbers of a row, those times 1 first."""
        b = self.b
        terms = [(float(number), value) for number, value in zip(row, line, strict=True) if number]
        terms.sort(key=lambda term: term[0] != 1)
        total = b.const(self.vector, 0)
        for place, (factor, value) in enumerate(terms):
            if factor == 1:
                total = b.op("fadd", total, value) if place else value
            elif factor == -1 and place:
                total = b.op("fsub", total, value)
            elif place:
                total = b.fma(value, b.const(self.vector, factor), total)
            else:
                total = b.op("fmul", value, b.const(self.vector, factor))
        return total

    def _write(
        self,
        batch: Sequence[Coord],
        target: _Side,
        channel: Value,
        values: Values,
        live: Mapping[tuple[int, ...], Value],
    ) -> None:
        if self.forward:
            addresses = self._addresses(self.frame.targets[0], batch, target, channel)
            for numbers, value in values.items():
                self.b.store_masked(value, addresses[numbers], self.mask)
            return
        for numbers, value in values.items():
            if numbers in live:
                with self.b.when(live[numbers]):
                    self._finish(batch, target, channel, numbers, value)
            else:
                self._finish(batch, target, channel, numbers, value)

    def _finish(
        self,
        batch: Sequence[Coord],
        target: _Side,
        channel: Value,
        numbers: tuple[int, ...],
        value: Value,
    ) -> None:
        """The epilogue at one position."""
        places = [
            Coord(self.b.add(start, offsets[n][0]))
            for start, offsets, n in zip(target.starts, target.places, numbers, strict=True)
        ]
        index = (*batch, *places, Coord(channel, 1))
        self.frame.finish(self.pull, self.node, value, index, self.mask)
