"""Sections of words and tables as text for a terminal of 80 columns, and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import TextWrapper, wrap

WIDTH = 80

# Letters that a column has at least, however wide its table is.
_LEAST = 8


@dataclass(frozen=True)
class Section:
    """A title, paragraphs, and rows of a table whose first is the head where `head` says so.

    right: the columns whose fields end at one place, such as numbers.
    """

    title: str
    words: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    head: bool = False
    right: Sequence[int] = field(default=())


def as_text(sections: Sequence[Section]) -> str:
    """The sections, each after an empty line."""
    return "\n\n".join("\n".join(_section(section)) for section in sections)


def _section(section: Section) -> list[str]:
    lines = wrap(section.title, WIDTH)
    for paragraph in section.words:
        lines += wrap(paragraph, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return lines + _table(section)


def _table(section: Section) -> list[str]:
    if not section.rows:
        return []
    widths = [max(map(len, column)) for column in zip(*section.rows, strict=True)]
    while 2 * len(widths) + sum(widths) > WIDTH and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for number, row in enumerate(section.rows):
        lines += _row(row, widths, section.right)
        if section.head and number == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return lines


class _Fields(TextWrapper):
    """Breaks lines between words, and within them where names and arguments have their joints."""

    wordsep_re = re.compile(r"(\s+|(?<=/)(?=\w)|(?<=[a-z]-)(?=[a-z])|(?<=\w=)(?='))")


def _row(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> list[str]:
    """A row as one line, or as many as its longest field needs."""
    broken = [_Fields(max(width, 1)).wrap(text) for text, width in zip(row, widths, strict=True)]
    lines = []
    for index in range(max(1, *map(len, broken))):
        fields = []
        for column, (parts, width) in enumerate(zip(broken, widths, strict=True)):
            text = parts[index] if index < len(parts) else ""
            fields.append(text.rjust(width) if column in right else text.ljust(width))
        lines.append(("  " + "  ".join(fields)).rstrip())
    return lines


def as_html(sections: Sequence[Section]) -> str:
    """The sections as headings, paragraphs and tables."""
    parts = []
    for section in sections:
        if section.title:
            parts.append(f"<h4>{escape(section.title)}</h4>")
        parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.words]
        if section.rows:
            parts.append(_html_table(section))
    return "\n".join(parts)


def _html_table(section: Section) -> str:
    lines = ['<table style="border-collapse: collapse">']
    for number, row in enumerate(section.rows):
        tag = "th" if section.head and number == 0 else "td"
        fields = []
        for column, text in enumerate(row):
            side = "right" if column in section.right else "left"
            style = f"text-align: {side}; padding: 0.1em 0.7em"
            fields.append(f'<{tag} style="{style}">{escape(text)}</{tag}>')
        lines.append(f"<tr>{''.join(fields)}</tr>")
    return "\n".join([*lines, "</table>"])


def size(count: int) -> str:
    """Bytes, in a unit that keeps the number short."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def duration(seconds: float) -> str:
    """A time, in a unit that keeps the number short."""
    for scale, unit in ((1e-6, "us"), (1e-3, "ms")):
        if seconds < 1000 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"
