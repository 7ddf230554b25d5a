"""The operations a program is made of: one row each, with its shape rule and its meaning in words.

Their NumPy meanings, gradients and emission are tables elsewhere, keyed by the same names.
Channels come last; sizes are numbers or expressions of run-time sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isoconv.errors import InternalError
from isoconv.ir import rules
from isoconv.ir.graph import Node, raw
from isoconv.ir.rules import OPERANDS, Rule, agree, show

__all__ = ["OPERANDS", "OPS", "Op", "agree", "make", "show"]


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
    """The node of the operation `op`, its operands checked and its shape worked out."""
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


# -- elementwise ------------------------------------------------------------------------------

_UNARY = {
    "neg": "-x",
    "abs": "|x|",
    "sign": "-1, 0 or 1",
    "floor": "the largest integer not above x",
    "relu": "max(x, 0), with derivative 0 at 0; NaN if x is",
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
    row(_name, "elementwise", 1, "", rules.arithmetic(_name), _doc, (0,) if _name == "neg" else ())
for _name, _doc in _FLOATING.items():
    row(_name, "elementwise", 1, "", rules.floating(_name), _doc)
for _name, (_doc, _linear) in _BINARY.items():
    row(_name, "elementwise", 2, "", rules.arithmetic(_name), _doc, _linear)
row("div", "elementwise", 2, "", rules.floating("div"), "x / y", (0,))
row("rem", "elementwise", 2, "", rules.floating("rem"), "x - y * the whole part of x / y, exact")
row("pow", "elementwise", 2, "", rules.floating("pow"), "x to the y; x < 0 only for a whole y")
for _name, _doc in {"lt": "x < y", "le": "x <= y", "eq": "x == y"}.items():
    row(_name, "elementwise", 2, "", rules.comparison(_name), _doc)
row("and", "elementwise", 2, "", rules.logical("and"), "both (bools)")
row("or", "elementwise", 2, "", rules.logical("or"), "either (bools)")
row("not", "elementwise", 1, "", rules.logical("not"), "the opposite (bool)")
row("where", "elementwise", 3, "", rules.where, "y where the condition x holds, else z", (1, 2))
row(
    "cast",
    "elementwise",
    1,
    "dtype",
    lambda inputs, attrs: (inputs[0].shape, rules.declared(inputs, attrs)[1]),
    "the value in another dtype; to an integer it is cut towards zero",
    (0,),
)


# -- leaves -----------------------------------------------------------------------------------

row(
    "input",
    "leaf",
    0,
    "name shape dtype",
    rules.declared,
    "a tensor given at each call: data, a weight or a state",
)
row(
    "full",
    "leaf",
    0,
    "value shape dtype",
    rules.declared,
    "one number everywhere",
)
row(
    "iota",
    "leaf",
    0,
    "axis shape dtype",
    rules.iota,
    "the index along an axis",
)
row(
    "size",
    "leaf",
    0,
    "dim dtype",
    rules.declared,
    "a run-time size as a number",
)
row(
    "random",
    "index",
    1,
    "shape dtype",
    rules.random,
    "uniform numbers in [0, 1) from an int64 key (a scalar): Philox-4x32-10 of the key and the "
    "element's row-major index (Salmon et al. 2011)",
)


# -- views ------------------------------------------------------------------------------------

row("reshape", "view", 1, "shape", rules.reshape, "the same elements in row-major order", (0,))
row("after", "view", 2, "", rules.after, "operand 0, not used before operand 1 is there", (0,))
row("transpose", "view", 1, "perm", rules.transpose, "axis perm[i] becomes axis i", (0,))
row("broadcast", "view", 1, "shape", rules.broadcast, "axes of size 1 repeated", (0,))
row(
    "pad",
    "view",
    1,
    "low high interior value",
    rules.pad,
    "`value` before, after and between the elements of each axis; negative low or high crops",
)
row("slice", "view", 1, "start shape step", rules.slice, "`shape` elements from `start` on", (0,))
row("reverse", "view", 1, "axes", rules.reverse, "these axes in the opposite order", (0,))
row("concat", "view", -1, "axis", rules.concat, "one after the other along an axis")


# -- reductions -------------------------------------------------------------------------------

row("reduce_sum", "reduce", 1, "axes", rules.reduce, "the sum over axes, kept with size 1", (0,))
row("reduce_max", "reduce", 1, "axes", rules.reduce, "the maximum over axes, kept with size 1")
row("argmax", "reduce", 1, "axis", rules.argmax, "where the first maximum along an axis stands")


# -- windows ----------------------------------------------------------------------------------

_POOL_MAX = (
    "the largest present element of each window, NaN being larger than everything; the least "
    "value of the dtype (-inf) in a window that holds none"
)
row("pool_max", "window", 1, "axes", rules.pool, _POOL_MAX)
row(
    "pool_argmax",
    "window",
    1,
    "axes",
    rules.pool_argmax,
    "the tap (row-major) at which the first maximum of each window stands; -1 in an empty window",
)
row(
    "pool_take",
    "window",
    2,
    "axes",
    rules.pool_take,
    "of x and taps t: the element of each window at tap t; 0 where it is absent",
    (0,),
)
row(
    "pool_scatter",
    "window",
    2,
    "axes sizes",
    rules.pool_scatter,
    "of y and taps t: each y added where its window's tap t stands; the transpose of pool_take",
    (0,),
)

_AT_POINTS = (
    "of x [batch..., i..., c] and tiles t of its positions, t * stride to t * stride + taps - 1 "
    "less low: at each point, the sum of a tile's positions by the matrix that `side` names of a "
    "scheme an axis (`ir.schemes`): [batch..., t..., points * c]"
)
row("to_points", "window", 1, "axes schemes side", rules.to_points, _AT_POINTS, (0,))
row(
    "from_points",
    "window",
    1,
    "axes schemes side sizes",
    rules.from_points,
    "the transpose of to_points: each position, of `sizes`, is the sum of the points of its tiles",
    (0,),
)


# -- the form ---------------------------------------------------------------------------------

row(
    "conv",
    "contract",
    2,
    "face axes groups sizes",
    rules.conv,
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
    rules.gather,
    "of a table and integers: the table's row for each integer; one outside is an error",
    (0,),
)
row(
    "scatter_add",
    "index",
    2,
    "rows",
    rules.scatter_add,
    "of integers and updates: a table of `rows` rows, each the sum of its updates in order; an "
    "integer outside is an error",
    (1,),
)
