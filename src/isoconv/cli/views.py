"""Commands that show: the demonstration, models, layers, what layers give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from isoconv import demo as demonstration
from isoconv import drawing
from isoconv.cli import arguments, pictures
from isoconv.cli.app import SEE, app
from isoconv.cli.output import Json, print_json, progress
from isoconv.explaining.activations import activations as activations_of
from isoconv.explaining.describe import explain as explanation_of
from isoconv.sections import Section, as_text, size

# Samples of which statistics are taken at once: files may be larger than memory.
_ROWS = 64

Model = Annotated[Path, typer.Argument(metavar="FILE", help="A model file, such as model.keras.")]


@app.command(rich_help_panel=SEE)
def demo(json: Json = False) -> None:
    """Train a small network on real speech, and show that Conv2D gives the same bits.

    Tells nine speakers apart from recordings that come with the package (about ten seconds).
    With --json the accuracies alone are shown, at the end.

    Example: isoconv demo
    """
    if not json:
        demonstration.run()
        return
    outcome = demonstration.run(show=lambda line: None)
    print_json({"accuracies": outcome.accuracies, "mean": outcome.mean})


@app.command(rich_help_panel=SEE)
def summary(file: Model, picture: pictures.Still = None, json: Json = False) -> None:
    """Show the layers of a model file, their shapes and parameters; with --picture as a graph.

    Examples:

    isoconv summary model.keras

    isoconv summary model.onnx --picture graph.svg
    """
    model = arguments.model(file)
    if picture is not None:
        pictures.write(drawing.model(model), picture)
    if not json:
        model.summary(print_fn=typer.echo)
        typer.echo(pictures.told(picture), nl=picture is not None)
        return
    print_json(
        {
            "name": model.name,
            "layers": [_row(layer) for layer in model.layers],
            "parameters": model.count_params(),
            "trainable": sum(weight.size for weight in model.trainable_weights),
        }
    )


def _row(layer: Any) -> dict[str, Any]:
    return {
        "name": layer.name,
        "class": type(layer).__name__,
        "output_shape": getattr(layer, "output_shape", None),
        "parameters": layer.count_params() if layer.built else None,
        "weights": {weight.name: weight.shape for weight in layer.weights},
    }


@app.command(rich_help_panel=SEE)
def explain(
    target: arguments.Target,
    input: arguments.Input = None,
    position: Annotated[
        list[int] | None,
        typer.Option(min=0, help="An output position whose inputs to list. May be repeated."),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Of a model: only this layer, in full.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples that kernels are timed for.")] = 1,
    measure: Annotated[
        bool | None,
        typer.Option("--measure/--no-measure", help="Time each kernel; models are unless told."),
    ] = None,
    picture: pictures.Picture = None,
    json: Json = False,
) -> None:
    """Explain layers: shapes with their arithmetic, parameters, what each output reads.

    Of a model it shows a table by layer with the receptive field, the share of time, and the
    kernels that take most; --json gives all. --picture shows the kernel of a layer over its input
    with all numbers, and of a model how much of the input each layer reads.

    Examples:

    isoconv explain "Conv1D(64, 3)" --input 600x300

    isoconv explain "Conv1D(2, 4)" --input 10x3 --picture kernel.gif

    isoconv explain "Conv1D(8, 5) > MaxPooling1D(2) > Flatten() > Dense(3)" -i 100x4

    isoconv explain model.keras --layer conv1d --position 7
    """
    model = arguments.layer_or_model(target)
    shapes = arguments.needed(arguments.shapes(input), model)
    found = explanation_of(model, shapes, batch=batch, measure=measure)
    found = found if layer is None else found.of_layer(layer)
    pictures.explained(model, shapes, layer, position or (), picture)
    if json:
        print_json(found.as_data())
        return
    typer.echo(as_text(found.sections(position or ())))
    typer.echo(pictures.told(picture), nl=picture is not None)


@app.command(rich_help_panel=SEE)
def activations(
    file: Model,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="A .npy file with all samples, one an input of the model, or a .npz with names.",
        ),
    ],
    layers: Annotated[
        list[str] | None,
        typer.Option(help="A layer by its name or class. May be repeated; all if left out."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A folder for one .npy file a layer."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples computed at once.")] = 32,
    picture: pictures.Still = None,
    sample: Annotated[
        int, typer.Option(min=0, help="The sample that the picture shows, of 24 layers at most.")
    ] = 0,
    json: Json = False,
) -> None:
    """Show what the layers of a model give for some input, and write it to files.

    Everything is computed in one pass, batch by batch: input and files may be larger than memory.

    Examples:

    isoconv activations model.keras x.npy --layers Conv1D --out seen

    isoconv activations model.keras x.npy --picture seen.png --sample 3
    """
    model = arguments.model(file)
    given = [arguments.array(path) for path in inputs]
    x = given[0] if len(given) == 1 else given
    if picture is not None:
        pictures.write(drawing.activations(model, x, layers, sample=sample), picture)
    with progress("samples") as on_batch:
        found = activations_of(
            model,
            x,
            layers,
            batch_size=batch,
            out=out,
            on_batch=on_batch,
        )
    rows = [_statistics(name, value) for name, value in found.items()]
    if json:
        print_json(rows)
        return
    head = ("layer", "shape", "least", "mean", "largest", "zero", "size")
    lines = [_line(row) for row in rows]
    typer.echo(as_text([Section(f"{model.name}", (), [head, *lines], True, (2, 3, 4, 5, 6))]))
    if out is not None:
        typer.echo(f"\nWritten: {len(found)} files in {out}")
    typer.echo(pictures.told(picture), nl=picture is not None)


def _statistics(name: str, value: Any) -> dict[str, Any]:
    """A layer's outputs in a few numbers, read part by part; NaN and infinities told apart."""
    least, largest, total, zero, known = math.inf, -math.inf, 0.0, 0, 0
    rows = np.atleast_1d(value)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        part = part[np.isfinite(part)]
        if part.size:
            least, largest = min(least, float(part.min())), max(largest, float(part.max()))
        total += float(part.sum(dtype=np.float64))
        zero += int((part == 0).sum())
        known += part.size
    return {
        "layer": name,
        "shape": value.shape,
        "dtype": value.dtype.name,
        "least": least if known else None,
        "mean": total / known if known else None,
        "largest": largest if known else None,
        "zero": zero / known if known else None,
        "not_finite": value.size - known,
        "bytes": value.nbytes,
    }


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = [
        "" if row[key] is None else f"{row[key]:.4g}" for key in ("least", "mean", "largest")
    ]
    zero = "" if row["zero"] is None else f"{row['zero']:.0%}"
    shape = "x".join(map(str, row["shape"])) or "()"
    extra = f" ({row['not_finite']} not finite)" if row["not_finite"] else ""
    return (row["layer"] + extra, shape, *numbers, zero, size(row["bytes"]))
