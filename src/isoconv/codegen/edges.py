"""Rows of outputs along one axis, as blocks where all taps are live and one by one at the edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def segments(b: Builder, rows: Bounds) -> Iterator[tuple[Value, Value]]:
    """Runs over the rows: those that meet all their taps at once, each of the others alone."""
    if rows.low is rows.first and rows.high is rows.last:
        yield rows.first, rows.last
        return
    inside = b.sub(rows.high, rows.low)
    whole = b.convert("zext", b.compare("sgt", inside, b.i64(0)), "i64")
    before = b.sub(rows.low, rows.first)
    count = b.add(b.sub(b.sub(rows.last, rows.first), inside), whole)
    with b.loop(0, count) as loop:
        after = b.compare("sgt", loop.index, before)
        here = b.compare("eq", loop.index, before)
        skipped = b.sub(inside, whole)
        start = b.add(b.add(rows.first, loop.index), b.select(after, skipped, b.i64(0)))
        length = b.add(b.select(here, skipped, b.i64(0)), 1)
        yield start, b.add(start, length)


def tiles(p: Pull, count: Value, deep: int, block: Callable[[Value, int], None]) -> None:
    """`block(first, deep)` for each `deep` of rows 0..count-1, which are as many or none; the last
    ones are moved back to end where the rows end, and those repeated come out the same.
    """
    b = p.b
    with b.loop(0, count, step=deep) as loop, p.scope():
        block(b.minimum(loop.index, b.sub(count, deep)), deep)


def blocks(p: Pull, count: Value, deep: int, block: Callable[[Value, int], None]) -> None:
    """`block(first, rows)` over rows 0..count-1: in tiles of `deep`, or one by one if there are
    fewer.
    """
    b = p.b
    whole = b.select(b.compare("sge", count, b.i64(deep)), count, b.i64(0))
    tiles(p, whole, deep, block)
    with b.loop(whole, count) as loop, p.scope():
        block(loop.index, 1)


def cover(
    p: Pull,
    rows: Bounds,
    deep: tuple[int, int],
    block: Callable[[Value, int], None],
    single: Callable[[Value], None],
) -> None:
    """Blocks of `deep` rows over those that meet all taps, as many large ones as fit and small ones
    for what is left, and the others one by one.

    The last block is moved back to end where the rows end; the rows it repeats come out the same.
    Fewer rows than a small block are done one by one.
    """
    b, (large, small) = p.b, deep
    inside = b.sub(rows.high, rows.low)
    blocked = b.select(b.compare("sge", inside, b.i64(small)), inside, b.i64(0))
    whole = b.mul(b.floordiv(blocked, large), large)
    with b.loop(0, whole, step=large) as loop, p.scope():
        block(b.add(rows.low, loop.index), large)
    with b.loop(whole, blocked, step=small) as loop, p.scope():
        block(b.add(rows.low, b.minimum(loop.index, b.sub(blocked, small))), small)
    with b.loop(0, b.sub(b.sub(rows.last, rows.first), blocked)) as loop, p.scope():
        row = b.add(rows.first, loop.index)
        skip = b.compare("sge", row, rows.low)
        single(b.add(row, b.select(skip, blocked, b.i64(0))))
