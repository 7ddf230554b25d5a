"""Arithmetic, comparisons and functions of single elements, with broadcasting."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import DTypeLike

from isoconv import dtypes
from isoconv.ir.ops import make
from isoconv.ops.convert import align, as_float, as_tensor, change_dtype, expand_rank
from isoconv.ops.dispatch import op
from isoconv.ops.tensor import Tensor


def node(name: str, *operands: Tensor, **attrs: Any) -> Tensor:
    """The operation of the intermediate representation, as a Tensor."""
    return Tensor(make(name, *(operand.node for operand in operands), **attrs))


# -- arithmetic -------------------------------------------------------------------------------


@op
def add(x1: Any, x2: Any) -> Tensor:
    """x1 + x2."""
    return node("add", *_numbers(x1, x2))


@op
def subtract(x1: Any, x2: Any) -> Tensor:
    """x1 - x2."""
    return node("sub", *_numbers(x1, x2))


@op
def multiply(x1: Any, x2: Any) -> Tensor:
    """x1 * x2."""
    return node("mul", *_numbers(x1, x2))


@op
def divide(x1: Any, x2: Any) -> Tensor:
    """x1 / x2, always in floats."""
    return node("div", *align(x1, x2, floating=True))


@op
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """The largest integer not above x1 / x2, for floats exact as in NumPy, a zero's sign too."""
    left, right = _numbers(x1, x2)
    if dtypes.is_float(left.dtype):
        rest, turned = _remainder(left, right)
        # All but exact: only its rounding is left to undo.
        whole = subtract(divide(subtract(left, rest), right), turned)
        below = floor(whole)
        nearest = add(below, greater(subtract(whole, below), 0.5))
        quotient = divide(left, right)
        signed = where(equal(nearest, 0.0), multiply(quotient, 0.0), nearest)
        return where(equal(right, 0.0), quotient, signed)
    wide = (change_dtype(side, "float64") for side in (left, right))
    return change_dtype(node("floor", node("div", *wide)), left.dtype)


@op
def mod(x1: Any, x2: Any) -> Tensor:
    """What floor_divide leaves of x1; it has the sign of x2."""
    left, right = _numbers(x1, x2)
    if dtypes.is_float(left.dtype):
        rest, turned = _remainder(left, right)
        return where(turned, add(rest, right), rest)
    return node("sub", left, node("mul", right, floor_divide(left, right)))


def _remainder(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """What whole multiples of `right` leave of `left`, with the sign of `left`; and whether that is
    not the sign of `right`.
    """
    rest = node("rem", left, right)
    opposite = not_equal(less(rest, 0.0), less(right, 0.0))
    return rest, logical_and(opposite, not_equal(rest, 0.0))


@op
def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power x2; small whole exponents by multiplication."""
    if isinstance(x2, int | float) and x2 in (1, 2, 3, 4) and not isinstance(x2, bool):
        x = as_float(x1) if isinstance(x2, float) else as_tensor(x1)
        square = node("mul", x, x)
        return {1: x, 2: square, 3: node("mul", square, x), 4: node("mul", square, square)}[int(x2)]
    left, right = align(x1, x2)
    if dtypes.is_float(left.dtype):
        return node("pow", left, right)
    wide = (change_dtype(side, "float64") for side in (left, right))
    return change_dtype(node("pow", *wide), left.dtype)


@op
def maximum(x1: Any, x2: Any) -> Tensor:
    """The larger of x1 and x2; NaN where either is."""
    return node("max", *_numbers(x1, x2))


@op
def minimum(x1: Any, x2: Any) -> Tensor:
    """The smaller of x1 and x2; NaN where either is."""
    return node("min", *_numbers(x1, x2))


@op
def negative(x: Any) -> Tensor:
    """-x."""
    return node("neg", _number(x))


@op
def absolute(x: Any) -> Tensor:
    """|x|."""
    return node("abs", _number(x))


@op
def sign(x: Any) -> Tensor:
    """The sign of x: -1, 0 or 1."""
    return node("sign", _number(x))


@op
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """x held between `x_min` and `x_max`."""
    return minimum(maximum(x, x_min), x_max)


def _number(x: Any) -> Tensor:
    """A tensor that counts: bools become 0 and 1."""
    tensor = as_tensor(x)
    return change_dtype(tensor, "int32") if tensor.dtype == "bool" else tensor


def _numbers(x1: Any, x2: Any) -> list[Tensor]:
    return [_number(side) for side in align(x1, x2)]


# -- functions of floats ----------------------------------------------------------------------


@op
def floor(x: Any) -> Tensor:
    """The largest integer not above x."""
    return node("floor", as_float(x))


@op
def ceil(x: Any) -> Tensor:
    """The smallest integer not below x."""
    return negative(floor(negative(x)))


@op
def round(x: Any) -> Tensor:
    """The integer nearest to x; of two as near, the even one."""
    x = as_float(x)
    low = floor(x)
    rest = x - low
    even = equal(mod(low, 2.0), 0.0)
    up = logical_or(rest > 0.5, logical_and(equal(rest, 0.5), logical_not(even)))
    return where(up, low + 1.0, low)


@op
def sqrt(x: Any) -> Tensor:
    """The square root of x; NaN below 0."""
    return node("sqrt", as_float(x))


@op
def rsqrt(x: Any) -> Tensor:
    """1 / sqrt(x)."""
    return divide(1.0, sqrt(x))


@op
def square(x: Any) -> Tensor:
    """x * x."""
    return multiply(x, x)


@op
def reciprocal(x: Any) -> Tensor:
    """1 / x."""
    return divide(1.0, x)


@op
def exp(x: Any) -> Tensor:
    """e to the power x."""
    return node("exp", as_float(x))


@op
def expm1(x: Any) -> Tensor:
    """exp(x) - 1, exact near 0."""
    return node("expm1", as_float(x))


@op
def log(x: Any) -> Tensor:
    """The natural logarithm of x; -inf of 0, NaN below."""
    return node("log", as_float(x))


@op
def log1p(x: Any) -> Tensor:
    """log(1 + x), exact near 0."""
    return node("log1p", as_float(x))


@op
def log2(x: Any) -> Tensor:
    """The logarithm of x to base 2."""
    return log(x) * (1 / math.log(2))


@op
def log10(x: Any) -> Tensor:
    """The logarithm of x to base 10."""
    return log(x) * (1 / math.log(10))


@op
def sin(x: Any) -> Tensor:
    """The sine, x in radians."""
    return node("sin", as_float(x))


@op
def cos(x: Any) -> Tensor:
    """The cosine, x in radians."""
    return node("cos", as_float(x))


@op
def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent of x."""
    return node("tanh", as_float(x))


@op
def erf(x: Any) -> Tensor:
    """The error function of x."""
    return node("erf", as_float(x))


# -- comparisons and choices ------------------------------------------------------------------


@op
def equal(x1: Any, x2: Any) -> Tensor:
    """x1 == x2, as bools."""
    return node("eq", *_numbers(x1, x2))


@op
def not_equal(x1: Any, x2: Any) -> Tensor:
    """x1 != x2, as bools; true for NaN."""
    return node("not", equal(x1, x2))


@op
def less(x1: Any, x2: Any) -> Tensor:
    """x1 < x2, as bools."""
    return node("lt", *_numbers(x1, x2))


@op
def less_equal(x1: Any, x2: Any) -> Tensor:
    """x1 <= x2, as bools."""
    return node("le", *_numbers(x1, x2))


@op
def greater(x1: Any, x2: Any) -> Tensor:
    """x1 > x2, as bools."""
    return less(x2, x1)


@op
def greater_equal(x1: Any, x2: Any) -> Tensor:
    """x1 >= x2, as bools."""
    return less_equal(x2, x1)


@op
def logical_and(x1: Any, x2: Any) -> Tensor:
    """Whether both x1 and x2 hold; numbers hold where they are not 0."""
    return node("and", *_truths(x1, x2))


@op
def logical_or(x1: Any, x2: Any) -> Tensor:
    """Whether x1 or x2 holds; numbers hold where they are not 0."""
    return node("or", *_truths(x1, x2))


@op
def logical_not(x: Any) -> Tensor:
    """Whether x does not hold; numbers hold where they are not 0."""
    return node("not", _truth(x))


@op
def isnan(x: Any) -> Tensor:
    """Whether x is no number."""
    return not_equal(x, x)


@op
def isfinite(x: Any) -> Tensor:
    """Whether x is neither infinite nor NaN."""
    return absolute(x) < math.inf


@op
def where(condition: Any, x1: Any, x2: Any) -> Tensor:
    """x1 where the condition holds, else x2."""
    chosen, left, right = _truth(condition), *align(x1, x2)
    rank = max(chosen.ndim, left.ndim)
    return node("where", *(expand_rank(part, rank) for part in (chosen, left, right)))


@op
def cast(x: Any, dtype: DTypeLike) -> Tensor:
    """x in another dtype; floats are cut towards zero for integers."""
    name = dtypes.standardize(dtype, "cast: dtype")
    return _truth(x) if name == "bool" else change_dtype(as_tensor(x), name)


def _truth(x: Any) -> Tensor:
    tensor = as_tensor(x)
    return tensor if tensor.dtype == "bool" else not_equal(tensor, 0)


def _truths(x1: Any, x2: Any) -> list[Tensor]:
    return align(_truth(x1), _truth(x2))
