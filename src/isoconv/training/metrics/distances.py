"""Losses as metrics: their means over everything seen."""

from __future__ import annotations

from typing import Any

from isoconv import ops, registry
from isoconv.ops.convert import as_float, as_tensor
from isoconv.training import losses
from isoconv.training.metrics.base import Averaging, MeanMetricWrapper, Plain
from isoconv.training.reduction import same_rank


class MeanSquaredError(Plain):
    """The mean squared error."""

    function = staticmethod(losses.mean_squared_error)


class MeanAbsoluteError(Plain):
    """The mean absolute error."""

    function = staticmethod(losses.mean_absolute_error)


class MeanAbsolutePercentageError(Plain):
    """The mean absolute error in percent of the label."""

    function = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(Plain):
    """The mean squared difference of logarithms."""

    function = staticmethod(losses.mean_squared_logarithmic_error)


class RootMeanSquaredError(Averaging):
    """The square root of the mean squared error."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        predicted = as_float(y_pred)
        labels, predicted = same_rank(as_tensor(y_true, predicted.dtype), predicted)
        self.add(ops.square(labels - predicted), sample_weight)

    def result(self) -> Any:
        return ops.sqrt(super().result())


class KLDivergence(Plain):
    """The mean Kullback-Leibler divergence."""

    function = staticmethod(losses.kl_divergence)


class Poisson(Plain):
    """The mean Poisson loss."""

    function = staticmethod(losses.poisson)


class LogCoshError(Plain):
    """The mean of log(cosh(error))."""

    function = staticmethod(losses.log_cosh)


class Hinge(Plain):
    """The mean hinge loss."""

    function = staticmethod(losses.hinge)


class SquaredHinge(Plain):
    """The mean squared hinge loss."""

    function = staticmethod(losses.squared_hinge)


class CategoricalHinge(Plain):
    """The mean categorical hinge loss."""

    function = staticmethod(losses.categorical_hinge)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary crossentropy.

    from_logits: whether predictions are yet to go through a sigmoid. label_smoothing: how far
    labels are moved towards one half.
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean categorical crossentropy.

    from_logits: whether predictions are yet to go through a softmax. label_smoothing: how much of
    each label is spread evenly over the classes. axis: that of the classes.
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **options)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean sparse categorical crossentropy.

    from_logits: whether predictions are yet to go through a softmax. ignore_class: a label that is
    left out. axis: that of the classes.
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)


class CosineSimilarity(Averaging):
    """The mean cosine of the angle between labels and predictions, along `axis`."""

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.axis = axis

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        # The loss is minus this.
        values = ops.negative(losses.cosine_similarity(y_true, y_pred, axis=self.axis))
        self.add(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


# After the classes: further names for them, as in Keras.
for _class, _aliases in {
    MeanSquaredError: ("mse", "MSE"),
    MeanAbsoluteError: ("mae", "MAE"),
    MeanAbsolutePercentageError: ("mape", "MAPE"),
    MeanSquaredLogarithmicError: ("msle", "MSLE"),
    RootMeanSquaredError: ("rmse", "RMSE"),
    KLDivergence: ("kld", "KLD"),
    LogCoshError: ("logcosh", "log_cosh"),
    BinaryCrossentropy: ("bce", "BCE"),
}.items():
    registry.builtin("metrics", *_aliases)(_class)
