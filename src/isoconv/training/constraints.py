"""Bounds that weights are brought back into after each step, by Keras' names."""

from __future__ import annotations

from typing import Any, Self

from isoconv import ops, registry


class Constraint:
    """Gives the allowed value nearest to a weight's. Subclasses write `__call__(w)`."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("constraints")(cls)

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def get(identifier: Any) -> Any:
    """A constraint from its name, config, class or itself; None stays None."""
    return registry.get("constraints", identifier)


def serialize(constraint: Any) -> Any:
    """The constraint as data."""
    return registry.serialize(constraint)


class NonNeg(Constraint):
    """Weights below 0 become 0."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0.0)
