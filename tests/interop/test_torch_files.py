"""Damaged and hostile files of PyTorch: an error that names the part, nothing run, little used."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from isoconv.errors import FileError
from isoconv.interop.torch.checkpoints import read_checkpoint
from isoconv.interop.torch.safetensors import read_safetensors

WHOLE = {".pth": files.saved(), ".pt": files.saved(older=True)}
WHOLE[".safetensors"] = files.safetensors()


def read(data: bytes, suffix: str, folder: Path):
    path = folder / f"net{suffix}"
    path.write_bytes(data)
    return read_safetensors(path) if suffix == ".safetensors" else read_checkpoint(path)


@pytest.mark.parametrize("suffix", WHOLE)
def test_whole_files_are_read(suffix, tmp_path):
    found = read(WHOLE[suffix], suffix, tmp_path)
    shape = (3, 4) if suffix == ".safetensors" else (4, 3)
    assert next(iter(found.values())).shape == shape


def test_what_tests_write_by_hand_is_read(tmp_path):
    data = files.zipped(files.tensor(8, 1, (2, 3), (3, 1)), {"0": files.floats(8)})
    np.testing.assert_array_equal(read(data, ".pt", tmp_path)["w"], [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("suffix", WHOLE)
def test_no_part_of_a_file_is_taken_for_a_whole(suffix, tmp_path):
    whole = WHOLE[suffix]
    for length in {0, 1, 4, 8, 60, len(whole) // 2, len(whole) - 30, len(whole) - 1}:
        with pytest.raises(FileError, match="net"):
            read(whole[:length], suffix, tmp_path)


def test_flipped_bits_of_weights_are_noticed_where_the_file_can_tell(tmp_path):
    data = bytearray(WHOLE[".pth"])
    data[data.index(np.arange(12.0, dtype="<f4").tobytes()) + 5] ^= 1
    with pytest.raises(FileError, match="damage"):
        read(bytes(data), ".pth", tmp_path)


RUN = pickle.dumps({"w": files.Code(os.system, "touch pwned")}, 2)
CODE = {
    "system": RUN,
    "eval": pickle.dumps({"w": files.Code(eval, "open('pwned', 'w')")}, 4),
    "getattr": pickle.dumps([files.Code(getattr, "x", "upper")], 2),
    "a module": b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81}b.",
    "an instance": b"(ios\nsystem\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a call of a dict": b"\x80\x02ccollections\nOrderedDict\n]\x85R.",
}


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("older", [False, True])
def test_code_is_never_run(name, older, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = CODE[name]
    if older:
        magic = WHOLE[".pt"]
        data = magic[: magic.index(b"state_dict") - 40] + pickled
        data = pickled if name != "system" else data
    else:
        data = files.zipped(pickled)
    with pytest.raises(FileError):
        read(data, ".pt", tmp_path)
    assert os.listdir(tmp_path) == ["net.pt"]


VIEWS = {
    "beyond its end": (8, 3, (2, 3), (3, 1)),
    "larger than it": (8, 0, (10**6, 10**6), (0, 0)),
    "of absurd size": (8, 0, (2**62, 2**62, 2**62), (1, 1, 1)),
    "of a size below 0": (8, 0, (-1, 3), (3, 1)),
    "with steps back": (8, 4, (2, 2), (-1, 1)),
    "of too many axes": (8, 0, (1,) * 40, (1,) * 40),
    "of unequal numbers": (8, 0, (2, 2), (1,)),
    "of a storage too large": (2**50, 0, (2,), (1,)),
    "of another count": (9, 0, (9,), (1,)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_storages_stay_within_them(name, tmp_path):
    data = files.zipped(files.tensor(*VIEWS[name]), {"0": files.floats(8)})
    with pytest.raises(FileError, match="net"):
        read(data, ".pt", tmp_path)


ARCHIVES = {
    "compressed": files.zipped(b"\x80\x02}.", compression=zipfile.ZIP_DEFLATED),
    "no storage": files.zipped(files.tensor(8, 0, (8,), (1,))),
    "an escaping name": files.zipped(files.tensor(8, 0, (8,), (1,), key="../../0")),
    "no pickle": files.zipped(b""),
    "no tensors": files.zipped(b"\x80\x02K\x05."),
    "two pickles": files.zipped(b"\x80\x02}.", {"net/data.pkl": b"x"}),
    "a tuple as a key": files.zipped(b"\x80\x02})K\x01s."),
    "a deep stack": files.zipped(b"\x80\x02" + b"(" * 10**5 + b"."),
    "a value not noted": files.zipped(b"\x80\x02h\x07."),
    "a long string": files.zipped(b"\x80\x02\x8d" + struct.pack("<Q", 2**60) + b"x."),
    "an odd escape": files.zipped(b"S'\\K'\n."),
    "a far memo": files.zipped(b"\x80\x02Kar" + struct.pack("<I", 2**32 - 1) + b"."),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives_are_refused_in_little_memory(name, tmp_path):
    data = ARCHIVES[name]
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="net"):
            read(data, ".pt", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + 2 * 10**7
    finally:
        tracemalloc.stop()


def entry(dtype="F32", shape=(3, 4), place=(0, 48)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(place)}


HEADERS = {
    "no object": [1],
    "no entry": {"a": 3},
    "another dtype": {"a": entry("F7")},
    "another size": {"a": entry(shape=(3, 5))},
    "a size below 0": {"a": entry(shape=(-3, -4))},
    "absurd sizes": {"a": entry(shape=(2**62, 2**62))},
    "no whole numbers": {"a": entry(shape=(3.0, 4))},
    "bools": {"a": entry(shape=(True, 12))},
    "a place beyond": {"a": entry(place=(8, 56))},
    "a place turned round": {"a": entry(place=(48, 0))},
    "too many axes": {"a": entry(shape=(1,) * 50)},
    "an overlap": {"a": entry(), "b": entry()},
    "a gap": {"a": entry(shape=(4,), place=(0, 16)), "b": entry(shape=(4,), place=(32, 48))},
    "bytes left": {"a": entry(shape=(4,), place=(0, 16))},
    "deep": None,
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_do_not_fit_are_refused(name, tmp_path):
    data = files.safetensors(HEADERS[name])
    if name == "deep":
        data = struct.pack("<Q", 10**5) + b"[" * 10**5
    with pytest.raises(FileError, match="net"):
        read(data, ".safetensors", tmp_path)


def test_headers_that_take_long_to_read_are_refused(tmp_path):
    """One of 98 MB took nine seconds, and gigabytes."""
    text = b'{"a":[' + b"{}," * 9_000_000 + b"{}]}"
    with pytest.raises(FileError, match=r"a header of \d+ bytes"):
        read(struct.pack("<Q", len(text)) + text, ".safetensors", tmp_path)


def test_names_given_twice_are_refused(tmp_path):
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}}'
    data = struct.pack("<Q", len(text)) + text + b"x"
    with pytest.raises(FileError, match="twice"):
        read(data, ".safetensors", tmp_path)


@st.composite
def damaged(draw):
    """A file with bytes changed, cut out or put in, and its kind."""
    suffix = draw(st.sampled_from(sorted(WHOLE)))
    data = bytearray(WHOLE[suffix])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(0, 9))
        data[place : place + length] = draw(st.binary(max_size=9))
        if not data:
            break
    return suffix, bytes(data)


def survives(data, suffix, folder):
    """Reading either works or says what is wrong."""
    try:
        found = read(data, suffix, folder)
    except FileError:
        return
    for array in found.values():
        assert array.size <= 2**20
        array.sum()


@settings(max_examples=400)
@given(damaged())
def test_any_damage_is_an_error_or_harmless(tmp_path_factory, case):
    suffix, data = case
    survives(data, suffix, tmp_path_factory.getbasetemp())


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*(bytes([op]) for op in range(256)), b"(", b"}", b"\x85R", b"."])))
def test_any_pickle_is_an_error_or_harmless(tmp_path_factory, parts):
    start = b"\x80\x02" + files.tensor(2, 0, (2,), (1,))[2:-1]
    data = files.zipped(start + b"".join(parts) + b".", {"0": files.floats(2)})
    survives(data, ".pt", tmp_path_factory.getbasetemp())
