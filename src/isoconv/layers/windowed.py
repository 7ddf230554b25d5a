"""What layers share that slide windows over spatial axes: formats, sizes, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ShapeError, explain
from isoconv.layers.base import Layer, Shape
from isoconv.ops.program import symbolic
from isoconv.ops.tensor import Tensor, unknown_as_none
from isoconv.ops.windows import spatial_axes


class Windowed(Layer):
    """A layer that slides windows over the spatial axes of (batch, spatial..., channels).

    Knows its rank and data format, reads sizes out of shapes, and treats masked steps as absent.
    """

    rank: int
    data_format: str
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str

    @property
    def channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else self.rank + 1

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return [axis for axis in range(rank) if axis != self.channel_axis]

    def channels_of(self, input_shape: Any) -> int:
        """The number of channels of a shape of the right rank; ShapeError otherwise."""
        order = "channels, spatial..." if self.channel_axis == 1 else "spatial..., channels"
        given = f"shape {tuple(input_shape)}"
        if len(input_shape) != self.rank + 2:
            wanted = f"{self.rank + 2} dimensions (batch, {order})"
            raise ShapeError(explain("input", given, wanted))
        channels = input_shape[self.channel_axis]
        if channels is None:
            raise ShapeError(explain("input", given, f"a known size of axis {self.channel_axis}"))
        return int(channels)

    def check_channels(self, input_shape: Any, wanted: int) -> None:
        """The input must have the channels that the layer was built for."""
        channels = self.channels_of(input_shape)
        if channels != wanted:
            raise ShapeError(explain("input", f"{channels} channels", f"{wanted}, as built"))

    def spatial_of(self, shape: Any) -> tuple[Any, ...]:
        """The spatial sizes of a shape."""
        return tuple(d for axis, d in enumerate(shape) if axis not in (0, self.channel_axis))

    def shape_with(self, batch: Any, spatial: Sequence[Any], channels: int) -> Shape:
        """A shape in this layer's data format."""
        if self.channel_axis == 1:
            return (batch, channels, *spatial)
        return (batch, *spatial, channels)

    def window_output(self, spatial: Sequence[Any]) -> Shape:
        """The spatial sizes after the windows; ShapeError where none fits."""
        lengths = symbolic((None, *spatial))[1:]
        axes = spatial_axes(
            lengths, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        each = zip(axes, lengths, strict=True)
        return unknown_as_none(tuple(axis.output(length) for axis, length in each))

    def without_masked(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """The inputs with 0 at masked steps, whatever stands there."""
        if mask is None or mask.ndim != self.rank + 1:
            return inputs
        return ops.where(ops.expand_dims(mask, self.channel_axis), inputs, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """An output step is kept when its window holds a step that is."""
        if previous_mask is None or previous_mask.ndim != self.rank + 1:
            return None
        steps = ops.expand_dims(ops.cast(previous_mask, self.compute_dtype), -1)
        kernel = ops.ones((*self.kernel_size, 1, 1), self.compute_dtype)
        seen = ops.conv(
            steps, kernel, self.strides, self.padding, "channels_last", self.dilation_rate
        )
        return ops.squeeze(seen, -1) > 0
