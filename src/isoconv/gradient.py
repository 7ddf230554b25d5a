"""Gradients, graph to graph: one rule an operation, and the walk that applies them.

A rule says what reaches one operand when `dy` reaches the result. Rules are made of operations
themselves, so every gradient can be differentiated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from isoconv import dtypes
from isoconv.errors import InternalError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node, origin, sort
from isoconv.ir.ops import OPERANDS, OPS, agree, make
from isoconv.ir.sizes import Dim, Shape

Rule = Callable[[Node, Node, int], Node]
"""`rule(dy, y, operand)`: what reaches operand number `operand` of the node `y`."""

Reader = Callable[[Node, Node], Node]
"""`read(y, dy)`: the value of `y` for the way back, when `dy` has reached it: `y` itself if values
are kept, or one that is computed again."""

FLAT = frozenset(
    {"input", "full", "iota", "size", "random", "sign", "floor", "argmax", "pool_argmax"}
    | {"lt", "le", "eq", "and", "or", "not"}
)
"""Operations whose derivative is zero everywhere, or that have none: nothing flows through."""


def vjp(
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    cotangents: Sequence[Node],
    read: Reader | None = None,
) -> list[Node]:
    """What reaches each node of `wrt` when `cotangents` reach the outputs.

    Only operations between `wrt` and the outputs are differentiated; a node that nothing reaches
    gets zeros. read: how the way back reads values of the way forth; kept ones if left out.
    """
    order = sort(outputs)
    live = _influenced(order, wrt)
    found: dict[Node, Node] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output in live:
            _accumulate(found, output, cotangent)
    for node in reversed(order):
        if node in found and node.op not in FLAT:
            with origin(node.origin):
                value = node if read is None else read(node, found[node])
                for index, operand in enumerate(node.inputs):
                    if operand in live:
                        flow = RULES[node.op](found[node], value, index)
                        _accumulate(found, operand, _fit(flow, operand, node.op))
    return [found.get(node) or _zeros(node) for node in wrt]


def _influenced(order: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """The nodes among `wrt`, and those through which they influence anything smoothly."""
    live = {node for node in wrt if dtypes.is_float(node.dtype)}
    for node in order:
        smooth = dtypes.is_float(node.dtype) and node.op not in FLAT
        if smooth and any(before in live for before in node.inputs):
            live.add(node)
    return live


def _accumulate(found: dict[Node, Node], node: Node, flow: Node) -> None:
    alike = (flow.rank, flow.dtype) == (node.rank, node.dtype)
    if not alike or not all(map(agree, flow.shape, node.shape)):
        raise InternalError(f"the gradient of {node} came out as {flow}")
    found[node] = _add(found[node], flow) if node in found else flow


def _fit(flow: Node, operand: Node, op: str) -> Node:
    """Sums over the axes along which an elementwise operation repeated its operand."""
    if OPS[op].kind != "elementwise":
        return flow
    return _sum(flow, _repeated(operand, flow))


def _repeated(narrow: Node, wide: Node) -> tuple[int, ...]:
    """The axes along which `narrow` was repeated to become `wide`."""
    pairs = enumerate(zip(narrow.shape, wide.shape, strict=True))
    return tuple(i for i, (dim, size) in pairs if dim == 1 and size != 1)


# -- short names ------------------------------------------------------------------------------


def _number(value: float, like: Node) -> Node:
    return make("full", value=float(value), shape=(1,) * like.rank, dtype=like.dtype)


def _zeros(like: Node) -> Node:
    return make("full", value=0.0, shape=like.shape, dtype=like.dtype)


def _add(x: Node, y: Node) -> Node:
    return make("add", x, y)


def _sub(x: Node, y: Node) -> Node:
    return make("sub", x, y)


def _mul(x: Node, y: Node) -> Node:
    return make("mul", x, y)


def _div(x: Node, y: Node) -> Node:
    return make("div", x, y)


def _neg(x: Node) -> Node:
    return make("neg", x)


def _scale(x: Node, factor: float) -> Node:
    return _mul(x, _number(factor, x))


def _where(condition: Node, x: Node, y: Node) -> Node:
    return make("where", condition, x, y)


def _is(x: Node, value: float) -> Node:
    return make("eq", x, _number(value, x))


def _sum(x: Node, axes: tuple[int, ...]) -> Node:
    return make("reduce_sum", x, axes=axes) if axes else x


def _spatial(x: Node, axes: Sequence[Axis]) -> Shape:
    return x.shape[x.rank - 1 - len(axes) : -1]


# -- rules longer than a line -----------------------------------------------------------------


def _wins(op: str) -> Callable[[Node, Node, Node], Node]:
    """Of max and min: everything to the operand that wins, half to each at a tie, as in JAX."""

    def rule(dy: Node, x: Node, other: Node) -> Node:
        ahead = make("lt", other, x) if op == "max" else make("lt", x, other)
        half = _where(make("eq", x, other), _scale(dy, 0.5), _number(0, dy))
        return _where(ahead, dy, half)

    return rule


def _pow_base(dy: Node, y: Node, x: Node, p: Node) -> Node:
    """p * x^(p - 1), and 0 for p = 0 whatever x is."""
    flat = _is(p, 0)
    less = _where(flat, _number(1, p), _sub(p, _number(1, p)))
    return _where(flat, _number(0, dy), _mul(dy, _mul(p, make("pow", x, less))))


def _pow_exponent(dy: Node, y: Node, x: Node, p: Node) -> Node:
    """log(x) * x^p, whose limit is taken at x = 0."""
    return _mul(dy, _mul(y, make("log", _where(_is(x, 0), _number(1, x), x))))


def _reduce_max(dy: Node, y: Node, x: Node) -> Node:
    """Shared evenly by all elements that reach the maximum, as in JAX."""
    best = make("eq", x, y)
    count = _sum(make("cast", best, dtype=x.dtype), y["axes"])
    return _where(best, _div(dy, count), _number(0, dy))


def _pad(dy: Node, y: Node, x: Node) -> Node:
    low, high, step = y["low"], y["high"], tuple(i + 1 for i in y["interior"])
    origin = (0,) * x.rank
    if (low, high) != (origin, origin):
        back, ahead = (tuple(-side for side in sides) for sides in (low, high))
        dy = make("pad", dy, low=back, high=ahead, interior=origin, value=0.0)
    if set(step) <= {1}:
        return dy
    return make("slice", dy, start=origin, shape=x.shape, step=step)


def _slice(dy: Node, y: Node, x: Node) -> Node:
    sides = zip(x.shape, y["start"], y.shape, y["step"], strict=True)
    high = tuple(dim - start - ((size - 1) * step + 1) for dim, start, size, step in sides)
    interior = tuple(step - 1 for step in y["step"])
    return make("pad", dy, low=y["start"], high=high, interior=interior, value=0.0)


def _concat(dy: Node, y: Node, operand: int) -> Node:
    axis, x = y["axis"], y.inputs[operand]
    before: Dim = sum((node.shape[axis] for node in y.inputs[:operand]), 0)
    start = tuple(before if i == axis else 0 for i in range(y.rank))
    return make("slice", dy, start=start, shape=x.shape, step=(1,) * y.rank)


def _inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(perm.index(axis) for axis in range(len(perm)))


def _conv(dy: Node, y: Node, operand: int) -> Node:
    """Each face's derivative is another face: dy takes the place of the face solved for."""
    attrs = dict(y.attrs)
    solved = attrs.pop("face")
    parts = dict(zip(OPERANDS[solved], y.inputs, strict=True)) | {solved: dy}
    wanted = OPERANDS[solved][operand]
    return make("conv", *(parts[part] for part in OPERANDS[wanted]), face=wanted, **attrs)


def _scatter(dy: Node, taps: Node, axes: Sequence[Axis], x: Node) -> Node:
    return make("pool_scatter", dy, taps, axes=axes, sizes=_spatial(x, axes))


def _from_points(dy: Node, y: Node, x: Node) -> Node:
    return make("from_points", dy, sizes=_spatial(x, y["axes"]), **dict(y.attrs))


def _to_points(dy: Node, y: Node, v: Node) -> Node:
    attrs = dict(y.attrs)
    del attrs["sizes"]
    return make("to_points", dy, **attrs)


# -- the table --------------------------------------------------------------------------------


def _each(*rules: Callable[..., Node]) -> Rule:
    """A rule an operand, each of (dy, y, *operands)."""
    return lambda dy, y, operand: rules[operand](dy, y, *y.inputs)


def _after(dy: Node, y: Node, operand: int) -> Node:
    return dy if operand == 0 else _zeros(y.inputs[1])


def _none(*_: Node) -> Node:
    raise InternalError("a gradient was asked of an operand that has none")


RULES: dict[str, Rule] = {
    # elementwise
    "neg": _each(lambda dy, y, x: _neg(dy)),
    "abs": _each(lambda dy, y, x: _mul(dy, make("sign", x))),
    "sqrt": _each(lambda dy, y, x: _div(_scale(dy, 0.5), y)),
    # The output tells as much as the input, which then need not be kept.
    "relu": _each(lambda dy, y, x: _where(make("lt", _number(0, y), y), dy, _number(0, dy))),
    "exp": _each(lambda dy, y, x: _mul(dy, y)),
    "expm1": _each(lambda dy, y, x: _mul(dy, _add(y, _number(1, y)))),
    "log": _each(lambda dy, y, x: _div(dy, x)),
    "log1p": _each(lambda dy, y, x: _div(dy, _add(x, _number(1, x)))),
    "tanh": _each(lambda dy, y, x: _mul(dy, _sub(_number(1, y), _mul(y, y)))),
    "erf": _each(
        lambda dy, y, x: _mul(dy, _scale(make("exp", _neg(_mul(x, x))), 2 / math.sqrt(math.pi)))
    ),
    "sin": _each(lambda dy, y, x: _mul(dy, make("cos", x))),
    "cos": _each(lambda dy, y, x: _neg(_mul(dy, make("sin", x)))),
    "add": _each(lambda dy, y, a, b: dy, lambda dy, y, a, b: dy),
    "sub": _each(lambda dy, y, a, b: dy, lambda dy, y, a, b: _neg(dy)),
    "mul": _each(lambda dy, y, a, b: _mul(dy, b), lambda dy, y, a, b: _mul(dy, a)),
    "div": _each(lambda dy, y, a, b: _div(dy, b), lambda dy, y, a, b: _neg(_div(_mul(dy, y), b))),
    "max": _each(
        lambda dy, y, a, b: _wins("max")(dy, a, b), lambda dy, y, a, b: _wins("max")(dy, b, a)
    ),
    "min": _each(
        lambda dy, y, a, b: _wins("min")(dy, a, b), lambda dy, y, a, b: _wins("min")(dy, b, a)
    ),
    "rem": _each(lambda dy, y, a, b: dy, lambda dy, y, a, b: _neg(_mul(dy, _div(_sub(a, y), b)))),
    "pow": _each(_pow_base, _pow_exponent),
    "where": _each(
        _none,
        lambda dy, y, c, a, b: _where(c, dy, _number(0, dy)),
        lambda dy, y, c, a, b: _where(c, _number(0, dy), dy),
    ),
    "cast": _each(lambda dy, y, x: make("cast", dy, dtype=x.dtype)),
    # views
    "reshape": _each(lambda dy, y, x: make("reshape", dy, shape=x.shape)),
    "after": _after,
    "transpose": _each(lambda dy, y, x: make("transpose", dy, perm=_inverse(y["perm"]))),
    "broadcast": _each(lambda dy, y, x: _sum(dy, _repeated(x, y))),
    "pad": _each(_pad),
    "slice": _each(_slice),
    "reverse": _each(lambda dy, y, x: make("reverse", dy, axes=y["axes"])),
    "concat": _concat,
    # reductions
    "reduce_sum": _each(lambda dy, y, x: make("broadcast", dy, shape=x.shape)),
    "reduce_max": _each(_reduce_max),
    # windows
    "pool_max": _each(
        lambda dy, y, x: _scatter(dy, make("pool_argmax", x, axes=y["axes"]), y["axes"], x)
    ),
    "pool_take": _each(lambda dy, y, x, taps: _scatter(dy, taps, y["axes"], x), _none),
    "pool_scatter": _each(
        lambda dy, y, x, taps: make("pool_take", dy, taps, axes=y["axes"]), _none
    ),
    "to_points": _each(_from_points),
    "from_points": _each(_to_points),
    "conv": _conv,
    # indexing
    "gather": _each(
        lambda dy, y, table, rows: make("scatter_add", rows, dy, rows=table.shape[0]), _none
    ),
    "scatter_add": _each(_none, lambda dy, y, rows, updates: make("gather", dy, rows)),
}
