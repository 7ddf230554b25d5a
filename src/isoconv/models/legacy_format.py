"""`.h5` files of whole models: config and training config as attributes, and weights in the layout
of Keras 2. Keras 2 and 3 write and read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isoconv import registry
from isoconv.errors import ArgumentError, FileError
from isoconv.models import from_config, h5, keras2, legacy_optimizer, legacy_weights, weights_format
from isoconv.models.model import Model

# The version of Keras that reads what is written here.
_KERAS_VERSION = "3.15.1"

load_weights = weights_format.load_weights


def save(model: Model, path: Path) -> None:
    """Writes the model: its config, how it was compiled, its weights and its optimizer's state."""
    config = from_config.data_of(model)
    del config["module"], config["registered_name"]
    with h5.whole(path) as file:
        file.attrs["keras_version"] = _KERAS_VERSION
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        compiled = model.get_compile_config()
        if compiled:
            file.attrs["training_config"] = json.dumps(_training_config(compiled)).encode()
            legacy_optimizer.write(file, model.optimizer)
        legacy_weights.write(file.create_group(legacy_weights.MODEL_GROUP), model, _KERAS_VERSION)


def save_weights(model: Model, path: Path) -> None:
    """Writes the weights alone."""
    with h5.whole(path) as file:
        legacy_weights.write(file, model, _KERAS_VERSION)


def _training_config(compiled: Mapping[str, Any]) -> dict[str, Any]:
    names = ("loss", "loss_weights", "metrics", "weighted_metrics")
    found = {name: _in_full(compiled.get(name)) for name in names}
    optimizer = {key: compiled["optimizer"][key] for key in ("class_name", "config")}
    return found | {"optimizer_config": optimizer}


def _in_full(value: Any) -> Any:
    """Names of losses and metrics in full: Keras 3 does not know "mse" in such a file."""
    if isinstance(value, list):
        return [_in_full(each) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return registry.find(value, "losses").__name__
    except ArgumentError:
        return value


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool) -> Model:
    """The model of a file. FileError says what is wrong with it, or missing in it."""
    part = f"{path}: model_config"
    config, training = _attributes(path)
    if config is None:
        raise FileError(
            f"{path}: holds weights and no model. Build the model and give it the weights with "
            "model.load_weights."
        )
    described = from_config.parse(config, part)
    if compile and training is not None:
        described["compile_config"] = _compile_config(training, f"{path}: training_config")
    model = from_config.model_of(described, part, custom_objects)
    legacy_weights.load(model, path)
    return model


def _attributes(path: Path) -> tuple[Any, Any]:
    with h5.reading(path, str(path)) as file:
        try:
            return h5.text(file, "model_config"), h5.text(file, "training_config")
        except h5.Misfit as error:
            raise FileError(f"{path}: damaged: {error}.") from error


def _compile_config(training: Any, part: str) -> dict[str, Any]:
    try:
        return keras2.compile_arguments(json.loads(training))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FileError(f"{part} is damaged ({type(error).__name__}: {error}).") from error
