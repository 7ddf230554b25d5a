"""What each layer and function becomes in PyTorch: nodes of a graph and submodules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isoconv import layers, optional
from isoconv.errors import ArgumentError, explain
from isoconv.interop.torch.weights import weight_rows
from isoconv.ir import geometry
from isoconv.layers import adaptive, convolution, edges, pooling, resizing, separable, upsampling
from isoconv.layers import transposed as transposing
from isoconv.training import activations

Emit = Callable[..., Any]

LAYERS: dict[type, Emit] = {}
"""What emits each kind of layer, for its first argument."""

FUNCTIONS: dict[str, Emit] = {}
"""What emits each function of `isoconv.ops`."""


def emits(*kinds: type) -> Callable[[Emit], Emit]:
    """Makes a function what emits these kinds of layers and their subclasses."""

    def register(emit: Emit) -> Emit:
        LAYERS.update(dict.fromkeys(kinds, emit))
        return emit

    return register


class Emitter:
    """A graph of PyTorch that grows layer by layer, and the module it will be the code of."""

    def __init__(self, torch: Any, fx: Any) -> None:
        self.torch = torch
        self.nn = torch.nn
        self.F = torch.nn.functional
        self.own = optional.late("isoconv.interop.torch.functions")
        self._fx = fx
        self._root = torch.nn.Module()
        self._graph = fx.Graph()
        self._name = ""
        self._dtype: Any = None
        self.shapes: list[Any] = []

    # -- the whole ----------------------------------------------------------------------------

    def input(self, name: str) -> Any:
        """An argument of the module."""
        return self._graph.placeholder(_identifier(name))

    def finished(self, outputs: Any, name: str) -> Any:
        """The module."""
        self._graph.output(outputs)
        return self._fx.GraphModule(self._root, self._graph, _identifier(name))

    def begin(self, layer: Any, name: str, shapes: list[Any]) -> None:
        """What follows belongs to this layer, called on inputs of these shapes."""
        self._name, self.shapes = name, shapes
        self._dtype = getattr(self.torch, layer.dtype)

    # -- nodes --------------------------------------------------------------------------------

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of a function."""
        return self._graph.call_function(function, args, kwargs)

    def module(self, make: Any, x: Any, suffix: str = "") -> Any:
        """The result of a module called like the layer; `make` makes it, unless it is there."""
        path = f"{self._name}.{suffix}" if suffix else self._name
        *folders, last = path.split(".")
        place = self._root
        for part in folders:
            if part not in place._modules:
                place.add_module(part, self.nn.Module())
            place = place._modules[part]
        if last not in place._modules:
            place.add_module(last, make().to(self._dtype))
        return self._graph.call_module(path, (x,))

    def weigh(self, name: str, suffix: str, array: Any) -> None:
        """Gives a weight of a submodule its numbers."""
        path, _, last = f"{name}.{suffix}".rpartition(".")
        with self.torch.no_grad():
            target = getattr(self._root.get_submodule(path), last)
            target.copy_(self.torch.from_numpy(array.copy()))

    # -- layouts ------------------------------------------------------------------------------

    def first(self, layer: Any, x: Any) -> Any:
        """The layer's input with its channels second."""
        return x if layer.data_format == "channels_first" else self.moved_first(x, layer.rank + 2)

    def back(self, layer: Any, x: Any) -> Any:
        """The opposite of `first`."""
        return x if layer.data_format == "channels_first" else self.moved_last(x, layer.rank + 2)

    def moved_first(self, x: Any, rank: int) -> Any:
        if x.op == "call_function" and x.kwargs.get("dims") == _last(rank):
            return x.args[0]
        return self.call(self.torch.permute, x, dims=(0, rank - 1, *range(1, rank - 1)))

    def moved_last(self, x: Any, rank: int) -> Any:
        return self.call(self.torch.permute, x, dims=_last(rank))

    def of_rank(self, name: str, rank: int) -> Any:
        """torch.nn's class for so many spatial axes."""
        return getattr(self.nn, f"{name}{rank}d")

    def activated(self, activation: Any, x: Any) -> Any:
        """x through an activation that Keras has by a name."""
        name = activations.serialize(activation)
        if name == "linear":
            return x
        function = _ACTIVATIONS.get(name) if isinstance(name, str) else None
        if function is None:
            given = f"the activation {name!r}"
            expected = f"one of {', '.join(_ACTIVATIONS)}"
            raise ArgumentError(explain(f"to_torch: {self._name}", given, expected))
        return function(self, x)

    def refuse(self, given: str, expected: str) -> ArgumentError:
        """The error for what PyTorch has not."""
        return ArgumentError(explain(f"to_torch: {self._name}", given, expected))


def _last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def _identifier(name: str) -> str:
    clean = "".join(each if each.isalnum() else "_" for each in name)
    return clean if clean[:1].isalpha() else f"m_{clean}"


_ACTIVATIONS: dict[str, Emit] = {
    "celu": lambda e, x: e.call(e.F.celu, x),
    "elu": lambda e, x: e.call(e.F.elu, x),
    "exponential": lambda e, x: e.call(e.torch.exp, x),
    "gelu": lambda e, x: e.call(e.F.gelu, x),
    "hard_sigmoid": lambda e, x: e.call(e.F.hardsigmoid, x),
    "hard_silu": lambda e, x: e.call(e.F.hardswish, x),
    "hard_tanh": lambda e, x: e.call(e.F.hardtanh, x),
    "leaky_relu": lambda e, x: e.call(e.F.leaky_relu, x, 0.2),
    "log_sigmoid": lambda e, x: e.call(e.F.logsigmoid, x),
    "log_softmax": lambda e, x: e.call(e.F.log_softmax, x, -1),
    "mish": lambda e, x: e.call(e.F.mish, x),
    "relu": lambda e, x: e.call(e.F.relu, x),
    "relu6": lambda e, x: e.call(e.F.relu6, x),
    "selu": lambda e, x: e.call(e.F.selu, x),
    "sigmoid": lambda e, x: e.call(e.torch.sigmoid, x),
    "silu": lambda e, x: e.call(e.F.silu, x),
    "softmax": lambda e, x: e.call(e.F.softmax, x, -1),
    "softplus": lambda e, x: e.call(e.F.softplus, x),
    "softsign": lambda e, x: e.call(e.F.softsign, x),
    "tanh": lambda e, x: e.call(e.torch.tanh, x),
    "tanh_shrink": lambda e, x: e.call(e.F.tanhshrink, x),
}

# -- convolutions -----------------------------------------------------------------------------


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


@emits(layers.Embedding)
def embedding(e: Emitter, layer: Any, x: Any) -> Any:
    rows = e.call(e.torch.Tensor.long, x)
    return e.module(lambda: e.nn.Embedding(layer.input_dim, layer.output_dim), rows)


# -- normalization ----------------------------------------------------------------------------


def _channels_second(e: Emitter, axis: int, x: Any, emit: Emit) -> Any:
    """What `emit` makes of x with the channels second, and these back in their place."""
    rank = len(e.shapes[0])
    if axis % rank == 1:
        return emit(x)
    if axis % rank != rank - 1:
        raise e.refuse(f"axis {axis}", "the second or the last")
    return e.moved_last(emit(e.moved_first(x, rank)), rank)


def _count(layer: Any) -> int:
    return int(weight_rows(layer)[0][0].shape[0]) if layer.weights else layer.groups


@emits(layers.BatchNormalization)
def batch_normalization(e: Emitter, layer: Any, x: Any) -> Any:
    affine = layer.scale or layer.center
    kind = e.of_rank("BatchNorm", max(len(e.shapes[0]) - 2, 1))
    options = {"eps": layer.epsilon, "momentum": 1 - layer.momentum, "affine": affine}
    return _channels_second(
        e, layer.axis, x, lambda y: e.module(lambda: kind(_count(layer), **options), y)
    )


@emits(layers.GroupNormalization)
def group_normalization(e: Emitter, layer: Any, x: Any) -> Any:
    channels = e.shapes[0][layer.axis]
    options = {"eps": layer.epsilon, "affine": layer.scale or layer.center}
    return _channels_second(
        e,
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


# -- pooling ----------------------------------------------------------------------------------


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


# -- positions --------------------------------------------------------------------------------


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


# -- shapes -----------------------------------------------------------------------------------


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


# -- elements ---------------------------------------------------------------------------------


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
    return _channels_second(
        e, place if wide and rank > 2 else 1, x, lambda y: e.module(lambda: e.nn.PReLU(count), y)
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
    return _channels_second(e, axis, x, lambda y: e.module(lambda: kind(layer.rate), y))


@emits(layers.AlphaDropout)
def alpha_dropout(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(lambda: e.nn.AlphaDropout(layer.rate), x)


@emits(layers.Identity)
def identity(e: Emitter, layer: Any, x: Any) -> Any:
    return e.module(e.nn.Identity, x)


# -- several inputs ---------------------------------------------------------------------------


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


# -- functions --------------------------------------------------------------------------------

_SAME_NAME = "absolute add ceil cos divide erf exp expm1 floor log log10 log1p log2 matmul"
_SAME_NAME += " maximum minimum multiply negative reciprocal round rsqrt sigmoid sign sin sqrt"
_SAME_NAME += " square subtract tanh"
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}


def _by_name(name: str) -> Emit:
    return lambda e, *args: e.call(getattr(e.torch, name), *args)


def _extreme(name: str) -> Emit:
    def emit(e: Emitter, x: Any, y: Any) -> Any:
        numbers = [each for each in (x, y) if isinstance(each, int | float)]
        if not numbers:
            return e.call(getattr(e.torch, name), x, y)
        bound = "min" if name == "maximum" else "max"
        tensor = y if isinstance(x, int | float) else x
        return e.call(e.torch.clamp, tensor, **{bound: numbers[0]})

    return emit


def _reduced(name: str) -> Emit:
    def emit(e: Emitter, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = {} if axis is None else {"dim": axis}
        if axis is None and not keepdims:
            return e.call(getattr(e.torch, name), x)
        return e.call(getattr(e.torch, name), x, **axes, keepdim=keepdims)

    return emit


FUNCTIONS |= {name: _by_name(name) for name in _SAME_NAME.split()}
FUNCTIONS |= {name: _reduced(theirs) for name, theirs in _REDUCTIONS.items()}
FUNCTIONS |= {name: _extreme(name) for name in ("maximum", "minimum")}
FUNCTIONS |= {
    "power": lambda e, x, y: e.call(e.torch.pow, x, y),
    "relu": lambda e, x: e.call(e.F.relu, x),
    "relu6": lambda e, x: e.call(e.F.relu6, x),
    "celu": lambda e, x, alpha=1.0: e.call(e.F.celu, x, alpha),
    "gelu": lambda e, x, approximate=True: e.call(
        e.F.gelu, x, approximate="tanh" if approximate else "none"
    ),
    "threshold": lambda e, x, limit, value: e.call(e.F.threshold, x, limit, value),
    "clip": lambda e, x, low, high: e.call(e.torch.clamp, x, low, high),
    "log_softmax": lambda e, x, axis=-1: e.call(e.F.log_softmax, x, axis),
    "softmax": lambda e, x, axis=-1: e.call(e.F.softmax, x, axis),
    "transpose": lambda e, x, axes: e.call(e.torch.permute, x, dims=tuple(axes)),
    "reshape": lambda e, x, shape: e.call(e.torch.reshape, x, tuple(shape)),
    "concatenate": lambda e, xs, axis=-1: e.call(e.torch.cat, list(xs), axis),
    "stack": lambda e, xs, axis=0: e.call(e.torch.stack, list(xs), axis),
    "flip": lambda e, x, axis: e.call(e.torch.flip, x, axis),
    "getitem": lambda e, x, key: e.call(
        e.own.getitem, x, key if isinstance(key, list | tuple) else [key]
    ),
}
