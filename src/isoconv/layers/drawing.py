"""Layers that models drawn from foreign graphs need: a weight by itself, and functions of sizes.

Keras has neither; what is drawn with them is saved and trained like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from isoconv import dtypes, registry
from isoconv.errors import ArgumentError, explain
from isoconv.ir.sizes import Dim, names, substitute
from isoconv.ir.text import parse_size
from isoconv.layers import arguments
from isoconv.layers.base import Layer
from isoconv.ops import tree
from isoconv.ops.convert import as_tensor
from isoconv.ops.dispatch import FUNCTIONS


class Parameter(Layer):
    """A weight by itself: whatever it is called on, it gives the weight.

    Args:
        shape: of the weight, which has no batch.
        initializer: how it starts. Weights of integers or bools are never trained.
        dtype: of the weight.

    Weights: value.
    """

    def __init__(self, shape: Any, initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
        if not all(arguments.is_integer(size) and size >= 0 for size in sizes):
            raise ArgumentError(explain(self.where("shape"), repr(shape), "whole sizes"))
        self.shape = tuple(int(size) for size in sizes)
        self.initializer = initializer

    def build(self, input_shape: Any) -> None:
        learns = self.trainable and dtypes.is_float(self.dtype)
        self.value = self.add_weight(self.shape, self.initializer, trainable=learns, name="value")

    def call(self, inputs: Any) -> Any:
        return self.value.value

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.shape

    def get_config(self) -> dict[str, Any]:
        initializer = registry.serialize(self.initializer)
        return super().get_config() | {"shape": list(self.shape), "initializer": initializer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


class WithSizes(Layer):
    """A function of `isoconv.ops` some of whose arguments are sizes known at run time only.

    WithSizes("reshape", {"newshape": [{"size": "x0_0"}, {"size": "2*x0_2"}]})(x) gives each row of
    x, of sizes (x0_0, x0_1, x0_2), another shape.

    Args:
        function: the name of a function of `isoconv.ops`, called on the first `tensors` inputs.
        options: its other arguments, by name; {"size": "..."} is an expression of + - * floor(a, b)
            max(a, b) and the sizes of the inputs: "x1_2" is axis 2 of input 1.
        tensors: how many inputs the function is called on; the others are there for their sizes.
    """

    def __init__(
        self, function: str, options: Mapping[str, Any], tensors: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        if function not in FUNCTIONS:
            where = self.where("function")
            raise ArgumentError(explain(where, repr(function), "a function of isoconv.ops"))
        self.function = function
        self.options = dict(options)
        self.tensors = tensors
        self._parsed = {name: _parsed(value) for name, value in self.options.items()}

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def call(self, inputs: Any) -> Any:
        given = [as_tensor(leaf) for leaf in tree.leaves(inputs)]
        known = {
            f"x{number}_{axis}": dim
            for number, tensor in enumerate(given)
            for axis, dim in enumerate(tensor.dims)
        }
        options = {name: self._filled(value, known) for name, value in self._parsed.items()}
        return FUNCTIONS[self.function](*given[: self.tensors], **options)

    def _filled(self, value: Any, known: Mapping[str, Dim]) -> Any:
        if isinstance(value, _Expression):
            missing = names(value.size) - set(known)
            if missing:
                expected = f"sizes of its inputs, {', '.join(known)}"
                raise ArgumentError(explain(self.where("options"), sorted(missing), expected))
            return substitute(value.size, known)
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return slice(*(self._filled(part, known) for part in parts))
        if isinstance(value, list):
            return [self._filled(item, known) for item in value]
        return value

    def get_config(self) -> dict[str, Any]:
        options = registry.serialize(_plain(self.options))
        return super().get_config() | {
            "function": self.function,
            "options": options,
            "tensors": self.tensors,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


class _Expression:
    """A size to be worked out at run time."""

    def __init__(self, text: Any) -> None:
        self.size = parse_size(str(text))


def _parsed(value: Any) -> Any:
    """An option with its expressions read."""
    if isinstance(value, Mapping):
        if set(value) == {"slice"}:
            return slice(*map(_parsed, value["slice"]))
        if set(value) != {"size"}:
            expected = '{"size": expression} or {"slice": [start, stop, step]}'
            raise ArgumentError(explain("WithSizes: options", dict(value), expected))
        return _Expression(value["size"])
    return [_parsed(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """An option as JSON data."""
    return tree.transform(lambda x: x.item() if isinstance(x, np.generic) else x, value)
