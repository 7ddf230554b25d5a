"""Penalties on weights and outputs, by Keras' names."""

from __future__ import annotations

from typing import Any, Self

from isoconv import ops, registry


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
        return cls(**config)


def get(identifier: Any) -> Any:
    """A regularizer from its name, config, class or itself; None stays None."""
    return registry.get("regularizers", identifier)


def serialize(regularizer: Any) -> Any:
    """The regularizer as data."""
    return registry.serialize(regularizer)


class L2(Regularizer):
    """l2 times the sum of squares."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = l2

    def __call__(self, x: Any) -> Any:
        return ops.sum(ops.square(x)) * self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}
