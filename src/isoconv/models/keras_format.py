"""`.keras` files, as Keras 3 writes them: config.json, metadata.json, model.weights.h5 in a zip."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from isoconv import naming, registry
from isoconv.errors import ArgumentError, FileError, explain
from isoconv.models import weights_format
from isoconv.models.model import Model
from isoconv.ops.dispatch import FUNCTIONS
from isoconv.ops.variable import without_initial_values

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

# The version of Keras whose format this is.
_KERAS_VERSION = "3.15.1"

# Keras does not compress, others do. More than this is refused where it is also more than
# _EXPANSION times the whole file.
_LARGEST_MEMBER = 64 << 20
_EXPANSION = 20

# What a config that is not what it should be makes constructors raise.
_WRONG_CONFIG = (
    ArgumentError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


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
    config: dict[str, Any] = registry.serialize(model)
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
    name = str(path)
    with registry.custom_object_scope(custom_objects or {}):
        config = _json(_member(path, CONFIG), name)
        if not compile:
            config.pop("compile_config", None)
        _refuse_unknown(config, name)
        # Values come from the file, so that a config of absurd sizes fails before memory is used.
        with without_initial_values():
            model = _model(config, name)
    weights_format.read(BytesIO(_member(path, WEIGHTS)), model, name)
    return model


def load_weights(model: Model, path: Path, skip_mismatch: bool) -> None:
    """Gives the model the weights of a file; nothing changes where one does not fit."""
    weights_format.read(BytesIO(_member(path, WEIGHTS)), model, str(path), skip_mismatch)


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


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name}: {CONFIG} is damaged ({error}).") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(f"{name}: {CONFIG} describes no model.")
    return config


def _model(config: dict[str, Any], name: str) -> Model:
    try:
        model = registry.deserialize(config, "models")
        if not isinstance(model, Model):
            raise FileError(f"{name}: {CONFIG} describes no model, but a {config['class_name']}.")
        shape = (config.get("build_config") or {}).get("input_shape")
        if shape is not None and not model.built:
            model.compute_output_shape(tuple(shape))
        if config.get("compile_config"):
            model.compile_from_config(config["compile_config"])
    except FileError:
        raise
    except _WRONG_CONFIG as error:
        raise FileError(f"{name}: {CONFIG}: {type(error).__name__}: {error}") from error
    return model


def _refuse_unknown(config: Any, name: str) -> None:
    """FileError with all classes and functions that are not known, if there are any."""
    try:
        missing = sorted(set(_unknown(config)))
    except RecursionError as error:
        raise FileError(f"{name}: {CONFIG} is nested too deeply.") from error
    if missing:
        raise FileError(
            f"{name} needs what isoconv does not have: {', '.join(missing)}. Give classes and "
            "functions of your own as custom_objects={name: class}, or register them with "
            "@isoconv.register_keras_serializable()."
        )


def _unknown(config: Any) -> Iterator[str]:
    """Names in a config that nothing is known by."""
    if isinstance(config, list):
        for item in config:
            yield from _unknown(item)
    elif isinstance(config, dict):
        name = config.get("class_name")
        if isinstance(name, str) and not _is_known(config, name):
            yield str(config.get("registered_name") or name)
        for key, item in config.items():
            # A dtype may be a policy with a class name, which is read as its name.
            if key != "dtype":
                yield from _unknown(item)


def _is_known(config: Mapping[str, Any], name: str) -> bool:
    if name.startswith("__"):
        return True
    if ".ops" in str(config.get("module")):
        return naming.snake_case(name) in FUNCTIONS
    return registry.is_known(config)
