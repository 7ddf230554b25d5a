"""Layers that change numbers one by one, the order of axes, or join several inputs."""

from __future__ import annotations

import math
from typing import Any

from isoconv import layers
from isoconv.interop.torch.emitting.emitter import LAYERS, Emit, Emitter, emits

# -- shapes ----------------------------------------------------------------------------------------


@emits(layers.Flatten)
def flatten(e: Emitter, layer: Any, x: Any) -> Any:
    rank = len(e.shapes[0])
    if rank == 1:
        return e.call(e.torch.unsqueeze, x, 1)
    if layer.data_format == "channels_first" and rank > 2:
        x = e.moved_last(x, rank)
    return e.call(e.torch.flatten, x, 1)


@emits(layers.Reshape)
def reshape(e: Emitter, layer: Any, x: Any) -> Any:
    return e.call(e.own.reshaped, x, layer.target_shape)


@emits(layers.Permute)
def permute(e: Emitter, layer: Any, x: Any) -> Any:
    return e.call(e.torch.permute, x, dims=(0, *layer.dims))


@emits(layers.RepeatVector)
def repeat_vector(e: Emitter, layer: Any, x: Any) -> Any:
    return e.call(e.own.repeated, x, layer.n)


# -- elements --------------------------------------------------------------------------------------


@emits(layers.Activation)
def activation(e: Emitter, layer: Any, x: Any) -> Any:
    return e.activated(layer.activation, x)


@emits(layers.ReLU)
def relu(e: Emitter, layer: Any, x: Any) -> Any:
    if (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0):
        return e.module(e.nn.ReLU, x)
    if (layer.negative_slope, layer.threshold) == (0, 0):
        return e.module(lambda: e.nn.Hardtanh(0.0, float(layer.max_value)), x)
    options = (layer.negative_slope, layer.max_value, layer.threshold)
    return e.call(e.own.bounded_relu, x, *options)


@emits(layers.LeakyReLU)
def leaky_relu(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(lambda: e.nn.LeakyReLU(layer.negative_slope), x)


@emits(layers.ELU)
def elu(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(lambda: e.nn.ELU(layer.alpha), x)


@emits(layers.PReLU)
def prelu(e: Emitter, layer: Any, x: Any) -> Any:
    sizes = layer.alpha.shape
    wide = [axis for axis, size in enumerate(sizes) if size != 1]
    rank = len(sizes) + 1
    place = wide[0] + 1 if wide else 1
    if len(wide) > 1:
        raise e.refuse(f"slopes of shape {sizes}", "one for all, or one a channel")
    count = math.prod(sizes)
    return e.channels_second(
        place if wide and rank > 2 else 1, x, lambda y: e.module(lambda: e.nn.PReLU(count), y)
    )


@emits(layers.Softmax)
def softmax(e: Emitter, layer: Any, x: Any) -> Any:
    if isinstance(layer.axis, list | tuple):
        raise e.refuse(f"a softmax over the axes {layer.axis}", "one axis")
    return e.module(lambda: e.nn.Softmax(layer.axis), x)


@emits(layers.Dropout)
def dropout(e: Emitter, layer: Any, x: Any) -> Any:
    if layer.noise_shape is not None:
        raise e.refuse(f"noise_shape {layer.noise_shape}", "none")
    return e.module(lambda: e.nn.Dropout(layer.rate), x)


@emits(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
def spatial_dropout(e: Emitter, layer: Any, x: Any) -> Any:
    rank = len(e.shapes[0])
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    kind = e.of_rank("Dropout", rank - 2)
    return e.channels_second(axis, x, lambda y: e.module(lambda: kind(layer.rate), y))


@emits(layers.AlphaDropout)
def alpha_dropout(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(lambda: e.nn.AlphaDropout(layer.rate), x)


@emits(layers.Identity)
def identity(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(e.nn.Identity, x)


# -- several inputs --------------------------------------------------------------------------------


def _joined(name: str) -> Emit:
    return lambda e, layer, xs: e.call(getattr(e.own, name), *xs)


LAYERS[layers.Add] = _joined("total")
LAYERS[layers.Multiply] = _joined("product")
LAYERS[layers.Average] = _joined("average")
LAYERS[layers.Maximum] = _joined("largest")
LAYERS[layers.Minimum] = _joined("smallest")


@emits(layers.Subtract)
def subtract(e: Emitter, layer: Any, xs: Any) -> Any:
    return e.call(e.torch.sub, *xs)


@emits(layers.Concatenate)
def concatenate(e: Emitter, layer: Any, xs: Any) -> Any:
    return e.call(e.torch.cat, list(xs), layer.axis)
