"""Sums, means, extremes over axes; sizes may be unknown until run time."""

from __future__ import annotations

from typing import Any

from isoconv.ir.sizes import product
from isoconv.ir.verify import at_least
from isoconv.ops.convert import as_float, as_tensor, change_dtype
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import cast, exp, isfinite, log, node, sqrt, square, where
from isoconv.ops.gradients import stop_gradient
from isoconv.ops.recorder import current
from isoconv.ops.shapes import positive_axes, positive_axis, reshape
from isoconv.ops.tensor import Tensor


def _reduce(name: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    axes = positive_axes(axis, x.ndim, name)
    result = node(name, x, axes=axes) if axes else x
    return result if keepdims else drop(result, axes)


def largest(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """The largest, and the lowest number of the dtype where there is nothing."""
    return _reduce("reduce_max", x, axis, keepdims)


def require_elements(x: Tensor, axis: Any, name: str) -> None:
    """The axes must not be empty: ShapeError where they are known to be, else a check at run time.

    name: what asks, in the error's words.
    """
    axes = positive_axes(axis, x.ndim, name)
    count = product(x.dims[i] for i in axes)
    expected = f"an element or more along {', '.join(f'axis {axis}' for axis in axes)}"
    check = at_least(count, 1, name, ("the shape ", x.dims), expected)
    current().required.append(check)


def drop(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Without these axes, which have size 1."""
    if not axes:
        return x
    return node("reshape", x, shape=tuple(d for i, d in enumerate(x.dims) if i not in axes))


def _countable(x: Any) -> Tensor:
    tensor = as_tensor(x)
    return change_dtype(tensor, "int32") if tensor.dtype == "bool" else tensor


@op
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum of x over axes, or over all; 0 of nothing.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    return _reduce("reduce_sum", _countable(x), axis, keepdims)


@op
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest of x over axes, or over all.

    axis: one, several, or None for all. keepdims: they stay, with size 1. Of nothing there is no
    largest: ShapeError.
    """
    x = _countable(x)
    require_elements(x, axis, "max")
    return largest(x, axis, keepdims)


@op
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest of x over axes, or over all.

    axis: one, several, or None for all. keepdims: they stay, with size 1. Of nothing there is no
    smallest: ShapeError.
    """
    x = _countable(x)
    require_elements(x, axis, "min")
    return node("neg", largest(node("neg", x), axis, keepdims))


@op
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean of x over axes, or over all, in floats.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    x = as_float(x)
    count = product(x.dims[i] for i in positive_axes(axis, x.ndim, "mean"))
    return sum(x, axis, keepdims) / as_tensor(count, x.dtype)


@op
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance of x over axes: the mean square distance from the mean, nothing corrected.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    x = as_float(x)
    return mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)


@op
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation of x over axes: the square root of its variance.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    return sqrt(var(x, axis, keepdims))


@op
def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The mean and the variance of x over `axes`: one, several, or None for all.

    keepdims: the axes stay, with size 1.
    """
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@op
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether an element of x holds, that is, is not 0; of nothing none does.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    return largest(_countable(cast(x, "bool")), axis, keepdims) > 0


@op
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether each element of x holds, that is, is not 0; of nothing each does.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    return largest(_countable(node("not", cast(x, "bool"))), axis, keepdims) <= 0


@op
def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """How many elements of x are not 0.

    axis: one, several, or None for all.
    """
    return sum(cast(x, "bool"), axis)


@op
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first maximum of x stands along an axis, or in the flat x for None; int32.

    keepdims: the axis stays, with size 1. Of nothing there is no maximum: ShapeError.
    """
    return _place_of_largest(_countable(x), axis, keepdims, "argmax")


@op
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first minimum of x stands along an axis, or in the flat x for None; int32.

    keepdims: the axis stays, with size 1. Of nothing there is no minimum: ShapeError.
    """
    return _place_of_largest(node("neg", _countable(x)), axis, keepdims, "argmin")


def _place_of_largest(x: Tensor, axis: int | None, keepdims: bool, where: str) -> Tensor:
    require_elements(x, axis, where)
    if axis is None:
        flat = node("argmax", reshape(x, (-1,)), axis=0)
        return reshape(flat, (1,) * x.ndim if keepdims else ())
    place = positive_axis(axis, x.ndim, where)
    result = node("argmax", x, axis=place)
    return result if keepdims else drop(result, (place,))


@op
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over axes, without overflow.

    axis: one, several, or None for all. keepdims: they stay, with size 1.
    """
    x = as_float(x)
    top = largest(x, axis, keepdims=True)
    top = stop_gradient(where(isfinite(top), top, 0.0))
    result = log(sum(exp(x - top), axis, keepdims=True)) + top
    return result if keepdims else drop(result, positive_axes(axis, x.ndim, "logsumexp"))
