"""`.weights.h5` files: the weights of a model in Keras 3's layout, and its optimizer's state."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from isoconv.errors import FileError
from isoconv.models import h5, states
from isoconv.models.model import Model


def save_weights(model: Model, path: Path) -> None:
    """Writes the weights of a built model, and its optimizer's state if it has one."""
    write(path, model)


def load_weights(model: Model, path: Path, skip_mismatch: bool) -> None:
    """Gives the model the weights of a file; nothing changes where one does not fit.

    skip_mismatch: warn of layers that do not fit, and load the others.
    """
    read(path, model, str(path), skip_mismatch)


def write(target: Path | BytesIO, model: Model) -> None:
    """Makes an HDF5 file of all that the model has learnt."""
    optimizer = states.of_optimizer(model)
    h5.write(target, [*states.of_layers(model), *([optimizer] if optimizer else [])])


def read(source: Path | BytesIO, model: Model, name: str, skip_mismatch: bool = False) -> None:
    """Gives the model what an HDF5 file has for it; FileError, and no change, if that is not all.

    An optimizer whose state does not fit starts anew, with a warning. name: of the file.
    """
    found = h5.read(source, states.of_layers(model), name)
    problems = found.problems + [f"{path}: the model has no such layer" for path in found.unknown]
    if problems and not skip_mismatch:
        raise FileError(_listed(f"{name}: does not fit {model.where()}", problems))
    optimizer = states.of_optimizer(model)
    steps = h5.read(source, [optimizer] if optimizer else [], name)
    found.assign()
    steps.assign()
    if problems:
        warnings.warn(_listed(f"{name}: not loaded into {model.where()}", problems), stacklevel=4)
    if steps.problems:
        warnings.warn(_listed(f"{name}: the optimizer starts anew", steps.problems), stacklevel=4)


def _listed(title: str, lines: Sequence[str]) -> str:
    shown = [*lines[:10], *([f"and {len(lines) - 10} more"] if len(lines) > 10 else [])]
    return "\n  ".join([f"{title}:", *shown])
