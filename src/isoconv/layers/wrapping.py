"""Layers around another layer or a function, and those that only look at steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, Self

from isoconv import ops, registry
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers import arguments, masks
from isoconv.layers.base import Layer
from isoconv.layers.same_shape import SameShape
from isoconv.ops.dispatch import FUNCTIONS
from isoconv.ops.tensor import Tensor

# The module that configs name for functions of isoconv.ops.
_OPERATIONS, _KERAS_OPERATIONS = "isoconv.ops", "keras.ops"


class Identity(SameShape):
    """Hands its input on."""

    def call(self, inputs: Any) -> Any:
        return inputs


class Masking(SameShape):
    """Marks the steps as absent whose features all are `mask_value`, and sets them to 0."""

    casts_integers = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = arguments.number(mask_value, self.where("mask_value"))

    def call(self, inputs: Tensor) -> Any:
        return ops.where(self._present(inputs, keepdims=True), inputs, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self._present(inputs, keepdims=False)

    def _present(self, inputs: Any, keepdims: bool) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=keepdims)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mask_value": self.mask_value}


class TimeDistributed(Layer):
    """A layer on each step of (batch, steps, ...), all steps together as one large batch.

    A BatchNormalization inside therefore takes its statistics over all steps at once.
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(explain(self.where("layer"), repr(layer), "a layer"))
        self.layer = layer
        self.supports_masking = True

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return (0, 1, *(axis + 1 for axis in self.layer.runtime_axes(rank - 1) if axis))

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer.build(self._of_step(input_shape))

    def check_mask(self, inputs: Any, mask: Any) -> None:
        masks.check_steps(mask, inputs.shape, 2, self.where("mask"))

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        batch, steps, *rest = inputs.dims
        each = ops.reshape(inputs, (batch * steps, *rest))
        if mask is not None and mask.ndim > 1:
            each = Tensor(each.node, ops.reshape(mask, (batch * steps, *mask.dims[2:])))
        outputs = self.layer(each)
        return ops.reshape(outputs, (batch, steps, *outputs.dims[1:]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *rest = self.layer.compute_output_shape(self._of_step(input_shape))
        return (batch, input_shape[1], *rest)

    def _of_step(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of one step, batch included."""
        if len(input_shape) < 3:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain("input", given, "(batch, steps, ...), 3 dimensions or more"))
        return (input_shape[0], *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"layer": registry.serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        layer = registry.deserialize(config["layer"], "layers")
        return cls(**{**config, "layer": layer})


class Lambda(Layer):
    """A function written in isoconv.ops as a layer.

    Only a function with a name can be saved: one of isoconv.ops, or one registered with
    `register_keras_serializable`. Python code is neither written to files nor read from them.

    Args:
        function: takes the inputs, and `mask` and `training` if it has such arguments.
        output_shape: without the batch, or a function of the input's shape; found out if None.
        mask: the mask of the output, or a function of inputs and mask that gives it.
        arguments: further arguments of the function by name.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(explain(self.where("function"), repr(function), "a function"))
        self.function = function
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        self._output_shape = output_shape

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        taken = signature(self.function).parameters
        given = {"mask": mask, "training": training}
        options = {name: value for name, value in given.items() if name in taken}
        return self.function(inputs, **self.arguments, **options)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return tuple(self._output_shape(input_shape))
        first = input_shape
        while isinstance(first, list | tuple):
            first = first[0]
        return (first, *self._output_shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        parts = {
            "function": self.function,
            "output_shape": self._output_shape,
            "mask": self.mask,
        }
        for name, part in parts.items():
            if part is not None:
                config[name] = self._written(name, part)
        return config | {"arguments": registry.serialize(self.arguments)}

    def _written(self, argument: str, part: Any) -> Any:
        name = getattr(part, "__name__", None)
        if callable(part) and name in (None, "<lambda>"):
            raise ArgumentError(
                explain(
                    self.where(argument),
                    "a function without a name",
                    "a function that can be saved",
                    "Python code is not saved: define the function with def and register it "
                    "with @isoconv.register_keras_serializable().",
                )
            )
        if name is not None and FUNCTIONS.get(name) is part:
            # Keras has the public ones under the same names, and finds them so.
            module = _KERAS_OPERATIONS if hasattr(ops, name) else _OPERATIONS
            return {"module": module, "class_name": "function", "config": name}
        return registry.serialize(part)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        name = config.get("name")
        return cls(**{key: _read(key, part, name) for key, part in config.items()})


def _read(argument: str, part: Any, name: Any) -> Any:
    """One argument of a Lambda from its config; code is refused."""
    if isinstance(part, str) and argument == "function":
        return registry.find(part, "activations")
    if not isinstance(part, dict) or argument == "dtype":
        return part
    kind = part.get("class_name")
    if kind == "__lambda__" or (kind is None and "code" in part):
        raise ArgumentError(
            explain(
                f"Lambda {name!r}: {argument}",
                "Python code",
                "the name of a function",
                "Code from a file could do anything, so it is never run: replace the Lambda by "
                "a layer, or by a function registered with "
                "@isoconv.register_keras_serializable().",
            )
        )
    from_ops = part.get("module") in (_OPERATIONS, _KERAS_OPERATIONS)
    if kind == "function" and from_ops and part["config"] in FUNCTIONS:
        return FUNCTIONS[part["config"]]
    return registry.deserialize(part)
