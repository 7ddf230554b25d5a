"""Models drawn with isoconv.ops, or with masks, in files that Keras reads, and read from its."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import isoconv
from isoconv import layers, ops
from isoconv.errors import FileError
from isoconv.models import operations
from isoconv.ops.dispatch import FUNCTIONS

# What is written of x (batch, 6, 4), and of x with a second input like it.
WRITTEN = {
    "arithmetic": lambda k, x, y: 2.0 - (x + 1.0) * y / 3.0,
    "powers": lambda k, x, y: k.ops.abs(x) ** 2 + k.ops.maximum(x, 0.5) - k.ops.minimum(y, x),
    "comparisons": lambda k, x, y: k.ops.where(x > y, x, k.ops.zeros_like(y)),
    "logic": lambda k, x, y: k.ops.cast(
        k.ops.logical_or(x >= 0.3, k.ops.logical_not(y < 0.1)), "float32"
    ),
    "activations": lambda k, x, y: k.ops.relu(x) + k.ops.gelu(y, approximate=False),
    "slopes": lambda k, x, y: k.ops.leaky_relu(x, 0.1) + k.ops.elu(y, alpha=0.5),
    "hard": lambda k, x, y: k.ops.hard_sigmoid(x) + k.ops.relu6(y) + k.ops.log_sigmoid(x),
    "functions": lambda k, x, y: k.ops.expm1(x) + k.ops.log1p(y * y) + k.ops.erf(x),
    "roots": lambda k, x, y: k.ops.rsqrt(x * x + 1.0) + k.ops.log10(y * y + 1.0),
    "softmax": lambda k, x, y: k.ops.softmax(x, axis=1) + k.ops.log_softmax(y),
    "sums": lambda k, x, y: (
        k.ops.sum(x, axis=1, keepdims=True) + k.ops.mean(y, (1, 2))[:, None, None]
    ),
    "moments": lambda k, x, y: k.ops.std(x, axis=-1) + k.ops.logsumexp(y, axis=2),
    "extremes": lambda k, x, y: k.ops.max(x, axis=1) - k.ops.min(y, axis=1),
    "places": lambda k, x, y: k.ops.cast(k.ops.argmax(x, axis=1), "float32"),
    "indices": lambda k, x, y: k.ops.concatenate([x[:, 1:4], y[:, ::2], x[..., -1:, :]], axis=1),
    "shapes": lambda k, x, y: k.ops.reshape(k.ops.transpose(x, (0, 2, 1)), (-1, 3, 8)),
    "axes": lambda k, x, y: k.ops.squeeze(k.ops.expand_dims(x, 1), 1) + k.ops.flip(y, 1),
    "moves": lambda k, x, y: k.ops.moveaxis(x, 1, 2) + k.ops.swapaxes(y, 1, 2),
    "joins": lambda k, x, y: k.ops.stack([x, y], axis=2),
    "repeats": lambda k, x, y: k.ops.repeat(x, 2, axis=1) + k.ops.tile(y, (1, 2, 1)),
    "parts": lambda k, x, y: k.ops.split(x, 2, axis=1)[1] * k.ops.clip(y, 0.0, 0.5)[:, :3],
    "padding": lambda k, x, y: k.ops.pad(x, ((0, 0), (1, 2), (0, 0)), constant_values=0.5),
    "products": lambda k, x, y: k.ops.matmul(x, k.ops.swapaxes(y, 1, 2)),
    "pooling": lambda k, x, y: k.ops.max_pool(x, 2, 2) + k.ops.average_pool(y, 2, 2, "same"),
    "choice": lambda k, x, y: k.ops.take(x, np.array([0, 2]), axis=1),
}


def network(library, write):
    x, y = (library.Input((6, 4), name=name) for name in "xy")
    return library.Model([x, y], write(library, x, y))


@pytest.mark.parametrize("name", WRITTEN)
def test_operations_cross_both_ways(name, tmp_path):
    x = list(np.random.default_rng(0).normal(size=(2, 3, 6, 4)).astype("float32"))
    ours, theirs = network(isoconv, WRITTEN[name]), network(keras, WRITTEN[name])
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    wanted = np.asarray(theirs(x))
    read_there = keras.models.load_model(tmp_path / "ours.keras")
    read_here = isoconv.load_model(tmp_path / "theirs.keras")
    for found in (
        ours(x),
        read_there(x),
        read_here(x),
        isoconv.load_model(tmp_path / "ours.keras")(x),
    ):
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-5, atol=1e-6)


def test_operations_in_legacy_files_of_keras_3_are_read(tmp_path):
    """Keras writes them and does not read them again."""
    x = list(np.random.default_rng(0).normal(size=(2, 3, 6, 4)).astype("float32"))
    for name, write in WRITTEN.items():
        theirs = network(keras, write)
        theirs.save(tmp_path / "theirs.h5")
        found = isoconv.load_model(tmp_path / "theirs.h5")(x)
        wanted = np.asarray(theirs(x))
        np.testing.assert_allclose(np.asarray(found), wanted, 1e-5, 1e-6, err_msg=name)


def test_a_layer_and_an_operation_of_one_name_stay_apart_in_legacy_files(tmp_path):
    a, b = keras.Input((6, 4)), keras.Input((6, 4))
    dense = keras.layers.Dense(4)
    added = keras.layers.Add()([dense(a), b]) + dense(b)
    theirs = keras.Model([a, b], keras.layers.Flatten()(keras.ops.reshape(added, (-1, 4, 6))))
    theirs.save(tmp_path / "theirs.h5")
    x = list(np.random.default_rng(0).normal(size=(2, 3, 6, 4)).astype("float32"))
    read = isoconv.load_model(tmp_path / "theirs.h5")
    np.testing.assert_allclose(read(x), np.asarray(theirs(x)), rtol=1e-5, atol=1e-6)
    read.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(np.asarray(again(x)), np.asarray(theirs(x)), rtol=1e-5, atol=1e-6)


def test_operations_are_named_as_keras_names_them():
    assert set(operations._MODULE_OF) <= set(FUNCTIONS)
    for name, module in operations._MODULE_OF.items():
        there = getattr(getattr(keras.src.ops, module), operations.class_of(name))
        assert issubclass(there, keras.Operation), name
    left = [name for name in set(FUNCTIONS) - set(operations._MODULE_OF) if hasattr(ops, name)]
    assert sorted(left) == ["eye", "ones", "zeros"]  # which take no array


def test_options_that_only_keras_has_are_refused(tmp_path):
    x = keras.Input((4,))
    keras.Model(x, keras.ops.max(x, axis=1, initial=2.0)).save(tmp_path / "m.keras")
    with pytest.raises(FileError, match=r"max.*: initial: expected Keras' default; got 2.0"):
        isoconv.load_model(tmp_path / "m.keras")


def masked(library):
    a, b = (library.Input((6,), dtype="int32", name=name) for name in "ab")
    x, y = (library.layers.Embedding(5, 3, mask_zero=True)(each) for each in (a, b))
    joined = library.layers.Concatenate()([x, y])
    pooled = library.layers.GlobalAveragePooling1D()(library.layers.Add()([joined, joined]))
    return library.Model([a, b], library.layers.Dense(2)(pooled))


READ = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x = [np.array([[1, 2, 0, 3, 0, 0]]), np.array([[1, 0, 0, 3, 4, 0]])]
np.save(sys.argv[2], np.asarray(model(x)))
"""


def test_masks_that_are_concatenated_cross_both_ways(tmp_path):
    """Keras draws the masks anew, in a process where no name was given yet."""
    x = [np.array([[1, 2, 0, 3, 0, 0]]), np.array([[1, 0, 0, 3, 4, 0]])]
    ours = masked(isoconv)
    ours.save(tmp_path / "ours.keras")
    command = [sys.executable, "-c", READ, str(tmp_path / "ours.keras"), str(tmp_path / "y.npy")]
    subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), ours(x), rtol=1e-5, atol=1e-6)
    again = isoconv.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(again(x), ours(x))
    again.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(isoconv.load_model(tmp_path / "again.keras")(x), ours(x))
    theirs = masked(keras)
    theirs.save(tmp_path / "theirs.keras")
    read = isoconv.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(read(x), np.asarray(theirs(x)), rtol=1e-5, atol=1e-6)


def test_models_without_concatenated_masks_have_no_steps_for_them():
    x = layers.Input((6,), dtype="int32")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(5, 3, mask_zero=True)(x))
    model = isoconv.Model(x, ops.relu(pooled))
    names = [each["class_name"] for each in model.get_config()["layers"]]
    assert names == ["InputLayer", "Embedding", "GlobalAveragePooling1D", "Relu"]
