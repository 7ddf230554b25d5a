"""Rows of outputs along one axis, as blocks where all taps are live and one by one at the edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.pull import Pull


@dataclass(frozen=True)
class Bounds:
    """Rows first..last-1, of which low..high-1 meet all their taps."""

    first: Value
    last: Value
    low: Value
    high: Value


def bounds(
    b: Builder, first: Value, last: Value, start: Value, step: int, reach: Value, length: Value
) -> Bounds:
    """The rows that meet all taps, of rows that begin at `start + row * step` in an input of
    `length` and reach `reach` positions further.
    """
    low = b.floordiv(b.add(b.sub(b.i64(0), start), step - 1), step)
    high = b.add(b.floordiv(b.sub(b.sub(length, start), b.add(reach, 1)), step), 1)
    low = b.minimum(b.maximum(low, first), last)
    return Bounds(first, last, low, b.maximum(b.minimum(high, last), low))


def cover(
    p: Pull,
    rows: Bounds,
    deep: int,
    block: Callable[[Value], None],
    single: Callable[[Value], None],
) -> None:
    """Blocks of `deep` rows over those that meet all taps, and the others one by one.

    The last block is moved back to end where the rows end; the rows it repeats come out the same.
    Fewer rows than a block are done one by one.
    """
    b = p.b
    inside = b.sub(rows.high, rows.low)
    blocked = b.select(b.compare("sge", inside, b.i64(deep)), inside, b.i64(0))
    with b.loop(0, blocked, step=deep) as loop, p.scope():
        block(b.add(rows.low, b.minimum(loop.index, b.sub(blocked, deep))))
    with b.loop(0, b.sub(b.sub(rows.last, rows.first), blocked)) as loop, p.scope():
        row = b.add(rows.first, loop.index)
        skip = b.compare("sge", row, rows.low)
        single(b.add(row, b.select(skip, blocked, b.i64(0))))
