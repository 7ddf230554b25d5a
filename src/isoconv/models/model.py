"""The model: a layer drawn from `Input` to outputs, or one that subclasses write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from isoconv import registry
from isoconv.errors import ArgumentError, explain, nearest
from isoconv.layers import masks
from isoconv.layers.base import Layer
from isoconv.layers.tracking import Tracking, automatic_config
from isoconv.models import configuration
from isoconv.models.fitting import Fitting
from isoconv.models.network import Network
from isoconv.models.predicting import Predicting
from isoconv.models.saving import Saving
from isoconv.models.summary import html, summary
from isoconv.ops import tree
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import Tensor


@registry.builtin("models", "Functional", "functional")
class Model(Fitting, Saving, Predicting, Layer):
    """A model: `Model(inputs, outputs)`, or a subclass with `call`.

    Args:
        inputs: what `Input` gave, or a list or dict of that.
        outputs: what layers gave, or a list or dict of that.
        name, trainable: as for layers.
    """

    _network: Network | None = None

    rules: tuple[Any, ...] = ()
    """The rules by which `isoconv.rewrite` made it from another model or layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = ("inputs", "outputs", "name")
        given = dict(zip(names, args, strict=False)) | kwargs
        inputs, outputs = given.pop("inputs", None), given.pop("outputs", None)
        if len(args) > len(names) or (inputs is None) != (outputs is None):
            raise ArgumentError(explain("Model", args, "inputs, outputs and name"))
        if inputs is not None and "name" not in given and type(self) is Model:
            given["name"] = configuration.functional_name()
        trainable = given.pop("trainable", True)
        super().__init__(**given)
        if inputs is not None:
            self.draw(inputs, outputs)
        if not trainable:
            self.trainable = False

    def draw(self, inputs: Any, outputs: Any) -> None:
        """Makes the model the one that leads from these inputs to these outputs."""
        self._network = Network(inputs, outputs)
        # Each input has a dtype of its own.
        self.autocast = False
        self.built = True

    # -- the model as drawn --------------------------------------------------------------------

    @property
    def network(self) -> Network | None:
        """The calls it is made of; None for a subclass with a `call` of its own."""
        return self._network

    def drawn_network(self) -> Network:
        """The calls it is made of; ArgumentError where it was not drawn."""
        if self._network is None:
            remedy = "Call it on data first, or give the first layer an input shape."
            raise ArgumentError(explain(self.where(), "no inputs yet", "a model drawn", remedy))
        return self._network

    @property
    def layers(self) -> list[Layer]:
        """The layers, in Keras' order."""
        return self.sublayers()

    def sublayers(self) -> list[Any]:
        drawn = self._network.layers if self._network else []
        ids = {id(layer) for layer in drawn}
        return drawn + [each for each in Tracking.sublayers(self) if id(each) not in ids]

    @property
    def inputs(self) -> list[Any]:
        return list(self.drawn_network().flat_inputs)

    @property
    def outputs(self) -> list[Any]:
        return list(self.drawn_network().flat_outputs)

    @property
    def input(self) -> Any:
        return self.drawn_network().inputs if self._network else super().input

    @property
    def output(self) -> Any:
        return self.drawn_network().outputs if self._network else super().output

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its `name` or its place, the `index` from 0."""
        if (name is None) == (index is None):
            raise ArgumentError(explain(self.where("get_layer"), name, "either name or index"))
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                expected = f"an index below {len(self.layers)}"
                raise ArgumentError(explain(self.where("get_layer: index"), index, expected))
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        expected, near = f"one of {', '.join(map(repr, names))}", nearest(name, names)
        raise ArgumentError(explain(self.where("get_layer: name"), repr(name), expected, near))

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints the layers, their output shapes and their numbers of parameters.

        Args:
            line_length: the table's width in characters; 65 if left out, 80 with connections.
            positions: where each column ends, as shares of the width such as (0.45, 0.85, 1).
            print_fn: what is called with the text, instead of `print`.
            expand_nested: whether layers of models within are listed too.
            show_trainable: whether a column tells which layers train: Y, N, or - without weights.
            layer_range: the names of the first and the last layer to list, or patterns of them.
        """
        told = summary(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (print_fn or print)(told)

    def _repr_html_(self) -> str:
        return html(self)

    # -- running -------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Nothing: a drawn model is built, and the layers of others build themselves in `call`."""
        # Written here, so that the shape is noted, which saved files tell.
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs of the drawn model; subclasses write their own."""
        if self._network is None:
            return super().call(inputs)
        if mask is not None:
            pairs = zip(self._network.arrange(inputs), tree.leaves(mask), strict=True)
            inputs = [Tensor(x.node, m) for x, m in pairs]
        return self._network.run(inputs)

    def check_mask(self, inputs: Any, mask: Any) -> None:
        if self._network is not None:
            arranged = self._network.arrange(inputs)
            several = [mask] if len(arranged) == 1 and hasattr(mask, "shape") else mask
            masks.check_each(several, arranged, self.where("mask"))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the outputs carry the masks that the layers within gave them."""
        return None

    def prepare(self, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The arrays of a call, checked against the inputs and in their dtypes."""
        if self._network is None or not args:
            return super().prepare(args, kwargs)
        with self.explaining():
            arrays = self._network.arrays(args[0])
        return (arrays[0] if len(arrays) == 1 else arrays, *args[1:]), kwargs

    def runtime_axes_of(self, index: int, array: Array) -> Sequence[int]:
        if self._network is None or index >= len(self._network.flat_inputs):
            return super().runtime_axes_of(index, array)
        return self._network.runtime_axes(index)

    # -- configuration -------------------------------------------------------------------------

    @property
    def saved_class_name(self) -> str:
        """The class as saved files name it."""
        return "Functional" if type(self) is Model else type(self).__name__

    @property
    def saved_module(self) -> str | None:
        """The module as saved files name it; None for what the registry says of the class."""
        return "keras.src.models.functional" if type(self) is Model else None

    def get_config(self) -> dict[str, Any]:
        if type(self).__init__ is Model.__init__ and self._network is not None:
            return configuration.of_network(self, self._network)
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if type(self).get_config is not Model.get_config:
            return config
        return automatic_config(self, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        with registry.naming_config(cls.__name__):
            if "input_layers" not in config:
                return cls(**config)
            inputs, outputs, rest = configuration.to_network(config)
            return cls(inputs, outputs, **rest)


def clone_model(model: Model) -> Any:
    """A new model of the same layers, with weights of its own, drawn anew.

    model: functional, sequential, or subclassed with a `get_config` that describes it. It is not
    compiled.
    """
    if not isinstance(model, Model):
        raise ArgumentError(explain("clone_model", repr(model), "a model"))
    return type(model).from_config(model.get_config())
