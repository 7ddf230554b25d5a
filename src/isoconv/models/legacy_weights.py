"""Weights in the layout of Keras 2: a group for each layer of a model, its arrays by their names.

Layers and arrays are in the order that the attributes "layer_names" and "weight_names" give, which
is the one in which they are given to a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.errors import FileError
from isoconv.layers.base import Layer
from isoconv.layers.convolution import BaseConv
from isoconv.models import h5, legacy_optimizer, states
from isoconv.models.h5 import Array, Found, Misfit
from isoconv.models.h5_names import names, write_arrays, write_names
from isoconv.models.model import Model
from isoconv.ops.variable import Variable

MODEL_GROUP, OWN_GROUP = "model_weights", "top_level_model_weights"


def is_legacy(path: Path) -> bool:
    """Whether a file has its weights in this layout."""
    with h5.reading(path, str(path)) as file:
        try:
            where = h5.item(file, MODEL_GROUP) or file
        except Misfit as error:
            raise FileError(f"{path}: {error}.") from error
        return "layer_names" in where.attrs or "layer_names0" in where.attrs


# -- reading ----------------------------------------------------------------------------------


def load(model: Model, path: Path, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Gives the model and its optimizer what a file has; nothing changes where it does not fit."""
    found, steps = Found(), Found()
    with h5.opened(path, states.of_layers(model), str(path)) as file:
        try:
            group = h5.item(file, MODEL_GROUP) or file
            _refuse_keras_1(group, path)
            pairs = _by_name(model, group) if by_name else _by_order(model, group)
            for layer, part, variables in pairs:
                _read_layer(layer, part, variables, found, _flips(group))
            if not by_name:
                legacy_optimizer.read(file, model, steps)
        except Misfit as error:
            found.problems.append(str(error))
    h5.assign(model.where(), str(path), found, steps, skip_mismatch)


def _refuse_keras_1(group: Any, path: Path) -> None:
    version = h5.text(group, "keras_version") or "1"
    if version.startswith("1"):
        raise FileError(
            f"{path}: written by Keras {version}, whose layouts of weights depend on its backend. "
            "Open it with Keras 2 and save it again."
        )


def _flips(group: Any) -> bool:
    """Whether kernels are turned round: Theano convolved where all others correlate."""
    return h5.text(group, "backend") == "theano"


_Part = tuple[Layer, Any, Sequence[Variable]]


def _by_order(model: Model, group: Any) -> list[_Part]:
    """Each layer with weights beside the group that stands at its place."""
    layers = [layer for layer in model.layers if _weights(layer)]
    groups = [h5.item(group, name) for name in names(group, "layer_names")]
    groups = [each for each in groups if each is not None and names(each, "weight_names")]
    if len(layers) != len(groups):
        given = f"the file has {len(groups)}"
        raise Misfit(f"the model has {len(layers)} layers with weights; {given}")
    pairs: list[_Part] = [
        (layer, part, _weights(layer)) for layer, part in zip(layers, groups, strict=True)
    ]
    own = h5.item(group, OWN_GROUP)
    if own is not None:
        pairs.append((model, own, _own_weights(model)))
    return pairs


def _by_name(model: Model, group: Any) -> list[_Part]:
    """Each layer whose name is that of a group with weights."""
    found: list[_Part] = []
    known = set(names(group, "layer_names"))
    for layer in model.layers:
        part = h5.item(group, layer.name) if layer.name in known else None
        if part is not None and names(part, "weight_names"):
            found.append((layer, part, _weights(layer)))
    return found


def _read_layer(
    layer: Layer, part: Any, variables: Sequence[Variable], found: Found, flips: bool
) -> None:
    try:
        arrays = names(part, "weight_names")
        if len(arrays) != len(variables):
            raise Misfit(f"expected {len(variables)} variables; the file has {len(arrays)}")
        values = [
            (variable, h5.dataset(part, name, variable))
            for variable, name in zip(variables, arrays, strict=True)
        ]
    except Misfit as error:
        found.problems.append(f"{layer.name}: {error}")
    else:
        if flips and isinstance(layer, BaseConv):
            values[0] = (variables[0], _flipped(values[0][1]))
        found.values += values


def _flipped(kernel: Array) -> Array:
    return np.flip(kernel, tuple(range(kernel.ndim - 2)))


def _weights(layer: Layer) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _own_weights(model: Model) -> list[Variable]:
    """What belongs to the model itself and to none of its layers."""
    within = {id(variable) for layer in model.layers for variable in layer.weights}
    return [variable for variable in _weights(model) if id(variable) not in within]


# -- writing ----------------------------------------------------------------------------------


def write(group: Any, model: Model, keras_version: str) -> None:
    """Puts the weights of a model into a group of a file."""
    write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = keras_version.encode()
    for layer in sorted(model.layers, key=lambda each: each.name):
        write_arrays(group.create_group(layer.name), _labelled(_weights(layer)))
    write_arrays(group.create_group(OWN_GROUP), _labelled(_own_weights(model)))


def _labelled(variables: Sequence[Variable]) -> dict[str, Variable]:
    """The variables by their paths, numbered where two have the same."""
    found: dict[str, Variable] = {}
    for variable in variables:
        label, number = variable.path, 1
        while label in found:
            label, number = f"{variable.path}_{number}", number + 1
        found[label] = variable
    return found
