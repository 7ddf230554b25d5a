"""ONNX files as protocol buffers: read and checked, nothing in them believed.

Sizes are compared with the bytes that are there before anything is allocated, and external data is
read only from regular files inside the model's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.errors import FileError, explain
from isoconv.interop.onnx.package import onnx

Array = np.ndarray[Any, Any]

OLDEST = 6
"""The first opset that is read: 7, and 6, which differs in few attributes."""

_DOMAINS = ("", "ai.onnx")


def parse(data: bytes, name: str) -> Any:
    """The model of a file's bytes; FileError where they are none."""
    package = onnx()
    try:
        model = package.ModelProto.FromString(data)
    except Exception as error:  # the class depends on protobuf's implementation
        raise FileError(f"{name}: no ONNX file, or a damaged one ({error}).") from error
    if not model.graph.node and not model.graph.output:
        raise FileError(f"{name}: no ONNX file: it holds no graph.")
    return model


def check(model: Any, name: str) -> int:
    """What can be said of a model without its weights; gives its opset. FileError names the part.

    The sizes of tensors are looked at first: the checker of onnx trusts them.
    """
    for label, text in _texts(model.graph):
        # What protobuf gives where a text is none.
        if isinstance(text, bytes):
            raise FileError(explain(f"{name}: {label}", repr(text), "text in UTF-8"))
    for label, tensor in _tensors(model):
        _check_tensor(tensor, f"{name}: tensor {label!r}")
    versions = [each.version for each in model.opset_import if each.domain in _DOMAINS]
    if len(versions) != 1 or versions[0] < OLDEST:
        given = f"opset {versions[0]}" if versions else "no opset"
        remedy = "Convert it with onnx.version_converter."
        raise FileError(explain(name, given, f"opset {OLDEST + 1} or newer", remedy))
    newest = onnx("defs").onnx_opset_version()
    if versions[0] > newest:
        expected = f"at most {newest}, which the installed onnx knows"
        remedy = "Install a newer onnx."
        raise FileError(explain(name, f"opset {versions[0]}", expected, remedy))
    if model.graph.sparse_initializer:
        raise FileError(explain(name, "sparse tensors", "dense ones", "Convert them first."))
    if model.functions:
        remedy = "Inline them with onnx.inliner.inline_local_functions."
        raise FileError(explain(name, "functions of its own", "a plain graph", remedy))
    try:
        onnx("checker").check_model(_without_data(model))
    except Exception as error:  # ValidationError, or what its C++ code raises
        text = str(error).strip().splitlines()
        raise FileError(f"{name}: {text[0] if text else type(error).__name__}") from error
    return int(versions[0])


def _texts(graph: Any) -> Iterator[tuple[str, Any]]:
    """The names in a graph, with what they name."""
    yield "name of the graph", graph.name
    for number, node in enumerate(graph.node):
        own = (node.name, node.op_type, node.domain, *node.input, *node.output)
        each = (attribute.name for attribute in node.attribute)
        yield from ((f"node {number}", text) for text in (*own, *each))
    for entry in (*graph.input, *graph.output):
        sizes = (dim.dim_param for dim in entry.type.tensor_type.shape.dim)
        yield from (("an input or output", text) for text in (entry.name, *sizes))
    for tensor in graph.initializer:
        yield "an initializer", tensor.name


def _without_data(model: Any) -> Any:
    """The model as the checker may see it: it must not look for external files by itself."""
    if not any(tensor.external_data or tensor.data_location for _, tensor in _tensors(model)):
        return model
    copy = onnx().ModelProto()
    copy.CopyFrom(model)
    for _, tensor in _tensors(copy):
        if tensor.data_location:
            del tensor.external_data[:], tensor.dims[:]
            tensor.data_location = 0
            tensor.dims.append(1)
            tensor.raw_data = bytes(_item_size(tensor.data_type))
    return copy


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """All tensors of a model with a name: initializers, and attributes of nodes."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        for attribute in node.attribute:
            label = f"{node.name or node.op_type}.{attribute.name}"
            if attribute.HasField("t"):
                yield label, attribute.t
            yield from ((label, tensor) for tensor in attribute.tensors)


def _item_size(data_type: int) -> int:
    try:
        return int(onnx("helper").tensor_dtype_to_np_dtype(data_type).itemsize)
    except (KeyError, TypeError, ValueError):
        return 0


def _check_tensor(tensor: Any, where: str) -> None:
    """The sizes of a tensor are sizes, and its data is as long as they say."""
    if any(dim < 0 for dim in tensor.dims):
        raise FileError(explain(where, f"shape {tuple(tensor.dims)}", "sizes of at least 0"))
    count = prod(tensor.dims)
    width = _item_size(tensor.data_type)
    if tensor.data_location:
        return
    stored = len(tensor.raw_data) // width if tensor.HasField("raw_data") and width else None
    if stored is None:
        fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        stored = max(len(getattr(tensor, field)) for field in (*fields, "string_data"))
    # Types of less than a byte are packed, and complex numbers take two entries.
    if count > 2 * stored + 1:
        given = f"shape {tuple(tensor.dims)}, that is {count} elements, with {stored} stored"
        raise FileError(explain(where, given, "data for all elements"))


# -- data -------------------------------------------------------------------------------------


def array_of(tensor: Any, folder: Path | None, where: str) -> Array:
    """The numbers of a tensor; FileError where they are missing or not numbers.

    folder: that of the model's file, where external data may be; None for a model without file.
    """
    if tensor.data_type == onnx().TensorProto.STRING:
        raise FileError(explain(where, "strings", "numbers"))
    if tensor.data_location:
        return _external(tensor, folder, where)
    try:
        return np.asarray(onnx("numpy_helper").to_array(tensor))
    except Exception as error:  # whatever it trips over is wrong with the tensor
        raise FileError(f"{where}: damaged ({error}).") from error


def _external(tensor: Any, folder: Path | None, where: str) -> Array:
    """The numbers of a tensor that are kept in another file, inside `folder`."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        remedy = "Give the path of the file instead."
        raise FileError(explain(where, f"data in {location!r}", "a model with its data", remedy))
    inside = folder.resolve()
    path = (inside / location.replace("\0", "/")).resolve()
    if not path.is_relative_to(inside) or not path.is_file():
        raise FileError(explain(where, f"data in {location!r}", "a file in the model's folder"))
    width, count = _item_size(tensor.data_type), prod(tensor.dims)
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", path.stat().st_size - offset))
    except ValueError as error:
        raise FileError(f"{where}: {error}.") from error
    fits = offset >= 0 and length >= 0 and offset + length <= path.stat().st_size
    if not width or count * width != length or not fits:
        given = f"{length} bytes from {offset} of {path.stat().st_size}"
        raise FileError(explain(where, given, f"the {count * width} bytes of its shape"))
    kind = onnx("helper").tensor_dtype_to_np_dtype(tensor.data_type)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    return np.frombuffer(data, np.dtype(kind).newbyteorder("<")).reshape(tuple(tensor.dims))
