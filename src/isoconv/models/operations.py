"""Calls of `isoconv.ops` in a drawn model, as Keras saves them: its class of operation, with what
is no array in the config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature, unwrap
from typing import Any

from isoconv import naming, registry
from isoconv.errors import ArgumentError, explain
from isoconv.ops.dispatch import FUNCTIONS, draw_again
from isoconv.ops.tensor import Call

_MODULES = {
    "core": "cast convert_to_tensor stop_gradient",
    "math": "erf logsumexp rsqrt",
    "nn": (
        "average_pool celu conv conv_transpose depthwise_conv elu gelu hard_sigmoid hard_silu "
        "hard_tanh leaky_relu log_sigmoid log_softmax max_pool moments one_hot relu relu6 selu "
        "separable_conv sigmoid silu softmax softplus softsign threshold"
    ),
    "numpy": (
        "absolute add all any arange argmax argmin broadcast_to ceil clip concatenate cos "
        "count_nonzero divide dot equal exp expand_dims expm1 flip floor floor_divide "
        "full full_like getitem greater greater_equal isfinite isnan less less_equal log "
        "log10 log1p log2 logical_and logical_not logical_or matmul max maximum mean min "
        "minimum mod moveaxis multiply negative not_equal ones_like outer pad power "
        "reciprocal repeat reshape round sign sin split sqrt square squeeze stack std "
        "subtract sum swapaxes take take_along_axis tanh tensordot tile transpose var "
        "where zeros_like"
    ),
}
"""The module of Keras, within keras.src.ops, of each function that Keras has a class for."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

# Parameters that Keras takes in the call, because they may be arrays. All others are configuration.
_CALLED = frozenset(
    (
        *("x", "x1", "x2", "xs", "inputs", "kernel", "depthwise_kernel", "pointwise_kernel"),
        *("condition", "key", "indices", "constant_values", "fill_value", "variable"),
        *("start", "stop", "step"),
    )
)

# The classes that are not named as their functions are.
_CLASSES = {"getitem": "GetItem"}
_ALIASES = {"TrueDivide": "divide"}


def as_keras(call: Call) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Of a call of an operation: what names it in a file, and its arguments and keywords there."""
    name = call.target.__name__
    if name not in _MODULE_OF:
        named = {"module": "isoconv.ops", "class_name": name, "config": {"name": call.name}}
        return named, list(call.args), dict(call.kwargs)
    bound = signature(unwrap(call.target)).bind(*call.args, **call.kwargs).arguments
    config = {key: value for key, value in bound.items() if key not in _CALLED}
    named = {
        "module": f"keras.src.ops.{_MODULE_OF[name]}",
        "class_name": class_of(name),
        "config": {"name": call.name, **config},
    }
    return named, [value for key, value in bound.items() if key in _CALLED], {}


def class_of(name: str) -> str:
    """Keras' class for a function."""
    return _CLASSES.get(name) or "".join(map(str.capitalize, name.split("_")))


def function_of(config: Mapping[str, Any]) -> str:
    """The name of our function for an operation in a file, whether there is one or not."""
    name = str(config["class_name"])
    ours = next((ours for ours, keras in _CLASSES.items() if keras == name), None)
    return _ALIASES.get(name) or ours or naming.snake_case(name)


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether there is such a function, named by its class or, as Lambda does, by itself."""
    by_itself = config["class_name"] == "function"
    return (str(config.get("config")) if by_itself else function_of(config)) in FUNCTIONS


def draw(config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The operation that a file says, on these arguments; ArgumentError for options not known."""
    function = function_of(config)
    if function not in FUNCTIONS:
        raise ArgumentError(explain("operation", repr(function), "one of isoconv.ops"))
    parameters = signature(unwrap(FUNCTIONS[function])).parameters
    options = {key: value for key, value in config["config"].items() if key != "name"}
    unknown = [key for key, value in options.items() if key not in parameters and value]
    if unknown:
        where = f"{config['name']}: {unknown[0]}"
        raise ArgumentError(explain(where, repr(options[unknown[0]]), "Keras' default"))
    given = {key: registry.deserialize(options[key]) for key in options if key in parameters}
    taken = _CALLED if function in _MODULE_OF else parameters
    free = [name for name in parameters if name in taken and name not in given]
    given.update(zip(free, args, strict=False))
    given.update(kwargs)
    return draw_again(function, config["name"], (), given)
