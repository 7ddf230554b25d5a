"""Activation functions, by Keras' names.

Those that Keras gives other defaults than `isoconv.ops`, or that stand only here, are written
here; the others are the operations themselves. All take arrays, tensors and what `Input` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isoconv import ops, registry
from isoconv.ops import (
    celu,
    elu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
    threshold,
)


def linear(x: Any) -> Any:
    """x itself."""
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """x above the threshold, at most `max_value`; below it negative_slope * (x - threshold)."""
    if threshold == 0 and not negative_slope:
        return ops.relu(x) if max_value is None else ops.clip(x, 0.0, max_value)
    if threshold == 0 and max_value is None:
        return leaky_relu(x, negative_slope)
    y = ops.where(ops.greater(x, threshold), x, 0.0)
    if max_value is not None:
        y = ops.clip(y, 0.0, max_value)
    if negative_slope:
        y = y - ops.relu(ops.subtract(threshold, x)) * negative_slope
    return y


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution's mass below it; by tanh if approximate."""
    return ops.gelu(x, approximate)


def exponential(x: Any) -> Any:
    """e to the power x."""
    return ops.exp(x)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return ops.multiply(x, tanh(softplus(x)))


def glu(x: Any, axis: int = -1) -> Any:
    """The first half of x along an axis times the sigmoid of the second (Dauphin et al. 2017)."""
    values, gates = ops.split(x, 2, axis)
    return ops.multiply(values, sigmoid(gates))


def tanh_shrink(x: Any) -> Any:
    """x - tanh(x)."""
    return ops.subtract(x, tanh(x))


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x, and 0 where |x| is at most the threshold."""
    return ops.where(ops.greater(ops.absolute(x), threshold), x, 0.0)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x brought closer to 0 by the threshold, and 0 where |x| is at most that."""
    return ops.subtract(x, ops.clip(x, -threshold, threshold))


def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x^2 + b)) / 2 (Barron 2021)."""
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 0.5)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x."""
    curve = ops.square(ops.add(ops.clip(x, -1.0, 1.0), 1.0))
    return ops.add(ops.multiply(curve, 0.25), ops.relu(ops.subtract(x, 1.0)))


def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2 held between 0 and 1."""
    return ops.clip(ops.multiply(ops.add(x, 1.0), 0.5), 0.0, 1.0)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The point nearest to x among the probabilities (Martins and Astudillo 2016, equation 3).

    Elements are ranked by comparing each with each, so memory grows with the square of the axis.
    """
    rows = ops.moveaxis(x, axis, -1)
    mine, others = ops.expand_dims(rows, -1), ops.expand_dims(rows, -2)
    above = ops.greater_equal(others, mine)
    count = ops.sum(ops.cast(above, rows.dtype), -1)
    total = ops.sum(ops.where(above, others, 0.0), -1)
    support = ops.greater(ops.add(ops.multiply(count, rows), 1.0), total)
    kept = ops.sum(ops.cast(support, rows.dtype), -1, keepdims=True)
    inside = ops.sum(ops.where(support, rows, 0.0), -1, keepdims=True)
    cut = ops.divide(ops.subtract(inside, 1.0), kept)
    return ops.moveaxis(ops.relu(ops.subtract(rows, cut)), -1, axis)


swish = silu
hard_swish = hard_silu

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(linear, relu, relu6, leaky_relu, elu, celu, selu, gelu, sigmoid, hard_sigmoid, log_sigmoid),
    *(softplus, softsign, silu, hard_silu, tanh, hard_tanh, exponential, softmax, log_softmax),
    *(mish, glu, tanh_shrink, hard_shrink, soft_shrink, squareplus, sparse_plus, sparse_sigmoid),
    *(sparsemax, threshold),
)
for _function in _FUNCTIONS:
    registry.builtin("activations")(_function)
registry.builtin("activations", "swish")(silu)
registry.builtin("activations", "hard_swish")(hard_silu)


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from an identifier: its name, config or itself; None is `linear`."""
    found: Callable[..., Any] = registry.get("activations", identifier) or linear
    return found


def serialize(activation: Callable[..., Any]) -> Any:
    """The activation as data: its name where it is one of Keras'."""
    return registry.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    if isinstance(config, str):
        with registry.custom_object_scope(custom_objects or {}):
            return get(config)
    return registry.deserialize(config, "activations", custom_objects)
