"""Measures of a whole curve over thresholds: areas under it, and the best point on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from isoconv import ops, settings
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.convert import as_tensor
from isoconv.ops.tensor import Tensor
from isoconv.training.metrics.detection import COUNTS, Counting, as_thresholds, decided
from isoconv.training.reduction import safe_divide

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "minoring", "majoring")


class AUC(Counting):
    """The area under a curve, by its points at thresholds.

    Args:
        num_thresholds: how many thresholds, evenly from 0 to 1; or thresholds: those within.
        curve: "ROC" (recall over the share of negatives taken for positive), "PR" (precision
            over recall) or "PRGAIN" (their gains; Flach and Kull 2015).
        summation_method: between points "interpolation" (of precision as in Davis and Goadrich
            2006), "minoring" or "majoring".
        multi_label: predictions are (batch, num_labels) and each label has a curve; the area is
            the mean of theirs, weighted by label_weights. Otherwise label_weights weigh the
            numbers of a sample.
        from_logits: predictions are turned into probabilities first.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _one_of(str(curve).upper(), CURVES, "curve")
        self.summation_method = _one_of(summation_method, SUMMATIONS, "summation_method")
        if num_labels and not multi_label:
            raise ArgumentError(explain("AUC: num_labels", num_labels, "None without multi_label"))
        inner = _evenly(num_thresholds)[1:-1] if thresholds is None else thresholds
        inner = sorted(as_thresholds(list(inner), "AUC")) if len(inner) else []
        # A little beyond the ends, so that everything is above the first and below the last.
        cuts = [-settings.epsilon(), *inner, 1.0 + settings.epsilon()]
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = None if label_weights is None else list(label_weights)
        self.from_logits = from_logits
        self._given = None if thresholds is None else inner
        super().__init__(cuts, () if multi_label else COUNTS, name=name, dtype=dtype)
        if num_labels:
            self._count_by_label(num_labels)

    def _count_by_label(self, labels: int) -> None:
        shape = (len(self.cuts), labels)
        self.counts = {each: self.add_variable(shape, name=each) for each in COUNTS}

    def add_counts(self, labels: Tensor, predicted: Tensor, weights: Tensor | None) -> None:
        if self.from_logits:
            predicted = ops.sigmoid(predicted)
        if self.multi_label:
            self._add_by_label(labels, predicted, weights)
            return
        if self.label_weights is not None:
            own = as_tensor(self.label_weights, predicted.dtype)
            weights = ops.broadcast_to(own, predicted.dims) if weights is None else weights * own
        super().add_counts(labels, predicted, weights)

    def _add_by_label(self, labels: Tensor, predicted: Tensor, weights: Tensor | None) -> None:
        columns = predicted.shape[-1]
        if predicted.ndim != 2 or columns is None or columns != (self.num_labels or columns):
            wanted = f"(batch, {self.num_labels or 'labels'}) with multi_label"
            raise ShapeError(explain(f"metric '{self.name}'", f"shape {predicted.shape}", wanted))
        if not self.counts:
            self._count_by_label(columns)
        truth = ops.not_equal(ops.expand_dims(labels, 0), 0)
        cuts = ops.reshape(as_tensor(self.cuts, predicted.dtype), (-1, 1, 1))
        positive = ops.expand_dims(predicted, 0) > cuts
        for name, variable in self.counts.items():
            found = decided(name, truth, positive)
            share = ops.cast(found, predicted.dtype)
            if weights is not None:
                share = ops.where(found, ops.expand_dims(weights, 0), 0.0)
            variable.assign_add(ops.cast(ops.sum(share, 1), variable.dtype))

    def result(self) -> Any:
        if not self.counts:
            return as_tensor(0.0, self.dtype)
        right, wrong, refused, missed = (as_tensor(self.counts[each]) for each in COUNTS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(_interpolated_precision(right, wrong, missed))
        x, y = _points(self.curve, right, wrong, refused, missed)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2.0,
            "minoring": ops.minimum(y[:-1], y[1:]),
            "majoring": ops.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def _over_labels(self, areas: Tensor) -> Tensor:
        """The sum of the areas between thresholds, and its mean over labels."""
        total = ops.sum(areas, 0)
        if not self.multi_label:
            return total
        if self.label_weights is None:
            return ops.mean(total)
        weights = as_tensor(self.label_weights, total.dtype)
        return safe_divide(ops.sum(total * weights), ops.sum(weights))

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_thresholds": len(self.cuts),
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        given = {} if self._given is None else {"thresholds": self._given}
        return super().get_config() | own | given


def _points(
    curve: str, right: Tensor, wrong: Tensor, refused: Tensor, missed: Tensor
) -> tuple[Tensor, Tensor]:
    """The curve's points, those of high thresholds last."""
    recall = safe_divide(right, right + missed)
    if curve == "ROC":
        return safe_divide(wrong, wrong + refused), recall
    if curve == "PR":
        return recall, safe_divide(right, right + wrong)
    ratio = safe_divide(right + missed, refused + wrong)
    none = ops.equal(right, 0.0)
    gain = ops.where(none, 0.0, 1.0 - ratio * safe_divide(missed, right))
    precision = ops.where(none, 1.0, 1.0 - ratio * safe_divide(wrong, right))
    return ops.maximum(gain, 0.0), precision


def _interpolated_precision(right: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
    """Areas under precision over recall, where between two points both counts grow evenly."""
    all_ = right + wrong
    found = right[:-1] - right[1:]
    slope = safe_divide(found, ops.maximum(all_[:-1] - all_[1:], 0.0))
    start = right[1:] - slope * all_[1:]
    both = ops.logical_and(all_[:-1] > 0.0, all_[1:] > 0.0)
    ratio = ops.where(both, safe_divide(all_[:-1], ops.maximum(all_[1:], 0.0)), 1.0)
    area = slope * (found + start * ops.log(ratio))
    return safe_divide(area, ops.maximum(right[1:] + missed[1:], 0.0))


# -- the best point ---------------------------------------------------------------------------


class _BestPoint(Counting):
    """The largest of one measure among the thresholds at which another is at least a bound."""

    bound: ClassVar[str]
    bounded: ClassVar[tuple[str, str]]
    maximised: ClassVar[tuple[str, str]]

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        where = f"{type(self).__name__}: {self.bound}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ArgumentError(explain(where, repr(value), "a number from 0 to 1"))
        cuts = [0.5] if num_thresholds == 1 else _evenly(num_thresholds)
        super().__init__(cuts, COUNTS, class_id, name=name, dtype=dtype)
        self.value = value
        self.num_thresholds = num_thresholds

    def result(self) -> Any:
        held, largest = (self._share(*names) for names in (self.bounded, self.maximised))
        return ops.max(ops.where(held >= self.value, largest, 0.0))

    def _share(self, part: str, rest: str) -> Tensor:
        found = as_tensor(self.counts[part])
        return safe_divide(found, found + self.counts[rest])

    def get_config(self) -> dict[str, Any]:
        own = {"num_thresholds": self.num_thresholds, "class_id": self.class_id}
        return super().get_config() | {self.bound: self.value} | own


_SENSITIVITY = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


class SensitivityAtSpecificity(_BestPoint):
    """The best sensitivity (recall) at which the specificity is at least `specificity`."""

    bound, bounded, maximised = "specificity", _SPECIFICITY, _SENSITIVITY

    def __init__(self, specificity: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(specificity, *args, **kwargs)


class SpecificityAtSensitivity(_BestPoint):
    """The best specificity at which the sensitivity (recall) is at least `sensitivity`."""

    bound, bounded, maximised = "sensitivity", _SENSITIVITY, _SPECIFICITY

    def __init__(self, sensitivity: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(sensitivity, *args, **kwargs)


class PrecisionAtRecall(_BestPoint):
    """The best precision at which the recall is at least `recall`."""

    bound, bounded, maximised = "recall", _SENSITIVITY, _PRECISION

    def __init__(self, recall: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(recall, *args, **kwargs)


class RecallAtPrecision(_BestPoint):
    """The best recall at which the precision is at least `precision`."""

    bound, bounded, maximised = "precision", _PRECISION, _SENSITIVITY

    def __init__(self, precision: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(precision, *args, **kwargs)


def _evenly(count: int) -> list[float]:
    """So many thresholds from 0 to 1."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 2:
        raise ArgumentError(explain("num_thresholds", repr(count), "an integer of at least 2"))
    return [place / (count - 1) for place in range(count)]


def _one_of(value: str, known: Sequence[str], what: str) -> str:
    if value not in known:
        raise ArgumentError(explain(f"AUC: {what}", repr(value), f"one of {', '.join(known)}"))
    return value
