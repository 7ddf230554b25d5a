"""The value of any node at any position, as code: operands are pulled where they are needed.

One generator gives every operation at every rank, fused as deeply as the planner asks. Faster
kernels for the form stand beside it and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from isoconv.codegen.elementwise import apply, cast
from isoconv.codegen.emit import (
    SCALARS,
    SIZES,
    STORED,
    Builder,
    Value,
    lane_count,
    mangle,
    vector_type,
)
from isoconv.codegen.index import ZERO, Index, Lanes, Sizes
from isoconv.errors import InternalError
from isoconv.ir.graph import Node
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import Shape, product

Body = Callable[[list[Value], tuple[Value, ...]], Sequence[Value]]


class Pull:
    """Emits the values of nodes for vectors of `lanes` elements.

    emission: how the operations that are not elementwise are emitted, by name; pointers: where
    the materialised nodes lie; status: the word that a failed check sets.
    """

    def __init__(
        self,
        b: Builder,
        emission: Mapping[str, Emission],
        sizes: Sizes,
        lanes: int,
        pointers: Mapping[Node, Value],
        status: Value,
    ) -> None:
        self.b = b
        self.emission = emission
        self.sizes = sizes
        self.lanes = Lanes(b, lanes)
        self.pointers = pointers
        self.status = status
        # Values that the caller has computed itself, for the position it is working at.
        self.held: dict[Node, Value] = {}
        self._memo: dict[tuple[Node, Index, Value | None], Value] = {}

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Values computed inside (in a loop or a branch) are forgotten after it."""
        outer = dict(self._memo)
        try:
            yield
        finally:
            self._memo = outer

    def value(self, node: Node, index: Index, mask: Value | None = None) -> Value:
        """The node at `index`: a scalar where it is the same in all lanes, else a vector.

        mask: the lanes that matter (vector of i1); None for all.
        """
        if node in self.held:
            return self.held[node]
        key = (node, index, mask)
        if key not in self._memo:
            self._memo[key] = self._compute(node, index, mask)
        return self._memo[key]

    def vector(self, node: Node, index: Index, mask: Value | None = None) -> Value:
        """The node at `index` in every lane."""
        return self.spread(self.value(node, index, mask))

    def spread(self, value: Value) -> Value:
        if value.type.startswith("<") or self.lanes.count == 1:
            return value
        if not value.text.startswith(("%", "@")) and _is_number(value):
            return Value(
                _repeat(value, self.lanes.count), vector_type(value.type, self.lanes.count)
            )
        return self.b.splat(value, self.lanes.count)

    def _compute(self, node: Node, index: Index, mask: Value | None) -> Value:
        if node in self.pointers:
            return self.load(self.pointers[node], node.shape, node.dtype, index, mask)
        if node.op == "cast":
            (x,) = node.inputs
            return cast(self.b, self.value(x, self.clip(x, index), mask), node.dtype)
        if OPS[node.op].kind == "elementwise":
            args = [self.value(x, self.clip(x, index), mask) for x in node.inputs]
            if any(lane_count(arg.type) > 1 for arg in args):
                args = [self.spread(arg) for arg in args]
            return apply(self.b, node.op, args)
        if node.op not in self.emission:
            raise InternalError(f"no emission for the operation {node.op}")
        return self.emission[node.op](self, node, index, mask)

    @staticmethod
    def clip(node: Node, index: Index) -> Index:
        """The position in an operand whose axes of size 1 are repeated."""
        return tuple(ZERO if dim == 1 else c for dim, c in zip(node.shape, index, strict=True))

    # -- memory ---------------------------------------------------------------------------

    def strides(self, shape: Shape) -> list[Value]:
        return [self.sizes(product(shape[axis + 1 :])) for axis in range(len(shape))]

    def load(
        self, base: Value, shape: Shape, dtype: str, index: Index, mask: Value | None
    ) -> Value:
        """An element, or a vector of them, of a contiguous tensor at `base`."""
        place = self.lanes.offset(self._within(shape, index), self.strides(shape))
        stored, count = STORED[dtype], self.lanes.count
        type_ = vector_type(stored, count)
        if place.uniform:
            value = self.b.load(self.b.at(base, place.base, stored), stored)
        elif place.vector is None and place.step == 1:
            value = self.b.load_masked(self.b.at(base, place.base, stored), type_, mask)
        else:
            value = self._gather(base, stored, self.lanes.vector(place), mask)
        if dtype == "bool":
            return self.b.compare("ne", value, self.b.const(value.type, 0))
        return value

    @staticmethod
    def _within(shape: Shape, index: Index) -> Index:
        return tuple(ZERO if dim == 1 else c for dim, c in zip(shape, index, strict=True))

    def _gather(self, base: Value, stored: str, offsets: Value, mask: Value | None) -> Value:
        b, count = self.b, self.lanes.count
        type_ = vector_type(stored, count)
        pointers = b.emit(f"<{count} x ptr>", f"getelementptr {stored}, {base}, {offsets}")
        if mask is None:
            mask = b.const(f"<{count} x i1>", 1)
        zero = b.const(type_, 0)
        name = f"llvm.masked.gather.v{count}{mangle(stored)}.v{count}p0"
        b.declared[name] = f"declare {type_} @{name}(<{count} x ptr>, <{count} x i1>, {type_})"
        align = SIZES[stored]
        args = f"<{count} x ptr> align {align} {pointers.text}, {mask}, {zero}"
        return b.emit(type_, f"call {type_} @{name}({args})")

    def store(
        self, value: Value, base: Value, node: Node, index: Index, mask: Value | None
    ) -> None:
        """Writes the node's value at `index`, whose lanes lie side by side."""
        place = self.lanes.offset(index, self.strides(node.shape))
        stored = STORED[node.dtype]
        value = self.spread(value)
        if node.dtype == "bool":
            value = self.b.convert("zext", value, "i8")
        self.b.store_masked(value, self.b.at(base, place.base, stored), mask)

    # -- loops ----------------------------------------------------------------------------

    def nest(
        self,
        counts: Sequence[Value],
        carried: Sequence[Value],
        body: Body,
    ) -> tuple[Value, ...]:
        """Nested loops 0..count-1 that carry values; `body(indices, carried) -> carried`."""
        if not counts:
            return tuple(body([], tuple(carried)))
        if counts[0].text == "1":
            return self.nest(counts[1:], carried, _at(self.b.i64(0), body))
        with self.scope(), self.b.loop(0, counts[0], carried=carried) as loop:
            loop.next = self.nest(counts[1:], loop.carried, _at(loop.index, body))
        return loop.results

    def combine(self, left: Value | None, right: Value) -> Value:
        """Both conditions, where either may be one i1 or one a lane."""
        if left is None:
            return right
        if lane_count(left.type) != lane_count(right.type):
            left, right = (
                side if side.type.startswith("<") else self.b.splat(side, self.lanes.count)
                for side in (left, right)
            )
        return self.b.op("and", left, right)

    def choose(self, condition: Value, yes: Value, no: Value) -> Value:
        """select, with operands of one lane repeated where needed."""
        if any(v.type.startswith("<") for v in (condition, yes, no)):
            yes, no = self.spread(yes), self.spread(no)
        return self.b.select(condition, yes, no)

    def zero(self, node: Node, number: float = 0) -> Value:
        return self.b.const(vector_type(SCALARS[node.dtype], self.lanes.count), number)


def _at(index: Value, body: Body) -> Body:
    """The body of the inner loops, at one index of the outer one."""
    return lambda rest, carried: body([index, *rest], carried)


def _is_number(value: Value) -> bool:
    return not value.type.startswith("<") and value.text != "zeroinitializer"


def _repeat(value: Value, count: int) -> str:
    return "<" + ", ".join([f"{value.type} {value.text}"] * count) + ">"


Emission = Callable[[Pull, Node, Index, Value | None], Value]
"""How an operation is emitted: its value at a position, in the lanes of a mask."""
