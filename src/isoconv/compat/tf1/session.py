"""A session of TensorFlow 1: variables with values of its own, and running what is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from isoconv.compat.tf1.graph import Initializer, get_default_graph
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.layers.input import InputLayer
from isoconv.models.function import Function
from isoconv.models.network import needed
from isoconv.ops import tree
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import KerasTensor
from isoconv.ops.variable import Variable


class Session:
    """Runs the default graph. Its variables have values only once their initializer was run here.

    target, graph, config: taken for TensorFlow's sake.
    """

    def __init__(self, target: str = "", graph: Any = None, config: Any = None) -> None:
        self._values: dict[Variable, Array] = {}
        # With the tensors that their keys are the ids of, so that these stay their own.
        self._functions: dict[tuple[int, ...], tuple[Function, Any]] = {}
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Forgets the values of its variables."""
        self._open = False
        self._values.clear()

    def run(self, fetches: Any, feed_dict: Mapping[KerasTensor, Any] | None = None) -> Any:
        """The values of `fetches`, in their structure.

        fetches: tensors, variables, initializers (which give None), or lists or dicts of them.
        feed_dict: a value for each placeholder that they need.
        """
        if not self._open:
            raise ArgumentError(explain("Session.run", "a closed session", "an open one"))
        leaves = list(tree.leaves(fetches))
        for leaf in leaves:
            if not isinstance(leaf, Initializer | KerasTensor | Variable):
                expected = "tensors, variables or initializers"
                raise ArgumentError(explain("Session.run: fetches", repr(leaf), expected))
        if any(isinstance(leaf, Initializer) for leaf in leaves):
            self._initialize()
        drawn = [leaf for leaf in leaves if isinstance(leaf, KerasTensor)]
        computed = iter(self._compute(drawn, feed_dict or {}) if drawn else [])

        def value(leaf: Any) -> Any:
            if isinstance(leaf, Variable):
                return self._value(leaf).copy()
            return next(computed) if isinstance(leaf, KerasTensor) else None

        return tree.transform(value, fetches)

    def _initialize(self) -> None:
        graph = get_default_graph()
        for variable in graph.variables:
            start = variable.initializer
            if graph.seeded or not callable(start):
                self._values[variable] = variable.numpy()
            else:
                drawn = start(variable.shape, dtype=variable.dtype)
                self._values[variable] = np.array(drawn, variable.dtype, order="C")

    def _value(self, variable: Variable) -> Array:
        if variable not in self._values:
            given = f"{variable.path}, which has no value in this session"
            remedy = "Run global_variables_initializer() in it first."
            raise ArgumentError(explain("Session.run", given, "initialized variables", remedy))
        return self._values[variable]

    def _compute(self, fetches: list[KerasTensor], feeds: Mapping[KerasTensor, Any]) -> Any:
        inputs, layers = _sources(fetches)
        missing = [tensor.name for tensor in inputs if tensor not in feeds]
        if missing:
            given = f"values for {[tensor.name for tensor in feeds]}"
            raise ArgumentError(explain("Session.run: feed_dict", given, f"also {missing[0]!r}"))
        key = tuple(map(id, (*inputs, *fetches)))
        if key not in self._functions:
            self._functions[key] = Function(inputs, fetches), (inputs, fetches)
        weights = [weight for layer in layers for weight in layer.weights]
        values = {weight: self._value(weight) for weight in weights}
        return self._functions[key][0]([feeds[tensor] for tensor in inputs], values=values)


def _sources(outputs: list[KerasTensor]) -> tuple[list[KerasTensor], list[Layer]]:
    """The placeholders and the layers that these tensors need."""
    inputs: dict[KerasTensor, None] = {}
    layers: dict[int, Layer] = {}
    seen: set[KerasTensor] = set()
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        call = tensor.call
        if tensor in seen or call is None:
            continue
        seen.add(tensor)
        if isinstance(call.target, InputLayer):
            inputs.setdefault(tensor)
            continue
        if isinstance(call.target, Layer):
            layers[id(call.target)] = call.target
        stack += needed(call)
    return list(inputs), list(layers.values())
