"""Files of models: what Keras writes is read here, what is written here Keras reads, and what is
damaged, foreign or hostile is refused with nothing changed."""

import contextlib
import io
import json
import os
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from saved_models import MANY, X, chain, many, network, randomize, shared

import isoconv
from isoconv import layers, ops, registry
from isoconv.errors import ArgumentError, FileError
from isoconv.models import formats, h5_heaps


def edited(path, change):
    """The .keras file with its config changed by a function."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    members["config.json"] = json.dumps(change(config) or config)
    return rewritten(path, members)


def rewritten(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


# -- with Keras -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [network, chain])
def test_keras_reads_what_is_written_here(make, tmp_path):
    ours = randomize(make(isoconv))
    ours.save(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(theirs.predict(X, verbose=0), ours.predict(X), rtol=1e-5, atol=1e-6)

    ours.save_weights(tmp_path / "model.weights.h5")
    theirs = make(keras)
    theirs.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(theirs.predict(X, verbose=0), ours.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [network, chain])
def test_what_keras_writes_is_read_here(make, tmp_path):
    theirs = randomize(make(keras))
    theirs.save(tmp_path / "model.keras")
    ours = isoconv.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-6)

    theirs.save_weights(tmp_path / "model.weights.h5")
    ours = make(isoconv)
    ours.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_many_layers_both_ways(tmp_path):
    ours = randomize(many(isoconv))
    expected = ours.predict(MANY)
    ours.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(theirs.predict(MANY, verbose=0), expected, rtol=1e-5, atol=1e-5)
    for model in (theirs, many(keras)):
        model.load_weights(tmp_path / "ours.keras")
        model.save(tmp_path / "theirs.keras")
        again = isoconv.load_model(tmp_path / "theirs.keras")
        np.testing.assert_array_equal(again.predict(MANY), expected)


@pytest.mark.parametrize("end", ["keras", "h5"])
def test_shared_layers_and_two_inputs_from_keras_and_back(end, tmp_path):
    given = [X, -X[::-1]]
    first = randomize(shared(keras))
    expected = first.predict(given, verbose=0)
    first.save(tmp_path / f"first.{end}")
    ours = isoconv.load_model(tmp_path / f"first.{end}", compile=False)
    np.testing.assert_allclose(ours.predict(given), expected, rtol=1e-5, atol=1e-6)
    ours.save(tmp_path / f"ours.{end}")
    last = keras.models.load_model(tmp_path / f"ours.{end}", compile=False)
    np.testing.assert_allclose(last.predict(given, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert [each.name for each in last.layers] == [each.name for each in first.layers]


def test_training_goes_on_in_keras(tmp_path):
    """How it was compiled and the optimizer's state, both ways: the next step is the same."""
    y = np.array([[0, 1], [1, 0], [0, 1], [1, 1]], np.float32)
    ours = isoconv.Sequential([isoconv.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    ours.compile(isoconv.optimizers.Adam(0.05, beta_1=0.8), loss="mse", metrics=["mae"])
    x = X[:, 0]
    ours.fit(x, y, epochs=3, batch_size=2, shuffle=False, verbose=0)
    ours.save(tmp_path / "ours.keras")

    theirs = keras.models.load_model(tmp_path / "ours.keras")
    again = isoconv.load_model(tmp_path / "ours.keras")
    assert theirs.optimizer.beta_1 == again.optimizer.beta_1 == 0.8
    assert int(theirs.optimizer.iterations.numpy()) == int(again.optimizer.iterations) == 6
    assert isoconv.load_model(tmp_path / "ours.keras", compile=False).optimizer is None
    for model in (ours, again, theirs):
        model.fit(x, y, epochs=2, batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(again.predict(x), ours.predict(x))
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x), rtol=1e-5, atol=1e-6)

    theirs.save(tmp_path / "theirs.keras")
    back = isoconv.load_model(tmp_path / "theirs.keras")
    for model in (back, theirs):
        model.fit(x, y, epochs=2, batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(back.predict(x), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_optimizer_that_does_not_fit_starts_anew(tmp_path):
    model = chain(isoconv)
    model.compile("adam", "mse")
    model.fit(X, np.zeros((4, 9, 2)), verbose=0)
    model.save_weights(tmp_path / "x.weights.h5")
    other = chain(isoconv)
    other.compile("sgd", "mse")
    other.optimizer.build(other.trainable_variables)
    with pytest.warns(UserWarning, match="optimizer starts anew"):
        other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


# -- here and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [network, chain])
def test_round_trip_gives_the_same_bits(make, tmp_path):
    model = randomize(make(isoconv))
    model.save(tmp_path / "a.keras")
    again = isoconv.load_model(tmp_path / "a.keras")
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    other = make(isoconv)
    other.load_weights(tmp_path / "a.keras")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


class Scaled(layers.Layer):
    """A user's layer, with layers in a list and a weight of its own."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.stages = [layers.Dense(width), layers.Dense(width)]

    def build(self, input_shape):
        self.factor = self.add_weight((self.width,), "uniform", name="factor")

    def call(self, x):
        for stage in self.stages:
            x = stage(x)
        return x * self.factor

    def get_config(self):
        return super().get_config() | {"width": self.width}


class Written(isoconv.Model):
    """A model with a `call` of its own, whose attribute sorts after "layers"."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Scaled(4)
        self.z = layers.Dense(2)

    def call(self, x):
        return ops.tanh(self.z(self.first(x)))


def test_own_classes_by_custom_objects(tmp_path):
    model = Written()
    expected = model.predict(X)
    model.save(tmp_path / "own.keras")
    with pytest.raises(FileError, match=r"does not have: Written\. Give classes .* custom_objects"):
        isoconv.load_model(tmp_path / "own.keras")
    again = isoconv.load_model(
        tmp_path / "own.keras", custom_objects={"Written": Written, "Scaled": Scaled}
    )
    np.testing.assert_array_equal(again.predict(X), expected)
    with h5py.File(
        io.BytesIO(zipfile.ZipFile(tmp_path / "own.keras").read("model.weights.h5"))
    ) as h:
        assert set(h) == {"vars", "first", "layers"}
        assert set(h["first/stages"]) == {"dense", "dense_1"}


def test_everything_missing_is_listed(tmp_path):
    inputs = keras.Input((20, 3))
    x = keras.layers.LSTM(3, return_sequences=True)(inputs)
    x = keras.layers.GaussianDropout(0.1)(keras.layers.GRU(2)(x))
    keras.Model(inputs, x).save(tmp_path / "m.keras")
    with pytest.raises(
        FileError, match=r"m\.keras: config\.json needs .* does not have: GRU, LSTM"
    ):
        isoconv.load_model(tmp_path / "m.keras")


def test_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    chain(isoconv).save(path)
    os.chmod(path, 0o640)
    before = path.read_bytes()
    broken = chain(isoconv)
    monkeypatch.setattr(broken, "get_config", lambda: {"object": object()})
    with pytest.raises((TypeError, ValueError)):
        broken.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]
    chain(isoconv).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(ArgumentError, match="overwrite=True"):
        chain(isoconv).save(path, overwrite=False)


def test_names_say_the_format(tmp_path):
    with pytest.raises(ArgumentError, match=r"ends in \.h5 or \.keras or \.onnx; got"):
        chain(isoconv).save(tmp_path / "model.pickle")
    with pytest.raises(ArgumentError, match=r"ends in \.h5 or \.pt or \.pth or \.safetens"):
        chain(isoconv).save_weights(tmp_path / "model.keras")
    for name in ("nothing.keras", "nothing.h5", "nothing.onnx"):
        with pytest.raises(FileNotFoundError, match=f"{name}: expected a file that holds a model"):
            isoconv.load_model(tmp_path / name)
    for name in ("nothing.weights.h5", "nothing.pt", "nothing.safetensors"):
        with pytest.raises(FileNotFoundError, match=f"{name}: expected a file that holds weights"):
            chain(isoconv).load_weights(tmp_path / name)
    with pytest.raises(ArgumentError, match="safe_mode"):
        isoconv.load_model(tmp_path / "nothing.keras", safe_mode=False)


def test_formats_register_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_modules", dict(formats._modules))
    formats.register(".other.keras", "isoconv.models.weights_format")
    chain(isoconv).save_weights(tmp_path / "x.other.keras")
    assert h5py.is_hdf5(tmp_path / "x.other.keras")


def test_unbuilt_models_have_no_weights_to_save(tmp_path):
    model = isoconv.Sequential([layers.Dense(3)])
    with pytest.raises(ArgumentError, match="without weights"):
        model.save_weights(tmp_path / "x.weights.h5")
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "x.keras")
    assert isoconv.load_model(tmp_path / "x.keras").predict(X).shape == (4, 20, 3)


# -- files that do not fit, are damaged or hostile --------------------------------------------


def unchanged(model, action, match):
    before = model.get_weights()
    with pytest.raises(FileError, match=match):
        action()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_nothing_changes_where_shapes_do_not_match(tmp_path):
    path = tmp_path / "x.weights.h5"
    chain(isoconv).save_weights(path)
    k = layers
    head = [isoconv.Input((20, 3)), k.Conv1D(4, 3), k.BatchNormalization()]
    wider = isoconv.Sequential([*head, k.Conv1D(6, 3, use_bias=False), k.Dense(2)])
    unchanged(wider, lambda: wider.load_weights(path), r"shape \(3, 4, 5\); expected \(3, 4, 6\)")
    with pytest.warns(UserWarning, match="not loaded"):
        wider.load_weights(path, skip_mismatch=True)
    head = [isoconv.Input((20, 3)), k.Conv1D(4, 3), k.BatchNormalization()]
    biased = isoconv.Sequential([*head, k.Conv1D(5, 3), k.Dense(2)])
    unchanged(biased, lambda: biased.load_weights(path), "expected 2 variables; the file has 1")
    short = isoconv.Sequential([isoconv.Input((20, 3)), k.Conv1D(4, 3)])
    unchanged(short, lambda: short.load_weights(path), "layers/dense: the model has no such layer")
    longer = isoconv.Sequential([isoconv.Input((20, 3)), *chain(isoconv).layers, k.Dense(2)])
    unchanged(longer, lambda: longer.load_weights(path), "expected 2 variables; the file has none")


@pytest.mark.parametrize("length", [0, 1, 100, 0.3, 0.7, 0.99])
def test_truncated_files(length, tmp_path):
    model = chain(isoconv)
    for name in ("x.keras", "x.weights.h5"):
        path = tmp_path / name
        (model.save if name == "x.keras" else model.save_weights)(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(length * len(data)) if isinstance(length, float) else length])
        unchanged(model, lambda path=path: model.load_weights(path), "damaged|HDF5|missing")
    with pytest.raises(FileError, match="damaged"):
        isoconv.load_model(tmp_path / "x.keras")


def test_flipped_bytes_raise_nothing_unexpected(tmp_path):
    model = chain(isoconv)
    path = tmp_path / "x.weights.h5"
    model.save_weights(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        flipped = bytearray(data)
        for place in rng.integers(0, len(data), size=4):
            flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(FileError):
            model.load_weights(path)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({}, "config.json is missing"),
        ({"config.json": "{"}, "config.json is damaged"),
        ({"config.json": "[" * 100_000}, "config.json is damaged"),
        ({"config.json": "[1]"}, "describes no model"),
        (
            {"config.json": '{"class_name": "Dense", "config": {"units": 1}}'},
            "one of functional, model",
        ),
        ({"config.json": '{"class_name": "Sequential", "config": 3}'}, "config.json: Arg"),
        (
            {"config.json": '{"class_name": "Sequential", "config": {}}'},
            "config.json: .*Sequential: config: .*KeyError",
        ),
        ({"config.json": '{"class_name": "os.system", "config": {}}'}, "does not have: os.system"),
    ],
)
def test_foreign_and_damaged_configs(members, match, tmp_path):
    with pytest.raises(FileError, match=match):
        isoconv.load_model(rewritten(tmp_path / "x.keras", members))


def test_absurd_sizes_allocate_nothing(tmp_path):
    path = tmp_path / "x.keras"
    for filters in (10**9, 10**14, 10**30):
        chain(isoconv).save(path)

        def enlarge(config, filters=filters):
            config["config"]["layers"][1]["config"]["filters"] = filters

        with pytest.raises(FileError, match=r"bytes|MemoryError|Error"):
            isoconv.load_model(edited(path, enlarge))

    chain(isoconv).save(path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    bomb = {"config.json": config, "model.weights.h5": bytes(100 << 20)}
    with pytest.raises(FileError, match="less, for a file so small"):
        isoconv.load_model(rewritten(path, bomb, zipfile.ZIP_DEFLATED))


def tampered(path, change):
    chain(isoconv).save_weights(path)
    with h5py.File(path, "a") as file:
        change(file, file["layers/conv1d/vars"])


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("external link", "a link, which is not followed"),
        ("soft link", "a link, which is not followed"),
        ("external storage", "kept outside the file"),
        ("virtual", "kept outside the file"),
        ("text", "expected numbers"),
        ("group", "missing"),
        ("pieces", "in pieces of"),
    ],
)
def test_hostile_arrays(kind, match, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.zeros(4, np.float32)

    def change(file, group):
        del group["1"]
        if kind == "external link":
            group["1"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "soft link":
            group["1"] = h5py.SoftLink("/layers/batch_normalization/vars/0")
        elif kind == "external storage":
            group.create_dataset("1", (4,), "f4", external=[(str(secret), 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
            group.create_virtual_dataset("1", layout)
        elif kind == "text":
            group["1"] = np.array([b"a", b"b", b"c", b"d"])
        elif kind == "group":
            group.create_group("1")
        else:
            group.create_dataset("1", (4,), "f4", chunks=(1 << 24,), maxshape=(None,))

    path = tmp_path / "x.weights.h5"
    tampered(path, change)
    model = chain(isoconv)
    unchanged(model, lambda: model.load_weights(path), match)


def test_code_is_never_run(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "x.keras")
    with pytest.raises(FileError, match="Python code"):
        isoconv.load_model(tmp_path / "x.keras")


def test_saving_follows_links_to_the_file_itself(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.keras"
    link.symlink_to(tmp_path / "real" / "model.keras")
    chain(isoconv).save(link)
    assert link.is_symlink()
    assert Path(tmp_path / "real" / "model.keras").is_file()


HOSTILE_CONFIGS = {
    "no layers": lambda config: config.pop("layers"),
    "a number for layers": lambda config: config.update(layers=7),
    "an entry without a name": lambda config: config["layers"][1].pop("name"),
    "an entry without a config": lambda config: config["layers"][1].pop("config"),
    "a class that is a list": lambda config: config["layers"][1].update(class_name=[1]),
    "an unknown argument": lambda config: config["layers"][1]["config"].update(color="red"),
    "a missing argument": lambda config: config["layers"][1]["config"].pop("filters"),
    "nodes that are a number": lambda config: config["layers"][1].update(inbound_nodes=2.0),
    "an output that no layer gives": lambda config: config.update(output_layers=["x", 0, 0]),
    "a place beyond the outputs": lambda config: config["output_layers"].__setitem__(2, 9),
}


@pytest.mark.parametrize("name", HOSTILE_CONFIGS)
def test_configs_that_describe_no_model_name_the_part(name):
    config = network(isoconv).get_config()
    HOSTILE_CONFIGS[name](config)
    with pytest.raises(ArgumentError, match=r"config|name among|layers|Conv1D"):
        isoconv.Model.from_config(config)


@pytest.mark.parametrize("dtype", ["O", "object", "0", "f4,f4", "(2,)f4", "S9", "nothing", 7, None])
def test_arrays_in_configs_are_of_numbers(dtype):
    data = {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": dtype}}
    with pytest.raises(ArgumentError, match=r"array: (dtype|config)"):
        registry.deserialize(data)
    read = registry.deserialize(registry.serialize(np.array([1, 2], "int16")))
    assert (read.dtype, read.tolist()) == ("int16", [1, 2])


def test_errors_quote_no_more_than_a_person_reads():
    config = chain(isoconv).get_config()
    config["layers"][1]["config"]["padding"] = "x" * 100_000
    with pytest.raises(ArgumentError, match=r"padding.*x\.\.\. \(100002 characters\)") as caught:
        isoconv.Sequential.from_config(config)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("byte", [b"\0", b"\xff"], ids=["zeros", "ones"])
@pytest.mark.parametrize("end", ["keras", "h5", "weights.h5"])
def test_texts_that_the_hdf5_library_would_never_end_reading_are_refused(end, byte, tmp_path):
    """Found by damage at random: in the heap of texts, free space without a size, and an object
    whose size comes round to its beginning."""
    path, model = tmp_path / f"model.{end}", chain(isoconv)
    model.save_weights(path) if end == "weights.h5" else model.save(path)
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    assert h5_heaps.stuck_at(io.BytesIO(bytes(data)), 8) is None
    size = int.from_bytes(data[heap + 8 : heap + 16], "little")
    data[heap + 16 : heap + size] = byte * (size - 16)
    assert h5_heaps.stuck_at(io.BytesIO(bytes(data)), 8) == heap + 16
    if end == "keras":  # whose members have checksums
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        weights = members["model.weights.h5"]
        place = path.read_bytes().index(weights)
        rewritten(path, members | {"model.weights.h5": bytes(data[place : place + len(weights)])})
    else:
        path.write_bytes(data)
    with pytest.raises(FileError, match="heap of texts has no end"):
        model.load_weights(path)
    if end != "weights.h5":
        with pytest.raises(FileError, match="heap of texts has no end"):
            isoconv.load_model(path)


def test_a_config_that_is_no_text_is_refused(tmp_path):
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.attrs["model_config"] = h5py.Empty("f4")
    with pytest.raises(FileError, match="model_config is damaged"):
        isoconv.load_model(tmp_path / "empty.h5")


def test_weights_behind_a_link_are_not_followed(tmp_path):
    model = chain(isoconv)
    model.save(tmp_path / "other.h5")
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink("other.h5", "/model_weights")
    with pytest.raises(FileError, match="a link, which is not followed"):
        model.load_weights(tmp_path / "linked.h5")
