"""Nearest positions for any number of them, as PyTorch's `interpolate` takes them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.ir.sizes import Dim
from isoconv.layers import arguments
from isoconv.layers.spatial import Spatial
from isoconv.ops.convert import as_tensor
from isoconv.ops.create import iota
from isoconv.ops.program import symbolic
from isoconv.ops.tensor import Tensor, unknown_as_none


class BaseNearestResizing(Spatial):
    """Any number of positions, each a copy of one of the input.

    Args:
        size: how many, one number or one an axis. Either this or scale is given.
        scale: how many times as many, one number or one an axis, rounded down.
        interpolation: which: "nearest" takes position floor(i / scale) for i, "nearest-exact"
            floor((i + 1/2) / scale); with a size the scale is size / length.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.

    Places are worked out in float32, as in PyTorch, so that both take the same.
    """

    def __init__(
        self,
        size: Any = None,
        scale: Any = None,
        interpolation: str = "nearest",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (size is None) == (scale is None):
            given = f"size {size!r} and scale {scale!r}"
            raise ArgumentError(explain(self.where("size"), given, "one of size and scale"))
        where = self.where("size")
        self.size = None if size is None else arguments.sizes(size, self.rank, where)
        self.scale = None if scale is None else self._scales(scale)
        modes = ("nearest", "nearest-exact")
        self.interpolation = arguments.choice(interpolation, modes, self.where("interpolation"))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def _scales(self, value: Any) -> tuple[float, ...]:
        where = self.where("scale")
        each = value if isinstance(value, list | tuple) else [value] * self.rank
        numbers = [float(arguments.number(one, where, 1e-6, 1e6)) for one in each]
        if len(numbers) != self.rank:
            raise ArgumentError(explain(where, repr(value), f"one number, or {self.rank}"))
        return tuple(numbers)

    def build(self, input_shape: Any) -> None:
        self.check_rank(input_shape)

    def lengths_after(self, lengths: Any) -> tuple[Dim, ...]:
        """The spatial sizes that come out for these."""
        if self.size is not None:
            return self.size
        # The number that was written counts: 50 become 115 for 2.3, which as a float is below it.
        scales = (Fraction(scale).limit_denominator(10**6) for scale in self.scale or ())
        each = zip(lengths, scales, strict=True)
        return tuple(length * s.numerator // s.denominator for length, s in each)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape)
        lengths = symbolic((None, *self.spatial_of(input_shape)))[1:]
        spatial = unknown_as_none(self.lengths_after(lengths))
        return self.shape_with(input_shape[0], spatial, input_shape[self.channel_axis])

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        after = self.lengths_after(self.spatial_of(inputs.dims))
        for place, axis in enumerate(self.spatial_axes):
            inputs = self._taken(inputs, axis, after[place], place)
        return inputs

    def _taken(self, x: Tensor, axis: int, size: Dim, place: int) -> Tensor:
        length = x.dims[axis]
        if self.size is None and self.scale is not None and self.scale[place] % 1 == 0:
            return ops.repeat(x, int(self.scale[place]), axis)
        index = ops.cast(iota((size,), 0, "int32"), "float32")
        if self.scale is not None:
            step = ops.cast(1.0 / self.scale[place], "float32")
        else:
            step = as_tensor(length, "float32") / as_tensor(size, "float32")
        half = 0.5 if self.interpolation == "nearest-exact" else 0.0
        nearest = ops.cast(ops.floor((index + half) * step), "int32")
        return ops.take(x, ops.minimum(nearest, as_tensor(length - 1)), axis)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "size": self.size and list(self.size),
            "scale": self.scale and list(self.scale),
            "interpolation": self.interpolation,
            "data_format": self.data_format,
        }


class NearestResizing1D(BaseNearestResizing):
    """(batch, steps, channels) with any number of steps. See BaseNearestResizing."""

    rank = 1


class NearestResizing2D(BaseNearestResizing):
    """(batch, height, width, channels) with any numbers of them. See BaseNearestResizing."""

    rank = 2


class NearestResizing3D(BaseNearestResizing):
    """(batch, depth, height, width, channels) with any numbers. See BaseNearestResizing."""

    rank = 3
