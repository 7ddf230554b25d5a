"""Commands that compare layers: whether two are the same function."""

from __future__ import annotations

from typing import Annotated

import typer

from isoconv import equivalence
from isoconv.cli import arguments
from isoconv.cli.app import COMPARE, NO, app
from isoconv.cli.output import Json, print_json


@app.command(rich_help_panel=COMPARE)
def equivalent(
    a: Annotated[str, typer.Argument(metavar="SPEC", help='Such as "Conv1D(64, 3)".')],
    b: Annotated[str, typer.Argument(metavar="SPEC", help='Such as "Conv2D(64, (3, 300))".')],
    shape: Annotated[
        str, typer.Option("--input", help="The input of the first, without the batch: 600x300.")
    ],
    other: Annotated[
        str | None, typer.Option(help="The input of the second, if it is shaped otherwise.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Specs have free weights.")] = "free",
    json: Json = False,
) -> None:
    """Say whether two layers, or chains of them joined by >, are the same function, and why.

    The exit code is 0 if they are equal, 1 if not, and 2 for what cannot be compared.

    Example: isoconv equivalent "Conv1D(8, 3)" "Conv2D(8, (3, 5))" --input 9x5 --other 9x5x1
    """
    found = equivalence.equivalent(
        a, b, arguments.shape(shape), arguments.shape(other) if other else None, weights
    )
    if json:
        print_json(found.as_dict())
    else:
        typer.echo(str(found))
    raise typer.Exit(0 if found else NO)
