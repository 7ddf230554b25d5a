"""A text whose words are shaded by numbers, for a terminal and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.text import Text

_LEVELS = 4


@dataclass(frozen=True)
class Highlight:
    """words, and a number for each; what is not above 0 is not shaded.

    Printed it marks the words: `_a bit_`, `__more__`; `rich.print` and notebooks show colours.
    """

    words: Sequence[str]
    scores: Sequence[float]

    def levels(self) -> list[int]:
        """The shade of each word: 0 for none, up to 4 for the largest number."""
        most = max(self.scores, default=0.0)
        if most <= 0:
            return [0] * len(self.words)
        return [max(0, min(_LEVELS, round(_LEVELS * score / most))) for score in self.scores]

    def __rich__(self) -> Text:
        text = Text()
        for word, level in zip(self.words, self.levels(), strict=True):
            shade = 255 - 40 * level
            text.append(word, f"black on rgb(255,{shade},{shade})" if level else "")
            text.append(" ")
        text.rstrip()
        return text

    def __str__(self) -> str:
        marked = []
        for word, level in zip(self.words, self.levels(), strict=True):
            sign = "_" * (0 if level == 0 else 1 if level < _LEVELS else 2)
            marked.append(f"{sign}{word}{sign}")
        return " ".join(marked)

    def _repr_html_(self) -> str:
        parts = []
        for word, level in zip(self.words, self.levels(), strict=True):
            shade = 255 - 40 * level
            style = f' style="background: rgb(255,{shade},{shade}); color: black"' if level else ""
            parts.append(f"<span{style}>{escape(word)}</span>")
        return f"<p>{' '.join(parts)}</p>"
