"""The command that converts files: the table of weights, and the checks of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isoconv.cli.app import COMPARE, app
from isoconv.cli.output import Json, print_json, there
from isoconv.interop import conversion


@app.command(rich_help_panel=COMPARE)
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL_IN", exists=True, dir_okay=False, help="To read.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL_OUT", dir_okay=False, callback=there, help="To write, or replace."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="FILE", help="The model that weights belong to."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a model to a file of another format: .keras, .h5 or .onnx, by the ends of the names.

    Weights alone are read from and written to .weights.h5, .safetensors, .pt and .pth.

    Prints every weight, from and to, with its transposition; then runs both files on random inputs,
    in their own frameworks too where these are installed. Where they differ, nothing is written.

    Example: isoconv convert model.keras model.onnx

    Example: isoconv convert weights.pt trained.keras --model model.keras
    """
    found = conversion.convert(source, target, model)
    if json:
        print_json(found.as_dict())
    else:
        typer.echo(str(found))
