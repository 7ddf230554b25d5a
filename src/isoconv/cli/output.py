"""What every command's answer can be: text for a person, or JSON for a program; and progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import Progress

from isoconv.cli.app import errors

Json = Annotated[bool, typer.Option("--json", help="Give the answer as JSON, to the output.")]


def print_json(data: Any) -> None:
    """The data as JSON on the output, indented."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, gone in the end: a function of how much is done, and of how much."""
    console = errors()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, count: bar.update(task, completed=done, total=count)
