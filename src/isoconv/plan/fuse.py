"""Which values are written to memory, and which are computed where they are read."""

from __future__ import annotations

from collections.abc import Sequence

from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import OPS
from isoconv.plan.first import find_first
from isoconv.plan.kernel import (
    ANCHORS,
    REDUCTIONS,
    Step,
    has_small_groups,
    is_dense,
    make_step,
    turns,
)
from isoconv.plan.memory import ALIASES, owner
from isoconv.plan.pools import joined

_LEAVES = ("full", "size", "iota")
# Repeating these in every reader costs less than a trip to memory.
_CHEAP = ("cast", "neg", "broadcast", "lt", "le", "eq", "not", "and", "or")


def partition(graph: Graph) -> list[Step]:
    """The kernels that compute the graph, in order."""
    return _Partition(graph).steps()


class _Partition:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.first = {each.root: each.inside for each in find_first(graph)}
        self.pooled = joined(graph)
        self.inline: set[Node] = set()
        # The one kernel (its root) that holds a node; absent where several do.
        self.home: dict[Node, Node] = {}
        # Whether a node has the position and shape of its kernel's root.
        self.direct: set[Node] = set()
        self.anchored: dict[Node, Node] = {}
        for node in reversed(graph.nodes):
            self._decide(node)

    def steps(self) -> list[Step]:
        # A reshaped number is computed where it is read; any other reshape names a buffer.
        named = {
            n
            for n in self.graph.nodes
            if n.op in ALIASES and n not in self.inline and not self._is_number(n)
        }
        held = {owner(n) for n in (*named, *self.graph.outputs)}
        lying = [
            n
            for n in self.graph.nodes
            if n not in self.inline and (n in held or n.op not in (*_LEAVES, *ALIASES))
        ]
        leaves = set(lying) | named
        together = self._share_kernels(lying)
        steps = []
        for node in lying:
            if node.op == "input" or node in together:
                continue
            extra = [other for other, root in together.items() if root is node]
            inside = self.first.get(node, frozenset())
            steps.append(make_step([node, *extra], leaves - set(extra) - inside))
        return steps

    def _is_number(self, node: Node) -> bool:
        source = owner(node)
        return source.op in _LEAVES and not source.shape and node not in self.outputs

    def _decide(self, node: Node) -> None:
        users = self.graph.users[node]
        if node.op in _LEAVES or node.op == "input":
            return
        if node in self.first:
            self.home[node] = node
            self.direct.add(node)
            return
        if node in self.pooled:
            self.inline.add(node)
            self.home[node] = self.home[self.pooled[node]]
            return
        within = any(node in inside for inside in self.first.values())
        cheap = within or node.op in _CHEAP
        if (
            node not in self.outputs
            and (within or node.op not in ALIASES)
            and users
            and (len(set(users)) == 1 or cheap or self._meets_itself(node))
            and all(self._accepts(user, node) for user in users)
        ):
            self.inline.add(node)
            homes = {self.home.get(user) for user in users}
            if len(homes) == 1 and (home := homes.pop()) is not None:
                self.home[node] = home
                if node.shape == home.shape and all(
                    user in self.direct and OPS[user.op].kind == "elementwise" for user in users
                ):
                    self.direct.add(node)
                if node.op in ANCHORS:
                    self.anchored[home] = node
            return
        self.home[node] = node
        self.direct.add(node)
        if node.op in ANCHORS:
            self.anchored[node] = node

    def _meets_itself(self, node: Node) -> bool:
        """Whether one kernel reads it, at its own positions, so that it is computed once there."""
        users = self.graph.users[node]
        homes = {self.home.get(user) for user in users}
        return len(homes) == 1 and all(
            user in self.direct and OPS[user.op].kind == "elementwise" and user.shape == node.shape
            for user in users
        )

    def _accepts(self, user: Node, node: Node) -> bool:
        """Whether a reader may compute an operand itself."""
        kind = OPS[user.op].kind
        for inside in self.first.values():
            if user in inside:
                return node in inside
        if node.op in ANCHORS:
            home = self.home.get(user)
            return (
                not _stands_alone(node)
                and kind == "elementwise"
                and user in self.direct
                and home is not None
                and home not in self.anchored
                and node.shape == home.shape
            )
        if node.op == "transpose" and self._is_summed(user):
            return False
        if kind == "view" and self.home.get(user) is user and turns(user):
            # Alone, it is a kernel of squares; element by element it takes several times as long.
            return False
        if user.op in ALIASES or (self.home.get(user) is None and node.op not in _CHEAP):
            return False
        return kind in ("elementwise", "view") or user.op in REDUCTIONS

    def _is_summed(self, user: Node) -> bool:
        """Whether a reader belongs to a sum, whose order follows from how its operand lies."""
        home = self.home.get(user)
        return home is not None and getattr(self.anchored.get(home), "op", "") == "reduce_sum"

    def _share_kernels(self, lying: Sequence[Node]) -> dict[Node, Node]:
        """Values that only one kernel reads, at its own positions, are written by that kernel."""
        together: dict[Node, Node] = {}
        for node in lying:
            users = self.graph.users[node]
            homes = {self.home.get(user) for user in users}
            if not users or len(homes) != 1 or OPS[node.op].kind != "elementwise":
                continue
            (home,) = homes
            if (
                home is None
                or home in self.anchored
                or node in self.anchored
                or home.shape != node.shape
                or home.dtype != node.dtype
                or not all(
                    user in self.direct and OPS[user.op].kind == "elementwise" for user in users
                )
            ):
                continue
            together[node] = together.get(home, home)
        return {node: _last(together, node) for node in together}


def _stands_alone(anchor: Node) -> bool:
    """Whether its kernel holds nothing else: what it writes is added up in memory or in blocks."""
    if anchor.op == "scatter_add":
        return True
    gradient = anchor.op == "conv" and anchor["face"] == "w"
    return gradient and (is_dense(anchor) or has_small_groups(anchor))


def _last(together: dict[Node, Node], node: Node) -> Node:
    while node in together:
        node = together[node]
    return node
