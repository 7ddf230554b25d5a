"""Keras 2's operations where their names or arguments differ from those of `isoconv.ops`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
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
    """The transposed convolution of x, to outputs of the shape that strides and padding give.

    kernel: (rows, columns, filters, channels). `output_shape` is taken for Keras' sake. strides,
    padding, data_format, dilation_rate: as for `isoconv.ops.conv_transpose`.
    """
    return ops.conv_transpose(x, kernel, strides, padding, None, data_format, dilation_rate)


_POOLS = {"max": ops.max_pool, "avg": ops.average_pool}


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Any:
    """Pooling over windows of x. pool_mode: "max" or "avg", else ArgumentError.

    pool_size, strides, padding, data_format: as for `isoconv.ops.max_pool`.
    """
    if pool_mode not in _POOLS:
        raise ArgumentError(explain("pool_mode", repr(pool_mode), "'max' or 'avg'"))
    return _POOLS[pool_mode](x, pool_size, strides, padding, data_format)


pool3d = pool2d


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """x with one number of `bias` added to each channel; data_format says where they are."""
    shape = [1] * len(x.shape)
    shape[1 if data_format == "channels_first" else -1] = bias.shape[0]
    return ops.add(x, ops.reshape(bias, shape))


def sqrt(x: Any) -> Any:
    """The square root of x; 0 for negative numbers, as in Keras 2."""
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
    """Where the largest element of x stands along an axis."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Where the smallest element of x stands along an axis."""
    return ops.argmin(x, axis)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    """Numbers from `start` up to but without `stop`, by `step`; with one bound, from 0 up to it.

    dtype: of the numbers.
    """
    return ops.arange(start, stop, step, dtype)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """x with its axis pattern[i] as axis i."""
    return ops.transpose(x, pattern)


def flatten(x: Any) -> Any:
    """All elements of x along one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """All elements of each sample of x along one axis; ShapeError if their number is not known."""
    if None in x.shape[1:]:
        raise ShapeError(explain("batch_flatten", f"shape {x.shape}", "known sizes"))
    return ops.reshape(x, (-1, prod(x.shape[1:])))


def repeat(x: Any, n: int) -> Any:
    """x, of the shape (batch, features), as (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element of x along an axis `rep` times."""
    return ops.repeat(x, rep, axis)


def reverse(x: Any, axes: Any) -> Any:
    """The elements of x along these axes in opposite order."""
    return ops.flip(x, axes)


def gather(reference: Any, indices: Any) -> Any:
    """The rows of the table `reference` that the integers `indices` name."""
    return ops.take(reference, indices, 0)


def l2_normalize(x: Any, axis: int | None = None) -> Any:
    """x divided by its length along an axis."""
    total = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-12)))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """`then_expression` where the condition holds, `else_expression` elsewhere.

    Both are values, or functions of nothing that give them; both are computed.
    """
    then, otherwise = (
        each() if callable(each) else each for each in (then_expression, else_expression)
    )
    return ops.where(condition, then, otherwise)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Any:
    """x with a share of `level` of its elements set to 0, the others made larger.

    noise_shape: the shape of the choices, 1 where they are shared along an axis. seed: an integer,
    for the same choices each time.
    """
    return ops.random.dropout(x, level, noise_shape, seed)


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution, in a shape. mean, stddev: its centre and width.

    dtype: floatx() by default. seed: an integer, for the same numbers each time.
    """
    return ops.random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: int | None = None,
) -> Any:
    """Numbers evenly between `minval` and `maxval`, in a shape.

    dtype: floatx() by default. seed: an integer, for the same numbers each time.
    """
    return ops.random.uniform(shape, minval, maxval, dtype, seed)
