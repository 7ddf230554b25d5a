"""Commands about this machine: how fast it is, whether all is well, what is kept on disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isoconv import bench as benchmark
from isoconv import doctor as examination
from isoconv.bench.chart import roof_chart
from isoconv.bench.tables import tables
from isoconv.cli.app import MACHINE, NO, app, errors
from isoconv.cli.arguments import Threads
from isoconv.cli.output import Json, as_json, print_json, there, write
from isoconv.runtime import cache as kept
from isoconv.sections import Section, as_text, duration, size


@app.command(rich_help_panel=MACHINE)
def bench(
    section: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this: {', '.join(benchmark.SECTIONS)}. May be repeated."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Only cases with this in their name, such as text3gram.")
    ] = None,
    threads: Threads = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="How long each is timed in each case.")
    ] = 0.5,
    runs: Annotated[
        int, typer.Option(min=1, help="How often all is measured; ratios are their medians.")
    ] = 1,
    models: Annotated[
        Path | None,
        typer.Option(help='The folder of trained models, for the section "real"; else left out.'),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(callback=there, help="A JSON file for all that was found.")
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(callback=there, help="An SVG file for a chart: GFLOP/s against the roof."),
    ] = None,
    json: Json = False,
) -> None:
    """Time convolutions, networks and training against other libraries and the machine's roof.

    They are PyTorch, ONNX Runtime, OpenVINO, JAX, LiteRT and Keras on TensorFlow, all run in turn
    and on as many threads. Those not installed are skipped, and named; the extras "bench" and
    "tensorflow" of isoconv install them.

    Example: isoconv bench --section layers --only text3gram --threads 1
    """
    with errors().status("measuring the roof") as status:
        report = benchmark.run(
            sections=section or benchmark.SECTIONS,
            only=only,
            threads=threads,
            seconds=seconds,
            runs=runs,
            models=None if models is None else str(models),
            on_case=status.update,
        )
    if save is not None:
        write(save, as_json(report.as_data()))
    if chart is not None:
        write(chart, roof_chart(report.rows))
    if json:
        print_json(report.as_data())
    else:
        Console().print(tables(report))


@app.command(rich_help_panel=MACHINE)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Throw out all that it holds.")] = False,
    json: Json = False,
) -> None:
    """Show the compiled functions kept on disk, or throw them out.

    They are compiled again when they are next needed, in some milliseconds each. ISOCONV_CACHE_DIR
    names another folder, ISOCONV_CACHE_MB limits its size (0 turns it off).

    Example: isoconv cache --clear
    """
    found = kept.clear() if clear else kept.status()
    if json:
        print_json(asdict(found) | {"cleared": clear})
        return
    typer.echo(as_text([_cache(found)]))
    if clear:
        typer.echo(f"Cleared: {found.entries} functions, {size(found.bytes)}.")


def _cache(found: kept.Status) -> Section:
    state = "in use" if found.unused is None else f"not used: {found.unused}"
    rows = [
        ("folder", found.path),
        ("state", state),
        ("holds", f"{found.entries} functions, {size(found.bytes)} of {size(found.limit)}"),
    ]
    if found.damaged:
        rows.append(("damaged", f"{found.damaged}, to be compiled anew"))
    return Section("Compiled functions", (), rows)


@app.command(rich_help_panel=MACHINE)
def doctor(json: Json = False) -> None:
    """Say what this machine has, what is used of it, and whether all is well.

    Compiles and runs a small convolution. The exit code is 1 if anything needs mending.

    Example: isoconv doctor
    """
    with errors().status("compiling a convolution"):
        found = examination.examine()
    if json:
        print_json(found.as_data())
    else:
        typer.echo(as_text(_health(found)))
    if found.trouble:
        raise typer.Exit(NO)


def _health(found: examination.Health) -> list[Section]:
    calls = "none"
    if found.first_call is not None and found.later_call is not None:
        calls = f"first {duration(found.first_call)}, then {duration(found.later_call)}"
    machine = [
        ("isoconv", found.isoconv),
        ("Python", f"{found.python} on {found.system}"),
        ("processor", found.processor),
        ("vectors", f"{found.vector_bits} bits, {found.registers} registers"),
        ("threads", str(found.threads)),
        ("a convolution", calls),
    ]
    packages = []
    for name, version in found.packages.items():
        extra = examination.OPTIONAL.get(name)
        missing = f"not installed: pip install 'isoconv[{extra}]'" if extra else "missing"
        packages.append((name, version or missing))
    verdict = [f"- {each}" for each in found.trouble] or ["All is well."]
    return [
        Section("This machine", (), machine),
        Section("Packages", (), packages),
        _cache(found.cache),
        Section("Verdict", verdict),
    ]
