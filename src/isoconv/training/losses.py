"""Losses by Keras' names: classes that reduce what `loss_functions` give to one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from isoconv import naming, registry
from isoconv.errors import ArgumentError, explain
from isoconv.ops.compiled import Compiled, first_axis
from isoconv.ops.convert import as_array
from isoconv.ops.recorder import recording
from isoconv.ops.tensor import Tensor
from isoconv.training.loss_functions import (
    FUNCTIONS,
    Function,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from isoconv.training.reduction import (
    in_dtype,
    joint_mask,
    reduce_weighted,
    same_rank,
    standardize_reduction,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

# -- classes ----------------------------------------------------------------------------------


class Loss:
    """A loss that gives one number for a batch. Subclasses write `call(y_true, y_pred)`.

    Args:
        name: its name.
        reduction: "sum_over_batch_size" or "mean" (over all losses), "sum",
            "mean_with_sample_weight" (over the weights), or "none".
        dtype: of the arithmetic; that of the predictions if left out.
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        self.name = name or naming.unique(naming.snake_case(type(self).__name__))
        self.reduction = standardize_reduction(reduction, type(self).__name__)
        self.dtype = dtype
        self._compiled = Compiled(self._reduced, first_axis)

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("losses")(cls)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch; on arrays at once.

        sample_weight: (batch,), or a weight for each of the losses before they are reduced.
        """
        if recording() is not None:
            return self._reduced(y_true, y_pred, sample_weight)
        return self._compiled(*map(_arrays, (y_true, y_pred, sample_weight)))

    def _reduced(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        values = self.call(y_true, in_dtype(y_pred, self.dtype))
        mask = joint_mask(y_pred, values)
        return reduce_weighted(values, sample_weight, mask, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses of y_pred where y_true is right, before they are reduced, in isoconv.ops."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new loss with the arguments in `config`."""
        return cls(**config)


def _arrays(value: Any) -> Any:
    return as_array(value) if isinstance(value, list | tuple) else value


class LossFunctionWrapper(Loss):
    """A function of labels and predictions as a Loss.

    fn: gives a loss for each sample. options: further arguments for it.
    """

    def __init__(
        self,
        fn: Function,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.options = options

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_pred, Tensor) and not isinstance(y_true, list | tuple | dict):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        fn = {} if type(self) is not LossFunctionWrapper else {"fn": registry.serialize(self.fn)}
        return super().get_config() | fn | self.options

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{key: registry.deserialize(value, "losses") for key, value in config.items()})


class _Plain(LossFunctionWrapper):
    """A loss whose function has no options."""

    function: ClassVar[Function]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(type(self).function, reduction, name, dtype)


class MeanSquaredError(_Plain):
    """`mean_squared_error`, reduced."""

    function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Plain):
    """`mean_absolute_error`, reduced."""

    function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Plain):
    """`mean_absolute_percentage_error`, reduced."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Plain):
    """`mean_squared_logarithmic_error`, reduced."""

    function = staticmethod(mean_squared_logarithmic_error)


class LogCosh(_Plain):
    """`log_cosh`, reduced."""

    function = staticmethod(log_cosh)


class Hinge(_Plain):
    """`hinge`, reduced."""

    function = staticmethod(hinge)


class SquaredHinge(_Plain):
    """`squared_hinge`, reduced."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(_Plain):
    """`categorical_hinge`, reduced."""

    function = staticmethod(categorical_hinge)


class KLDivergence(_Plain):
    """`kl_divergence`, reduced."""

    function = staticmethod(kl_divergence)


class Poisson(_Plain):
    """`poisson`, reduced."""

    function = staticmethod(poisson)


class Huber(LossFunctionWrapper):
    """`huber`, reduced. delta: where the loss turns from quadratic to linear."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class CosineSimilarity(LossFunctionWrapper):
    """`cosine_similarity`, reduced. axis: along which the vectors lie."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class _Crossentropy(LossFunctionWrapper):
    """Between distributions of classes.

    Args:
        from_logits: whether predictions are yet to go through a softmax or sigmoid.
        label_smoothing: how much of each label is spread evenly over the classes.
        axis: the axis of the classes.
        name, reduction, dtype: as for `Loss`.
    """

    function: ClassVar[Function]

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(type(self).function, reduction, name, dtype, **options)


def _check_smoothing(loss: Loss, label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        where = f"{type(loss).__name__}: label_smoothing"
        raise ArgumentError(explain(where, label_smoothing, "a number from 0 to 1"))


class BinaryCrossentropy(_Crossentropy):
    """`binary_crossentropy`, reduced."""

    function = staticmethod(binary_crossentropy)


class CategoricalCrossentropy(_Crossentropy):
    """`categorical_crossentropy`, reduced."""

    function = staticmethod(categorical_crossentropy)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """`binary_focal_crossentropy`, reduced.

    apply_class_balancing: whether the classes are weighed, by alpha and 1 - alpha. gamma: how much
    less losses of what is predicted well count. from_logits, label_smoothing, axis:
    as for `BinaryCrossentropy`.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        balancing = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        options |= balancing
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **options)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """`categorical_focal_crossentropy`, reduced.

    alpha: the weight of each class. gamma: how much less losses of what is predicted well count.
    from_logits, label_smoothing, axis: as for `CategoricalCrossentropy`.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        options |= {"alpha": alpha, "gamma": gamma}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """`sparse_categorical_crossentropy`, reduced.

    from_logits: whether predictions are yet to go through a softmax. ignore_class: a label that is
    left out; means are over the others. axis: that of the classes.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)


# -- by name ----------------------------------------------------------------------------------

# After the classes: the name in lower case is the function's, as in Keras.
for _function, _aliases in FUNCTIONS.items():
    registry.builtin("losses", *_aliases)(_function)


def get(identifier: Any) -> Any:
    """A loss from an identifier: its name, config, class or itself; None stays None."""
    return registry.get("losses", identifier)


def serialize(loss: Any) -> Any:
    """The loss as data."""
    return registry.serialize(loss)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    return registry.deserialize(config, "losses", custom_objects)
