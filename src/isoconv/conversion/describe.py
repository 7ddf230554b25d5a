"""Layers and chains in a few words, and what a form costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv.ir.sizes import Dim
from isoconv.layers.activation import Activation
from isoconv.layers.base import Layer
from isoconv.layers.pooling import BasePooling
from isoconv.models.model import Model
from isoconv.ops.program import Spec, symbolic, trace
from isoconv.plan.cost import multiply_adds
from isoconv.training import activations

# Attribute, and the value that goes without saying.
_PLAIN: tuple[tuple[str, Any], ...] = (
    ("filters", None),
    ("units", None),
    ("kernel_size", None),
    ("target_shape", None),
    ("dims", None),
    ("amounts", None),
    ("size", None),
    ("rates", None),
    ("strides", 1),
    ("dilation_rate", 1),
    ("padding", "valid"),
    ("groups", 1),
    ("depth_multiplier", 1),
    ("data_format", "channels_last"),
)


def describe(layer: Layer) -> str:
    """A layer by its class and what tells its forms apart: "Conv2D(64, (1, 3), strides=2)"."""
    if isinstance(layer, Model) and layer.network is not None:
        return f"[{' | '.join(describe(each) for each in layer.layers[1:])}]"
    shown = []
    for name, plain in _PLAIN:
        value = getattr(layer, name, None)
        if value is None or isinstance(value, str | tuple | int) is False:
            continue
        if isinstance(value, tuple) and len(set(value)) == 1 and name != "target_shape":
            value = value[0]
        if name == "padding" and not isinstance(value, str):
            continue
        if name == "strides" and isinstance(layer, BasePooling):
            plain = value if layer.strides == layer.pool_size else ()
        if value != plain:
            shown.append(f"{value}" if plain is None else f"{name}={value!r}")
    activation = getattr(layer, "activation", activations.linear)
    if activation is not activations.linear:
        function = getattr(activation, "__name__", type(activation).__name__)
        alone = isinstance(layer, Activation)
        shown.append(repr(function) if alone else f"activation={function!r}")
    return f"{type(layer).__name__}({', '.join(shown)})"


def name_of(chain: Sequence[Layer]) -> str:
    return " > ".join(map(describe, chain)) or "nothing"


def multiply_adds_of(model: Model) -> int | None:
    """The multiply-adds for one sample; None where a length is unknown."""
    specs = [Spec((1, *symbolic(t.shape)[1:]), t.dtype) for t in model.inputs]
    graph = trace(lambda *x: model(x[0] if len(x) == 1 else list(x)), specs).graph
    total: Dim = sum((multiply_adds(node) for node in graph.nodes if node.op == "conv"), 0)
    return total if isinstance(total, int) else None


def bytes_of(model: Model) -> int | None:
    """The bytes of the weights and, for one sample, of what each layer gives."""
    total = sum(each.array.nbytes for each in model.weights)
    network = model.drawn_network()
    for tensor in (*network.flat_inputs, *(t for call in network.steps for t in call.outputs)):
        sizes = [size for size in tensor.shape[1:] if size is not None]
        if len(sizes) < len(tensor.shape) - 1:
            return None
        total += prod(sizes) * np.dtype(tensor.dtype).itemsize
    return total
