"""How often predictions are right: accuracies of every kind of labels."""

from __future__ import annotations

from typing import Any

from isoconv import ops, settings
from isoconv.ops.convert import as_tensor
from isoconv.ops.create import iota
from isoconv.ops.dispatch import op
from isoconv.ops.tensor import Tensor
from isoconv.training.metrics.base import MeanMetricWrapper, Plain
from isoconv.training.reduction import same_rank


@op
def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where y_pred is y_true, else 0; both are shaped (batch, ...)."""
    predicted = as_tensor(y_pred)
    labels, predicted = same_rank(as_tensor(y_true, predicted.dtype), predicted)
    return ops.cast(ops.equal(labels, predicted), settings.floatx())


@op
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where y_pred is on the side of the threshold where y_true is, else 0."""
    labels, predicted = same_rank(y_true, y_pred)
    sides = ops.cast(predicted > threshold, labels.dtype)
    return ops.cast(ops.equal(labels, sides), settings.floatx())


@op
def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of y_pred is at the largest of y_true, else 0.

    Both are shaped (batch, ..., classes).
    """
    right = ops.equal(ops.argmax(as_tensor(y_true), -1), ops.argmax(as_tensor(y_pred), -1))
    return ops.cast(right, settings.floatx())


@op
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is at the class that is the label, else 0.

    y_true: (batch, ...) or (batch, ..., 1), integers. y_pred: (batch, ..., classes).
    """
    labels, predicted = as_tensor(y_true), as_tensor(y_pred)
    if labels.ndim == predicted.ndim and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    best = ops.argmax(predicted, -1)
    return ops.cast(ops.equal(ops.cast(labels, best.dtype), best), settings.floatx())


class Accuracy(Plain):
    """How often predictions equal labels."""

    function = staticmethod(accuracy)


class CategoricalAccuracy(Plain):
    """How often the largest prediction is at the one-hot label."""

    function = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(Plain):
    """How often the largest prediction is at the class that is the label."""

    function = staticmethod(sparse_categorical_accuracy)


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions are on the label's side of a threshold."""

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


# -- among the best ---------------------------------------------------------------------------


@op
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the largest of y_true is among the k largest of y_pred, else 0.

    Both are shaped (batch, ..., classes).
    """
    return _among_best(ops.argmax(as_tensor(y_true), -1), as_tensor(y_pred), k)


@op
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the class that is the label is among the k largest predictions, else 0.

    y_true: (batch, ...) or (batch, ..., 1), integers. y_pred: (batch, ..., classes); or
    from_sorted_ids: the numbers of the classes, the likeliest first.
    """
    labels, predicted = as_tensor(y_true), as_tensor(y_pred)
    if labels.ndim == predicted.ndim and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    if from_sorted_ids:
        wanted = ops.expand_dims(ops.cast(labels, predicted.dtype), -1)
        found = ops.any(ops.equal(wanted, predicted[..., :k]), -1)
        return ops.cast(found, settings.floatx())
    return _among_best(labels, predicted, k)


def _among_best(labels: Tensor, predicted: Tensor, k: int) -> Tensor:
    """Whether fewer than k predictions are larger than that of the label, as 0 or 1."""
    numbers = ops.cast(ops.expand_dims(labels, -1), "int32")
    chosen = ops.equal(
        numbers, iota((*(1,) * labels.ndim, predicted.dims[-1]), labels.ndim, "int32")
    )
    own = ops.sum(ops.where(chosen, predicted, 0.0), -1, keepdims=True)
    larger = ops.sum(ops.cast(predicted > own, "int32"), -1)
    found = ops.logical_and(larger < k, ops.isfinite(ops.squeeze(own, -1)))
    return ops.cast(found, settings.floatx())


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot label is among the k largest predictions."""

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class that is the label is among the k largest predictions.

    from_sorted_ids: whether predictions are the numbers of the classes, the best first, instead.
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        options = {"k": k, **({"from_sorted_ids": True} if from_sorted_ids else {})}
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, **options)
