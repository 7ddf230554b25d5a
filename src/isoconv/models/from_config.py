"""A model made of the config that a file holds, with an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isoconv import registry
from isoconv.errors import ArgumentError, FileError, abridged
from isoconv.models import ignored_masks, keras2, mask_steps, operations
from isoconv.models.model import Model
from isoconv.ops.variable import without_initial_values

# The key of the mark in configs that isoconv wrote.
_WRITER = "written_by"

# What a config that is not what it should be makes constructors raise.
_WRONG_CONFIG = (ArgumentError, MemoryError, *registry.WRONG_CONFIG)


def parse(data: bytes | str, part: str) -> dict[str, Any]:
    """The JSON of a model's config. part: what of which file it is, for errors."""
    try:
        config = json.loads(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{part} is damaged ({error}).") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(f"{part} describes no model.")
    return config


def data_of(model: Model) -> dict[str, Any]:
    """The config of a model for a file, with the mark that isoconv wrote it.

    Warns of layers that Keras predicts otherwise with.
    """
    ignored_masks.warn_of_untold(model)
    config: dict[str, Any] = registry.serialize(model)
    return config | {_WRITER: "isoconv"}


def model_of(config: dict[str, Any], part: str, custom_objects: Mapping[str, Any] | None) -> Model:
    """The model that a config of Keras 2 or 3 describes, its weights still to be given.

    Where isoconv has not written it, layers ignore masks as Keras' do. part: what of which file it
    is, for errors.
    """
    with registry.custom_object_scope(custom_objects or {}):
        try:
            changed = keras2.modern(config)
            _refuse_unknown(changed, part)
            if _WRITER not in config:
                _ignore_masks(changed)
            # Values come from the file, so that absurd sizes fail before memory is used.
            with without_initial_values():
                return _made(changed, part)
        except FileError:
            raise
        except _WRONG_CONFIG as error:
            raise FileError(f"{part}: {type(error).__name__}: {abridged(str(error))}") from error


def _made(config: dict[str, Any], part: str) -> Model:
    model = registry.deserialize(config, "models")
    if not isinstance(model, Model):
        raise FileError(f"{part} describes no model, but a {config['class_name']}.")
    shape = (config.get("build_config") or {}).get("input_shape")
    if shape is not None and not model.built:
        model.compute_output_shape(tuple(shape))
    if config.get("compile_config"):
        model.compile_from_config(config["compile_config"])
    return model


def _refuse_unknown(config: Any, part: str) -> None:
    """FileError with all classes and functions that are not known, if there are any."""
    try:
        missing = sorted(set(_unknown(config)))
    except RecursionError as error:
        raise FileError(f"{part} is nested too deeply.") from error
    if missing:
        listed = abridged(", ".join(missing))
        raise FileError(
            f"{part} needs what isoconv does not have: {listed}. Give classes and functions "
            "of your own as custom_objects={name: class}, or register them with "
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


def _ignore_masks(config: Any) -> None:
    """Notes at each layer of a config that it ignores masks, where Keras' layer does."""
    if isinstance(config, list):
        for item in config:
            _ignore_masks(item)
    elif isinstance(config, dict):
        name = config.get("class_name")
        if isinstance(name, str) and mask_steps.is_ignoring_class(name):
            config[registry.IGNORES_MASKS] = True
        for item in config.values():
            _ignore_masks(item)


def _is_known(config: Mapping[str, Any], name: str) -> bool:
    if name.startswith("__"):
        return True
    if ".ops" in str(config.get("module")):
        return operations.is_known(config)
    return registry.is_known(config)
