"""Applies rules to a graph until none fits, and records every application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import Context

from isoconv.errors import InternalError
from isoconv.ir.graph import Graph, Node, origin, rebuild, rewrite
from isoconv.rewriting.rule import Facts, Rule, Step

# A rule makes the graph smaller or moves something one way, so that a few passes end it.
_MOST_PASSES = 100


def apply(
    graph: Graph, rules: Sequence[Rule], weights: Iterable[Node] = ()
) -> tuple[Graph, tuple[Step, ...]]:
    """An equal graph to which no rule applies any more, and what was done.

    weights: the inputs that hold weights, which a folding rule may compute with beforehand.
    """
    # In an empty context nodes get the origin of what they replace, whatever surrounds this call.
    return Context().run(_until_none_fits, graph, rules, tuple(weights))


def _until_none_fits(
    graph: Graph, rules: Sequence[Rule], weights: Sequence[Node]
) -> tuple[Graph, tuple[Step, ...]]:
    steps: list[Step] = []
    for _ in range(_MOST_PASSES):
        found = _Pass(graph, rules, weights)
        if not found.steps:
            return graph, tuple(steps)
        graph = found.result
        steps += found.steps
    raise InternalError(f"rules go round in a circle: {steps[-1]}")


class _Pass:
    """One walk from the inputs up."""

    def __init__(self, graph: Graph, rules: Sequence[Rule], weights: Sequence[Node]) -> None:
        self.steps: list[Step] = []
        self._rules = rules
        self._facts = Facts(graph, weights)
        self._reads = {node: len(users) for node, users in graph.users.items()}
        for node in graph.outputs:
            self._reads[node] += 1
        self.result = Graph(graph.inputs, tuple(rewrite(graph.outputs, self._change)))

    def _change(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        new = node if inputs == node.inputs else rebuild(node, inputs)
        self._facts.place = node
        with origin(node.origin):
            for rule in self._rules:
                found = rule.apply(new, self._facts) if new.op in rule.at else None
                if found is not None:
                    step = Step(rule, node.origin, repr(new), repr(found), rule.bound(new))
                    self.steps.append(step)
                    new = found
        self._facts.counted(new, self._reads[node])
        return new
