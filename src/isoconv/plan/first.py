"""Forms between tensors with channels first, found in a graph that has them last: one that reads a
transposed tensor and is transposed itself is one kernel, and neither copy is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node
from isoconv.ir.layout import first_order, last_order
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import number
from isoconv.plan.phases import phases_of, split_phases
from isoconv.plan.worth import pays

# What a kernel with channels first may compute beside its form and elementwise operations.
_LEAVES = ("full", "size")
# What is nowhere in memory.
_NUMBERS = (*_LEAVES, "iota")


@dataclass(frozen=True)
class First:
    """One such form. root: the transpose that ends it; inside: what its kernel computes."""

    root: Node
    form: Node
    inside: frozenset[Node]


def find_first(graph: Graph) -> list[First]:
    """The forms of a graph that are computed with channels first."""
    return [each for each in _between(graph) if not _strides(each.form)]


def separate(graph: Graph) -> Graph:
    """An equal graph where every form between tensors with channels first is one to compute so."""
    strided = [each.form for each in _between(graph) if _strides(each.form)]
    return split_phases(graph, {form: axes(form)[-1].stride for form in strided})


def _between(graph: Graph) -> list[First]:
    found = (_match(node, graph) for node in graph.nodes if moves_channels(node))
    return [each for each in found if each is not None and pays(each.form, axes(each.form))]


def moves_channels(node: Node) -> bool:
    """Whether a transpose brings the last axis to the second place."""
    return node.op == "transpose" and node.rank > 2 and node["perm"] == first_order(node.rank)


def _is_moved(node: Node) -> bool:
    """Whether a transpose brings the second axis to the end."""
    return node.op == "transpose" and node["perm"] == last_order(node.rank)


def _match(root: Node, graph: Graph) -> First | None:
    chain = {root}
    form = None
    stack = [root.inputs[0]]
    while stack:
        node = stack.pop()
        if node in chain or not _is_inside(node, chain, graph):
            continue
        if node.op == "conv":
            if form is not None or not is_suited(node):
                return None
            form = node
        chain.add(node)
        if node.op != "broadcast" and node is not form:
            stack.extend(node.inputs)
    if form is None or not all(_is_even(node, form, chain) for node in chain - {root}):
        return None
    views = [*data_views(form), *_views(form.inputs[1])]
    return First(root, form, frozenset((*chain, *views)))


def _is_inside(node: Node, chain: set[Node], graph: Graph) -> bool:
    if node.op in (*_LEAVES, "broadcast"):
        return True
    if node.op != "conv" and OPS[node.op].kind != "elementwise":
        return False
    return node not in graph.outputs and all(user in chain for user in graph.users[node])


def _is_even(node: Node, form: Node, chain: set[Node]) -> bool:
    """Whether what a node reads is the same at all positions, or differs at each."""
    if node is form or node.op in _LEAVES:
        return True
    if node.shape != form.shape:
        return False
    ones = (1,) * (form.rank - 2)
    return all(
        each in chain
        or each.shape == form.shape
        or (each.rank == form.rank and each.shape[1:-1] == ones)
        for each in node.inputs
    )


def _is_view(node: Node) -> bool:
    """Whether weights lie in another tensor with constant steps along each axis."""
    if node.op != "reshape":
        return node.op in ("transpose", "reverse")
    before, after = ([dim for dim in each.shape if dim != 1] for each in (node.inputs[0], node))
    return before == after


def _views(node: Node) -> list[Node]:
    """The weights' own views, from the one that the form reads."""
    found = []
    while _is_view(node):
        found.append(node)
        node = node.inputs[0]
    return found


def is_suited(conv: Node) -> bool:
    """Whether neighbouring outputs of a form meet neighbouring inputs, channels coming first, and
    both operands lie in memory.
    """
    if conv["face"] != "y" or conv.rank <= 2 or not (views := data_views(conv)):
        return False
    weights = [conv.inputs[1], *(view.inputs[0] for view in _views(conv.inputs[1]))][-1]
    return not any(node.op in _NUMBERS for node in (views[-1].inputs[0], weights))


def data_views(conv: Node) -> list[Node]:
    """How a form reads a tensor with channels first, from what it reads on; nothing where it reads
    anything else. Where its last stride is above 1 it reads the tensor's phases, if they are apart.
    """
    x, stride = conv.inputs[0], axes(conv)[-1].stride
    phases = phases_of(x, stride) if stride > 1 else []
    return phases or ([x] if _is_moved(x) else [])


def _strides(conv: Node) -> bool:
    """Whether neighbouring outputs of a form meet places that are not neighbours."""
    return axes(conv)[-1].stride > 1 and len(data_views(conv)) == 1


def axes(conv: Node) -> tuple[Axis, ...]:
    """An axis for each dimension between the batch and the channels; where the form has none, a
    window of one tap.
    """
    own: tuple[Axis, ...] = conv["axes"]
    return (*(Axis(1),) * (conv.rank - 2 - len(own)), *own)


def in_place(weights: Node) -> tuple[Node, int, tuple[int, ...]]:
    """The tensor that weights lie in, perhaps seen otherwise; the place of the first one in it, and
    the steps along each axis.
    """
    if not _is_view(weights):
        sizes = [number(dim) for dim in weights.shape]
        return weights, 0, tuple(prod(sizes[axis + 1 :]) for axis in range(weights.rank))
    tensor, start, steps = in_place(weights.inputs[0])
    if weights.op == "reshape":
        kept = iter(
            [step for step, dim in zip(steps, weights.inputs[0].shape, strict=True) if dim != 1]
        )
        return tensor, start, tuple(0 if dim == 1 else next(kept) for dim in weights.shape)
    if weights.op == "transpose":
        return tensor, start, tuple(steps[axis] for axis in weights["perm"])
    changed = list(steps)
    for axis in weights["axes"]:
        start += (number(weights.shape[axis]) - 1) * steps[axis]
        changed[axis] = -steps[axis]
    return tensor, start, tuple(changed)
