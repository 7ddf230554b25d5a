"""Operations of TensorFlow 1 on drawn tensors, by its names and arguments; `name` is not used."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.ops import (
    abs,
    add,
    cast,
    divide,
    exp,
    log,
    matmul,
    maximum,
    minimum,
    multiply,
    sigmoid,
    sqrt,
    square,
    subtract,
    tanh,
)

__all__ = [
    "abs",
    "add",
    "cast",
    "concat",
    "divide",
    "exp",
    "expand_dims",
    "log",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_sum",
    "reshape",
    "sigmoid",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "tanh",
    "transpose",
]


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The elements of `tensor` in another shape, in row-major order; one size may be -1."""
    return ops.reshape(tensor, shape)


def transpose(a: Any, perm: Any = None, name: str | None = None) -> Any:
    """The axes of `a` in the order `perm`; reversed if left out."""
    return ops.transpose(a, perm)


def expand_dims(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """`input` with one more axis, of size 1."""
    return ops.expand_dims(input, axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """`input` without axes of size 1; axis: only these."""
    return ops.squeeze(input, axis)


def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """The tensors `values` joined along an axis."""
    return ops.concatenate(values, axis)


def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """The tensors `values` joined along a new axis."""
    return ops.stack(values, axis)


def reduce_sum(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The sum of `input_tensor` over axis, over all if none is named; keepdims: with size 1."""
    return ops.sum(input_tensor, axis, keepdims)


def reduce_mean(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The mean of `input_tensor`; axis, keepdims: as for `reduce_sum`."""
    return ops.mean(input_tensor, axis, keepdims)


def reduce_max(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The largest of `input_tensor`; axis, keepdims: as for `reduce_sum`."""
    return ops.max(input_tensor, axis, keepdims)


def reduce_min(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The smallest of `input_tensor`; axis, keepdims: as for `reduce_sum`."""
    return ops.min(input_tensor, axis, keepdims)
