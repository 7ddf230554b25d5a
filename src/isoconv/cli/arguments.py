"""What people type, read: shapes, layers as text or models as files, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from isoconv import spec
from isoconv.errors import ArgumentError, FileError, ShapeError, explain
from isoconv.explaining.tracing import chain, fit
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.models.saving import load_model

_KINDS = (".keras", ".h5", ".hdf5", ".onnx", ".pt", ".pth", ".safetensors")

Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="SIZES",
        help="The input's sizes without the batch, such as 600x300. Once for each input.",
    ),
]

Target = Annotated[
    str,
    typer.Argument(
        metavar="LAYERS|FILE",
        help="Layers such as 'Conv1D(64, 3) > ReLU()', or a model file.",
    ),
]

Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Threads of each; all CPUs if left out.")
]


def shape(text: str) -> tuple[int | None, ...]:
    """A shape written as 600x300 or 80; a ?, as in ?x300, stands for every size."""
    sizes = [size.strip() for size in text.lower().split("x")]
    if not all(size == "?" or (size.isdecimal() and int(size)) for size in sizes):
        raise ArgumentError(explain("shape", repr(text), "sizes joined by x, as 600x300 or ?x300"))
    return tuple(None if size == "?" else int(size) for size in sizes)


def shapes(texts: list[str] | None) -> Any:
    """One shape, several, or None where none was given."""
    found = [shape(text) for text in texts or ()]
    return found[0] if len(found) == 1 else found or None


def needed(sizes: Any, target: Any) -> Any:
    """The sizes that were given; None only where the target, read from a file, knows them."""
    drawn = getattr(target, "network", None) is not None
    if sizes is None and not drawn:
        raise ShapeError(explain("--input", "none", "the input's sizes", "Add: --input 600x300"))
    if sizes is not None and drawn:
        fit(target, sizes if isinstance(sizes, list) else [sizes])
    return sizes


def layer_or_model(text: str) -> Layer:
    """The model in a file, or the layers that the text names."""
    return model(Path(text)) if is_file(text) else chain(spec.layers(text))


def compared(text: str) -> Model | str:
    """What one side of a comparison is: the model in a file, or the text that names layers."""
    return model(Path(text)) if is_file(text) else text


def one_layer(text: str) -> Layer:
    """The only layer that the text names."""
    if is_file(text):
        remedy = "isoconv rewrite and isoconv race take files"
        raise ArgumentError(explain("layer", f"the file {text}", "one layer, as text", remedy))
    found = spec.layers(text)
    if len(found) != 1:
        raise ArgumentError(explain("layer", repr(text), "one layer, such as Conv1D(64, 3)"))
    return found[0]


def is_file(text: str) -> bool:
    """Whether the text names a model file rather than layers."""
    path = Path(text)
    return bool(text.strip()) and (path.suffix.lower() in _KINDS or _exists(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def model(path: Path) -> Model:
    """The model in a file."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise FileError(explain(str(path), what, f"a model file ({', '.join(_KINDS[:4])})"))
    found: Model = load_model(path)
    return found


def array(path: Path) -> Any:
    """The array of a .npy file, read from there as it is needed; those of a .npz file by name."""
    expected = "a .npy or .npz file of numbers"
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise FileError(explain(str(path), what, expected))
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        found = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (ValueError, OSError, EOFError) as error:
        what = "one of another kind, or a damaged one"
        raise FileError(explain(str(path), what, expected)) from error
    return found
