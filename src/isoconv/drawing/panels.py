"""What the figures of matplotlib share: panels below each other, heat maps, lines, tiles."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from isoconv.drawing.style import FAINT, GREY, INK, PAPER, SERIES
from isoconv.naming import shortened
from isoconv.ops.recorder import Array
from isoconv.optional import require

WIDTH = 9.6
_POSITIVE, _SIGNED = "viridis", "PuOr"
_GAP = 1
# Letters of a panel's name.
_TITLE = 44
# The width of a heat map with its scale, to that without.
_ROOM = 1.09


def blank(width: float, height: float) -> Any:
    """An empty figure, in inches, which notebooks show also where pyplot was never imported."""
    figure = require("matplotlib.figure", "plot").Figure
    found = figure((width, height), layout="constrained", facecolor=PAPER)

    def png() -> bytes:
        out = BytesIO()
        found.savefig(out, format="png")
        return out.getvalue()

    found._repr_png_ = png
    return found


def stacked(heights: Sequence[float], title: str) -> tuple[Any, list[Any]]:
    """A figure of panels of these heights, in inches, below each other."""
    found = blank(WIDTH, sum(heights) + 0.55 * len(heights) + 0.5)
    found.suptitle(title, fontsize=12, fontweight="bold", color=INK, x=0.01, ha="left")
    grid = found.subplots(len(heights), 1, squeeze=False, height_ratios=list(heights))
    return found, [tidy(each) for each in grid[:, 0]]


def tidy(panel: Any) -> Any:
    """A panel with thin grey edges and small grey ticks."""
    for edge in panel.spines.values():
        edge.set_color(FAINT)
    panel.tick_params(colors=GREY, labelsize=8)
    return panel


def titled(panel: Any, title: str, note: str = "") -> None:
    """A name above a panel at the left, and a note at the right; over tiles, which may be narrow,
    below the name.
    """
    narrow = panel.get_aspect() != "auto"
    name = {"fontsize": 10, "fontweight": "bold", "color": INK}
    panel.set_title(shortened(title, _TITLE), loc="left", pad=18 if narrow else 6, **name)
    where, side = ((0, 4), "left") if narrow else ((0, 6), "right")
    panel.annotate(
        note,
        (0.0 if narrow else 1.0, 1.0),
        where,
        "axes fraction",
        "offset points",
        ha=side,
        va="bottom",
        fontsize=8.5,
        color=GREY,
    )


def lines(panel: Any, places: Array, values: Array, names: Sequence[str]) -> None:
    """One line a column of values, with its name beside."""
    for index, name in enumerate(names):
        colour = SERIES[index % len(SERIES)]
        panel.plot(places, values[:, index], color=colour, linewidth=1.2, label=name)
    panel.grid(color=FAINT, alpha=0.4, linewidth=0.6)
    panel.margins(x=0)
    if len(names) > 1:
        panel.legend(
            fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK
        )


def heat(panel: Any, values: Array, extent: Sequence[float] | None = None) -> None:
    """An array (rows, columns) as colours with their scale beside: around 0 where there are
    negative numbers. NaN is left blank.
    """
    known = values[np.isfinite(values)]
    least, most = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if least < 0:
        most = max(-least, most)
        least = -most
    shown = panel.imshow(
        values,
        cmap=_SIGNED if least < 0 else _POSITIVE,
        vmin=least,
        vmax=most if most > least else least + 1,
        aspect="auto" if extent is not None else "equal",
        extent=extent,
        interpolation="nearest",
    )
    beside = 1.01
    if extent is None:
        # Panels of a given shape are laid out without what stands beside them: it stands within.
        panel.set_xlim(-0.5, values.shape[1] * _ROOM - 0.5)
        beside /= _ROOM
    scale = panel.figure.colorbar(shown, cax=panel.inset_axes((beside, 0, 0.014, 1)))
    scale.outline.set_edgecolor(FAINT)
    scale.ax.tick_params(colors=GREY, labelsize=8)


def bars(panel: Any, values: Array) -> None:
    """One bar a number; a line where they are many."""
    if len(values) > 128:
        lines(panel, np.arange(len(values)), values[:, None], [""])
        return
    panel.bar(np.arange(len(values)), values, color=SERIES[0], width=0.8)
    panel.axhline(0, color=GREY, linewidth=0.8)
    panel.set_xlim(-0.6, max(len(values), 4) - 0.4)
    panel.set_xticks(range(0, len(values), -(-len(values) // 24)))
    panel.grid(axis="y", color=FAINT, alpha=0.4, linewidth=0.6)


def mosaic(tiles: Array) -> Array:
    """Planes (rows, columns, height, width) as one, with blank lines between them."""
    rows, columns, height, width = tiles.shape
    whole = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), np.nan)
    for row in range(rows):
        for column in range(columns):
            y, x = row * (height + _GAP), column * (width + _GAP)
            whole[y : y + height, x : x + width] = tiles[row, column]
    return whole


def folded(planes: Array, columns: int) -> Array:
    """Planes (count, height, width) in rows of so many; what is left over is blank."""
    rows = -(-len(planes) // columns)
    found = np.full((rows * columns, *planes.shape[1:]), np.nan)
    found[: len(planes)] = planes
    return found.reshape(rows, columns, *planes.shape[1:])


def tiled(panel: Any, tiles: Array) -> None:
    """Planes side by side and below each other as colours, without ticks."""
    heat(panel, mosaic(tiles))
    panel.set_anchor("W")
    panel.set(xticks=[], yticks=[])
    for edge in panel.spines.values():
        edge.set_visible(False)


def tiled_height(tiles: Array) -> float:
    """How high a panel of tiles should be, in inches, to fill the width, or less."""
    rows, columns, height, width = tiles.shape
    return float(np.clip(WIDTH * 0.85 * rows * (height + 1) / (columns * (width + 1)), 0.5, 3.4))
