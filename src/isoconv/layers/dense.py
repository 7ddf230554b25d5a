"""The fully connected layer: the convolution form without axes."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ShapeError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.weighted import Weighted
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable


class Dense(Weighted):
    """activation(x @ kernel + bias) over the last axis.

    Args:
        units: the size of the last axis of the output.
        activation: a name or a function; None is none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: how the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties.
        kernel_constraint, bias_constraint: bounds.

    Input (batch, ..., channels), output (batch, ..., units).
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        units: int,
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
        self.units = arguments.count(units, self.where("units"))
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self.weight("kernel", (channels, self.units))
        self.bias = self.weight("bias", (self.units,)) if self.use_bias else None

    def check_mask(self, inputs: Any, mask: Any) -> None:
        masks.check_steps(mask, inputs.shape, 1, self.where("mask"))

    def call(self, inputs: Tensor) -> Any:
        self._channels(inputs.shape)
        return self.finish(ops.matmul(inputs, self.kernel), self.bias)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._channels(input_shape)
        return (*input_shape[:-1], self.units)

    def _channels(self, shape: Any) -> int:
        """The size of the last axis, which must be known and, once built, the kernel's."""
        shape = arguments.input_shape(shape, self.where("input"))
        wanted = str(self.kernel.shape[0]) if self.built else "a known number of"
        if len(shape) < 2 or shape[-1] is None or (self.built and str(shape[-1]) != wanted):
            given = f"input of shape {tuple(shape)}"
            expected = f"(batch, ..., channels) with {wanted} channels"
            raise ShapeError(explain(self.where("input"), given, expected))
        return int(shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}
