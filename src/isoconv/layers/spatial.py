"""What layers share that know spatial axes: data formats, and reading shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ShapeError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.base import Layer, Shape


class Spatial(Layer):
    """A layer on (batch, spatial..., channels), or with the channels second.

    Its rank is the number of spatial axes. Sizes of all axes but the channels may change from call
    to call.
    """

    rank: int
    data_format: str
    single_input = True

    @property
    def channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else self.rank + 1

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(1, self.rank + 2) if axis != self.channel_axis)

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return [axis for axis in range(rank) if axis != self.channel_axis]

    def check_rank(self, input_shape: Any) -> None:
        """The input must have a batch, `rank` spatial axes and channels."""
        input_shape = arguments.input_shape(input_shape, self.where("input"))
        if len(input_shape) != self.rank + 2:
            order = "channels, spatial..." if self.channel_axis == 1 else "spatial..., channels"
            wanted = f"{self.rank + 2} dimensions (batch, {order})"
            given = f"shape {tuple(input_shape)}"
            axes = len(input_shape) - 2
            noun = "axis" if axes == 1 else "axes"
            fitting = f", or take a layer of {axes} spatial {noun}" if 1 <= axes <= 3 else ""
            remedy = f"Reshape the input{fitting}."
            raise ShapeError(explain(self.where("input"), given, wanted, remedy))

    def channels_of(self, input_shape: Any) -> int:
        """The number of channels of a shape of the right rank; ShapeError otherwise."""
        self.check_rank(input_shape)
        channels = input_shape[self.channel_axis]
        if channels is None:
            given = f"shape {tuple(input_shape)}"
            wanted = f"a known size of axis {self.channel_axis}"
            raise ShapeError(explain(self.where("input"), given, wanted))
        if channels == 0:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain(self.where("input"), given, "at least one channel"))
        return int(channels)

    def check_channels(self, input_shape: Any, wanted: int) -> None:
        """The input must have the channels that the layer was built for."""
        channels = self.channels_of(input_shape)
        if channels != wanted:
            given = f"{channels} channels"
            raise ShapeError(explain(self.where("input"), given, f"{wanted}, as built"))

    def spatial_of(self, shape: Any) -> tuple[Any, ...]:
        """The spatial sizes of a shape."""
        return tuple(shape[axis] for axis in self.spatial_axes)

    def shape_with(self, batch: Any, spatial: Sequence[Any], channels: Any) -> Shape:
        """A shape in this layer's data format."""
        if self.channel_axis == 1:
            return (batch, channels, *spatial)
        return (batch, *spatial, channels)

    def check_mask(self, inputs: Any, mask: Any) -> None:
        self.check_rank(inputs.shape)
        steps = (inputs.shape[0], *self.spatial_of(inputs.shape))
        masks.check_steps(mask, steps, len(steps), self.where("mask"))

    def kept(self, mask: Any, axis: int | None = None) -> Any:
        """A mask of steps, with an axis for the channels, at `axis` if it is given; None for any
        other mask.
        """
        if mask is None or mask.ndim != self.rank + 1:
            return None
        return ops.expand_dims(mask, self.channel_axis if axis is None else axis)

    def absent(self, inputs: Any, mask: Any, compute: Callable[[Any], Any]) -> Any:
        """The outputs where masked steps are absent, made of those that `compute` gives of inputs
        without a mask; None where they cannot be made so.
        """
        return None

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """No mask, where a layer does not say otherwise: its steps are not those of its input."""
        return None
