"""Variables, placeholders and constants of Keras 2's backend, and reading and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv import naming, ops, settings
from isoconv.errors import ArgumentError, explain
from isoconv.layers.input import Input, InputLayer
from isoconv.ops.convert import as_array
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import KerasTensor
from isoconv.ops.variable import Variable

__all__ = [
    "batch_get_value",
    "batch_set_value",
    "cast_to_floatx",
    "constant",
    "count_params",
    "dtype",
    "eval",
    "eye",
    "get_value",
    "int_shape",
    "is_keras_tensor",
    "is_placeholder",
    "ndim",
    "ones",
    "placeholder",
    "set_value",
    "shape",
    "update",
    "update_add",
    "update_sub",
    "variable",
    "zeros",
]


def variable(
    value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None
) -> Variable:
    """A variable that starts with this value.

    dtype: `floatx()` if left out. name: its name. constraint: what a new value must become after a
    training step.
    """
    array = as_array(value, "variable: value")
    kind = dtype or settings.floatx()
    return Variable(array, dtype=kind, name=name or "variable", constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Array:
    """An array of this value. dtype: `floatx()` if left out. shape: to repeat the value to.

    name: taken for Keras' sake.
    """
    array = np.asarray(value, dtype=dtype or settings.floatx())
    return array if shape is None else np.broadcast_to(array, tuple(shape)).copy()


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A variable of zeros in a shape, by this name. dtype: `floatx()` if left out."""
    return Variable(0, tuple(shape), dtype or settings.floatx(), name=name or "zeros")


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A variable of ones in a shape, by this name. dtype: `floatx()` if left out."""
    return Variable(1, tuple(shape), dtype or settings.floatx(), name=name or "ones")


def eye(size: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A variable with ones on the diagonal, by this name.

    size: of its side, or (rows, columns). dtype: `floatx()` if left out.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    return variable(np.eye(rows, columns), dtype, name or "eye")


def placeholder(
    shape: Any = None,
    ndim: int | None = None,
    dtype: Any = None,
    sparse: bool = False,
    name: str | None = None,
) -> KerasTensor:
    """A value to be given when a `function` is called, by this name.

    shape: with the batch, None where a size is known only then. ndim: the number of sizes, where
    none is known. dtype: `floatx()` if left out. sparse: only False, else ArgumentError.
    """
    if shape is None and ndim is None:
        raise ArgumentError(explain("placeholder", "neither shape nor ndim", "one of them"))
    if sparse:
        raise ArgumentError(explain("placeholder: sparse", sparse, "dense values"))
    sizes = (None,) * int(ndim or 0) if shape is None else tuple(shape)
    return Input(batch_shape=sizes, dtype=dtype, name=name or naming.unique("placeholder"))


def is_keras_tensor(x: Any) -> bool:
    """Whether x is what `Input`, a placeholder or a layer called on them gave."""
    return isinstance(x, KerasTensor)


def is_placeholder(x: Any) -> bool:
    """Whether the value of x must be given."""
    call = x.call if isinstance(x, KerasTensor) else None
    return call is not None and isinstance(call.target, InputLayer)


def eval(x: Any) -> Array:
    """The value of x, as an array; ArgumentError for what stands for data yet to be given."""
    if isinstance(x, KerasTensor):
        remedy = "Give the data: isoconv.backend.function([input], [output])([data])."
        raise ArgumentError(explain("eval", repr(x), "a value that is known now", remedy))
    return x.numpy() if isinstance(x, Variable) else as_array(x, "eval")


get_value = eval


def batch_get_value(tensors: Sequence[Any]) -> list[Array]:
    """The values of several tensors, as arrays."""
    return [eval(each) for each in tensors]


def set_value(x: Variable, value: Any) -> None:
    """Gives the variable x a new value of the same shape."""
    x.assign(value)


def batch_set_value(tuples: Sequence[tuple[Variable, Any]]) -> None:
    """Gives several variables new values. tuples: pairs (variable, value)."""
    for each, value in tuples:
        each.assign(value)


def update(x: Variable, new_x: Any) -> Any:
    """Gives the variable x the value `new_x`, and returns that."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    """Adds `increment` to the variable x, and returns its new value."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    """Subtracts `decrement` from the variable x, and returns its new value."""
    return x.assign_sub(decrement)


def shape(x: Any) -> tuple[Any, ...]:
    """The shape of x; None where a size is not known yet."""
    return ops.shape(x)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape of x as a tuple; None where a size is not known yet."""
    return tuple(x.shape)


def ndim(x: Any) -> int:
    """The number of axes of x."""
    return len(x.shape)


def dtype(x: Any) -> str:
    """The name of the dtype of x."""
    return str(np.dtype(x.dtype).name)


def count_params(x: Any) -> int:
    """The number of elements of x."""
    return int(np.prod(x.shape))


def cast_to_floatx(x: Any) -> Array:
    """x as an array in `floatx()`."""
    return eval(x).astype(settings.floatx())
