"""What the weights of each layer are called in PyTorch, and how their axes are ordered there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoconv import layers
from isoconv.interop.weight_map import WeightRow
from isoconv.layers.convolution import BaseConv
from isoconv.layers.drawing import Parameter
from isoconv.layers.separable import BaseDepthwiseConv, BaseSeparableConv
from isoconv.layers.transposed import BaseConvTranspose
from isoconv.ops.variable import Variable

Rows = list[tuple[Variable, WeightRow]]


def weight_rows(layer: Any, prefix: str | None = None) -> Rows:
    """The weights of one layer, each with the row that leads to it from PyTorch's.

    prefix: what PyTorch's names start with; the layer's own name if left out.
    """
    return _Rows(layer, layer.name if prefix is None else prefix).found()


class _Rows:
    """Collects the rows of one layer."""

    def __init__(self, layer: Any, prefix: str) -> None:
        self.layer = layer
        self.prefix = prefix
        self.rows: Rows = []

    def found(self) -> Rows:
        for kind, collect in _KINDS:
            if isinstance(self.layer, kind):
                collect(self)
                break
        return self.rows

    def add(self, attribute: str, suffix: str, source: Any = None, **how: Any) -> None:
        """A row for an attribute of the layer, if that is a weight."""
        variable = getattr(self.layer, attribute)
        if variable is None:
            return
        shape = tuple(variable.shape)
        name = ".".join(part for part in (self.prefix, suffix) if part)
        target = f"{self.layer.name}/{attribute}"
        self.rows.append((variable, WeightRow(name, source or shape, target, shape, **how)))

    def kernel(self, attribute: str = "kernel", suffix: str = "weight") -> None:
        """(taps..., in, out) of (out, in, taps...)."""
        *taps, inner, outer = getattr(self.layer, attribute).shape
        axes = (*range(2, len(taps) + 2), 1, 0)
        self.add(attribute, suffix, (outer, inner, *taps), axes=axes)

    def depthwise(self, attribute: str, suffix: str) -> None:
        """(taps..., channels, multiplier) of (channels * multiplier, 1, taps...)."""
        *taps, channels, multiplier = getattr(self.layer, attribute).shape
        split = (channels, multiplier, *taps)
        axes = (*range(2, len(taps) + 2), 0, 1)
        source = (channels * multiplier, 1, *taps)
        self.add(attribute, suffix, source, axes=axes, split=split)


def _convolution(rows: _Rows) -> None:
    rows.kernel()
    rows.add("bias", "bias")


def _depthwise(rows: _Rows) -> None:
    rows.depthwise("kernel", "weight")
    rows.add("bias", "bias")


def _separable(rows: _Rows) -> None:
    rows.depthwise("depthwise_kernel", "depthwise.weight")
    rows.kernel("pointwise_kernel", "pointwise.weight")
    rows.add("bias", "pointwise.bias")


def _normalization(rows: _Rows) -> None:
    rows.add("gamma", "weight")
    rows.add("beta", "bias")


def _batch_normalization(rows: _Rows) -> None:
    _normalization(rows)
    rows.add("moving_mean", "running_mean")
    rows.add("moving_variance", "running_var")


def _prelu(rows: _Rows) -> None:
    alpha = rows.layer.alpha
    # One number a channel is a vector in PyTorch; other shapes it has not.
    wide = [size for size in alpha.shape if size != 1]
    source = tuple(wide or [1]) if len(wide) < 2 else tuple(alpha.shape)
    rows.add("alpha", "weight", source)


def _embedding(rows: _Rows) -> None:
    rows.add("embeddings", "weight")


def _parameter(rows: _Rows) -> None:
    rows.add("value", "")


_KINDS: list[tuple[type | tuple[type, ...], Callable[[_Rows], None]]] = [
    ((BaseConv, BaseConvTranspose, layers.Dense), _convolution),
    (BaseDepthwiseConv, _depthwise),
    (BaseSeparableConv, _separable),
    (layers.BatchNormalization, _batch_normalization),
    ((layers.LayerNormalization, layers.GroupNormalization), _normalization),
    (layers.PReLU, _prelu),
    (layers.Embedding, _embedding),
    (Parameter, _parameter),
]
