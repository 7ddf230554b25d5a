"""`tf.layers`: functions that make a layer and apply it, with TensorFlow 1's order of arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from isoconv import layers
from isoconv.compat.tf1.graph import get_default_graph
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer

_WEIGHTS = {
    "kernel_initializer": None,
    "bias_initializer": None,
    "kernel_regularizer": None,
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
}
_SEPARABLE_WEIGHTS = {
    "depthwise_initializer": None,
    "pointwise_initializer": None,
    "bias_initializer": None,
    "depthwise_regularizer": None,
    "pointwise_regularizer": None,
    "bias_regularizer": None,
    "activity_regularizer": None,
    "depthwise_constraint": None,
    "pointwise_constraint": None,
    "bias_constraint": None,
}
_MUST = inspect.Parameter.empty
_WINDOW = {"kernel_size": _MUST, "strides": 1, "padding": "valid", "data_format": "channels_last"}
_FINISH = {"activation": None, "use_bias": True}
_END = {"trainable": True, "name": None, "reuse": None}
_POOL = {
    "pool_size": _MUST,
    "strides": _MUST,
    "padding": "valid",
    "data_format": "channels_last",
    "name": None,
}
_CONV = {"filters": _MUST, **_WINDOW, "dilation_rate": 1, **_FINISH, **_WEIGHTS, **_END}
_TRANSPOSE = {"filters": _MUST, **_WINDOW, **_FINISH, **_WEIGHTS, **_END}
_SEPARABLE = {
    "filters": _MUST,
    **_WINDOW,
    "dilation_rate": 1,
    "depth_multiplier": 1,
    **_FINISH,
    **_SEPARABLE_WEIGHTS,
    **_END,
}


def _function(kind: type[Layer], name: str, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that makes a layer of this kind, under `name`, and applies it."""
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = [inspect.Parameter("inputs", either)]
    given += [inspect.Parameter(key, either, default=value) for key, value in arguments.items()]
    signature = inspect.Signature(given)

    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(explain(f"tf.layers.{name}", error, str(signature))) from error
        bound.apply_defaults()
        inputs, options = bound.arguments.pop("inputs"), bound.arguments
        return _layer(kind, name, options)(inputs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"A {kind.__name__} layer, made and applied to `inputs`.\n\n"
        f"{', '.join(key for key in arguments if key != 'reuse')}: as for "
        f"isoconv.layers.{kind.__name__}, in TensorFlow 1's order.\n"
        "reuse, where there is one: whether the layer of that name is taken again."
    )
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _layer(kind: type[Layer], default: str, options: dict[str, Any]) -> Layer:
    graph = get_default_graph()
    label, reuse = options.pop("name", None), options.pop("reuse", None)
    known = graph.layers.get(label)
    if label is not None and (known is not None) != bool(reuse):
        given = f"the name {label!r} {'again' if known else 'for the first time'}"
        expected = "a new name" if known else "a name that is known"
        raise ArgumentError(
            explain(f"tf.layers.{default}", given, expected, "reuse=True shares the weights.")
        )
    if known is not None:
        return known
    label = label or graph.unique(default)
    graph.layers[label] = layer = kind(name=label, **options)
    return layer


conv1d = _function(layers.Conv1D, "conv1d", _CONV)
conv2d = _function(layers.Conv2D, "conv2d", _CONV)
conv3d = _function(layers.Conv3D, "conv3d", _CONV)
conv2d_transpose = _function(layers.Conv2DTranspose, "conv2d_transpose", _TRANSPOSE)
conv3d_transpose = _function(layers.Conv3DTranspose, "conv3d_transpose", _TRANSPOSE)
separable_conv1d = _function(layers.SeparableConv1D, "separable_conv1d", _SEPARABLE)
separable_conv2d = _function(layers.SeparableConv2D, "separable_conv2d", _SEPARABLE)
dense = _function(layers.Dense, "dense", {"units": _MUST, **_FINISH, **_WEIGHTS, **_END})
flatten = _function(layers.Flatten, "flatten", {"name": None, "data_format": "channels_last"})
max_pooling1d = _function(layers.MaxPooling1D, "max_pooling1d", _POOL)
max_pooling2d = _function(layers.MaxPooling2D, "max_pooling2d", _POOL)
max_pooling3d = _function(layers.MaxPooling3D, "max_pooling3d", _POOL)
average_pooling1d = _function(layers.AveragePooling1D, "average_pooling1d", _POOL)
average_pooling2d = _function(layers.AveragePooling2D, "average_pooling2d", _POOL)
average_pooling3d = _function(layers.AveragePooling3D, "average_pooling3d", _POOL)
