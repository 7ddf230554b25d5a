"""isoconv.activations: what layers give, by any of their names, in memory and on disk."""

import tracemalloc

import numpy as np
import pytest

import isoconv as ic
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError

X = np.random.default_rng(0).normal(size=(5, 12, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    inner = ic.Sequential([layers.Conv1D(4, 3, name="deep"), layers.ReLU(name="cut")], name="inner")
    start = ic.Input((12, 3))
    shared = layers.Conv1D(3, 3, padding="same", name="shared")
    once = shared(start)
    twice = shared(once)
    joined = layers.Add(name="sum")([once, twice])
    end = layers.GlobalMaxPooling1D(name="end")(layers.Dropout(0.5, name="drop")(inner(joined)))
    return ic.Model(start, end)


def by_hand(model):
    """Each layer called by itself, one after the other."""
    shared, inner = model.get_layer("shared"), model.get_layer("inner")
    found = {"shared": shared(X)}
    found["shared#2"] = shared(found["shared"])
    found["sum"] = found["shared"] + found["shared#2"]
    found["inner/deep"] = inner.layers[0](found["sum"])
    found["inner/cut"] = found["inner"] = found["drop"] = np.maximum(found["inner/deep"], 0)
    found["end"] = found["inner"].max(1)
    return found


@pytest.mark.parametrize("batch_size", [32, 5, 2])
def test_all_layers_in_one_pass_by_their_paths(model, batch_size):
    expected = by_hand(model)
    seen = []
    found = ic.activations(
        model, X, batch_size=batch_size, on_batch=lambda done, count: seen.append((done, count))
    )
    assert set(found) == set(expected)
    for name, value in found.items():
        assert np.array_equal(value, expected[name]), name
    assert np.array_equal(found["end"], model.predict(X))
    assert seen[-1] == (5, 5)
    assert len(seen) == -(-5 // batch_size)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("end", ["end"]),
        ("shared", ["shared", "shared#2"]),
        ("shared#2", ["shared#2"]),
        ("deep", ["inner/deep"]),
        ("inner/cut", ["inner/cut"]),
        ("Conv1D", ["shared", "shared#2", "inner/deep"]),
        (layers.ReLU, ["inner/cut"]),
        (["end", layers.Add], ["sum", "end"]),
    ],
)
def test_layers_by_name_path_or_class(model, wanted, names):
    assert list(ic.activations(model, X, wanted)) == names


def test_streamed_to_files(model, tmp_path):
    expected = by_hand(model)
    found = ic.activations(model, X, batch_size=2, out=tmp_path / "new")
    for name, value in found.items():
        assert isinstance(value, np.memmap)
        assert np.array_equal(value, expected[name])
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert files == {f"{name.replace('/', '.')}.npy" for name in expected}
    assert np.array_equal(np.load(tmp_path / "new/inner.deep.npy"), expected["inner/deep"])


@pytest.mark.parametrize("shape", [(64, 500, 2), (1, 32_000, 2)], ids=["many", "long"])
def test_files_take_no_memory_however_much_is_written(shape, tmp_path):
    parts = [layers.Conv1D(16, 3, name="a"), layers.ReLU(name="b"), layers.Conv1D(16, 3, name="c")]
    model = ic.Sequential([ic.Input((None, 2)), *parts])
    x = np.ones(shape, "float32")
    model(x[:1])
    ic.activations(model, x[:1, :9])
    tracemalloc.start()
    found = ic.activations(model, x, batch_size=4, out=tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(value.nbytes for value in found.values()) > 6e6
    assert most < 1e6
    assert np.array_equal(found["c"], ic.activations(model, x, "c")["c"])


def test_an_error_leaves_no_file(tmp_path):
    class Odd(layers.Layer):
        def call(self, x):
            return ic.ops.sum(x, axis=0)

    model = ic.Sequential([layers.Conv1D(2, 3, name="fine"), Odd(name="odd")])
    model.build((None, 12, 3))
    with pytest.raises(ShapeError, match=r"activations: odd: expected one row a sample; got .*2 s"):
        ic.activations(model, X, batch_size=2, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert ic.activations(model, X)["odd"].shape == (10, 2)


def test_models_of_every_kind_and_single_layers():
    class Own(ic.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Conv1D(2, 3, name="first")
            self.second = layers.Dense(1, name="second")

        def call(self, x):
            return self.second(self.first(x))

    own = Own()
    found = ic.activations(own, X)
    assert list(found) == ["first", "second"]
    assert np.array_equal(found["second"], own(X))
    conv = layers.Conv1D(2, 3, name="alone")
    assert np.array_equal(ic.activations(conv, X)["alone"], conv(X))
    assert ic.activations(conv, X[:0])["alone"].shape == (0, 10, 2)


def test_several_inputs_go_by_name():
    a, b = ic.Input((12, 3), name="a"), ic.Input((12, 3), name="b")
    model = ic.Model([a, b], layers.Subtract(name="less")([a, b]))
    found = ic.activations(model, {"a": X, "b": 2 * X}, batch_size=2)
    assert np.array_equal(found["less"], -X)


def test_the_activation_functions_are_its_attributes():
    assert np.array_equal(ic.activations.relu(X), np.maximum(X, 0))
    assert "softmax" in dir(ic.activations)
    with pytest.raises(AttributeError, match="nothing"):
        ic.activations.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((X, "shard"), {}, ArgumentError, "expected some of shared, .*got 'shard'. Did you mean"),
        ((X, layers.Dense), {}, ArgumentError, "class"),
        ((X[:, :, :2],), {}, ShapeError, r"shape \(None, 12, 3\)"),
        ((X,), {"batch_size": 0}, ArgumentError, "an integer of at least 1"),
    ],
)
def test_mistakes_are_explained(model, args, options, error, message):
    with pytest.raises(error, match=message):
        ic.activations(model, *args, **options)
    with pytest.raises(ArgumentError, match="a model or a layer; got 3"):
        ic.activations(3, X)
