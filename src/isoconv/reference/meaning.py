"""What each operation means, as NumPy would say it: one entry a row of the operation table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv.errors import RuntimeCheckError, explain
from isoconv.reference import points, windows
from isoconv.reference.random import uniform

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Call:
    """One use of an operation: its attributes and its shape, all sizes made numbers.

    declared: the dtype in the program; dtype: the one computed in, which may be wider.
    """

    attrs: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    declared: str

    def __getitem__(self, attribute: str) -> Any:
        return self.attrs[attribute]


Meaning = Callable[..., Any]
MEANING: dict[str, Meaning] = {}


def _plainly(function: Callable[..., Any]) -> Meaning:
    """The meaning of an operation that needs nothing but its operands."""
    return lambda call, *operands: function(*operands)


_erf = np.vectorize(math.erf, otypes=["float64"])

_PLAIN: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "relu": lambda x: np.maximum(x, np.zeros((), x.dtype)),
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "rem": np.fmod,
    "pow": np.power,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": np.where,
}
MEANING |= {name: _plainly(function) for name, function in _PLAIN.items()}


def _cast(call: Call, x: Array) -> Array:
    return x.astype(call.dtype)


# -- leaves -----------------------------------------------------------------------------------


def _full(call: Call) -> Array:
    # The number is the program's, rounded to its dtype, also where more digits are computed.
    return np.full(call.shape, np.asarray(call["value"], call.declared))


def _iota(call: Call) -> Any:
    return np.indices(call.shape)[call["axis"]]


def _size(call: Call) -> Array:
    return np.asarray(call["dim"])


def _random(call: Call, key: Array) -> Array:
    # Drawn in the program's dtype, so that a wider computation sees the same numbers.
    return uniform(np.uint64(int(key) % 2**64), call.shape, call.declared)


# -- views ------------------------------------------------------------------------------------


def _reshape(call: Call, x: Array) -> Array:
    return x.reshape(call.shape)


def _after(call: Call, x: Array, first: Array) -> Array:
    return x


def _transpose(call: Call, x: Array) -> Any:
    return x.transpose(call["perm"])


def _broadcast(call: Call, x: Array) -> Array:
    return np.broadcast_to(x, call.shape)


def _pad(call: Call, x: Array) -> Array:
    result = np.full(call.shape, call["value"], x.dtype)
    targets, sources = [], []
    for axis, length in enumerate(x.shape):
        moved = [call["low"][axis] + j * (call["interior"][axis] + 1) for j in range(length)]
        kept = [j for j in range(length) if 0 <= moved[j] < call.shape[axis]]
        sources.append(kept)
        targets.append([moved[j] for j in kept])
    if x.ndim == 0:
        return x
    result[_grid(targets)] = x[_grid(sources)]
    return result


def _slice(call: Call, x: Array) -> Array:
    if x.ndim == 0:
        return x
    every = zip(call["start"], call["step"], call.shape, strict=True)
    return x[_grid([[start + j * step for j in range(size)] for start, step, size in every])]


def _grid(positions: list[list[int]]) -> tuple[Array, ...]:
    return np.ix_(*(np.asarray(each, dtype=np.intp) for each in positions))


def _reverse(call: Call, x: Array) -> Array:
    return np.flip(x, call["axes"])


def _concat(call: Call, *operands: Array) -> Array:
    return np.concatenate(operands, call["axis"])


# -- reductions -------------------------------------------------------------------------------


def _reduce_sum(call: Call, x: Array) -> Any:
    return x.sum(axis=call["axes"], keepdims=True)


def _reduce_max(call: Call, x: Array) -> Any:
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return x.max(axis=call["axes"], keepdims=True, initial=least)


def _argmax(call: Call, x: Array) -> Any:
    return x.argmax(call["axis"], keepdims=True)


# -- indexing ---------------------------------------------------------------------------------


def _gather(call: Call, table: Array, rows: Array) -> Array:
    _within("gather", rows, len(table))
    return table[rows]


def _scatter_add(call: Call, rows: Array, updates: Array) -> Array:
    _within("scatter_add", rows, call.shape[0])
    result = np.zeros(call.shape, call.dtype)
    np.add.at(result, rows, updates)
    return result


def _within(op: str, rows: Array, count: int) -> None:
    wrong = rows[(rows < 0) | (rows >= count)]
    if wrong.size:
        raise RuntimeCheckError(explain(op, str(wrong[0]), f"rows in 0..{count - 1}"))


MEANING |= {
    "cast": _cast,
    "full": _full,
    "iota": _iota,
    "size": _size,
    "random": _random,
    "reshape": _reshape,
    "after": _after,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": _slice,
    "reverse": _reverse,
    "concat": _concat,
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_max,
    "argmax": _argmax,
    "gather": _gather,
    "scatter_add": _scatter_add,
    "pool_max": windows.pool_max,
    "pool_argmax": windows.pool_argmax,
    "pool_take": windows.pool_take,
    "pool_scatter": windows.pool_scatter,
    "to_points": points.to_points,
    "from_points": points.from_points,
    "conv": windows.conv,
}
