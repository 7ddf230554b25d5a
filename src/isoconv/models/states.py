"""Where Keras' files keep each variable of a model: a path for every layer, and a number within.

The paths follow the attributes, and the classes of layers within lists, never the layers' names:
"layers/conv1d", "layers/conv1d_1", "layers/time_distributed/layer", "optimizer".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isoconv import naming
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.models.sequential import Sequential
from isoconv.ops.variable import Variable

OPTIMIZER = "optimizer"


@dataclass(frozen=True)
class State:
    """The variables of one layer, or of the optimizer, and their path in a file."""

    path: str
    name: str
    variables: tuple[Variable, ...]


def of_layers(model: Model) -> list[State]:
    """The model's own state and those of all layers within, each once."""
    return list(_of_layer(model, "", set()))


def of_optimizer(model: Any) -> State | None:
    """The optimizer's variables; None for a model that has none."""
    optimizer = getattr(model, OPTIMIZER, None)
    if optimizer is None:
        return None
    return State(OPTIMIZER, optimizer.name, tuple(optimizer.variables))


def _of_layer(layer: Layer, path: str, seen: set[int]) -> Iterator[State]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield State(path, layer.name, tuple(layer._own[0] + layer._own[1]))
    for name, value in _attributes(layer):
        yield from _of_value(value, f"{path}/{name}".lstrip("/"), seen)


def _of_value(value: Any, path: str, seen: set[int]) -> Iterator[State]:
    if isinstance(value, Layer):
        yield from _of_layer(value, path, seen)
    elif isinstance(value, Mapping | list | tuple):
        used: Counter[str] = Counter()
        for each in value.values() if isinstance(value, Mapping) else value:
            if isinstance(each, Layer | Mapping | list | tuple):
                name = _class_name(each) if isinstance(each, Layer) else "container"
                number = f"_{used[name]}" if used[name] else ""
                used[name] += 1
                yield from _of_value(each, f"{path}/{name}{number}", seen)


def _class_name(layer: Layer) -> str:
    return naming.snake_case(getattr(layer, "saved_class_name", type(layer).__name__))


def _attributes(layer: Layer) -> list[tuple[str, Any]]:
    """The attributes in the order of Keras' search: the layers of a drawn model first, then by
    name, private ones last.
    """
    own = {name: value for name, value in vars(layer).items() if name not in _COMMON}
    first = []
    if isinstance(layer, Sequential) or (isinstance(layer, Model) and layer.network is not None):
        first = [("layers", layer.layers)]
    elif isinstance(layer, Model):
        own["layers"] = layer.layers
    rest = sorted(own, key=lambda name: f"~{name}" if name.startswith("_") else name)
    return [*first, *((name, own[name]) for name in rest)]


# What every layer and model has holds no layers that are not found otherwise.
_COMMON = frozenset(vars(Sequential(name="any"))) | {"_network"}
