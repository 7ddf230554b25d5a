"""Drawn models as data and back, in the form that Keras saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isoconv import naming, registry
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.models import mask_steps, operations
from isoconv.models.network import Network
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor

if TYPE_CHECKING:
    from isoconv.models.model import Model


def functional_name() -> str:
    """The name of a drawn model that was given none."""
    return naming.unique("functional")


# -- to data ----------------------------------------------------------------------------------


def of_network(model: Model, network: Network) -> dict[str, Any]:
    """The config of a drawn model: its layers, each with the tensors it was called on."""
    network = mask_steps.written_out(network)
    places = _places(network)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": [_target_config(call, network, places) for call in network.targets],
        "input_layers": _references(network.inputs, places),
        "output_layers": _references(network.outputs, places),
    }


def _places(network: Network) -> dict[int, list[Any]]:
    """Of each tensor: the name of what gave it, the number of that call, and its place."""
    found: dict[int, list[Any]] = {}
    counts: dict[str, int] = {}
    for call in network.steps:
        number = counts.get(call.name, 0)
        counts[call.name] = number + 1
        for tensor in call.outputs:
            found[id(tensor)] = [call.name, number, tensor.index]
    # Last, because a model may start at a tensor within another one.
    for tensor, entry in zip(network.flat_inputs, network.entries, strict=True):
        found[id(tensor)] = [entry.name, 0, 0]
    return found


def _references(tensors: Any, places: Mapping[int, list[Any]]) -> Any:
    return tree.transform(lambda tensor: places[id(tensor)], tensors)


def _target_config(call: Call, network: Network, places: Mapping[int, list[Any]]) -> dict[str, Any]:
    if isinstance(call.target, Layer):
        config: dict[str, Any] = registry.serialize(call.target)
        if call.target.build_shapes:
            config["build_config"] = {"input_shape": _listed(call.target)}
        calls = [step for step in network.steps if step.target is call.target]
        given = [(list(each.args), dict(each.kwargs)) for each in calls]
    else:
        named, args, kwargs = operations.as_keras(call)
        config = registry.serialize(named) | {"registered_name": None}
        given = [(args, kwargs)]

    def enter(leaf: Any) -> Any:
        if not isinstance(leaf, KerasTensor):
            return registry.serialize(leaf)
        details = {"shape": list(leaf.shape), "dtype": leaf.dtype}
        details["keras_history"] = places[id(leaf)]
        return {"class_name": "__keras_tensor__", "config": details}

    nodes = [
        {"args": tree.transform(enter, args), "kwargs": tree.transform(enter, kwargs)}
        for args, kwargs in given
    ]
    return config | {"name": call.name, "inbound_nodes": nodes}


def _listed(layer: Layer) -> Any:
    shapes = list(layer.build_shapes.values())
    return registry.serialize(shapes[0])


# -- from data --------------------------------------------------------------------------------


def to_network(config: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The inputs and outputs that a config describes, drawn anew, and the other arguments."""
    targets = {each["name"]: _target(each) for each in config["layers"]}
    waiting = [(each["name"], node) for each in config["layers"] for node in each["inbound_nodes"]]
    given: dict[tuple[str, int], list[KerasTensor]] = {}
    for name, target in targets.items():
        if isinstance(target, Layer) and target._calls:
            given[name, 0] = target._calls[0].outputs
    counts: dict[str, int] = {}
    while waiting:
        later: list[tuple[str, Any]] = []
        for position, (name, node) in enumerate(waiting):
            # A layer's calls are made in their order: one that waits holds up those after it.
            held = any(each == name for each, _ in later)
            if held or not _ready(node, given):
                later.append(waiting[position])
                continue
            number = counts.get(name, 0)
            counts[name] = number + 1
            args, kwargs = _arguments(node, given)
            result = targets[name](*args, **kwargs)
            given[name, number] = list(tree.leaves(result))
        if len(later) == len(waiting):
            names = sorted({name for name, _ in later})
            raise ArgumentError(explain("Model config", names, "layers whose inputs exist"))
        waiting = later
    rest = {key: config[key] for key in ("name", "trainable") if key in config}
    sides = (_resolve(config[key], given) for key in ("input_layers", "output_layers"))
    inputs, outputs = sides
    return inputs, outputs, rest


def _target(config: Mapping[str, Any]) -> Any:
    """The layer or function that an entry of "layers" stands for."""
    if ".ops" not in str(config.get("module")):
        return registry.deserialize(config, "layers")
    return lambda *args, **kwargs: operations.draw(config, args, kwargs)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _tensors(value: Any) -> list[tuple[str, int, int]]:
    if _is_tensor(value):
        name, number, index = value["config"]["keras_history"]
        return [(name, number, index)]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [each for item in value for each in _tensors(item)] if isinstance(value, list) else []


def _ready(node: Mapping[str, Any], given: Mapping[tuple[str, int], Any]) -> bool:
    places = _tensors([node["args"], node["kwargs"]])
    return all((name, number) in given for name, number, _ in places)


def _arguments(node: Mapping[str, Any], given: Mapping[tuple[str, int], Any]) -> tuple[Any, Any]:
    def leave(value: Any) -> Any:
        if _is_tensor(value):
            name, number, index = value["config"]["keras_history"]
            return given[name, number][index]
        if isinstance(value, list):
            return [leave(item) for item in value]
        if isinstance(value, Mapping) and "class_name" not in value:
            return {key: leave(item) for key, item in value.items()}
        return registry.deserialize(value)

    kwargs = {key: leave(value) for key, value in node["kwargs"].items() if value is not None}
    return leave(list(node["args"])), kwargs


def _resolve(reference: Any, given: Mapping[tuple[str, int], Any]) -> Any:
    """The tensors that ["name", call, place] stands for, alone or in lists and dicts."""
    if isinstance(reference, Mapping):
        return {key: _resolve(value, given) for key, value in reference.items()}
    if len(reference) == 3 and isinstance(reference[0], str):
        name, number, index = reference
        return given[name, number][index]
    return [_resolve(each, given) for each in reference]
