"""sin and cos of |x| below 2**40; beyond that, where float64 has no digits to reduce by, NaN.

The nearest multiple of pi / 2 is taken off in three parts (Cody and Waite 1980, chapter 8).
"""

from __future__ import annotations

from isoconv.codegen.coefficients import COS, HALF_PI, SIN
from isoconv.codegen.emit import Builder, Value, element_type
from isoconv.codegen.numerics import (
    NAN,
    bits,
    fma,
    from_bits,
    horner,
    layout,
    magnitude,
    nearest_integer,
    op,
    two_product,
    two_sum,
    where,
)

LIMIT = 2.0**40


def sin(b: Builder, x: Value) -> Value:
    if element_type(x.type) == "float":
        return b.convert("fptrunc", sin(b, b.convert("fpext", x, "double")), "float")
    result = _turned(b, x, 0)
    return where(b, magnitude(b, x), "olt", layout(x).negligible, x, result)


def cos(b: Builder, x: Value) -> Value:
    if element_type(x.type) == "float":
        return b.convert("fptrunc", cos(b, b.convert("fpext", x, "double")), "float")
    return _turned(b, x, 1)


def _turned(b: Builder, x: Value, quarters: int) -> Value:
    """sin(x + quarters * pi / 2) in float64."""
    first, second, third = HALF_PI["double"]
    count, pattern = nearest_integer(b, x, 1 / first)
    # The first step is exact; what the second loses is kept, and added to the third part.
    near = fma(b, count, -first, x)
    step, step_low = two_product(b, count, b.const(x.type, -second))
    r, low = two_sum(b, near, step)
    low = fma(b, count, -third, b.op("fadd", low, step_low))
    square = b.op("fmul", r, r)

    sine = b.fma(b.op("fmul", r, square), horner(b, square, SIN["double"]), low)
    sine = b.op("fadd", r, sine)

    top = fma(b, square, -0.5, 1.0)
    lost = fma(b, square, -0.5, b.op("fsub", b.const(x.type, 1), top))
    tail = b.op("fmul", b.op("fmul", square, square), horner(b, square, COS["double"]))
    tail = b.op("fsub", tail, b.op("fmul", r, low))
    cosine = b.op("fadd", top, b.op("fadd", lost, tail))

    turn = op(b, "add", pattern, quarters)
    straight = b.compare("eq", op(b, "and", turn, 1), b.const(turn.type, 0))
    chosen = b.select(straight, sine, cosine)
    sign = op(b, "shl", op(b, "and", turn, 2), 62)
    result = from_bits(b, b.op("xor", bits(b, chosen), sign))
    return where(b, magnitude(b, x), "ule", LIMIT, result, b.const(x.type, NAN))
