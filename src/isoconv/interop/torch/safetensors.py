""".safetensors files: a length, a header in JSON, and the numbers, read and written here."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.atomic import replacing
from isoconv.errors import FileError, explain
from isoconv.interop.weight_map import Array

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
    "BF16": "<u2",  # NumPy has no such number; it is the upper half of a float32.
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}
_LENGTH = struct.Struct("<Q")
_MOST_HEADER = 25_000_000  # names of 250,000 tensors; the format allows four times as much
_MOST_AXES = 32


def read_safetensors(path: Path) -> dict[str, Array]:
    """The tensors of a file by their names, as views of what was read. Raises FileError."""
    data = path.read_bytes()
    where = str(path)
    length = _LENGTH.unpack(data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(_MOST_HEADER, len(data) - 8):
        given = f"a header of {length} bytes in a file of {len(data)}"
        raise FileError(explain(where, given, "a header within the file"))
    header = _header(data[8 : 8 + length], where)
    header.pop("__metadata__", None)
    content = memoryview(data)[8 + length :]
    entries = {name: _entry(name, each, len(content), where) for name, each in header.items()}
    _without_gaps([place for _, _, place in entries.values()], len(content), where)
    return {
        name: _array(content[low:high], kind, shape)
        for name, (kind, shape, (low, high)) in entries.items()
    }


def write_safetensors(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes tensors by their names; the file appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blocks, at = [], 0
    # The widest numbers first, so that all are aligned.
    for name in sorted(arrays, key=lambda each: (-arrays[each].itemsize, each)):
        array = np.asarray(arrays[name], order="C")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        kind = _NAMES.get(array.dtype)
        if kind is None:
            expected = "numbers that the format has"
            raise FileError(explain(f"{path}: {name}", f"dtype {array.dtype}", expected))
        block = array.tobytes()
        place = [at, at + len(block)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        blocks.append(block)
        at += len(block)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as temporary:
        Path(temporary).write_bytes(b"".join([_LENGTH.pack(len(text)), text, *blocks]))


def _header(text: bytes, where: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name twice")
        return found

    try:
        header = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise FileError(explain(f"{where}: header", f"damage ({error})", "JSON")) from error
    if not isinstance(header, dict):
        raise FileError(explain(f"{where}: header", type(header).__name__, "an object"))
    return header


def _entry(
    name: str, entry: Any, size: int, where: str
) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """dtype, shape and place of a tensor, all of which fit each other and the file."""
    given = entry if isinstance(entry, dict) else {}
    kind, shape, place = (given.get(key) for key in ("dtype", "shape", "data_offsets"))
    lists = isinstance(shape, list) and isinstance(place, list) and len(place) == 2
    numbers = [*shape, *place] if lists and shape is not None and place is not None else [-1]
    whole = all(type(number) is int and 0 <= number <= 2**60 for number in numbers)
    if not isinstance(kind, str) or kind not in _DTYPES or not lists or not whole:
        expected = "a known dtype, a shape and a place"
        raise FileError(explain(f"{where}: {name}", "something else", expected))
    axes, (low, high) = numbers[:-2], numbers[-2:]
    wanted = math.prod(axes) * np.dtype(_DTYPES[kind]).itemsize
    if len(axes) > _MOST_AXES or not low <= high <= size or high - low != wanted:
        told = f"shape {tuple(axes[:8])} of {kind} at bytes {low} to {high} of {size}"
        raise FileError(explain(f"{where}: {name}", told, f"{wanted} bytes within the file"))
    return kind, tuple(axes), (low, high)


def _without_gaps(places: list[tuple[int, int]], size: int, where: str) -> None:
    """Each byte must belong to one tensor, so that nothing is hidden or used twice."""
    at = 0
    for low, high in sorted(places):
        if low != at:
            given = f"tensors that overlap or leave a gap at byte {min(low, at)}"
            raise FileError(explain(where, given, "one after the other"))
        at = high
    if at != size:
        raise FileError(explain(where, f"{size - at} bytes more", "an end after the last tensor"))


def _array(data: memoryview, kind: str, shape: tuple[int, ...]) -> Array:
    numbers = np.frombuffer(data, _DTYPES[kind])
    if kind == "BF16":
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    elif kind == "BOOL":
        numbers = np.frombuffer(data, "u1") != 0
    return numbers.reshape(shape)
