"""The shape rules: what shape and dtype each operation gives, and what operands it refuses.

Sizes that are not decided before run time are taken to fit; `ir.verify.obligations` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from isoconv import dtypes
from isoconv.errors import DtypeError, InternalError, ShapeError, explain
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.schemes import scheme
from isoconv.ir.sizes import Dim, Shape, Size, product

Attrs = Mapping[str, Any]
Rule = Callable[[Sequence[Node], Attrs], tuple[Shape, str]]


# -- what shape rules share -------------------------------------------------------------------


def agree(left: Dim, right: Dim) -> bool:
    """Whether two sizes are, or may turn out at run time to be, the same."""
    difference = left - right
    return isinstance(difference, Size) or difference == 0


def _same_dtype(op: str, inputs: Sequence[Node]) -> str:
    if len({node.dtype for node in inputs}) != 1:
        raise DtypeError(explain(op, _show_dtypes(inputs), "operands of one dtype"))
    return inputs[0].dtype


def _joint_shape(op: str, inputs: Sequence[Node]) -> Shape:
    ranks = {node.rank for node in inputs}
    if len(ranks) != 1:
        raise InternalError(f"{op}: operands of ranks {sorted(ranks)}")
    shape = []
    for dims in zip(*(node.shape for node in inputs), strict=True):
        # A number says more than an expression that must equal it at run time.
        wide = sorted((dim for dim in dims if dim != 1), key=lambda dim: isinstance(dim, Size))
        chosen = wide[0] if wide else 1
        if not all(agree(dim, chosen) for dim in wide):
            shapes = " and ".join(show(node.shape) for node in inputs)
            raise ShapeError(explain(op, shapes, "shapes whose sizes are equal or 1"))
        shape.append(chosen)
    return tuple(shape)


def show(shape: Sequence[Dim]) -> str:
    """A shape as a person reads it."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _show_dtypes(inputs: Sequence[Node]) -> str:
    return " and ".join(sorted({node.dtype for node in inputs}))


def _axes_within(op: str, rank: int, axes: Sequence[int]) -> None:
    if len(set(axes)) != len(axes) or not all(0 <= axis < rank for axis in axes):
        raise InternalError(f"{op}: axes {axes} of rank {rank}")


def _integer(op: str, node: Node) -> None:
    if node.dtype not in dtypes.INTEGERS:
        raise DtypeError(explain(op, node.dtype, "int32 or int64"))


def _must_agree(op: str, what: str, left: Sequence[Dim], right: Sequence[Dim]) -> None:
    if len(left) != len(right) or not all(map(agree, left, right)):
        given = f"{show(left)} and {show(right)}"
        raise ShapeError(explain(op, given, f"{what} that agree"))


# -- elementwise ------------------------------------------------------------------------------


def arithmetic(op: str) -> Rule:
    return lambda inputs, attrs: (_joint_shape(op, inputs), _same_dtype(op, inputs))


def floating(op: str) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        dtype = _same_dtype(op, inputs)
        if not dtypes.is_float(dtype):
            raise DtypeError(explain(op, dtype, "float32 or float64"))
        return _joint_shape(op, inputs), dtype

    return rule


def comparison(op: str) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        _same_dtype(op, inputs)
        return _joint_shape(op, inputs), "bool"

    return rule


def logical(op: str) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        if any(node.dtype != "bool" for node in inputs):
            raise DtypeError(explain(op, _show_dtypes(inputs), "bools"))
        return _joint_shape(op, inputs), "bool"

    return rule


def where(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    if inputs[0].dtype != "bool":
        raise DtypeError(explain("where", inputs[0].dtype, "a bool condition"))
    return _joint_shape("where", inputs), _same_dtype("where", inputs[1:])


# -- leaves -----------------------------------------------------------------------------------


def declared(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    if attrs["dtype"] not in dtypes.ALL:
        raise InternalError(f"no dtype {attrs['dtype']!r}")
    return attrs.get("shape", ()), attrs["dtype"]


def iota(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    _axes_within("iota", len(attrs["shape"]), [attrs["axis"]])
    return declared(inputs, attrs)


def random(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (key,) = inputs
    if (key.shape, key.dtype) != ((), "int64") or not dtypes.is_float(attrs["dtype"]):
        raise InternalError(f"random {attrs['dtype']} of {key}")
    return declared(inputs, attrs)


# -- views ------------------------------------------------------------------------------------


def reshape(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    if not agree(product(x.shape), product(attrs["shape"])):
        target = f"a shape of {product(x.shape)} elements"
        raise ShapeError(explain("reshape", f"{show(x.shape)} -> {show(attrs['shape'])}", target))
    return attrs["shape"], x.dtype


def after(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    return inputs[0].shape, inputs[0].dtype


def transpose(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    _axes_within("transpose", x.rank, attrs["perm"])
    if len(attrs["perm"]) != x.rank:
        raise InternalError(f"transpose: {attrs['perm']} of rank {x.rank}")
    return tuple(x.shape[axis] for axis in attrs["perm"]), x.dtype


def broadcast(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    shape = attrs["shape"]
    if len(shape) != x.rank or not all(
        dim == 1 or agree(dim, wide) for dim, wide in zip(x.shape, shape, strict=True)
    ):
        raise ShapeError(
            explain("broadcast", f"{show(x.shape)} to {show(shape)}", "sizes 1 to grow")
        )
    return shape, x.dtype


def pad(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    sides = zip(x.shape, attrs["low"], attrs["high"], attrs["interior"], strict=True)
    return tuple(low + (d - 1) * (i + 1) + 1 + high for d, low, high, i in sides), x.dtype


def slice(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    for dim, start, size, step in zip(
        x.shape, attrs["start"], attrs["shape"], attrs["step"], strict=True
    ):
        end = start + (size - 1) * step + 1
        if isinstance(end - dim, int) and end - dim > 0 and size != 0:
            raise ShapeError(explain("slice", f"elements up to {end} of {dim}", "a range within"))
    return attrs["shape"], x.dtype


def concat(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    axis, first = attrs["axis"], inputs[0]
    _axes_within("concatenate", first.rank, [axis])
    for other in inputs[1:]:
        if other.rank != first.rank or not all(
            i == axis or agree(x, y)
            for i, (x, y) in enumerate(zip(first.shape, other.shape, strict=True))
        ):
            given = f"{show(first.shape)} and {show(other.shape)}"
            raise ShapeError(explain("concatenate", given, f"equal sizes but on axis {axis}"))
    shape = list(first.shape)
    shape[axis] = sum((node.shape[axis] for node in inputs[1:]), first.shape[axis])
    return tuple(shape), _same_dtype("concat", inputs)


def reverse(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    _axes_within("reverse", x.rank, attrs["axes"])
    return x.shape, x.dtype


# -- reductions -------------------------------------------------------------------------------


def reduce(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    _axes_within("reduce", x.rank, attrs["axes"])
    return tuple(1 if i in attrs["axes"] else dim for i, dim in enumerate(x.shape)), x.dtype


def argmax(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    axis = attrs["axis"]
    _axes_within("argmax", x.rank, [axis])
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :]), "int32"


# -- windows ----------------------------------------------------------------------------------


def _spatial(node: Node, axes: Sequence[Axis]) -> Shape:
    """The sizes of the axes before the last one, over which windows move."""
    first = node.rank - 1 - len(axes)
    if first < 0:
        raise InternalError(f"a window of {len(axes)} axes over {node}")
    return node.shape[first:-1]


def _batch(node: Node, axes: Sequence[Axis]) -> Shape:
    return node.shape[: node.rank - 1 - len(axes)]


def window_output(node: Node, axes: Sequence[Axis]) -> Shape:
    """The batch and spatial sizes after sliding windows over the axes before the last one."""
    moved = zip(axes, _spatial(node, axes), strict=True)
    return (*_batch(node, axes), *(axis.output(dim) for axis, dim in moved))


def pool(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    return (*window_output(x, attrs["axes"]), x.shape[-1]), x.dtype


def pool_argmax(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    return pool(inputs, attrs)[0], "int32"


def pool_take(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    x, taps = inputs
    shape, dtype = pool([x], attrs)
    _integer("pool_take", taps)
    _must_agree("pool_take", "elements and taps", shape, taps.shape)
    return shape, dtype


def pool_scatter(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (y, taps), axes, sizes = inputs, attrs["axes"], attrs["sizes"]
    _integer("pool_scatter", taps)
    _must_agree("pool_scatter", "elements and taps", y.shape, taps.shape)
    _sizes_fit("pool_scatter", axes, sizes, _spatial(y, axes))
    return (*_batch(y, axes), *sizes, y.shape[-1]), y.dtype


def _sizes_fit(op: str, axes: Sequence[Axis], sizes: Shape, outputs: Shape) -> None:
    """Whether windows over `sizes` give `outputs`."""
    given = tuple(axis.output(dim) for axis, dim in zip(axes, sizes, strict=True))
    _must_agree(op, "output sizes given and following from the input sizes", outputs, given)


def to_points(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    each = _points("to_points", x, attrs)
    return (*window_output(x, attrs["axes"]), x.shape[-1] * each), x.dtype


def from_points(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (v,) = inputs
    axes, sizes = attrs["axes"], attrs["sizes"]
    each = _points("from_points", v, attrs)
    _sizes_fit("from_points", axes, sizes, _spatial(v, axes))
    return (*_batch(v, axes), *sizes, v.shape[-1] // each), v.dtype


def _points(op: str, node: Node, attrs: Attrs) -> int:
    """The points of a tile, once it is certain that schemes, axes and dtype fit."""
    schemes = [scheme(name) for name in attrs["schemes"]]
    widths = [each.factors(attrs["side"])[0].shape[1] for each in schemes]
    if widths != [axis.taps for axis in attrs["axes"]] or any(
        axis.dilation > 1 for axis in attrs["axes"]
    ):
        raise InternalError(f"{op}: the axes {attrs['axes']} of {attrs['schemes']}")
    if not dtypes.is_float(node.dtype):
        raise DtypeError(explain(op, node.dtype, "float32 or float64"))
    return prod(each.points for each in schemes)


# -- the form ---------------------------------------------------------------------------------


def conv(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    face, axes, groups = attrs["face"], attrs["axes"], attrs["groups"]
    parts = dict(zip(OPERANDS[face], inputs, strict=True))
    for part, node in parts.items():
        if node.rank < len(axes) + 1 or (part == "w" and node.rank != len(axes) + 2):
            raise InternalError(f"conv of {len(axes)} axes: operand {part} is {node}")
    return _FACES[face](parts, axes, groups, attrs["sizes"]), _same_dtype("conv", inputs)


Parts = Mapping[str, Node]


def _face_y(parts: Parts, axes: Sequence[Axis], groups: int, sizes: Shape) -> Shape:
    x, w = parts["x"], parts["w"]
    _taps_fit(w, axes, groups)
    _must_agree("conv", "sizes declared and found", sizes, _spatial(x, axes))
    _must_agree("conv", "channels", [x.shape[-1]], [w.shape[-2] * groups])
    return (*window_output(x, axes), w.shape[-1])


def _face_x(parts: Parts, axes: Sequence[Axis], groups: int, sizes: Shape) -> Shape:
    w, y = parts["w"], parts["y"]
    _taps_fit(w, axes, groups)
    _must_agree("conv", "filters", [y.shape[-1]], [w.shape[-1]])
    _sizes_fit("conv", axes, sizes, _spatial(y, axes))
    return (*_batch(y, axes), *sizes, w.shape[-2] * groups)


def _face_w(parts: Parts, axes: Sequence[Axis], groups: int, sizes: Shape) -> Shape:
    x, y = parts["x"], parts["y"]
    channels, filters = x.shape[-1], y.shape[-1]
    if not isinstance(channels, int) or not isinstance(filters, int):
        raise InternalError("conv: the numbers of channels and filters must be known")
    if channels % groups or filters % groups:
        raise InternalError(f"conv: {groups} groups of {channels} channels, {filters} filters")
    _must_agree("conv", "sizes declared and found", sizes, _spatial(x, axes))
    _must_agree("conv", "batch sizes", _batch(x, axes), _batch(y, axes))
    _sizes_fit("conv", axes, sizes, _spatial(y, axes))
    return (*(axis.taps for axis in axes), channels // groups, filters)


def _taps_fit(w: Node, axes: Sequence[Axis], groups: int) -> None:
    taps = tuple(axis.taps for axis in axes)
    filters = w.shape[-1]
    if w.shape[:-2] != taps or (isinstance(filters, int) and filters % groups):
        raise InternalError(f"conv: weights {show(w.shape)}, taps {taps}, {groups} groups")


_FACES = {"y": _face_y, "x": _face_x, "w": _face_w}

OPERANDS: Mapping[str, str] = {"y": "xw", "x": "wy", "w": "xy"}

"""What each face of the form is computed from, in the order of the operands."""


# -- indexing ---------------------------------------------------------------------------------


def gather(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    table, rows = inputs
    _integer("gather", rows)
    return (*rows.shape, *table.shape[1:]), table.dtype


def scatter_add(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    rows, updates = inputs
    _integer("scatter_add", rows)
    _must_agree("scatter_add", "rows and updates", rows.shape, updates.shape[: rows.rank])
    return (attrs["rows"], *updates.shape[rows.rank :]), updates.dtype
