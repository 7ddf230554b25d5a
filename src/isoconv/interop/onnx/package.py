"""The package onnx, fetched when it is first needed, and its element types by our names."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from isoconv import dtypes, optional
from isoconv.errors import DtypeError, explain


def onnx(part: str = "") -> ModuleType:
    """The package, or a module of it such as "checker"."""
    return optional.require(f"onnx.{part}".rstrip("."), "onnx")


def dtype_of(element_type: int, where: str) -> str:
    """Our name of an ONNX element type; DtypeError for those that programs do not have."""
    names = {number: name for name, number in element_types().items()}
    if element_type not in names:
        known = onnx().TensorProto.DataType
        given = known.Name(element_type) if element_type in known.values() else element_type
        remedy = "Convert the model to float32 first."
        raise DtypeError(explain(where, given, f"one of {', '.join(dtypes.ALL)}", remedy))
    return names[element_type]


def element_types() -> dict[str, Any]:
    """The ONNX element type of each dtype."""
    kinds = onnx().TensorProto
    return {
        "float32": kinds.FLOAT,
        "float64": kinds.DOUBLE,
        "int32": kinds.INT32,
        "int64": kinds.INT64,
        "bool": kinds.BOOL,
    }
