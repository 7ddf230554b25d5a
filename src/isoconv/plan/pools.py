"""Max pooling in the kernel of the form that it reads: all sums of a window, of which the largest
is written. The others never reach memory, and sums that no window meets are never made.
"""

from __future__ import annotations

from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, origin, rebuild, rewrite
from isoconv.ir.ops import make
from isoconv.ir.sizes import number
from isoconv.plan.kernel import has_small_groups, is_dense, is_plain

# Positions of a window whose sums stand in registers together.
_MOST = 4
# Longer sums take so long that a trip to memory is nothing beside them.
_TERMS = 1024
# Sums of integers may leave their range, and then do not keep order.
_FLOATS = ("float32", "float64")


def pool_early(graph: Graph) -> Graph:
    """An equal graph where max pooling comes before shifts of whole channels and relu, which keep
    the order of numbers and then have less to do: the same bits.
    """

    def changed(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op != "pool_max" or not _has_no_edges(node):
            return rebuild(node, inputs)
        with origin(node.origin):
            return pooled(node, node.inputs[0], inputs[0])

    def pooled(pool: Node, x: Node, new: Node) -> Node:
        """The pooling of x, which has become `new`, as early as it can be."""
        if len(graph.users[x]) == 1 and x not in graph.outputs and x.dtype in _FLOATS:
            if x.op == "relu":
                return make("relu", pooled(pool, x.inputs[0], new.inputs[0]))
            for place in (0, 1) if x.op == "add" else ():
                shift = new.inputs[1 - place]
                if all(dim == 1 for dim in shift.shape[:-1]):
                    return make("add", pooled(pool, x.inputs[place], new.inputs[place]), shift)
        return rebuild(pool, (new,))

    return Graph(graph.inputs, tuple(rewrite(graph.outputs, changed)))


def joined(graph: Graph) -> dict[Node, Node]:
    """The forms that are computed in the kernel of the pooling that reads them, with it."""
    return {
        node: users[0]
        for node, users in graph.users.items()
        if len(users) == 1 and node not in graph.outputs and _joins(node, users[0])
    }


def _joins(form: Node, pool: Node) -> bool:
    return (
        pool.op == "pool_max"
        and _has_no_edges(pool)
        and all(axis.stride == axis.taps and axis.dilation == 1 for axis in pool["axes"])
        and 1 < prod(window(pool)) <= _MOST
        and all(taps == 1 for taps in window(pool)[:-2])
        and form.op == "conv"
        and form["face"] == "y"
        and bool(form["axes"])
        and is_dense(form)
        and not (is_plain(form) or has_small_groups(form))
        and prod(map(number, form.inputs[1].shape[:-1])) < _TERMS
    )


def window(pool: Node) -> tuple[int, ...]:
    """The positions that a pooling joins along each dimension but the last."""
    axes: tuple[Axis, ...] = pool["axes"]
    return (*(1,) * (pool.rank - 1 - len(axes)), *(axis.taps for axis in axes))


def _has_no_edges(pool: Node) -> bool:
    return all(axis.low == axis.high == 0 for axis in pool["axes"])
