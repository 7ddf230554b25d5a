"""Forms of few filters over many channels: lanes that are filters would be idle, so that channels
are brought first and lanes are neighbouring outputs. Forms of one input share its copy.
"""

from __future__ import annotations

from math import prod

from isoconv.ir.graph import Graph, Node, origin, rebuild, rewrite
from isoconv.ir.layout import to_first, to_last
from isoconv.ir.sizes import number
from isoconv.plan.first import axes
from isoconv.plan.worth import pays

# Filters that fill half of a vector at most.
_FEW = 8
# With fewer taps, or of fewer channels, the copy costs more than idle lanes.
_TAPS, _CHANNELS = 2, 4


def channels_first(graph: Graph) -> Graph:
    """An equal graph where such forms stand between tensors with channels first."""
    narrow = {node for node in graph.nodes if _is_narrow(node)}
    if not narrow:
        return graph

    def changed(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in narrow:
            return rebuild(node, inputs)
        with origin(node.origin):
            turned = rebuild(node, (to_last(to_first(inputs[0])), *inputs[1:]))
            return to_last(to_first(turned))

    return Graph(graph.inputs, tuple(rewrite(graph.outputs, changed)))


def _is_narrow(node: Node) -> bool:
    if node.op != "conv" or node["face"] != "y" or node["groups"] != 1 or not node["axes"]:
        return False
    channels, filters = map(number, node.inputs[1].shape[-2:])
    taps = prod(axis.taps for axis in node["axes"])
    straight = axes(node)[-1].stride == 1 and node.inputs[0].op != "transpose"
    # The copy is of channels; what it gains is for filters.
    narrow = filters <= _FEW and channels >= max(_CHANNELS, 2 * filters) and taps >= _TAPS
    return straight and narrow and pays(node, axes(node))
