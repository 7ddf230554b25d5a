"""Layers that move elements about: padding, cropping, repeating, flattening, permuting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.base import Layer
from isoconv.layers.windowed import Windowed
from isoconv.ops.tensor import Tensor

Pairs = tuple[tuple[int, int], ...]


def pairs(value: Any, rank: int, where: str) -> Pairs:
    """(before, after) for each axis: from one number, one an axis, or a pair an axis."""
    if arguments.is_integer(value):
        value = (value,) * rank
    expected = "an integer, or one or a pair (before, after) for each axis, none negative"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ArgumentError(explain(where, repr(value), expected))
    entries = list(value)
    if rank == 1 and len(entries) == 2 and all(map(arguments.is_integer, entries)):
        entries = [tuple(entries)]
    if len(entries) != rank:
        raise ArgumentError(explain(where, repr(value), expected))
    found = []
    for entry in entries:
        both = (entry, entry) if arguments.is_integer(entry) else entry
        found.append(arguments.sizes(both, 2, where, allow_zero=True))
    return tuple((before, after) for before, after in found)


class BaseEdges(Windowed):
    """A layer that adds or takes positions at both ends of each spatial axis."""

    sign: int
    """1 where the amounts are added, -1 where they are taken."""
    argument: str
    """The name of the argument that gives the amounts."""

    def _set_amounts(self, value: Any, data_format: str | None) -> None:
        self.amounts = pairs(value, self.rank, self.where(self.argument))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        channels = self.channels_of(input_shape)
        spatial = []
        for length, (before, after) in zip(self.spatial_of(input_shape), self.amounts, strict=True):
            new = None if length is None else length + self.sign * (before + after)
            if new is not None and new <= 0:
                given = f"shape {tuple(input_shape)}"
                wanted = f"more than {before + after} positions to crop"
                raise ShapeError(explain("input", given, wanted))
            spatial.append(new)
        return self.shape_with(input_shape[0], spatial, channels)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Steps come and go: the input's mask does not fit any more."""

    def get_config(self) -> dict[str, Any]:
        amounts: Any = [list(pair) for pair in self.amounts]
        config = {self.argument: amounts[0] if self.rank == 1 else amounts}
        if self.rank > 1:
            config["data_format"] = self.data_format
        return super().get_config() | config


class BaseZeroPadding(BaseEdges):
    """Zeros around the input.

    Args:
        padding: how many: one number, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
    """

    sign = 1
    argument = "padding"

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_amounts(padding, data_format)

    def call(self, inputs: Tensor) -> Tensor:
        amounts = iter(self.amounts)
        around = [
            (0, 0) if axis in (0, self.channel_axis) else next(amounts)
            for axis in range(self.rank + 2)
        ]
        return ops.pad(inputs, around)


class BaseCropping(BaseEdges):
    """The input without positions at its ends.

    Args:
        cropping: how many: one number, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
    """

    sign = -1
    argument = "cropping"

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_amounts(cropping, data_format)

    def call(self, inputs: Tensor) -> Tensor:
        amounts = iter(self.amounts)
        index = []
        for axis in range(self.rank + 2):
            before, after = (0, 0) if axis in (0, self.channel_axis) else next(amounts)
            index.append(slice(before, -after if after else None))
        return inputs[tuple(index)]


class BaseUpSampling(Windowed):
    """Each position repeated.

    Args:
        size: how often, one number or one an axis.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
        interpolation: "nearest".
    """

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = arguments.sizes(size, self.rank, self.where("size"))
        self.data_format = arguments.data_format(data_format, self.where("data_format"))
        where = self.where("interpolation")
        self.interpolation = arguments.choice(interpolation, ("nearest",), where)

    def build(self, input_shape: Any) -> None:
        self.channels_of(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        repeats = iter(self.size)
        for axis in range(1, self.rank + 2):
            if axis != self.channel_axis:
                inputs = ops.repeat(inputs, next(repeats), axis=axis)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        channels = self.channels_of(input_shape)
        each = zip(self.spatial_of(input_shape), self.size, strict=True)
        spatial = [None if length is None else length * times for length, times in each]
        return self.shape_with(input_shape[0], spatial, channels)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if previous_mask is None or self.rank > 1:
            return None
        return ops.repeat(previous_mask, self.size[0], axis=1)

    def get_config(self) -> dict[str, Any]:
        size = self.size[0] if self.rank == 1 else list(self.size)
        config: dict[str, Any] = {"size": size}
        if self.rank > 1:
            config["data_format"] = self.data_format
        if self.rank == 2:
            config["interpolation"] = self.interpolation
        return super().get_config() | config


class ZeroPadding1D(BaseZeroPadding):
    """Zeros around (batch, steps, channels). See BaseZeroPadding."""

    rank = 1


class ZeroPadding2D(BaseZeroPadding):
    """Zeros around (batch, height, width, channels). See BaseZeroPadding."""

    rank = 2


class ZeroPadding3D(BaseZeroPadding):
    """Zeros around (batch, depth, height, width, channels). See BaseZeroPadding."""

    rank = 3


class Cropping1D(BaseCropping):
    """(batch, steps, channels) without its ends. See BaseCropping."""

    rank = 1


class Cropping2D(BaseCropping):
    """(batch, height, width, channels) without its edges. See BaseCropping."""

    rank = 2


class Cropping3D(BaseCropping):
    """(batch, depth, height, width, channels) without its faces. See BaseCropping."""

    rank = 3


class UpSampling1D(BaseUpSampling):
    """(batch, steps, channels) with steps repeated. See BaseUpSampling."""

    rank = 1


class UpSampling2D(BaseUpSampling):
    """(batch, height, width, channels) with rows and columns repeated. See BaseUpSampling."""

    rank = 2


class UpSampling3D(BaseUpSampling):
    """(batch, depth, height, width, channels) with positions repeated. See BaseUpSampling."""

    rank = 3


class Flatten(Layer):
    """All axes but the batch as one.

    Args:
        data_format: for "channels_first" the channels are moved to the end first, so that the
            order of the result is the same in both formats.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 1:
            return ops.expand_dims(inputs, -1)
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.shape[0] or -1, *_flat(inputs)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


def _flat(x: Tensor) -> tuple[Any, ...]:
    """The size of all axes but the first."""
    return (math.prod(x.dims[1:]),)


class Reshape(Layer):
    """The same elements in another shape.

    Args:
        target_shape: without the batch; -1 once, for what is left.
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        target = tuple(target_shape)
        if not all(map(arguments.is_integer, target)) or any(
            size < 1 and size != -1 for size in target
        ):
            expected = "sizes of at least 1, or -1"
            raise ArgumentError(explain(self.where("target_shape"), repr(target_shape), expected))
        if target.count(-1) > 1:
            raise ArgumentError(
                explain(self.where("target_shape"), repr(target), "-1 at most once")
            )
        self.target_shape = tuple(int(size) for size in target)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        known = [size for size in self.target_shape if size != -1]
        missing = math.prod(inputs.dims[1:]) // math.prod(known)
        target = (missing if size == -1 else size for size in self.target_shape)
        return ops.reshape(inputs, (inputs.dims[0], *target))

    def compute_output_shape(self, input_shape: Any) -> Any:
        rest = input_shape[1:]
        if None in rest:
            return (input_shape[0], *(None if s == -1 else s for s in self.target_shape))
        total = math.prod(rest)
        known = math.prod(size for size in self.target_shape if size != -1)
        fits = total % known == 0 if -1 in self.target_shape else total == known
        if not fits:
            given = f"{total} elements of shape {tuple(rest)}"
            raise ShapeError(explain("target_shape", given, f"as many as {self.target_shape} has"))
        missing = total // known
        return (input_shape[0], *(missing if s == -1 else s for s in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_shape": list(self.target_shape)}


class Permute(Layer):
    """The axes in another order.

    Args:
        dims: where each axis comes from, counted from 1; the batch stays first.
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            expected = "the numbers from 1 to the number of axes, each once"
            raise ArgumentError(explain(self.where("dims"), repr(dims), expected))

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        if len(input_shape) != len(self.dims) + 1:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain("input", given, f"{len(self.dims) + 1} dimensions"))
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dims": list(self.dims)}


class RepeatVector(Layer):
    """(batch, channels) repeated n times: (batch, n, channels)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = arguments.count(n, self.where("n"))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if len(input_shape) != 2:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain("input", given, "2 dimensions (batch, channels)"))
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n}
