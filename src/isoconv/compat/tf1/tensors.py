"""Operations of TensorFlow 1 on drawn tensors, by its names and arguments."""

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
    """The same elements in row-major order; one size may be -1 and is worked out."""
    return ops.reshape(tensor, shape)


def transpose(a: Any, perm: Any = None, name: str | None = None) -> Any:
    """The axes in another order."""
    return ops.transpose(a, perm)


def expand_dims(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """One more axis, of size 1."""
    return ops.expand_dims(input, axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Without axes of size 1."""
    return ops.squeeze(input, axis)


def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """Tensors joined along an axis."""
    return ops.concatenate(values, axis)


def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Tensors joined along a new axis."""
    return ops.stack(values, axis)


def reduce_sum(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The sum over axes, over all if none is named."""
    return ops.sum(input_tensor, axis, keepdims)


def reduce_mean(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The mean over axes."""
    return ops.mean(input_tensor, axis, keepdims)


def reduce_max(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The largest over axes."""
    return ops.max(input_tensor, axis, keepdims)


def reduce_min(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The smallest over axes."""
    return ops.min(input_tensor, axis, keepdims)
