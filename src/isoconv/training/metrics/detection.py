"""Right and wrong decisions at thresholds: the four counts, and precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from isoconv import ops
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.convert import as_float, as_tensor
from isoconv.ops.create import iota
from isoconv.ops.tensor import Tensor
from isoconv.training.metrics.base import Metric
from isoconv.training.reduction import joint_mask, merge_mask, safe_divide, same_shape, weighted

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class Counting(Metric):
    """The base of metrics that count decisions: a prediction above a threshold is positive.

    thresholds: numbers. counts: which of `COUNTS` are kept, each of shape (thresholds,). class_id:
    only this place of the last axis counts. top_k: only the k largest predictions of the last axis
    may be positive.
    """

    def __init__(
        self,
        thresholds: Sequence[float],
        counts: Sequence[str],
        class_id: int | None = None,
        top_k: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        self.cuts = list(thresholds)
        self.class_id = class_id
        self.top_k = top_k
        self.counts = {each: self.add_variable((len(self.cuts),), name=each) for each in counts}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """y_true: 0 or 1 (or anything that is or is not 0), shaped as y_pred, which are numbers."""
        labels, predicted = same_shape(y_true, y_pred, f"metric '{self.name}'")
        weights = merge_mask(sample_weight, joint_mask(y_pred), predicted.dtype, "sum")
        if weights is not None:
            wide = weighted(predicted, weights)[1]
            weights = ops.broadcast_to(wide, predicted.dims)
        if self.top_k is not None:
            predicted = _only_best(predicted, self.top_k)
        if self.class_id is not None:
            self._check_class(predicted)
            here = (..., self.class_id)
            labels, predicted = labels[here], predicted[here]
            weights = None if weights is None else weights[here]
        self.add_counts(labels, predicted, weights)

    def add_counts(self, labels: Tensor, predicted: Tensor, weights: Tensor | None) -> None:
        """Adds the decisions on all numbers, together for each threshold."""
        row = (1, -1)
        truth = ops.not_equal(ops.reshape(labels, row), 0)
        cuts = ops.reshape(as_tensor(self.cuts, predicted.dtype), (-1, 1))
        positive = ops.reshape(predicted, row) > cuts
        share = None if weights is None else ops.reshape(weights, row)
        for name, variable in self.counts.items():
            found = decided(name, truth, positive)
            numbers = ops.cast(found, variable.dtype)
            if share is not None:
                numbers = ops.where(found, share, 0.0)
            variable.assign_add(ops.cast(ops.sum(numbers, 1), variable.dtype))

    def _check_class(self, predicted: Tensor) -> None:
        classes = predicted.shape[-1]
        if classes is not None and not 0 <= (self.class_id or 0) < classes:
            where = f"metric '{self.name}': class_id"
            raise ShapeError(explain(where, self.class_id, f"a number below {classes}"))


def decided(name: str, truth: Tensor, positive: Tensor) -> Tensor:
    """Where decisions are of the kind that a count is named after."""
    right, side = name.split("_")
    chosen = positive if side == "positives" else ops.logical_not(positive)
    fits = truth if (right == "true") == (side == "positives") else ops.logical_not(truth)
    found: Tensor = ops.logical_and(chosen, fits)
    return found


def _only_best(predicted: Tensor, k: int) -> Tensor:
    """The predictions, far below every threshold where k of the last axis come before them."""
    own, other = ops.expand_dims(predicted, -1), ops.expand_dims(predicted, -2)
    size, rank = predicted.dims[-1], predicted.ndim
    place = iota((*(1,) * (rank - 1), size, 1), rank - 1, "int32")
    earlier = iota((*(1,) * rank, size), rank, "int32") < place
    before = ops.logical_or(other > own, ops.logical_and(ops.equal(other, own), earlier))
    kept: Tensor = ops.where(ops.sum(ops.cast(before, "int32"), -1) < k, predicted, BELOW_ALL)
    return kept


BELOW_ALL = -1e10
"""Below every threshold; the threshold where the k largest are positive whatever they are."""


def as_thresholds(given: Any, where: str, default: float = 0.5) -> list[float]:
    """One or several thresholds as a list; ArgumentError where they are not from 0 to 1."""
    if given is None:
        return [default]
    found = list(given) if isinstance(given, list | tuple) else [given]
    wrong = [each for each in found if not isinstance(each, int | float) or not 0 <= each <= 1]
    if wrong or not found:
        raise ArgumentError(explain(f"{where}: thresholds", given, "numbers from 0 to 1"))
    return [float(each) for each in found]


# -- the four counts --------------------------------------------------------------------------


class _OneCount(Counting):
    """The weighted number of decisions of one kind, at each threshold (0.5 if none is given)."""

    counted: ClassVar[str]

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        cuts = as_thresholds(thresholds, type(self).__name__)
        super().__init__(cuts, [self.counted], name=name, dtype=dtype)
        self.thresholds = thresholds

    def result(self) -> Any:
        return _one_or_all(as_tensor(self.counts[self.counted]))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self.thresholds}


class TruePositives(_OneCount):
    """How many positive labels were predicted."""

    counted = "true_positives"


class FalsePositives(_OneCount):
    """How many negative labels were predicted to be positive."""

    counted = "false_positives"


class TrueNegatives(_OneCount):
    """How many negative labels were predicted."""

    counted = "true_negatives"


class FalseNegatives(_OneCount):
    """How many positive labels were predicted to be negative."""

    counted = "false_negatives"


# -- precision and recall ---------------------------------------------------------------------


class _Share(Counting):
    """True positives among those and another count."""

    other: ClassVar[str]

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        cuts = as_thresholds(thresholds, type(self).__name__, 0.5 if top_k is None else BELOW_ALL)
        super().__init__(cuts, ["true_positives", self.other], class_id, top_k, name, dtype)
        self.thresholds = thresholds

    def result(self) -> Any:
        right = as_float(self.counts["true_positives"])
        return _one_or_all(safe_divide(right, right + self.counts[self.other]))

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return super().get_config() | own


class Precision(_Share):
    """The share of positive predictions that are right."""

    other = "false_positives"


class Recall(_Share):
    """The share of positive labels that are predicted."""

    other = "false_negatives"


def _one_or_all(values: Tensor) -> Tensor:
    """A scalar where there is one threshold."""
    found: Tensor = values[0] if values.shape[0] == 1 else values
    return found
