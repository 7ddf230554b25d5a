"""`.keras` files, as Keras 3 writes them: config.json, metadata.json, model.weights.h5 in a zip."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from isoconv import registry
from isoconv.errors import FileError, explain
from isoconv.models import from_config, weights_format
from isoconv.models.model import Model

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

# The version of Keras whose format this is.
_KERAS_VERSION = "3.15.1"

# Keras does not compress, others do. More than this is refused where it is also more than
# _EXPANSION times the whole file.
_LARGEST_MEMBER = 64 << 20
_EXPANSION = 20

# What zipfile raises on files that are damaged.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


# -- writing ----------------------------------------------------------------------------------


def save(model: Model, path: Path) -> None:
    """Writes the model: its config, how it was compiled, its weights and its optimizer's state."""
    metadata = {
        "keras_version": _KERAS_VERSION,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    weights = BytesIO()
    weights_format.write(weights, model)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METADATA, json.dumps(metadata))
        archive.writestr(CONFIG, json.dumps(_config(model)))
        archive.writestr(WEIGHTS, weights.getbuffer())


def _config(model: Model) -> dict[str, Any]:
    config = from_config.data_of(model)
    if model.build_shapes:
        config["build_config"] = {"input_shape": registry.serialize(_only(model.build_shapes))}
    compiled = model.get_compile_config()
    return config | ({"compile_config": compiled} if compiled else {})


def _only(shapes: Mapping[str, Any]) -> Any:
    return next(iter(shapes.values()))


# -- reading ----------------------------------------------------------------------------------


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool) -> Model:
    """The model of a file. FileError says what is wrong with it.

    custom_objects: classes and functions by the names they have in the file. compile: whether to
    compile the model as it was, and restore its optimizer.
    """
    part = f"{path}: {CONFIG}"
    config = from_config.parse(_member(path, CONFIG), part)
    if not compile:
        config.pop("compile_config", None)
    model = from_config.model_of(config, part, custom_objects)
    weights_format.read(BytesIO(_member(path, WEIGHTS)), model, str(path))
    return model


def load_weights(model: Model, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    """Gives the model the weights of a file; nothing changes where one does not fit."""
    weights_format.read(BytesIO(_member(path, WEIGHTS)), model, str(path), skip_mismatch, by_name)


def _member(path: Path, member: str) -> bytes:
    """One member of the zip; FileError where it is missing, damaged or expands absurdly."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(member).file_size
            if size > max(_LARGEST_MEMBER, _EXPANSION * path.stat().st_size):
                given = f"{size} bytes"
                raise FileError(explain(f"{path}: {member}", given, "less, for a file so small"))
            return archive.read(member)
    except KeyError as error:
        raise FileError(f"{path}: no .keras file: {member} is missing in it.") from error
    except FileNotFoundError:
        raise
    except (*_DAMAGE, OSError) as error:
        raise FileError(f"{path}: no .keras file, or a damaged one ({error}).") from error
