"""What belongs to a layer: variables and sublayers among its attributes, and its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Self

from isoconv import registry
from isoconv.changes import changed
from isoconv.ops.recorder import recording
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.variable import Variable


class Tracking:
    """Finds variables, seeds and sublayers in attributes, also inside lists and dicts."""

    bookkeeping: frozenset[str] = frozenset({"loss_values", "built", "build_shapes"})
    """Public attributes that no computation depends on."""

    _own: tuple[list[Variable], list[Variable]]
    _arguments: tuple[Any, Any]
    _trainable: bool = True
    built: bool = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_own", ([], []))
        object.__setattr__(self, "_arguments", (args, kwargs))
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):
            self.track(value)
        counts = name[0] != "_" and name not in self.bookkeeping
        if counts and self.built and recording() is None and not _same(vars(self).get(name), value):
            changed()
        object.__setattr__(self, name, value)

    def track(self, variable: Variable) -> Variable:
        """Makes the variable one of the layer's own."""
        mine = self._own[0] + self._own[1]
        if not any(variable is each for each in mine):
            self._own[not variable.trainable].append(variable)
            variable.trainable = variable.trainable and self._trainable
        return variable

    def sublayers(self) -> list[Any]:
        """The layers among the attributes, in the order in which they were set."""
        kept = (value for name, value in vars(self).items() if name not in _INTERNAL)
        return _distinct(each for value in kept for each in _inside(value, Tracking))

    def all_layers(self) -> list[Any]:
        """This layer and all within it."""
        return _distinct([self, *(each for sub in self.sublayers() for each in sub.all_layers())])

    def seed_generators(self) -> list[SeedGenerator]:
        """The seeds of this layer and all within it."""
        return _distinct(
            each
            for layer in self.all_layers()
            for value in vars(layer).values()
            for each in _inside(value, SeedGenerator)
        )

    @property
    def weights(self) -> list[Variable]:
        """Its variables, the trainable ones first, then those of its sublayers."""
        inner = (weight for layer in self.sublayers() for weight in layer.weights)
        return _distinct([*self._own[0], *self._own[1], *inner])

    @property
    def variables(self) -> list[Variable]:
        """Its weights, and the states of its seeds."""
        return self.weights + [seed.state for seed in self.seed_generators()]

    @property
    def trainable_weights(self) -> list[Variable]:
        return [weight for weight in self.weights if weight.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [w for w in self.weights if not w.trainable] if self.trainable else self.weights

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights; setting it sets that of all within it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._own[0]:
            variable.trainable = self._trainable
        for layer in self.sublayers():
            layer.trainable = value


def _same(old: Any, new: Any) -> bool:
    """Whether setting an attribute anew changes nothing."""
    plain = isinstance(new, bool | int | float | str) and type(old) is type(new)
    return old is new or (plain and bool(old == new))


# The arguments are kept for get_config only: what they hold is no attribute of the layer.
_INTERNAL = ("_arguments", "_calls")


def _inside(value: Any, kind: type) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _inside(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _inside(item, kind)


def _distinct(values: Any) -> list[Any]:
    """Each once, by identity, in order."""
    return list({id(value): value for value in values}.values())


def automatic_config(layer: Any, base: dict[str, Any]) -> dict[str, Any]:
    """A config from the arguments a layer was made with, where its class writes none."""
    args, kwargs = layer._arguments
    signature = inspect.signature(type(layer).__init__)
    given = dict(signature.bind(layer, *args, **kwargs).arguments)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    given.pop(next(iter(kinds)))
    extra = next((n for n, kind in kinds.items() if kind is inspect.Parameter.VAR_KEYWORD), None)
    given |= given.pop(extra, {}) if extra else {}
    if extra is None:
        base = {key: value for key, value in base.items() if key in kinds}
    plain = (type(None), bool, int, float, str, list, tuple, dict)
    bad = [name for name, value in given.items() if not isinstance(value, plain)]
    if bad:
        raise NotImplementedError(
            f"{type(layer).__name__} has the argument {bad[0]}, which is no plain data: "
            "write get_config, and from_config to read it back"
        )
    return {name: registry.serialize(value) for name, value in given.items()} | base
