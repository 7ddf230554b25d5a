"""Positions of elements while code is generated: one coordinate an axis, the same in every lane,
moving by a constant step from lane to lane, or given lane by lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isoconv.codegen.emit import Builder, Value
from isoconv.ir.sizes import Dim, fold


@dataclass(frozen=True)
class Coord:
    """`base + step * lane`, or `vector` (i64 lanes) where it is given."""

    base: Value
    step: int = 0
    vector: Value | None = None

    @property
    def uniform(self) -> bool:
        return self.step == 0 and self.vector is None


Index = tuple[Coord, ...]
ZERO = Coord(Value("0", "i64"))


class Sizes:
    """The run-time sizes of a kernel as values, computed once at its start."""

    def __init__(self, b: Builder, named: dict[str, Value]) -> None:
        self._b = b
        self._named = named
        self._done: dict[Dim, Value] = {}

    def __call__(self, dim: Dim) -> Value:
        if isinstance(dim, int):
            return self._b.i64(dim)
        if dim not in self._done:
            with self._b.at_entry():
                value = fold(dim, self._b.i64, self._named.__getitem__, self._operate)
            assert isinstance(value, Value)
            self._done[dim] = value
        return self._done[dim]

    def _operate(self, name: str, left: object, right: object) -> Value:
        assert isinstance(left, Value)
        assert isinstance(right, Value)
        match name:
            case "+":
                return self._b.add(left, right)
            case "*":
                return self._b.mul(left, right)
            case "max":
                return self._b.maximum(left, right)
        if right.text.isdigit():
            return self._b.floordiv(left, int(right.text))
        # A size divides only what is not negative.
        return self._b.emit("i64", f"sdiv {left}, {right.text}")


class Lanes:
    """Arithmetic on coordinates for vectors of `count` lanes."""

    def __init__(self, b: Builder, count: int) -> None:
        self.b = b
        self.count = count

    def vector(self, coord: Coord) -> Value:
        """The coordinate lane by lane."""
        if coord.vector is not None:
            return coord.vector
        base = self.b.splat(coord.base, self.count)
        if coord.step == 0 or self.count == 1:
            return base
        iota = self.b.iota(self.count)
        steps = self.b.op("mul", iota, self.b.const(iota.type, coord.step))
        return self.b.op("add", base, steps)

    def shift(self, coord: Coord, by: Value | int) -> Coord:
        if coord.vector is None:
            return Coord(self.b.add(coord.base, by), coord.step)
        offset = self.b.i64(by) if isinstance(by, int) else by
        return self.of(self.b.op("add", coord.vector, self.b.splat(offset, self.count)))

    def scale(self, coord: Coord, by: int) -> Coord:
        if coord.vector is None:
            return Coord(self.b.mul(coord.base, by), coord.step * by)
        return self.of(self.b.op("mul", coord.vector, self.b.const(coord.vector.type, by)))

    def negate(self, coord: Coord, total: Value) -> Coord:
        """total - coord."""
        if coord.vector is None:
            return Coord(self.b.sub(total, coord.base), -coord.step)
        return self.of(self.b.op("sub", self.b.splat(total, self.count), coord.vector))

    def divide(self, coord: Coord, by: int) -> tuple[Coord, Value]:
        """coord // by for a coordinate that is not negative, and whether it divides (i1)."""
        if by == 1:
            return coord, self.b.const("i1", 1)
        value = coord.base if coord.uniform else self.vector(coord)
        divisor = self.b.const(value.type, by)
        quotient = self.b.op("sdiv", value, divisor)
        rest = self.b.op("srem", value, divisor)
        exact = self.b.compare("eq", rest, self.b.const(value.type, 0))
        return (Coord(quotient) if coord.uniform else self.of(quotient)), exact

    def of(self, vector: Value) -> Coord:
        """The coordinate given lane by lane."""
        return Coord(vector) if self.count == 1 else Coord(self.b.i64(0), 0, vector)

    def within(self, coord: Coord, size: Value) -> Value:
        """Whether 0 <= coord < size: one i1, or one a lane."""
        value = coord.base if coord.uniform else self.vector(coord)
        limit = size if coord.uniform else self.b.splat(size, self.count)
        return self.b.compare("ult", value, limit)

    def offset(self, index: Sequence[Coord], strides: Sequence[Value]) -> Coord:
        """The distance in elements of a position from the first one."""
        base, step, vector = self.b.i64(0), 0, None
        for coord, stride in zip(index, strides, strict=True):
            number = int(stride.text) if stride.text.isdigit() else None
            if coord.vector is None and (coord.step == 0 or number is not None):
                base = self.b.add(base, self.b.mul(coord.base, stride))
                step += coord.step * (number or 0)
                continue
            part = self.b.op("mul", self.vector(coord), self.b.splat(stride, self.count))
            vector = part if vector is None else self.b.op("add", vector, part)
        if vector is None:
            return Coord(base, step)
        return self.of(self.b.op("add", vector, self.vector(Coord(base, step))))
