"""A model that is one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from isoconv import registry
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.layers.input import Input, InputLayer
from isoconv.models.model import Model
from isoconv.ops.tensor import KerasTensor


@registry.builtin("models")
class Sequential(Model):
    """Layers one after the other; drawn as soon as the shape of the input is known.

    Args:
        layers: the layers, of which the first may be an `Input`.
        name, trainable: as for layers.
    """

    is_sequential = True

    def __init__(
        self, layers: Sequence[Any] = (), trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, autocast=False)
        self._stack: list[Layer] = []
        self._chain: list[KerasTensor] = []
        self._shape_is_given = False
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any) -> None:
        """Puts a layer at the end; nothing changes where its input does not fit."""
        if isinstance(layer, KerasTensor) and layer.call is not None:
            layer = layer.call.target
        if not isinstance(layer, Layer):
            raise ArgumentError(explain(self.where("add"), repr(layer), "a layer"))
        if any(layer is each for each in self._stack):
            raise ArgumentError(explain(self.where("add"), layer, "a layer that is not in it yet"))
        if any(layer.name == each.name for each in self._stack):
            given = f"a second layer named {layer.name!r}"
            raise ArgumentError(explain(self.where("add"), given, "names of their own"))
        if not self._chain and not self._stack:
            self._start(layer)
        if self._chain and not isinstance(layer, InputLayer):
            self._chain.append(_one_tensor(self, layer(self._chain[-1])))
        self._stack.append(layer)
        self._redraw()

    def pop(self) -> Layer:
        """Takes the last layer off, and gives it."""
        if not self._stack:
            raise ArgumentError(explain(self.where("pop"), "no layers", "at least one"))
        layer = self._stack.pop()
        if self._chain:
            self._chain.pop()
        self._redraw()
        return layer

    def _start(self, layer: Layer) -> None:
        """Notes the shape of the input, if the first layer says it."""
        if isinstance(layer, InputLayer):
            self._chain = [layer.output]
        elif isinstance(layer, Model) and layer.network is not None:
            self._chain = [Input(batch_shape=layer.inputs[0].shape, dtype=layer.inputs[0].dtype)]
        elif layer._input_shape_argument is not None:
            self._chain = [Input(layer._input_shape_argument, dtype=layer.input_dtype)]
        self._shape_is_given = bool(self._chain)

    def _redraw(self) -> None:
        self._network = None
        self.built = False
        if self._chain:
            self.draw(self._chain[0], self._chain[-1])

    def build(self, input_shape: Any) -> None:
        """Draws the model for an input of this shape, batch included."""
        if self._chain:
            return
        if not self._stack:
            raise ArgumentError(explain(self.where("build"), "no layers", "at least one"))
        chain = [Input(batch_shape=tuple(input_shape), dtype=self._stack[0].input_dtype)]
        for layer in self._stack:
            chain.append(_one_tensor(self, layer(chain[-1])))
        self._chain = chain
        self._redraw()

    @property
    def layers(self) -> list[Layer]:
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def sublayers(self) -> list[Any]:
        return self.layers

    def prepare(self, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self._stack and self._stack[0].preprocesses:
            args = tuple(map(self._stack[0].preprocess, args))
        if self._shape_is_given:
            return super().prepare(args, kwargs)
        return Layer.prepare(self, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "layers": [registry.serialize(layer) for layer in self._stack],
        }
        if self._chain:
            config["build_input_shape"] = list(self._chain[0].shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        with registry.naming_config(cls.__name__):
            layers = [registry.deserialize(each, "layers") for each in config["layers"]]
            model = cls(layers, name=config.get("name"), trainable=config.get("trainable", True))
            shape = config.get("build_input_shape")
            if shape and not model.built and layers:
                model.build(tuple(shape))
            return model


def _one_tensor(model: Sequential, result: Any) -> KerasTensor:
    if not isinstance(result, KerasTensor):
        raise ArgumentError(explain(model.where("add"), result, "layers with one output"))
    return result
