"""The face w of depthwise forms and of small groups: lanes are filters of several groups, the sums
of neighbouring (tap, channel) pairs stay in registers over a block of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isoconv.codegen import taps
from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.gram import each_block, over_positions
from isoconv.codegen.groups import Groups
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Positions from one that is worked at to the one asked for.
_AHEAD = 8


def _taps_together(node: Node, machine: Machine) -> int:
    """Taps of the last axis whose sums stay in registers at once. As many lines of the input are
    read side by side; more of them would not fit where they fall into few sets of the cache.
    """
    inner: Axis = node["axes"][-1]
    most = machine.registers * 3 // 4 // number(node.shape[-2])
    most = max(min(most, machine.registers // 4), 1)
    pieces = -(-inner.taps // most)
    return -(-inner.taps // pieces)


def _shape(node: Node, machine: Machine) -> tuple[int, int]:
    """The tasks: taps of the outer axes, vectors of filters."""
    outer = 1
    for axis in node["axes"][:-1]:
        outer *= axis.taps
    return outer, -(-number(node.shape[-1]) // machine.lanes(node.dtype))


def tasks(node: Node, machine: Machine) -> int:
    """How many tasks the kernel of such a weight gradient splits into."""
    outer, vectors = _shape(node, machine)
    return outer * vectors


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one weight gradient of small groups."""
    return _GroupGram(kernel, machine).text()


@dataclass(frozen=True)
class _Lines:
    """Where a line of the input and of the outputs begins; the first filter of a vector, and which
    of its lanes exist.
    """

    x: Value
    y: Value
    filter: Value
    mask: Value | None


class _GroupGram:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.node = anchor
        self.x, self.y = anchor.inputs
        self.axes: tuple[Axis, ...] = anchor["axes"]
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.pull = self.frame.pull(self.lanes)
        self.groups = Groups(self.b, anchor, self.lanes)
        self.filters = number(anchor.shape[-1])
        self.each = _taps_together(anchor, machine)
        self.tasks = _shape(anchor, machine)

    def text(self) -> str:
        with self.frame.rows(self.tasks, self.frame.begin, self.frame.end) as row:
            outer, vector = (coord.base for coord in row)
            with self.pull.scope():
                self._task(outer, self.b.mul(vector, self.lanes))
        return self.frame.text()

    def _task(self, outer: Value, filter_: Value) -> None:
        """All taps of the last axis at outer taps number `outer`: block by block of positions, some
        of the taps at once.
        """
        b, inner = self.b, self.axes[-1]
        mask = self._mask(filter_)
        tap_size = self.groups.channels * self.filters
        offset = b.add(b.mul(outer, inner.taps * tap_size), filter_)
        target = b.at(self.frame.targets[0], offset, self.scalar)
        zero = b.const(self.vector, 0)
        with b.loop(0, inner.taps) as loop:
            place = b.at(target, b.mul(loop.index, tap_size), self.scalar)
            self._write(place, [zero] * self.groups.channels, mask)
        whole, rest = divmod(inner.taps, self.each)

        def block(x: Value, y: Value, begin: Value, end: Value) -> None:
            def some(tap: Value, count: int) -> None:
                place = b.at(target, b.mul(tap, tap_size), self.scalar)
                self._taps(_Lines(x, y, filter_, mask), tap, count, place, begin, end)

            with b.loop(0, whole) as loop, self.pull.scope():
                some(b.mul(loop.index, self.each), self.each)
            if rest:
                some(b.i64(whole * self.each), rest)

        each_block(self.frame, self.pull, self.node, self._outer(outer), block)

    def _taps(
        self, lines: _Lines, tap: Value, count: int, target: Value, begin: Value, end: Value
    ) -> None:
        """`count` taps of the last axis from `tap` on, over positions begin..end-1."""
        b, inner, sizes = self.b, self.axes[-1], self.frame.sizes
        length, outputs = self.x.shape[-2], self.y.shape[-2]
        found = [b.add(tap, k) for k in range(count)]
        live = [taps.outputs(b, sizes, inner, k, length, outputs) for k in found]
        if inner.low == 0 and inner.high == 0:
            live = live[:1]
        zeros = [b.const(self.vector, 0)] * (count * self.groups.channels)

        def step(
            position: Value, sums: Sequence[Value], alive: Sequence[Value] | None
        ) -> list[Value]:
            return self._step(lines, found, position, sums, alive)

        sums = over_positions(b, live, begin, end, zeros, step)
        places = (self._at(target, i) for i in range(len(sums)))
        old = [self.b.load_masked(place, self.vector, lines.mask) for place in places]
        new = [b.op("fadd", before, more) for before, more in zip(old, sums, strict=True)]
        self._write(target, new, lines.mask)

    def _outer(self, number: Value) -> list[Value]:
        """The taps of the outer axes."""
        b = self.b
        found: list[Value] = []
        for axis in reversed(self.axes[:-1]):
            rest = b.floordiv(number, axis.taps)
            found.append(b.sub(number, b.mul(rest, axis.taps)))
            number = rest
        return found[::-1]

    def _step(
        self,
        lines: _Lines,
        found: Sequence[Value],
        position: Value,
        sums: Sequence[Value],
        alive: Sequence[Value] | None,
    ) -> list[Value]:
        """One product a sum, at one position."""
        b, inner, sizes = self.b, self.axes[-1], self.frame.sizes
        width = sizes(self.x.shape[-1])
        x, y, filter_, mask = lines.x, lines.y, lines.filter, lines.mask
        source = self.groups.source(filter_)
        inputs = self.groups.mask(source, width, mask)
        line = b.at(y, b.add(b.mul(position, self.filters), filter_), self.scalar)
        dy = self.b.load_masked(line, self.vector, mask)
        start = b.sub(b.mul(position, inner.stride), sizes(inner.low))
        first = b.at(
            x,
            b.add(b.mul(b.add(start, b.mul(found[0], inner.dilation)), width), source),
            self.scalar,
        )
        if alive is None:
            # Lines of one vector lie far apart: processors do not foresee them.
            b.prefetch(b.at(line, _AHEAD * self.filters, self.scalar))
            reach = (len(found) - 1) * inner.dilation + _AHEAD * inner.stride
            b.prefetch(b.at(first, b.mul(width, reach), self.scalar))
        new = []
        for k in range(len(found)):
            address = b.at(first, b.mul(width, k * inner.dilation), self.scalar)
            if alive is not None:
                # An absent input is not read; what stands in for it counts for nothing.
                address = b.select(alive[k], address, b.at(x, source, self.scalar))
            spread = self.groups.spread(address, inputs)
            each = self.groups.channels
            new += [b.fma(spread(c), dy, sums[k * each + c]) for c in range(each)]
        return new

    # -- memory -------------------------------------------------------------------------------

    def _mask(self, filter_: Value) -> Value | None:
        if self.filters % self.lanes == 0:
            return None
        return self.b.mask_below(self.b.sub(self.b.i64(self.filters), filter_), self.lanes)

    def _at(self, target: Value, number: int) -> Value:
        return self.b.at(target, number * self.filters, self.scalar)

    def _write(self, target: Value, values: Sequence[Value], mask: Value | None) -> None:
        for place, value in enumerate(values):
            self.b.store_masked(value, self._at(target, place), mask)
