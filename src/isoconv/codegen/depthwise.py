"""Depthwise forms, and those of small groups: lanes are filters of several groups, a block of
neighbouring outputs stays in registers. The face x with strides goes phase by phase: outputs of one
phase meet the same taps, and neighbouring ones neighbouring inputs.

Each input row is loaded once for all the outputs of a block that it reaches. Terms are taken in
chunks, so that kernels of any length are the same few instructions. Outputs at the edges, some of
whose taps are absent, are pulled one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from isoconv.codegen import taps
from isoconv.codegen.edges import Bounds, bounds, cover
from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.groups import Groups
from isoconv.codegen.index import Coord
from isoconv.ir.forms import is_depthwise
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Outputs along the last spatial axis that one task takes. Of a depthwise form fewer: memory is what
# it waits for, and it reads lines of all channels in their order only while they stay in the cache.
_BLOCK, _DEPTHWISE = 128, 32


def row_shape(node: Node) -> tuple[Dim, ...]:
    """The tasks: every place before the last spatial axis, times blocks of outputs along it."""
    return (*node.shape[:-2], ceildiv(node.shape[-2], _block(node)))


def _block(node: Node) -> int:
    return _DEPTHWISE if is_depthwise(node) else _BLOCK


def tasks(node: Node) -> Dim:
    """How many tasks the kernel of a depthwise form splits into."""
    return product(row_shape(node))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of the face y of a depthwise form, or its face x, with its epilogue."""
    return _Depthwise(kernel, machine).text()


@dataclass(frozen=True)
class _Phase:
    """Outputs of a line that meet the same taps of the last axis where nothing is absent.

    count: of these taps, number j being `tap + j * tap_step`, `j * tap_reach` input positions
    after the first; first, out_step: where outputs stand; start, step: where their windows begin;
    rows: how many outputs.
    """

    count: int
    tap: int
    tap_step: int
    tap_reach: int
    first: Value
    out_step: int
    start: Value
    step: int
    rows: Value


class _Depthwise:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.node = anchor
        self.root = kernel.graph.outputs[0]
        self.forward = anchor["face"] == "y"
        self.x, self.w = anchor.inputs if self.forward else anchor.inputs[::-1]
        self.axes: tuple[Axis, ...] = anchor["axes"]
        self.inner = self.axes[-1]
        self.first = anchor.rank - 1 - len(self.axes)
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.pull = self.frame.pull(self.lanes)
        self.groups = Groups(self.b, anchor, self.lanes)
        # About half of the registers accumulate, some hold weights, the rest is for the inputs: one
        # of them, or each channel of a group spread out.
        small, alone = machine.registers // 8, self.groups.channels == 1
        held = small * 2 if alone else small * 3
        room = 0 if alone else machine.scratch
        self.deep = (machine.registers - held - room - (2 * small if alone else small), small)
        self.held = held

    def text(self) -> str:
        frame, b = self.frame, self.b
        shape = row_shape(self.node)
        channels = frame.sizes(self.node.shape[-1])
        length = frame.sizes(self.node.shape[-2])
        with frame.rows(shape, frame.begin, frame.end) as row, self.pull.scope():
            places, piece = row[:-1], row[-1].base
            block = _block(self.node)
            first = b.mul(piece, block)
            last = b.minimum(b.add(first, block), length)
            phases = list(self._phases(first, last))
            with b.loop(0, channels, step=self.lanes) as loop, self.pull.scope():
                channel = Coord(loop.index, 1)
                mask = self._mask(channels, loop.index)
                for phase in phases:
                    cover(
                        self.pull,
                        self._bounds(phase),
                        self.deep,
                        partial(self._block, places, channel, mask, phase),
                        partial(self._single, places, channel, mask, phase),
                    )
        return frame.text()

    def _mask(self, channels: Value, channel: Value) -> Value | None:
        if channels.text.isdigit() and int(channels.text) % self.lanes == 0:
            return None
        return self.b.mask_below(self.b.sub(channels, channel), self.lanes)

    def _phases(self, first: Value, last: Value) -> Iterator[_Phase]:
        """The outputs first..last-1 of a line, phase by phase."""
        b, axis = self.b, self.inner
        low = self.frame.sizes(axis.low)
        if self.forward:
            start = b.sub(b.mul(first, axis.stride), low)
            rows = b.sub(last, first)
            yield _Phase(axis.taps, 0, 1, axis.dilation, first, 1, start, axis.stride, rows)
            return
        stride = axis.stride
        for rest in range(stride):
            # Tap k reaches outputs i where i + low - k * dilation is a multiple of the stride.
            met = [k for k in range(axis.taps) if (rest - k * axis.dilation) % stride == 0]
            origin = b.sub(b.add(first, low), rest)
            whole = b.floordiv(b.add(origin, stride - 1), stride)
            begin = b.sub(b.add(b.mul(whole, stride), rest), low)
            rows = b.maximum(b.floordiv(b.add(b.sub(last, begin), stride - 1), stride), 0)
            top = met[-1] if met else 0
            start = b.add(whole, (rest - top * axis.dilation) // stride)
            apart = met[1] - met[0] if len(met) > 1 else 0
            reach = apart * axis.dilation // stride
            yield _Phase(len(met), top, -apart, reach, begin, stride, start, 1, rows)

    def _bounds(self, phase: _Phase) -> Bounds:
        b, axis, none = self.b, self.inner, self.b.i64(0)
        if phase.count == 0 or (self.forward and axis.low == 0 and axis.high == 0):
            return Bounds(none, phase.rows, none, phase.rows)
        reach, length = (phase.count - 1) * phase.tap_reach, self.frame.sizes(self.x.shape[-2])
        return bounds(b, none, phase.rows, phase.start, phase.step, b.i64(reach), length)

    def _single(
        self,
        places: Sequence[Coord],
        channel: Coord,
        mask: Value | None,
        phase: _Phase,
        row: Value,
    ) -> None:
        at = self.b.add(phase.first, self.b.mul(row, phase.out_step))
        index = (*places, Coord(at), channel)
        value = self.pull.value(self.root, index, mask)
        self.pull.store(value, self.frame.targets[0], self.root, index, mask)

    def _block(
        self,
        places: Sequence[Coord],
        channel: Coord,
        mask: Value | None,
        phase: _Phase,
        row: Value,
        deep: int,
    ) -> None:
        b, sizes = self.b, self.frame.sizes
        source = self.groups.source(channel.base)
        inputs = self.groups.mask(source, sizes(self.x.shape[-1]), mask)
        find = taps.forward if self.forward else taps.backward
        outer = [
            find(b, sizes, axis, c.base, length)
            for axis, c, length in zip(
                self.axes[:-1],
                places[self.first :],
                self.x.shape[self.first : -2],
                strict=True,
            )
        ]
        zeros = [b.const(self.vector, 0)] * deep

        def add(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            rows = [
                Coord(b.add(t.place, b.mul(j, t.place_step)))
                for t, j in zip(outer, numbers, strict=True)
            ]
            found = [
                b.add(t.tap, b.mul(j, t.tap_step)) for t, j in zip(outer, numbers, strict=True)
            ]
            start = b.add(phase.start, b.mul(row, phase.step))
            index = (*places[: self.first], *rows, Coord(start), Coord(source))
            offset = self.pull.lanes.offset(index, self.pull.strides(self.x.shape)).base
            x = b.at(self.frame.pointers[self.x], offset, self.scalar)
            zero = Coord(b.i64(0))
            index = (*map(Coord, found), zero, zero, Coord(channel.base))
            offset = self.pull.lanes.offset(index, self.pull.strides(self.w.shape)).base
            w = b.at(self.frame.pointers[self.w], offset, self.scalar)
            return self._terms(x, w, inputs, mask, phase, carried)

        totals = self.pull.nest([t.count for t in outer], zeros, add)
        for number, total in enumerate(totals):
            self.pull.held[self.node] = total
            self._single(places, channel, mask, phase, b.add(row, number))
        del self.pull.held[self.node]

    def _terms(
        self,
        x: Value,
        w: Value,
        inputs: Value | None,
        mask: Value | None,
        phase: _Phase,
        totals: Sequence[Value],
    ) -> Sequence[Value]:
        """All taps of the last axis and channels of a group, a chunk at a time."""
        each = self.groups.channels
        count = phase.count * each
        chunk = max(min(count, self.held), 1)
        # Chunks begin at a tap where they may, so that they are alike and stand in one loop.
        size = max(chunk // each, 1) * each
        whole = count // size if size <= chunk else 0
        with self.b.loop(0, whole, carried=totals) as loop:
            tap = self.b.mul(loop.index, size // each)
            pairs = [divmod(term, each) for term in range(size)]
            loop.next = tuple(self._chunk(x, w, inputs, mask, phase, tap, pairs, loop.carried))
        totals = loop.results
        for start in range(whole * size, count, chunk):
            terms = range(start, min(start + chunk, count))
            pairs = [divmod(term, each) for term in terms]
            totals = self._chunk(x, w, inputs, mask, phase, self.b.i64(0), pairs, totals)
        return totals

    def _chunk(
        self,
        x: Value,
        w: Value,
        inputs: Value | None,
        mask: Value | None,
        phase: _Phase,
        tap: Value,
        pairs: Sequence[tuple[int, int]],
        totals: Sequence[Value],
    ) -> list[Value]:
        """Some (tap, channel) pairs, taps counted from `tap`, for every output of the block."""
        b, each = self.b, self.groups.channels
        channels, filters = (self.frame.sizes(node.shape[-1]) for node in (self.x, self.node))
        data = b.at(x, b.mul(b.mul(tap, phase.tap_reach), channels), self.scalar)
        first = b.add(b.mul(tap, phase.tap_step), phase.tap)
        weights = b.at(w, b.mul(b.mul(first, each), filters), self.scalar)
        held = [
            self._load(weights, b.mul(filters, k * phase.tap_step * each + c), mask)
            for k, c in pairs
        ]
        sums = list(totals)
        reached: dict[int, list[tuple[int, int, int]]] = {}
        for output in range(len(sums)):
            for number, (k, c) in enumerate(pairs):
                row = output * phase.step + k * phase.tap_reach
                reached.setdefault(row, []).append((c, output, number))
        for row in sorted(reached):
            address = b.at(data, b.mul(channels, row), self.scalar)
            spread = self.groups.spread(address, inputs)
            for c, output, number in sorted(reached[row]):
                sums[output] = b.fma(spread(c), held[number], sums[output])
        return sums

    def _load(self, base: Value, offset: Value, mask: Value | None) -> Value:
        return self.b.load_masked(self.b.at(base, offset, self.scalar), self.vector, mask)
