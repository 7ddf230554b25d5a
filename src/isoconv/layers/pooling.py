"""Pooling layers of any rank; the classes a user names only fix the rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isoconv import dtypes, ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.sizes import Dim
from isoconv.layers import arguments
from isoconv.layers.edges import Pairs, pairs
from isoconv.layers.spatial import Spatial
from isoconv.layers.windowed import Windowed
from isoconv.ops.reductions import require_elements
from isoconv.ops.tensor import Tensor
from isoconv.ops.windows import rounded_up


class BasePooling(Windowed):
    """A window slid over `rank` axes, each channel by itself.

    Args:
        pool_size: the window, one number or one an axis.
        strides: its steps; None for steps as large as the window.
        padding: "valid", "same", or as PyTorch and ONNX have it how many positions: one number, one
            an axis, or a pair (before, after) an axis. Absent elements do not count.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        ceil_mode: whether a last window may stick out, if it starts at a position that is there.
        dilation_rate: steps within the window.

    Keras has the last two and padding by numbers not; it opens what does without them.
    Input (batch, spatial..., channels), output likewise with fewer positions. Masked steps count
    as absent; a window of them alone gives 0.
    """

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        ceil_mode: bool = False,
        dilation_rate: Any = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = arguments.sizes(pool_size, self.rank, self.where("pool_size"))
        given = self.pool_size if strides is None else strides
        self.strides = arguments.sizes(given, self.rank, self.where("strides"))
        self.padding = self._padding(padding)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))
        self.ceil_mode = arguments.flag(ceil_mode, self.where("ceil_mode"))
        self.dilation_rate = arguments.sizes(dilation_rate, self.rank, self.where("dilation_rate"))

    def _padding(self, value: Any) -> str | Pairs:
        if value is None or isinstance(value, str):
            return arguments.padding(value, self.where("padding"))
        found = pairs(value, self.rank, self.where("padding"))
        if any(max(pair) >= size for pair, size in zip(found, self.pool_size, strict=True)):
            expected = f"less than the window, {self.pool_size}"
            raise ArgumentError(explain(self.where("padding"), repr(value), expected))
        return found

    def padding_of(self, lengths: Sequence[Dim]) -> Any:
        if not self.ceil_mode or self.padding == "same":
            return self.padding
        given = ((0, 0),) * self.rank if isinstance(self.padding, str) else self.padding
        return rounded_up(lengths, self.pool_size, self.strides, given, self.dilation_rate)

    def padding_for(self, x: Tensor) -> Any:
        """The padding of the windows over an input."""
        return self.padding_of(self.spatial_of(x.dims))

    @property
    def kernel_size(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.pool_size

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        spatial = self.window_output(self.spatial_of(input_shape))
        return self.shape_with(input_shape[0], spatial, input_shape[self.channel_axis])

    def get_config(self) -> dict[str, Any]:
        padding = self.padding
        config = super().get_config() | {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": padding if isinstance(padding, str) else [list(pair) for pair in padding],
            "data_format": self.data_format,
        }
        # Keras does not know the others, and should open what does not need them.
        if self.ceil_mode:
            config["ceil_mode"] = True
        if max(self.dilation_rate) > 1:
            config["dilation_rate"] = list(self.dilation_rate)
        return config


def lowest(dtype: str) -> float:
    """What is above no number of this dtype."""
    return -math.inf if dtypes.is_float(dtype) else int(np.iinfo(dtype).min)


class BaseMaxPooling(BasePooling):
    """The largest element of each window. See BasePooling."""

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.check_rank(inputs.shape)
        if self.kept(mask) is None:
            return self._largest(inputs)
        return self.absent(inputs, mask, self._largest)

    def absent(self, inputs: Any, mask: Any, compute: Callable[[Any], Any]) -> Any:
        largest = compute(ops.where(self.kept(mask), inputs, lowest(inputs.dtype)))
        # An infinity would turn a later product with 0 into NaN, masked or not.
        return ops.where(self.kept(self.compute_mask(inputs, mask)), largest, 0)

    def _largest(self, x: Tensor) -> Tensor:
        padding = self.padding_for(x)
        return ops.max_pool(
            x, self.pool_size, self.strides, padding, self.data_format, self.dilation_rate
        )


class BaseAveragePooling(BasePooling):
    """The mean of the present elements of each window. See BasePooling."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        self.channels_of(inputs.shape)
        if self.kept(mask) is None:
            return self._average(inputs)
        return self.absent(inputs, mask, self._average)

    def absent(self, inputs: Any, mask: Any, compute: Callable[[Any], Any]) -> Any:
        kept = self.kept(mask)
        mean = compute(ops.where(kept, inputs, 0))
        share = compute(ops.cast(kept, mean.dtype))
        return mean / ops.where(share > 0, share, 1.0)

    def _average(self, x: Tensor) -> Tensor:
        padding = self.padding_for(x)
        return ops.average_pool(
            x, self.pool_size, self.strides, padding, self.data_format, self.dilation_rate
        )


class BaseLpPooling(BasePooling):
    """The p-norm of each window, (sum |x|^p)^(1/p). See BasePooling; PyTorch and ONNX have it.

    Args:
        p: of the norm, at least 1.
        the rest: as there.
    """

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        p: float = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)
        self.p = arguments.number(p, self.where("p"), 1)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        channels = self.channels_of(inputs.shape)
        present = self.without_masked(inputs, mask)
        powers = ops.square(present) if self.p == 2 else ops.power(ops.absolute(present), self.p)
        total = ops.conv(
            powers,
            ops.ones((*self.pool_size, 1, channels), inputs.dtype),
            self.strides,
            self.padding_for(inputs),
            self.data_format,
            self.dilation_rate,
        )
        # The root has no derivative at 0.
        some = total > 0
        return ops.where(some, ops.power(ops.where(some, total, 1.0), 1.0 / self.p), 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"p": self.p}


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


class LpPooling1D(BaseLpPooling):
    """Norms of windows over (batch, steps, channels). See BaseLpPooling."""

    rank = 1


class LpPooling2D(BaseLpPooling):
    """Norms of windows over (batch, height, width, channels). See BaseLpPooling."""

    rank = 2


class LpPooling3D(BaseLpPooling):
    """Norms of windows over (batch, depth, height, width, channels). See BaseLpPooling."""

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

    def entered(self, inputs: Tensor) -> Tensor:
        """The inputs with channels last, so that both formats add up in one order."""
        self.check_rank(inputs.shape)
        require_elements(inputs, self.spatial_axes, "input")
        return ops.moveaxis(inputs, self.channel_axis, -1)

    @property
    def positions(self) -> tuple[int, ...]:
        """The axes that are pooled over, channels being last."""
        return tuple(range(1, self.rank + 1))

    def left(self, pooled: Tensor) -> Tensor:
        """What was pooled over positions, with its channels where the layer has them."""
        return ops.moveaxis(pooled, -1, self.channel_axis) if self.keepdims else pooled

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

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        if self.kept(mask) is None:
            return self._largest(inputs)
        return self.absent(inputs, mask, self._largest)

    def absent(self, inputs: Any, mask: Any, compute: Callable[[Any], Any]) -> Any:
        kept = self.kept(mask)
        largest = compute(ops.where(kept, inputs, lowest(inputs.dtype)))
        return ops.where(compute(ops.cast(kept, inputs.dtype)) > 0, largest, 0)

    def _largest(self, x: Tensor) -> Tensor:
        return self.left(ops.max(self.entered(x), axis=self.positions, keepdims=self.keepdims))


class BaseGlobalAveragePooling(BaseGlobalPooling):
    """The mean of each channel. See BaseGlobalPooling."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        x, kept = self.entered(inputs), self.kept(mask, -1)
        if kept is None:
            return self.left(ops.mean(x, axis=self.positions, keepdims=self.keepdims))
        total = self._sum(ops.where(kept, x, 0))
        return self.left(total / ops.maximum(self._sum(ops.cast(kept, total.dtype)), 1))

    def _sum(self, x: Tensor) -> Tensor:
        return ops.sum(x, axis=self.positions, keepdims=self.keepdims)


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
