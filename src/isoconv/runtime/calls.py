"""Compiled programs as functions of CPython that take arrays and give arrays (`codegen.call`)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy._core import multiarray

from isoconv import changes
from isoconv.codegen import call
from isoconv.runtime import jit
from isoconv.runtime.frames import Binding, Frames, numbers
from isoconv.runtime.host import host

Array = np.ndarray[Any, Any]
Call = Callable[..., Any]
"""From arrays to the outputs, or to NotImplemented if it is not for these arrays, or not now."""


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Words(Array):
    """The words of a call, with what must live as long as they do."""

    kept: Any = None


_METH_FASTCALL = 0x80
# The place of PyArray_NewFromDescr in the table of NumPy's C API.
_NEW_FROM_DESCR = 94
_FUNCTIONS = (
    "Py_IncRef",
    "Py_DecRef",
    "PyList_New",
    "PyList_SetItem",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
)


def function(
    frames: Frames,
    binding: Binding,
    dtypes: Sequence[np.dtype[Any]],
    given: Sequence[Array],
    kept: Sequence[Array],
    since: int,
) -> Call:
    """A function for arrays of the dtypes and shapes of `given`, for which `binding` holds.

    dtypes: of the outputs. kept: the program's other inputs. since: the stamp after whose change
    it declines.
    """
    # In a frame sizes stand before the inputs, which are written at each call, and the outputs.
    own = [*binding.sizes, *(0 for _ in given), *map(id, kept)]
    own_at, given_at = frames.words.sizes, frames.words.tensors
    inputs = [word for array in given for word in _kind(array.dtype, array.shape)]
    outputs = [word for kind in zip(dtypes, binding.shapes, strict=True) for word in _kind(*kind)]
    outputs_from = call.FIRST + len(inputs)
    words = [
        *_fixed(),
        *(since, frames.driver, frames.first, next(numbers), int(binding.long)),
        *(own_at, len(own), given_at, len(given), own_at + len(own), len(dtypes)),
        *(outputs_from, outputs_from + len(outputs)),
        *(*inputs, *outputs, *own),
    ]
    block = np.array(words, np.int64).view(_Words)
    block.kept = (frames, [*kept], [*dtypes], [array.dtype for array in given])
    made: Call = _new(ctypes.addressof(_method()), block, None)
    return made


def _kind(dtype: np.dtype[Any], shape: Sequence[int]) -> list[int]:
    return [id(dtype), len(shape), *shape]


@cache
def _fixed() -> list[int]:
    """The words that are the same in all calls."""
    api = ctypes.pythonapi
    functions = [ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0 for name in _FUNCTIONS]
    table = _pointer(multiarray._ARRAY_API, None)
    new_array = ctypes.c_int64.from_address(table + 8 * _NEW_FROM_DESCR).value
    return [changes.ADDRESS, id(np.ndarray), id(NotImplemented), new_array, *functions]


@cache
def _method() -> _Method:
    machine = host()
    address = jit.function("call", call.SYMBOL, lambda: call.emit(machine), machine)
    return _Method(b"call", address, _METH_FASTCALL, None)


_pointer = ctypes.PYFUNCTYPE(ctypes.c_size_t, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)
