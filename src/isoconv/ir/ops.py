"""The operations a program is made of: one row each, with its shape rule and its meaning in words.

Their NumPy meanings, gradients and emission are tables elsewhere, keyed by the same names.
Channels come last; sizes are numbers or expressions of run-time sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isoconv import dtypes
from isoconv.errors import DtypeError, InternalError, ShapeError, explain
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node, raw
from isoconv.ir.sizes import Dim, Shape, Size, product

Attrs = Mapping[str, Any]
Rule = Callable[[Sequence[Node], Attrs], tuple[Shape, str]]


@dataclass(frozen=True)
class Op:
    """A row of the table.

    kind: "leaf", "elementwise" (same rank; sizes equal or 1), "view" (moves elements),
    "reduce", "window", "contract" or "index". linear: the operands it is linear in, each by
    itself with the others held.
    """

    name: str
    kind: str
    arity: int
    attrs: tuple[str, ...]
    rule: Rule
    linear: tuple[int, ...]
    doc: str


OPS: dict[str, Op] = {}


def make(op: str, *inputs: Node, **attrs: Any) -> Node:
    """The node of an operation, its operands checked and its shape worked out."""
    row = OPS[op]
    if row.arity not in (-1, len(inputs)) or set(attrs) != set(row.attrs):
        raise InternalError(f"{op} takes {row.arity} operands and {row.attrs}; got {attrs}")
    shape, dtype = row.rule(inputs, attrs)
    return raw(op, inputs, attrs, shape, dtype)


def row(
    name: str,
    kind: str,
    arity: int,
    attrs: str,
    rule: Rule,
    doc: str,
    linear: tuple[int, ...] = (),
) -> None:
    OPS[name] = Op(name, kind, arity, tuple(attrs.split()), rule, linear, doc)


# -- what shape rules share -------------------------------------------------------------------


def agree(left: Dim, right: Dim) -> bool:
    """Whether two sizes are, or may turn out at run time to be, the same."""
    difference = left - right
    return isinstance(difference, Size) or difference == 0


def _same_dtype(op: str, inputs: Sequence[Node]) -> str:
    found = {node.dtype for node in inputs}
    if len(found) != 1:
        raise DtypeError(explain(op, " and ".join(sorted(found)), "operands of one dtype"))
    return found.pop()


def _broadcast(op: str, inputs: Sequence[Node]) -> Shape:
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


def show(shape: Shape) -> str:
    """A shape as a person reads it."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _axes_within(op: str, node: Node, axes: Sequence[int]) -> None:
    if len(set(axes)) != len(axes) or not all(0 <= axis < node.rank for axis in axes):
        raise InternalError(f"{op}: axes {axes} of rank {node.rank}")


# -- elementwise ------------------------------------------------------------------------------


def _arithmetic(op: str) -> Rule:
    return lambda inputs, attrs: (_broadcast(op, inputs), _same_dtype(op, inputs))


def _floating(op: str) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        dtype = _same_dtype(op, inputs)
        if not dtypes.is_float(dtype):
            raise DtypeError(explain(op, dtype, "float32 or float64"))
        return _broadcast(op, inputs), dtype

    return rule


def _comparison(op: str) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        _same_dtype(op, inputs)
        return _broadcast(op, inputs), "bool"

    return rule


def _where(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    if inputs[0].dtype != "bool":
        raise DtypeError(explain("where", inputs[0].dtype, "a bool condition"))
    return _broadcast("where", inputs), _same_dtype("where", inputs[1:])


_UNARY = {
    "neg": "-x",
    "abs": "|x|",
    "sign": "-1, 0 or 1",
    "floor": "the largest integer not above x",
}
_FLOATING = {
    "sqrt": "the square root",
    "exp": "e to the x",
    "expm1": "exp(x) - 1, exact near 0",
    "log": "the natural logarithm",
    "log1p": "log(1 + x), exact near 0",
    "tanh": "the hyperbolic tangent",
    "erf": "the error function",
    "sin": "the sine, x in radians",
    "cos": "the cosine, x in radians",
}
_BINARY = {
    "add": ("x + y", (0, 1)),
    "sub": ("x - y", (0, 1)),
    "mul": ("x * y", (0, 1)),
    "max": ("the larger; NaN if either is", ()),
    "min": ("the smaller; NaN if either is", ()),
}
for _name, _doc in _UNARY.items():
    row(_name, "elementwise", 1, "", _arithmetic(_name), _doc, (0,) if _name == "neg" else ())
for _name, _doc in _FLOATING.items():
    row(_name, "elementwise", 1, "", _floating(_name), _doc)
for _name, (_doc, _linear) in _BINARY.items():
    row(_name, "elementwise", 2, "", _arithmetic(_name), _doc, _linear)
row("div", "elementwise", 2, "", _floating("div"), "x / y", (0,))
row("pow", "elementwise", 2, "", _floating("pow"), "x to the y, x not negative unless y is whole")
for _name, _doc in {"lt": "x < y", "le": "x <= y", "eq": "x == y"}.items():
    row(_name, "elementwise", 2, "", _comparison(_name), _doc)
row("and", "elementwise", 2, "", _comparison("and"), "both (bools)")
row("or", "elementwise", 2, "", _comparison("or"), "either (bools)")
row("not", "elementwise", 1, "", _comparison("not"), "the opposite (bool)")
row("where", "elementwise", 3, "", _where, "y where the condition x holds, else z", (1, 2))
row(
    "cast",
    "elementwise",
    1,
    "dtype",
    lambda inputs, attrs: (inputs[0].shape, attrs["dtype"]),
    "the value in another dtype; to an integer it is cut towards zero",
    (0,),
)


# -- leaves -----------------------------------------------------------------------------------

row(
    "input",
    "leaf",
    0,
    "name shape dtype",
    lambda inputs, attrs: (attrs["shape"], attrs["dtype"]),
    "a tensor given at each call: data, a weight or a state",
)
row(
    "full",
    "leaf",
    0,
    "value shape dtype",
    lambda inputs, attrs: (attrs["shape"], attrs["dtype"]),
    "one number everywhere",
)
row(
    "iota",
    "leaf",
    0,
    "axis shape dtype",
    lambda inputs, attrs: (attrs["shape"], attrs["dtype"]),
    "the index along an axis",
)
row(
    "size",
    "leaf",
    0,
    "dim dtype",
    lambda inputs, attrs: ((), attrs["dtype"]),
    "a run-time size as a number",
)
row(
    "random",
    "index",
    1,
    "shape dtype",
    lambda inputs, attrs: (attrs["shape"], attrs["dtype"]),
    "uniform numbers in [0, 1) from an int64 key (a scalar): Philox-2x32-10 of the key and the "
    "element's row-major index (Salmon et al. 2011)",
)


# -- views ------------------------------------------------------------------------------------


def _reshape(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    if not agree(product(x.shape), product(attrs["shape"])):
        target = f"a shape of {product(x.shape)} elements"
        raise ShapeError(explain("reshape", f"{show(x.shape)} -> {show(attrs['shape'])}", target))
    return attrs["shape"], x.dtype


def _transpose(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    _axes_within("transpose", x, attrs["perm"])
    return tuple(x.shape[axis] for axis in attrs["perm"]), x.dtype


def _expand(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    shape = attrs["shape"]
    if len(shape) != x.rank or not all(
        dim == 1 or agree(dim, wide) for dim, wide in zip(x.shape, shape, strict=True)
    ):
        raise ShapeError(
            explain("broadcast", f"{show(x.shape)} to {show(shape)}", "sizes 1 to grow")
        )
    return shape, x.dtype


def _pad(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    sides = zip(x.shape, attrs["low"], attrs["high"], attrs["interior"], strict=True)
    return tuple(low + (d - 1) * (i + 1) + 1 + high for d, low, high, i in sides), x.dtype


def _slice(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    for dim, start, size, step in zip(
        x.shape, attrs["start"], attrs["shape"], attrs["step"], strict=True
    ):
        end = start + (size - 1) * step + 1
        if isinstance(end - dim, int) and end - dim > 0 and size != 0:
            raise ShapeError(explain("slice", f"elements up to {end} of {dim}", "a range within"))
    return attrs["shape"], x.dtype


def _concat(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    axis, first = attrs["axis"], inputs[0]
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


row("reshape", "view", 1, "shape", _reshape, "the same elements in row-major order", (0,))
row("transpose", "view", 1, "perm", _transpose, "axis perm[i] becomes axis i", (0,))
row("broadcast", "view", 1, "shape", _expand, "axes of size 1 repeated", (0,))
row(
    "pad",
    "view",
    1,
    "low high interior value",
    _pad,
    "`value` before, after and between the elements of each axis; negative low or high crops",
)
row("slice", "view", 1, "start shape step", _slice, "`shape` elements from `start` on", (0,))
row(
    "reverse",
    "view",
    1,
    "axes",
    lambda inputs, attrs: (inputs[0].shape, inputs[0].dtype),
    "the elements of these axes in the opposite order",
    (0,),
)
row("concat", "view", -1, "axis", _concat, "one after the other along an axis")


# -- reductions -------------------------------------------------------------------------------


def _reduce(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    _axes_within("reduce", x, attrs["axes"])
    return tuple(1 if i in attrs["axes"] else dim for i, dim in enumerate(x.shape)), x.dtype


def _argmax(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    (x,) = inputs
    axis = attrs["axis"]
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :]), "int32"


row("reduce_sum", "reduce", 1, "axes", _reduce, "the sum over axes, kept with size 1", (0,))
row("reduce_max", "reduce", 1, "axes", _reduce, "the maximum over axes, kept with size 1")
row("argmax", "reduce", 1, "axis", _argmax, "where the first maximum along an axis stands")


# -- windows ----------------------------------------------------------------------------------


def window_output(shape: Shape, axes: Sequence[Axis]) -> Shape:
    """The shape after sliding windows over the axes before the last one."""
    first = len(shape) - 1 - len(axes)
    spatial = zip(axes, shape[first:-1], strict=True)
    return (*shape[:first], *(axis.output(dim) for axis, dim in spatial), shape[-1])


def _pool(dtype: str | None) -> Rule:
    def rule(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
        return window_output(inputs[0].shape, attrs["axes"]), dtype or inputs[0].dtype

    return rule


def _scatter(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    y, _ = inputs
    first = y.rank - 1 - len(attrs["axes"])
    return (*y.shape[:first], *attrs["sizes"], y.shape[-1]), y.dtype


row("pool_max", "window", 1, "axes", _pool(None), "the largest present element of each window")
row(
    "pool_argmax",
    "window",
    1,
    "axes",
    _pool("int32"),
    "the tap (row-major) at which the first maximum of each window stands",
)
row(
    "pool_take",
    "window",
    2,
    "axes",
    _pool(None),
    "of x and taps t: the element of each window at tap t",
    (0,),
)
row(
    "pool_scatter",
    "window",
    2,
    "axes sizes",
    _scatter,
    "of y and taps t: each y added where its window's tap t stands; the transpose of pool_take",
    (0,),
)


# -- the form ---------------------------------------------------------------------------------


def _conv(inputs: Sequence[Node], attrs: Attrs) -> tuple[Shape, str]:
    return _FACES[attrs["face"]](inputs, attrs), _same_dtype("conv", inputs)


def _face_y(inputs: Sequence[Node], attrs: Attrs) -> Shape:
    x, w = inputs
    return (*window_output(x.shape, attrs["axes"])[:-1], w.shape[-1])


def _face_x(inputs: Sequence[Node], attrs: Attrs) -> Shape:
    w, y = inputs
    first = y.rank - 1 - len(attrs["axes"])
    return (*y.shape[:first], *attrs["sizes"], w.shape[-2] * attrs["groups"])


def _face_w(inputs: Sequence[Node], attrs: Attrs) -> Shape:
    x, y = inputs
    channels = x.shape[-1]
    if not isinstance(channels, int):
        raise InternalError("conv: the number of channels must be known")
    return (*(axis.taps for axis in attrs["axes"]), channels // attrs["groups"], y.shape[-1])


_FACES = {"y": _face_y, "x": _face_x, "w": _face_w}

row(
    "conv",
    "contract",
    2,
    "face axes groups sizes",
    _conv,
    "the trilinear form solved for one operand. With x [batch..., i..., g*c], w [k..., c, g*f], "
    "y [batch..., o..., g*f] and i = o * stride + k * dilation - low: face y is of (x, w), "
    "face x of (w, y), face w of (x, y). `sizes` are x's spatial sizes. Dense has no axes",
    (0, 1),
)


# -- indexing ---------------------------------------------------------------------------------

row(
    "gather",
    "index",
    2,
    "",
    lambda inputs, attrs: ((*inputs[1].shape, *inputs[0].shape[1:]), inputs[0].dtype),
    "of a table and integers: the table's row for each integer",
    (0,),
)
row(
    "scatter_add",
    "index",
    2,
    "rows",
    lambda inputs, attrs: (
        (attrs["rows"], *inputs[1].shape[inputs[0].rank :]),
        inputs[1].dtype,
    ),
    "of integers and updates: a table of `rows` rows, each the sum of its updates in order",
    (1,),
)
