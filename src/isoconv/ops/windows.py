"""Convolutions and pooling: Keras' arguments turned into the form and its axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv import settings
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir import geometry
from isoconv.ir.geometry import Axis
from isoconv.ir.ops import make, show
from isoconv.ir.sizes import Dim
from isoconv.ops.convert import align, as_float, as_tensor, change_dtype, constant
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import node
from isoconv.ops.shapes import reshape, transpose
from isoconv.ops.tensor import Tensor


@op
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution over as many axes as the kernel has before its last two.

    inputs: (batch, spatial..., channels), or channels second for the data_format "channels_first".
    kernel: (taps..., channels / groups, filters). strides, dilation_rate: in positions, one number
    or one an axis. padding: "valid", "same", "causal", or a pair (before, after) an axis.
    ShapeError where no window fits, or channels do not divide into groups.
    """
    x, w = _operands(inputs, kernel)
    rank = w.ndim - 2
    x = channels_last(x, data_format)
    check_rank("conv", x, rank)
    axes = window_axes(x, w.dims[:-2], strides, padding, dilation_rate)
    groups = _groups("conv", x.dims[-1], w.dims[-2], w.dims[-1])
    y = make("conv", x.node, w.node, face="y", axes=axes, groups=groups, sizes=x.dims[1:-1])
    return channels_back(Tensor(y), data_format)


@op
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Each channel by itself.

    kernel: (taps..., channels, multiplier); output channel c * multiplier + m. inputs, strides,
    padding, data_format, dilation_rate: as for conv.
    """
    w = as_tensor(kernel)
    *taps, channels, multiplier = w.dims
    grouped = reshape(w, (*taps, 1, channels * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """A depthwise convolution, then one of one tap that mixes the channels.

    depthwise_kernel: (taps..., channels, multiplier). pointwise_kernel: (1..., channels *
    multiplier, filters). inputs, strides, padding, data_format, dilation_rate: as for conv; strides
    and dilation are those of the first.
    """
    deep = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(deep, pointwise_kernel, data_format=data_format)


@op
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The transpose of a convolution: out[i * stride + k * dilation] += x[i] * w[k].

    kernel: (taps..., filters / groups, channels). padding: "valid" or "same", else ArgumentError.
    output_padding: positions added at the end, one number or one an axis; None: Keras' lengths,
    for "same" length * stride. inputs, strides, data_format, dilation_rate: as for conv.
    """
    y, w = _operands(inputs, kernel)
    rank = w.ndim - 2
    y = channels_last(y, data_format)
    check_rank("conv_transpose", y, rank)
    if y.dims[-1] != w.dims[-1]:
        raise ShapeError(explain("conv_transpose", f"{y.dims[-1]} channels", str(w.dims[-1])))
    axes, sizes = transpose_axes(
        y.dims[1:-1], w.dims[:-2], strides, padding, dilation_rate, output_padding
    )
    x = make("conv", w.node, y.node, face="x", axes=axes, groups=groups, sizes=sizes)
    return channels_back(Tensor(x), data_format)


@op
def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """The largest element of each window; absent ones do not count.

    pool_size: one number or one an axis. strides: pool_size by default. inputs, padding,
    data_format, dilation_rate: as for conv.
    """
    x = channels_last(as_tensor(inputs), data_format)
    axes = _pool_axes(x, pool_size, strides, padding, dilation_rate)
    return channels_back(node("pool_max", x, axes=axes), data_format)


@op
def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """The mean of each window's present elements: the form with ones, over their count.

    pool_size: one number or one an axis. strides: pool_size by default. inputs, padding,
    data_format, dilation_rate: as for conv.
    """
    x = channels_last(as_float(inputs), data_format)
    axes = _pool_axes(x, pool_size, strides, padding, dilation_rate)
    channels = x.dims[-1]
    total = _sum_windows(x, axes, channels)
    if all(axis.low == axis.high == 0 for axis in axes):
        count = constant(prod(axis.taps for axis in axes), x.dtype)
    else:
        count = _sum_windows(constant(1, x.dtype, (1, *x.dims[1:-1], 1)), axes, 1)
    return channels_back(total * (1.0 / count), data_format)


def _pool_axes(
    x: Tensor, pool_size: Any, strides: Any, padding: Any, dilation_rate: Any
) -> tuple[Axis, ...]:
    """The axes of pooling windows, which move by their own size unless strides are given."""
    pool = per_axis(pool_size, x.ndim - 2, "pool_size")
    return window_axes(x, pool, pool if strides is None else strides, padding, dilation_rate)


def _sum_windows(x: Tensor, axes: tuple[Axis, ...], channels: Any) -> Tensor:
    ones = constant(1, x.dtype, (*(axis.taps for axis in axes), 1, channels))
    attrs = {"face": "y", "axes": axes, "groups": channels, "sizes": x.dims[1:-1]}
    return Tensor(make("conv", x.node, ones.node, **attrs))


# -- geometry ---------------------------------------------------------------------------------


def per_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """A number of at least `least` for each axis, from one number or one an axis."""
    numbers = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    whole = all(isinstance(each, int | np.integer) and each >= least for each in numbers)
    if len(numbers) != rank or not whole:
        expected = f"an integer of at least {least}, or {rank} of them"
        raise ArgumentError(explain(name, repr(value), expected))
    return tuple(int(number) for number in numbers)


def mode(padding: Any, known: tuple[str, ...] = ("valid", "same", "causal")) -> str:
    """The padding's name in small letters; ArgumentError if it is none that is known."""
    name = padding.lower() if isinstance(padding, str) else padding
    if name not in known:
        expected = f"one of {', '.join(map(repr, known))}"
        raise ArgumentError(explain("padding", repr(padding), expected))
    return str(name)


def window_axes(
    x: Tensor, taps: Sequence[Any], strides: Any, padding: Any, dilation_rate: Any
) -> tuple[Axis, ...]:
    """The axes of windows over x, which has its channels last."""
    return spatial_axes(x.dims[1:-1], taps, strides, padding, dilation_rate)


def spatial_axes(
    lengths: Sequence[Dim], taps: Sequence[Any], strides: Any, padding: Any, dilation_rate: Any
) -> tuple[Axis, ...]:
    """The axes of windows over positions of these lengths; ShapeError where none fits.

    padding: a mode, or pairs (before, after).
    """
    rank = len(lengths)
    if not isinstance(padding, str) and (
        not isinstance(padding, list | tuple) or len(padding) != rank
    ):
        expected = f"a mode, or pairs (before, after) for {rank} axes"
        raise ArgumentError(explain("padding", repr(padding), expected))
    axes = []
    each = zip(
        lengths,
        taps,
        per_axis(strides, rank, "strides"),
        per_axis(dilation_rate, rank, "dilation_rate"),
        strict=True,
    )
    for place, (length, tap, stride, dilation) in enumerate(each):
        if isinstance(padding, str):
            low, high = geometry.padding(mode(padding), length, tap, stride, dilation)
        else:
            low, high = padding[place]
        axis = Axis(tap, stride, dilation, low, high)
        output = axis.output(length)
        if isinstance(output, int) and output <= 0:
            given = f"{length} positions on spatial axis {place}"
            least = 1 if padding == "same" else axis.span - low - high
            remedy = "" if least == 1 else "Use a smaller size or padding 'same'."
            sum_ = f"({length} + {low} + {high} - {axis.span}) // {stride} + 1 = {output}"
            expected = (
                f"at least {least} (size {tap}, dilation {dilation}, padding {padding!r}): "
                f"(length + before + after - span) // stride + 1 is {sum_}"
            )
            raise ShapeError(explain("window", given, expected, remedy))
        axes.append(axis)
    return tuple(axes)


def rounded_up(
    lengths: Sequence[Dim],
    taps: Sequence[int],
    strides: Sequence[int],
    pairs: Sequence[Sequence[Dim]],
    dilation_rate: Sequence[int],
) -> tuple[tuple[Dim, Dim], ...]:
    """Padding with which the windows reach the last position also where they do not end there.

    pairs: the padding (before, after) without that. No window starts after the last position.
    """
    each = zip(lengths, taps, strides, pairs, dilation_rate, strict=True)
    found: list[tuple[Dim, Dim]] = []
    for length, tap, stride, (low, high), dilation in each:
        more = geometry.overhang(length, Axis(tap, stride, dilation, low, high))
        found.append((low, high + more))
    return tuple(found)


def transpose_axes(
    lengths: Sequence[Dim],
    taps: Sequence[Any],
    strides: Any,
    padding: str,
    dilation_rate: Any,
    output_padding: Any,
) -> tuple[tuple[Axis, ...], tuple[Dim, ...]]:
    """The axes of the convolution that is transposed, and the sizes that come out."""
    rank = len(lengths)
    extra = (None,) * rank
    if output_padding is not None:
        extra = per_axis(output_padding, rank, "output_padding", 0)  # type: ignore[assignment]
    each = zip(
        lengths,
        taps,
        per_axis(strides, rank, "strides"),
        per_axis(dilation_rate, rank, "dilation_rate"),
        extra,
        strict=True,
    )
    axes, sizes = [], []
    for place, (length, tap, stride, dilation, more) in enumerate(each):
        name = mode(padding, ("valid", "same"))
        size, (low, high) = geometry.transpose(name, length, tap, stride, dilation, more)
        if isinstance(size, int) and size <= 0:
            given = f"{length} positions on spatial axis {place}"
            raise ShapeError(explain("window", given, "sizes that give an output of at least 1"))
        axes.append(Axis(tap, stride, dilation, low, high))
        sizes.append(size)
    return tuple(axes), tuple(sizes)


# -- data formats -----------------------------------------------------------------------------


def is_channels_first(data_format: str | None) -> bool:
    """Whether channels come second; None means the process-wide default."""
    return (data_format or settings.image_data_format()) == "channels_first"


def channels_last(x: Tensor, data_format: str | None) -> Tensor:
    """The tensor with its channels moved to the end, if they come second."""
    if not is_channels_first(data_format):
        return x
    return transpose(x, (0, *range(2, x.ndim), 1))


def channels_back(x: Tensor, data_format: str | None) -> Tensor:
    """The opposite of `channels_last`."""
    if not is_channels_first(data_format):
        return x
    return transpose(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def check_rank(where: str, x: Tensor, rank: int) -> None:
    if x.ndim != rank + 2:
        raise ShapeError(
            explain(where, f"a tensor of shape {show(x.dims)}", f"{rank + 2} dimensions")
        )


def _operands(inputs: Any, kernel: Any) -> tuple[Tensor, Tensor]:
    x, w = as_float(inputs), as_float(kernel)
    dtype = align(x, w)[0].dtype
    return change_dtype(x, dtype), change_dtype(w, dtype)


def _groups(where: str, channels: Any, inner: Any, filters: Any) -> int:
    if not isinstance(channels, int):
        raise ShapeError(explain(where, "an unknown number of channels", "a known one"))
    if channels % inner or filters % (channels // inner):
        given = f"{channels} channels and a kernel for {inner} of them with {filters} filters"
        raise ShapeError(explain(where, given, "channels and filters that divide into groups"))
    return int(channels // inner)
