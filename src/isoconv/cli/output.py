"""What every command's answer can be: text for a person, or JSON for a program."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Give the answer as JSON, to the output.")]


def print_json(data: Any) -> None:
    """The data as JSON on the output, indented."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))
