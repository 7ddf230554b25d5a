"""Layers that change positions: pooling, edges and resizing."""

from __future__ import annotations

import math
from typing import Any

from isoconv.interop.torch.emitting.emitter import Emitter, emits
from isoconv.layers import adaptive, edges, pooling, resizing, upsampling

# -- pooling ---------------------------------------------------------------------------------------


def _windows(e: Emitter, layer: Any, x: Any, value: float) -> tuple[Any, dict[str, Any]]:
    """The input, padded where PyTorch's pooling cannot, and that pooling's arguments."""
    options: dict[str, Any] = {"kernel_size": layer.pool_size, "stride": layer.strides}
    if layer.ceil_mode:
        options["ceil_mode"] = True
    if layer.padding == "same":
        x = e.call(e.own.pad_same, x, layer.pool_size, layer.strides, layer.dilation_rate, value)
        return x, options
    if isinstance(layer.padding, str):
        return x, options
    sides = list(zip(layer.padding, layer.pool_size, strict=True))
    if all(low == high <= size // 2 for (low, high), size in sides):
        return x, options | {"padding": tuple(low for low, _ in layer.padding)}
    if layer.ceil_mode:
        raise e.refuse(f"padding {layer.padding} with ceil_mode", "padding alike on both sides")
    return e.call(e.own.pad_around, x, layer.padding, value), options


@emits(pooling.BaseMaxPooling)
def max_pooling(e: Emitter, layer: Any, x: Any) -> Any:
    y, options = _windows(e, layer, e.first(layer, x), -math.inf)
    if max(layer.dilation_rate) > 1:
        options["dilation"] = layer.dilation_rate
    kind = e.of_rank("MaxPool", layer.rank)
    return e.back(layer, e.module(lambda: kind(**options), y))


@emits(pooling.BaseAveragePooling)
def average_pooling(e: Emitter, layer: Any, x: Any) -> Any:
    y = e.first(layer, x)
    if max(layer.dilation_rate) > 1:
        raise e.refuse("a dilated average", "dilation_rate=1")
    if layer.padding == "same":
        size = (layer.pool_size, layer.strides, layer.dilation_rate)
        return e.back(layer, e.call(e.own.mean_of_present, y, *size))
    if not isinstance(layer.padding, str) and any(low != high for low, high in layer.padding):
        raise e.refuse(f"padding {layer.padding}", "padding alike on both sides")
    y, options = _windows(e, layer, y, 0.0)
    kind = e.of_rank("AvgPool", layer.rank)
    return e.back(layer, e.module(lambda: kind(**options, count_include_pad=False), y))


@emits(pooling.BaseLpPooling)
def norm_pooling(e: Emitter, layer: Any, x: Any) -> Any:
    if max(layer.dilation_rate) > 1 or not isinstance(layer.padding, str):
        raise e.refuse("dilation or padding by numbers", "neither")
    y = e.first(layer, x)
    if layer.padding == "same":
        y = e.call(e.own.pad_same, y, layer.pool_size, layer.strides, layer.dilation_rate)
    rest = (layer.p, layer.pool_size, layer.strides, layer.ceil_mode)
    return e.back(layer, e.call(e.own.norm_pool, y, *rest))


@emits(pooling.BaseGlobalAveragePooling)
def global_average(e: Emitter, layer: Any, x: Any) -> Any:
    return e.call(e.torch.mean, x, dim=layer.spatial_axes, keepdim=layer.keepdims)


@emits(pooling.BaseGlobalMaxPooling)
def global_max(e: Emitter, layer: Any, x: Any) -> Any:
    return e.call(e.torch.amax, x, dim=layer.spatial_axes, keepdim=layer.keepdims)


@emits(adaptive.BaseAdaptiveAveragePooling)
def adaptive_average(e: Emitter, layer: Any, x: Any) -> Any:
    kind = e.of_rank("AdaptiveAvgPool", layer.rank)
    return _adaptive(e, layer, x, kind)


@emits(adaptive.BaseAdaptiveMaxPooling)
def adaptive_max(e: Emitter, layer: Any, x: Any) -> Any:
    return _adaptive(e, layer, x, e.of_rank("AdaptiveMaxPool", layer.rank))


def _adaptive(e: Emitter, layer: Any, x: Any, kind: Any) -> Any:
    return e.back(layer, e.module(lambda: kind(layer.output_size), e.first(layer, x)))


# -- edges and sizes -------------------------------------------------------------------------------


@emits(edges.BaseZeroPadding)
def zero_padding(e: Emitter, layer: Any, x: Any) -> Any:
    return e.back(layer, e.call(e.own.pad_around, e.first(layer, x), layer.amounts))


@emits(edges.BaseCropping)
def cropping(e: Emitter, layer: Any, x: Any) -> Any:
    less = [(-low, -high) for low, high in layer.amounts]
    return e.back(layer, e.call(e.own.pad_around, e.first(layer, x), less))


@emits(edges.BasePadding)
def padding(e: Emitter, layer: Any, x: Any) -> Any:
    if layer.mode == "symmetric":
        raise e.refuse("symmetric padding", "reflect, replicate or circular")
    flat = [side for pair in reversed(layer.amounts) for side in pair]
    return e.back(layer, e.call(e.F.pad, e.first(layer, x), flat, layer.mode))


@emits(upsampling.BaseUpSampling)
def up_sampling(e: Emitter, layer: Any, x: Any) -> Any:
    mode = getattr(layer, "interpolation", "nearest")
    options: dict[str, Any] = {"scale_factor": tuple(map(float, layer.size)), "mode": mode}
    if mode == "bilinear":
        options["align_corners"] = False
    return e.back(layer, e.call(e.F.interpolate, e.first(layer, x), **options))


@emits(resizing.BaseNearestResizing)
def nearest_resizing(e: Emitter, layer: Any, x: Any) -> Any:
    options = {"size": layer.size, "scale_factor": layer.scale, "mode": layer.interpolation}
    return e.back(layer, e.call(e.F.interpolate, e.first(layer, x), **options))
