"""`.weights.h5` files: the weights of a model in Keras 3's layout, and its optimizer's state."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from isoconv.models import h5, legacy_weights, states
from isoconv.models.model import Model


def save_weights(model: Model, path: Path) -> None:
    """Writes the weights of a built model, and its optimizer's state if it has one."""
    # HDF5 crashes where a disk is full; in memory it does not.
    made = BytesIO()
    write(made, model)
    path.write_bytes(made.getbuffer())


def load_weights(model: Model, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    """Gives the model the weights of a file; nothing changes where one does not fit.

    skip_mismatch: warn of layers that do not fit, and load the others. by_name: find layers by
    their names, and load those that the file has. Files of Keras 2, which gave them the same names,
    are read too.
    """
    if legacy_weights.is_legacy(path):
        legacy_weights.load(model, path, skip_mismatch, by_name)
    else:
        read(path, model, str(path), skip_mismatch, by_name)


def write(target: BytesIO, model: Model) -> None:
    """Makes an HDF5 file of all that the model has learnt."""
    optimizer = states.of_optimizer(model)
    h5.write(target, [*states.of_layers(model), *([optimizer] if optimizer else [])])


def read(
    source: Path | BytesIO,
    model: Model,
    name: str,
    skip_mismatch: bool = False,
    by_name: bool = False,
) -> None:
    """Gives the model what an HDF5 file has for it; FileError, and no change, if that is not all.

    An optimizer whose state does not fit starts anew, with a warning. name: of the file.
    """
    found = h5.read(source, states.of_layers(model), name, by_name)
    optimizer = states.of_optimizer(model)
    steps = h5.read(source, [optimizer] if optimizer and not by_name else [], name)
    found.problems += [f"{path}: the model has no such layer" for path in found.unknown]
    h5.assign(model.where(), name, found, steps, skip_mismatch)
