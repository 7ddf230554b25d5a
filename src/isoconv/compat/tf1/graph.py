"""The default graph of TensorFlow 1: the layers drawn so far, their variables, the seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.layers.input import Input
from isoconv.ops.tensor import KerasTensor
from isoconv.ops.variable import Variable
from isoconv.utils import set_random_seed as set_every_seed


class Graph:
    """What was drawn since the program began or the graph was reset."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.seeded = False
        self._names: Counter[str] = Counter()

    @property
    def variables(self) -> list[Variable]:
        return [weight for layer in self.layers.values() for weight in layer.weights]

    def unique(self, name: str) -> str:
        """The name, with a number from its second use on."""
        count = self._names[name]
        self._names[name] += 1
        return f"{name}_{count}" if count else name


_default = Graph()


def get_default_graph() -> Graph:
    """The graph that everything is drawn in; there is one."""
    return _default


def reset_default_graph() -> None:
    """Begins an empty graph."""
    _default.clear()


class Initializer:
    """The operation that gives variables their initial values, in the session that runs it."""


def global_variables_initializer() -> Initializer:
    """To be run in each session, before anything that needs a variable."""
    return Initializer()


def global_variables() -> list[Variable]:
    """The variables of all layers drawn."""
    return _default.variables


def trainable_variables() -> list[Variable]:
    """Those of them that training changes."""
    return [variable for variable in _default.variables if variable.trainable]


def set_random_seed(seed: int) -> None:
    """With a seed, initial values of layers drawn from now on repeat, in every session."""
    set_every_seed(seed)
    _default.seeded = True


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> KerasTensor:
    """A value of this dtype to be fed. shape: with the batch, None for sizes known only then.

    name: its name, made unique.
    """
    if shape is None:
        remedy = "Write [None, ...] for sizes that are not known yet."
        raise ArgumentError(explain("placeholder: shape", "None", "a list of sizes", remedy))
    label = _default.unique(name or "Placeholder")
    return Input(batch_shape=tuple(shape), dtype=dtype, name=label)
