"""The element types of tensors inside the program, and how foreign arrays map to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import DTypeLike

from isoconv.errors import DtypeError, explain

FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64")
ALL = (*FLOATS, *INTEGERS, "bool")

BYTES: Mapping[str, int] = MappingProxyType(
    {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "bool": 1}
)

# What an array of a dtype outside the program becomes when no layer asks for something else.
_WIDENED = {
    "float16": "float32",
    "bfloat16": "float32",
    "uint8": "int32",
    "int8": "int32",
    "uint16": "int32",
    "int16": "int32",
    "uint32": "int64",
    "uint64": "int64",
}


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def standardize(dtype: DTypeLike, where: str = "dtype") -> str:
    """The name of `dtype` as the program knows it; DtypeError for what it cannot hold."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    name = _WIDENED.get(name, name)
    if name not in ALL:
        raise DtypeError(explain(where, repr(dtype), f"a numeric dtype such as {', '.join(ALL)}"))
    return name


def promote(left: str, right: str) -> str:
    """The dtype that holds the result of arithmetic between two dtypes.

    A float wins over an integer whatever their widths, as in Keras, so float32 stays float32.
    """
    order = ("bool", "int32", "int64", "float32", "float64")
    return max(left, right, key=order.index)
