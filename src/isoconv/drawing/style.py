"""How everything drawn looks: the colours, all told apart by colour-blind people (Okabe and Ito,
2008), and one row a style. Every picture stands on white, so it reads on dark pages as well.
"""

from __future__ import annotations

from dataclasses import dataclass

INK, GREY, FAINT, PAPER = "#1b1f24", "#59636e", "#afb8c1", "#ffffff"
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, "#56b4e9")
"""Of lines side by side, in this order."""

MINUS, TIMES, CONVOLVED = "\u2212", "\u00d7", "\u2217"

FONT = "DejaVu Sans"
CELL = 36.0
"""The side of a cell, in pixels."""


@dataclass(frozen=True)
class Style:
    """fill, edge, ink: colours, or None for nothing. width: of an edge or line, in pixels. size: of
    text, in pixels. anchor: "start", "middle" or "end". level: what is drawn later, above
    others; texts are above all.
    """

    fill: str | None = None
    edge: str | None = None
    width: float = 1.0
    dashed: bool = False
    ink: str = INK
    size: float = 12.0
    bold: bool = False
    anchor: str = "middle"
    round: float = 0.0
    arrow: bool = False
    level: int = 0


STYLES = {
    # Cells of a grid.
    "cell": Style("#ffffff", FAINT),
    "pending": Style("#f6f8fa", FAINT),
    "absent": Style(None, FAINT, dashed=True, level=-1),
    "read": Style("#cfe4f3", BLUE, 1.8, level=2),
    "read absent": Style("#eef6fb", BLUE, 1.2, dashed=True, level=1),
    "tap": Style("#fbe6bf", ORANGE, 1.8, level=2),
    "idle tap": Style("#ffffff", ORANGE, 1.2, dashed=True, level=1),
    "other tap": Style("#ffffff", FAINT),
    "result": Style("#bfe7db", GREEN, 2.4, level=3),
    # What stands in and around cells.
    "number": Style(size=13),
    "pale number": Style(ink=GREY, size=13),
    "strong number": Style(size=13, bold=True),
    "long number": Style(size=10.5),
    "long pale number": Style(ink=GREY, size=10.5),
    "long strong number": Style(size=9.5, bold=True),
    "weight": Style(ink="#8a4b00", size=9, anchor="end"),
    "long weight": Style(ink="#8a4b00", size=8, anchor="end"),
    "tick": Style(ink=GREY, size=9.5),
    "side tick": Style(ink=GREY, size=9.5, anchor="end"),
    "caption": Style(ink=GREY, size=10.5),
    "title": Style(size=15, bold=True, anchor="start"),
    "line": Style(size=12.5, anchor="start"),
    "note": Style(ink=GREY, size=11, anchor="start"),
    "head": Style(size=13, bold=True, anchor="start"),
    "sign": Style(ink=GREY, size=22),
    # Graphs of models.
    "node name": Style(size=12.5, bold=True),
    "node text": Style(size=11),
    "node note": Style(ink=GREY, size=10.5),
    "edge": Style(edge="#6e7781", width=1.4, arrow=True),
    "group": Style("#f6f8fa", "#8c959f", dashed=True, round=10, level=-3),
    "group name": Style(ink=GREY, size=11, bold=True, anchor="start"),
    "input": Style("#ffffff", "#6e7781", 1.4, round=14),
    "convolution": Style("#cfe4f3", BLUE, 1.4, round=5),
    "product": Style("#fbe6bf", ORANGE, 1.4, round=5),
    "pooling": Style("#bfe7db", GREEN, 1.4, round=5),
    "join": Style("#f3dbe8", PURPLE, 1.4, round=5),
    "other": Style("#ffffff", "#8c959f", 1.4, round=5),
}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is, in pixels, and rather more than less."""
    narrow = sum(letter in "iljtfrI.,:;'|()[]1 " for letter in text)
    return size * ((len(text) - narrow) * 0.66 + narrow * 0.42) * (1.08 if bold else 1.0)
