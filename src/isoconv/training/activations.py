"""Activation functions, by Keras' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoconv import ops, registry
from isoconv.ops.tensor import Tensor


def linear(x: Any) -> Any:
    """x itself."""
    return x


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


registry.builtin("activations")(linear)
registry.builtin("activations")(tanh)
for _function in (
    ops.relu,
    ops.relu6,
    ops.leaky_relu,
    ops.elu,
    ops.celu,
    ops.selu,
    ops.gelu,
    ops.sigmoid,
    ops.hard_sigmoid,
    ops.log_sigmoid,
    ops.softplus,
    ops.softsign,
    ops.silu,
    ops.hard_silu,
    ops.hard_tanh,
    ops.softmax,
    ops.log_softmax,
    ops.exp,
):
    registry.builtin("activations")(_function)
registry.builtin("activations", "swish")(ops.silu)
registry.builtin("activations", "exponential")(ops.exp)


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from its name, config or itself; None is `linear`."""
    found: Callable[..., Any] = registry.get("activations", identifier) or linear
    return found


def serialize(activation: Callable[..., Any]) -> Any:
    """The activation as data."""
    return registry.serialize(activation)
