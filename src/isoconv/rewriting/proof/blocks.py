"""Programs with their inputs and weights flat, and the blocks between the places all data pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod

import numpy as np

from isoconv.ir.graph import Node, rebuild, rewrite
from isoconv.ir.ops import OPS, make
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.field import Array
from isoconv.rewriting.proof.normal import Normal, Views
from isoconv.rewriting.proof.values import KEEPS_ZERO, UNARY, needed

WRITTEN = 16
"""A number that is written counts as so many products."""


@dataclass(frozen=True)
class Block:
    """A function of a flat input `start` and flat `weights`, with a flat result `end`.

    fixed: inputs whose values are known. ones: of how many neighbours in the input one is 1 and all
    others are 0; 0 where nothing is known.
    """

    start: Node
    weights: tuple[Node, ...]
    end: Node
    fixed: tuple[Node, ...] = ()
    ones: int = 0

    @property
    def inputs(self) -> int:
        return size_of(self.start)

    @property
    def outputs(self) -> int:
        return size_of(self.end)

    @property
    def parameters(self) -> int:
        return sum(map(size_of, self.weights))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of most axes that the flat input is read in."""
        read = [node for node in needed([self.end], {}) if node.inputs[:1] == (self.start,)]
        shapes = [tuple(map(number, node.shape)) for node in read if node.op == "reshape"]
        return max(shapes, key=len, default=(self.inputs,))

    @cached_property
    def middle(self) -> int:
        """The input in the middle of all axes."""
        return int(np.ravel_multi_index([n // 2 for n in self.shape], self.shape))

    def lines(self) -> list[Array]:
        """The inputs in the middle of all axes but one, for each axis."""
        steps = [prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        return [
            self.middle + step * (np.arange(size) - size // 2)
            for size, step in zip(self.shape, steps, strict=True)
            if size > 1
        ]

    @cached_property
    def work(self) -> int:
        """How many products of numbers one run takes."""
        forms = [node for node in needed([self.end], {}) if node.op == "conv"]
        return sum(size_of(n) * size_of(n.inputs[1]) // number(n.shape[-1]) for n in forms)

    @cached_property
    def probing(self) -> int:
        """How many products one run takes for an input that is 0 but for one element."""
        filled: dict[Node, int] = {}
        total = 0
        for node in needed([self.end], {}):
            if node is self.start:
                filled[node] = 1
            else:
                filled[node], work = _probed(node, [filled[before] for before in node.inputs])
                total += work
        return total

    @cached_property
    def volume(self) -> int:
        """How many numbers of one run follow from the input."""
        moving = {self.start}
        for node in needed([self.end], {}):
            if moving.intersection(node.inputs):
                moving.add(node)
        return sum(map(size_of, moving))

    @property
    def cost(self) -> int:
        """The products that take as long as one row of a table."""
        return self.probing + WRITTEN * self.volume + 1

    @cached_property
    def degrees(self) -> tuple[float, float]:
        """The degree of the result in the weights and in the input; infinite if no polynomial."""
        by_weights = degree(self.end, set(self.weights))
        return by_weights, degree(self.end, {self.start})

    @cached_property
    def depth(self) -> int:
        """Most functions of one number, such as relu, that are applied one after the other."""
        found: dict[Node, int] = {self.start: 0}
        for node in needed([self.end], {}):
            before = [found[each] for each in node.inputs if each in found]
            if before:
                found[node] = max(before) + (node.op in UNARY)
        return found.get(self.end, 0)

    @cached_property
    def dense(self) -> Array | None:
        """Where the table of (input, output) pairs holds each weight, if the block is all inputs
        times a matrix of weights, plus a bias of weights.
        """
        if self.end.op != "add" or len(self.order) != 2:
            return None
        form, bias = map(_unshaped, self.end.inputs)
        if form.op != "conv" or form["axes"] or form["groups"] != 1:
            return None
        start, matrix = map(_unshaped, form.inputs)
        size = self.inputs * self.outputs
        if start is not self.start or {matrix, bias} != set(self.order):
            return None
        if size_of(matrix) != size or size_of(bias) != self.outputs:
            return None
        places = {matrix: self.outputs + np.arange(size), bias: np.arange(self.outputs)}
        return np.concatenate([places[node] for node in self.order])

    @cached_property
    def canonical(self) -> Node:
        """The result with input and weights named by the order in which they are met."""
        met = [node for node in needed([self.end], {}) if node.op == "input"]
        order = [node for node in met if node in set(self.weights)]
        names: dict[Node, Node] = {self.start: _named("z", self.start)}
        names |= {node: _named(f"w{i}", node) for i, node in enumerate(order)}
        return substitute(self.end, names)

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """The weights in the order in which they are met, those without effect last."""
        met = [node for node in needed([self.end], {}) if node in set(self.weights)]
        return (*met, *(node for node in self.weights if node not in set(met)))

    @cached_property
    def places(self) -> Array:
        """Where each element of the weights of `order`, flat, stands in those of `weights`."""
        ends = np.cumsum([0, *map(size_of, self.weights)])
        first = dict(zip(self.weights, ends.tolist(), strict=False))
        each = [first[node] + np.arange(size_of(node)) for node in self.order]
        return np.concatenate([*each, np.zeros(0, np.int64)])


def _probed(node: Node, filled: Sequence[int]) -> tuple[int, int]:
    """How many elements are not 0 where so many of the operands are not; products that takes."""
    size = size_of(node)
    match node.op:
        case "full":
            return (0 if node["value"] == 0 else size), 0
        case "conv" if node["face"] != "w":
            own = 0 if node["face"] == "y" else 1
            w = node.inputs[1 - own]
            each = size_of(w) // number(w.shape[-1])
            if own == 0:
                each = size_of(w) // number(w.shape[-2]) // node["groups"]
            return min(size, filled[own] * each), filled[own] * each
        case "add" | "sub" | "concat" | "where":
            return min(size, sum(filled)), 0
        case "mul":
            return min(size, *filled), 0
        case "reshape" | "transpose" | "slice" | "reverse" | "neg" | "cast" | "reduce_sum":
            return min(size, filled[0]), 0
        case "pad" if node["value"] == 0:
            return min(size, filled[0]), 0
        case name if name in KEEPS_ZERO:
            return filled[0], 0
    return size, 0


def size_of(node: Node) -> int:
    return prod(map(number, node.shape))


def _named(name: str, like: Node) -> Node:
    return make("input", name=name, shape=like.shape, dtype=like.dtype)


def flattened(normal: Normal, end: Node) -> Node:
    """The result in normal form, without axes of size 1, and then flat."""
    squeezed = tuple(dim for dim in end.shape if dim != 1)
    (result,) = normal([make("reshape", end, shape=squeezed)])
    while result.op == "reshape":
        (result,) = result.inputs
    return result if result.rank == 1 else make("reshape", result, shape=(size_of(result),))


def substitute(end: Node, new: Mapping[Node, Node]) -> Node:
    """The node with others in the place of some that it needs."""

    def change(node: Node, inputs: tuple[Node, ...]) -> Node:
        return new[node] if node in new else rebuild(node, inputs)

    return rewrite([end], change)[0]


def degree(end: Node, variables: set[Node]) -> float:
    """The degree of a result in variables; infinite where it is no polynomial of them."""
    found: dict[Node, float] = {}
    for node in needed([end], {}):
        each = [found[before] for before in node.inputs]
        found[node] = 1.0 if node in variables else _degree(node, each)
    return found[end]


_HIGHEST = frozenset(["add", "sub", "neg", "concat", "reduce_sum", "pad"])


def _degree(node: Node, each: Sequence[float]) -> float:
    if not any(each):
        return 0.0
    floats = node.op == "cast" and node.dtype[0] == "f"
    if node.op in _HIGHEST or floats or (OPS[node.op].kind == "view"):
        return max(each)
    if node.op in ("mul", "conv"):
        return sum(each)
    if node.op in ("div", "gather") and not each[1]:
        return each[0]
    if node.op == "where" and not each[0]:
        return max(each[1:])
    return inf


# -- cutting ----------------------------------------------------------------------------------


_BENDING = UNARY | {"max", "min", "pool_max", "reduce_max"}


class Chain:
    """A block, and the places in it through which everything passes.

    views: as for the normal form.
    """

    def __init__(self, block: Block, views: Views = "rise") -> None:
        self.block, self._views = block, views
        self.places = self._places()
        self._cut: dict[tuple[int, int], Block] = {}

    def __len__(self) -> int:
        return len(self.places) - 1

    def bend(self, first: int) -> int:
        """The last place from here up to which nothing but sums and products is done."""
        last = first
        while last < len(self) and self.places[last + 1].op not in _BENDING:
            last += 1
        return last

    def part(self, first: int, last: int) -> Block:
        """The block from one place to another."""
        if (first, last) == (0, len(self)):
            return self.block
        key = (first, last)
        if key not in self._cut:
            self._cut[key] = self._between(self.places[first], self.places[last])
        return self._cut[key]

    def _between(self, start: Node, end: Node) -> Block:
        flat = _named("z", make("reshape", start, shape=(size_of(start),)))
        entry = flat if start.shape == flat.shape else make("reshape", flat, shape=start.shape)
        result = flattened(Normal(self._views), substitute(end, {start: entry}))
        met = set(needed([result], {}))
        weights = tuple(node for node in self.block.weights if node in met)
        fixed = tuple(node for node in self.block.fixed if node in met)
        return Block(flat, weights, result, fixed, _ones(start))

    def _places(self) -> list[Node]:
        order = needed([self.block.end], {})
        moving = {self.block.start}
        for node in order:
            if any(before in moving for before in node.inputs):
                moving.add(node)
        along = [node for node in order if node in moving]
        users: dict[Node, list[int]] = {node: [] for node in order}
        for at, node in enumerate(along):
            for before in node.inputs:
                users[before].append(at)
        tied = self._tied(along)
        places, open_until = [], 0
        for at, node in enumerate(along):
            if open_until <= at and not any(first < at + 1 <= last for first, last in tied):
                places.append(node)
            open_until = max(open_until, *users[node], 0)
        ends = [_unshaped(places[0]), _unshaped(places[-1])]
        inner = [
            node
            for node in places[1:-1]
            if _unshaped(node) not in ends and not _followed(node, along, users, places)
        ]
        return [places[0], *inner, *places[1:][-1:]]

    def _tied(self, along: list[Node]) -> list[tuple[int, int]]:
        """From where to where each weight that is used more than once is used."""
        reach: dict[Node, set[Node]] = {}
        moving = set(along)
        uses: dict[Node, list[int]] = {}
        weights = set(self.block.weights)
        for node in needed([self.block.end], {}):
            own = {node} & weights
            for before in node.inputs:
                if before not in moving:
                    own |= reach[before]
            reach[node] = own
        for at, node in enumerate(along):
            for weight in reach[node]:
                uses.setdefault(weight, []).append(at)
        return [(min(at), max(at)) for at in uses.values() if len(at) > 1]


def _ones(place: Node) -> int:
    """The rows of the table of which the place holds ones where they stand; 0 for other places."""
    place = _unshaped(place)
    if place.op != "gather":
        return 0
    table, count = place.inputs[0], number(place.inputs[0].shape[0])
    return count if table is Normal().unit(count, table.dtype) else 0


def _unshaped(node: Node) -> Node:
    """What a node is a reshape of."""
    while node.op == "reshape":
        (node,) = node.inputs
    return node


def _followed(
    node: Node, along: Sequence[Node], users: Mapping[Node, list[int]], places: Sequence[Node]
) -> bool:
    """Whether only a reshape reads the node, or another view where it is one, which is a place."""
    after = [along[at] for at in users[node]]
    if len(after) != 1 or after[0] not in places:
        return False
    return after[0].op == "reshape" or (_is_view(node) and _is_view(after[0]))


def _is_view(node: Node) -> bool:
    return OPS[node.op].kind == "view"
