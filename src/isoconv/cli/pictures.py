"""The options that have a picture written beside the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isoconv import drawing
from isoconv.cli.output import progress, there
from isoconv.drawing.picture import FIGURES, can_write
from isoconv.explaining.tracing import layer_within
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.optional import require

_MOVING = (".gif", ".html")

_STILL = "Write a picture too: .svg, .png or .pdf"


def _option(words: str, check: Callable[[Path | None], Path | None] = there) -> Any:
    return typer.Option(metavar="FILE", dir_okay=False, callback=check, help=words)


def _bars(path: Path | None) -> Path | None:
    """A picture after long work: what would keep it from being written is said before."""
    if path is not None:
        can_write(path, FIGURES)
        require("matplotlib", "plot")
    return there(path)


Still = Annotated[Path | None, _option(f"{_STILL}.")]
Picture = Annotated[Path | None, _option(f"{_STILL}; of a layer .gif and .html, which move.")]
Bars = Annotated[Path | None, _option(f"{_STILL}.", _bars)]


def explained(
    target: Layer, shapes: Any, layer: str | None, position: Sequence[int], path: Path | None
) -> None:
    """The kernel of a layer over its input; of a model how much of the input its layers read."""
    if path is None:
        return
    if isinstance(target, Model) and layer is None:
        write(drawing.field(target, shapes), path)
        return
    if layer is not None:
        target, shapes = layer_within(target, layer, shapes)
    draw = drawing.kernel_animation if path.suffix.lower() in _MOVING else drawing.kernel
    write(draw(target, shapes, position=next(iter(position), None)), path)


def write(picture: Any, path: Path) -> None:
    """A picture in a file, with a bar while many frames are drawn."""
    with progress("frames") as on_frame:
        drawing.save(picture, path, on_frame)


def told(path: Path | None) -> str:
    """What is said of a picture that was written, if one was."""
    return "" if path is None else f"\nWritten: {path}"
