"""What losses compute: functions by Keras' names that give a loss for each sample.

Labels and predictions are shaped (batch, ..., n); a function gives (batch, ...), having reduced the
last axis. Probabilities are held at least epsilon (1e-7) away from 0 and 1, as in Keras; losses of
logits need no such bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isoconv import ops, settings
from isoconv.errors import ShapeError, explain
from isoconv.ir.rules import agree
from isoconv.ops.convert import as_float, as_tensor, change_dtype
from isoconv.ops.create import iota
from isoconv.ops.dispatch import op
from isoconv.ops.shapes import positive_axis
from isoconv.ops.tensor import Tensor
from isoconv.training.reduction import same_shape

Function = Callable[..., Any]

# -- distances --------------------------------------------------------------------------------


@op
def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((y_true - y_pred)^2)."""
    labels, predicted = same_shape(y_true, y_pred, "mean_squared_error")
    return ops.mean(ops.square(labels - predicted), -1)


@op
def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean(|y_true - y_pred|)."""
    labels, predicted = same_shape(y_true, y_pred, "mean_absolute_error")
    return ops.mean(ops.absolute(labels - predicted), -1)


@op
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 mean(|y_true - y_pred| / max(|y_true|, epsilon))."""
    labels, predicted = same_shape(y_true, y_pred, "mean_absolute_percentage_error")
    least = ops.maximum(ops.absolute(labels), settings.epsilon())
    return ops.mean(ops.absolute((labels - predicted) / least), -1) * 100.0


@op
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((log(1 + y_true) - log(1 + y_pred))^2), of values held above epsilon."""
    labels, predicted = same_shape(y_true, y_pred, "mean_squared_logarithmic_error")
    least = settings.epsilon()
    left = ops.log(ops.maximum(predicted, least) + 1.0)
    right = ops.log(ops.maximum(labels, least) + 1.0)
    return ops.mean(ops.square(left - right), -1)


@op
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """mean of e^2 / 2 where |e| <= delta, and of delta |e| - delta^2 / 2 beyond (Huber 1964).

    e is y_pred - y_true.
    """
    labels, predicted = same_shape(y_true, y_pred, "huber")
    error = predicted - labels
    size = ops.absolute(error)
    far = size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, ops.square(error) * 0.5, far), -1)


@op
def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """mean(log(cosh(y_pred - y_true))), without overflow."""
    labels, predicted = same_shape(y_true, y_pred, "log_cosh")
    error = predicted - labels
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), -1)


@op
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between y_true and y_pred along an axis."""
    labels, predicted = same_shape(y_true, y_pred, "cosine_similarity")
    return ops.negative(ops.sum(_direction(labels, axis) * _direction(predicted, axis), axis))


def _direction(x: Tensor, axis: int) -> Tensor:
    """x / max(|x|, epsilon), whose gradient at 0 is finite."""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, settings.epsilon() ** 2))


# -- margins ----------------------------------------------------------------------------------


@op
def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)); labels are -1 and 1, or 0 and 1, which become these."""
    return ops.mean(_margins(y_true, y_pred, "hinge"), -1)


@op
def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)^2); labels as for hinge."""
    return ops.mean(ops.square(_margins(y_true, y_pred, "squared_hinge")), -1)


def _margins(y_true: Any, y_pred: Any, where: str) -> Tensor:
    labels, predicted = same_shape(y_true, y_pred, where)
    binary = ops.all(ops.logical_or(ops.equal(labels, 0), ops.equal(labels, 1)))
    signs = ops.where(binary, labels * 2.0 - 1.0, labels)
    return ops.maximum(1.0 - signs * predicted, 0.0)


@op
def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(the largest wrong one of y_pred - the right one + 1, 0); y_true is one-hot."""
    labels, predicted = same_shape(y_true, y_pred, "categorical_hinge")
    right = ops.sum(labels * predicted, -1)
    wrong = ops.max((1.0 - labels) * predicted, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


# -- distributions ----------------------------------------------------------------------------


@op
def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """sum(y_true log(y_true / y_pred)), of probabilities held above epsilon."""
    labels, predicted = same_shape(y_true, y_pred, "kl_divergence")
    labels = ops.clip(labels, settings.epsilon(), 1.0)
    predicted = ops.clip(predicted, settings.epsilon(), 1.0)
    return ops.sum(labels * ops.log(labels / predicted), -1)


@op
def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """mean(y_pred - y_true log(y_pred + epsilon))."""
    labels, predicted = same_shape(y_true, y_pred, "poisson")
    return ops.mean(predicted - labels * ops.log(predicted + settings.epsilon()), -1)


@op
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean(-y_true log(p) - (1 - y_true) log(1 - p)) along an axis.

    from_logits: y_pred is log(p / (1 - p)) rather than p. label_smoothing: labels are moved this
    part of the way to 1/2.
    """
    labels, predicted = same_shape(y_true, y_pred, "binary_crossentropy")
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        # softplus(-z) = -log(p) and softplus(z) = -log(1 - p), and they differ by z.
        return ops.mean(ops.softplus(predicted) - labels * predicted, axis)
    p = _probability(predicted)
    return ops.mean(-labels * ops.log(p) - (1.0 - labels) * ops.log(1.0 - p), axis)


@op
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(y_true log(p)) along the axis of the classes.

    y_true: (batch, ..., classes), one-hot or probabilities. from_logits: p = softmax(y_pred) rather
    than y_pred / sum(y_pred). label_smoothing: labels are moved this part of the way to
    1 / classes.
    """
    labels, predicted = same_shape(y_true, y_pred, "categorical_crossentropy")
    if label_smoothing:
        classes = as_tensor(predicted.dims[-1], predicted.dtype)
        labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
    if from_logits:
        return ops.negative(ops.sum(labels * ops.log_softmax(predicted, axis), axis))
    p = predicted / ops.sum(predicted, axis, keepdims=True)
    return ops.negative(ops.sum(labels * ops.log(_probability(p)), axis))


@op
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The mean along an axis of binary crossentropies, each times (1 - q)^gamma, q being the
    probability given to what is right (Lin et al. 2017).

    apply_class_balancing: also times alpha for labels of 1 and 1 - alpha for labels of 0. y_true,
    y_pred, from_logits, label_smoothing: as for `binary_crossentropy`.
    """
    labels, predicted = same_shape(y_true, y_pred, "binary_focal_crossentropy")
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p = ops.sigmoid(predicted) if from_logits else predicted
    q = labels * p + (1.0 - labels) * (1.0 - p)
    held = _probability(p)
    loss = -labels * ops.log(held) - (1.0 - labels) * ops.log(1.0 - held)
    loss = ops.power(1.0 - q, gamma) * loss
    if apply_class_balancing:
        loss = loss * (labels * alpha + (1.0 - labels) * (1.0 - alpha))
    return ops.mean(loss, axis)


@op
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-alpha sum((1 - p)^gamma y_true log(p)), p as for `categorical_crossentropy` (Lin et al.
    2017).

    Labels that are likely already count for little. y_true, y_pred, from_logits, label_smoothing,
    axis: as for `categorical_crossentropy`.
    """
    labels, predicted = same_shape(y_true, y_pred, "categorical_focal_crossentropy")
    if label_smoothing:
        classes = as_tensor(predicted.dims[-1], predicted.dtype)
        labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
    p = ops.softmax(predicted, axis) if from_logits else predicted
    p = _probability(p / ops.sum(p, axis, keepdims=True))
    loss = ops.power(1.0 - p, gamma) * alpha * labels * ops.log(p)
    return ops.negative(ops.sum(loss, axis))


@op
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log(p[y_true]) along the axis of the classes.

    y_true: (batch, ...) or (batch, ..., 1), integers from 0 to classes - 1. from_logits: p =
    softmax(y_pred) rather than y_pred / sum(y_pred). ignore_class: a label whose places count for
    nothing.
    """
    predicted = as_float(y_pred)
    place = positive_axis(axis, predicted.ndim, "sparse_categorical_crossentropy")
    predicted = ops.moveaxis(predicted, place, -1)
    labels = _class_numbers(as_tensor(y_true), predicted, place)
    ignored = None if ignore_class is None else ops.equal(labels, ignore_class)
    classes = iota((*(1,) * labels.ndim, predicted.dims[-1]), labels.ndim, "int32")
    chosen = ops.equal(ops.expand_dims(labels, -1), classes)
    if from_logits:
        predicted = predicted - ops.stop_gradient(ops.max(predicted, -1, keepdims=True))
        rest = ops.log(ops.sum(ops.exp(predicted), -1))
        loss = rest - ops.sum(ops.where(chosen, predicted, 0.0), -1)
    else:
        right = ops.sum(ops.where(chosen, predicted, 0.0), -1) / ops.sum(predicted, -1)
        loss = -ops.log(_probability(right))
    if ignored is None:
        return loss
    return Tensor(ops.where(ignored, 0.0, loss).node, ops.logical_not(ignored))


def _class_numbers(labels: Tensor, predicted: Tensor, place: int) -> Tensor:
    """The labels as integers (batch, ...); ShapeError where they do not fit the predictions."""
    if labels.ndim == predicted.ndim and labels.shape[place] == 1:
        labels = ops.squeeze(labels, place)
    outer = predicted.dims[:-1]
    if labels.ndim != len(outer) or not all(map(agree, labels.dims, outer)):
        given = f"labels of shape {labels.shape} for predictions of shape {predicted.shape}"
        remedy = "For one-hot labels use categorical_crossentropy."
        wanted = "one class number for each prediction"
        raise ShapeError(explain("sparse_categorical_crossentropy", given, wanted, remedy))
    return change_dtype(labels, "int32")


def _probability(p: Tensor) -> Tensor:
    return ops.clip(p, settings.epsilon(), 1.0 - settings.epsilon())


# -- by name ----------------------------------------------------------------------------------

FUNCTIONS: dict[Function, tuple[str, ...]] = {
    mean_squared_error: ("mse", "MSE"),
    mean_absolute_error: ("mae", "MAE"),
    mean_absolute_percentage_error: ("mape", "MAPE"),
    mean_squared_logarithmic_error: ("msle", "MSLE"),
    huber: (),
    log_cosh: ("logcosh",),
    cosine_similarity: (),
    hinge: (),
    squared_hinge: (),
    categorical_hinge: (),
    kl_divergence: ("kld", "KLD", "kullback_leibler_divergence"),
    poisson: (),
    binary_crossentropy: ("bce", "BCE"),
    binary_focal_crossentropy: (),
    categorical_crossentropy: (),
    categorical_focal_crossentropy: (),
    sparse_categorical_crossentropy: (),
}
"""The functions, with Keras' other names for them."""
