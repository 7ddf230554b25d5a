"""What the elementary functions are made of: the bits of a float, polynomials, exact sums.

Everything is branch-free and rounds alike in every lane, so the vector width changes no bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack, unpack

from isoconv.codegen.emit import Builder, Value, element_type

INFINITY = float("inf")
NAN = float("nan")


@dataclass(frozen=True)
class Layout:
    """A binary format: an integer as wide, the bits stored after the point, the exponent's bias."""

    integer: str
    mantissa: int
    bias: int

    @property
    def least(self) -> float:
        """The smallest normal number; what lies below it counts as zero."""
        return 2.0 ** (1 - self.bias)

    @property
    def negligible(self) -> float:
        """f(x) = x + O(x^2) rounds to x below this."""
        return 2.0 ** -(self.mantissa + 3)

    def pattern(self, number: float) -> int:
        """The bits of a positive number of this format."""
        codes = ("f", "i") if self.integer == "i32" else ("d", "q")
        (bits,) = unpack(f"<{codes[1]}", pack(f"<{codes[0]}", number))
        return int(bits)


LAYOUTS = {"float": Layout("i32", 23, 127), "double": Layout("i64", 52, 1023)}


def layout(x: Value) -> Layout:
    return LAYOUTS[element_type(x.type)]


def bits(b: Builder, x: Value) -> Value:
    return b.convert("bitcast", x, layout(x).integer)


def from_bits(b: Builder, pattern: Value) -> Value:
    scalar = "float" if element_type(pattern.type) == "i32" else "double"
    return b.convert("bitcast", pattern, scalar)


def op(b: Builder, name: str, x: Value, number: float) -> Value:
    """A binary instruction with a constant on the right."""
    return b.op(name, x, b.const(x.type, number))


def fma(b: Builder, x: Value, y: Value | float, z: Value | float) -> Value:
    """x * y + z, rounded once."""
    y, z = (v if isinstance(v, Value) else b.const(x.type, v) for v in (y, z))
    return b.fma(x, y, z)


def horner(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with the lowest coefficient first."""
    *rest, highest = coefficients
    result = b.const(x.type, highest)
    for coefficient in reversed(rest):
        result = fma(b, x, result, coefficient)
    return result


def where(
    b: Builder, x: Value, predicate: str, bound: float, then: Value | float, other: Value
) -> Value:
    """`then` in the lanes where x compares so with the bound, `other` elsewhere."""
    if not isinstance(then, Value):
        then = b.const(other.type, then)
    return b.select(b.compare(predicate, x, b.const(x.type, bound)), then, other)


def nearest_integer(b: Builder, x: Value, factor: float) -> tuple[Value, Value]:
    """x * factor rounded to an integer: as a float, and as bits whose low half is the integer.

    Holds while the result is below 2**(mantissa - 1): adding 1.5 * 2**mantissa leaves no room for
    fractions (Hecker 1996), and needs no conversion, which AVX2 lacks for 64 bits.
    """
    magic = 1.5 * 2.0 ** layout(x).mantissa
    shifted = fma(b, x, factor, magic)
    return op(b, "fsub", shifted, magic), bits(b, shifted)


def magnitude(b: Builder, x: Value) -> Value:
    return b.intrinsic("fabs", x)


def with_sign(b: Builder, x: Value, sign: Value) -> Value:
    return b.intrinsic("copysign", x, sign)


def fast_two_sum(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y rounded, and the rounding error; |x| >= |y| or x = 0 (Dekker 1971)."""
    total = b.op("fadd", x, y)
    return total, b.op("fadd", b.op("fsub", x, total), y)


def two_sum(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y rounded, and the rounding error, whatever their sizes (Knuth 1969)."""
    total = b.op("fadd", x, y)
    second = b.op("fsub", total, x)
    first = b.op("fsub", total, second)
    return total, b.op("fadd", b.op("fsub", x, first), b.op("fsub", y, second))


def two_product(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x * y rounded, and the rounding error."""
    product = b.op("fmul", x, y)
    return product, b.fma(x, y, b.emit(x.type, f"fneg {product}"))
