"""Scenes in matplotlib: a figure, and animated GIFs (Pillow, which comes with matplotlib)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from isoconv.drawing.scene import Box, Item, Line, Scene, Text
from isoconv.drawing.style import FONT, PAPER, STYLES
from isoconv.optional import require

_INCH = 100.0
_SHARPER = 1.25
_COLOURS = 128

Progress = Callable[[int, int], None]


def figure(scene: Scene) -> Any:
    """The scene as a matplotlib Figure, a hundred of its pixels an inch."""
    found, axes = _paper(scene)
    for item in scene.items:
        axes.add_artist(_artist(item))
    return found


def gif(scenes: Sequence[Scene], seconds: float, on_frame: Progress | None = None) -> bytes:
    """The scenes one after the other, over and over. on_frame: told how many are drawn, of how
    many.
    """
    image = require("PIL.Image", "plot")
    pictures = []
    for number, pixels in enumerate(_rendered(scenes), 1):
        pictures.append(image.fromarray(pixels))
        if on_frame is not None:
            on_frame(number, len(scenes))
    # The same colours for all: then only what changes is kept of each.
    ends = np.concatenate([np.asarray(pictures[i]) for i in (0, len(pictures) // 2, -1)])
    palette = image.fromarray(ends).quantize(_COLOURS, image.Quantize.MAXCOVERAGE)
    no_dots = image.Dither.NONE
    frames = [picture.quantize(palette=palette, dither=no_dots) for picture in pictures]
    out = BytesIO()
    frames[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 * seconds),
        loop=0,
    )
    return out.getvalue()


def _rendered(scenes: Sequence[Scene]) -> Iterator[Any]:
    """The pixels of each scene; what lies below all changes is drawn once."""
    agg = require("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg
    largest = max(scenes, key=lambda scene: scene.width * scene.height)
    always = set(scenes[0].items).intersection(*(scene.items for scene in scenes[1:]))
    moving = {
        item
        for scene in scenes
        for item in scene.items
        if isinstance(item, Box) and item not in always
    }
    below = {item for item in always if not _covered(item, moving)}
    found, axes = _paper(largest)
    found.set_dpi(_INCH * _SHARPER)
    for item in scenes[0].items:
        if item in below:
            axes.add_artist(_artist(item))
    canvas = agg(found)
    canvas.draw()
    background = canvas.copy_from_bbox(found.bbox)
    for scene in scenes:
        canvas.restore_region(background)
        for item in scene.items:
            if item not in below:
                artist = axes.add_artist(_artist(item))
                axes.draw_artist(artist)
                artist.remove()
        yield np.array(canvas.buffer_rgba())[..., :3]


def _covered(item: Item, boxes: Collection[Box]) -> bool:
    """Whether it is a text on one of the boxes, which are drawn over it."""
    if not isinstance(item, Text):
        return False
    return any(
        box.x <= item.x <= box.x + box.width and box.y <= item.y <= box.y + box.height
        for box in boxes
    )


def _paper(scene: Scene) -> tuple[Any, Any]:
    """An empty figure and its axes, in the scene's pixels."""
    size = (scene.width / _INCH, scene.height / _INCH)
    found = require("matplotlib.figure", "plot").Figure(size, dpi=_INCH, facecolor=PAPER)
    axes = found.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.axis("off")
    return found, axes


def _artist(item: Item) -> Any:
    style = STYLES[item.style]
    level = style.level + (20 if isinstance(item, Text) else 10)
    if isinstance(item, Text):
        text = require("matplotlib.text", "plot").Text
        return text(
            item.x,
            item.y + 0.35 * style.size,
            item.text,
            color=style.ink,
            size=style.size * 72 / _INCH,
            family=[FONT],
            weight="bold" if style.bold else "normal",
            horizontalalignment={"start": "left", "middle": "center", "end": "right"}[style.anchor],
            verticalalignment="baseline",
            parse_math=False,
            zorder=level,
        )
    edge = {
        "edgecolor": style.edge or "none",
        "linewidth": style.width * 72 / _INCH,
        "linestyle": (0, (3, 3)) if style.dashed else "solid",
        "zorder": level,
    }
    patches = require("matplotlib.patches", "plot")
    if isinstance(item, Line):
        return _line(item, edge, patches)
    if not style.round:
        return patches.Rectangle(
            (item.x, item.y), item.width, item.height, facecolor=style.fill or "none", **edge
        )
    box = patches.BoxStyle("Round", pad=0, rounding_size=style.round)
    return patches.FancyBboxPatch(
        (item.x, item.y), item.width, item.height, box, facecolor=style.fill or "none", **edge
    )


def _line(line: Line, edge: dict[str, Any], patches: Any) -> Any:
    path = require("matplotlib.path", "plot").Path
    if not STYLES[line.style].arrow:
        return patches.PathPatch(path(line.points), facecolor="none", **edge)
    head = patches.ArrowStyle("-|>", head_length=4, head_width=2.2)
    return patches.FancyArrowPatch(
        path=path(line.points),
        arrowstyle=head,
        mutation_scale=1,
        shrinkA=0,
        shrinkB=0,
        facecolor=edge["edgecolor"],
        fill=True,
        **edge,
    )
