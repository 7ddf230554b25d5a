"""What a rule on graphs is, what it may ask of the graph around it, and the record it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import OPS
from isoconv.rewriting.equations import EQUATIONS, Equation, Numeric

_HEAVY = ("contract", "window")


class Facts:
    """What a rule may ask: who reads a value, and what follows from weights alone.

    weights: the input nodes that hold weights, which do not change from call to call.
    """

    def __init__(self, graph: Graph, weights: Iterable[Node] = ()) -> None:
        self._weights = frozenset(weights)
        self._fixed: dict[Node, bool] = {}
        self._reads: Counter[Node] = Counter()
        self._readers = graph.users
        self.place: Node = graph.outputs[0] if graph.outputs else graph.inputs[0]
        self._outputs = set(graph.outputs)
        self._needed = {
            (node.inputs[0], node["perm"])
            for node, readers in graph.users.items()
            if node.op == "transpose" and any(OPS[each.op].kind in _HEAVY for each in readers)
        }

    def counted(self, node: Node, times: int) -> None:
        """Notes that `times` more nodes will read this one."""
        self._reads[node] += times

    def read_once(self, node: Node) -> bool:
        """Whether nothing but the node in question reads this one."""
        return self._reads[node] <= 1

    def is_only_transposed(self, perm: tuple[int, ...]) -> bool:
        """Whether all that reads the node in question is its transpose by `perm`."""
        readers = self._readers.get(self.place, [])
        return (
            bool(readers)
            and self.place not in self._outputs
            and all(each.op == "transpose" and each["perm"] == perm for each in readers)
        )

    def is_needed_transposed(self, node: Node, perm: tuple[int, ...]) -> bool:
        """Whether a form or a window reads this transpose, so that it stays in any case."""
        return (node, perm) in self._needed

    def is_fixed(self, node: Node) -> bool:
        """Whether the value follows from weights and constants, so that it can be prepared."""
        known = self._fixed.get(node)
        if known is None:
            stack = [node]
            while stack:
                current = stack[-1]
                open_ = [before for before in current.inputs if before not in self._fixed]
                if open_:
                    stack += open_
                    continue
                self._fixed[current] = self._follows(current)
                stack.pop()
            known = self._fixed[node]
        return known

    def _follows(self, node: Node) -> bool:
        if not all(isinstance(dim, int) for dim in node.shape):
            return False
        if node.op == "input":
            return node in self._weights
        return node.op not in ("size", "random") and all(self._fixed[x] for x in node.inputs)


@dataclass(frozen=True)
class Rule:
    """An equation between graphs.

    title: what it does, in a few words. number: the row of `EQUATIONS` it carries out.
    before, after, condition: the equation. apply: of a node and the facts around it, the equal
    node, or None where the rule does not fit. at: the operations of nodes it may fit. bound: of
    the node it replaces, what it adds to the error at most, as a part of sum |x| |w|.
    """

    title: str
    number: str
    before: str
    after: str
    condition: str
    numeric: Numeric
    at: frozenset[str]
    apply: Callable[[Node, Facts], Node | None] = field(repr=False)
    bound: Callable[[Node], float] = field(default=lambda node: 0.0, repr=False)

    @property
    def equation(self) -> Equation:
        return EQUATIONS[self.number]


@dataclass(frozen=True)
class Step:
    """One application of a rule.

    where: the origin of the node it replaced (names of layers). before, after: the two nodes.
    bound: what a rule of the class approximate adds to the error at most; 0 for all others.
    """

    rule: Rule
    where: str
    before: str
    after: str
    bound: float = 0.0

    def __str__(self) -> str:
        text = f"{self.where or 'program'}: {self.rule.title}: {self.before} -> {self.after}"
        return f"{text}, error at most {self.bound:.1e} sum |x| |w|" if self.bound else text
