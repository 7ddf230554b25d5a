"""Layers that make one tensor of several, and the same as functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.base import Layer
from isoconv.ops.shapes import positive_axis
from isoconv.ops.tensor import Tensor
from isoconv.settings import epsilon


class Merge(Layer):
    """Elements of several inputs of one shape made one, from the first input to the last.

    Inputs broadcast: axes of size 1 are repeated, and missing axes are added after the batch. A
    step of the output is present when it is in one of the inputs, if all have masks.
    """

    exactly: ClassVar[int | None] = None
    """How many inputs there must be, if not any number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(self.shapes(input_shape))

    def shapes(self, input_shape: Any) -> list[tuple[int | None, ...]]:
        """The shapes of the inputs; ShapeError where they are not several."""
        several = isinstance(input_shape, list | tuple) and all(
            isinstance(each, list | tuple) for each in input_shape
        )
        wanted = f"a list of {self.exactly or 'one or more'} inputs"
        if not several or not input_shape:
            raise ShapeError(explain("input", f"shape {input_shape}", wanted))
        if self.exactly is not None and len(input_shape) != self.exactly:
            raise ShapeError(explain("input", f"{len(input_shape)} inputs", wanted))
        return [tuple(each) for each in input_shape]

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Any:
        return self.merge(_one_rank(inputs))

    def check_mask(self, inputs: Any, mask: Any) -> None:
        masks.check_each(mask, inputs, self.where("mask"))

    def merge(self, inputs: list[Tensor]) -> Any:
        """The output, for inputs of one rank."""
        return reduce(self.pair, inputs)

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        """What two inputs become."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self.shapes(input_shape)
        rank = max(map(len, shapes))
        wide = [(*s[:1], *(1,) * (rank - len(s)), *s[1:]) for s in shapes]
        return tuple(self._size(sizes, shapes) for sizes in zip(*wide, strict=True))

    def _size(self, sizes: tuple[int | None, ...], shapes: Any) -> int | None:
        """The size that sizes of one axis broadcast to."""
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            given = f"shapes {', '.join(map(str, shapes))}"
            raise ShapeError(explain("input", given, "shapes that broadcast to one"))
        return known.pop() if known else None if None in sizes else 1

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return reduce(ops.logical_or, previous_mask)


class Add(Merge):
    """The sum of the inputs. See Merge."""

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        return ops.add(left, right)


class Subtract(Merge):
    """The first input less the second. See Merge."""

    exactly = 2

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        return ops.subtract(left, right)


class Average(Merge):
    """The mean of the inputs. See Merge."""

    def merge(self, inputs: list[Tensor]) -> Any:
        return reduce(ops.add, inputs) / len(inputs)


class Skipping(Merge):
    """A merge in which masked steps of an input count as if that input were not there."""

    neutral: ClassVar[float]
    """What changes nothing when it is merged."""

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Any:
        tensors = _one_rank(inputs)
        present = [
            None if m is None or m.ndim != x.ndim - 1 else ops.expand_dims(m, -1)
            for x, m in zip(tensors, mask or [None] * len(tensors), strict=True)
        ]
        merged = self.merge(
            [
                x if p is None else ops.where(p, x, self.neutral)
                for x, p in zip(tensors, present, strict=True)
            ]
        )
        found = [each for each in present if each is not None]
        if len(found) < len(tensors):
            return merged
        return ops.where(reduce(ops.logical_or, found), merged, self.absent(tensors[0]))

    def absent(self, first: Tensor) -> Any:
        """What stands where a step is masked in all inputs."""
        return first


class Multiply(Skipping):
    """The product of the inputs; 0 where all are masked. See Merge and Skipping."""

    neutral = 1.0

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        return ops.multiply(left, right)

    def absent(self, first: Tensor) -> Any:
        return 0.0


class Maximum(Skipping):
    """The largest of the inputs; the first where all are masked. See Merge and Skipping."""

    neutral = -math.inf

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        return ops.maximum(left, right)


class Minimum(Skipping):
    """The smallest of the inputs; the first where all are masked. See Merge and Skipping."""

    neutral = math.inf

    def pair(self, left: Tensor, right: Tensor) -> Tensor:
        return ops.minimum(left, right)


class Concatenate(Merge):
    """The inputs one after the other along an axis; the other axes are of equal size.

    An output step is present when it is in its input; inputs without a mask are present.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not arguments.is_integer(axis):
            raise ArgumentError(explain(self.where("axis"), repr(axis), "an integer"))
        self.axis = int(axis)

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Any:
        return ops.concatenate(list(inputs), self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self.shapes(input_shape)
        rank = len(shapes[0])
        place = positive_axis(self.axis, rank, "input")
        rest = [(*shape[:place], *shape[place + 1 :]) for shape in shapes]
        fitting = (len(set(sizes) - {None}) < 2 for sizes in zip(*rest, strict=False))
        if any(len(shape) != rank for shape in shapes) or not all(fitting):
            given = f"shapes {', '.join(map(str, shapes))}"
            raise ShapeError(explain("input", given, f"shapes equal in all but axis {self.axis}"))
        sizes = [shape[place] for shape in shapes]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return (*shapes[0][:place], total, *shapes[0][place + 1 :])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if previous_mask is None or all(mask is None for mask in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                masks.append(ops.ones_like(x, "bool"))
            else:
                wide = ops.expand_dims(mask, -1) if mask.ndim < x.ndim else mask
                masks.append(ops.logical_or(wide, ops.zeros_like(x, "bool")))
        return ops.any(ops.concatenate(masks, self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


class Dot(Merge):
    """Sums of products of two inputs over one axis of each, sample by sample.

    Inputs (batch, a, i) and (batch, i, b) with axes=(2, 1) give (batch, a, b).

    Args:
        axes: the axis of both, or a pair; not that of the batch.
        normalize: whether the inputs are brought to norm 1 along these axes, which gives cosines.
    """

    exactly = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = list(axes) if isinstance(axes, list | tuple) else [axes, axes]
        if len(pair) != 2 or not all(map(arguments.is_integer, pair)):
            raise ArgumentError(explain(self.where("axes"), repr(axes), "an integer or two"))
        self.axes = axes
        self.normalize = normalize

    def places(self, ranks: Sequence[int]) -> list[int]:
        """The axis of each input, counted from the front."""
        pair = self.axes if isinstance(self.axes, list | tuple) else [self.axes, self.axes]
        found = [positive_axis(a, rank, "axes") for a, rank in zip(pair, ranks, strict=True)]
        if 0 in found:
            raise ShapeError(explain("axes", self.axes, "axes other than the batch, 0"))
        return found

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Any:
        left, right = inputs
        first, second = self.places([left.ndim, right.ndim])
        if self.normalize:
            left, right = _unit(left, first), _unit(right, second)
        left, right = ops.moveaxis(left, first, -1), ops.moveaxis(right, second, 1)
        rows, columns = left.dims[1:-1], right.dims[2:]
        batch, inner = left.dims[0], left.dims[-1]
        product = ops.matmul(
            ops.reshape(left, (batch, math.prod(rows), inner)),
            ops.reshape(right, (right.dims[0], inner, math.prod(columns))),
        )
        return ops.reshape(product, (batch, *(rows + columns or (1,))))

    def compute_output_shape(self, input_shape: Any) -> Any:
        left, right = map(list, self.shapes(input_shape))
        first, second = self.places([len(left), len(right)])
        sizes = left.pop(first), right.pop(second)
        if None not in sizes and sizes[0] != sizes[1]:
            given = f"sizes {sizes[0]} and {sizes[1]} of the axes {self.axes}"
            raise ShapeError(explain("input", given, "equal sizes"))
        output = (*left, *right[1:])
        return output if len(output) > 1 else (*output, 1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "normalize": self.normalize}


def _one_rank(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs with axes of size 1 after the batch, where they have fewer axes than others."""
    rank = max(x.ndim for x in inputs)
    return [
        x if x.ndim == rank else ops.expand_dims(x, list(range(1, 1 + rank - x.ndim)))
        for x in inputs
    ]


def _unit(x: Tensor, axis: int) -> Tensor:
    """x over its norm along an axis; over epsilon where the norm is less."""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon() ** 2))


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The sum of the inputs."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The first of two inputs less the second."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The product of the inputs."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The mean of the inputs."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The largest of the inputs."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smallest of the inputs."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs one after the other along an axis."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any = -1, **kwargs: Any) -> Any:
    """Sums of products of two inputs over one axis of each, `axes`, sample by sample."""
    return Dot(axes, **kwargs)(inputs)
