"""The metric: running totals that the compiled step adds to, and means of functions.

A metric's state is variables; `update_state` and `result` are written in isoconv.ops. Inside a
training step they become part of it; called on arrays they run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Self

import numpy as np

from isoconv import naming, ops, registry, settings
from isoconv.errors import ShapeError, explain
from isoconv.ops.compiled import Compiled, first_axis
from isoconv.ops.convert import as_array, as_tensor
from isoconv.ops.recorder import recording
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training import initializers
from isoconv.training.reduction import mask_of, merge_mask, safe_divide, same_rank

Function = Callable[..., Any]


class Metric:
    """A running measure. Subclasses write `update_state` and `result`.

    name: its name in logs. dtype: of its variables; `floatx()` if left out.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or naming.unique(naming.snake_case(type(self).__name__))
        self.dtype = dtype or settings.floatx()
        self._variables: list[Variable] = []
        self._programs: dict[Function, Compiled] = {}

    def __init_subclass__(cls) -> None:
        for name in ("update_state", "result"):
            if name in cls.__dict__:
                setattr(cls, name, _at_once(cls.__dict__[name]))
        if cls.__module__.startswith("isoconv.training.metrics"):
            registry.builtin("metrics")(cls)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes one batch into account."""
        raise NotImplementedError

    def result(self) -> Any:
        """The measure of everything since the last reset."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forgets everything: all variables become 0."""
        for variable in self._variables:
            variable.assign(np.zeros_like(variable.array))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    @property
    def variables(self) -> list[Variable]:
        """Its state."""
        return list(self._variables)

    def add_variable(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str = "state"
    ) -> Variable:
        """Makes a variable of the metric's state.

        shape: numbers only. initializer: a name or object, which `reset_state` uses again. dtype:
        the metric's if left out. name: made up if left out.
        """
        variable = Variable(
            initializers.get(initializer),
            shape=tuple(shape),
            dtype=dtype or self.dtype,
            trainable=False,
            name=name,
            path=f"{self.name}/{name}",
        )
        self._variables.append(variable)
        return variable

    add_weight = add_variable

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new metric with the arguments in `config`."""
        return cls(**config)


def _at_once(method: Function) -> Function:
    """The method, compiled as one program where it is called outside of a trace."""

    @wraps(method)
    def run(self: Metric, *args: Any, **kwargs: Any) -> Any:
        if recording() is not None:
            return method(self, *args, **kwargs)
        if method not in self._programs:
            bound = method.__get__(self)
            self._programs[method] = Compiled(bound, first_axis)
        args = tuple(as_array(each) if isinstance(each, list) else each for each in args)
        return self._programs[method](*args, **kwargs)

    return run


# -- means ------------------------------------------------------------------------------------


class Sum(Metric):
    """The weighted sum of all values."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = _by_sample(values, sample_weight, self.dtype, ops.sum)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Any:
        return ops.convert_to_tensor(self.total)


class Averaging(Metric):
    """The base of metrics that are weighted means of numbers they work out for samples."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def add(self, values: Any, sample_weight: Any = None) -> None:
        """Takes numbers (batch, ...) into the mean: each sample's mean, weighted."""
        values, weights = _by_sample(values, sample_weight, self.dtype, ops.mean)
        count = as_tensor(values.dims[0] if values.ndim else 1, self.dtype)
        self.total.assign_add(ops.sum(values))
        self.count.assign_add(count if weights is None else ops.sum(weights))

    def result(self) -> Any:
        return safe_divide(self.total, self.count)


class Mean(Averaging):
    """The weighted mean of all values: of each sample's mean, weighted by the sample's weight."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self.add(values, sample_weight)


def _by_sample(
    values: Any, weights: Any, dtype: str, reduce: Function
) -> tuple[Tensor, Tensor | None]:
    """Values times weights, and the weights, both reduced to one number a sample.

    A mask of the values acts on the weights; without any it is not heeded, as in Keras.
    """
    found = ops.cast(as_tensor(values), dtype)
    if weights is not None:
        weights = merge_mask(weights, mask_of(values), dtype, "sum")
        found, weights = same_rank(found, weights)
        if found.ndim > weights.ndim:
            found = reduce(found, list(range(weights.ndim, found.ndim)))
        if found.ndim != weights.ndim:
            given = f"weights of shape {weights.shape} for values of shape {found.shape}"
            raise ShapeError(explain("sample_weight", given, "a weight for each sample or value"))
        weights = ops.broadcast_to(weights, found.dims)
        found = found * weights
        if weights.ndim > 1:
            weights = reduce(weights, list(range(1, weights.ndim)))
    if found.ndim > 1:
        found = reduce(found, list(range(1, found.ndim)))
    return found, weights


class MeanMetricWrapper(Averaging):
    """The mean of `fn`, a function of labels and predictions. options: more arguments for it."""

    def __init__(
        self, fn: Function, name: str | None = None, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(name or str(getattr(fn, "__name__", "metric")), dtype)
        self.fn = fn
        self.options = options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        values = self.fn(y_true, y_pred, **self.options)
        weights = merge_mask(sample_weight, mask_of(y_pred), self.dtype, "sum")
        self.add(values, weights)

    def get_config(self) -> dict[str, Any]:
        fn = {} if type(self) is not MeanMetricWrapper else {"fn": registry.serialize(self.fn)}
        return super().get_config() | fn | self.options

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{key: registry.deserialize(value, "metrics") for key, value in config.items()})


class Plain(MeanMetricWrapper):
    """The mean of a function that has no options."""

    function: ClassVar[Function]

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(type(self).function, name, dtype)
