"""Tensors made from nothing but a shape."""

from __future__ import annotations

from typing import Any

from isoconv import dtypes, settings
from isoconv.ir.ops import make
from isoconv.ir.sizes import Shape, Size
from isoconv.ops.convert import align, as_tensor, change_dtype, constant, expand_rank
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import node
from isoconv.ops.tensor import Tensor


def standard_shape(shape: Any) -> Shape:
    """A shape as a tuple; one number is a shape too."""
    return (shape,) if isinstance(shape, int | Size) else tuple(shape)


def iota(shape: Shape, axis: int, dtype: str) -> Tensor:
    """The index along an axis."""
    return Tensor(make("iota", axis=axis, shape=shape, dtype=dtype))


@op
def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """x as a tensor, in `dtype` if one is given."""
    return as_tensor(x) if dtype is None else change_dtype(as_tensor(x), dtype)


@op
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """The number or tensor `fill_value` everywhere in a shape.

    dtype: by default floatx() for a number, and its own for a tensor.
    """
    dims = standard_shape(shape)
    if isinstance(fill_value, bool | int | float):
        name = dtypes.standardize(dtype or settings.floatx(), "full: dtype")
        return constant(fill_value, name, dims)
    value = expand_rank(as_tensor(fill_value), len(dims))
    value = value if dtype is None else change_dtype(value, dtype)
    return node("broadcast", value, shape=dims)


@op
def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """0 everywhere in a shape; dtype: floatx() by default."""
    return full(shape, 0.0, dtype)


@op
def ones(shape: Any, dtype: Any = None) -> Tensor:
    """1 everywhere in a shape; dtype: floatx() by default."""
    return full(shape, 1.0, dtype)


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value` everywhere, in the shape of x; dtype: that of x by default."""
    like = as_tensor(x)
    return full(like.dims, fill_value, dtype or like.dtype)


@op
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """0 everywhere, in the shape of x; dtype: that of x by default."""
    return full_like(x, 0.0, dtype)


@op
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """1 everywhere, in the shape of x; dtype: that of x by default."""
    return full_like(x, 1.0, dtype)


@op
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers from `start` up to but without `stop`, by `step`, as range counts.

    With one bound it is `stop`, and they start from 0. Sizes may be ops.shape's. dtype: int32 by
    default, floatx() where a float is given.
    """
    if stop is None:
        start, stop = 0, start
    count = -((start - stop) // step)
    floats = any(isinstance(part, float) for part in (start, stop, step))
    name = dtypes.standardize(dtype or (settings.floatx() if floats else "int32"), "arange: dtype")
    index = iota((count if isinstance(count, Size) else max(int(count), 0),), 0, name)
    stepped = node("mul", *align(index, step))
    return node("add", *align(stepped, start))


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix of N rows and M columns (N by default): 1 on the k-th diagonal, 0 elsewhere.

    k: 0 for the main diagonal, above it positive. dtype: floatx() by default.
    """
    columns = N if M is None else M
    row = iota((N, 1), 0, "int32")
    column = iota((1, columns), 1, "int32")
    shifted = node("add", *align(row, k))
    name = dtypes.standardize(dtype or settings.floatx(), "eye: dtype")
    return change_dtype(node("eq", *align(shifted, column)), name)
