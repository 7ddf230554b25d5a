"""Chains of layers under construction, and what rules read off a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from isoconv import layers
from isoconv.ir.geometry import Axis
from isoconv.layers.base import Layer
from isoconv.layers.convolution import BaseConv
from isoconv.layers.separable import BaseDepthwise, BaseSeparableConv
from isoconv.layers.transposed import BaseConvTranspose
from isoconv.ops.program import symbolic
from isoconv.ops.recorder import Array
from isoconv.ops.variable import without_initial_values
from isoconv.ops.windows import spatial_axes
from isoconv.training import activations

Shape = tuple[int | None, ...]


Values = Callable[[], Iterable[Array | None]]
"""Gives the weights of a layer; None stands for one it has not."""


class Pending:
    """The weights of a layer, computed when they are first needed: many forms are only counted."""

    def __init__(self, layer: Layer, values: Values) -> None:
        self.layer = layer
        self._values: Values | None = values

    def fill(self) -> None:
        """Gives the layer its weights, if it has not had them."""
        if self._values is not None:
            self.layer.set_weights([each for each in self._values() if each is not None])
            self._values = None


class Chain:
    """Layers one after the other, built for a shape (without the batch).

    dtype: what layers without weights compute in. plan: the layers, whose weights take no memory
    before those that are `pending` are filled in, in this order.
    """

    def __init__(self, shape: Sequence[int | None], dtype: str) -> None:
        self.dtype = dtype
        self.shape: Shape = tuple(shape)
        self.plan: list[Layer] = []
        self.pending: list[Pending] = []

    @property
    def layers(self) -> list[Layer]:
        """The layers with their weights."""
        for each in self.pending:
            each.fill()
        return self.plan

    def add(self, layer: Layer, weights: Values | None = None) -> Self:
        """Puts a layer at the end; `weights` gives what it holds, when that is asked for."""
        if not layer.built:
            if weights is None and layer.dtype != self.dtype:
                config = layer.get_config() | {"dtype": self.dtype}
                layer = type(layer).from_config(config)
            with without_initial_values():
                layer.build((None, *self.shape))
        if weights is not None:
            self.pending.append(Pending(layer, weights))
        self.shape = tuple(layer.compute_output_shape((None, *self.shape))[1:])
        self.plan.append(layer)
        return self

    def reshape(self, *target: int | None) -> Self:
        """The same elements in another shape, of which one size may be unknown."""
        if tuple(target) == self.shape:
            return self
        return self.add(layers.Reshape(tuple(-1 if size is None else size for size in target)))

    def resize(self, amounts: Sequence[tuple[int, int]], data_format: str) -> Self:
        """Zeros before and after each spatial axis; negative amounts crop."""
        for kind, sign in (("ZeroPadding", 1), ("Cropping", -1)):
            pairs = tuple((max(sign * a, 0), max(sign * b, 0)) for a, b in amounts)
            if any(map(any, pairs)):
                given: Any = pairs if len(pairs) > 1 else pairs[0]
                self.add(of_rank(kind, len(pairs))(given, data_format=data_format))
        return self

    def activate(self, activation: Any) -> Self:
        """An activation as a layer of its own, unless it is none."""
        return self if is_linear(activation) else self.add(layers.Activation(activation))


def of_rank(family: str, rank: int, ending: str = "") -> Any:
    """The class of a family for a rank: ("Conv", 2) gives Conv2D."""
    return getattr(layers, f"{family}{rank}D{ending}")


def is_linear(activation: Any) -> bool:
    return activation is activations.linear


# -- what is read off a layer -----------------------------------------------------------------


def is_last(layer: Any) -> bool:
    """Whether the channels come last."""
    return bool(layer.data_format == "channels_last")


def kernel(layer: Any) -> Array:
    found: Array = layer.kernel.numpy()
    return found


def bias(layer: Any) -> Array | None:
    return None if layer.bias is None else layer.bias.numpy()


def common(layer: Any) -> dict[str, Any]:
    """The arguments that say what happens after the sums."""
    return {
        "activation": layer.activation,
        "use_bias": layer.use_bias,
        "dtype": layer.dtype,
    }


def arguments(layer: Any) -> dict[str, Any]:
    """The arguments that make a convolution layer of the same function."""
    found = common(layer)
    for name in ("kernel_size", "strides", "padding", "data_format", "dilation_rate"):
        found[name] = getattr(layer, name)
    if isinstance(layer, BaseDepthwise):
        found["depth_multiplier"] = layer.depth_multiplier
    if isinstance(layer, BaseConv):
        found["groups"] = layer.groups
    if isinstance(layer, BaseConv | BaseSeparableConv):
        found["filters"] = layer.filters
    if isinstance(layer, BaseConvTranspose):
        found["output_padding"] = layer.output_padding
    return found


def again(layer: Any, **changes: Any) -> Any:
    """A new layer like this one but for some arguments."""
    return type(layer)(**arguments(layer) | changes)


def axes_of(layer: Any, shape: Shape) -> tuple[Axis, ...]:
    """The windows of a convolution layer on an input of this shape."""
    lengths = symbolic((None, *layer.spatial_of((None, *shape))))[1:]
    return spatial_axes(
        lengths, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate
    )


def amounts(layer: Any, shape: Shape) -> list[tuple[int, int]] | None:
    """The zeros before and after each axis; None where they depend on an unknown length."""
    found = [(axis.low, axis.high) for axis in axes_of(layer, shape)]
    known = [(a, b) for a, b in found if isinstance(a, int) and isinstance(b, int)]
    return known if len(known) == len(found) else None


def outputs_of(layer: Any, shape: Shape) -> list[int] | None:
    """The number of outputs of a convolution layer along each axis; None where unknown."""
    lengths = known(layer.spatial_of((None, *shape)))
    if lengths is None:
        return None
    found = [axis.output(n) for axis, n in zip(axes_of(layer, shape), lengths, strict=True)]
    return [size for size in found if isinstance(size, int)]


def ones(values: Sequence[int]) -> bool:
    return all(value == 1 for value in values)


def known(values: Sequence[int | None]) -> list[int] | None:
    """The sizes, where all of them are known."""
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else None


def side_by_side(layers: Sequence[Any]) -> Values:
    """The weights of layers of one geometry as those of one, filters after filters."""
    return lambda: [
        np.concatenate(each, axis=-1)
        for each in zip(*(layer.get_weights() for layer in layers), strict=True)
    ]


def repeated(values: Array | None, count: int) -> Array | None:
    """A bias as often as it is needed, one after the other."""
    return None if values is None else np.tile(values, count)


def rounded(values: Any, dtype: str) -> Array:
    """Weights computed in float64, in the dtype of their layer."""
    found: Array = np.asarray(values).astype(dtype)
    return found
