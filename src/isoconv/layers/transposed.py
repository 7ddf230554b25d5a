"""Transposed convolutions of any rank: the form solved for its input."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.ir.sizes import Dim
from isoconv.layers import arguments
from isoconv.layers.convolution import BaseConv
from isoconv.ops.program import symbolic
from isoconv.ops.tensor import Tensor, unknown_as_none
from isoconv.ops.windows import transpose_axes


class BaseConvTranspose(BaseConv):
    """The transpose of a convolution over `rank` axes: out[i * stride + k * dilation] += x[i] w[k].

    Args:
        filters: the number of output channels.
        kernel_size: taps, one number or one an axis.
        strides, dilation_rate: steps between the outputs of neighbouring inputs and taps.
        padding: "valid" or "same".
        output_padding: more positions at the end, below the stride; None follows from the rest.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        activation: a function of the outputs, or its name; use_bias: whether a bias is added.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as for Dense.
        groups: parts of the channels treated apart from each other. Keras has it not: it is given
            by name, so that Keras' order holds for all others.

    Weights: kernel (taps..., filters / groups, channels), bias (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            groups,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )
        self.padding = arguments.padding(padding, self.where("padding"))
        self.output_padding = None
        if output_padding is not None:
            where = self.where("output_padding")
            self.output_padding = arguments.sizes(output_padding, self.rank, where, allow_zero=True)
            if any(o >= s for o, s in zip(self.output_padding, self.strides, strict=True)):
                expected = f"less than the strides {self.strides}"
                raise ArgumentError(explain(where, repr(output_padding), expected))

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        arguments.divisible(channels, self.groups, self.where("groups"), "input channels")
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, self.filters // self.groups, channels)
        self.kernel = self.weight("kernel", shape)
        self.bias = self.weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.check_channels(inputs.shape, self.kernel.shape[-1])
        outputs = ops.conv_transpose(
            self.channels_last(inputs, mask),
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            "channels_last",
            self.dilation_rate,
            self.groups,
        )
        return self.finish(outputs, self.bias, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.channels_of(input_shape)
        lengths: tuple[Dim, ...] = symbolic((None, *self.spatial_of(input_shape)))[1:]
        with self.explaining():
            _, sizes = transpose_axes(
                lengths,
                self.kernel_size,
                self.strides,
                self.padding,
                self.dilation_rate,
                self.output_padding,
            )
        return self.shape_with(input_shape[0], unknown_as_none(sizes), self.filters)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """An input step reaches several outputs: no output step is masked."""

    def get_config(self) -> dict[str, Any]:
        padding = self.output_padding
        config = super().get_config() | {"output_padding": padding and list(padding)}
        if self.groups == 1:
            # Keras does not know the argument, and should open what does not need it.
            del config["groups"]
        return config


class Conv1DTranspose(BaseConvTranspose):
    """Transposed convolution over (batch, steps, channels). See BaseConvTranspose."""

    rank = 1


class Conv2DTranspose(BaseConvTranspose):
    """Transposed convolution over (batch, height, width, channels). See BaseConvTranspose."""

    rank = 2


class Conv3DTranspose(BaseConvTranspose):
    """Transposed convolution over (batch, depth, height, width, channels).

    As in Keras, `data_format` comes before `output_padding` here. See BaseConvTranspose.
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs
        )
