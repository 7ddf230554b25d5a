"""Layers that add or take positions at the ends of spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.spatial import Spatial
from isoconv.ops.tensor import Tensor

Pairs = tuple[tuple[int, int], ...]


def pairs(value: Any, rank: int, where: str) -> Pairs:
    """(before, after) for each axis: from one number, one an axis, or a pair an axis."""
    entries = [value] * rank if arguments.is_integer(value) else _listed(value)
    if rank == 1 and len(entries) == 2 and all(map(arguments.is_integer, entries)):
        entries = [entries]
    found = [[each] * 2 if arguments.is_integer(each) else _listed(each) for each in entries]
    numbers = [number for pair in found for number in pair]
    whole = all(map(arguments.is_integer, numbers)) and min(numbers, default=0) >= 0
    fits = whole and max(numbers, default=0) <= arguments.LARGEST
    if not fits or [len(pair) for pair in found] != [2] * rank:
        each = f"from 0 to {arguments.LARGEST}"
        expected = f"an integer, or one or a pair (before, after) for each axis, {each}"
        raise ArgumentError(explain(where, repr(value), expected))
    return tuple((int(before), int(after)) for before, after in found)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []


class BaseEdges(Spatial):
    """A layer that adds or takes `amounts` of positions, (before, after) for each axis."""

    amounts: Pairs
    argument: str
    """The name of the argument that gives the amounts."""

    def __init__(self, value: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amounts = pairs(value, self.rank, self.where(self.argument))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    @property
    def given(self) -> Any:
        """The amounts as Keras has them: over one axis the pair itself."""
        return self.amounts[0] if self.rank == 1 else self.amounts

    @property
    def by_axis(self) -> Pairs:
        """The amounts of all axes, 0 for batch and channels."""
        spatial = dict(zip(self.spatial_axes, self.amounts, strict=True))
        return tuple(spatial.get(axis, (0, 0)) for axis in range(self.rank + 2))

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def resized(self, input_shape: Any, sign: int) -> Any:
        """A shape with the amounts added to its sizes, or taken for a sign of -1."""
        self.check_rank(input_shape)
        each = zip(input_shape, self.by_axis, strict=True)
        return tuple(None if d is None else d + sign * (low + high) for d, (low, high) in each)

    def get_config(self) -> dict[str, Any]:
        amounts: Any = [list(pair) for pair in self.amounts]
        return super().get_config() | {
            self.argument: amounts[0] if self.rank == 1 else amounts,
            "data_format": self.data_format,
        }


class BaseZeroPadding(BaseEdges):
    """Zeros around the input.

    Args:
        padding: how many: one number, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
    """

    argument = "padding"

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)
        self.padding = self.given

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        return ops.pad(inputs, self.by_axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.resized(input_shape, 1)


class BasePadding(BaseEdges):
    """Positions around the input, made of those within; Keras has zeros only.

    Args:
        padding: how many: one number, one an axis, or a pair (before, after) an axis.
        mode: "reflect" (mirrored at the outermost position), "symmetric" (mirrored with it),
            "replicate" (the outermost one again) or "circular" (those of the other end).
        data_format: "channels_last" or "channels_first"; None is the process-wide default.

    An axis must have as many positions as are taken, for "reflect" one more.
    """

    argument = "padding"

    def __init__(
        self,
        padding: Any = 1,
        mode: str = "reflect",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(padding, data_format, **kwargs)
        self.padding = self.given
        self.mode = arguments.choice(mode, tuple(_NUMPY_MODES), self.where("mode"))

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        return ops.pad(inputs, self.by_axis, _NUMPY_MODES[self.mode])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.resized(input_shape, 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mode": self.mode}


_NUMPY_MODES = {
    "reflect": "reflect",
    "symmetric": "symmetric",
    "replicate": "edge",
    "circular": "wrap",
}


class BaseCropping(BaseEdges):
    """The input without positions at its ends.

    Args:
        cropping: how many: one number, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
    """

    argument = "cropping"

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)
        self.cropping = self.given

    def call(self, inputs: Tensor) -> Tensor:
        self.check_rank(inputs.shape)
        # Unlike a slice this says so where a length that is known at run time only is too short.
        return ops.pad(inputs, [(-low, -high) for low, high in self.by_axis])

    def compute_output_shape(self, input_shape: Any) -> Any:
        result = self.resized(input_shape, -1)
        if any(result[axis] is not None and result[axis] < 1 for axis in self.spatial_axes):
            given = f"shape {tuple(input_shape)}"
            wanted = f"more positions than are cropped, {self.given}"
            raise ShapeError(explain(self.where("input"), given, wanted))
        return result


class ZeroPadding1D(BaseZeroPadding):
    """Zeros around (batch, steps, channels). See BaseZeroPadding."""

    rank = 1


class ZeroPadding2D(BaseZeroPadding):
    """Zeros around (batch, height, width, channels). See BaseZeroPadding."""

    rank = 2


class ZeroPadding3D(BaseZeroPadding):
    """Zeros around (batch, depth, height, width, channels). See BaseZeroPadding."""

    rank = 3


class Padding1D(BasePadding):
    """More positions around (batch, steps, channels). See BasePadding."""

    rank = 1


class Padding2D(BasePadding):
    """More positions around (batch, height, width, channels). See BasePadding."""

    rank = 2


class Padding3D(BasePadding):
    """More positions around (batch, depth, height, width, channels). See BasePadding."""

    rank = 3


class Cropping1D(BaseCropping):
    """(batch, steps, channels) without its ends. See BaseCropping.

    Keras' has no `data_format` and is of channels that come last, whatever the default.
    """

    rank = 1

    def __init__(
        self, cropping: Any = 1, data_format: str | None = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return without_default_format(super().get_config())


class Cropping2D(BaseCropping):
    """(batch, height, width, channels) without its edges. See BaseCropping.

    As in Keras nothing is cropped where nothing is said.
    """

    rank = 2

    def __init__(self, cropping: Any = 0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(BaseCropping):
    """(batch, depth, height, width, channels) without its faces. See BaseCropping."""

    rank = 3


def without_default_format(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a layer whose `data_format` Keras does not know, as Keras can read it."""
    if config["data_format"] == "channels_last":
        del config["data_format"]
    return config
