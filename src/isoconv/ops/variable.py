"""Variables: named arrays that stay, are changed in place, and can be traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from isoconv import changes, dtypes, memory, settings
from isoconv.errors import DtypeError, ShapeError, explain
from isoconv.ops.recorder import Array, recording
from isoconv.ops.tensor import OPERATORS, Operand, Tensor

_initializing: ContextVar[bool] = ContextVar("initializing", default=True)


@contextmanager
def without_initial_values() -> Iterator[None]:
    """Inside, new variables start as zeros instead of what their initializers draw.

    For models whose values come from a file: no time is spent on drawing them, and no memory
    before they are assigned, because an array of zeros takes none until it is written.
    """
    token = _initializing.set(False)
    try:
        yield
    finally:
        _initializing.reset(token)


class Variable(Operand):
    """A weight or a state: an array with a name, changed in place by `assign`.

    Args:
        initializer: an array or number to start from, or a function of (shape, dtype) that
            gives one.
        shape: the shape, where the initializer is a function or a number.
        dtype: the dtype; that of the given array, or `floatx()`, if left out.
        trainable: whether training changes it.
        name: its name; `path` is the name with those of the layers around it.
        regularizer, constraint: functions of the variable that training applies.
    """

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        name: str = "variable",
        path: str | None = None,
        regularizer: Callable[..., Any] | None = None,
        constraint: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.path = path or name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.initializer = initializer
        self.version = 0
        self.array: Array = _start(initializer, shape, dtype, self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        return str(self.array.dtype.name)

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def value(self) -> Any:
        """Its value: a Tensor while a program is traced, otherwise a copy of the array."""
        recorder = recording()
        return self.numpy() if recorder is None else Tensor(recorder.read(self))

    def numpy(self) -> Array:
        """A copy of the array."""
        return self.array.copy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False and dtype in (None, self.array.dtype):
            return self.array
        return np.array(self.array, dtype=dtype)

    def assign(self, value: Any) -> Any:
        """Gives it a new value of the same shape; nothing changes where that fails.

        While a program is traced this is recorded: later reads see the new value, and the
        program writes it when it ends.
        """
        recorder = recording()
        if recorder is not None:
            tensor = OPERATORS["convert_to_tensor"](value, self.dtype)
            recorder.assign(self, tensor.node)
            return tensor
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ShapeError(
                explain(f"{self.path}: assign", f"shape {array.shape}", f"shape {self.shape}")
            )
        if array.dtype.kind not in "fiub":
            raise DtypeError(explain(f"{self.path}: assign", array.dtype, "numbers"))
        np.copyto(self.array, array, casting="unsafe")
        self.written()
        return value

    def written(self) -> None:
        """Notes that its array holds another value."""
        self.version += 1
        changes.touched()

    def assign_add(self, value: Any) -> Any:
        """Add a value, of the variable's shape; returns what `assign` does."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract a value, of the variable's shape; returns what `assign` does."""
        return self.assign(self - value)

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


def _start(
    initializer: Any, shape: tuple[int, ...] | None, dtype: DTypeLike | None, where: str
) -> Array:
    if callable(initializer):
        if shape is None:
            raise ShapeError(explain(where, "shape=None", "a shape for its initializer"))
        name = dtypes.standardize(dtype or settings.floatx(), where)
        memory.check(where, shape, name)
        if not _initializing.get():
            return np.zeros(shape, name)
        value = np.asarray(initializer(shape, dtype=name))
    else:
        value = np.asarray(initializer)
        kind = dtype or (settings.floatx() if isinstance(initializer, float) else value.dtype)
        name = dtypes.standardize(kind, where)
        if shape is not None and value.ndim == 0:
            value = np.broadcast_to(value, shape)
    if shape is not None and value.shape != tuple(shape):
        raise ShapeError(explain(f"{where}: initializer", value.shape, f"shape {tuple(shape)}"))
    return np.array(value, dtype=name, order="C")
