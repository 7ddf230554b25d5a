"""Commands about this machine: how fast it is."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from isoconv import bench as benchmark
from isoconv.bench.tables import tables
from isoconv.cli.app import MACHINE, app, errors
from isoconv.cli.output import Json, print_json


@app.command(rich_help_panel=MACHINE)
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
    json: Json = False,
) -> None:
    """Time convolutions, networks and training steps beside PyTorch, against the machine's roof.

    Everybody is run in turn, on as many threads. Peers that are not installed are skipped, and
    named; the extra "bench" of isoconv installs them.

    Example: isoconv bench --section layers --only text3gram --threads 1
    """
    with errors().status("measuring the roof") as status:
        report = benchmark.run(
            sections=section or benchmark.SECTIONS,
            only=only,
            threads=threads,
            seconds=seconds,
            on_case=status.update,
        )
    if json:
        print_json(report.as_data())
    else:
        Console().print(tables(report))
