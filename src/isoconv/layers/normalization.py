"""Layers that bring activations to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.same_shape import SameShape
from isoconv.layers.weighted import Ruled
from isoconv.ops.shapes import positive_axes
from isoconv.ops.tensor import Tensor, require_known
from isoconv.ops.variable import Variable
from isoconv.settings import epsilon as smallest
from isoconv.training import initializers


def along(value: Any, axes: Sequence[int], rank: int) -> Tensor:
    """Values for some axes in a shape that broadcasts to an input of this rank."""
    sizes = iter(value.shape)
    return ops.reshape(value, [next(sizes) if i in axes else 1 for i in range(rank)])


class Normalization(SameShape, Ruled):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta; subclasses say of what.

    Args:
        epsilon: keeps the quotient finite where the variance is 0.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: how these weights start, penalties and bounds.
    """

    weight_names = ("beta", "gamma")
    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self, epsilon: float, center: bool, scale: bool, rules: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(rules=rules, **kwargs)
        self.epsilon = arguments.number(epsilon, self.where("epsilon"), 0)
        self.center = center
        self.scale = scale

    def axes_of(self, rank: int) -> tuple[int, ...]:
        """The axes that gamma and beta have, counted from the front."""
        return positive_axes(self.axes, rank, "input")

    @property
    def axes(self) -> list[int]:
        """The argument `axis`, as a list."""
        raise NotImplementedError

    def runtime_axes(self, rank: int) -> Sequence[int]:
        own = {axis % rank for axis in self.axes} if rank else set()
        return [axis for axis in range(rank) if axis not in own]

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.axes_of(len(input_shape))
        return input_shape

    def weight_shape(self, input_shape: Any) -> tuple[int, ...]:
        """The shape of gamma and beta; ShapeError where it is not known."""
        shape = tuple(input_shape[axis] for axis in self.axes_of(len(input_shape)))
        if None in shape:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain("input", given, f"known sizes of the axes {self.axes}"))
        return shape

    def check_axes(self, inputs: Tensor, wanted: tuple[int, ...]) -> None:
        """The input must have the sizes that the layer was built for."""
        sizes = tuple(inputs.dims[axis] for axis in self.axes_of(inputs.ndim))
        if any(isinstance(s, int) and s != w for s, w in zip(sizes, wanted, strict=True)):
            expected = f"sizes {wanted} of the axes {self.axes}, as built"
            raise ShapeError(explain("input", f"shape {inputs.shape}", expected))

    def normalized(
        self, inputs: Tensor, mean: Tensor | None, variance: Tensor, axes: Sequence[int]
    ) -> Tensor:
        """The formula, for a mean and a variance that broadcast. axes: those of gamma and beta."""
        factor = ops.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor = factor * along(self.gamma, axes, inputs.ndim)
        outputs = (inputs if mean is None else inputs - mean) * factor
        return outputs if self.beta is None else outputs + along(self.beta, axes, inputs.ndim)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }


class BatchNormalization(Normalization):
    """Normalizes each channel over the batch and all other axes (Ioffe and Szegedy 2015).

    In training mean and variance are those of the batch, without masked steps, and the moving
    ones approach them: moving * momentum + batch * (1 - momentum). Otherwise, and while
    `trainable` is False, the moving ones are used and stay.

    Args:
        axis: the axis of the channels.
        momentum: how slowly the moving statistics change.
        epsilon, center, scale and the rest: as for every normalization.
        moving_mean_initializer, moving_variance_initializer: where the statistics start.
        renorm, synchronized: must be False; renorm_clipping, renorm_momentum: kept for Keras.

    Weights: gamma, beta, moving_mean, moving_variance, each (channels,).
    """

    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        rules = {
            "beta_initializer": beta_initializer,
            "beta_regularizer": beta_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_initializer": gamma_initializer,
            "gamma_regularizer": gamma_regularizer,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, rules, **kwargs)
        for name, value in (("renorm", renorm), ("synchronized", synchronized)):
            if value:
                raise ArgumentError(explain(self.where(name), repr(value), "False"))
        if not arguments.is_integer(axis):
            raise ArgumentError(explain(self.where("axis"), repr(axis), "an integer"))
        self.axis = int(axis)
        self.momentum = arguments.number(momentum, self.where("momentum"))
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum

    @property
    def axes(self) -> list[int]:
        return [self.axis]

    def build(self, input_shape: Any) -> None:
        shape = self.weight_shape(input_shape)
        self.gamma = self.weight("gamma", shape) if self.scale else None
        self.beta = self.weight("beta", shape) if self.center else None
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def check_mask(self, inputs: Any, mask: Any) -> None:
        sizes, where = tuple(inputs.shape), self.where("mask")
        shape = masks.shape_of(mask, where)
        fitting = [sizes[:axis] + sizes[axis + 1 :] for axis in self._lacking(len(sizes))]
        if not any(len(shape) == len(each) and masks.alike(shape, each) for each in fitting):
            wanted = " or ".join(f"shape {each}" for each in dict.fromkeys(fitting))
            raise ShapeError(explain(where, f"shape {shape}", wanted))

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Any:
        self.check_axes(inputs, self.moving_mean.shape)
        # With channels last, so that sums have the same bits for both data formats; convolutions
        # around compute so too, and need no copies in between.
        (own,), channels = self.axes_of(inputs.ndim), [inputs.ndim - 1]
        last = ops.moveaxis(inputs, own, -1)
        if not (training and self.trainable):
            statistics = (self.moving_mean, self.moving_variance)
            mean, variance = (along(each, channels, inputs.ndim) for each in statistics)
            return ops.moveaxis(self.normalized(last, mean, variance, channels), -1, own)
        present = None if mask is None else ops.moveaxis(self._spread(mask, inputs), own, -1)
        mean, variance = self._moments(last, present)
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            new = ops.reshape(found, moving.shape)
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return ops.moveaxis(self.normalized(last, mean, variance, channels), -1, own)

    def _moments(self, inputs: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the batch, kept broadcasting, with channels last. present: whether
        an element is there, in a shape that broadcasts.
        """
        others = list(range(inputs.ndim - 1))
        if present is None:
            return ops.mean(inputs, others, True), ops.var(inputs, others, True)
        weights = ops.broadcast_to(ops.cast(present, inputs.dtype), inputs.dims)
        # As Keras does: with no step at all mean and variance are 0.
        count = ops.sum(weights, others, keepdims=True) + smallest()
        mean = ops.sum(ops.where(present, inputs, 0.0), others, keepdims=True) / count
        distance = ops.where(present, inputs - mean, 0.0)
        return mean, ops.sum(ops.square(distance), others, keepdims=True) / count

    def _lacking(self, rank: int) -> list[int]:
        """The axes of the input one of which a mask lacks: that of the channels, or the last."""
        return [*self.axes_of(rank), rank - 1]

    def _spread(self, mask: Tensor, inputs: Tensor) -> Tensor:
        """The mask with an axis of size 1 in the place of the one it lacks.

        That is the channels' axis, or, where only this fits, the last one, as in Keras.
        """
        if mask.ndim != inputs.ndim - 1:
            expected = f"{inputs.ndim - 1} dimensions, one less than the input"
            raise ShapeError(explain("mask", f"shape {mask.shape}", expected))
        lacking = self._lacking(inputs.ndim)
        fitting = [i for i in lacking if mask.dims == inputs.dims[:i] + inputs.dims[i + 1 :]]
        return ops.cast(ops.expand_dims(mask, (fitting or lacking)[0]), "bool")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "renorm": False,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
            "synchronized": False,
        }


class LayerNormalization(Normalization):
    """Normalizes each sample over one axis or several (Ba et al. 2016).

    Args:
        axis: the axes, which are also those of gamma and beta.
        epsilon, center, scale and the rest: as for every normalization.
        rms_scaling: Keras' x / sqrt(variance + epsilon) * gamma, without mean and beta.

    Weights: gamma, beta, of the shape of the axes.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        rules = {
            "beta_initializer": beta_initializer,
            "beta_regularizer": beta_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_initializer": gamma_initializer,
            "gamma_regularizer": gamma_regularizer,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, rules, **kwargs)
        axes = list(axis) if isinstance(axis, list | tuple) else [axis]
        if not axes or not all(map(arguments.is_integer, axes)):
            raise ArgumentError(explain(self.where("axis"), repr(axis), "an axis or several"))
        self.axis = axes if isinstance(axis, list | tuple) else axis
        self.rms_scaling = rms_scaling

    @property
    def axes(self) -> list[int]:
        return self.axis if isinstance(self.axis, list) else [self.axis]

    def build(self, input_shape: Any) -> None:
        shape = self.weight_shape(input_shape)
        self.gamma = self.weight("gamma", shape) if self.scale or self.rms_scaling else None
        self.beta = self.weight("beta", shape) if self.center and not self.rms_scaling else None

    def call(self, inputs: Tensor) -> Any:
        axes = self.axes_of(inputs.ndim)
        weight = self.gamma if self.gamma is not None else self.beta
        if weight is not None:
            self.check_axes(inputs, weight.shape)
        mean = None if self.rms_scaling else ops.mean(inputs, axes, True)
        return self.normalized(inputs, mean, ops.var(inputs, axes, True), axes)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "rms_scaling": self.rms_scaling}


class GroupNormalization(Normalization):
    """Normalizes each sample over groups of channels and all positions (Wu and He 2018).

    Args:
        groups: into how many parts the channels go; -1 for as many as channels, which normalizes
            each channel by itself (instance normalization).
        axis: the axis of the channels.
        epsilon, center, scale and the rest: as for every normalization.

    Weights: gamma, beta, each (channels,).
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        rules = {
            "beta_initializer": beta_initializer,
            "beta_regularizer": beta_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_initializer": gamma_initializer,
            "gamma_regularizer": gamma_regularizer,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, rules, **kwargs)
        if not arguments.is_integer(axis):
            raise ArgumentError(explain(self.where("axis"), repr(axis), "an integer"))
        self.axis = int(axis)
        if not arguments.is_integer(groups) or (groups < 1 and groups != -1):
            expected = "an integer of at least 1, or -1"
            raise ArgumentError(explain(self.where("groups"), repr(groups), expected))
        self.groups = int(groups)

    @property
    def axes(self) -> list[int]:
        return [self.axis]

    def build(self, input_shape: Any) -> None:
        shape = self.weight_shape(input_shape)
        if self.axis % len(input_shape) == 0:
            raise ArgumentError(explain(self.where("axis"), self.axis, "not that of the batch"))
        self.groups = shape[0] if self.groups == -1 else self.groups
        arguments.divisible(shape[0], self.groups, self.where("groups"), "channels")
        self.gamma = self.weight("gamma", shape) if self.scale else None
        self.beta = self.weight("beta", shape) if self.center else None

    def call(self, inputs: Tensor) -> Any:
        weight = self.gamma if self.gamma is not None else self.beta
        if weight is not None:
            self.check_axes(inputs, weight.shape)
        (axis,) = self.axes_of(inputs.ndim)
        channels = require_known(inputs.shape[axis], "input", "a number of channels")
        width = channels // self.groups
        dims = list(inputs.dims)
        dims[axis : axis + 1] = [self.groups, width]
        grouped = ops.reshape(inputs, dims)
        others = [each for each in range(1, grouped.ndim) if each != axis]
        spread = (
            ops.repeat(ops.squeeze(each, axis + 1), width, axis)
            for each in (ops.mean(grouped, others, True), ops.var(grouped, others, True))
        )
        mean, variance = spread
        return self.normalized(inputs, mean, variance, [axis])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": self.groups, "axis": self.axis}
