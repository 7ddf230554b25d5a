"""What of a program follows from its weights alone, as a program of its own.

It runs once for each version of the weights; its results, the prepared weights, are inputs of what
is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isoconv.ir.graph import Graph, Node, rebuild, rewrite
from isoconv.ir.layout import apart, filters_a_line, from_lines, in_lines, to_lines
from isoconv.ir.ops import make
from isoconv.ir.sizes import number, product
from isoconv.rewriting.rule import Facts

# So many weights come from beyond the caches nearest to a core: they are read in lines, one after
# the other, where there are filters enough for the widest tiles.
_FAR, _FILTERS = 1 << 16, 64


@dataclass(frozen=True)
class Prepared:
    """first: from all inputs of the program to the prepared weights. rest: from all inputs and the
    prepared weights to the outputs.
    """

    first: Graph
    rest: Graph


def split(graph: Graph, weights: Iterable[Node]) -> Prepared | None:
    """The program in two parts; None where nothing can be prepared.

    weights: the inputs that do not change from call to call.
    """
    weights = list(weights)
    graph = _with_lines(graph, Facts(graph, weights))
    facts = Facts(graph, weights)
    found: dict[Node, None] = {}
    for node in graph.nodes:
        if not facts.is_fixed(node):
            found |= dict.fromkeys(_kept(x, node) for x in node.inputs if facts.is_fixed(x))
    kept = [node for node in found if _is_computed(node)]
    if not kept:
        return None
    inputs = {
        node: make("input", name=f"prepared_{i}", shape=node.shape, dtype=node.dtype)
        for i, node in enumerate(kept)
    }

    def change(node: Node, new: tuple[Node, ...]) -> Node:
        return inputs[node] if node in inputs else rebuild(node, new)

    rest = Graph((*graph.inputs, *inputs.values()), tuple(rewrite(graph.outputs, change)))
    return Prepared(Graph(graph.inputs, tuple(kept)), rest)


def _with_lines(graph: Graph, facts: Facts) -> Graph:
    """The graph with many weights of a form in the order in which kernels read them."""

    def change(node: Node, new: tuple[Node, ...]) -> Node:
        if node.op == "conv" and _reads_lines(node) and facts.is_fixed(node.inputs[1]):
            new = (new[0], from_lines(to_lines(new[1])))
        return rebuild(node, new)

    return Graph(graph.inputs, tuple(rewrite(graph.outputs, change)))


def _reads_lines(conv: Node) -> bool:
    """Whether many weights meet many places, and channels are last."""
    x, w = conv.inputs
    if conv["face"] != "y" or conv["groups"] > 1 or conv.rank < 3 or x.op == "transpose":
        return False
    filters = number(w.shape[-1])
    many = filters >= _FILTERS and number(product(w.shape)) >= _FAR
    return many and filters % filters_a_line(w.dtype) == 0


def _kept(node: Node, reader: Node) -> Node:
    """What is stored for a value: not its repetitions, nor another shape of the same elements, nor
    another order of weights that lie group by group or in lines, which kernels read as they are.
    """
    if reader.op == "conv":
        node = apart(node, reader["groups"]) or in_lines(node) or node
    while node.op in ("reshape", "broadcast"):
        node = node.inputs[0]
    return node


def _is_computed(node: Node) -> bool:
    """Whether the value is more than a constant that a kernel writes itself."""
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if current.op == "input":
            return node.op != "input"
        if current not in seen:
            seen.add(current)
            stack += current.inputs
    return False
