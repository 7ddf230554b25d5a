"""Which taps of a window reach an input, and where: run-time ranges along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.index import Sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import Dim


@dataclass(frozen=True)
class Taps:
    """The live taps of one output, in the order of ascending input positions.

    Number j of `count` is tap `tap + j * tap_step`, at input position `place + j * place_step`.
    """

    count: Value
    tap: Value
    tap_step: int
    place: Value
    place_step: int


def forward(b: Builder, sizes: Sizes, axis: Axis, output: Value, length: Dim) -> Taps:
    """Of output position o: the taps whose input o*s + k*d - low lies within `length`."""
    origin = b.sub(b.mul(output, axis.stride), sizes(axis.low))
    if axis.low == 0 and axis.high == 0:
        return Taps(b.i64(axis.taps), b.i64(0), 1, origin, axis.dilation)
    first = b.maximum(_ceildiv(b, b.sub(b.i64(0), origin), axis.dilation), 0)
    last = _ceildiv(b, b.sub(sizes(length), origin), axis.dilation)
    count = b.maximum(b.sub(b.minimum(last, axis.taps), first), 0)
    place = b.add(origin, b.mul(first, axis.dilation))
    return Taps(count, first, 1, place, axis.dilation)


def backward(b: Builder, sizes: Sizes, axis: Axis, position: Value, length: Dim) -> Taps:
    """Of position i of the form's x: the taps whose output (i + low - k*d) / s is whole and lies
    within `length` outputs; they run downwards, so that outputs ascend.
    """
    stride, dilation = axis.stride, axis.dilation
    origin = b.add(position, sizes(axis.low))
    common = gcd(stride, dilation)
    tap_step = stride // common
    top = b.minimum(b.floordiv(origin, dilation), axis.taps - 1)
    reach = b.sub(origin, b.mul(b.sub(sizes(length), 1), stride))
    bottom = b.maximum(_ceildiv(b, reach, dilation), 0)
    first = first_live(b, axis, origin)
    # Number j counts from `first` upwards in steps of tap_step; keep those in bottom..top.
    low = b.maximum(_ceildiv(b, b.sub(bottom, first), tap_step), 0)
    high = b.floordiv(b.sub(top, first), tap_step)
    tap = b.add(first, b.mul(high, tap_step))
    place = b.floordiv(b.sub(origin, b.mul(tap, dilation)), stride)
    count = b.maximum(b.add(b.sub(high, low), 1), 0)
    return Taps(count, tap, -tap_step, place, tap_step * dilation // stride)


def outputs(
    b: Builder, sizes: Sizes, axis: Axis, tap: Value, length: Dim, count: Dim
) -> tuple[Value, Value]:
    """The range of output positions whose input at `tap` lies within `length`."""
    origin = b.sub(b.mul(tap, axis.dilation), sizes(axis.low))
    if axis.low == 0 and axis.high == 0:
        return b.i64(0), sizes(count)
    first = b.maximum(_ceildiv(b, b.sub(b.i64(0), origin), axis.stride), 0)
    last = b.minimum(_ceildiv(b, b.sub(sizes(length), origin), axis.stride), sizes(count))
    return first, last


def first_live(b: Builder, axis: Axis, origin: Value) -> Value:
    """The smallest tap k for which (origin - k*d) / s is whole; one past all taps for none.

    With g = gcd(s, d) that is origin/g times the inverse of d/g, modulo s/g, if g divides origin.
    """
    stride, common = axis.stride, gcd(axis.stride, axis.dilation)
    if stride == 1:
        return b.i64(0)
    period = stride // common
    whole = b.floordiv(origin, common)
    tap = _modulo(
        b, b.mul(_modulo(b, whole, period), pow(axis.dilation // common, -1, period)), period
    )
    met = b.compare("eq", b.mul(whole, common), origin)
    return b.select(met, b.minimum(tap, axis.taps), b.i64(axis.taps))


def _modulo(b: Builder, value: Value, divisor: int) -> Value:
    return b.sub(value, b.mul(b.floordiv(value, divisor), divisor))


def _ceildiv(b: Builder, value: Value, divisor: int) -> Value:
    return b.floordiv(b.add(value, divisor - 1), divisor)
