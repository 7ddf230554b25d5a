"""Products of matrices, as the convolution form without axes."""

from __future__ import annotations

from math import prod
from typing import Any

from isoconv.errors import ShapeError, explain
from isoconv.ir.ops import agree, make, show
from isoconv.ir.sizes import product
from isoconv.ops.convert import align, as_tensor, change_dtype
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import multiply
from isoconv.ops.reductions import sum
from isoconv.ops.shapes import expand_dims, moveaxis, positive_axes, reshape, transpose
from isoconv.ops.tensor import Tensor


@op
def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product over the last axis of x1 and the last but one of x2, as NumPy's."""
    left, right = _one_dtype(x1, x2)
    if left.ndim == 0 or right.ndim == 0:
        raise ShapeError(explain("matmul", "a number", "tensors of rank 1 or more", "Use *."))
    inner = right.dims[-2] if right.ndim > 1 else right.dims[0]
    _check_inner("matmul", left, right, inner)
    if right.ndim == 1:
        column = matmul(left, expand_dims(right, 1))
        return reshape(column, column.dims[:-1])
    if right.ndim == 2 and isinstance(inner, int):
        return _product(left, right)
    return _batched(left, right)


@op
def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's dot: over the last axis of x1 and the last but one (or only) of x2."""
    left, right = _one_dtype(x1, x2)
    if left.ndim == 0 or right.ndim == 0:
        return multiply(left, right)
    return tensordot(left, right, [[left.ndim - 1], [max(right.ndim - 2, 0)]])


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The sum over axes of x1 and axes of x2 taken in pairs; a number: the last and the first."""
    left, right = _one_dtype(x1, x2)
    if isinstance(axes, int):
        first: Any = list(range(left.ndim - axes, left.ndim))
        second: Any = list(range(axes))
    else:
        first, second = ([each] if isinstance(each, int) else list(each) for each in axes)
    first = [positive_axes(axis, left.ndim, "tensordot")[0] for axis in first]
    second = [positive_axes(axis, right.ndim, "tensordot")[0] for axis in second]
    kept_left = [axis for axis in range(left.ndim) if axis not in first]
    kept_right = [axis for axis in range(right.ndim) if axis not in second]
    inner = product(left.dims[axis] for axis in first)
    rows = tuple(left.dims[axis] for axis in kept_left)
    columns = tuple(right.dims[axis] for axis in kept_right)
    a = reshape(transpose(left, kept_left + first), (*rows, inner))
    b = reshape(transpose(right, second + kept_right), (inner, product(columns)))
    _check_inner("tensordot", a, b, b.dims[0])
    return reshape(matmul(a, b), (*rows, *columns))


@op
def outer(x1: Any, x2: Any) -> Tensor:
    """The matrix of each element of the flat x1 times each of the flat x2."""
    left, right = _one_dtype(x1, x2)
    return multiply(reshape(left, (-1, 1)), reshape(right, (1, -1)))


def _one_dtype(x1: Any, x2: Any) -> list[Tensor]:
    """Both as tensors of one dtype, their ranks left as they are."""
    left, right = as_tensor(x1), as_tensor(x2)
    dtype = align(x1, x2)[0].dtype
    return [change_dtype(left, dtype), change_dtype(right, dtype)]


def _check_inner(where: str, left: Tensor, right: Tensor, inner: Any) -> None:
    if not agree(left.dims[-1], inner):
        given = f"{show(left.dims)} and {show(right.dims)}"
        raise ShapeError(explain(where, given, f"a second operand with {left.dims[-1]} rows"))


def _product(x: Tensor, w: Tensor) -> Tensor:
    """[..., c] times [c, f]: the form of rank 0."""
    return Tensor(make("conv", x.node, w.node, face="y", axes=(), groups=1, sizes=()))


def _batched(left: Tensor, right: Tensor) -> Tensor:
    """Matrices in batches: as groups of the form where all sizes are known, else by elements."""
    if left.ndim == 1:
        wide = _batched(expand_dims(left, 0), right)
        return reshape(wide, (*wide.dims[:-2], wide.dims[-1]))
    batch, known = right.dims[:-2], all(isinstance(dim, int) for dim in right.dims)
    if known and left.dims[:-2] == batch:
        return _grouped(left, right, prod(dim for dim in batch if isinstance(dim, int)))
    products = multiply(expand_dims(left, -1), expand_dims(right, -3))
    return sum(products, axis=-2)


def _grouped(left: Tensor, right: Tensor, groups: int) -> Tensor:
    """[b, i, c] times [b, c, f] as one form with b groups."""
    batch, (rows, inner), columns = left.dims[:-2], left.dims[-2:], right.dims[-1]
    x = moveaxis(reshape(left, (groups, rows, inner)), 0, 1)
    w = moveaxis(reshape(right, (groups, inner, columns)), 0, 1)
    x, w = reshape(x, (rows, groups * inner)), reshape(w, (inner, groups * columns))
    y = make("conv", x.node, w.node, face="y", axes=(), groups=groups, sizes=())
    result = moveaxis(reshape(Tensor(y), (rows, groups, columns)), 1, 0)
    return reshape(result, (*batch, rows, columns))
