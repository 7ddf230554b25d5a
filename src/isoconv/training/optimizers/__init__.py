"""Optimizers by Keras' names and numbers, and the schedules of their learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isoconv import registry
from isoconv.training.optimizers import schedules
from isoconv.training.optimizers.base import Optimizer
from isoconv.training.optimizers.direction import SGD, Lion
from isoconv.training.optimizers.moments import Adam, AdamW, Nadam
from isoconv.training.optimizers.scaled import Adagrad, RMSprop

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]


def get(identifier: Any) -> Any:
    """An optimizer from an identifier: its name, config, class or itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    return registry.get("optimizers", identifier)


def serialize(optimizer: Any) -> Any:
    """The optimizer as data."""
    return registry.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    return registry.deserialize(config, "optimizers", custom_objects)
