"""log, log1p and pow: the exponent times log(2), and a polynomial of the mantissa.

The mantissa lies in [2/3, 4/3), so that near 1 the exponent is 0 and nothing cancels.
"""

from __future__ import annotations

from isoconv.codegen.coefficients import ATANH, LN2, LN2_SHORT, LOG, THIRD
from isoconv.codegen.emit import Builder, Value, element_type
from isoconv.codegen.exponential import exp_sum
from isoconv.codegen.numerics import (
    INFINITY,
    NAN,
    bits,
    fast_two_sum,
    fma,
    from_bits,
    horner,
    layout,
    magnitude,
    op,
    two_product,
    two_sum,
    where,
    with_sign,
)


def _split(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """f and e in x = (1 + f) * 2**e, and the bits of 2**e."""
    form = layout(x)
    one = form.pattern(1.0)
    pattern = bits(b, x)
    shifted = op(b, "add", pattern, one - form.pattern(2 / 3))
    biased = op(b, "lshr", shifted, form.mantissa)
    power = op(b, "shl", biased, form.mantissa)
    mantissa = from_bits(b, op(b, "add", b.op("sub", pattern, power), one))
    # An integer below 2**mantissa, put under the exponent of that number, is added to it.
    unit = 2.0**form.mantissa
    raised = from_bits(b, op(b, "or", biased, form.pattern(unit)))
    return op(b, "fsub", mantissa, 1), op(b, "fsub", raised, unit + form.bias), power


def _sum(b: Builder, f: Value, e: Value) -> Value:
    """log(1 + f) + e * log(2)."""
    scalar = element_type(f.type)
    high, low = LN2[scalar]
    tail = b.op("fmul", b.op("fmul", f, f), horner(b, f, LOG[scalar]))
    return fma(b, e, high, b.op("fadd", f, fma(b, e, low, tail)))


def _ends(b: Builder, x: Value, result: Value) -> Value:
    """The logarithm at 0, below it, at infinity and of a NaN."""
    result = where(b, x, "olt", layout(x).least, -INFINITY, result)
    result = where(b, x, "olt", 0, NAN, result)
    return where(b, x, "uge", INFINITY, x, result)


def log(b: Builder, x: Value) -> Value:
    f, e, _ = _split(b, x)
    return _ends(b, x, _sum(b, f, e))


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x), as exact near 0 as elsewhere."""
    form = layout(x)
    total, lost = two_sum(b, b.const(x.type, 1), x)
    f, e, power = _split(b, total)
    # What rounding 1 + x lost, over 2**e; for the largest numbers, where it does not matter, the
    # exponent of the divisor would leave its place.
    inverse = b.op("sub", b.const(power.type, 2 * form.pattern(1.0)), power)
    inverse = b.intrinsic("smax", inverse, b.const(power.type, 0))
    f = b.fma(lost, from_bits(b, inverse), f)
    result = _ends(b, total, _sum(b, f, e))
    return where(b, magnitude(b, x), "olt", form.negligible, x, result)


def _log_pair(b: Builder, x: Value) -> tuple[Value, Value]:
    """log(x) for x >= 0 in float64, as a sum of two numbers with an error below 2**-63.

    log(1 + f) = 2 atanh(s), s = f / (2 + f); |s| <= 1/5, so that only the first two terms of the
    series need more than one number.
    """
    f, e, _ = _split(b, x)
    divisor, divisor_low = fast_two_sum(b, b.const(x.type, 2), f)
    inverse = b.op("fdiv", b.const(x.type, 1), divisor)
    s = b.op("fmul", f, inverse)
    negative = b.emit(s.type, f"fneg {s}")
    s_low = b.op("fmul", b.fma(negative, divisor_low, b.fma(negative, divisor, f)), inverse)
    # From here on 2 s, which is as exact.
    s, s_low = b.op("fadd", s, s), b.op("fadd", s_low, s_low)
    square, square_low = two_product(b, s, s)
    square_low = b.fma(b.op("fadd", s, s), s_low, square_low)
    z, z_low = op(b, "fmul", square, 0.25), op(b, "fmul", square_low, 0.25)
    third, third_low = two_product(b, z, b.const(z.type, THIRD["double"][0]))
    third_low = fma(b, z_low, THIRD["double"][0], fma(b, z, THIRD["double"][1], third_low))
    tail = b.op("fmul", b.op("fmul", z, z), horner(b, z, ATANH["double"]))
    w, w_low = fast_two_sum(b, third, tail)
    w_low = b.op("fadd", w_low, third_low)
    product, product_low = two_product(b, s, w)
    product_low = b.fma(s_low, w, b.fma(s, w_low, product_low))
    high, low = fast_two_sum(b, s, product)
    low = b.op("fadd", low, b.op("fadd", s_low, product_low))
    whole = op(b, "fmul", e, LN2_SHORT["double"][0])
    high, lost = fast_two_sum(b, whole, high)
    low = b.op("fadd", lost, fma(b, e, LN2_SHORT["double"][1], low))
    high, low = fast_two_sum(b, high, low)
    return _ends(b, x, high), low


def pow(b: Builder, x: Value, y: Value) -> Value:
    """x to the power of y, with the special values of C (ISO/IEC 9899:2018, F.10.4.4)."""
    if element_type(x.type) == "float":
        wide = _pow(b, b.convert("fpext", x, "double"), b.convert("fpext", y, "double"), False)
        return b.convert("fptrunc", wide, "float")
    return _pow(b, x, y, True)


def _pow(b: Builder, x: Value, y: Value, exactly: bool) -> Value:
    """exactly: whether the logarithm needs more digits than those of one float64."""
    a = magnitude(b, x)
    # A power of 1 is 1, also where 0 * infinity would make it NaN.
    times = where(b, a, "oeq", 1, 0, y)
    if exactly:
        high, low = _log_pair(b, a)
        exponent, lost = two_product(b, times, high)
        lost = b.fma(times, low, lost)
        # Where the result overflows or vanishes, what was lost may be infinite.
        lost = where(b, magnitude(b, exponent), "olt", 800, lost, b.const(x.type, 0))
        result = exp_sum(b, exponent, lost)
    else:
        result = exp_sum(b, b.op("fmul", times, log(b, a)), None)
    fraction = b.compare("une", b.intrinsic("floor", y), y)
    half = op(b, "fmul", y, 0.5)
    odd = b.compare("une", b.intrinsic("floor", half), half)
    result = b.select(odd, b.select(fraction, result, with_sign(b, result, x)), result)
    below = b.compare("olt", x, b.const(x.type, 0))
    finite = b.compare("une", a, b.const(x.type, INFINITY))
    nowhere = b.op("and", fraction, b.op("and", below, finite))
    result = b.select(nowhere, b.const(x.type, NAN), result)
    result = where(b, y, "oeq", 0, 1, result)
    return where(b, x, "oeq", 1, 1, result)
