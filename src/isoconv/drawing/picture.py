"""A picture made of scenes: shown in notebooks, saved in the format that a file's name asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

from isoconv.atomic import replacing
from isoconv.drawing.figure import Progress, figure, gif
from isoconv.drawing.player import page
from isoconv.drawing.scene import Scene
from isoconv.drawing.svg import svg
from isoconv.errors import ArgumentError, FileError, explain

_DOTS = 160

PICTURES = (".svg", ".html", ".png", ".pdf", ".gif")
FIGURES = (".svg", ".png", ".pdf")
"""The ends of files that a Picture, and a Figure of matplotlib, can be written to."""


@dataclass(frozen=True)
class Picture:
    """scenes: one scene, or several that follow each other. seconds: how long each is shown.

    A notebook shows it, moving or not, without matplotlib; so are .svg and .html written.
    """

    scenes: tuple[Scene, ...]
    seconds: float = 0.0

    def svg(self) -> str:
        """As SVG; several scenes follow each other over and over."""
        return svg(self.scenes, self.seconds)

    def html(self) -> str:
        """As a page by itself; several scenes have buttons to play them and to go step by step."""
        return page(self.scenes, self.seconds)

    def figure(self, scene: int = 0) -> Any:
        """One of the scenes, by its number, as a matplotlib Figure."""
        return figure(self.scenes[scene])

    def save(self, path: str | PathLike[str], on_frame: Progress | None = None) -> None:
        """Writes .svg or .html, or with matplotlib .gif, .png or .pdf (the last scene of several).

        path: the file. on_frame: told how many scenes of a .gif are drawn, and of how many.
        """
        save(self, path, on_frame)

    def __repr__(self) -> str:
        count = f" in {len(self.scenes)} scenes" if len(self.scenes) > 1 else ""
        return f"<Picture of {self.scenes[-1].title}{count}: .save(path) writes it>"

    def _repr_html_(self) -> str:
        return f"<div>{self.svg()}</div>"


def save(picture: Any, path: str | PathLike[str], on_frame: Progress | None = None) -> None:
    """Writes a picture, or a Figure of matplotlib, in the format that the end of `path` says.

    on_frame: told how many scenes of a .gif are drawn, and of how many.
    """
    target = Path(path)
    if not target.absolute().parent.is_dir():
        where = f"picture {target.name}"
        raise FileError(explain(where, f"no folder {target.parent}", "a folder that is there"))
    content = _content(picture, target, on_frame)
    try:
        with replacing(target) as temporary:
            Path(temporary).write_bytes(content)
    except OSError as error:
        what = error.strerror or str(error)
        raise FileError(explain(f"picture {target}", what, "a place to write to")) from error


def can_write(target: Path, known: Sequence[str]) -> None:
    """ArgumentError where the name of a file does not end in one of the known formats."""
    if target.suffix.lower() not in known:
        given, remedy = target.suffix or "no end", "Give the file one of these ends."
        raise ArgumentError(explain(f"picture {target.name}", given, ", ".join(known), remedy))


def _content(picture: Any, target: Path, on_frame: Progress | None) -> bytes:
    suffix = target.suffix.lower()
    mine = picture if isinstance(picture, Picture) else None
    can_write(target, PICTURES if mine else FIGURES)
    if mine and suffix == ".svg":
        return mine.svg().encode()
    if mine and suffix == ".html":
        return mine.html().encode()
    if mine and suffix == ".gif":
        return gif(mine.scenes, mine.seconds, on_frame)
    out = BytesIO()
    shown = mine.figure(len(mine.scenes) - 1) if mine else picture
    shown.savefig(out, format=suffix[1:], dpi=_DOTS)
    return out.getvalue()
