"""Penalties on weights and outputs, by Keras' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from isoconv import ops, registry, settings
from isoconv.errors import ArgumentError, ShapeError, explain


class Regularizer:
    """Gives a scalar penalty of a tensor. Subclasses write `__call__(x)` and `get_config`."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("regularizers")(cls)

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new regularizer with the arguments in `config`."""
        return cls(**config)


def get(identifier: Any) -> Any:
    """A regularizer from an identifier: its name, config, class or itself; None stays None."""
    return registry.get("regularizers", identifier)


def serialize(regularizer: Any) -> Any:
    """The regularizer as data."""
    return registry.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    return registry.deserialize(config, "regularizers", custom_objects)


class L1L2(Regularizer):
    """l1 times the sum of absolute values, plus l2 times the sum of squares."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor(l1 or 0.0, "L1L2: l1")
        self.l2 = _factor(l2 or 0.0, "L1L2: l2")

    def __call__(self, x: Any) -> Any:
        return _absolutes(x) * self.l1 + _squares(x) * self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """l1 times the sum of absolute values."""

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor(0.01 if l1 is None else l1, "L1: l1")

    def __call__(self, x: Any) -> Any:
        return _absolutes(x) * self.l1

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """l2 times the sum of squares."""

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor(0.01 if l2 is None else l2, "L2: l2")

    def __call__(self, x: Any) -> Any:
        return _squares(x) * self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between rows, or columns, of a matrix.

    mode: "rows" or "columns".
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor(factor, "OrthogonalRegularizer: factor")
        if mode not in ("rows", "columns"):
            where = "OrthogonalRegularizer: mode"
            raise ArgumentError(explain(where, repr(mode), "'rows' or 'columns'"))
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            given = f"shape {tuple(x.shape)}"
            raise ShapeError(explain("OrthogonalRegularizer", given, "a matrix"))
        rows: Any = x if self.mode == "rows" else ops.transpose(x)
        count = int(rows.shape[0])
        squares = ops.sum(ops.square(rows), 1, keepdims=True)
        # A row of zeros has no direction: it counts as 1 / epsilon times itself, as in Keras.
        least = settings.epsilon() ** 2
        unit = ops.multiply(rows, ops.rsqrt(ops.maximum(squares, least)))
        cosines = ops.matmul(unit, ops.transpose(unit))
        others = ops.multiply(cosines, 1.0 - ops.eye(count, dtype=x.dtype))
        pairs = max(count * (count - 1) / 2, 1)
        return ops.sum(ops.absolute(others)) * (0.5 * self.factor / pairs)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _absolutes(x: Any) -> Any:
    return ops.sum(ops.absolute(x))


def _squares(x: Any) -> Any:
    return ops.sum(ops.square(x))


def _factor(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ArgumentError(explain(where, repr(value), "a finite number of at least 0"))
    return float(value)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer
registry.builtin("regularizers", "l1_l2")(L1L2)
