"""Convolution layers of any rank; the classes a user names only fix the rank."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.layers import arguments
from isoconv.layers.weighted import Weighted
from isoconv.layers.windowed import Windowed
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable


class BaseConv(Windowed, Weighted):
    """Convolution over `rank` axes, which each class fixes.

    y[o] is the sum over taps k of x[o * stride + k * dilation - padding] w[k].

    Args:
        filters: the number of output channels.
        kernel_size: taps, one number or one an axis.
        strides, dilation_rate: steps of the window and within it; both may be above 1.
        padding: "valid", "same", and over one axis "causal".
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        groups: parts of the channels convolved apart from each other.
        activation: a function of the outputs, or its name; use_bias: whether a bias is added.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as for Dense.

    Weights: kernel (taps..., channels / groups, filters), bias (filters,).
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        rules = {
            "kernel_initializer": kernel_initializer,
            "kernel_regularizer": kernel_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_initializer": bias_initializer,
            "bias_regularizer": bias_regularizer,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            activation, use_bias, rules, activity_regularizer=activity_regularizer, **kwargs
        )
        rank = self.rank
        self.kernel_size = arguments.sizes(kernel_size, rank, self.where("kernel_size"))
        self.strides = arguments.sizes(strides, rank, self.where("strides"))
        self.dilation_rate = arguments.sizes(dilation_rate, rank, self.where("dilation_rate"))
        self.padding = arguments.padding(padding, self.where("padding"), causal=rank == 1)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))
        self.filters = arguments.count(filters, self.where("filters"))
        self.groups = arguments.count(groups, self.where("groups"))
        arguments.divisible(self.filters, self.groups, self.where("groups"), "filters")

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        arguments.divisible(channels, self.groups, self.where("groups"), "input channels")
        self.compute_output_shape(input_shape)
        self.kernel = self.weight(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self.bias = self.weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.check_channels(inputs.shape, self.kernel.shape[-2] * self.groups)
        outputs = ops.conv(
            self.channels_last(inputs, mask),
            self.kernel,
            self.strides,
            self.padding,
            "channels_last",
            self.dilation_rate,
        )
        return self.finish(outputs, self.bias, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.channels_of(input_shape)
        spatial = self.window_output(self.spatial_of(input_shape))
        return self.shape_with(input_shape[0], spatial, self.filters)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "groups": self.groups,
        }


class Conv1D(BaseConv):
    """Convolution over one axis, such as time: (batch, steps, channels). See BaseConv."""

    rank = 1


class Conv2D(BaseConv):
    """Convolution over two axes: (batch, height, width, channels). See BaseConv."""

    rank = 2


class Conv3D(BaseConv):
    """Convolution over three axes: (batch, depth, height, width, channels). See BaseConv."""

    rank = 3
