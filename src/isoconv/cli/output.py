"""What every command's answer can be: text for a person, or JSON for a program; and progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from isoconv.atomic import replacing
from isoconv.cli.app import errors
from isoconv.errors import FileError, explain

Json = Annotated[bool, typer.Option("--json", help="Give the answer as JSON, to the output.")]


def as_json(data: Any) -> str:
    """The data as JSON, indented."""
    return json.dumps(data, indent=1, ensure_ascii=False)


def print_json(data: Any) -> None:
    """The data as JSON on the output, indented."""
    typer.echo(as_json(data))


def there(path: Path | None) -> Path | None:
    """The path that is to be written in the end, whose folder must be there at the start."""
    if path is not None and not path.absolute().parent.is_dir():
        where, given = str(path), f"no folder {path.parent}"
        raise FileError(explain(where, given, "a folder that is there"))
    return path


def write(path: Path, text: str) -> None:
    """A file with this text, whole or not at all."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, gone in the end: a function of how much is done, and of how much."""
    console = errors()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, count: bar.update(task, completed=done, total=count)
