"""What of a program follows from its weights alone, as a program of its own.

It runs once for each version of the weights; its results, the prepared weights, are inputs of what
is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isoconv.ir.graph import Graph, Node, rebuild, rewrite
from isoconv.ir.layout import apart
from isoconv.ir.ops import make
from isoconv.rewriting.rule import Facts


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


def _kept(node: Node, reader: Node) -> Node:
    """What is stored for a value: not its repetitions, nor another shape of the same elements, nor
    another order of weights that lie group by group, which kernels read as they are.
    """
    if reader.op == "conv":
        node = apart(node, reader["groups"]) or node
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
