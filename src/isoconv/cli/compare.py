"""Commands that compare layers: whether two are the same function, in which forms, how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isoconv import equivalence, spec
from isoconv.cli import arguments, pictures
from isoconv.cli.app import COMPARE, NO, app, errors
from isoconv.cli.output import Json, print_json, there
from isoconv.conversion import forms as conversion
from isoconv.conversion.rule import LayerRule
from isoconv.models.model import Model
from isoconv.racing import race as racing
from isoconv.sections import Section, as_text, size


@app.command(rich_help_panel=COMPARE)
def equivalent(
    a: arguments.Target,
    b: arguments.Target,
    shape: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The first's input, without the batch: 600x300."),
    ] = None,
    other: Annotated[
        str | None, typer.Option(help="The second's input, if it is shaped otherwise.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="free: for all weights; given: with those that the model files hold."),
    ] = "free",
    json: Json = False,
) -> None:
    """Say whether two layers, chains of them joined by >, or models are the same function, and why.

    The exit code is 0 if they are equal, 1 if not, and 2 for what cannot be compared.

    Examples:

    isoconv equivalent "Conv1D(8, 3)" "Conv2D(8, (3, 5))" --input 9x5 --other 9x5x1

    isoconv equivalent model.keras model.onnx --weights given
    """
    first, second = arguments.compared(a), arguments.compared(b)
    sizes = arguments.needed(arguments.shape(shape) if shape else None, first)
    others = arguments.shape(other) if other else None
    found = equivalence.equivalent(first, second, sizes, others, weights)
    if json:
        print_json(found.as_dict())
    else:
        typer.echo(str(found))
    raise typer.Exit(0 if found else NO)


@app.command(rich_help_panel=COMPARE)
def forms(
    layer: Annotated[str, typer.Argument(metavar="SPEC", help='Such as "Conv1D(64, 3)".')],
    shape: Annotated[
        str, typer.Option("--input", "-i", help="Its input, without the batch: 600x300.")
    ],
    json: Json = False,
) -> None:
    """List the equal forms of a layer: other ranks, Dense, groups, the other data format.

    With the parameters, multiply-adds and memory of each, for one sample, and the rule that leads
    to it. "isoconv rewrite" gives one of them, "isoconv race" times them.

    Example: isoconv forms "Conv1D(64, 3)" --input 600x300
    """
    given = arguments.one_layer(layer)
    found = conversion.forms(given, arguments.shape(shape))
    if json:
        print_json([_form(form) for form in found])
        return
    rows: list[tuple[str, ...]] = [("form", "row", "params", "mult-adds", "memory")]
    for form in found:
        macs = "-" if form.macs is None else f"{form.macs:,}"
        memory = "-" if form.bytes is None else size(form.bytes)
        row = " ".join(rule.number for rule in form.rules) or "-"
        rows.append((form.name, row, f"{form.params:,}", macs, memory))
    used = {rule.number: rule for form in found for rule in form.rules}
    title = f"{len(found)} equal form{'s' * (len(found) > 1)} of {layer} on {shape}"
    sections = [Section(title, (), rows, True, (2, 3, 4))]
    if used:
        sections.append(Section("Rules", (), _rules(list(used.values()))))
    typer.echo(as_text(sections))


@app.command(rich_help_panel=COMPARE)
def rewrite(
    target: arguments.Target,
    to: Annotated[
        str,
        typer.Option(help="A class of layer, as Conv2D or Dense, or a word, as channels_first."),
    ],
    shape: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The input, without the batch; files know theirs."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            *("--out", "-o"),
            dir_okay=False,
            callback=there,
            help="A model file to write: .keras, .h5 or .onnx.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Rewrite a layer, or every layer of a model file that can be, in another form.

    The weights are carried over, and the rules that were used are named. Words for forms are
    depthwise, separable, grouped, channels_first, channels_last, valid, frames, toeplitz, merged
    and others: a word that is not known lists them all.

    Example: isoconv rewrite "Conv1D(64, 3)" --to Conv2D --input 600x300
    """
    given = arguments.layer_or_model(target)
    single = not isinstance(given, Model)
    sizes = arguments.needed(arguments.shape(shape) if shape else None, given)
    found = conversion.rewrite(given, to, sizes)
    if out is not None:
        found.save(out)
    if json:
        rules = [_rule(rule) for rule in found.rules]
        print_json({"layers": [spec.text(each) for each in found.layers], "rules": rules})
        return
    what = target if single else Path(target).name
    rows = [("layer", "output", "params"), *map(_layer, found.layers)]
    sections = [
        Section(f"{what} as {to}", (), rows, True, (2,)),
        Section("Rules", (), _rules(list(dict.fromkeys(found.rules)))),
    ]
    typer.echo(as_text(sections))
    if out is not None:
        typer.echo(f"\nWritten: {out}")


@app.command(rich_help_panel=COMPARE)
def race(
    target: arguments.Target,
    shape: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The input, without the batch; files know theirs."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples of a call.")] = 32,
    against: Annotated[
        list[str] | None,
        typer.Option(help="More layers on the same input to time. May be repeated."),
    ] = None,
    threads: arguments.Threads = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="For which each is timed, at least.")
    ] = 0.3,
    plot: pictures.Bars = None,
    memory: Annotated[
        bool, typer.Option(help="Measure memory too, which takes some seconds for each.")
    ] = True,
    json: Json = False,
) -> None:
    """Time every equal form of a layer, and the layer in each framework that is installed.

    Everybody is run in turn on the same input: a prediction, and a training step where there is
    one. Memory is measured in a process for each; errors are from float64. Chains and model files
    are timed as they are.

    Example: isoconv race "Conv1D(256, 80)" -i 80x1 --batch 40000 --against "Flatten() > Dense(256)"
    """
    given = arguments.layer_or_model(target) if arguments.is_file(target) else target
    sizes = arguments.needed(arguments.shape(shape) if shape else None, given)
    with errors().status("preparing") as status:
        found = racing.race(
            given,
            sizes,
            batch,
            against or (),
            threads,
            seconds,
            memory,
            on_entry=lambda what: status.update(what),
        )
    if plot is not None:
        pictures.write(found.plot(), plot)
    if json:
        print_json(found.as_data())
        return
    typer.echo(str(found))
    typer.echo(pictures.told(plot), nl=plot is not None)


def _form(form: conversion.Form) -> dict[str, Any]:
    rules = [_rule(rule) for rule in form.rules]
    numbers = {"params": form.params, "macs": form.macs, "bytes": form.bytes}
    return {"name": form.name, "rules": rules, **numbers}


def _rule(rule: LayerRule) -> dict[str, str]:
    return {
        "row": rule.number,
        "title": rule.title,
        "condition": rule.condition,
        "numeric": rule.numeric,
    }


def _rules(rules: list[LayerRule]) -> list[tuple[str, str]]:
    return [(f"row {rule.number}", f"{rule.title} ({rule.condition})") for rule in rules]


def _layer(layer: Any) -> tuple[str, str, str]:
    output = "x".join("?" if n is None else str(n) for n in layer.output_shape[1:])
    return (spec.text(layer), output or "()", f"{layer.count_params():,}")
