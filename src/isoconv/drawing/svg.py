"""Scenes as SVG, without any package: one scene, or several as an animation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from math import atan2, degrees

from isoconv.drawing.scene import Box, Item, Line, Scene, Text, depth
from isoconv.drawing.style import FONT, PAPER, STYLES, Style

_WIDE, _READABLE = 1400, 0.7

Frames = tuple[int, ...]


def svg(scenes: Sequence[Scene], seconds: float = 0.0, moving: bool = True) -> str:
    """The scenes as one SVG element; several follow each other, `seconds` each, over and over.

    moving: whether it moves by itself; else each group says when it is seen, in "data-frames".
    """
    width, height = max(s.width for s in scenes), max(s.height for s in scenes)
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    name = escape(scenes[0].title, quote=True)
    # A page makes a picture as narrow as itself, but not so small that nobody can read it.
    least = f"max(100%, {_READABLE * width:.0f}px)" if width > _WIDE else "100%"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}"'
        f' font-family="{FONT}, Verdana, sans-serif" style="max-width: {least}; height: auto">',
        f"<title>{name}</title>",
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>',
    ]
    every = tuple(range(len(scenes)))
    for (frames, style), items in groupby(_timed(scenes), key=lambda pair: pair[0]):
        when = "" if frames == every else _when(frames, len(scenes), moving)
        lines.append(f"<g{_attributes(STYLES[style])}{when}>")
        if frames != every and moving:
            lines.append(_animate(frames, len(scenes), seconds))
        lines += [_item(item) for _, item in items]
        lines.append("</g>")
    return "\n".join([*lines, "</svg>\n"])


def _timed(scenes: Sequence[Scene]) -> list[tuple[tuple[Frames, str], Item]]:
    """Every item once, with the scenes that it is in and its style; those on top last."""
    seen: dict[Item, list[int]] = {}
    for number, scene in enumerate(scenes):
        for item in scene.items:
            frames = seen.setdefault(item, [])
            if frames[-1:] != [number]:
                frames.append(number)
    found = [((tuple(frames), item.style), item) for item, frames in seen.items()]
    return sorted(found, key=lambda pair: (depth(pair[1]), pair[0]))


def _when(frames: Frames, count: int, moving: bool) -> str:
    hidden = "" if frames[0] == 0 else ' visibility="hidden"'
    return hidden if moving else f'{hidden} data-frames="{" ".join(_runs(frames))}"'


def _runs(frames: Iterable[int]) -> list[str]:
    """Numbers as runs, "first-last"."""
    runs: list[list[int]] = []
    for number in frames:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{first}-{last}" for first, last in runs]


def _animate(frames: Frames, count: int, seconds: float) -> str:
    """The times at which a group comes and goes."""
    shown = [number in frames for number in range(count)]
    turns = [i for i in range(count) if i == 0 or shown[i] != shown[i - 1]]
    values = ";".join("visible" if shown[i] else "hidden" for i in turns)
    times = ";".join(f"{i / count:.5g}" for i in turns)
    return (
        f'<animate attributeName="visibility" calcMode="discrete" values="{values}" '
        f'keyTimes="{times}" dur="{count * seconds:g}s" repeatCount="indefinite"/>'
    )


def _attributes(style: Style) -> str:
    """What a style is in SVG: of boxes and lines, or of texts where it has no colours of these."""
    if style.fill is None and style.edge is None:
        bold = ' font-weight="bold"' if style.bold else ""
        return f' fill="{style.ink}" font-size="{style.size:g}" text-anchor="{style.anchor}"{bold}'
    dashed = ' stroke-dasharray="3 3"' if style.dashed else ""
    edge = f' stroke="{style.edge}" stroke-width="{style.width:g}"' if style.edge else ""
    return f' fill="{style.fill or "none"}"{edge}{dashed}'


def _item(item: Item) -> str:
    style = STYLES[item.style]
    if isinstance(item, Text):
        y = item.y + 0.35 * style.size
        return f'<text x="{item.x:.1f}" y="{y:.1f}">{escape(item.text)}</text>'
    if isinstance(item, Box):
        corner = f' rx="{style.round:g}"' if style.round else ""
        size = f'width="{item.width:.1f}" height="{item.height:.1f}"'
        return f'<rect x="{item.x:.1f}" y="{item.y:.1f}" {size}{corner}/>'
    return _line(item, style)


def _line(line: Line, style: Style) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
    drawn = f'<polyline points="{points}"/>'
    if not style.arrow:
        return drawn
    (x0, y0), (x, y) = line.points[-2:]
    turn = degrees(atan2(y - y0, x - x0))
    place = f'transform="translate({x:.1f} {y:.1f}) rotate({turn:.1f})"'
    return f'{drawn}<polygon points="-8,-4 0,0 -8,4" {place} fill="{style.edge}" stroke="none"/>'
