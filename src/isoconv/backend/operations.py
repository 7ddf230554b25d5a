"""Keras 2's operations where their names or arguments differ from those of `isoconv.ops`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from isoconv import ops
from isoconv.errors import ShapeError, explain
from isoconv.ops import (
    abs,
    all,
    any,
    cast,
    clip,
    concatenate,
    cos,
    dot,
    elu,
    equal,
    exp,
    expand_dims,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    logsumexp,
    max,
    maximum,
    mean,
    min,
    minimum,
    not_equal,
    one_hot,
    ones_like,
    reshape,
    round,
    sigmoid,
    sign,
    sin,
    softmax,
    softplus,
    softsign,
    square,
    squeeze,
    stack,
    std,
    stop_gradient,
    sum,
    tanh,
    tile,
    transpose,
    var,
    zeros_like,
)
from isoconv.ops import power as pow

__all__ = [
    "abs",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "batch_flatten",
    "bias_add",
    "cast",
    "clip",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "cos",
    "depthwise_conv2d",
    "dot",
    "dropout",
    "elu",
    "equal",
    "exp",
    "expand_dims",
    "flatten",
    "gather",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "l2_normalize",
    "less",
    "less_equal",
    "log",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "not_equal",
    "one_hot",
    "ones_like",
    "permute_dimensions",
    "pool2d",
    "pool3d",
    "pow",
    "random_normal",
    "random_uniform",
    "relu",
    "repeat",
    "repeat_elements",
    "reshape",
    "reverse",
    "round",
    "separable_conv1d",
    "separable_conv2d",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "sum",
    "switch",
    "tanh",
    "tile",
    "transpose",
    "var",
    "zeros_like",
]

conv1d = conv2d = conv3d = ops.conv
separable_conv1d = separable_conv2d = ops.separable_conv
depthwise_conv2d = ops.depthwise_conv


def conv2d_transpose(
    x: Any,
    kernel: Any,
    output_shape: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """The transposed convolution, to outputs of the shape that strides and padding give;
    `output_shape` is taken for Keras' sake.
    """
    return ops.conv_transpose(x, kernel, strides, padding, None, data_format, dilation_rate)


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Any:
    """Pooling over windows. pool_mode: "max" or "avg"."""
    pool = ops.max_pool if pool_mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


pool3d = pool2d


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """x with one number of `bias` added to each channel."""
    shape = [1] * len(x.shape)
    shape[1 if data_format == "channels_first" else -1] = bias.shape[0]
    return ops.add(x, ops.reshape(bias, shape))


def sqrt(x: Any) -> Any:
    """The square root; 0 for negative numbers, as in Keras 2."""
    return ops.sqrt(ops.maximum(x, 0))


def hard_sigmoid(x: Any) -> Any:
    """x / 5 + 1/2 within 0 and 1: Keras 2's, which Keras 3 changed."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x from `threshold` on, at most `max_value`; `alpha` times what lies below the threshold."""
    above = ops.where(
        ops.greater_equal(x, threshold), x, ops.multiply(alpha, ops.subtract(x, threshold))
    )
    return above if max_value is None else ops.minimum(above, max_value)


def argmax(x: Any, axis: int = -1) -> Any:
    """Where the largest element stands."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Where the smallest element stands."""
    return ops.argmin(x, axis)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    """Numbers at equal steps."""
    return ops.arange(start, stop, step, dtype)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """The axes in another order."""
    return ops.transpose(x, pattern)


def flatten(x: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """All elements of each sample along one axis."""
    if None in x.shape[1:]:
        raise ShapeError(explain("batch_flatten", f"shape {x.shape}", "known sizes"))
    return ops.reshape(x, (-1, prod(x.shape[1:])))


def repeat(x: Any, n: int) -> Any:
    """(batch, features) as (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element along an axis `rep` times."""
    return ops.repeat(x, rep, axis)


def reverse(x: Any, axes: Any) -> Any:
    """The elements along these axes in opposite order."""
    return ops.flip(x, axes)


def gather(reference: Any, indices: Any) -> Any:
    """Rows of a table."""
    return ops.take(reference, indices, 0)


def l2_normalize(x: Any, axis: int | None = None) -> Any:
    """x divided by its length along an axis."""
    total = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-12)))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """The first where the condition holds, the second elsewhere; values, or functions of nothing
    that give them.
    """
    then, otherwise = (
        each() if callable(each) else each for each in (then_expression, else_expression)
    )
    return ops.where(condition, then, otherwise)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Any:
    """x with a share of `level` of its elements set to 0, the others made larger."""
    return ops.random.dropout(x, level, noise_shape, seed)


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution."""
    return ops.random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: int | None = None,
) -> Any:
    """Numbers of an even distribution."""
    return ops.random.uniform(shape, minval, maxval, dtype, seed)
