"""Whether a graph contradicts itself, and what only the run-time sizes can decide about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from isoconv.errors import InternalError, ShapeError, explain
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, Origin, current_origin
from isoconv.ir.ops import OPS, agree, show
from isoconv.ir.sizes import Dim, Shape, Size, evaluate, lower_bound, product


def describe(node: Node) -> str:
    """A node as an error names it: where it came from, and its operation."""
    return f"{node.origin.label}: {node.op}".removeprefix(": ")


def verify(graph: Graph) -> None:
    """Raises InternalError, naming the node, where the graph contradicts the operation table."""
    verify_inputs(graph)
    for node in graph.nodes:
        found = problem(node)
        if found:
            raise InternalError(f"{describe(node)}: {found}")


def verify_inputs(graph: Graph) -> None:
    for node in graph.inputs:
        if node.op != "input":
            raise InternalError(f"{describe(node)}: listed as an input of the graph")
    names = [node["name"] for node in graph.inputs]
    for name in names:
        if names.count(name) > 1:
            raise InternalError(f"the graph has more than one input {name!r}")
    for node in graph.nodes:
        if node.op == "input" and node not in graph.inputs:
            raise InternalError(f"{describe(node)} {node['name']!r}: not listed by the graph")


def problem(node: Node) -> str:
    """What is wrong with a node; nothing if it is as its row says."""
    row = OPS.get(node.op)
    if row is None:
        return "no such operation"
    if row.arity not in (-1, len(node.inputs)):
        return f"{len(node.inputs)} operands"
    attrs = dict(node.attrs)
    if set(attrs) != set(row.attrs):
        return f"the attributes {', '.join(attrs)}"
    try:
        shape, dtype = row.rule(node.inputs, attrs)
    except Exception as error:  # whatever a rule trips over is wrong with the node
        return str(error)
    # Sizes may be written differently after a rewrite, as long as they can be equal.
    if len(shape) != node.rank or not all(map(agree, shape, node.shape)):
        return f"its shape is {show(node.shape)}, by its operands {show(shape)}"
    return "" if dtype == node.dtype else f"its dtype is {node.dtype}, by its operands {dtype}"


# -- what is decided at run time --------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """Something that the run-time sizes must fulfil: `left == right` or `left >= right`.

    origin: the layer it belongs to. where, given, expected: what its error says; `given` in
    parts, of which sizes and shapes are shown as they are at run time.
    """

    left: Dim
    relation: str
    right: Dim
    origin: Origin
    where: str
    given: tuple[str | Dim | Shape, ...]
    expected: str

    def message(self, sizes: Mapping[str, int] | None = None) -> str:
        """The whole text of the error, with these numbers for the names of sizes."""
        return explain(
            self.where, "".join(_shown(part, sizes) for part in self.given), self.expected
        )


def _shown(part: str | Dim | Shape, sizes: Mapping[str, int] | None) -> str:
    if isinstance(part, tuple):
        return show(tuple(dim if sizes is None else evaluate(dim, sizes) for dim in part))
    return str(part if sizes is None or not isinstance(part, Size) else evaluate(part, sizes))


def at_least(
    left: Dim, right: Dim, where: str, given: Sequence[str | Dim | Shape], expected: str
) -> Check:
    """The check that an operation or layer being traced asks for; ShapeError if it must fail.

    where: the operation or argument; the layer is named too.
    """
    origin = current_origin()
    name = f"{origin.label}: {where}".removeprefix(": ")
    check = Check(left, ">=", right, origin, name, tuple(given), expected)
    is_decided(check)
    return check


def obligations(graph: Graph, required: Sequence[Check] = ()) -> list[Check]:
    """The checks that are left for run time, each once, in the order of the program, after those
    that were `required` while it was traced.

    ShapeError for one that fails whatever the sizes are. Ask it of a program as it was written:
    a rewrite may add windows that are allowed to be empty.
    """
    found: dict[tuple[str, Dim], Check] = {}
    for check in chain(required, chain.from_iterable(map(_checks, graph.nodes))):
        if not is_decided(check):
            found.setdefault((check.relation, check.left - check.right), check)
    return list(found.values())


def is_decided(check: Check) -> bool:
    """Whether a check holds for all sizes; ShapeError if it fails for all."""
    difference = check.left - check.right
    if isinstance(difference, int):
        if difference < 0 or (difference > 0 and check.relation == "=="):
            raise ShapeError(check.message())
        return True
    least = lower_bound(difference)
    return check.relation == ">=" and least is not None and least >= 0


def _checks(node: Node) -> Iterator[Check]:
    kind = OPS[node.op].kind
    if kind == "elementwise":
        yield from _elementwise(node)
    elif kind == "leaf":
        yield from _not_negative(node, node.shape)
    elif node.op in _CHECKS:
        yield from _CHECKS[node.op](node)


def _equal(node: Node, what: str, left: Sequence[Dim], right: Sequence[Dim]) -> Iterator[Check]:
    given = (tuple(left), " and ", tuple(right))
    for one, other in zip(left, right, strict=True):
        yield Check(one, "==", other, node.origin, describe(node), given, f"{what} that are equal")


def _at_least(
    node: Node, left: Dim, right: Dim, given: Sequence[str | Dim | Shape], expected: str
) -> Check:
    return Check(left, ">=", right, node.origin, describe(node), tuple(given), expected)


def _not_negative(node: Node, shape: Shape) -> Iterator[Check]:
    for dim in shape:
        yield _at_least(node, dim, 0, ("the shape ", shape), "sizes of at least 0")


def _elementwise(node: Node) -> Iterator[Check]:
    for operand in node.inputs:
        pairs = zip(operand.shape, node.shape, strict=True)
        wide = [(dim, size) for dim, size in pairs if dim != 1]
        yield from _equal(node, "sizes", [dim for dim, _ in wide], [size for _, size in wide])


def _reshape(node: Node) -> Iterator[Check]:
    (x,) = node.inputs
    yield from _not_negative(node, node.shape)
    given = (x.shape, " to ", node.shape)
    left, right = product(x.shape), product(node.shape)
    expected = "as many elements as before"
    yield Check(left, "==", right, node.origin, describe(node), given, expected)


def _concat(node: Node) -> Iterator[Check]:
    first, *others = (_without(x.shape, node["axis"]) for x in node.inputs)
    for other in others:
        yield from _equal(node, "sizes of the other axes", first, other)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _slice(node: Node) -> Iterator[Check]:
    (x,) = node.inputs
    yield from _not_negative(node, node["shape"])
    every = zip(x.shape, node["start"], node["shape"], node["step"], strict=True)
    for dim, start, size, step in every:
        end = start + (size - 1) * step + 1
        given = ("elements ", start, " to ", end, " of ", dim)
        expected = "a range within the axis"
        yield _at_least(node, start, 0, given, expected)
        if size != 0:
            yield _at_least(node, dim, end, given, expected)


def _pad(node: Node) -> Iterator[Check]:
    given = (node.inputs[0].shape, ", low ", node["low"], ", high ", node["high"])
    for dim in node.shape:
        yield _at_least(node, dim, 0, given, "to crop no more than there is")


def _scatter_add(node: Node) -> Iterator[Check]:
    rows, updates = node.inputs
    yield from _not_negative(node, node.shape)
    yield from _equal(node, "rows and updates", rows.shape, updates.shape[: rows.rank])


# -- windows ----------------------------------------------------------------------------------


def _spatial(x: Node, axes: Sequence[Axis]) -> Shape:
    return x.shape[x.rank - 1 - len(axes) : -1]


def _batch(x: Node, axes: Sequence[Axis]) -> Shape:
    return x.shape[: x.rank - 1 - len(axes)]


def _fits(node: Node, x: Node) -> Iterator[Check]:
    """The windows that slide over x have room."""
    axes = node["axes"]
    for axis, dim in zip(axes, _spatial(x, axes), strict=True):
        room = dim + axis.low + axis.high
        given = (f"a window of {axis.span} over ", room, " (input ", dim, ", padding included)")
        yield _at_least(node, axis.output(dim), 1, given, "a window no larger than the input")


def _tied(node: Node, sizes: Shape, outputs: Shape) -> Iterator[Check]:
    """Outputs and input sizes that are both given belong together."""
    follow = [axis.output(dim) for axis, dim in zip(node["axes"], sizes, strict=True)]
    yield from _equal(node, "output sizes and those that the windows give", outputs, follow)


def _pool(node: Node) -> Iterator[Check]:
    yield from _fits(node, node.inputs[0])


def _pool_take(node: Node) -> Iterator[Check]:
    x, taps = node.inputs
    yield from _fits(node, x)
    yield from _equal(node, "sizes of taps and windows", taps.shape, node.shape)


def _pool_scatter(node: Node) -> Iterator[Check]:
    y, taps = node.inputs
    yield from _not_negative(node, node.shape)
    yield from _equal(node, "sizes of taps and elements", taps.shape, y.shape)
    yield from _tied(node, node["sizes"], _spatial(y, node["axes"]))


def _to_points(node: Node) -> Iterator[Check]:
    (x,) = node.inputs
    for axis, dim in zip(node["axes"], _spatial(x, node["axes"]), strict=True):
        given = ("an input of ", dim)
        yield _at_least(node, axis.output(dim), 1, given, "a window no larger than the input")


def _from_points(node: Node) -> Iterator[Check]:
    yield from _not_negative(node, node.shape)
    yield from _tied(node, node["sizes"], _spatial(node.inputs[0], node["axes"]))


def _conv(node: Node) -> Iterator[Check]:
    yield from _CONV[node["face"]](node, *node.inputs)


def _conv_y(node: Node, x: Node, w: Node) -> Iterator[Check]:
    axes = node["axes"]
    yield from _equal(node, "declared sizes", node["sizes"], _spatial(x, axes))
    yield from _equal(node, "channels", [x.shape[-1]], [w.shape[-2] * node["groups"]])
    yield from _fits(node, x)


def _conv_x(node: Node, w: Node, y: Node) -> Iterator[Check]:
    yield from _not_negative(node, node.shape)
    yield from _equal(node, "filters", [y.shape[-1]], [w.shape[-1]])
    yield from _tied(node, node["sizes"], _spatial(y, node["axes"]))


def _conv_w(node: Node, x: Node, y: Node) -> Iterator[Check]:
    axes = node["axes"]
    yield from _equal(node, "declared sizes", node["sizes"], _spatial(x, axes))
    yield from _equal(node, "batch sizes", _batch(x, axes), _batch(y, axes))
    yield from _tied(node, node["sizes"], _spatial(y, axes))


_CONV: dict[str, Callable[[Node, Node, Node], Iterator[Check]]] = {
    "y": _conv_y,
    "x": _conv_x,
    "w": _conv_w,
}


def _random(node: Node) -> Iterator[Check]:
    yield from _not_negative(node, node.shape)


def _broadcast(node: Node) -> Iterator[Check]:
    yield from _not_negative(node, node.shape)
    yield from _elementwise(node)


_CHECKS: dict[str, Callable[[Node], Iterator[Check]]] = {
    "reshape": _reshape,
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": _slice,
    "concat": _concat,
    "scatter_add": _scatter_add,
    "random": _random,
    "pool_max": _pool,
    "pool_argmax": _pool,
    "pool_take": _pool_take,
    "pool_scatter": _pool_scatter,
    "to_points": _to_points,
    "from_points": _from_points,
    "conv": _conv,
}
