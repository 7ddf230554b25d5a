"""exp, expm1, tanh and erf: a power of two times a polynomial on [-log(2)/2, log(2)/2].

Cody and Waite, Software Manual for the Elementary Functions (1980), chapters 6 and 13.
"""

from __future__ import annotations

from isoconv.codegen.coefficients import ERF, ERFC, EXP, EXP_RANGE, LN2, TANH
from isoconv.codegen.emit import Builder, Value, element_type
from isoconv.codegen.numerics import (
    INFINITY,
    bits,
    fma,
    from_bits,
    horner,
    layout,
    magnitude,
    nearest_integer,
    op,
    where,
    with_sign,
)


def _reduced(b: Builder, x: Value, low: Value | None = None) -> tuple[Value, Value]:
    """p and n in exp(x + low) = (1 + p) * 2**n; n stands in the place of the exponent."""
    scalar = element_type(x.type)
    whole, pattern = nearest_integer(b, x, 1 / LN2["double"][0])
    # The first step is exact: x and whole * LN2 are near, and multiples of one small unit.
    r = fma(b, whole, -LN2[scalar][0], x)
    r = fma(b, whole, -LN2[scalar][1], r)
    if low is not None:
        r = b.op("fadd", r, low)
    p = b.fma(b.op("fmul", r, r), horner(b, r, EXP[scalar]), r)
    return p, op(b, "shl", pattern, layout(x).mantissa)


def _inside(b: Builder, x: Value, low: Value | None = None) -> Value:
    """exp(x + low) where the result is a normal number."""
    p, power = _reduced(b, x, low)
    return from_bits(b, b.op("add", bits(b, op(b, "fadd", p, 1)), power))


def _overflow(b: Builder, x: Value, result: Value) -> Value:
    """Infinity above the range of exp; a NaN stays one."""
    greatest = EXP_RANGE[element_type(x.type)][1]
    return where(b, x, "ugt", greatest, op(b, "fadd", x, INFINITY), result)


def exp_sum(b: Builder, x: Value, low: Value | None) -> Value:
    """exp(x + low), where low is at most a rounding error of x."""
    least = EXP_RANGE[element_type(x.type)][0]
    result = where(b, x, "olt", least, 0, _inside(b, x, low))
    return _overflow(b, x, result)


def exp(b: Builder, x: Value) -> Value:
    return exp_sum(b, x, None)


def expm1(b: Builder, x: Value) -> Value:
    """exp(x) - 1, as exact near 0 as elsewhere."""
    form = layout(x)
    # Everything below this gives -1, and 2**n stays a normal number.
    above = where(b, x, "olt", -float(form.mantissa), -float(form.mantissa), x)
    p, power = _reduced(b, above)
    # Half of it all, because 2**n overflows before the result does.
    half = from_bits(b, op(b, "add", power, form.pattern(0.5)))
    result = b.fma(half, p, op(b, "fsub", half, 0.5))
    result = _overflow(b, x, b.op("fadd", result, result))
    return where(b, magnitude(b, x), "olt", form.negligible, x, result)


def tanh(b: Builder, x: Value) -> Value:
    """An odd polynomial up to 1, 1 - 2 / (exp(2|x|) + 1) from there."""
    scalar = element_type(x.type)
    a = magnitude(b, x)
    square = b.op("fmul", a, a)
    near = b.fma(b.op("fmul", a, square), horner(b, square, TANH[scalar]), a)
    limit = 10 if scalar == "float" else 20
    bounded = where(b, a, "ogt", limit, limit, a)
    e = _inside(b, b.op("fadd", bounded, bounded))
    rest = b.op("fdiv", b.const(x.type, 2), op(b, "fadd", e, 1))
    far = b.op("fsub", b.const(x.type, 1), rest)
    # A NaN takes the polynomial, which keeps it.
    return with_sign(b, where(b, a, "oge", 1, far, near), x)


def erf(b: Builder, x: Value) -> Value:
    """An odd polynomial up to 1, 1 - exp(-|x| p(|x|)) from there.

    The quotient -log(erfc(x)) / x is close to a line, so that a short polynomial approaches it.
    """
    scalar = element_type(x.type)
    a = magnitude(b, x)
    near = b.fma(a, horner(b, b.op("fmul", a, a), ERF[scalar]), a)
    limit = 4 if scalar == "float" else 6
    bounded = where(b, a, "ogt", limit, limit, a)
    exponent = b.op("fmul", bounded, horner(b, bounded, [-c for c in ERFC[scalar]]))
    far = b.op("fsub", b.const(x.type, 1), _inside(b, exponent))
    return with_sign(b, where(b, a, "oge", 1, far, near), x)
