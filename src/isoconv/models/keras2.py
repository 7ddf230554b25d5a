"""Configs that Keras 2 wrote, in the form of Keras 3: names of arguments that changed, layers in
lists, calls written as [name, call, place, arguments], and operations of TensorFlow as functions.

A config of Keras 3 comes out as it went in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isoconv.errors import ArgumentError, explain
from isoconv.models import operations

Config = dict[str, Any]

_MODELS = ("Functional", "Model", "Sequential")

# Arguments that have another name today.
_RENAMED = {
    ("InputLayer", "batch_input_shape"): "batch_shape",
    ("LeakyReLU", "alpha"): "negative_slope",
}

# Arguments that are gone, with the values at which they said nothing; None stands for any value.
_GONE: dict[str, tuple[Any, ...] | None] = {
    "adjustment": (None,),
    "batch_input_shape": None,
    "fused": None,
    "implementation": None,
    "input_dtype": None,
    "input_length": None,
    "ragged": (False, None),
    "renorm": (False,),
    "renorm_clipping": None,
    "renorm_momentum": None,
    "sparse": (False, None),
    "optional": (False,),
    "virtual_batch_size": (None,),
}

# Depthwise and separable layers inherited these from Conv and had no use for them.
_INHERITED = {
    "groups": (1,),
    "kernel_constraint": None,
    "kernel_initializer": None,
    "kernel_regularizer": None,
}

# Functions of TensorFlow that a drawn model may hold, and what they are called in `isoconv.ops`.
_FUNCTIONS = {
    "__operators__.add": "add",
    "__operators__.mul": "multiply",
    "__operators__.sub": "subtract",
    "__operators__.truediv": "divide",
    "math.abs": "abs",
    "math.add": "add",
    "math.divide": "divide",
    "math.exp": "exp",
    "math.log": "log",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.multiply": "multiply",
    "math.negative": "negative",
    "math.reduce_max": "max",
    "math.reduce_mean": "mean",
    "math.reduce_min": "min",
    "math.reduce_sum": "sum",
    "math.sigmoid": "sigmoid",
    "math.sqrt": "sqrt",
    "math.square": "square",
    "math.subtract": "subtract",
    "math.tanh": "tanh",
    "math.truediv": "divide",
    "nn.relu": "relu",
    "nn.sigmoid": "sigmoid",
    "nn.softmax": "softmax",
    "nn.tanh": "tanh",
}


def modern(config: Any) -> Any:
    """The config of a model or layer, as Keras 3 would have written it."""
    if not _is_object(config):
        return config
    if config["class_name"] in _MODELS and "layers" in _inner(config):
        return _object(config, _model_arguments(config))
    if config["class_name"] in ("TFOpLambda", "TensorFlowOpLayer"):
        return _function(config)
    if _is_operation(config):
        return {**config, "module": "keras.ops"}
    return _object(config, _layer_arguments(config))


def compile_arguments(training: Mapping[str, Any]) -> Config:
    """The arguments of `compile` that the training config of an .h5 file holds."""
    found = {"optimizer": _optimizer(training["optimizer_config"])}
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        value = _loss_or_metric(training.get(name))
        if value is not None:
            found[name] = value
    return found


# -- layers -----------------------------------------------------------------------------------


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("class_name"), str)


def _is_operation(config: Mapping[str, Any]) -> bool:
    """Whether this is a call of keras.ops. In `.h5` files Keras 3 leaves its module out; layers may
    have the same name, but tell more of themselves.
    """
    if "module" in config or "registered_name" in config:
        return False
    is_called = any(isinstance(node, Mapping) for node in _nodes([config]))
    return is_called and "trainable" not in _inner(config) and operations.is_known(config)


def _inner(config: Mapping[str, Any]) -> Config:
    """The arguments; the first Keras 2 had a list for a Sequential's."""
    inner = config.get("config") or {}
    if not isinstance(inner, list | Mapping):
        raise ArgumentError(explain(config["class_name"], repr(inner), "a config with names"))
    return {"layers": inner} if isinstance(inner, list) else dict(inner)


def _object(config: Mapping[str, Any], arguments: Config) -> Config:
    name = config["class_name"]
    package, _, cls = name.rpartition(">")
    changed: Config = {**config, "class_name": cls, "config": arguments}
    if package:
        changed.setdefault("registered_name", name)
    if cls == "Model":
        changed["class_name"] = "Functional"
    return changed


def _layer_arguments(config: Mapping[str, Any]) -> Config:
    cls = config["class_name"]
    gone = _GONE | (_INHERITED if cls.startswith(("Depthwise", "Separable")) else {})
    found: Config = {}
    for key, value in _inner(config).items():
        name = _RENAMED.get((cls, key), key)
        harmless = gone.get(name, ())
        if harmless is not None and value not in harmless:
            found[name] = _argument(name, value)
    if cls == "Lambda" and isinstance(found.get("function"), list):
        found["function"] = {"class_name": "__lambda__", "config": {}}
    return found


def _argument(name: str, value: Any) -> Any:
    if name == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if name == "dtype" and _is_object(value) and value["class_name"] == "Policy":
        return value["config"]["name"]
    if isinstance(value, Mapping) and value.get("type") == "ndarray":
        return value["value"]
    if name.endswith("_initializer") and _is_object(value):
        return _initializer(value)
    if name == "layer":
        return modern(value)
    return value


def _initializer(config: Mapping[str, Any]) -> Config:
    arguments = {key: value for key, value in _inner(config).items() if key != "dtype"}
    if arguments.get("distribution") == "normal":
        arguments["distribution"] = "truncated_normal"
    return {**config, "config": arguments}


# -- models -----------------------------------------------------------------------------------


def _model_arguments(config: Mapping[str, Any]) -> Config:
    arguments = _inner(config)
    layers = [_named(each) for each in arguments["layers"]]
    if config["class_name"] == "Sequential":
        return arguments | {"layers": [*_first_input(layers), *map(modern, layers)]}
    if not any(isinstance(node, list) for node in _nodes(layers)):
        return arguments | {"layers": [*map(modern, layers)]}
    shifts = {each["name"]: _shift(each, layers, arguments) for each in layers}
    drawn = [
        modern(each) | {"inbound_nodes": [_node(node, shifts) for node in _nodes([each])]}
        for each in layers
    ]
    sides = {
        key: _only(_places(arguments[key], shifts)) for key in ("input_layers", "output_layers")
    }
    return arguments | {"layers": drawn} | sides


def _nodes(layers: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [node for layer in layers for node in layer.get("inbound_nodes") or ()]


def _only(places: Any) -> Any:
    """One input or output, which Keras 2 put into a list all the same, by itself."""
    return places[0] if isinstance(places, list) and len(places) == 1 else places


def _named(layer: Config) -> Config:
    return {"name": _inner(layer).get("name"), **layer}


def _first_input(layers: Sequence[Config]) -> Iterator[Config]:
    """An Input for a Sequential whose first layer was told the shape of its input."""
    first = _inner(layers[0]) if layers else {}
    if layers and layers[0]["class_name"] != "InputLayer" and "batch_input_shape" in first:
        shape, dtype = first["batch_input_shape"], first.get("input_dtype")
        if dtype is None:
            embeds = layers[0]["class_name"] == "Embedding"
            dtype = "int32" if embeds else _argument("dtype", first.get("dtype", "float32"))
        given = {"batch_shape": shape, "dtype": dtype, "name": f"{first['name']}_input"}
        yield {"class_name": "InputLayer", "config": given, "name": given["name"]}


def _shift(layer: Mapping[str, Any], layers: Sequence[Config], model: Config) -> int:
    """What to take from the numbers of a layer's calls: a nested model's began at 1."""
    if layer["class_name"] not in _MODELS:
        return 0
    places = [_nodes(layers), model["input_layers"], model["output_layers"]]
    used = {number for name, number in _references(places) if name == layer["name"]}
    return 1 if len(_nodes([layer])) in used else 0


def _is_reference(value: Any) -> bool:
    """Whether this is [name, call, place] or the same with arguments."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _references(value: Any) -> Iterator[tuple[str, int]]:
    if _is_reference(value):
        yield value[0], value[1]
        value = value[3:]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _places(value: Any, shifts: Mapping[str, int]) -> Any:
    """References with the numbers of calls counted from 0."""
    if _is_reference(value):
        return [value[0], value[1] - shifts.get(value[0], 0), value[2]]
    if isinstance(value, Mapping):
        return {key: _places(each, shifts) for key, each in value.items()}
    return [_places(each, shifts) for each in value] if isinstance(value, list) else value


def _node(node: Any, shifts: Mapping[str, int]) -> Any:
    """One call as Keras 3 writes it: its arguments, tensors among them."""
    if not isinstance(node, list):
        return node
    inputs = [node] if _is_reference(node) else node
    tensors = [_tensor(each, shifts) for each in inputs]
    options = {key: value for each in inputs for key, value in dict(*each[3:]).items()}
    kwargs = {
        key: _tensor(value, shifts) if _is_reference(value) else value
        for key, value in options.items()
        if value is not None
    }
    if _is_reference(node) and "y" in kwargs:
        tensors.append(kwargs.pop("y"))
        return {"args": tensors, "kwargs": kwargs}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": kwargs}


def _tensor(reference: Sequence[Any], shifts: Mapping[str, int]) -> Any:
    name, number, place = reference[:3]
    if name == "_CONSTANT_VALUE":
        return place
    history = [name, number - shifts.get(name, 0), place]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _function(config: Mapping[str, Any]) -> Config:
    """A function of TensorFlow as one of `isoconv.ops`, or under its own name where none fits."""
    name = _inner(config).get("function", config["class_name"])
    if name not in _FUNCTIONS:
        return {**config, "class_name": f"tf.{name}", "config": {}}
    return {
        **config,
        "module": "keras.ops",
        "class_name": _FUNCTIONS[name],
        "config": {"name": config["name"]},
    }


# -- training ---------------------------------------------------------------------------------


def _optimizer(config: Mapping[str, Any]) -> Config:
    arguments = _inner(config)
    rate = arguments.pop("lr", arguments.pop("learning_rate", None))
    decay = arguments.pop("decay", 0.0)
    if decay:
        schedule = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        rate = {
            "module": "keras.optimizers.schedules",
            "class_name": "InverseTimeDecay",
            "config": schedule,
        }
    for gone in ("jit_compile", "is_legacy_optimizer"):
        arguments.pop(gone, None)
    cls = config["class_name"].rpartition(">")[2]
    known = {key: value for key, value in arguments.items() if value is not None}
    return {
        "module": "keras.optimizers",
        "class_name": cls,
        "config": {**known, "learning_rate": rate},
    }


def _loss_or_metric(value: Any) -> Any:
    if isinstance(value, list):
        return [_loss_or_metric(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if not _is_object(value):
        return {key: _loss_or_metric(each) for key, each in value.items()}
    arguments = _inner(value)
    function = arguments.pop("fn", None)
    if value["class_name"] in ("MeanMetricWrapper", "LossFunctionWrapper"):
        return arguments["name"] if arguments["name"] in ("acc", "accuracy") else function
    if arguments.get("reduction") == "auto":
        del arguments["reduction"]
    return {**value, "config": arguments}
