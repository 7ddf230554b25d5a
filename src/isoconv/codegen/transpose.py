"""Copies whose last axis comes from another place: squares of a vector's width are read by rows,
turned in registers and written by rows, so that neither side is touched element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine


def row_shape(root: Node, machine: Machine) -> tuple[Dim, ...]:
    """The tasks: blocks of the last axis, for every place on the axes that are neither the last
    now nor were so before.
    """
    lanes, turned = machine.lanes(root.dtype), _turned(root)
    dims = [*root.shape[:-1], ceildiv(root.shape[-1], lanes)]
    return tuple(dim for axis, dim in enumerate(dims) if axis != turned)


def tasks(root: Node, machine: Machine) -> Dim:
    """How many tasks the kernel of a transposition splits into."""
    return product(row_shape(root, machine))


def _turned(root: Node) -> int:
    """Where the last axis of the source went."""
    perm: tuple[int, ...] = root["perm"]
    return perm.index(root.rank - 1)


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one transposition that moves the last axis."""
    return _Transpose(kernel, machine).text()


class _Transpose:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        (self.root,) = kernel.graph.outputs
        (self.source,) = self.root.inputs
        self.shape = row_shape(self.root, machine)
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.lanes = machine.lanes(self.root.dtype)
        self.scalar = SCALARS[self.root.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.turned = _turned(self.root)
        # Along `long`, the source's last axis; `wide`, the result's.
        self.long = self.frame.sizes(self.source.shape[-1])
        self.wide = self.frame.sizes(self.root.shape[-1])

    def text(self) -> str:
        frame, b = self.frame, self.b
        with frame.rows(self.shape, frame.begin, frame.end) as task:
            first = b.mul(task[-1].base, self.lanes)
            places = [coord.base for coord in task[:-1]]
            places.insert(self.turned, b.i64(0))
            rows = self._rows(places, first)
            strides = _strides(frame, self.root)
            target = self._address(frame.targets[0], [*places, first], strides)
            mask = self._mask(self.wide, first)
            rest = b.sub(self.long, self._whole())
            with b.loop(0, self._whole(), step=self.lanes) as loop:
                square = [b.load(b.at(row, loop.index, self.scalar), self.vector) for row in rows]
                start = b.mul(loop.index, strides[self.turned])
                self._write(square, b.at(target, start, self.scalar), mask, None)
            if rest.text != "0":
                below = b.mask_below(rest, self.lanes)
                edge = [b.at(row, self._whole(), self.scalar) for row in rows]
                square = [b.load_masked(row, self.vector, below) for row in edge]
                start = b.mul(self._whole(), strides[self.turned])
                self._write(square, b.at(target, start, self.scalar), mask, rest)
        return frame.text()

    def _rows(self, places: Sequence[Value], first: Value) -> list[Value]:
        """The rows of the source that a block reads; past the end, its last one again."""
        b = self.b
        strides = _strides(self.frame, self.source)
        moved = [strides[axis] for axis in self.root["perm"]]
        start = self._address(self.frame.pointers[self.source], [*places, b.i64(0)], moved)
        last = b.sub(self.wide, 1)
        numbers = [b.minimum(b.add(first, lane), last) for lane in range(self.lanes)]
        return [b.at(start, b.mul(number, moved[-1]), self.scalar) for number in numbers]

    def _address(self, base: Value, places: Sequence[Value], strides: Sequence[Value]) -> Value:
        b = self.b
        parts = [b.mul(place, stride) for place, stride in zip(places, strides, strict=True)]
        return b.at(base, reduce(b.add, parts), self.scalar)

    def _mask(self, size: Value, first: Value) -> Value | None:
        if size.text.isdigit() and int(size.text) % self.lanes == 0:
            return None
        return self.b.mask_below(self.b.sub(size, first), self.lanes)

    def _whole(self) -> Value:
        """How far whole squares go along the source's last axis."""
        if self.long.text.isdigit():
            return self.b.i64(int(self.long.text) // self.lanes * self.lanes)
        return self.b.op("and", self.long, self.b.i64(-self.lanes))

    def _write(
        self, square: list[Value], target: Value, mask: Value | None, rows: Value | None
    ) -> None:
        """The square turned, its rows from `target` on; only the first `rows` where given."""
        b = self.b
        step = _strides(self.frame, self.root)[self.turned]
        count = self.lanes if rows is None or not rows.text.isdigit() else int(rows.text)
        for number, value in enumerate(self._turn(square)[:count]):
            address = b.at(target, b.mul(step, number), self.scalar)
            if rows is None or rows.text.isdigit():
                b.store_masked(value, address, mask)
                continue
            with b.when(b.compare("slt", b.i64(number), rows)):
                b.store_masked(value, address, mask)

    def _turn(self, square: list[Value]) -> list[Value]:
        """Rows to columns, by exchanging ever smaller quarters."""
        half = self.lanes // 2
        while half:
            low = [lane if not lane & half else self.lanes + lane - half for lane in self._all()]
            high = [lane + half if not lane & half else self.lanes + lane for lane in self._all()]
            for row in self._all():
                if not row & half:
                    pair = square[row], square[row + half]
                    square[row] = self._shuffle(*pair, low)
                    square[row + half] = self._shuffle(*pair, high)
            half //= 2
        return square

    def _all(self) -> range:
        return range(self.lanes)

    def _shuffle(self, left: Value, right: Value, lanes: Sequence[int]) -> Value:
        numbers = ", ".join(f"i32 {lane}" for lane in lanes)
        text = f"shufflevector {left}, {right}, <{self.lanes} x i32> <{numbers}>"
        return self.b.emit(self.vector, text)


def _strides(frame: Frame, node: Node) -> list[Value]:
    """Of each axis, in elements."""
    return [frame.sizes(product(node.shape[axis + 1 :])) for axis in range(node.rank)]
