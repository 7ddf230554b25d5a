"""What layers share that slide windows over spatial axes: output sizes and masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoconv import ops
from isoconv.ir import geometry
from isoconv.ir.sizes import Dim
from isoconv.layers.base import Shape
from isoconv.layers.spatial import Spatial
from isoconv.ops.program import symbolic
from isoconv.ops.tensor import Tensor, unknown_as_none
from isoconv.ops.windows import channels_last, spatial_axes


class Windowed(Spatial):
    """A layer that slides windows over the spatial axes, with masked steps as absent ones."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: Any

    def padding_of(self, lengths: Sequence[Dim]) -> Any:
        """The padding for these lengths: a mode, or a pair (before, after) for each axis."""
        return self.padding

    def window_output(self, spatial: Sequence[Any]) -> Shape:
        """The spatial sizes after the windows; ShapeError where none fits."""
        lengths = symbolic((None, *spatial))[1:]
        with self.explaining():
            padding = self.padding_of(lengths)
            axes = spatial_axes(
                lengths, self.kernel_size, self.strides, padding, self.dilation_rate
            )
        each = zip(axes, lengths, strict=True)
        return unknown_as_none(tuple(axis.output(length) for axis, length in each))

    def without_masked(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """The inputs with 0 at masked steps, whatever stands there."""
        kept = self.kept(mask)
        return inputs if kept is None else ops.where(kept, inputs, 0.0)

    def absent(self, inputs: Any, mask: Any, compute: Callable[[Any], Any]) -> Any:
        return compute(self.without_masked(inputs, mask))

    def channels_last(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """The inputs with 0 at masked steps and their channels at the end."""
        return channels_last(self.without_masked(inputs, mask), self.data_format)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """An output step is kept when its window holds a step that is."""
        if previous_mask is None or previous_mask.ndim != self.rank + 1:
            return None
        steps = ops.expand_dims(ops.cast(previous_mask, self.compute_dtype), -1)
        kernel = ops.ones((*self.kernel_size, 1, 1), self.compute_dtype)
        padding = self.padding_of(ops.shape(steps)[1:-1])
        if padding == "causal":
            pairs = map(geometry.causal, self.kernel_size, self.dilation_rate)
            steps = ops.pad(steps, [(0, 0), *pairs, (0, 0)])
            padding = "valid"
        seen = ops.conv(steps, kernel, self.strides, padding, "channels_last", self.dilation_rate)
        return ops.squeeze(seen, -1) > 0
