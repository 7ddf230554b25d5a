"""How values of samples become one number: ranks that fit, weights, masks and reductions."""

from __future__ import annotations

from functools import reduce
from typing import Any

from isoconv import dtypes, ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.rules import agree
from isoconv.ops.convert import as_float, as_tensor, change_dtype
from isoconv.ops.elementwise import node
from isoconv.ops.tensor import Tensor

MEANS = ("sum_over_batch_size", "mean")
REDUCTIONS = (*MEANS, "sum", "mean_with_sample_weight", "none", None)


def standardize_reduction(reduction: Any, where: str) -> str | None:
    """The reduction, if it is one."""
    if (reduction is not None and not isinstance(reduction, str)) or reduction not in REDUCTIONS:
        names = ", ".join(map(repr, REDUCTIONS))
        raise ArgumentError(explain(f"{where}: reduction", repr(reduction), f"one of {names}"))
    return reduction


def same_rank(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both with one rank, where one of them lacks, or has, a last axis of size 1 (as in Keras)."""
    left, right = as_tensor(y_true), as_tensor(y_pred)
    if left.ndim == right.ndim + 1:
        return _fit_longer(left, right)
    if right.ndim == left.ndim + 1:
        right, left = _fit_longer(right, left)
    return left, right


def _fit_longer(longer: Tensor, shorter: Tensor) -> tuple[Tensor, Tensor]:
    if longer.shape[-1] != 1:
        return longer, shorter
    if shorter.ndim == 1:
        return longer, ops.expand_dims(shorter, -1)
    return ops.squeeze(longer, -1), shorter


def same_shape(y_true: Any, y_pred: Any, where: str) -> tuple[Tensor, Tensor]:
    """Labels and predictions as floats of one dtype and shape; ShapeError if they do not fit."""
    predicted = as_float(y_pred)
    labels, predicted = same_rank(as_tensor(y_true, predicted.dtype), predicted)
    if labels.ndim != predicted.ndim or not all(map(agree, labels.dims, predicted.dims)):
        given = f"labels of shape {labels.shape} for predictions of shape {predicted.shape}"
        raise ShapeError(explain(where, given, "labels shaped as the predictions"))
    return labels, predicted


def merge_mask(weights: Any, mask: Any, dtype: str, reduction: str | None) -> Tensor | None:
    """Weights that leave out what the mask leaves out.

    Where a mean follows, what is present weighs total / present, so that the mean is over the
    present.
    """
    own = None if weights is None else as_tensor(weights, dtype)
    if mask is None:
        return own
    present: Tensor = change_dtype(as_tensor(mask), dtype)
    if reduction in MEANS:
        count = ops.sum(present)
        present = present * safe_divide(ops.sum(ops.ones_like(present)), count)
    if own is None:
        return present
    return node("mul", _widen(own, present.ndim), _widen(present, own.ndim))


def reduce_weighted(values: Any, weights: Any, mask: Any, reduction: str | None) -> Tensor:
    """The losses of samples as one number, or as they are if nothing is reduced.

    values: (batch, ...). weights: (batch,) or as many axes as the values have; (batch, 1) too.
    """
    found = as_float(values)
    own = merge_mask(weights, mask, found.dtype, reduction)
    if own is not None:
        found, own = weighted(*same_rank(found, own))
        found = node("mul", found, own)
    if reduction in (None, "none") or found.ndim == 0:
        return found
    if reduction == "sum":
        return ops.sum(found)
    if reduction == "mean_with_sample_weight" and own is not None:
        return safe_divide(ops.sum(found), ops.sum(own))
    return ops.mean(found)


def weighted(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Values and weights of one rank; ShapeError where the weights do not fit."""
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, -1)
    wide = _widen(weights, values.ndim)
    fits = wide.ndim == values.ndim and all(
        dim == 1 or agree(dim, size) for dim, size in zip(wide.dims, values.dims, strict=True)
    )
    if not fits:
        given = f"weights of shape {weights.shape} for losses of shape {values.shape}"
        wanted = "a weight for each sample, or for each loss"
        raise ShapeError(explain("sample_weight", given, wanted))
    return values, wide


def _widen(x: Tensor, rank: int) -> Tensor:
    """The tensor with axes of size 1 at its end, up to `rank`."""
    missing = rank - x.ndim
    return ops.reshape(x, (*x.dims, *(1,) * missing)) if missing > 0 else x


def safe_divide(x: Any, y: Any) -> Tensor:
    """x / y, and 0 where y is 0."""
    none = ops.equal(y, 0)
    return ops.where(none, 0.0, ops.divide(x, ops.where(none, 1.0, y)))


def mask_of(y_pred: Any) -> Any:
    """The mask that predictions carry, or None."""
    return getattr(y_pred, "mask", None)


def joint_mask(*tensors: Any) -> Any:
    """What the masks of all of them leave in, or None where none has one."""
    masks = [mask for mask in map(mask_of, tensors) if mask is not None]
    return reduce(ops.logical_and, masks) if masks else None


def in_dtype(value: Any, dtype: str | None) -> Any:
    """The value as a tensor, floats in `dtype` if one is given; its mask stays."""
    tensor = as_tensor(value)
    if dtype is None or not dtypes.is_float(tensor.dtype):
        return tensor
    return Tensor(change_dtype(tensor, dtype).node, tensor.mask)
