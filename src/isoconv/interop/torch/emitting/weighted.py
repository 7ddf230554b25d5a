"""Layers with weights: convolutions, tables and normalizations."""

from __future__ import annotations

from typing import Any

from isoconv import layers
from isoconv.interop.torch.emitting.emitter import Emitter, emits
from isoconv.interop.torch.weights import weight_rows
from isoconv.ir import geometry
from isoconv.layers import convolution, separable
from isoconv.layers import transposed as transposing
from isoconv.layers.drawing import Parameter

# -- convolutions ----------------------------------------------------------------------------------


def _convolved(
    e: Emitter, layer: Any, x: Any, channels: int, filters: int, groups: int, **more: Any
) -> Any:
    """x, channels second, padded as the layer says and convolved."""
    padding: Any = 0
    each = zip(layer.kernel_size, layer.dilation_rate, strict=True)
    around = [geometry.span(*sizes) - 1 for sizes in each]
    if layer.padding == "same" and max(layer.strides) == 1 and not any(n % 2 for n in around):
        padding = tuple(n // 2 for n in around)
    elif layer.padding == "same":
        x = e.call(e.own.pad_same, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    elif layer.padding == "causal":
        pairs = [geometry.causal(layer.kernel_size[0], layer.dilation_rate[0])]
        x = e.call(e.own.pad_around, x, pairs)
    bias = more.get("bias", layer.use_bias)
    return e.module(
        lambda: e.of_rank("Conv", layer.rank)(
            channels,
            filters,
            layer.kernel_size,
            layer.strides,
            padding,
            layer.dilation_rate,
            groups,
            bias,
        ),
        x,
        more.get("suffix", ""),
    )


def _finished(e: Emitter, layer: Any, y: Any) -> Any:
    return e.activated(layer.activation, e.back(layer, y))


@emits(convolution.BaseConv)
def conv(e: Emitter, layer: Any, x: Any) -> Any:
    channels = layer.kernel.shape[-2] * layer.groups
    y = _convolved(e, layer, e.first(layer, x), channels, layer.filters, layer.groups)
    return _finished(e, layer, y)


@emits(separable.BaseDepthwiseConv)
def depthwise(e: Emitter, layer: Any, x: Any) -> Any:
    channels, multiplier = layer.kernel.shape[-2:]
    y = _convolved(e, layer, e.first(layer, x), channels, channels * multiplier, channels)
    return _finished(e, layer, y)


@emits(separable.BaseSeparableConv)
def separable_conv(e: Emitter, layer: Any, x: Any) -> Any:
    channels, multiplier = layer.depthwise_kernel.shape[-2:]
    wide = channels * multiplier
    y = _convolved(
        e, layer, e.first(layer, x), channels, wide, channels, bias=False, suffix="depthwise"
    )
    kind = e.of_rank("Conv", layer.rank)
    mixed = e.module(lambda: kind(wide, layer.filters, 1, bias=layer.use_bias), y, "pointwise")
    return _finished(e, layer, mixed)


@emits(transposing.BaseConvTranspose)
def conv_transpose(e: Emitter, layer: Any, x: Any) -> Any:
    channels = layer.kernel.shape[-1]
    axes = list(
        zip(
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            layer.output_padding or (None,) * layer.rank,
            strict=True,
        )
    )
    # Of one position: what lies before the output, and how much there is of it.
    places: list[Any] = [geometry.transpose(layer.padding, 1, *axis) for axis in axes]
    spans = [geometry.span(taps, dilation) for taps, _, dilation, _ in axes]
    extra, cropped = [], []
    for (size, (low, _)), span, (_, stride, dilation, _) in zip(places, spans, axes, strict=True):
        beyond = int(size) + int(low) - span  # positions after the last that taps reach
        padding = int(low)
        inner = beyond + padding if beyond + padding >= 0 else 0
        if inner >= max(stride, dilation) or padding < 0:
            raise e.refuse(f"output_padding {layer.output_padding}", "less than stride or dilation")
        extra.append((padding, inner))
        cropped.append((0, min(beyond + padding, 0)))
    paddings, more = zip(*extra, strict=True)
    kind = e.of_rank("ConvTranspose", layer.rank)
    y = e.module(
        lambda: kind(
            channels,
            layer.filters,
            layer.kernel_size,
            layer.strides,
            paddings,
            more,
            layer.groups,
            layer.use_bias,
            layer.dilation_rate,
        ),
        e.first(layer, x),
    )
    if any(map(any, cropped)):
        y = e.call(e.own.pad_around, y, cropped)
    return _finished(e, layer, y)


@emits(layers.Dense)
def dense(e: Emitter, layer: Any, x: Any) -> Any:
    rows, units = layer.kernel.shape
    y = e.module(lambda: e.nn.Linear(rows, units, layer.use_bias), x)
    return e.activated(layer.activation, y)


@emits(Parameter)
def parameter(e: Emitter, layer: Any, x: Any) -> Any:
    return e.parameter(layer.shape, layer.value.trainable)


@emits(layers.Embedding)
def embedding(e: Emitter, layer: Any, x: Any) -> Any:
    rows = e.call(e.torch.Tensor.long, x)
    return e.module(lambda: e.nn.Embedding(layer.input_dim, layer.output_dim), rows)


# -- normalization ---------------------------------------------------------------------------------


def _count(layer: Any) -> int:
    return int(weight_rows(layer)[0][0].shape[0]) if layer.weights else layer.groups


@emits(layers.BatchNormalization)
def batch_normalization(e: Emitter, layer: Any, x: Any) -> Any:
    affine = layer.scale or layer.center
    kind = e.of_rank("BatchNorm", max(len(e.shapes[0]) - 2, 1))
    options = {"eps": layer.epsilon, "momentum": 1 - layer.momentum, "affine": affine}
    return e.channels_second(
        layer.axis, x, lambda y: e.module(lambda: kind(_count(layer), **options), y)
    )


@emits(layers.GroupNormalization)
def group_normalization(e: Emitter, layer: Any, x: Any) -> Any:
    channels = e.shapes[0][layer.axis]
    options = {"eps": layer.epsilon, "affine": layer.scale or layer.center}
    return e.channels_second(
        layer.axis,
        x,
        lambda y: e.module(lambda: e.nn.GroupNorm(layer.groups, channels, **options), y),
    )


@emits(layers.LayerNormalization)
def layer_normalization(e: Emitter, layer: Any, x: Any) -> Any:
    rank = len(e.shapes[0])
    axes = layer.axes_of(rank)
    if axes != tuple(range(rank - len(axes), rank)) or layer.rms_scaling:
        raise e.refuse(f"axes {layer.axes}", "the last ones, and no rms_scaling")
    shape = [e.shapes[0][axis] for axis in axes]
    affine = layer.scale or layer.center
    return e.module(lambda: e.nn.LayerNorm(shape, layer.epsilon, affine), x)
