"""What may stand where a tensor is wanted, and how it becomes one."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from isoconv import dtypes, settings
from isoconv.errors import ArgumentError, DtypeError, explain
from isoconv.ir.ops import make
from isoconv.ir.sizes import Size
from isoconv.ops.recorder import Array, current
from isoconv.ops.tensor import KerasTensor, Tensor
from isoconv.ops.variable import Variable

Number = bool | int | float | np.generic

# In the byte order of this machine.
_KNOWN = frozenset(np.dtype(name) for name in dtypes.ALL)


def as_array(value: Any, where: str = "array") -> Array:
    """A C-contiguous array of a dtype that programs know, copied only where it must be.

    Raises DtypeError for what is not numeric and ArgumentError for ragged lists.
    """
    if type(value) is np.ndarray and value.dtype in _KNOWN and value.flags.c_contiguous:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(explain(where, "rows of unequal lengths", "an array")) from error
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise DtypeError(explain(where, f"dtype {array.dtype}", "an array of numbers"))
    if isinstance(value, list | tuple) and array.dtype == "float64":
        return np.asarray(array, settings.floatx(), order="C")
    return np.asarray(array, dtypes.standardize(array.dtype, where), order="C")


def as_tensor(value: Any, dtype: str | None = None) -> Tensor:
    """The value as a Tensor of the program being traced, cast to `dtype` if one is given."""
    if isinstance(value, Tensor):
        tensor = value
    elif isinstance(value, Variable):
        tensor = Tensor(current().read(value))
    elif isinstance(value, Size):
        return Tensor(make("size", dim=value, dtype=dtype or "int32"))
    elif isinstance(value, Number):
        return constant(value, dtype or _natural(value))
    elif isinstance(value, KerasTensor):
        raise ArgumentError(explain("a traced function", repr(value), "tensors of this trace"))
    else:
        array = as_array(value)
        if array.ndim == 0:
            return constant(array[()], dtype or array.dtype.name)
        tensor = Tensor(current().constant(array))
    return tensor if dtype is None else change_dtype(tensor, dtype)


def as_float(value: Any) -> Tensor:
    """The value as a Tensor of floats; integers and bools become `floatx()`."""
    tensor = as_tensor(value)
    if dtypes.is_float(tensor.dtype):
        return tensor
    return change_dtype(tensor, settings.floatx())


def constant(value: Any, dtype: str, shape: tuple[Any, ...] = ()) -> Tensor:
    """One number everywhere."""
    number: Any = float(value) if dtypes.is_float(dtype) else int(value)
    if dtype == "bool":
        number = bool(value)
    return Tensor(make("full", value=number, shape=shape, dtype=dtype))


def change_dtype(tensor: Tensor, dtype: DTypeLike) -> Tensor:
    """The tensor in another dtype."""
    name = dtypes.standardize(dtype)
    if tensor.dtype == name:
        return tensor
    return Tensor(make("cast", tensor.node, dtype=name))


def align(*values: Any, floating: bool = False) -> list[Tensor]:
    """Tensors of one dtype and one rank, as elementwise operations want them.

    Python numbers take the dtype of the tensors beside them, unless that would cut them.
    """
    numbers = [v for v in values if isinstance(v, Number | Size)]
    tensors = [as_tensor(v) for v in values if not isinstance(v, Number | Size)]
    found = [tensor.dtype for tensor in tensors]
    natural = [_natural(v) for v in numbers]
    if not found or any(_kind(dtype) > max(map(_kind, found)) for dtype in natural):
        found += natural
    dtype = reduce(dtypes.promote, found)
    if floating and not dtypes.is_float(dtype):
        dtype = settings.floatx()
    rank = max((tensor.ndim for tensor in tensors), default=0)
    return [expand_rank(as_tensor(value, dtype), rank) for value in values]


def expand_rank(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with axes of size 1 in front, up to `rank`."""
    if tensor.ndim == rank:
        return tensor
    shape = (*(1,) * (rank - tensor.ndim), *tensor.dims)
    if tensor.node.op == "full":
        return Tensor(make("full", value=tensor.node["value"], shape=shape, dtype=tensor.dtype))
    return Tensor(make("reshape", tensor.node, shape=shape))


def _natural(value: Number | Size) -> str:
    """The dtype of a Python number that stands alone."""
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | Size | np.integer):
        return "int32" if isinstance(value, Size) or abs(int(value)) < 2**31 else "int64"
    return settings.floatx()


def _kind(dtype: str) -> int:
    """How much a dtype holds: truth, integers, reals."""
    return 0 if dtype == "bool" else 1 if dtype in dtypes.INTEGERS else 2
