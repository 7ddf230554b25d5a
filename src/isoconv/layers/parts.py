"""Layers that some forms need and Keras has not: slices, patches, blocks of space, zeros between.

They have channels last and any number of spatial axes, one number an axis where they take numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.layers import arguments
from isoconv.layers.base import Layer
from isoconv.ops.tensor import Tensor


class Part(Layer):
    """A layer of numbers, one a spatial axis, named in `numbers`."""

    single_input = True
    numbers: tuple[str, ...]

    def __init__(self, *values: Sequence[int], **kwargs: Any) -> None:
        named = {name: kwargs.pop(name) for name in self.numbers if name in kwargs}
        super().__init__(**kwargs)
        given = dict(zip(self.numbers, values, strict=False)) | named
        for name in self.numbers:
            value = given.get(name)
            if not isinstance(value, list | tuple) or not all(map(arguments.is_integer, value)):
                expected = "a tuple of integers, one an axis"
                raise ArgumentError(explain(self.where(name), repr(value), expected))
            setattr(self, name, tuple(int(number) for number in value))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: list(getattr(self, name)) for name in self.numbers}


class Slice(Part):
    """`sizes` elements from `starts` on, of each axis but the batch; a size of -1 is all after."""

    numbers = ("starts", "sizes")
    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    def call(self, inputs: Tensor) -> Any:
        parts = [
            slice(start, None if size < 0 else start + size)
            for start, size in zip(self.starts, self.sizes, strict=True)
        ]
        return inputs[(slice(None), *parts)]


class Patches(Part):
    """The windows of a convolution without padding, each as one row of (tap, channel)."""

    numbers = ("size", "strides", "rates")
    size: tuple[int, ...]
    strides: tuple[int, ...]
    rates: tuple[int, ...]

    def call(self, inputs: Tensor) -> Any:
        lengths = inputs.dims[1:-1]
        each = list(zip(lengths, self.size, self.strides, self.rates, strict=True))
        outputs = [(length - (k - 1) * d - 1) // s + 1 for length, k, s, d in each]
        found = []
        for taps in product(*map(range, self.size)):
            starts = [tap * d for tap, d in zip(taps, self.rates, strict=True)]
            ends = [
                start + (count - 1) * s + 1
                for start, count, s in zip(starts, outputs, self.strides, strict=True)
            ]
            cut = map(slice, starts, ends, self.strides)
            found.append(inputs[(slice(None), *cut)])
        return ops.concatenate(found, axis=-1)


class SpaceToBatch(Part):
    """Every `rates`-th position of each axis as a sample of its own, zeros added to fill the last.

    (batch, L..., C) becomes (rates... * batch, ceil(L / rate)..., C).
    """

    numbers = ("rates",)
    rates: tuple[int, ...]

    def call(self, inputs: Tensor) -> Any:
        batch, *lengths, channels = inputs.dims
        counts = [-(-n // d) for n, d in zip(lengths, self.rates, strict=True)]
        more = [(0, count * d - n) for n, d, count in zip(lengths, self.rates, counts, strict=True)]
        x = ops.pad(inputs, [(0, 0), *more, (0, 0)])
        pairs = [each for pair in zip(counts, self.rates, strict=True) for each in pair]
        x = ops.reshape(x, (batch, *pairs, channels))
        rank = len(lengths)
        phases = [2 * i + 2 for i in range(rank)]
        x = ops.transpose(x, (*phases, 0, *(2 * i + 1 for i in range(rank)), 2 * rank + 1))
        total = batch
        for d in self.rates:
            total = total * d
        return ops.reshape(x, (total, *counts, channels))


class BatchToSpace(Part):
    """The opposite of SpaceToBatch; `sizes` positions are kept of each axis."""

    numbers = ("rates", "sizes")
    rates: tuple[int, ...]
    sizes: tuple[int, ...]

    def call(self, inputs: Tensor) -> Any:
        total, *counts, channels = inputs.dims
        rank = len(counts)
        batch = total
        for d in self.rates:
            batch = batch // d
        x = ops.reshape(inputs, (*self.rates, batch, *counts, channels))
        pairs = [place for i in range(rank) for place in (rank + 1 + i, i)]
        x = ops.transpose(x, (rank, *pairs, 2 * rank + 1))
        lengths = [count * d for count, d in zip(counts, self.rates, strict=True)]
        x = ops.reshape(x, (batch, *lengths, channels))
        return x[(slice(None), *(slice(0, size) for size in self.sizes))]


class ZeroStuffing(Part):
    """Zeros between neighbours, so that they stand `strides` apart."""

    numbers = ("strides",)
    strides: tuple[int, ...]

    def call(self, inputs: Tensor) -> Any:
        x = inputs
        for axis, stride in enumerate(self.strides, 1):
            length = x.dims[axis]
            wide = ops.expand_dims(x, axis + 1)
            spread = [(0, 0)] * wide.ndim
            spread[axis + 1] = (0, stride - 1)
            wide = ops.pad(wide, spread)
            shape = (*x.dims[:axis], length * stride, *x.dims[axis + 1 :])
            cut = [slice(None)] * x.ndim
            cut[axis] = slice(0, (length - 1) * stride + 1)
            x = ops.reshape(wide, shape)[tuple(cut)]
        return x
