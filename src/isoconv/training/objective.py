"""What `compile` was told of losses and metrics, fitted to the outputs of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from isoconv import registry
from isoconv.errors import ArgumentError, explain
from isoconv.ops import tree
from isoconv.ops.tensor import Tensor
from isoconv.training import losses
from isoconv.training import metrics as metrics_module
from isoconv.training.batches import check_classes
from isoconv.training.losses import Loss, LossFunctionWrapper
from isoconv.training.metrics import Mean, MeanMetricWrapper, Metric


@dataclass
class _Part:
    """What is asked of one output.

    loss_weight: what its loss is multiplied by in the sum. classes: if labels are numbers of
    classes, how many classes there are and the number that is ignored.
    """

    name: str
    loss: Loss | None
    loss_weight: float
    tracker: Mean | None
    metrics: list[Metric]
    weighted_metrics: list[Metric]
    classes: tuple[int, int | None] | None


class Objective:
    """Losses and metrics of all outputs; resolved when the first outputs are seen.

    Args, as `compile` takes them: one for all outputs, or lists, or dicts by output name.
    names: of the outputs, or None where a model's outputs have no names.

    resolved: what is asked of each output, None before the first outputs were seen.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
        names: Sequence[str] | None,
    ) -> None:
        self._loss = loss
        self._loss_weights = loss_weights
        self._metrics = metrics
        self._weighted_metrics = weighted_metrics
        self._names = names
        _only_known_names(loss, losses.get, _SHAPE_DEPENDENT_LOSSES)
        for each in (metrics, weighted_metrics):
            _only_known_names(each, metrics_module.get, _SHAPE_DEPENDENT_METRICS)
        self.resolved: list[_Part] | None = None

    # -- inside the step -----------------------------------------------------------------------

    def loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor | None:
        """The weighted sum of all losses; None where there are none."""
        rows = self._rows(y, y_pred, sample_weight)
        found: list[Any] = []
        for part, label, prediction, weight in rows:
            if part.loss is None:
                continue
            if label is None:
                raise ArgumentError(explain("y", "nothing", f"labels for output '{part.name}'"))
            value = part.loss(label, prediction, weight)
            if value.ndim:
                remedy = "Give the loss a reduction, or reduce it to one number a sample."
                where = f"loss of output '{part.name}'"
                raise ArgumentError(explain(where, f"shape {value.shape}", "a scalar", remedy))
            if part.tracker is not None:
                part.tracker.update_state(value, sample_weight=prediction.dims[0])
            found.append(value if part.loss_weight == 1 else value * part.loss_weight)
        return sum(found[1:], found[0]) if found else None

    def update(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Lets the metrics see a batch."""
        for part, label, prediction, weight in self._rows(y, y_pred, sample_weight):
            for metric in part.metrics:
                with _naming(metric):
                    metric.update_state(label, prediction)
            for metric in part.weighted_metrics:
                with _naming(metric):
                    metric.update_state(label, prediction, sample_weight=weight)

    def results(self) -> dict[str, Any]:
        """The results of all metrics, by their names in logs."""
        parts = self.resolved or []
        found: dict[str, Any] = {}
        for part in parts:
            if part.tracker is not None:
                found[part.tracker.name] = part.tracker.result()
        named = [(f"{part.name}_" if len(parts) > 1 else "", part) for part in parts]
        for prefix, part in named:
            for name, value in _results(part.metrics):
                found[_free(prefix + name, found)] = value
        for prefix, part in named:
            for name, value in _results(part.weighted_metrics):
                # As in Keras: told apart from the same metric without weights.
                own = f"{prefix}weighted_{name}" if prefix + name in found else prefix + name
                found[_free(own, found)] = value
        return found

    def check(self, y: Any) -> None:
        """ArgumentError where labels, as arrays, are no classes of their output."""
        parts = self.resolved or []
        if any(part.classes is not None for part in parts):
            labels = by_output(y, [part.name for part in parts], "y")
            for part, label in zip(parts, labels, strict=True):
                if part.classes is not None:
                    check_classes(label, *part.classes, f"labels of output '{part.name}'")

    @property
    def all_metrics(self) -> list[Metric]:
        """The metrics, once the first outputs were seen."""
        found: list[Metric] = []
        for part in self.resolved or []:
            found += [] if part.tracker is None else [part.tracker]
            found += part.metrics + part.weighted_metrics
        return list({id(metric): metric for metric in found}.values())

    # -- fitting to the outputs ----------------------------------------------------------------

    def _rows(self, y: Any, y_pred: Any, sample_weight: Any) -> list[tuple[Any, Any, Any, Any]]:
        """For each output: what is asked of it, labels, prediction, weights."""
        predictions = list(tree.leaves(y_pred))
        names = self._output_names(y_pred, len(predictions))
        labels = by_output(y, names, "y")
        if self.resolved is None:
            self.resolved = self._resolve(names, labels, predictions)
        single = not isinstance(sample_weight, list | tuple | dict)
        weights = (
            [sample_weight] * len(names)
            if single
            else by_output(sample_weight, names, "sample_weight")
        )
        return list(zip(self.resolved, labels, predictions, weights, strict=True))

    def _output_names(self, y_pred: Any, count: int) -> list[str]:
        if isinstance(y_pred, dict) and len(y_pred) == count:
            return list(y_pred)
        if self._names is not None:
            return list(self._names)
        return [f"output_{number + 1}" for number in range(count)]

    def _resolve(self, names: list[str], labels: list[Any], predictions: list[Any]) -> list[_Part]:
        found = [
            _loss_of(given, label, prediction)
            for given, label, prediction in zip(
                spread(self._loss, names, "loss"), labels, predictions, strict=True
            )
        ]
        factors = spread(self._loss_weights, names, "loss_weights")
        of_metrics = _metric_lists(self._metrics, names, "metrics")
        of_weighted = _metric_lists(self._weighted_metrics, names, "weighted_metrics")
        several = sum(loss is not None for loss in found) > 1
        return [
            _Part(
                names[i],
                found[i],
                1.0 if factors[i] is None else float(factors[i]),
                Mean(f"{names[i]}_loss") if several and found[i] is not None else None,
                [_metric_of(each, labels[i], predictions[i]) for each in of_metrics[i]],
                [_metric_of(each, labels[i], predictions[i]) for each in of_weighted[i]],
                _classes_of(found[i], predictions[i]),
            )
            for i in range(len(names))
        ]


@contextmanager
def _naming(metric: Metric) -> Iterator[None]:
    """Errors raised inside name the metric, if they do not yet."""
    try:
        yield
    except ArgumentError as error:
        where = f"metric '{metric.name}'"
        if where in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error


def _classes_of(loss: Loss | None, prediction: Any) -> tuple[int, int | None] | None:
    """How many classes labels may name for this loss, and the one that is ignored."""
    if not isinstance(loss, LossFunctionWrapper):
        return None
    if loss.fn is not losses.sparse_categorical_crossentropy:
        return None
    count = prediction.shape[loss.options.get("axis", -1)]
    return None if count is None else (count, loss.options.get("ignore_class"))


def by_output(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """Labels or weights as a list, one for each output; None for outputs without."""
    if value is None:
        return [None] * len(names)
    if isinstance(value, dict):
        _only_known(value, names, what)
        return [value.get(name) for name in names]
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != len(names):
        wanted = f"{len(names)}, for the outputs {', '.join(names)}"
        raise ArgumentError(explain(what, f"{len(values)} arrays", wanted))
    return values


def spread(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """An argument of `compile` as a list: one for all outputs, a list, or a dict by name."""
    if isinstance(value, dict) and not _is_config(value):
        _only_known(value, names, what)
        return [value.get(name) for name in names]
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            wanted = f"{len(names)}, for the outputs {', '.join(names)}"
            raise ArgumentError(explain(f"compile: {what}", f"{len(value)} entries", wanted))
        return list(value)
    return [value] * len(names)


def _only_known(value: dict[str, Any], names: Sequence[str], what: str) -> None:
    unknown = [name for name in value if name not in names]
    if unknown:
        raise ArgumentError(explain(what, repr(unknown[0]), f"names among {', '.join(names)}"))


def _metric_lists(value: Any, names: Sequence[str], what: str) -> list[list[Any]]:
    """The metrics of each output."""
    if not value:
        return [[] for _ in names]
    if len(names) == 1 and not isinstance(value, dict):
        return [_as_list(value)]
    return [_as_list(each) for each in spread(value, names, what)]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [each for item in value for each in _as_list(item)]
    return [value]


def _results(metrics: Iterable[Metric]) -> Iterator[tuple[str, Any]]:
    """What metrics have found, by name."""
    for metric in metrics:
        result = metric.result()
        yield from (result if isinstance(result, dict) else {metric.name: result}).items()


def _free(name: str, taken: dict[str, Any]) -> str:
    """The name, with a number where it is taken."""
    number = 0
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


# -- names that depend on shapes --------------------------------------------------------------

_SHAPE_DEPENDENT_LOSSES = ("crossentropy", "ce")
_SHAPE_DEPENDENT_METRICS = ("accuracy", "acc")


def _only_known_names(value: Any, get: Callable[[Any], Any], further: Sequence[str]) -> None:
    """Looks names up, so that `compile` refuses those that mean nothing."""
    if isinstance(value, str) and value.lower() not in further:
        get(value)
    elif isinstance(value, list | tuple) or (isinstance(value, dict) and not _is_config(value)):
        for each in value.values() if isinstance(value, dict) else value:
            _only_known_names(each, get, further)


def _is_config(value: Any) -> bool:
    """Whether a dict is a loss or metric as data, rather than one for each output."""
    return "class_name" in value


def _kind(label: Any, prediction: Any) -> str:
    """How labels name classes: "binary", "sparse" or "categorical", by the shapes, as in Keras."""
    if prediction.shape and prediction.shape[-1] == 1:
        return "binary"
    if label is None or label.ndim < prediction.ndim:
        return "sparse"
    many = prediction.shape[-1] is None or prediction.shape[-1] > 1
    return "sparse" if label.shape[-1] == 1 and many else "categorical"


_ACCURACY: dict[str, Callable[..., Metric]] = {
    "binary": metrics_module.BinaryAccuracy,
    "sparse": metrics_module.SparseCategoricalAccuracy,
    "categorical": metrics_module.CategoricalAccuracy,
}
_CROSSENTROPY = {
    "binary": losses.binary_crossentropy,
    "sparse": losses.sparse_categorical_crossentropy,
    "categorical": losses.categorical_crossentropy,
}


def _loss_of(given: Any, label: Any, prediction: Any) -> Loss | None:
    """The loss that an argument of `compile` means for an output."""
    if isinstance(given, str) and given.lower() in _SHAPE_DEPENDENT_LOSSES:
        found: Any = _CROSSENTROPY[_kind(label, prediction)]
    else:
        found = losses.get(given)
    if found is None or isinstance(found, Loss):
        return found
    return LossFunctionWrapper(found, name=given if isinstance(given, str) else None)


def _metric_of(given: Any, label: Any, prediction: Any) -> Metric:
    """The metric that an argument of `compile` means for an output."""
    if isinstance(given, str) and given.lower() in _SHAPE_DEPENDENT_METRICS:
        return _ACCURACY[_kind(label, prediction)](name=given)
    found: Any = metrics_module.get(given)
    if isinstance(found, Loss):
        found = MeanMetricWrapper(found, name=found.name)
    elif not isinstance(found, Metric):
        found = MeanMetricWrapper(found)
    if isinstance(given, str):
        found.name = given
    checked: Metric = found
    return checked


def config_of(value: Any) -> Any:
    """An argument of `compile` as data."""
    if isinstance(value, list | tuple):
        return [config_of(each) for each in value]
    if isinstance(value, dict):
        return {key: config_of(each) for key, each in value.items()}
    return registry.serialize(value)
