"""Bounds that weights are brought back into after each step, by Keras' names.

They are written in `isoconv.ops`, so that they become part of the compiled training step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from isoconv import ops, registry, settings


class Constraint:
    """Gives the allowed value that belongs to a weight's. Subclasses write `__call__(w)`."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("constraints")(cls)

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new constraint with the arguments in `config`."""
        return cls(**config)


def get(identifier: Any) -> Any:
    """A constraint from an identifier: its name, config, class or itself; None stays None."""
    return registry.get("constraints", identifier)


def serialize(constraint: Any) -> Any:
    """The constraint as data."""
    return registry.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    return registry.deserialize(config, "constraints", custom_objects)


class NonNeg(Constraint):
    """Weights below 0 become 0."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0.0)


class MinMaxNorm(Constraint):
    """Norms brought between two bounds: w * desired / (epsilon + norm).

    desired = rate * clip(norm, min_value, max_value) + (1 - rate) * norm.

    Args:
        min_value, max_value: the bounds of the Euclidean norm.
        rate: how far a norm outside is moved; 1 is all the way.
        axis: the axis, or axes, that a norm is taken over.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Any = 0,
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        desired = ops.clip(norms, self.min_value, self.max_value)
        desired = desired * self.rate + norms * (1 - self.rate)
        return ops.multiply(w, desired / (norms + settings.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class MaxNorm(Constraint):
    """Norms brought to at most `max_value` (Srivastava et al. 2014).

    axis: the axis, or axes, that a norm is taken over: 0 for Dense, all but the last for kernels
    of convolutions.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        desired = ops.clip(norms, 0.0, self.max_value)
        return ops.multiply(w, desired / (norms + settings.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Norms brought to 1. axis: as for MaxNorm."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, _norms(w, self.axis) + settings.epsilon())

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


def _norms(w: Any, axis: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
