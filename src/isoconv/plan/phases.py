"""Strides along lines that stay where they lie: places of one phase are brought side by side, so
that neighbouring outputs meet neighbouring inputs.

Of a stride s, place p is number p // s of phase p % s. The phases of a tensor [n, c, ..., L] are
one of [n, c, ..., s, L/s]; a line whose end is missing in some phases is longer there.
"""

from __future__ import annotations

from isoconv.ir.graph import Graph, Node, rebuild, rewrite
from isoconv.ir.ops import make
from isoconv.ir.sizes import ceildiv


def split_phases(graph: Graph, strides: dict[Node, int]) -> Graph:
    """An equal graph where these forms read the phases of what they read, channels still first.

    strides: of each form whose data is a tensor with channels first, transposed: its last stride.
    """
    if not strides:
        return graph
    phases: dict[tuple[Node, int], Node] = {}

    def changed(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in strides:
            return rebuild(node, inputs)
        (x,) = inputs[0].inputs
        at = x, strides[node]
        if at not in phases:
            phases[at] = _apart(*at)
        return rebuild(node, (_joined(phases[at], inputs[0]), *inputs[1:]))

    return Graph(graph.inputs, tuple(rewrite(graph.outputs, changed)))


def _apart(x: Node, stride: int) -> Node:
    """[n, c, ..., L] as [n, c, ..., stride, L/stride], rounded up."""
    *lead, length = x.shape
    each = ceildiv(length, stride)
    missing = each * stride - length
    if missing != 0:
        none = (0,) * x.rank
        high = (*none[:-1], missing)
        x = make("pad", x, low=none, high=high, interior=none, value=0.0)
    groups = make("reshape", x, shape=(*lead, each, stride))
    rank = groups.rank
    return make("transpose", groups, perm=(*range(rank - 2), rank - 1, rank - 2))


def _joined(phases: Node, data: Node) -> Node:
    """The tensor with channels last whose phases these are."""
    rank = phases.rank
    last = make("transpose", phases, perm=(0, *range(2, rank - 2), rank - 1, rank - 2, 1))
    *lead, each, stride, channels = last.shape
    whole = make("reshape", last, shape=(*lead, each * stride, channels))
    if whole.shape == data.shape:
        return whole
    return make("slice", whole, start=(0,) * whole.rank, shape=data.shape, step=(1,) * whole.rank)


def phases_of(data: Node, stride: int) -> list[Node]:
    """What stands between the phases of a tensor and a form that reads it with this stride along
    its lines, as `split_phases` has it; nothing where a form reads anything else.
    """
    found = [data] if data.op == "slice" else []
    whole = data.inputs[0] if found else data
    if whole.op != "reshape" or whole.inputs[0].op != "transpose":
        return []
    (last,) = whole.inputs
    rank = last.rank
    *lead, each, period, channels = last.shape
    if (
        period != stride
        or last["perm"] != (0, *range(2, rank - 2), rank - 1, rank - 2, 1)
        or whole.shape != (*lead, each * period, channels)
    ):
        return []
    if found and not (
        data["start"] == (0,) * data.rank
        and data["step"] == (1,) * data.rank
        and (*data.shape[:-2], data.shape[-1]) == (*whole.shape[:-2], whole.shape[-1])
    ):
        return []
    return [*found, whole, last]
