"""Activation functions as layers."""

from __future__ import annotations

import warnings
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.same_shape import SameShape
from isoconv.layers.weighted import Ruled
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training import activations

# What Keras adds to masked elements before a softmax: their exponential is 0.
_ABSENT = -1e9


class Activation(SameShape):
    """An activation function, by its name or itself, on each element or along the last axis."""

    casts_integers = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": activations.serialize(self.activation)}


class ReLU(SameShape):
    """x above `threshold`, at most `max_value`; below it negative_slope * (x - threshold)."""

    casts_integers = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        where = self.where
        self.max_value = max_value
        if max_value is not None:
            self.max_value = arguments.number(max_value, where("max_value"), 0)
        self.negative_slope = arguments.number(negative_slope, where("negative_slope"), 0)
        self.threshold = arguments.number(threshold, where("threshold"), 0)

    def call(self, inputs: Tensor) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(SameShape):
    """x, times `negative_slope` below 0. `alpha` is the slope's name in Keras 2."""

    casts_integers = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warnings.warn("LeakyReLU: `alpha` is now `negative_slope`", stacklevel=2)
        super().__init__(**kwargs)
        self.negative_slope = arguments.number(negative_slope, self.where("negative_slope"), 0)

    def call(self, inputs: Tensor) -> Any:
        return ops.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"negative_slope": self.negative_slope}


class ELU(SameShape):
    """x, and alpha * (exp(x) - 1) below 0 (Clevert et al. 2015)."""

    casts_integers = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = arguments.number(alpha, self.where("alpha"))

    def call(self, inputs: Tensor) -> Any:
        return ops.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha}


class PReLU(SameShape, Ruled):
    """x, times a learned slope below 0 (He et al. 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the slopes.
        shared_axes: the axes along which one slope serves all, counted with the batch as 0:
            [1, 2] gives each channel of an image its slope. Axes of unknown size must be shared.

    Weights: alpha, of the input's shape without the batch, with 1 for each shared axis.
    """

    weight_names = ("alpha",)
    alpha: Variable

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        rules = {
            "alpha_initializer": alpha_initializer,
            "alpha_regularizer": alpha_regularizer,
            "alpha_constraint": alpha_constraint,
        }
        super().__init__(rules=rules, **kwargs)
        axes = shared_axes if isinstance(shared_axes, list | tuple) else [shared_axes]
        self.shared_axes = None if shared_axes is None else list(axes)
        if self.shared_axes is not None and not all(map(arguments.is_integer, self.shared_axes)):
            given = repr(shared_axes)
            raise ArgumentError(explain(self.where("shared_axes"), given, "axes or None"))

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(shape):
                where = self.where("shared_axes")
                raise ArgumentError(explain(where, axis, f"axes from 1 to {len(shape)}"))
            shape[axis - 1] = 1
        self.alpha = self.weight("alpha", tuple(shape))

    def call(self, inputs: Tensor) -> Any:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shared_axes": self.shared_axes}


class Softmax(SameShape):
    """exp(x) over its sum along an axis, or along several.

    Called with a mask that broadcasts to the input, masked elements get probability 0. A mask of
    steps, as layers hand it on, leaves the values as they are.
    """

    casts_integers = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = axis if isinstance(axis, list | tuple) else [axis]
        if not axes or not all(map(arguments.is_integer, axes)):
            raise ArgumentError(explain(self.where("axis"), repr(axis), "an axis or several"))
        self.axis = axis

    def check_mask(self, inputs: Any, mask: Any) -> None:
        masks.check_broadcasts(mask, inputs.shape, self.where("mask"))

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        if mask is None or mask.dims == inputs.dims[:-1]:
            return ops.softmax(inputs, self.axis)
        present = mask if mask.dtype == "bool" else mask > 0.5
        result = ops.softmax(ops.where(present, inputs, _ABSENT), self.axis)
        return ops.where(present, result, 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
