"""Depthwise and separable convolutions of any rank."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.layers import arguments
from isoconv.layers.weighted import Weighted
from isoconv.layers.windowed import Windowed
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable


class BaseDepthwise(Windowed, Weighted):
    """What depthwise and separable layers share: each channel is convolved by itself."""

    bias: Variable | None
    depth_multiplier: int

    def _set_geometry(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
    ) -> None:
        rank = self.rank
        self.kernel_size = arguments.sizes(kernel_size, rank, self.where("kernel_size"))
        self.strides = arguments.sizes(strides, rank, self.where("strides"))
        self.dilation_rate = arguments.sizes(dilation_rate, rank, self.where("dilation_rate"))
        self.padding = arguments.padding(padding, self.where("padding"), causal=rank == 1)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def filters_for(self, channels: int) -> int:
        """The output channels for an input of so many."""
        return channels * self.depth_multiplier

    def compute_output_shape(self, input_shape: Any) -> Any:
        channels = self.channels_of(input_shape)
        spatial = self.window_output(self.spatial_of(input_shape))
        return self.shape_with(input_shape[0], spatial, self.filters_for(channels))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
        }


class BaseDepthwiseConv(BaseDepthwise):
    """Each channel convolved by itself, into `depth_multiplier` channels.

    Args:
        kernel_size: taps, one number or one an axis.
        strides, dilation_rate: steps of the window and within it; both may be above 1.
        padding: "valid", "same", and over one axis "causal".
        depth_multiplier: output channels of each input channel; channel c*M + m is m of c.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        activation: a function of the outputs, or its name; use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer,
            activity_regularizer, depthwise_constraint, bias_constraint: as for Dense.

    Weights: kernel (taps..., channels, depth_multiplier), bias (channels * depth_multiplier,).
    """

    kernel: Variable
    weight_names = ("depthwise", "bias")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        rules = {
            "depthwise_initializer": depthwise_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "bias_initializer": bias_initializer,
            "bias_regularizer": bias_regularizer,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            activation, use_bias, rules, activity_regularizer=activity_regularizer, **kwargs
        )
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = arguments.count(depth_multiplier, self.where("depth_multiplier"))

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.weight("depthwise", shape, name="kernel")
        filters = self.filters_for(channels)
        self.bias = self.weight("bias", (filters,)) if self.use_bias else None

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.check_channels(inputs.shape, self.kernel.shape[-2])
        outputs = ops.depthwise_conv(
            self.channels_last(inputs, mask),
            self.kernel,
            self.strides,
            self.padding,
            "channels_last",
            self.dilation_rate,
        )
        return self.finish(outputs, self.bias, self.data_format)


class BaseSeparableConv(BaseDepthwise):
    """A depthwise convolution, then one of one tap that mixes the channels.

    Args:
        filters: the number of output channels.
        kernel_size: taps, one number or one an axis.
        strides, dilation_rate: steps of the window and within it; both may be above 1.
        padding: "valid", "same", and over one axis "causal".
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        depth_multiplier: channels between the two halves for each input channel.
        activation: a function of the outputs, or its name; use_bias: whether a bias is added.
        depthwise_initializer, pointwise_initializer, bias_initializer, depthwise_regularizer,
            pointwise_regularizer, bias_regularizer, activity_regularizer, depthwise_constraint,
            pointwise_constraint, bias_constraint: as for Dense.

    Weights: depthwise_kernel (taps..., channels, depth_multiplier), pointwise_kernel
    (1..., channels * depth_multiplier, filters), bias (filters,).
    """

    depthwise_kernel: Variable
    pointwise_kernel: Variable
    weight_names = ("depthwise", "pointwise", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        rules = {
            "depthwise_initializer": depthwise_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "pointwise_initializer": pointwise_initializer,
            "pointwise_regularizer": pointwise_regularizer,
            "pointwise_constraint": pointwise_constraint,
            "bias_initializer": bias_initializer,
            "bias_regularizer": bias_regularizer,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            activation, use_bias, rules, activity_regularizer=activity_regularizer, **kwargs
        )
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = arguments.count(filters, self.where("filters"))
        self.depth_multiplier = arguments.count(depth_multiplier, self.where("depth_multiplier"))

    def filters_for(self, channels: int) -> int:
        return self.filters

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        self.compute_output_shape(input_shape)
        deep = (*self.kernel_size, channels, self.depth_multiplier)
        mixing = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self.weight("depthwise", deep, name="depthwise_kernel")
        self.pointwise_kernel = self.weight("pointwise", mixing, name="pointwise_kernel")
        self.bias = self.weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.check_channels(inputs.shape, self.depthwise_kernel.shape[-2])
        outputs = ops.separable_conv(
            self.channels_last(inputs, mask),
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.strides,
            self.padding,
            "channels_last",
            self.dilation_rate,
        )
        return self.finish(outputs, self.bias, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters}


class DepthwiseConv1D(BaseDepthwiseConv):
    """Depthwise convolution over (batch, steps, channels). See BaseDepthwiseConv."""

    rank = 1


class DepthwiseConv2D(BaseDepthwiseConv):
    """Depthwise convolution over (batch, height, width, channels). See BaseDepthwiseConv."""

    rank = 2


class DepthwiseConv3D(BaseDepthwiseConv):
    """Depthwise convolution over (batch, depth, height, width, channels)."""

    rank = 3


class SeparableConv1D(BaseSeparableConv):
    """Separable convolution over (batch, steps, channels). See BaseSeparableConv."""

    rank = 1


class SeparableConv2D(BaseSeparableConv):
    """Separable convolution over (batch, height, width, channels). See BaseSeparableConv."""

    rank = 2


class SeparableConv3D(BaseSeparableConv):
    """Separable convolution over (batch, depth, height, width, channels)."""

    rank = 3
