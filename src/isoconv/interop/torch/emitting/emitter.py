"""The graph of PyTorch that grows layer by layer, and who adds to it for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoconv import optional
from isoconv.errors import ArgumentError, explain
from isoconv.training import activations

Emit = Callable[..., Any]

LAYERS: dict[type, Emit] = {}
"""What emits each kind of layer, for its first argument."""


def emits(*kinds: type) -> Callable[[Emit], Emit]:
    """Makes a function what emits these kinds of layers and their subclasses."""

    def register(emit: Emit) -> Emit:
        LAYERS.update(dict.fromkeys(kinds, emit))
        return emit

    return register


class Emitter:
    """A graph of PyTorch that grows layer by layer, and the module it will be the code of."""

    def __init__(self, torch: Any, fx: Any) -> None:
        self.torch = torch
        self.nn = torch.nn
        self.F = torch.nn.functional
        self.own = optional.late("isoconv.interop.torch.functions")
        self._fx = fx
        self._root = torch.nn.Module()
        self._graph = fx.Graph()
        self._name = ""
        self._dtype: Any = None
        self.shapes: list[Any] = []

    # -- the whole ----------------------------------------------------------------------------

    def input(self, name: str) -> Any:
        """An argument of the module."""
        return self._graph.placeholder(_identifier(name))

    def finished(self, outputs: Any, name: str) -> Any:
        """The module."""
        self._graph.output(outputs)
        return self._fx.GraphModule(self._root, self._graph, _identifier(name))

    def begin(self, layer: Any, name: str, shapes: list[Any]) -> None:
        """What follows belongs to this layer, called on inputs of these shapes."""
        self._name, self.shapes = name, shapes
        self._dtype = getattr(self.torch, layer.dtype)

    # -- nodes --------------------------------------------------------------------------------

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of a function."""
        return self._graph.call_function(function, args, kwargs)

    def module(self, make: Any, x: Any, suffix: str = "") -> Any:
        """The result of a module called like the layer; `make` makes it, unless it is there."""
        path = f"{self._name}.{suffix}" if suffix else self._name
        place, last = self._place(path)
        if last not in place._modules:
            place.add_module(last, make().to(self._dtype))
        return self._graph.call_module(path, (x,))

    def parameter(self, shape: tuple[int, ...], learns: bool) -> Any:
        """A weight by itself, called like the layer; a buffer if it is not trained."""
        place, last = self._place(self._name)
        if not hasattr(place, last):
            value = self.torch.zeros(shape, dtype=self._dtype)
            if learns:
                place.register_parameter(last, self.nn.Parameter(value))
            else:
                place.register_buffer(last, value)
        return self._graph.get_attr(self._name)

    def _place(self, path: str) -> tuple[Any, str]:
        """The module that holds what this path leads to, and the name that it has there."""
        *folders, last = path.split(".")
        place = self._root
        for part in folders:
            if part not in place._modules:
                place.add_module(part, self.nn.Module())
            place = place._modules[part]
        return place, last

    def weigh(self, name: str, suffix: str, array: Any) -> None:
        """Gives a weight of a submodule its numbers."""
        path, _, last = (f"{name}.{suffix}" if suffix else name).rpartition(".")
        with self.torch.no_grad():
            target = getattr(self._root.get_submodule(path), last)
            target.copy_(self.torch.from_numpy(array.copy()))

    # -- layouts ------------------------------------------------------------------------------

    def first(self, layer: Any, x: Any) -> Any:
        """The layer's input with its channels second."""
        return x if layer.data_format == "channels_first" else self.moved_first(x, layer.rank + 2)

    def back(self, layer: Any, x: Any) -> Any:
        """The opposite of `first`."""
        return x if layer.data_format == "channels_first" else self.moved_last(x, layer.rank + 2)

    def moved_first(self, x: Any, rank: int) -> Any:
        if x.op == "call_function" and x.kwargs.get("dims") == _last(rank):
            return x.args[0]
        return self.call(self.torch.permute, x, dims=(0, rank - 1, *range(1, rank - 1)))

    def moved_last(self, x: Any, rank: int) -> Any:
        return self.call(self.torch.permute, x, dims=_last(rank))

    def channels_second(self, axis: int, x: Any, emit: Emit) -> Any:
        """What `emit` makes of x with the channels second, and these back in their place."""
        rank = len(self.shapes[0])
        if axis % rank == 1:
            return emit(x)
        if axis % rank != rank - 1:
            raise self.refuse(f"axis {axis}", "the second or the last")
        return self.moved_last(emit(self.moved_first(x, rank)), rank)

    def of_rank(self, name: str, rank: int) -> Any:
        """torch.nn's class for so many spatial axes."""
        return getattr(self.nn, f"{name}{rank}d")

    def activated(self, activation: Any, x: Any) -> Any:
        """x through an activation that Keras has by a name."""
        name = activations.serialize(activation)
        if name == "linear":
            return x
        function = _ACTIVATIONS.get(name) if isinstance(name, str) else None
        if function is None:
            given = f"the activation {name!r}"
            expected = f"one of {', '.join(_ACTIVATIONS)}"
            raise ArgumentError(explain(f"to_torch: {self._name}", given, expected))
        return function(self, x)

    def refuse(self, given: str, expected: str) -> ArgumentError:
        """The error for what PyTorch has not."""
        return ArgumentError(explain(f"to_torch: {self._name}", given, expected))


def _last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def _identifier(name: str) -> str:
    clean = "".join(each if each.isalnum() else "_" for each in name)
    return clean if clean[:1].isalpha() else f"m_{clean}"


_ACTIVATIONS: dict[str, Emit] = {
    "celu": lambda e, x: e.call(e.F.celu, x),
    "elu": lambda e, x: e.call(e.F.elu, x),
    "exponential": lambda e, x: e.call(e.torch.exp, x),
    "gelu": lambda e, x: e.call(e.F.gelu, x),
    "hard_sigmoid": lambda e, x: e.call(e.F.hardsigmoid, x),
    "hard_silu": lambda e, x: e.call(e.F.hardswish, x),
    "hard_tanh": lambda e, x: e.call(e.F.hardtanh, x),
    "leaky_relu": lambda e, x: e.call(e.F.leaky_relu, x, 0.2),
    "log_sigmoid": lambda e, x: e.call(e.F.logsigmoid, x),
    "log_softmax": lambda e, x: e.call(e.F.log_softmax, x, -1),
    "mish": lambda e, x: e.call(e.F.mish, x),
    "relu": lambda e, x: e.call(e.F.relu, x),
    "relu6": lambda e, x: e.call(e.F.relu6, x),
    "selu": lambda e, x: e.call(e.F.selu, x),
    "sigmoid": lambda e, x: e.call(e.torch.sigmoid, x),
    "silu": lambda e, x: e.call(e.F.silu, x),
    "softmax": lambda e, x: e.call(e.F.softmax, x, -1),
    "softplus": lambda e, x: e.call(e.F.softplus, x),
    "softsign": lambda e, x: e.call(e.F.softsign, x),
    "tanh": lambda e, x: e.call(e.torch.tanh, x),
    "tanh_shrink": lambda e, x: e.call(e.F.tanhshrink, x),
}
