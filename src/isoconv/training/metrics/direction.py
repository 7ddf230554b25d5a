"""Which metrics are better the larger they are, and which the smaller."""

from __future__ import annotations

from isoconv.training import losses
from isoconv.training.loss_functions import FUNCTIONS
from isoconv.training.metrics import accuracies, base, curves, detection, distances, scores

_LARGER = (
    curves.AUC,
    curves.PrecisionAtRecall,
    curves.RecallAtPrecision,
    curves.SensitivityAtSpecificity,
    curves.SpecificityAtSensitivity,
    detection.Precision,
    detection.Recall,
    detection.TrueNegatives,
    detection.TruePositives,
    distances.CosineSimilarity,
    scores.FBetaScore,
    scores.IoU,
)
_SMALLER = (detection.FalseNegatives, detection.FalsePositives, distances.RootMeanSquaredError)
_ACCURACIES = (
    accuracies.accuracy,
    accuracies.binary_accuracy,
    accuracies.categorical_accuracy,
    accuracies.sparse_categorical_accuracy,
    accuracies.sparse_top_k_categorical_accuracy,
    accuracies.top_k_categorical_accuracy,
)


def direction(metric: base.Metric) -> str | None:
    """ "max" where larger is better, "min" where smaller is, None where nobody knows."""
    if isinstance(metric, _LARGER):
        return "max"
    if isinstance(metric, _SMALLER):
        return "min"
    if isinstance(metric, base.MeanMetricWrapper):
        if metric.fn in _ACCURACIES:
            return "max"
        if isinstance(metric.fn, losses.Loss) or metric.fn in FUNCTIONS:
            return "min"
    return None
