"""Register tiles: how many rows and vectors of the result a kernel keeps in registers."""

from __future__ import annotations

from dataclasses import dataclass

from isoconv.ir.sizes import Dim, ceildiv, maximum, minimum
from isoconv.plan.machine import Machine

# Tiles of one task, and the tasks to have before they grow: beyond the fewest tiles, and to them.
_FEWEST_TILES, _MOST_TILES, _SHARES, _FIRST_SHARES = 8, 32, 12, 4
# More tasks where tiles are one row deep: of few lines, the last of an odd number counts.
_SHALLOW = 8
# The most rows of a task whose weights do not stay in the nearest caches.
LARGE_ROWS = 288
# The most rows of a tile, in sums of one vector (half of the registers) and of several: as many
# pointers have registers. A mask and what is loaded under it take vector registers too.
_ROWS, _WIDE_ROWS, _MASKED = 12, 8, 2


@dataclass(frozen=True)
class Panel:
    """Neighbouring filters worked on together: `vectors` registers wide, `rows` deep.

    start: the first filter; width: filters in it; count: how many such panels follow each other.
    """

    start: int
    width: int
    count: int
    vectors: int
    rows: int


def panels(filters: int, dtype: str, machine: Machine) -> list[Panel]:
    """The filters of one group split into panels; only the last one is narrower."""
    lanes = machine.lanes(dtype)
    vectors = -(-filters // lanes)
    widest = 4 if machine.registers >= 32 else 2
    each = -(-vectors // -(-vectors // widest))
    width = each * lanes
    count, rest = divmod(filters, width)
    found = []
    if count:
        found.append(Panel(0, width, count, each, rows(each, machine)))
    if rest:
        narrow = -(-rest // lanes)
        masked = rest % lanes > 0 and not machine.masks
        found.append(Panel(count * width, rest, 1, narrow, rows(narrow, machine, masked)))
    return found


def rows(vectors: int, machine: Machine, masked: bool = False) -> int:
    """The rows whose accumulators fit beside one row of weights and the scratch registers.

    masked: whether the last vector is read under a mask that takes a register.
    """
    left = machine.registers - vectors - (_MASKED if masked else 0)
    each = vectors + machine.row_scratch
    most = min(_ROWS, machine.registers // 2) if vectors == 1 else _WIDE_ROWS
    return min((left - machine.scratch) // vectors, (left - 1) // each, most)


def block(total: Dim, deep: int) -> Dim:
    """Rows that one task takes, of `total` in tiles of `deep`: enough to use a panel of the weights
    often and to fill tiles, few enough to share out.
    """
    few = minimum(ceildiv(total, max(deep * _FIRST_SHARES, _SHALLOW)), _FEWEST_TILES)
    many = minimum(total // (deep * _SHARES), _MOST_TILES)
    return maximum(maximum(few, many), 1) * deep


def large_block(total: Dim, columns: int) -> Dim:
    """Rows that one task takes, of `total`, where its weights do not stay in the nearest caches and
    come anew for each task: as many as leave enough to share out among `columns` panels.
    """
    shares = max(_SHARES // columns, 1)
    return maximum(minimum(ceildiv(total, shares), LARGE_ROWS), 1)
