"""Values of the way forth that are computed again on the way back, rather than kept in between.

Of the inputs of the forms (layers, roughly), about the square root are kept, evenly spread, so that
both what is kept and what is computed again between two of them take about the square root of the
memory (Chen et al. 2016); and everything that is small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from isoconv.ir.graph import Node, rebuild, sort
from isoconv.ir.ops import make
from isoconv.ir.sizes import evaluate, names, product

_LEAVES = ("input", "full", "iota", "size")
# Sums are small, and to compute one again is to read all that it is of.
_SMALL = ("reduce_sum", "reduce_max", "argmax")
# What an unknown size is taken for; only the choice depends on it.
_TYPICAL = 64


class Recomputation:
    """How the way back reads values, for `gradient.vjp`.

    outputs: what is differentiated. kept: the values that are not computed again.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.kept = _kept(outputs)
        self._again: dict[Node, Node] = {}
        self._start: dict[Node, Node] = {}

    def __call__(self, node: Node, flow: Node) -> Node:
        """The value of a node, from kept ones that are not touched before `flow` is there."""
        if node in self.kept and not self._reads_itself(node):
            return rebuild(node, [self._value(each, flow) for each in node.inputs])
        return node if node in self.kept else self._value(node, flow)

    def _reads_itself(self, node: Node) -> bool:
        """Whether gradients read the result of an operation rather than its operands."""
        return node.op not in ("conv", "reduce_sum")

    def _value(self, node: Node, flow: Node) -> Node:
        """A value computed again; of leaves and what is kept, itself."""
        if node.op in _LEAVES or node in self.kept:
            return node
        if node not in self._again:
            for each in _unseen(node, self.kept, self._again):
                inputs = [self._from(before, flow) for before in each.inputs]
                if each.op == "random":
                    # Drawn again of its key, it is not the value of the way forth.
                    inputs = [make("after", inputs[0], flow), *inputs[1:]]
                self._again[each] = rebuild(each, inputs)
        return self._again[node]

    def _from(self, node: Node, flow: Node) -> Node:
        """What a value is computed again from."""
        if node.op in _LEAVES:
            return node
        if node not in self.kept:
            return self._again[node]
        if node not in self._start:
            self._start[node] = make("after", node, flow)
        return self._start[node]


def _unseen(node: Node, kept: set[Node], done: dict[Node, Node]) -> list[Node]:
    """What must be computed for a node, each after what it reads; kept values need nothing."""
    order: dict[Node, None] = {}
    stack = [(node, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            order.setdefault(current)
        elif not (current in kept or current in done or current in order or current.op in _LEAVES):
            stack.append((current, True))
            stack += [(before, False) for before in current.inputs]
    return list(order)


def _kept(outputs: Sequence[Node]) -> set[Node]:
    order = sort(outputs)
    read = [node.inputs[0] for node in order if node.op == "conv" and node["face"] == "y"]
    layers = list(dict.fromkeys(each for each in read if each.op not in _LEAVES))
    every = max(math.isqrt(len(layers)), 1)
    largest = max((_size(each) for each in layers), default=0)
    chosen = set(layers[every - 1 :: every])
    small = {node for node in order if node.op in _SMALL and _size(node) * 8 <= largest}
    return chosen | small | set(outputs)


def _size(node: Node) -> int:
    """How many numbers a value has, typically."""
    size = product(node.shape)
    return evaluate(size, dict.fromkeys(names(size), _TYPICAL))
