"""The command line: what to run and how to show it; nothing is computed here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version as version_of
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isoconv import bench as benchmark
from isoconv import demo as demonstration
from isoconv import equivalence
from isoconv.bench.tables import tables
from isoconv.errors import ArgumentError, IsoconvError


@dataclass
class Options:
    """What is said before the command."""

    debug: bool = False


app = typer.Typer(
    help="Convolution networks with Keras' signatures, compiled for the CPU at hand.",
    epilog="isoconv COMMAND --help explains a command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console entry: runs a command; a mistake of the user's gives one message, exit code 1."""
    options = Options()
    try:
        app(obj=options)
    except (IsoconvError, OSError) as error:
        if options.debug:
            raise
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"Error: {error}", style="red", markup=False)
        console.print("isoconv --debug COMMAND ... shows where it happened.", style="dim")
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isoconv {version_of('isoconv')}")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error happened, with all calls.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    context.obj.debug = debug


@app.command()
def demo() -> None:
    """Train a small network on real speech, and show that Conv2D gives the same bits.

    Tells nine speakers apart from recordings that come with the package (about ten seconds).
    """
    demonstration.run()


def _shape(text: str | None) -> tuple[int | None, ...] | None:
    """A shape written as 600x300; a ?, as in ?x300, stands for every size."""
    if text is None:
        return None
    sizes = [size.strip() for size in text.split("x")]
    if not all(size == "?" or (size.isdecimal() and int(size)) for size in sizes):
        raise typer.BadParameter(f"{text!r} is no shape such as 600x300 or ?x300")
    return tuple(None if size == "?" else int(size) for size in sizes)


@app.command()
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
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Say whether two layers, or chains of them joined by >, are the same function, and why.

    The exit code is 0 if they are equal, 1 if not, and 2 for what cannot be compared.

    Example: isoconv equivalent "Conv1D(64, 3)" "Conv2D(64, (3, 300))" --input 600x300
    --other 600x300x1
    """
    try:
        found = equivalence.equivalent(a, b, _shape(shape), _shape(other), weights)
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(dumps(found.as_dict(), indent=2) if json else str(found))
    raise typer.Exit(0 if found else 1)


@app.command()
def bench(
    section: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this: {', '.join(benchmark.SECTIONS)}. May be repeated."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Only cases with this in their name, such as text3gram.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each; all CPUs if left out.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="How long each is timed in each case.")
    ] = 0.5,
    json: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write all that was found to this file.")
    ] = None,
) -> None:
    """Time convolutions, networks and training steps beside PyTorch, against the machine's roof.

    Everybody is run in turn, on as many threads. Peers that are not installed are skipped, and
    named; the extra "bench" of isoconv installs them.

    Example: isoconv bench --section layers --only text3gram --threads 1
    """
    if json is not None and not json.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {json.parent}", param_hint="--json")
    with Console(stderr=True).status("measuring the roof") as status:
        report = benchmark.run(
            sections=section or benchmark.SECTIONS,
            only=only,
            threads=threads,
            seconds=seconds,
            on_case=status.update,
        )
    Console().print(tables(report))
    if json is not None:
        report.write(json)
        typer.echo(f"Written: {json}")
