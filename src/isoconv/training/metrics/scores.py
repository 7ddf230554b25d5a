"""Measures by class: F-scores, the confusion matrix, and the overlap of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops, settings
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.convert import as_tensor
from isoconv.ops.create import iota
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.metrics.base import Metric
from isoconv.training.reduction import joint_mask, merge_mask, same_shape

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """(1 + beta^2) * precision * recall / (beta^2 * precision + recall), of each class.

    Args:
        average: None for a number a class, "micro" for one score over all decisions, "macro" for
            the mean over classes, "weighted" for that weighted by the labels' numbers.
        beta: how much more recall counts than precision.
        threshold: predictions above it are positive; the largest one if left out.

    Labels, 0 or 1, and predictions are shaped (batch, classes).
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        where = type(self).__name__
        if average not in _AVERAGES:
            wanted = f"one of {', '.join(map(repr, _AVERAGES))}"
            raise ArgumentError(explain(f"{where}: average", repr(average), wanted))
        if not beta > 0:
            raise ArgumentError(explain(f"{where}: beta", repr(beta), "a number above 0"))
        if threshold is not None and not 0 < threshold <= 1:
            wanted = "a number above 0, at most 1"
            raise ArgumentError(explain(f"{where}: threshold", repr(threshold), wanted))
        self.average, self.beta, self.threshold = average, beta, threshold
        self._sums: dict[str, Variable] = {}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        where = f"metric '{self.name}'"
        labels, predicted = same_shape(as_tensor(y_true, self.dtype), y_pred, where)
        classes = predicted.shape[-1] if predicted.ndim == 2 else None
        if classes is None:
            given = f"shape {predicted.shape}"
            raise ShapeError(explain(where, given, "predictions shaped (batch, classes)"))
        if not self._sums:
            shape = () if self.average == "micro" else (classes,)
            self._sums = {name: self.add_variable(shape, name=name) for name in _SUMS}
        if self.threshold is None:
            largest = ops.equal(predicted, ops.max(predicted, -1, keepdims=True))
            chosen = ops.logical_and(largest, ops.absolute(predicted) > 1e-9)
        else:
            chosen = predicted > self.threshold
        positive = ops.cast(chosen, labels.dtype)
        weights = merge_mask(sample_weight, joint_mask(y_pred), labels.dtype, "sum")
        if weights is not None:
            weights = ops.reshape(weights, (-1, 1))
        found = (positive * labels, positive * (1.0 - labels), (1.0 - positive) * labels, labels)
        for variable, values in zip(self._sums.values(), found, strict=True):
            share = values if weights is None else values * weights
            variable.assign_add(ops.sum(share, None if self.average == "micro" else 0))

    def result(self) -> Any:
        if not self._sums:
            return as_tensor(0.0, self.dtype)
        least = settings.epsilon()
        right, wrong, missed, labels = (as_tensor(each) for each in self._sums.values())
        precision, recall = right / (right + wrong + least), right / (right + missed + least)
        square = self.beta**2
        score = precision * recall / (precision * square + recall + least) * (1.0 + square)
        if self.average == "weighted":
            return ops.sum(score * (labels / (ops.sum(labels) + least)))
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return super().get_config() | own


_SUMS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: `FBetaScore` with beta 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


# -- confusion --------------------------------------------------------------------------------


class ConfusionMatrix(Metric):
    """How many samples of each class (rows) were taken for which class (columns): weighted counts.

    Args:
        num_classes: how many classes. ignore_class: a label whose samples do not count.
        sparse_y_true, sparse_y_pred: whether labels and predictions are numbers of classes, rather
            than a number for each class along `axis`, of which the largest counts.

    Labels and predictions that are no class, from 0 to num_classes - 1, do not count.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            where = f"{type(self).__name__}: num_classes"
            raise ArgumentError(explain(where, repr(num_classes), "an integer of at least 1"))
        self.num_classes, self.ignore_class = num_classes, ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        shape = (num_classes, num_classes)
        self.total = self.add_variable(shape, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        labels = self._numbers(y_true, self.sparse_y_true)
        predicted = self._numbers(y_pred, self.sparse_y_pred)
        rows, columns = _is_class(labels, self.num_classes), _is_class(predicted, self.num_classes)
        weights = merge_mask(sample_weight, joint_mask(y_pred), self.dtype, "sum")
        if self.ignore_class is not None:
            kept = ops.cast(ops.not_equal(labels, self.ignore_class), self.dtype)
            rows = ops.cast(rows, self.dtype) * ops.expand_dims(kept, -1)
        rows = ops.cast(rows, self.dtype)
        if weights is not None:
            rows = rows * ops.reshape(weights, (-1, 1))
        self.total.assign_add(ops.matmul(ops.transpose(rows), ops.cast(columns, self.dtype)))

    def _numbers(self, values: Any, sparse: bool) -> Tensor:
        found = as_tensor(values)
        if not sparse:
            found = ops.argmax(found, self.axis)
        numbers: Tensor = ops.cast(ops.reshape(found, (-1,)), "int32")
        return numbers

    def result(self) -> Any:
        return ops.convert_to_tensor(self.total)

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }
        return super().get_config() | own


def _is_class(numbers: Tensor, classes: int) -> Tensor:
    """(samples, classes): whether a number is this class."""
    found: Tensor = ops.equal(ops.expand_dims(numbers, -1), iota((1, classes), 1, "int32"))
    return found


class IoU(ConfusionMatrix):
    """The mean over target_class_ids of intersection over union: of samples that are and were taken
    for a class, those that both are. Classes that are absent from both do not count.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        flags = (ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, name, dtype, *flags)
        self.target_class_ids = list(target_class_ids)
        if not self.target_class_ids or not all(0 <= i < num_classes for i in target_class_ids):
            where = f"{type(self).__name__}: target_class_ids"
            raise ArgumentError(explain(where, target_class_ids, f"numbers below {num_classes}"))

    def result(self) -> Any:
        matrix = as_tensor(self.total)
        right = ops.sum(matrix * ops.eye(self.num_classes), 0)
        union = ops.sum(matrix, 0) + ops.sum(matrix, 1) - right
        wanted = [float(i in self.target_class_ids) for i in range(self.num_classes)]
        present = ops.cast(union > 1e-9, self.dtype) * as_tensor(wanted, self.dtype)
        least = settings.epsilon()
        return ops.sum(right / (union + least) * present) / (ops.sum(present) + least)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_class_ids": self.target_class_ids}


class MeanIoU(IoU):
    """`IoU` over all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        flags = (name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, range(num_classes), *flags)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["target_class_ids"]
        return config
