"""PyTorch's .pt and .pth files, of today's zip form and the one before it, without PyTorch."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.errors import FileError, InternalError, explain
from isoconv.interop.torch import pickles
from isoconv.interop.weight_map import Array

# The first pickle of a file of the older form, and the second.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MOST_PICKLE = 2**28
_WORD = struct.Struct("<q")

# Under which names programs keep the weights beside an epoch or an optimizer.
_USUAL = ("state_dict", "model_state_dict", "model", "weights", "net")


def read_checkpoint(path: Path, key: str | None = None) -> dict[str, Array]:
    """The tensors of a file by their names, as views of what was read, in the file's order.

    key: where in the file they are, if it holds other things too. Raises FileError.
    """
    data = path.read_bytes()
    if data[:4] == b"PK\x03\x04":
        content, numbers = _Zip(data, str(path)).content()
    elif not data:
        raise FileError(explain(str(path), "an empty file", "tensors saved by torch.save"))
    else:
        content, numbers = _older(data, str(path))
    found = _tensors(content, key, str(path))
    return {name: _array(each, numbers(each.storage)) for name, each in found.items()}


Numbers = Callable[[pickles.Storage], Array]


def _array(tensor: pickles.Tensor, numbers: Array) -> Array:
    """The view of a storage that a tensor is."""
    if numbers.size != tensor.storage.count:
        raise InternalError(f"{numbers.size} numbers for {tensor.storage}")
    flat: Array = numbers[tensor.offset :]
    steps = tuple(step * flat.itemsize for step in tensor.strides)
    # That all of it lies within the storage was checked when the tensor was read.
    wide: Array = np.lib.stride_tricks.as_strided(flat, tensor.shape, steps, writeable=False)
    return wide


def _numbers(data: memoryview, storage: pickles.Storage) -> Array:
    """The numbers of a storage that has just these bytes."""
    if storage.dtype == "bool":
        return np.asarray(np.frombuffer(data, "u1") != 0)
    if storage.dtype == "bfloat16":
        # The upper half of a float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, storage.dtype)


def _bytes_of(storage: pickles.Storage) -> int:
    itemsize = {"bool": 1, "bfloat16": 2}.get(storage.dtype)
    return storage.count * (itemsize or np.dtype(storage.dtype).itemsize)


# -- zip --------------------------------------------------------------------------------------


class _Zip:
    """A file of today's form: a zip of data.pkl and one member a storage, none compressed."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = memoryview(data)
        self.name = name
        try:
            with zipfile.ZipFile(BytesIO(data)) as archive:
                listed = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
            raise self.fault("", f"damage ({error})", "a whole zip file") from error
        self.members = {member.filename: member for member in listed}
        if sum(member.file_size for member in listed) > len(data):
            raise self.fault(
                "", "members larger than the file, or within each other", "a whole one"
            )
        if len(self.members) < len(listed):
            raise self.fault("", "members of one name", "names of their own")
        pickled = [each for each in self.members if each.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise self.fault("", f"{len(pickled)} members data.pkl", "one")
        self.folder = pickled[0].removesuffix("data.pkl")

    def fault(self, member: str, given: str, expected: str) -> FileError:
        where = f"{self.name}: {member}" if member else self.name
        return FileError(explain(where, given, expected))

    def content(self) -> tuple[Any, Numbers]:
        order = f"{self.folder}byteorder"
        if order in self.members and bytes(self.member(order, 16)) != b"little":
            raise self.fault(order, "another order of bytes", "little")
        pickled = f"{self.folder}data.pkl"
        stream = BytesIO(self.member(pickled, _MOST_PICKLE))
        known: dict[str, tuple[str, int, Array]] = {}

        def numbers(storage: pickles.Storage) -> Array:
            key = storage.key
            if key not in known:
                data = self.member(f"{self.folder}data/{key}")
                if len(data) != _bytes_of(storage):
                    given, expected = (
                        f"{len(data)} bytes",
                        f"{_bytes_of(storage)}, as data.pkl says",
                    )
                    raise self.fault(f"{self.folder}data/{key}", given, expected)
                known[key] = (storage.dtype, storage.count, _numbers(data, storage))
            if known[key][:2] != (storage.dtype, storage.count):
                raise self.fault(f"{self.folder}data/{key}", "two kinds of numbers", "one")
            return known[key][2]

        return pickles.read(stream, f"{self.name}: {pickled}"), numbers

    def member(self, name: str, most: int | None = None) -> memoryview:
        """The bytes of a member, as a view of the file's own."""
        found = self.members.get(name)
        if found is None:
            raise self.fault(name, "no such member", "what data.pkl names")
        if found.compress_type != zipfile.ZIP_STORED or found.file_size != found.compress_size:
            raise self.fault(name, "a compressed member", "one stored as it is")
        if most is not None and found.file_size > most:
            raise self.fault(name, f"{found.file_size} bytes", f"at most {most}")
        at = found.header_offset
        head = bytes(self.data[at : at + 30])
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise self.fault(name, "no header where it should be", "a whole zip file")
        start = at + 30 + sum(struct.unpack("<HH", head[26:]))
        content = self.data[start : start + found.file_size]
        if len(content) != found.file_size or zlib.crc32(content) != found.CRC:
            raise self.fault(name, "damage: bytes missing or changed", "what was saved")
        return content


# -- the older form ---------------------------------------------------------------------------


def _older(data: bytes, name: str) -> tuple[Any, Numbers]:
    """Five pickles (magic, protocol, machine, content, keys), then each storage with its count."""
    stream = BytesIO(data)
    first = pickles.read(stream, name)
    if first != _MAGIC or pickles.read(stream, name) != _PROTOCOL:
        raise FileError(explain(name, "another kind of file", "one that torch.save wrote"))
    machine = pickles.read(stream, name)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise FileError(explain(name, "another order of bytes", "little"))
    content = pickles.read(stream, name)
    keys = pickles.read(stream, name)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise FileError(explain(f"{name}: keys", "something else", "a list of strings"))
    places, at = _places(content, keys, data, stream.tell(), name)
    if at != len(data):
        raise FileError(explain(name, f"{len(data) - at} bytes more", "an end after the storages"))

    known: dict[pickles.Storage, Array] = {}

    def numbers(storage: pickles.Storage) -> Array:
        if storage in known:
            return known[storage]
        if storage.key not in places:
            raise FileError(explain(f"{name}: storage {storage.key}", "nothing", "its numbers"))
        start, size = places[storage.key]
        if size != _bytes_of(storage):
            given, expected = f"{size} bytes", f"{_bytes_of(storage)}, as its tensors say"
            raise FileError(explain(f"{name}: storage {storage.key}", given, expected))
        known[storage] = _numbers(memoryview(data)[start : start + size], storage)
        return known[storage]

    return content, numbers


def _places(
    content: Any, keys: list[str], data: bytes, at: int, name: str
) -> tuple[dict[str, tuple[int, int]], int]:
    """Where each storage's numbers begin and how many bytes they have, and where they end."""
    kinds = _storages(content)
    found: dict[str, tuple[int, int]] = {}
    for key in keys:
        storage, count = kinds.get(key), data[at : at + _WORD.size]
        if storage is None or len(count) < _WORD.size or _WORD.unpack(count)[0] != storage.count:
            expected = "a storage that the tensors name, with the count they say"
            raise FileError(explain(f"{name}: storage {key}", "something else", expected))
        start = at + _WORD.size
        at = start + _bytes_of(storage)
        if at > len(data) or key in found:
            given = f"{len(data) - start} bytes" if at > len(data) else "a second one"
            expected = f"{_bytes_of(storage)} bytes, once"
            raise FileError(explain(f"{name}: storage {key}", given, expected))
        found[key] = (start, at - start)
    return found, at


def _storages(content: Any) -> dict[str, pickles.Storage]:
    """The storages of all tensors within dicts, lists and tuples."""
    found: dict[str, pickles.Storage] = {}
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, pickles.Tensor):
            found.setdefault(each.storage.key, each.storage)
        if not isinstance(each, dict | list | tuple) or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += each.values() if isinstance(each, dict) else each
    return found


Tensors = dict[str, pickles.Tensor]

# -- what is in it ----------------------------------------------------------------------------


def _tensors(content: Any, key: str | None, name: str) -> Tensors:
    """The tensors by name: of the whole, of what `key` names, or of the one dict that has some."""
    if key is not None:
        if not isinstance(content, Mapping) or key not in content:
            raise FileError(explain(f"{name}: key", repr(key), f"one of {_keys(content)}"))
        content = content[key]
    found = _named(content)
    if key is not None or not isinstance(content, Mapping):
        return _some(found, name, content)
    inner = {each: _named(content[each]) for each in content if isinstance(each, str)}
    inner = {each: tensors for each, tensors in inner.items() if tensors}
    usual = [each for each in _USUAL if each in inner]
    if len(usual) == 1:
        return inner[usual[0]]
    if found or not inner:
        return _some(found, name, content)
    if len(inner) > 1:
        remedy = f"Say which with key=, one of {', '.join(map(repr, inner))}."
        raise FileError(explain(name, f"{len(inner)} dicts of tensors", "one", remedy))
    return next(iter(inner.values()))


def _some(found: Tensors, name: str, content: Any) -> Tensors:
    if not found:
        raise FileError(explain(name, f"a {type(content).__name__}", "tensors by their names"))
    return found


def _named(content: Any) -> Tensors:
    if not isinstance(content, Mapping):
        return {}
    return {
        name: each
        for name, each in content.items()
        if isinstance(name, str) and isinstance(each, pickles.Tensor)
    }


def _keys(content: Any) -> str:
    keys = [each for each in content if isinstance(each, str)] if isinstance(content, dict) else []
    return ", ".join(map(repr, keys[:20])) or "its keys, of which it has none"
