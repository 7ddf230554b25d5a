"""The start of every kernel: `void kernel(ptr args, i64 begin, i64 end)`, doing tasks begin..end-1.

args points to 8-byte words: the address of the status word, the inputs, the outputs, the sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from isoconv.codegen.emission import EMISSION
from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.index import Coord, Index, Sizes
from isoconv.codegen.pull import Pull
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Shape
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

SYMBOL = "kernel"


class Frame:
    """The start of a kernel: its arguments as values."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel = kernel
        self.b = Builder(machine)
        self.begin, self.end = Value("%begin", "i64"), Value("%end", "i64")
        args = Value("%args", "ptr")
        words = count()
        with self.b.at_entry():

            def word(type_: str) -> Value:
                return self.b.load(self.b.at(args, next(words), "i64"), type_, align=8)

            self.status = word("ptr")
            self.pointers = {node: word("ptr") for node in kernel.graph.inputs}
            self.targets = [word("ptr") for _ in kernel.graph.outputs]
            named = {name: word("i64") for name in kernel.sizes}
        self.sizes = Sizes(self.b, named)

    def pull(self, lanes: int) -> Pull:
        return Pull(self.b, EMISSION, self.sizes, lanes, self.pointers, self.status)

    def finish(
        self, pull: Pull, node: Node, value: Value, index: Index, mask: Value | None
    ) -> None:
        """Writes the output at a position, given what a node inside the kernel is there."""
        root = self.kernel.graph.outputs[0]
        pull.held[node] = value
        # What is computed at one position must not stand for another, which may differ only on an
        # axis of size 1 along which rows are counted.
        with pull.scope():
            pull.store(pull.value(root, index, mask), self.targets[0], root, index, mask)
        del pull.held[node]

    def text(self) -> str:
        self.b.lines.append("  ret void")
        return self.b.function(f"void @{SYMBOL}(ptr %args, i64 %begin, i64 %end)")

    @contextmanager
    def rows(self, shape: Shape, begin: Value, end: Value) -> Iterator[tuple[Coord, ...]]:
        """Runs over rows begin..end-1 of `shape`, with the position of each."""
        if len(shape) <= 1:
            with self.b.loop(begin, end) as loop:
                yield (Coord(loop.index),)[: len(shape)]
            return
        first = []
        rest = begin
        for dim in reversed(shape[1:]):
            size = self.b.maximum(self.sizes(dim), 1)
            quotient = self.b.emit("i64", f"sdiv {rest}, {size.text}")
            first.append(self.b.sub(rest, self.b.mul(quotient, size)))
            rest = quotient
        first.append(rest)
        with self.b.loop(begin, end, carried=first[::-1]) as loop:
            yield tuple(map(Coord, loop.carried))
            carry = self.b.i64(1)
            following = []
            for place, dim in zip(reversed(loop.carried), reversed(shape), strict=True):
                moved = self.b.add(place, carry)
                wraps = self.b.compare("eq", moved, self.sizes(dim))
                following.append(self.b.select(wraps, self.b.i64(0), moved))
                carry = self.b.convert("zext", wraps, "i64")
            loop.next = tuple(following[::-1])
