"""Arrays of any rank laid out as cells on a page.

From the last axis on, axes go across, down, across and down again: a row of cells, rows of them,
planes side by side, and those below each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from isoconv.drawing.scene import Box, Item, Part, Text
from isoconv.drawing.style import CELL, STYLES, text_width

GAP = 14.0
_CAPTION = 16.0


@dataclass(frozen=True)
class GridAxis:
    """An axis of cells: its name, the positions shown, and the tick of each (may be "").

    cut: whether there is more before and after them.
    """

    name: str
    shown: range
    ticks: tuple[str, ...]
    cut: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class CellLook:
    """How a cell looks: its style, the number in it, and a small one in its corner."""

    style: str
    number: str = ""
    number_style: str = "number"
    corner: str = ""


Look = Callable[[tuple[int, ...]], CellLook]


def grid(axes: Sequence[GridAxis], look: Look) -> Part:
    """The cells of all positions shown. look: told a position, one number an axis."""
    layout = _Layout(tuple(axes))
    items: list[Item] = []
    for position in product(*(axis.shown for axis in axes)):
        x, y = layout.place(position)
        items += _cell(x, y, look(position))
    items += layout.labels()
    return Part(tuple(items), layout.width, layout.height)


def _cell(x: float, y: float, look: CellLook) -> Iterator[Item]:
    # Dashes of neighbours would fill each other's gaps.
    inset = 2.5 if STYLES[look.style].dashed else 0.0
    yield Box(x + inset, y + inset, CELL - 2 * inset, CELL - 2 * inset, look.style)
    up = 4 if look.corner else 0
    if look.number:
        style = look.number_style if len(look.number) < 4 else f"long {look.number_style}"
        yield Text(x + CELL / 2, y + CELL / 2 - up, look.number, style)
    if look.corner:
        style = "weight" if len(look.corner) < 5 else "long weight"
        yield Text(x + CELL - 2.5, y + CELL - 7, look.corner, style)


class _Layout:
    """Where cells and their labels stand. Levels count from the last axis."""

    def __init__(self, axes: tuple[GridAxis, ...]) -> None:
        levels = tuple(reversed(axes))
        self.axes, self.levels = axes, levels
        counts = [len(axis.shown) for axis in levels] + [1] * (4 - len(levels))
        self.left = _tick_width(levels[1:2]) + _tick_width(levels[3:4])
        self.top = _CAPTION if len(levels) > 2 else 0.0
        panel_width, panel_height = counts[0] * CELL, counts[1] * CELL
        self.pitch = [CELL, CELL, panel_width + GAP, panel_height + GAP + self.top]
        self.width = self.left + counts[2] * self.pitch[2] - GAP + self._cut_after(0)
        self.height = counts[3] * self.pitch[3] - GAP + _CAPTION

    def _cut_after(self, level: int) -> float:
        cut = level < len(self.levels) and any(self.levels[level].cut)
        return 14.0 if cut else 0.0

    def place(self, position: Sequence[int]) -> tuple[float, float]:
        """The upper left corner of a cell."""
        x, y = self.left, self.top
        for level, (axis, at) in enumerate(zip(self.levels, reversed(position), strict=True)):
            step = self.pitch[level] * (at - axis.shown.start)
            x, y = (x, y + step) if level % 2 else (x + step, y)
        return x, y

    def labels(self) -> Iterator[Item]:
        """Ticks below and beside the cells, captions over planes, dots where more would follow."""
        bottom = self.height - _CAPTION
        for level, axis in enumerate(self.levels):
            for index, tick in enumerate(axis.ticks):
                middle = self.pitch[level] * index
                if level == 0:
                    yield from self._below(middle + CELL / 2, bottom, tick)
                elif level == 1:
                    yield from self._beside(middle + CELL / 2, tick)
                elif level == 2:
                    x = self.left + middle + (self.pitch[2] - GAP) / 2
                    yield Text(x, _CAPTION / 2 - 1, self._caption(axis.name, tick), "caption")
                else:
                    y = self.top + middle + (self.pitch[3] - GAP - self.top) / 2
                    x = _tick_width(self.levels[3:4]) - 6
                    yield Text(x, y, f"{axis.name[:1]}{tick}", "side tick")
        yield from self._dots(bottom)

    def _below(self, middle: float, bottom: float, tick: str) -> Iterator[Item]:
        panels = len(self.levels[2].shown) if len(self.levels) > 2 else 1
        for panel in range(panels):
            yield Text(self.left + panel * self.pitch[2] + middle, bottom + 8, tick, "tick")

    def _beside(self, middle: float, tick: str) -> Iterator[Item]:
        panels = len(self.levels[3].shown) if len(self.levels) > 3 else 1
        for panel in range(panels):
            y = self.top + panel * self.pitch[3] + middle
            yield Text(self.left - 6, y, tick, "side tick")

    def _caption(self, name: str, tick: str) -> str:
        full = f"{name} {tick}"
        fits = text_width(full, STYLES["caption"].size) <= self.pitch[2]
        return full if fits else f"{name[:1]}{tick}"

    def _dots(self, bottom: float) -> Iterator[Item]:
        across = self.levels[0] if self.levels else None
        if across is not None and across.cut[1]:
            yield Text(self.width - 4, bottom - CELL / 2, "…", "caption")
        if across is not None and across.cut[0]:
            yield Text(self.left - 8, bottom + 8, "…", "caption")
        if len(self.levels) > 1 and self.levels[1].cut[1]:
            yield Text(self.left - 10, bottom + 4, "⋮", "caption")


def _tick_width(axis: Sequence[GridAxis]) -> float:
    """The room for the ticks at the left: of one axis, or of none."""
    if not axis:
        return 0.0
    size = STYLES["side tick"].size
    return 12 + max((text_width(tick, size) for tick in axis[0].ticks), default=0.0)
