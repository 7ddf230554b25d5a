"""Pooling layers of any rank; the classes a user names only fix the rank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isoconv import dtypes, ops
from isoconv.errors import ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.spatial import Spatial
from isoconv.layers.windowed import Windowed
from isoconv.ops.tensor import Tensor


class BasePooling(Windowed):
    """A window slid over `rank` axes, each channel by itself.

    Args:
        pool_size: the window, one number or one an axis.
        strides: its steps; None for steps as large as the window.
        padding: "valid" or "same"; absent elements do not count.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.

    Input (batch, spatial..., channels), output likewise with fewer positions. Masked steps count
    as absent; a window of them alone gives 0.
    """

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = arguments.sizes(pool_size, self.rank, self.where("pool_size"))
        given = self.pool_size if strides is None else strides
        self.strides = arguments.sizes(given, self.rank, self.where("strides"))
        self.padding = arguments.padding(padding, self.where("padding"))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    @property
    def kernel_size(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.pool_size

    @property
    def dilation_rate(self) -> tuple[int, ...]:  # type: ignore[override]
        return (1,) * self.rank

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        spatial = self.window_output(self.spatial_of(input_shape))
        return self.shape_with(input_shape[0], spatial, input_shape[self.channel_axis])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }


def lowest(dtype: str) -> float:
    """What is above no number of this dtype."""
    return -math.inf if dtypes.is_float(dtype) else int(np.iinfo(dtype).min)


class BaseMaxPooling(BasePooling):
    """The largest element of each window. See BasePooling."""

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self.check_rank(inputs.shape)
        kept = self.kept(mask)
        if kept is None:
            return self._largest(inputs)
        largest = self._largest(ops.where(kept, inputs, lowest(inputs.dtype)))
        # An infinity would turn a later product with 0 into NaN, masked or not.
        return ops.where(self.kept(self.compute_mask(inputs, mask)), largest, 0)

    def _largest(self, x: Tensor) -> Tensor:
        return ops.max_pool(x, self.pool_size, self.strides, self.padding, self.data_format)


class BaseAveragePooling(BasePooling):
    """The mean of the present elements of each window. See BasePooling."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self.channels_of(inputs.shape)
        kept = self.kept(mask)
        if kept is None:
            return self._average(inputs)
        mean = self._average(ops.where(kept, inputs, 0))
        share = self._average(ops.cast(kept, mean.dtype))
        return mean / ops.where(share > 0, share, 1.0)

    def _average(self, x: Tensor) -> Tensor:
        return ops.average_pool(x, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(BaseMaxPooling):
    """Max pooling over (batch, steps, channels). See BasePooling."""

    rank = 1


class MaxPooling2D(BaseMaxPooling):
    """Max pooling over (batch, height, width, channels). See BasePooling."""

    rank = 2


class MaxPooling3D(BaseMaxPooling):
    """Max pooling over (batch, depth, height, width, channels). See BasePooling."""

    rank = 3


class AveragePooling1D(BaseAveragePooling):
    """Average pooling over (batch, steps, channels). See BasePooling."""

    rank = 1


class AveragePooling2D(BaseAveragePooling):
    """Average pooling over (batch, height, width, channels). See BasePooling."""

    rank = 2


class AveragePooling3D(BaseAveragePooling):
    """Average pooling over (batch, depth, height, width, channels). See BasePooling."""

    rank = 3


class BaseGlobalPooling(Spatial):
    """One number a channel, from all positions.

    Args:
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        keepdims: whether the spatial axes stay, with size 1.

    Input (batch, spatial..., channels), output (batch, channels). Masked steps do not count; a
    sample of them alone gives 0.
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))
        self.keepdims = arguments.flag(keepdims, self.where("keepdims"))

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        channels = input_shape[self.channel_axis]
        if 0 in self.spatial_of(input_shape):
            given = f"shape {tuple(input_shape)}"
            wanted = "at least one position on every axis"
            raise ShapeError(explain(self.where("input"), given, wanted))
        spatial = (1,) * self.rank
        if self.keepdims:
            return self.shape_with(input_shape[0], spatial, channels)
        return (input_shape[0], channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


class BaseGlobalMaxPooling(BaseGlobalPooling):
    """The largest element of each channel. See BaseGlobalPooling."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self.check_rank(inputs.shape)
        kept = self.kept(mask)
        if kept is None:
            return self._largest(inputs)
        largest = self._largest(ops.where(kept, inputs, lowest(inputs.dtype)))
        return ops.where(self._largest(ops.cast(kept, "int32")) > 0, largest, 0)

    def _largest(self, x: Tensor) -> Tensor:
        return ops.max(x, axis=self.spatial_axes, keepdims=self.keepdims)


class BaseGlobalAveragePooling(BaseGlobalPooling):
    """The mean of each channel. See BaseGlobalPooling."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self.check_rank(inputs.shape)
        kept = self.kept(mask)
        if kept is None:
            return ops.mean(inputs, axis=self.spatial_axes, keepdims=self.keepdims)
        total = self._sum(ops.where(kept, inputs, 0))
        return total / ops.maximum(self._sum(ops.cast(kept, total.dtype)), 1)

    def _sum(self, x: Tensor) -> Tensor:
        return ops.sum(x, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(BaseGlobalMaxPooling):
    """Global max pooling over (batch, steps, channels). See BaseGlobalPooling."""

    rank = 1


class GlobalMaxPooling2D(BaseGlobalMaxPooling):
    """Global max pooling over (batch, height, width, channels). See BaseGlobalPooling."""

    rank = 2


class GlobalMaxPooling3D(BaseGlobalMaxPooling):
    """Global max pooling over (batch, depth, height, width, channels). See BaseGlobalPooling."""

    rank = 3


class GlobalAveragePooling1D(BaseGlobalAveragePooling):
    """Global average pooling over (batch, steps, channels). See BaseGlobalPooling."""

    rank = 1


class GlobalAveragePooling2D(BaseGlobalAveragePooling):
    """Global average pooling over (batch, height, width, channels). See BaseGlobalPooling."""

    rank = 2


class GlobalAveragePooling3D(BaseGlobalAveragePooling):
    """Global average pooling over (batch, depth, height, width, channels)."""

    rank = 3
