"""Picking elements: slices as NumPy writes them, rows by number, one-hot vectors."""

from __future__ import annotations

from typing import Any

from isoconv import dtypes, settings
from isoconv.errors import ArgumentError, DtypeError, ShapeError, explain
from isoconv.ir.ops import make, show
from isoconv.ir.sizes import Dim, Size, maximum, minimum
from isoconv.ops.convert import as_tensor, change_dtype
from isoconv.ops.create import iota
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import equal, less, node, where
from isoconv.ops.shapes import expand_dims, moveaxis, positive_axis, reshape
from isoconv.ops.tensor import Tensor


@op
def getitem(x: Any, key: Any) -> Tensor:
    """x[key] with integers, slices, None, an ellipsis, or one tensor of row numbers."""
    x = as_tensor(x)
    if isinstance(key, Tensor) or hasattr(key, "shape"):
        return take(x, key, axis=0)
    # A tuple that went through JSON is a list.
    keys = list(key) if isinstance(key, list | tuple) else [key]
    for each in keys:
        if not (each is None or each is ... or isinstance(each, slice | int | Size)) or (
            isinstance(each, bool)
        ):
            wanted = "integers, slices, None or an ellipsis"
            raise ArgumentError(explain("indexing", repr(each), wanted, "Use isoconv.ops.take."))
    return _slice(x, _without_ellipsis(x, keys))


def _without_ellipsis(x: Tensor, keys: list[Any]) -> list[Any]:
    """The keys, one for each axis, besides None for each new one."""
    used = sum(each is not None and each is not ... for each in keys)
    dots = [i for i, each in enumerate(keys) if each is ...]
    if used > x.ndim or len(dots) > 1:
        raise ShapeError(explain("indexing", f"{used} indices", f"at most {x.ndim}"))
    place = dots[0] if dots else len(keys)
    return keys[:place] + [slice(None)] * (x.ndim - used) + keys[place + 1 :]


def _slice(x: Tensor, keys: list[Any]) -> Tensor:
    start: list[Dim] = []
    sizes: list[Dim] = []
    step: list[int] = []
    final: list[Dim] = []
    backwards = []
    dims = iter(x.dims)
    for key in keys:
        if key is None:
            final.append(1)
            continue
        length = next(dims)
        if isinstance(key, slice):
            low, size, stride = _range(key, length)
            if stride < 0:
                backwards.append(len(start))
                low, stride = low + (size - 1) * stride, -stride
            final.append(size)
            part: tuple[Dim, Dim, int] = low, size, stride
        else:
            part = _position(key, length), 1, 1
        start.append(part[0])
        sizes.append(part[1])
        step.append(part[2])
    if tuple(sizes) != x.dims or any(each != 0 for each in start):
        x = node("slice", x, start=tuple(start), shape=tuple(sizes), step=tuple(step))
    if backwards:
        x = node("reverse", x, axes=tuple(backwards))
    return x if tuple(final) == x.dims else node("reshape", x, shape=tuple(final))


def _position(key: Any, length: Dim) -> Dim:
    if isinstance(key, int) and isinstance(length, int) and not -length <= key < length:
        raise ShapeError(explain("indexing", f"index {key}", f"one within a size of {length}"))
    return length + key if isinstance(key, int) and key < 0 else key


def _range(key: slice, length: Dim) -> tuple[Dim, Dim, int]:
    """Start, count and step of a slice, bounds held within the size as Python does."""
    step = 1 if key.step is None else key.step
    if isinstance(length, int) and all(not isinstance(p, Size) for p in (key.start, key.stop)):
        start, stop, step = key.indices(length)
        return start, len(range(start, stop, step)), step
    if step < 0:
        if key.start is not None or key.stop is not None:
            raise ShapeError(
                explain("indexing", key, "a whole axis, where a run-time size is turned")
            )
        return length - 1, (length - 1) // -step + 1, step
    low = _bound(key.start, length, 0)
    high = _bound(key.stop, length, length)
    return low, (maximum(high - low, 0) + (step - 1)) // step, step


def _bound(given: Any, length: Dim, default: Dim) -> Dim:
    if given is None:
        return default
    if isinstance(given, int) and given < 0:
        return maximum(length + given, 0)
    return minimum(given, length)


@op
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` along an axis (of the flat x without one).

    Negative indices count from the end; those outside give zeros.
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    place = positive_axis(axis, x.ndim, "take")
    rows = whole(indices, "take: indices")
    length = as_tensor(x.dims[place], rows.dtype)
    rows = where(less(rows, 0), rows + length, rows)
    result = gather(moveaxis(x, place, 0), rows)
    if place == 0:
        return result
    perm = list(range(rows.ndim, result.ndim))
    perm[place:place] = range(rows.ndim)
    return node("transpose", result, perm=tuple(perm))


def gather(table: Tensor, rows: Tensor) -> Tensor:
    """The rows of a table, for integers from 0 on; zeros for those outside."""
    return node("gather", table, rows)


@op
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Tensor:
    """1 at the class each integer of x names, 0 elsewhere; all 0 for one outside.

    num_classes: the size of the new axis, at the place `axis` of the result. dtype: floatx() by
    default. DtypeError where x are no integers.
    """
    rows = whole(x, "one_hot: x")
    place = positive_axis(axis, rows.ndim + 1, "one_hot")
    shape = [1] * (rows.ndim + 1)
    shape[place] = num_classes
    classes = iota(tuple(shape), place, rows.dtype)
    name = dtypes.standardize(dtype or settings.floatx(), "one_hot: dtype")
    return change_dtype(equal(expand_dims(rows, place), classes), name)


def whole(x: Any, where: str) -> Tensor:
    """A tensor of integers; DtypeError for anything else."""
    tensor = as_tensor(x)
    if tensor.dtype not in dtypes.INTEGERS:
        raise DtypeError(explain(where, tensor.dtype, "integers", "Cast them first."))
    return tensor


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Along an axis, for each position of `indices` the element of x it names.

    x and `indices` have one rank; sizes of the other axes are equal. Without an axis, x is taken
    flat, and `indices` have one axis.
    """
    x, rows = as_tensor(x), whole(indices, "take_along_axis: indices")
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    place = positive_axis(axis, x.ndim, "take_along_axis")
    rows = where(less(rows, 0), rows + x.dims[place], rows)
    x, rows = moveaxis(x, place, -1), moveaxis(rows, place, -1)
    classes = Tensor(
        make("iota", axis=x.ndim, shape=(*(1,) * x.ndim, x.dims[-1]), dtype=rows.dtype)
    )
    chosen = equal(expand_dims(rows, -1), classes)
    picked = where(chosen, expand_dims(x, -2), 0)
    summed = node("reduce_sum", picked, axes=(x.ndim,))
    shape = summed.dims[:-1]
    if len(shape) != x.ndim:
        raise ShapeError(explain("take_along_axis", show(rows.dims), f"rank {x.ndim}"))
    return moveaxis(node("reshape", summed, shape=shape), -1, place)
