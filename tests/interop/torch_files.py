"""Files of PyTorch made for tests, whole and hostile."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import torch


def saved(older: bool = False) -> bytes:
    """A small checkpoint, as torch.save writes it."""
    stream = io.BytesIO()
    tensors = {"a.weight": torch.arange(12.0).reshape(3, 4).t(), "a.bias": torch.ones(4)}
    content = {"state_dict": tensors, "flags": torch.tensor([True, False]), "epoch": 2}
    torch.save(content, stream, _use_new_zipfile_serialization=not older)
    return stream.getvalue()


def safetensors(header: object = None, content: bytes = bytes(48)) -> bytes:
    """A .safetensors file with any header."""
    usual = {"a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}
    text = json.dumps(usual if header is None else header).encode()
    return struct.pack("<Q", len(text)) + text + content


def zipped(pickled: bytes, storages: dict[str, bytes] | None = None, **options) -> bytes:
    """A zip like torch.save's around any pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:
        archive.writestr("net/data.pkl", pickled)
        for name, data in (storages or {}).items():
            archive.writestr(f"net/data/{name}", data)
    return stream.getvalue()


class Code:
    """What would run a function when it is unpickled."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def tensor(count: int, offset: int, shape: tuple, strides: tuple, key: str = "0") -> bytes:
    """A pickle of {"w": a view of a float storage}, with any numbers."""

    def number(value: int) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    identity = b"(" + pickle.dumps("storage", 2)[2:-1] + b"ctorch\nFloatStorage\n"
    identity += pickle.dumps(key, 2)[2:-1] + pickle.dumps("cpu", 2)[2:-1] + number(count) + b"tQ"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + number(offset)
    view += numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}" + pickle.dumps("w", 2)[2:-1] + view + b"s."


def floats(count: int) -> bytes:
    return np.arange(count, dtype="<f4").tobytes()
