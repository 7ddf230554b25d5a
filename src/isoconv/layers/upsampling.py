"""Layers that make more positions out of those there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv import ops
from isoconv.layers import arguments
from isoconv.layers.edges import without_default_format
from isoconv.layers.spatial import Spatial
from isoconv.ops.tensor import Tensor


class BaseUpSampling(Spatial):
    """`size` positions for each position of the input.

    Args:
        size: how many, one number or one an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.

    Each position is repeated; a mask of steps is repeated with them over one axis.
    """

    def __init__(self, size: Any = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = arguments.sizes(size, self.rank, self.where("size"))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def build(self, input_shape: Any) -> None:
        self.check_rank(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        for axis, times in zip(self.spatial_axes, self.size, strict=True):
            inputs = ops.repeat(inputs, times, axis=axis)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        times = dict(zip(self.spatial_axes, self.size, strict=True))
        each = enumerate(input_shape)
        return tuple(None if size is None else size * times.get(axis, 1) for axis, size in each)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": list(self.size), "data_format": self.data_format}


class UpSampling1D(BaseUpSampling):
    """(batch, steps, channels) with steps repeated. See BaseUpSampling.

    Keras' has no `data_format` and is of channels that come last, whatever the default.
    """

    rank = 1

    def __init__(
        self, size: Any = 2, data_format: str | None = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if previous_mask is None:
            return None
        return ops.repeat(previous_mask, self.size[0], axis=1)

    def get_config(self) -> dict[str, Any]:
        # Keras' takes a number, not a tuple of one.
        return without_default_format(super().get_config()) | {"size": self.size[0]}


class UpSampling2D(BaseUpSampling):
    """(batch, height, width, channels) with more rows and columns. See BaseUpSampling.

    Args:
        size, data_format: as there.
        interpolation: "nearest" repeats; "bilinear" draws straight lines between the positions,
            each in the middle of its `size` ones, and repeats the outermost at the edges.
    """

    rank = 2

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        where = self.where("interpolation")
        self.interpolation = arguments.choice(interpolation, ("nearest", "bilinear"), where)

    def call(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super().call(inputs)
        drawn = ops.cast(inputs, self.compute_dtype)
        for axis, times in zip(self.spatial_axes, self.size, strict=True):
            drawn = self._between(drawn, axis, times)
        return drawn

    def _between(self, x: Tensor, axis: int, times: int) -> Tensor:
        """x with `times` positions for each one along an axis, on lines between their middles.

        A transposed convolution with a triangle: 2 * times taps, 1 - |distance| / times high,
        the middle of the first position being (times - 1) / 2 to the right of its own first one.
        """
        if times == 1:
            return x
        before = times // 2
        taps = [1 - abs(k - before - (times - 1) / 2) / times for k in range(2 * times)]
        channels = self.channels_of(x.shape)
        place = self.spatial_axes.index(axis)
        shape, strides = [1, 1, 1, 1], [1, 1]
        shape[place], strides[place] = len(taps), times
        triangle = np.asarray(taps, x.dtype).reshape(shape)
        kernel = ops.broadcast_to(triangle, (*shape[:2], 1, channels))
        ends = [_part(x, axis, slice(0, 1)), x, _part(x, axis, slice(-1, None))]
        drawn = ops.conv_transpose(
            ops.concatenate(ends, axis),
            kernel,
            strides,
            data_format=self.data_format,
            groups=channels,
        )
        # What the repeated ends added, and the triangles that reach out of both.
        return _part(drawn, axis, slice(times + before, -(2 * times - before)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"interpolation": self.interpolation}


class UpSampling3D(BaseUpSampling):
    """(batch, depth, height, width, channels) with positions repeated. See BaseUpSampling."""

    rank = 3


def _part(x: Tensor, axis: int, part: slice) -> Tensor:
    key = [slice(None)] * x.ndim
    key[axis] = part
    return x[tuple(key)]
