"""Adaptive pooling: as many windows as are wanted, of the sizes that this takes."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.sizes import Dim
from isoconv.layers import arguments
from isoconv.layers.pooling import lowest
from isoconv.layers.spatial import Spatial
from isoconv.ops.convert import as_tensor
from isoconv.ops.create import iota
from isoconv.ops.tensor import Tensor


class BaseAdaptivePooling(Spatial):
    """`output_size` windows over each axis: number o of n covers the positions from
    floor(o * length / n) up to but without ceil((o + 1) * length / n).

    Args:
        output_size: how many, one number or one an axis; None keeps an axis as it is.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.

    Input (batch, spatial..., channels), output likewise with `output_size` positions.
    """

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        each = output_size if isinstance(output_size, list | tuple) else [output_size] * self.rank
        where = self.where("output_size")
        if len(each) != self.rank:
            expected = f"one number, or {self.rank} of them"
            raise ArgumentError(explain(where, repr(output_size), expected))
        self.output_size = tuple(None if n is None else arguments.count(n, where) for n in each)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        lengths = self.spatial_of(input_shape)
        if 0 in lengths:
            given = f"shape {tuple(input_shape)}"
            wanted = "at least one position on every axis"
            raise ShapeError(explain(self.where("input"), given, wanted))
        each = zip(self.output_size, lengths, strict=True)
        spatial = [length if size is None else size for size, length in each]
        return self.shape_with(input_shape[0], spatial, input_shape[self.channel_axis])

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        for axis, size in zip(self.spatial_axes, self.output_size, strict=True):
            if size is not None and size != inputs.dims[axis]:
                inputs = self._over(inputs, axis, size)
        return inputs

    def _over(self, x: Tensor, axis: int, size: int) -> Tensor:
        """x with `size` windows in the place of the positions along an axis."""
        length = x.dims[axis]
        if size == 1:
            return self.joined(x, axis, keepdims=True)
        if isinstance(length, int) and length % size == 0:
            dims = (*x.dims[:axis], size, length // size, *x.dims[axis + 1 :])
            return self.joined(ops.reshape(x, dims), axis + 1)
        # Windows of unlike sizes are gathered, the shorter ones with what does not count.
        widest: Dim = (length + (size - 2)) // size + 1
        window = iota((size, widest), 0, "int32")
        start = window * as_tensor(length) // size
        stop = ((window + 1) * as_tensor(length) + (size - 1)) // size
        place = start + iota((size, widest), 1, "int32")
        within = place < stop
        gathered = ops.take(x, ops.where(within, place, start), axis)
        spread = [1] * gathered.ndim
        spread[axis : axis + 2] = [size, widest]  # type: ignore[list-item]
        return self.joined(gathered, axis + 1, ops.reshape(within, spread))

    def joined(
        self, x: Tensor, axis: int, counted: Tensor | None = None, keepdims: bool = False
    ) -> Tensor:
        """What stands for the elements along an axis; only those `counted`, if that is given."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "output_size": list(self.output_size),
            "data_format": self.data_format,
        }


class BaseAdaptiveAveragePooling(BaseAdaptivePooling):
    """The mean of each window. See BaseAdaptivePooling."""

    def joined(
        self, x: Tensor, axis: int, counted: Tensor | None = None, keepdims: bool = False
    ) -> Tensor:
        if counted is None:
            return ops.mean(x, axis, keepdims)
        total = ops.sum(ops.where(counted, x, 0.0), axis, keepdims)
        return total / ops.sum(ops.cast(counted, total.dtype), axis, keepdims)


class BaseAdaptiveMaxPooling(BaseAdaptivePooling):
    """The largest element of each window. See BaseAdaptivePooling."""

    def joined(
        self, x: Tensor, axis: int, counted: Tensor | None = None, keepdims: bool = False
    ) -> Tensor:
        kept = x if counted is None else ops.where(counted, x, lowest(x.dtype))
        return ops.max(kept, axis, keepdims)


class AdaptiveAveragePooling1D(BaseAdaptiveAveragePooling):
    """Means of windows over (batch, steps, channels). See BaseAdaptivePooling."""

    rank = 1


class AdaptiveAveragePooling2D(BaseAdaptiveAveragePooling):
    """Means of windows over (batch, height, width, channels). See BaseAdaptivePooling."""

    rank = 2


class AdaptiveAveragePooling3D(BaseAdaptiveAveragePooling):
    """Means of windows over (batch, depth, height, width, channels). See BaseAdaptivePooling."""

    rank = 3


class AdaptiveMaxPooling1D(BaseAdaptiveMaxPooling):
    """Maxima of windows over (batch, steps, channels). See BaseAdaptivePooling."""

    rank = 1


class AdaptiveMaxPooling2D(BaseAdaptiveMaxPooling):
    """Maxima of windows over (batch, height, width, channels). See BaseAdaptivePooling."""

    rank = 2


class AdaptiveMaxPooling3D(BaseAdaptiveMaxPooling):
    """Maxima of windows over (batch, depth, height, width, channels). See BaseAdaptivePooling."""

    rank = 3
