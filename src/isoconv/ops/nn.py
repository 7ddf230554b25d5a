"""Activation functions, in forms whose values and gradients neither overflow nor lose digits."""

from __future__ import annotations

import math
from typing import Any

from isoconv.ops.convert import as_float, as_tensor
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import (
    absolute,
    clip,
    erf,
    exp,
    expm1,
    less,
    log,
    log1p,
    maximum,
    minimum,
    negative,
    node,
    tanh,
    where,
)
from isoconv.ops.gradients import stop_gradient
from isoconv.ops.reductions import largest, sum
from isoconv.ops.tensor import Tensor

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@op
def relu(x: Any) -> Tensor:
    """max(x, 0), with gradient 0 at 0."""
    return node("relu", as_tensor(x))


@op
def relu6(x: Any) -> Tensor:
    """min(max(x, 0), 6)."""
    return clip(x, 0, 6)


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x, times `negative_slope` below 0."""
    v = as_float(x)
    return where(less(v, 0), v * negative_slope, v)


@op
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x, and alpha * (exp(x) - 1) below 0."""
    v = as_float(x)
    # The unused side of `where` must stay finite: its gradient is multiplied by 0.
    return where(v > 0, v, expm1(where(v > 0, 0.0, v)) * alpha)


@op
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """x, and alpha * (exp(x / alpha) - 1) below 0."""
    v = as_float(x)
    return where(v > 0, v, expm1(where(v > 0, 0.0, v) / alpha) * alpha)


@op
def selu(x: Any) -> Tensor:
    """The scaled elu of x that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return elu(x, SELU_ALPHA) * SELU_SCALE


@op
def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    v = as_float(x)
    small = exp(where(less(v, 0), v, -v))
    return where(less(v, 0), small, 1.0) / (small + 1.0)


@op
def hard_sigmoid(x: Any) -> Tensor:
    """relu6(x + 3) / 6."""
    return relu6(as_float(x) + 3.0) / 6.0


@op
def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    v = as_float(x)
    return maximum(v, 0.0) + log1p(exp(-absolute(v)))


@op
def log_sigmoid(x: Any) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return negative(softplus(negative(x)))


@op
def softsign(x: Any) -> Tensor:
    """x / (1 + |x|)."""
    v = as_float(x)
    return v / (absolute(v) + 1.0)


@op
def silu(x: Any) -> Tensor:
    """x * sigmoid(x); also known as swish."""
    v = as_float(x)
    return v * sigmoid(v)


@op
def hard_silu(x: Any) -> Tensor:
    """x * hard_sigmoid(x); also known as hard_swish."""
    v = as_float(x)
    return v * hard_sigmoid(v)


@op
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """x times the normal distribution's mass below it; by tanh if approximate."""
    v = as_float(x)
    if approximate:
        inner = (v + v * v * v * 0.044715) * math.sqrt(2 / math.pi)
        return v * 0.5 * (tanh(inner) + 1.0)
    return v * 0.5 * (erf(v * math.sqrt(0.5)) + 1.0)


@op
def softmax(x: Any, axis: Any = -1) -> Tensor:
    """exp(x) over its sum along an axis (or axes)."""
    v = as_float(x)
    raised = exp(v - stop_gradient(largest(v, axis, keepdims=True)))
    return raised / sum(raised, axis, keepdims=True)


@op
def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """log(softmax(x)) along an axis (or axes), exact also where softmax vanishes."""
    v = as_float(x)
    lowered = v - stop_gradient(largest(v, axis, keepdims=True))
    return lowered - log(sum(exp(lowered), axis, keepdims=True))


@op
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x where it is above `threshold`, else `default_value`."""
    v = as_tensor(x)
    return where(v > threshold, v, default_value)


@op
def hard_tanh(x: Any) -> Tensor:
    """x held between -1 and 1."""
    return minimum(maximum(x, -1.0), 1.0)


swish = silu
hard_swish = hard_silu
