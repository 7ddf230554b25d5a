"""Models' files and configs with something hostile in them, drawn at random: an error of isoconv's
or a model, and nothing else. Outside the tests, for as long as is wanted:
python tests/models/test_hostile_files.py SECONDS.
"""

import copy
import io
import json
import pathlib
import random
import sys
import tempfile
import time
import warnings
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import isoconv
from isoconv import layers, ops
from isoconv.errors import FileError, IsoconvError

NUMBERS = [0, 1, -1, 7, 2**31, 2**40, 2**63, 10**30, 0.5, -1e308, float("nan")]
VALUES = [None, True, "", "relu", "../../x", "\0", [], {}, {"class_name": "__lambda__"}]
VALUES += [{"class_name": "Popen", "module": "subprocess", "config": {"args": ["true"]}}]
VALUES += [{"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "O"}}]


def network():
    words = isoconv.Input((8,), dtype="int32")
    steps = layers.Embedding(11, 4, mask_zero=True)(words)
    x = layers.Conv1D(4, 3, padding="same", kernel_regularizer="l2")(steps)
    x = layers.Concatenate()(
        [x, layers.Lambda(ops.relu)(layers.SeparableConv1D(4, 3, padding="same")(x)[:, :8])]
    )
    return isoconv.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(x)))


def places(value, path=()):
    """The paths of all that is within JSON data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def at(data, path):
    for key in path:
        data = data[key]
    return data


def hostile(data, source):
    """JSON data with a few parts that are missing, others, doubled or nested."""
    data = copy.deepcopy(data)
    for _ in range(source.choice([1, 1, 2, 4])):
        paths = list(places(data))
        *path, key = source.choice(paths)
        parent = at(data, path)
        what = source.randrange(6)
        if what == 0:
            del parent[key]
        elif what == 1:
            parent[key] = [parent[key]] * source.choice([1, 3, 300])
        elif what == 2:
            parent[key] = copy.deepcopy(at(data, source.choice(paths)))
        else:
            parent[key] = copy.deepcopy(source.choice(NUMBERS if what < 5 else VALUES))
    return data


def keras_file(seed_file, source):
    with zipfile.ZipFile(io.BytesIO(seed_file)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = hostile(json.loads(members["config.json"]), source)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("../../outside", b"x")
        for name, data in (members | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, data)
    return made.getvalue()


def h5_file(seed_file, source):
    """The file with a part replaced, or with bytes changed."""
    data = bytearray(seed_file)
    if source.random() < 0.5:
        start = source.randrange(len(data))
        data[start : start + 32] = source.choice([bytes(32), b"\xff" * 32, source.randbytes(32)])
        return bytes(data)
    made = io.BytesIO(seed_file)
    with h5py.File(made, "r+") as file:
        paths = []
        file.visit(paths.append)
        path = source.choice(paths)
        del file[path]
        kind = source.randrange(6)
        if kind == 0:
            file[path] = h5py.SoftLink(source.choice(["/", "/" + path]))
        elif kind == 1:
            file[path] = h5py.ExternalLink("/dev/zero", "/x")
        elif kind == 2:
            file.create_dataset(path, (2**40,), "f4", chunks=True)
        elif kind == 3:
            file.create_dataset(path, (2**20, 2**20), "f8", chunks=(1, 4))
        elif kind == 4:
            file[path] = ["text"]
        else:
            file.create_group(path)
    return made.getvalue()


def saved(end, folder):
    path = folder / f"seed.{end}"
    model = network()
    model.compile("adam", "mse")
    model.save(path)
    return path.read_bytes()


KINDS = {"keras": keras_file, "h5": h5_file}


def read(seed, seeds, folder):
    """Whether what this seed makes is a model; no error but isoconv's comes out."""
    source = random.Random(seed)
    end = source.choice(sorted(KINDS))
    path = folder / f"hostile.{end}"
    path.write_bytes(KINDS[end](seeds[end], source))
    text = "a model"
    try:
        isoconv.load_model(path)
    except IsoconvError as error:
        text = str(error)
    assert 0 < len(text) < 5000
    return text == "a model"


# The same every time: where the HDF5 library itself loops, no test can stop it.
@settings(
    max_examples=120, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None
)
@given(seed=st.integers(0, 2**32))
def test_hostile_files_are_refused_or_read(tmp_path_factory, seed):
    folder = tmp_path_factory.getbasetemp()
    if not SEEDS:
        SEEDS.update((end, saved(end, folder)) for end in KINDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read(seed, SEEDS, folder)
    assert not (folder.parent.parent / "outside").exists()


SEEDS = {}


ATTRIBUTES = [
    ("m.weights.h5", "layers/conv1d/vars", "name"),
    ("m.h5", "", "model_config"),
    ("m.h5", "model_weights", "layer_names"),
    ("m.h5", "model_weights/conv1d", "weight_names"),
]


@pytest.mark.parametrize(("name", "path", "attribute"), ATTRIBUTES)
def test_attributes_that_hold_no_text_are_not_read(tmp_path, name, path, attribute):
    """Of rows of numbers in the place of a text HDF5 may crash the process."""
    model = isoconv.Sequential([isoconv.Input((9, 3)), layers.Conv1D(2, 3, name="conv1d")])
    model.save_weights(tmp_path / name) if "weights" in name else model.save(tmp_path / name)
    with h5py.File(tmp_path / name, "r+") as file:
        kept = file[path or "/"].attrs
        assert attribute in kept
        del kept[attribute]
        rows = np.empty(1, h5py.vlen_dtype("u1"))
        rows[0] = np.arange(5, dtype="u1")
        kept[attribute] = rows
    load = isoconv.load_model
    if "weights" in name:
        load = partial(model.load_weights, by_name=True)
    with pytest.raises(FileError, match=f"the attribute {attribute} holds no text"):
        load(tmp_path / name)


def main(seconds):
    """Runs until the time is over; prints the seeds of what is neither read nor refused."""

    folder = pathlib.Path(tempfile.mkdtemp())
    seeds = {end: saved(end, folder) for end in KINDS}
    warnings.simplefilter("ignore")
    end, seed, outcomes, slowest = time.monotonic() + seconds, int(time.time()), [0, 0], 0.0
    while time.monotonic() < end:
        seed += 1
        began = time.monotonic()
        try:
            outcomes[read(seed, seeds, folder)] += 1
        except BaseException as error:
            print(seed, type(error).__name__, str(error)[:200], flush=True)
        slowest = max(slowest, time.monotonic() - began)
    print(f"read {outcomes[1]}, refused {outcomes[0]}, slowest {slowest:.2f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]))
