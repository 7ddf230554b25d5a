"""Layers whose weights take an initializer, a regularizer and a constraint each."""

from __future__ import annotations

from typing import Any

from isoconv import registry
from isoconv.layers import arguments
from isoconv.layers.base import Layer
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.ops.windows import channels_back
from isoconv.training import activations, constraints, initializers, regularizers


class Ruled(Layer):
    """A layer whose weights each take an initializer, a regularizer and a constraint.

    Subclasses name their weights in `weight_names` ("kernel", "bias"); the arguments
    `<name>_initializer`, `<name>_regularizer` and `<name>_constraint`, given here as `rules`, then
    become attributes, part of the config, and what `weight` gives the weight.
    """

    weight_names: tuple[str, ...]
    casts_integers = True
    single_input = True

    def __init__(self, rules: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in self.weight_names:
            default = "zeros" if name == "bias" else "glorot_uniform"
            given = rules[f"{name}_initializer"]
            initializer = initializers.get(default if given is None else given)
            setattr(self, f"{name}_initializer", initializer)
            setattr(self, f"{name}_regularizer", regularizers.get(rules[f"{name}_regularizer"]))
            setattr(self, f"{name}_constraint", constraints.get(rules[f"{name}_constraint"]))

    def weight(self, rule: str, shape: tuple[int, ...], name: str | None = None) -> Variable:
        """A weight of this shape with the initializer, regularizer and constraint of `rule`, which
        is also its name if no other one is given.
        """
        return self.add_weight(
            shape=shape,
            initializer=getattr(self, f"{rule}_initializer"),
            regularizer=getattr(self, f"{rule}_regularizer"),
            constraint=getattr(self, f"{rule}_constraint"),
            name=name or rule,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in self.weight_names:
            for kind in ("initializer", "regularizer", "constraint"):
                key = f"{name}_{kind}"
                config[key] = registry.serialize(getattr(self, key))
        return config


class Weighted(Ruled):
    """A layer with a kernel, a bias and an activation."""

    weight_names: tuple[str, ...] = ("kernel", "bias")

    def __init__(
        self, activation: Any, use_bias: bool, rules: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(rules, **kwargs)
        self.activation = activations.get(activation)
        self.use_bias = arguments.flag(use_bias, self.where("use_bias"))

    def finish(
        self, outputs: Tensor, bias: Variable | None, data_format: str = "channels_last"
    ) -> Any:
        """The outputs, which have their channels last, with their bias and in `data_format`,
        through the activation.
        """
        if bias is not None:
            outputs = outputs + bias
        return self.activation(channels_back(outputs, data_format))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }
