"""Layers that give the same elements another shape or order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.base import Layer
from isoconv.ops.tensor import Tensor


class Flatten(Layer):
    """All axes but the batch as one.

    Args:
        data_format: for "channels_first" the channels are moved to the end first, so that the
            order of the result is the same in both formats.
    """

    single_input = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.dims[0], math.prod(inputs.dims[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        input_shape = arguments.input_shape(input_shape, self.where("input"), 1)
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


class Reshape(Layer):
    """The same elements in another shape.

    Args:
        target_shape: without the batch; -1 once, for what is left.
    """

    single_input = True

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = tuple(target_shape) if hasattr(target_shape, "__iter__") else (None,)
        whole = all(map(arguments.is_integer, sizes))
        if not whole or sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
            expected = "a tuple of sizes of at least 1, and -1 at most once"
            raise ArgumentError(explain(self.where("target_shape"), repr(target_shape), expected))
        self.target_shape = tuple(int(size) for size in sizes)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)
        known = math.prod(size for size in self.target_shape if size != -1)
        left = math.prod(inputs.dims[1:]) // known
        target = (left if size == -1 else size for size in self.target_shape)
        return ops.reshape(inputs, (inputs.dims[0], *target))

    def compute_output_shape(self, input_shape: Any) -> Any:
        input_shape = arguments.input_shape(input_shape, self.where("input"), 1)
        rest = input_shape[1:]
        if None in rest:
            return (input_shape[0], *(None if s == -1 else s for s in self.target_shape))
        total = math.prod(rest)
        known = math.prod(size for size in self.target_shape if size != -1)
        fits = total % known == 0 if -1 in self.target_shape else total == known
        if not fits:
            given = f"{total} elements of shape {tuple(rest)}"
            where = self.where("target_shape")
            raise ShapeError(explain(where, given, f"as many as {self.target_shape} has"))
        return (input_shape[0], *(total // known if s == -1 else s for s in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_shape": list(self.target_shape)}


class Permute(Layer):
    """The axes in another order.

    Args:
        dims: where each axis comes from, counted from 1; the batch stays first.
    """

    single_input = True

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = tuple(dims) if hasattr(dims, "__iter__") else ()
        whole = all(map(arguments.is_integer, axes))
        if not axes or not whole or sorted(axes) != list(range(1, len(axes) + 1)):
            expected = "the numbers from 1 to the number of axes, each once"
            raise ArgumentError(explain(self.where("dims"), repr(dims), expected))
        self.dims = tuple(int(axis) for axis in axes)

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        input_shape = arguments.input_shape(input_shape, self.where("input"))
        if len(input_shape) != len(self.dims) + 1:
            given = f"shape {tuple(input_shape)}"
            wanted = f"{len(self.dims) + 1} dimensions"
            raise ShapeError(explain(self.where("input"), given, wanted))
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dims": list(self.dims)}


class RepeatVector(Layer):
    """(batch, channels) repeated n times: (batch, n, channels)."""

    single_input = True

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = arguments.count(n, self.where("n"))

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        input_shape = arguments.input_shape(input_shape, self.where("input"))
        if len(input_shape) != 2:
            given = f"shape {tuple(input_shape)}"
            wanted = "2 dimensions (batch, channels)"
            raise ShapeError(explain(self.where("input"), given, wanted))
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n}
