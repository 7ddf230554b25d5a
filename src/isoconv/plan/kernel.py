"""What one kernel computes, stripped of everything that does not change its code.

A kernel is a small graph whose inputs are called a0, a1, ... and whose run-time sizes are called
n0, n1, ...; two places that differ only in names and lengths share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from isoconv.ir import text
from isoconv.ir.forms import is_depthwise
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, raw
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import Dim, Shape, Size, name, number, product, substitute
from isoconv.plan.first import moves_channels

REDUCTIONS = ("reduce_sum", "reduce_max", "argmax")
WINDOWS = ("pool_max", "pool_argmax", "pool_take", "pool_scatter")
POINTS = ("to_points", "from_points")
# A kernel holds at most one of these, and the pooling of a form beside it (`plan.pools`); what
# follows elementwise is its epilogue.
ANCHORS = ("conv", "gather", "scatter_add", *WINDOWS, *POINTS, *REDUCTIONS)


@dataclass(frozen=True)
class Kernel:
    """kind: which generator emits it, by its name in `codegen.generate`; graph: what it gives;
    sizes: the names of its run-time sizes, in the order of its arguments.
    """

    kind: str
    graph: Graph
    sizes: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Equal keys mean equal code."""
        return f"{self.kind} {' '.join(self.sizes)}\n{text.show(self.graph)}"

    @property
    def anchor(self) -> Node | None:
        return find_anchor(self.graph.nodes)


@dataclass(frozen=True)
class Step:
    """One kernel at work: the nodes it reads and writes, the sizes it is given, and the node of
    the program that the kernel's anchor stands for.
    """

    kernel: Kernel
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    sizes: tuple[Dim, ...]
    anchor: Node | None

    def at_home(self, dim: Dim) -> Dim:
        """A size of the kernel in terms of the program's sizes."""
        return substitute(dim, dict(zip(self.kernel.sizes, self.sizes, strict=True)))


def find_anchor(nodes: Iterable[Node]) -> Node | None:
    return next((node for node in nodes if node.op in ANCHORS), None)


def make_step(roots: Sequence[Node], leaves: Iterable[Node]) -> Step:
    """The kernel that computes `roots` from `leaves`, which lie in memory."""
    inside, given = _inside(roots, set(leaves))
    outputs, inputs, anchor = tuple(roots), tuple(given), find_anchor(inside)
    if _collapsible(inside):
        roots, given = _collapse(roots, inside, given)
    elif _is_product(inside, given):
        roots, given = _flatten(roots, inside, given)
    elif len(inside) == 1 and inside[0].op == "transpose":
        roots, given = _join(inside[0])
    kernel, sizes = _abstract(roots, given)
    return Step(kernel, inputs, outputs, sizes, anchor)


def _inside(roots: Sequence[Node], leaves: set[Node]) -> tuple[list[Node], list[Node]]:
    """The nodes to compute, inputs first, and the leaves they read."""
    stops = leaves - set(roots)
    inside: dict[Node, None] = {}
    given: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in stops or node.op == "input":
            given.setdefault(node)
            return
        if node not in inside:
            for before in node.inputs:
                visit(before)
            inside.setdefault(node)

    for root in roots:
        visit(root)
    return list(inside), list(given)


# -- fewer axes -------------------------------------------------------------------------------


def _collapsible(inside: Sequence[Node]) -> bool:
    """Whether every node keeps positions as they are, but for one reduction."""
    heavy = [node for node in inside if OPS[node.op].kind != "elementwise"]
    free = ("full", "size", "broadcast", "random")
    others = [node for node in heavy if node.op not in free and not _is_number(node)]
    return len(others) <= 1 and all(node.op in ("reduce_sum", "reduce_max") for node in others)


def _is_number(node: Node) -> bool:
    """Whether this is one number in the shape of a tensor. (Whether axes collapse must not hang
    on it: a sum over one axis is blocked otherwise than one over two.)
    """
    return node.op == "reshape" and not node.inputs[0].shape


def _collapse(
    roots: Sequence[Node], inside: Sequence[Node], given: Sequence[Node]
) -> tuple[list[Node], list[Node]]:
    """The same computation on tensors of fewer axes: neighbours that move together become one."""
    reduction = next((n for n in inside if n.op in REDUCTIONS), None)
    whole = reduction.inputs[0].shape if reduction else _widest([*roots, *inside])
    reduced = set(reduction["axes"]) if reduction else set()
    tensors = [n for n in (*given, *inside) if n.rank == len(whole)]
    groups: list[list[int]] = []
    for axis, dim in enumerate(whole):
        if dim == 1 and axis not in reduced:
            continue
        if groups and _together(groups[-1][-1], axis, reduced, tensors):
            groups[-1].append(axis)
        else:
            groups.append([axis])

    def collapse(shape: Shape) -> Shape:
        if len(shape) != len(whole):
            return shape
        return tuple(product(shape[axis] for axis in group) for group in groups)

    new: dict[Node, Node] = {}
    for place, node in enumerate(given):
        attrs = {"name": f"g{place}", "shape": collapse(node.shape), "dtype": node.dtype}
        new[node] = raw("input", (), attrs, collapse(node.shape), node.dtype)
    for node in inside:
        if node in new:
            continue
        new[node] = _collapsed(node, [new[n] for n in node.inputs], collapse, groups)
    return [new[root] for root in roots], [new[node] for node in given]


def _collapsed(
    node: Node,
    inputs: Sequence[Node],
    collapse: Callable[[Shape], Shape],
    groups: Sequence[Sequence[int]],
) -> Node:
    shape = collapse(node.shape)
    attrs = dict(node.attrs)
    if "shape" in attrs:
        attrs["shape"] = shape
    if "axes" in attrs:
        reduced = attrs["axes"]
        attrs["axes"] = tuple(i for i, group in enumerate(groups) if group[0] in reduced)
    return raw(node.op, inputs, attrs, shape, node.dtype)


def _widest(nodes: Sequence[Node]) -> Shape:
    return max((node.shape for node in nodes), key=len)


def _together(left: int, right: int, reduced: set[int], tensors: Sequence[Node]) -> bool:
    """Whether two neighbouring axes are whole, or of size 1, in the same tensors."""
    if (left in reduced) != (right in reduced):
        return False
    return all((node.shape[left] == 1) == (node.shape[right] == 1) for node in tensors)


def _is_product(inside: Sequence[Node], given: Sequence[Node]) -> bool:
    """Whether a form without windows is the only heavy node, so that places are just rows."""
    forms = [node for node in inside if node.op == "conv"]
    if len(forms) != 1 or forms[0]["face"] == "x" or forms[0]["groups"] > 1:
        return False
    (form,) = forms
    if not is_dense(form) or any(
        (axis.taps, axis.stride, axis.low, axis.high) != (1, 1, 0, 0) for axis in form["axes"]
    ):
        return False
    others = [node for node in inside if node is not form]
    if form["face"] == "w":
        return not others
    whole = form.shape[:-1]
    leaves = [node for node in given if node not in form.inputs]
    return all(OPS[n.op].kind == "elementwise" or n.op in ("full", "size") for n in others) and all(
        n.rank == form.rank and (n.shape[:-1] == whole or all(dim == 1 for dim in n.shape[:-1]))
        for n in (*leaves, *others)
    )


def _flatten(
    roots: Sequence[Node], inside: Sequence[Node], given: Sequence[Node]
) -> tuple[list[Node], list[Node]]:
    """The same product with one axis of rows instead of batch and places."""
    form = next(node for node in inside if node.op == "conv")
    weights = form.inputs[1] if form["face"] == "y" else None

    def flat(node: Node) -> Shape:
        if node is weights or (node is form and weights is None):
            lines = node.shape[: node.rank - len(form["axes"]) - 2]
            return (*lines, *node.shape[-2:])
        return (product(node.shape[:-1]), node.shape[-1])

    new: dict[Node, Node] = {}
    for place, node in enumerate(given):
        attrs = {"name": f"g{place}", "shape": flat(node), "dtype": node.dtype}
        new[node] = raw("input", (), attrs, flat(node), node.dtype)
    for node in inside:
        attrs = dict(node.attrs)
        if node is form:
            attrs |= {"axes": (), "sizes": ()}
        if "shape" in attrs:
            attrs["shape"] = flat(node)
        new[node] = raw(node.op, [new[n] for n in node.inputs], attrs, flat(node), node.dtype)
    return [new[root] for root in roots], [new[node] for node in given]


def _join(transpose: Node) -> tuple[list[Node], list[Node]]:
    """The same transposition without axes of size 1, and with axes that stay neighbours as one."""
    (x,) = transpose.inputs
    groups: list[list[int]] = []
    for axis in transpose["perm"]:
        if x.shape[axis] == 1:
            continue
        if groups and axis == groups[-1][-1] + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    order = sorted(groups)
    shape = tuple(product(x.shape[axis] for axis in group) for group in order)
    attrs = {"name": "g", "shape": shape, "dtype": x.dtype}
    given = raw("input", (), attrs, shape, x.dtype)
    perm = tuple(order.index(group) for group in groups)
    moved = tuple(shape[axis] for axis in perm)
    return [raw("transpose", (given,), {"perm": perm}, moved, x.dtype)], [given]


# -- fewer names ------------------------------------------------------------------------------


def _abstract(roots: Sequence[Node], given: Sequence[Node]) -> tuple[Kernel, tuple[Dim, ...]]:
    """Names inputs and sizes by their order, so that equal work has equal text; gives the sizes."""
    numbers: dict[Dim, Size] = {}

    def rename(dim: Dim) -> Dim:
        if isinstance(dim, int):
            return dim
        return numbers.setdefault(dim, name(f"n{len(numbers)}"))

    new: dict[Node, Node] = {}
    for place, node in enumerate(given):
        shape = tuple(map(rename, node.shape))
        attrs = {"name": f"a{place}", "shape": shape, "dtype": node.dtype}
        new[node] = raw("input", (), attrs, shape, node.dtype)
    inside, _ = _inside(roots, set(given) - set(roots))
    for node in inside:
        shape = tuple(map(rename, node.shape))
        changed = {key: _renamed(value, rename) for key, value in node.attrs}
        new[node] = raw(node.op, [new[n] for n in node.inputs], changed, shape, node.dtype)
    graph = Graph(tuple(new[n] for n in given), tuple(new[root] for root in roots))
    kernel = Kernel(choose_kind(graph), graph, tuple(map(str, numbers.values())))
    return kernel, tuple(numbers)


def _renamed(value: Any, rename: Callable[[Dim], Dim]) -> Any:
    """An attribute with its run-time sizes renamed."""
    if isinstance(value, Size):
        return rename(value)
    if isinstance(value, tuple):
        return tuple(_renamed(item, rename) for item in value)
    if isinstance(value, Axis):
        return replace(value, low=rename(value.low), high=rename(value.high))
    return value


def choose_kind(graph: Graph) -> str:
    """Which generator emits a kernel."""
    anchor = find_anchor(graph.nodes)
    if anchor is not None and anchor.op == "conv" and moves_channels(graph.outputs[0]):
        return "first"
    if anchor is None:
        return "transpose" if _is_transposition(graph) else "pull"
    if anchor.op in POINTS:
        return "points"
    if anchor.op == "scatter_add":
        return "scatter"
    if anchor.op in ("reduce_sum", "reduce_max") and anchor.inputs[0].rank - 1 in anchor["axes"]:
        return "rows"
    if anchor.op == "conv" and anchor["face"] == "x" and anchor["axes"] and _spreads(anchor):
        return "depthwise"
    if anchor.op == "conv" and anchor["axes"] and has_small_groups(anchor):
        return "group gram" if anchor["face"] == "w" else "depthwise"
    if anchor.op == "conv" and is_dense(anchor) and is_plain(anchor):
        return "line"
    if anchor.op == "conv" and is_dense(anchor):
        return "gram" if anchor["face"] == "w" else "tile"
    return "pull"


def has_small_groups(conv: Node) -> bool:
    """Whether a form is depthwise, or its groups are so small that a vector holds several."""
    groups = conv["groups"]
    if (
        conv["face"] not in ("y", "w")
        or groups == 1
        or any(part.op == "full" for part in conv.inputs)
    ):
        return False
    channels, filters = (number(n.shape[-1]) // groups for n in (conv.inputs[0], conv))
    return is_depthwise(conv) or (filters in (2, 4, 8) and channels <= filters)


def _spreads(conv: Node) -> bool:
    """Whether the face x is that of a depthwise form whose operands lie in memory."""
    return is_depthwise(conv) and all(part.op != "full" for part in conv.inputs)


def _is_transposition(graph: Graph) -> bool:
    """Whether a kernel moves the last axis of one tensor and does nothing else."""
    root = graph.outputs[0]
    # A number that stands everywhere lies nowhere.
    return len(graph.nodes) == 2 and turns(root) and root.inputs[0].op == "input"


def turns(node: Node) -> bool:
    """Whether this is a transposition whose last axis comes from elsewhere, of numbers."""
    return (
        node.op == "transpose"
        and node.dtype != "bool"
        and node.rank > 1
        and bool(node["perm"][-1] != node.rank - 1)
    )


def is_dense(conv: Node) -> bool:
    """Whether register tiles pay: there is one group, or filters sum over several channels."""
    if conv.rank < 2 or any(operand.op == "full" for operand in conv.inputs):
        return False
    if conv["face"] == "w":
        return bool(conv["groups"] == 1)
    weights = conv.inputs[1 if conv["face"] == "y" else 0]
    return conv["groups"] == 1 or conv["face"] == "xt" or number(weights.shape[-2]) > 1


def is_plain(conv: Node) -> bool:
    """Whether a form has one channel, one filter and no stride along its last axis: neighbouring
    outputs meet neighbouring inputs.
    """
    return (
        conv["face"] == "y"
        and bool(conv["axes"])
        and conv["axes"][-1].stride == 1
        and conv.inputs[0].shape[-1] == conv.shape[-1] == 1
    )


def copy_step(node: Node, which: int) -> tuple[Step, Node]:
    """The kernel that copies a value that lies in memory, and the node that stands for copy
    number `which`.
    """
    result = raw("copy", (node,), {"number": which}, node.shape, node.dtype)
    size = (product(node.shape),)
    flat = raw("input", (), {"name": "flat", "shape": size, "dtype": node.dtype}, size, node.dtype)
    kernel, sizes = _abstract([flat], [flat])
    return Step(kernel, (node,), (result,), sizes, None), result
