"""Moving elements: reshape, transpose, join, pad, repeat; and shapes as values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from isoconv import dtypes
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.ops import show
from isoconv.ir.sizes import Dim, Shape, Size, product
from isoconv.ops.convert import as_tensor, change_dtype, expand_rank
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import node
from isoconv.ops.tensor import Tensor


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of x: numbers, or, inside a trace, sizes that compute (+ - * // and as shapes)."""
    return x.dims if isinstance(x, Tensor) else tuple(x.shape)


def ndim(x: Any) -> int:
    """The number of axes of x."""
    return len(shape(x))


def positive_axis(axis: int, rank: int, where: str) -> int:
    """The axis counted from the front; ArgumentError if there is none."""
    if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
        raise ArgumentError(
            explain(f"{where}: axis", axis, f"an integer from {-rank} to {rank - 1}")
        )
    return axis % rank


def positive_axes(axis: Any, rank: int, where: str) -> tuple[int, ...]:
    """Several axes, or all of them for None, in ascending order."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, list | tuple) else (axis,)
    found = [positive_axis(each, rank, where) for each in given]
    if len(set(found)) != len(found):
        raise ArgumentError(explain(f"{where}: axis", axis, "axes named once each"))
    return tuple(sorted(found))


@op
def reshape(x: Any, newshape: Any) -> Tensor:
    """The elements of x in row-major order, in the shape `newshape`.

    One size may be -1 and is worked out. ShapeError where the elements do not fill the shape.
    """
    x = as_tensor(x)
    wanted = (newshape,) if isinstance(newshape, int | Size) else tuple(newshape)
    return node("reshape", x, shape=_complete(x.dims, wanted))


def _complete(given: Shape, wanted: Sequence[Any]) -> Shape:
    open_ = [i for i, dim in enumerate(wanted) if isinstance(dim, int) and dim == -1]
    bad = [dim for dim in wanted if not isinstance(dim, Size) and not _size_or_open(dim)]
    if len(open_) > 1 or bad:
        raise ShapeError(explain("reshape", tuple(wanted), "sizes, of which one may be -1"))
    dims = [dim if isinstance(dim, Size) else int(dim) for dim in wanted]
    if open_:
        rest = product(dim for i, dim in enumerate(dims) if i != open_[0])
        total = product(given)
        quotient = total // rest if rest != 0 else 0
        if isinstance(quotient, int) and quotient * rest != total:
            raise ShapeError(
                explain("reshape", f"{show(given)} to {tuple(wanted)}", "sizes that divide")
            )
        dims[open_[0]] = quotient
    return tuple(dims)


def _size_or_open(dim: Any) -> bool:
    return hasattr(dim, "__index__") and not isinstance(dim, bool) and int(dim) >= -1


@op
def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axis axes[i] as axis i; without `axes` their order is turned round."""
    x = as_tensor(x)
    perm = tuple(axes) if axes is not None else tuple(reversed(range(x.ndim)))
    perm = tuple(positive_axis(axis, x.ndim, "transpose") for axis in perm)
    if sorted(perm) != list(range(x.ndim)):
        raise ShapeError(explain("transpose: axes", axes, f"each of {x.ndim} axes once"))
    return x if perm == tuple(range(x.ndim)) else node("transpose", x, perm=perm)


@op
def moveaxis(x: Any, source: int, destination: int) -> Tensor:
    """x with its axis `source` moved to the place `destination`; the others keep their order."""
    x = as_tensor(x)
    start = positive_axis(source, x.ndim, "moveaxis")
    perm = [axis for axis in range(x.ndim) if axis != start]
    perm.insert(positive_axis(destination, x.ndim, "moveaxis"), start)
    return transpose(x, perm)


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """x with `axis1` and `axis2` exchanged."""
    x = as_tensor(x)
    first, second = (positive_axis(axis, x.ndim, "swapaxes") for axis in (axis1, axis2))
    perm = list(range(x.ndim))
    perm[first], perm[second] = second, first
    return transpose(x, perm)


@op
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """x without axes of size 1.

    axis: one, several, or None for all of size 1. ShapeError where one has another size.
    """
    x = as_tensor(x)
    ones = [i for i, dim in enumerate(x.dims) if dim == 1]
    dropped = ones if axis is None else positive_axes(axis, x.ndim, "squeeze")
    if not set(dropped) <= set(ones):
        raise ShapeError(explain("squeeze", f"axis {axis} of {show(x.dims)}", "axes of size 1"))
    return node("reshape", x, shape=tuple(d for i, d in enumerate(x.dims) if i not in dropped))


@op
def expand_dims(x: Any, axis: Any) -> Tensor:
    """x with new axes of size 1, at the places `axis` (one or several) of the result."""
    x = as_tensor(x)
    count = len(axis) if isinstance(axis, list | tuple) else 1
    places = positive_axes(axis, x.ndim + count, "expand_dims")
    old = iter(x.dims)
    sizes = (1 if i in places else next(old) for i in range(x.ndim + count))
    return node("reshape", x, shape=tuple(sizes))


@op
def concatenate(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors `xs` one after the other along an axis; their other sizes are equal."""
    if not isinstance(xs, list | tuple) or not xs:
        raise ArgumentError(explain("concatenate", repr(xs), "a list of at least one tensor"))
    tensors = [as_tensor(x) for x in xs]
    dtype = reduce(dtypes.promote, (tensor.dtype for tensor in tensors))
    place = positive_axis(axis, tensors[0].ndim, "concatenate")
    return node("concat", *(change_dtype(tensor, dtype) for tensor in tensors), axis=place)


@op
def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors in x, of one shape, along a new axis at the place `axis` of the result."""
    return concatenate([expand_dims(each, axis) for each in x], axis)


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts of x along an axis of known size.

    indices_or_sections: the number of equal parts, or the positions where all but the first begin.
    ShapeError where the number does not divide the size.
    """
    x = as_tensor(x)
    place = positive_axis(axis, x.ndim, "split")
    length = x.dims[place]
    if not isinstance(length, int):
        raise ShapeError(explain("split", show(x.dims), f"a known size of axis {axis}"))
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or length % indices_or_sections:
            expected = f"a number that divides {length}"
            raise ShapeError(explain("split: sections", indices_or_sections, expected))
        width = length // indices_or_sections
        cuts = [i * width for i in range(indices_or_sections + 1)]
    else:
        cuts = [0, *indices_or_sections, length]
    parts = []
    for low, high in pairwise(cuts):
        key = [slice(None)] * x.ndim
        key[place] = slice(low, high)
        parts.append(x[tuple(key)])
    return parts


@op
def flip(x: Any, axis: Any = None) -> Tensor:
    """x in the opposite order along axes. axis: one, several, or None for all."""
    x = as_tensor(x)
    return node("reverse", x, axes=positive_axes(axis, x.ndim, "flip"))


@op
def broadcast_to(x: Any, shape: Sequence[Any]) -> Tensor:
    """x in a shape: repeated along new axes in front and along its axes of size 1."""
    wanted = tuple(shape)
    return node("broadcast", expand_rank(as_tensor(x), len(wanted)), shape=wanted)


@op
def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """Each element `repeats` times in a row along an axis; along the flat x without one."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    place = positive_axis(axis, x.ndim, "repeat")
    return _repeated(x, place, place + 1, repeats)


@op
def tile(x: Any, repeats: Any) -> Tensor:
    """The whole of x `repeats` times along each axis."""
    counts = tuple(repeats) if isinstance(repeats, list | tuple) else (repeats,)
    grown = as_tensor(x)
    grown = expand_rank(grown, max(grown.ndim, len(counts)))
    counts = (*(1,) * (grown.ndim - len(counts)), *counts)
    for axis, count in enumerate(counts):
        grown = _repeated(grown, axis, axis, count)
    return grown


def _repeated(x: Tensor, axis: int, place: int, count: Dim) -> Tensor:
    """A new axis of `count` copies at `place`, made one with the axis."""
    if count == 1:
        return x
    wide = list(x.dims)
    wide.insert(place, 1)
    grown = list(x.dims)
    grown.insert(place, count)
    final = list(x.dims)
    final[axis] = final[axis] * count
    spread = node("broadcast", node("reshape", x, shape=tuple(wide)), shape=tuple(grown))
    return node("reshape", spread, shape=tuple(final))
