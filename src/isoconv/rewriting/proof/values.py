"""Runs a program on residues: every array has one more axis in front, for several points.

Sums, products and views mean what they mean; everything else is an open function of its operands,
of which it is known, if at all, that it keeps 0 or that the order of operands does not matter.
A condition c is a residue too: `where` is c*x + (1-c)*y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.field import Array, Field
from isoconv.rewriting.proof.sparse import gathered, is_sparse, spread_out

KEEPS_ZERO = frozenset(
    ["relu", "abs", "sign", "floor", "sqrt", "expm1", "log1p", "tanh", "erf", "sin"]
)
UNARY = KEEPS_ZERO | frozenset(["exp", "log", "cos"])


class NotUnderstoodError(Exception):
    """An operation that cannot be followed; the text says which."""


def evaluate(ends: Sequence[Node], given: Mapping[Node, Array], field: Field) -> list[Array]:
    """The values of `ends` where the nodes of `given` have these values."""
    values = dict(given)
    for node in needed(ends, values):
        meaning = MEANING.get(node.op)
        if meaning is None:
            raise NotUnderstoodError(f"the operation {node.op} of {node.origin or 'the program'}")
        values[node] = meaning(field, node, *(values[before] for before in node.inputs))
    return [values[node] for node in ends]


def needed(ends: Iterable[Node], given: Mapping[Node, Any]) -> list[Node]:
    """The nodes that `ends` need besides those given, each after its inputs."""
    done: dict[Node, None] = {}
    stack = [(node, False) for node in ends]
    while stack:
        node, ready = stack.pop()
        if node in done or node in given:
            continue
        if ready:
            done[node] = None
            continue
        stack.append((node, True))
        stack += [(before, False) for before in node.inputs if before not in done]
    return list(done)


Meaning = Callable[..., Array]
MEANING: dict[str, Meaning] = {}


def _elementwise(field: Field, node: Node, *operands: Array) -> Array:
    p = field.prime
    result: Array
    match node.op, operands:
        case "add", (x, y):
            return field.plus(x, y)
        case "sub", (x, y):
            return field.minus(x, y)
        case "mul" | "and", (x, y):
            result = x * y
        case "div", (x, y):
            result = x * _reciprocal(field, node.inputs[1], y)
        case "neg", (x,):
            return field.minus(np.zeros_like(x), x)
        case "not", (x,):
            result = 1 - x
        case "or", (x, y):
            result = x + y - x * y % p
        case "where", (c, x, y):
            result = c * ((x - y) % p) + y
        case "lt", (x, y):
            result = field.open("lt", x, y)
        case "le", (x, y):
            result = 1 - field.open("lt", y, x)
        case ("max" | "min" | "eq") as name, (x, y):
            result = field.open(name, (field.open(name, x) + field.open(name, y)) % p)
        case name, (x,) if name in KEEPS_ZERO:
            result = x * field.open(name, x)
        case name, operands:
            result = field.open(name, *operands)
    np.remainder(result, p, out=result)
    return result


_WRAPPING = frozenset(["add", "sub", "mul", "neg", "pow", "reduce_sum", "conv", "scatter_add"])


def _constant(node: Node) -> bool:
    """Whether a node depends on neither input nor weights."""
    return all(each.op != "input" for each in needed([node], {}))


def _reciprocal(field: Field, node: Node, y: Array) -> Array:
    """1 / y for constants; else open, since what is divided by may be 0, where nothing cancels."""
    if not _constant(node):
        return field.open("reciprocal", y)
    if not y.all():
        raise NotUnderstoodError(f"a division by 0 in {node.origin or 'the program'}")
    return field.inverse(y)


def _pow(field: Field, node: Node, x: Array, y: Array) -> Array:
    exponent = node.inputs[1]
    while exponent.op in ("broadcast", "reshape", "cast"):
        exponent = exponent.inputs[0]
    if exponent.op == "full" and exponent["value"] in (0, 1, 2, 3, 4):
        result = np.ones_like(x)
        for _ in range(int(exponent["value"])):
            result = result * x % field.prime
        return result
    return field.open("pow", x, y)


def _cast(field: Field, node: Node, x: Array) -> Array:
    before, after = node.inputs[0].dtype, node.dtype
    if after == "bool" != before:
        return field.open("whether", x)
    if before.startswith("float") and after.startswith("int"):
        return field.open("cut", x)
    # Sums and products of integers come round at their largest; of wider numbers they do not.
    wider = before.startswith("int") and after not in (before, "int32")
    if wider and any(map(_wraps, needed([node.inputs[0]], {}))) and not _constant(node):
        return field.open("whole", x)
    return x


def _wraps(node: Node) -> bool:
    """Whether a node is an integer that may come round."""
    narrow = node.op == "cast" and (node.inputs[0].dtype, node.dtype) == ("int64", "int32")
    return narrow or (node.op in _WRAPPING and node.dtype.startswith("int"))


def _full(field: Field, node: Node) -> Array:
    return np.full((1, *_shape(node)), field.of(node["value"], node.dtype), np.int64)


def _iota(field: Field, node: Node) -> Array:
    return np.asarray(np.indices(_shape(node))[node["axis"]])[None]


def _size(field: Field, node: Node) -> Array:
    return np.asarray([node["dim"]], np.int64)


# -- views ------------------------------------------------------------------------------------


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(map(number, node.shape))


def _reshape(field: Field, node: Node, x: Array) -> Array:
    return x.reshape(len(x), *_shape(node))


def _transpose(field: Field, node: Node, x: Array) -> Array:
    return x.transpose(0, *(axis + 1 for axis in node["perm"]))


def _broadcast(field: Field, node: Node, x: Array) -> Array:
    return np.broadcast_to(x, (len(x), *_shape(node)))


def _pad(field: Field, node: Node, x: Array) -> Array:
    result = np.full((len(x), *_shape(node)), field.of(node["value"], node.dtype), np.int64)
    reads, writes = [slice(None)], [slice(None)]
    for axis, low in enumerate(node["low"]):
        step, size = node["interior"][axis] + 1, result.shape[axis + 1]
        first = max(0, -(low // step))
        last = min(x.shape[axis + 1], (size - 1 - low) // step + 1)
        reads.append(slice(first, max(first, last)))
        start = low + first * step
        writes.append(slice(start, start + max(0, last - first) * step, step))
    result[tuple(writes)] = x[tuple(reads)]
    return result


def _slice(field: Field, node: Node, x: Array) -> Array:
    each = zip(node["start"], node["step"], _shape(node), strict=True)
    result: Array = x[(slice(None), *(slice(at, at + n * step, step) for at, step, n in each))]
    return result


def _reverse(field: Field, node: Node, x: Array) -> Array:
    return np.flip(x, tuple(axis + 1 for axis in node["axes"]))


def _concat(field: Field, node: Node, *operands: Array) -> Array:
    points = max(map(len, operands))
    wide = [np.broadcast_to(x, (points, *x.shape[1:])) for x in operands]
    return np.concatenate(wide, node["axis"] + 1)


def _reduce_sum(field: Field, node: Node, x: Array) -> Array:
    axes = tuple(axis + 1 for axis in node["axes"])
    result: Array = x.sum(axes, keepdims=True) % field.prime
    return result


def _reduce_max(field: Field, node: Node, x: Array) -> Array:
    axes = tuple(axis + 1 for axis in node["axes"])
    if prod(x.shape[axis] for axis in axes) == 1:
        return x
    total = field.open("maximum", x).sum(axes, keepdims=True) % field.prime
    return field.open("largest", total)


# -- windows ----------------------------------------------------------------------------------


def windows(x: Array, axes: Sequence[Axis], outputs: Sequence[int], fill: int = 0) -> Array:
    """[..., i..., c] as [..., o..., k..., c], absent elements being `fill`."""
    first = x.ndim - 1 - len(axes)
    for at, (axis, size) in enumerate(zip(axes, outputs, strict=True), first):
        index = np.arange(size)[:, None] * axis.stride + np.arange(axis.taps) * axis.dilation
        index = index - number(axis.low)
        length = x.shape[at]
        edge = np.full((*x.shape[:at], 1, *x.shape[at + 1 :]), fill, np.int64)
        wide = np.concatenate([x, edge], at)
        x = np.take(wide, np.where((index >= 0) & (index < length), index, length), at)
        x = np.moveaxis(x, at + 1, -2)
    return x


def spread(columns: Array, axes: Sequence[Axis], sizes: Sequence[int]) -> Array:
    """The transpose of `windows`: [..., o..., k..., c] summed into [..., i..., c]."""
    first = columns.ndim - 1 - 2 * len(axes)
    for at in reversed(range(first, first + len(axes))):
        axis, size = axes[at - first], sizes[at - first]
        total = np.zeros(
            (*columns.shape[:at], size, *columns.shape[at + 1 : -2], columns.shape[-1]), np.int64
        )
        into, taken = np.moveaxis(total, at, 0), np.moveaxis(columns, (at, -2), (0, 1))
        for tap in range(axis.taps):
            start = tap * axis.dilation - number(axis.low)
            begin = max(0, -(start // axis.stride))
            end = min(len(taken), (size - 1 - start) // axis.stride + 1)
            if begin < end:
                to = start + begin * axis.stride
                into[to : to + (end - begin - 1) * axis.stride + 1 : axis.stride] += taken[
                    begin:end, tap
                ]
        columns = total
    return columns


def _conv(field: Field, node: Node, left: Array, right: Array) -> Array:
    if min(len(left), len(right)) > 1 or (node["face"] == "w" and max(len(left), len(right)) > 1):
        points = max(len(left), len(right))
        pairs = zip(
            *(np.broadcast_to(x, (points, *x.shape[1:])) for x in (left, right)), strict=True
        )
        return np.concatenate([_conv(field, node, x[None], y[None]) for x, y in pairs])
    return _FACES[node["face"]](field, node, left, right)


def _flat(x: Array, spatial: int) -> Array:
    """[points, batch..., i..., c] with points and batch as one axis."""
    return x.reshape(prod(x.shape[: x.ndim - 1 - spatial]), *x.shape[x.ndim - 1 - spatial :])


def _columns(x: Array, axes: Sequence[Axis], outputs: Sequence[int], groups: int) -> Array:
    """Windows as matrices, one a group: [g, batch and o, k and c]."""
    seen = windows(_flat(x, len(axes)), axes, outputs)
    taps, rows = prod(axis.taps for axis in axes), len(seen) * prod(outputs) if axes else len(seen)
    return seen.reshape(rows, taps, groups, -1).transpose(2, 0, 1, 3).reshape(groups, rows, -1)


def _kernel(w: Array, groups: int) -> Array:
    """Weights [1, k..., c, g*f] as matrices, one a group: [g, k and c, f]."""
    inner = w.shape[-1] // groups
    return w.reshape(-1, groups, inner).transpose(1, 0, 2)


def _face_y(field: Field, node: Node, x: Array, w: Array) -> Array:
    axes, groups, shape = node["axes"], node["groups"], _shape(node)
    outputs = shape[len(shape) - 1 - len(axes) : -1]
    if is_sparse(x):
        found = spread_out(_flat(x, len(axes)), w[0], axes, groups, outputs, "y", field.prime)
        return found.reshape(len(x), *shape)
    columns = _columns(x, axes, outputs, groups)
    y = field.product(columns, _kernel(w[0], groups))
    return y.transpose(1, 0, 2).reshape(len(x), *shape)


def _face_x(field: Field, node: Node, w: Array, y: Array) -> Array:
    axes, groups, shape = node["axes"], node["groups"], _shape(node)
    outputs, taps = y.shape[y.ndim - 1 - len(axes) : -1], [axis.taps for axis in axes]
    sizes = shape[len(shape) - 1 - len(axes) : -1]
    if is_sparse(y):
        found = spread_out(_flat(y, len(axes)), w[0], axes, groups, sizes, "x", field.prime)
        return found.reshape(len(y), *shape)
    rows = y.reshape(-1, groups, y.shape[-1] // groups).transpose(1, 0, 2)
    columns = field.product(rows, _kernel(w[0], groups).transpose(0, 2, 1))
    columns = columns.reshape(groups, -1, *outputs, *taps, w.shape[-2])
    x = spread(columns, axes, sizes) % field.prime
    return np.moveaxis(x, 0, -2).reshape(len(y), *shape)


def _face_w(field: Field, node: Node, x: Array, y: Array) -> Array:
    axes, groups, shape = node["axes"], node["groups"], _shape(node)
    if is_sparse(x):
        data, flow = (_flat(each, len(axes)) for each in (x, y))
        return gathered(data, flow, axes, groups, shape[-2], field.prime)[None]
    columns = _columns(x, axes, y.shape[y.ndim - 1 - len(axes) : -1], groups)
    rows = y.reshape(-1, groups, y.shape[-1] // groups).transpose(1, 0, 2)
    w = field.product(columns.transpose(0, 2, 1), rows)
    return w.transpose(1, 0, 2).reshape(1, *shape)


_FACES = {"y": _face_y, "x": _face_x, "w": _face_w}


def _pool_max(field: Field, node: Node, x: Array) -> Array:
    """An open function of the set of present elements; of one alone, itself."""
    axes, shape = node["axes"], _shape(node)
    outputs = shape[len(shape) - 1 - len(axes) : -1]
    seen = windows(_flat(x, len(axes)), axes, outputs, -1)
    seen = np.sort(seen.reshape(*seen.shape[: 1 + len(axes)], -1, seen.shape[-1]), -2)
    present = (seen >= 0) & (np.diff(seen, axis=-2, prepend=-1) != 0)
    total = np.where(present, field.open("maximum", seen), 0).sum(-2) % field.prime
    alone = np.where(present, seen, 0).sum(-2) % field.prime
    result = np.where(present.sum(-2) == 1, alone, field.open("largest", total))
    return result.reshape(len(x), *shape)


BINARY = ("add", "sub", "mul", "div", "max", "min", "lt", "le", "eq", "and", "or")

MEANING |= dict.fromkeys([*UNARY, *BINARY, "neg", "not"], _elementwise)


def _gather(field: Field, node: Node, table: Array, rows: Array) -> Array:
    """Rows by open numbers: which row stands where is an open function of the number."""
    picked = _picked(field, rows, table.shape[1])
    found = field.product(picked, table.reshape(len(table), table.shape[1], -1))
    return found.reshape(len(found), *_shape(node))


def _scatter_add(field: Field, node: Node, rows: Array, updates: Array) -> Array:
    picked = _picked(field, rows, number(node["rows"]))
    flat = updates.reshape(len(updates), picked.shape[1], -1)
    found = field.product(picked.transpose(0, 2, 1), flat)
    return found.reshape(len(found), *_shape(node))


def _picked(field: Field, rows: Array, count: int) -> Array:
    """[points, places, rows]: how much of each row stands at each place."""
    found = field.open("row", rows.reshape(len(rows), -1, 1), np.arange(count))
    if field.sums:
        found[..., -1] = (1 - found[..., :-1].sum(-1)) % field.prime
    return found


MEANING |= {
    "gather": _gather,
    "scatter_add": _scatter_add,
    "where": _elementwise,
    "pow": _pow,
    "cast": _cast,
    "full": _full,
    "iota": _iota,
    "size": _size,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": _slice,
    "reverse": _reverse,
    "concat": _concat,
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_max,
    "pool_max": _pool_max,
    "conv": _conv,
}
