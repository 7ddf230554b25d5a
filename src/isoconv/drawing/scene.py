"""A picture as data: boxes, texts and lines at places in pixels, y downwards. Renderers read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from isoconv.drawing.style import STYLES, text_width

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Text:
    """One line of text, by its anchor and the middle of its height."""

    x: float
    y: float
    text: str
    style: str


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: tuple[Point, ...]
    style: str


Item = Box | Text | Line


@dataclass(frozen=True)
class Part:
    """Some items and the room that they take, from (0, 0) on."""

    items: tuple[Item, ...]
    width: float
    height: float


@dataclass(frozen=True)
class Scene:
    """A whole picture. title: what it shows, for those who cannot see it."""

    title: str
    items: tuple[Item, ...]
    width: float
    height: float


def moved(items: Iterable[Item], dx: float, dy: float) -> list[Item]:
    """The items at another place."""
    found: list[Item] = []
    for item in items:
        if isinstance(item, Line):
            found.append(replace(item, points=tuple((x + dx, y + dy) for x, y in item.points)))
        else:
            found.append(replace(item, x=item.x + dx, y=item.y + dy))
    return found


def text_part(lines: Iterable[tuple[str, str]]) -> Part:
    """Lines of text, each with its style, below each other."""
    items: list[Item] = []
    width = y = 0.0
    for text, name in lines:
        style = STYLES[name]
        height = style.size * 1.5
        items.append(Text(0, y + height / 2, text, name))
        y += height
        width = max(width, text_width(text, style.size, style.bold))
    return Part(tuple(items), width, y)


def column(parts: Iterable[Part], gap: float) -> Part:
    """Parts below each other, at the left."""
    items: list[Item] = []
    width = y = 0.0
    for part in parts:
        items += moved(part.items, 0, y)
        width = max(width, part.width)
        y += part.height + gap
    return Part(tuple(items), width, max(y - gap, 0))


def row(parts: Iterable[Part], gap: float) -> Part:
    """Parts beside each other, at one height."""
    items: list[Item] = []
    height = x = 0.0
    for part in parts:
        items += moved(part.items, x, 0)
        height = max(height, part.height)
        x += part.width + gap
    return Part(tuple(items), max(x - gap, 0), height)


def framed(part: Part, title: str, margin: float = 16) -> Scene:
    """A part with paper around it."""
    items = sorted(moved(part.items, margin, margin), key=depth)
    return Scene(title, tuple(items), part.width + 2 * margin, part.height + 2 * margin)


def depth(item: Item) -> tuple[bool, int]:
    """What is drawn later, above others: texts last."""
    return isinstance(item, Text), STYLES[item.style].level
