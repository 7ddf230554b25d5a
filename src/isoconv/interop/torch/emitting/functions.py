"""What emits each function of `isoconv.ops`."""

from __future__ import annotations

from typing import Any

from isoconv.interop.torch.emitting.emitter import Emit, Emitter

_SAME_NAME = "absolute add ceil cos divide erf exp expm1 floor log log10 log1p log2 matmul"
_SAME_NAME += " maximum minimum multiply negative reciprocal round rsqrt sigmoid sign sin sqrt"
_SAME_NAME += " square subtract tanh"
_COMPARISONS = {
    "equal": "eq",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "where": "where",
    "ones_like": "ones_like",
    "logical_and": "logical_and",
    "logical_not": "logical_not",
    "logical_or": "logical_or",
}
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}


def _by_name(name: str) -> Emit:
    return lambda e, *args: e.call(getattr(e.torch, name), *args)


def _extreme(name: str) -> Emit:
    def emit(e: Emitter, x: Any, y: Any) -> Any:
        numbers = [each for each in (x, y) if isinstance(each, int | float)]
        if not numbers:
            return e.call(getattr(e.torch, name), x, y)
        bound = "min" if name == "maximum" else "max"
        tensor = y if isinstance(x, int | float) else x
        return e.call(e.torch.clamp, tensor, **{bound: numbers[0]})

    return emit


def _padded(e: Emitter, x: Any, pairs: Any, mode: str, value: Any) -> Any:
    if mode != "constant" or not all(isinstance(pair, list | tuple) for pair in pairs):
        raise e.refuse(f"the function pad of mode {mode!r}", '"constant", and a pair an axis')
    return e.call(e.F.pad, x, [side for pair in reversed(pairs) for side in pair], value=value)


def _reduced(name: str) -> Emit:
    def emit(e: Emitter, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = {} if axis is None else {"dim": axis}
        if axis is None and not keepdims:
            return e.call(getattr(e.torch, name), x)
        return e.call(getattr(e.torch, name), x, **axes, keepdim=keepdims)

    return emit


FUNCTIONS: dict[str, Emit] = {name: _by_name(name) for name in _SAME_NAME.split()}
"""What emits each function of `isoconv.ops`."""
FUNCTIONS |= {name: _by_name(theirs) for name, theirs in _COMPARISONS.items()}
FUNCTIONS |= {name: _reduced(theirs) for name, theirs in _REDUCTIONS.items()}
FUNCTIONS |= {name: _extreme(name) for name in ("maximum", "minimum")}
FUNCTIONS |= {
    "power": lambda e, x, y: e.call(e.torch.pow, x, y),
    "relu": lambda e, x: e.call(e.F.relu, x),
    "relu6": lambda e, x: e.call(e.F.relu6, x),
    "celu": lambda e, x, alpha=1.0: e.call(e.F.celu, x, alpha),
    "gelu": lambda e, x, approximate=True: e.call(
        e.F.gelu, x, approximate="tanh" if approximate else "none"
    ),
    "threshold": lambda e, x, limit, value: e.call(e.F.threshold, x, limit, value),
    "clip": lambda e, x, low, high: e.call(e.torch.clamp, x, low, high),
    "log_softmax": lambda e, x, axis=-1: e.call(e.F.log_softmax, x, axis),
    "softmax": lambda e, x, axis=-1: e.call(e.F.softmax, x, axis),
    "transpose": lambda e, x, axes: e.call(e.torch.permute, x, dims=tuple(axes)),
    "reshape": lambda e, x, shape: e.call(e.torch.reshape, x, tuple(shape)),
    "concatenate": lambda e, xs, axis=-1: e.call(e.torch.cat, list(xs), axis),
    "stack": lambda e, xs, axis=0: e.call(e.torch.stack, list(xs), axis),
    "expand_dims": lambda e, x, axis: e.call(e.own.expanded, x, axis),
    "repeat": lambda e, x, count, axis: e.call(e.torch.repeat_interleave, x, count, axis),
    "squeeze": lambda e, x: e.call(e.torch.squeeze, x),
    "pad": lambda e, x, pairs, mode="constant", constant_values=0: _padded(
        e, x, pairs, mode, constant_values
    ),
    "flip": lambda e, x, axis: e.call(
        e.torch.flip, x, list(axis) if isinstance(axis, list | tuple) else [axis]
    ),
    "getitem": lambda e, x, key: e.call(
        e.own.getitem, x, key if isinstance(key, list | tuple) else [key]
    ),
}
