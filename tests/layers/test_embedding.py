"""Embedding: rows by number, their gradients, masks, and numbers outside the table."""

import keras
import numpy as np
import pytest
from oracle import both, close, compare_config, numbers, share_weights

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, RuntimeCheckError, ShapeError

ROWS = np.array([[1, 4, 0], [2, 2, 3]])


@pytest.mark.parametrize("options", [{}, {"mask_zero": True, "embeddings_regularizer": "l2"}])
def test_embedding_is_keras(options):
    ours, theirs = both("Embedding", 5, 3, **options)
    share_weights(ours, theirs, ROWS.shape)
    y, pullback = isoconv.vjp(ours, ROWS)
    np.testing.assert_array_equal(y, theirs(ROWS))
    flow = numbers(*y.shape)
    by_input, (by_table,) = pullback(flow)
    assert by_input is None
    expected = np.zeros((5, 3))
    np.add.at(expected, ROWS, flow)
    close(by_table, expected)
    assert ours.compute_output_shape((None, 7)) == theirs.compute_output_shape((None, 7))
    compare_config(ours, theirs, ROWS)
    keras.layers.Embedding.from_config(ours.get_config())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32", "float64"])
def test_every_kind_of_number(dtype):
    layer = layers.Embedding(5, 3)
    y = layer(ROWS.astype(dtype))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, layer.embeddings.numpy()[ROWS])


def test_large_numbers_are_not_rounded():
    layer = layers.Embedding(2**24 + 3, 1, "zeros")
    layer(np.zeros((1, 1), int))
    layer.embeddings.assign(np.arange(2**24 + 3, dtype="float32")[:, None])
    rows = np.array([[2**24 - 1, 2**24 + 2]])
    expected = layer.embeddings.numpy()[rows]
    np.testing.assert_array_equal(layer(rows), expected)
    np.testing.assert_array_equal(isoconv.Sequential([layer])(rows), expected)


def test_new_batches_and_lengths_compile_nothing(compilations):
    layer = layers.Embedding(5, 3)
    for shape in [(2, 3), (4, 7), (1, 1), (0, 3)]:
        assert layer(np.zeros(shape, int)).shape == (*shape, 3)
    assert compilations() == 1


@pytest.mark.parametrize("wrong", [5, -1, 2**31, -(2**31)])
def test_number_outside_the_table(wrong):
    layer = layers.Embedding(5, 3, name="words")
    inputs = isoconv.Input((None,), dtype="int64")
    model = isoconv.Model(inputs, layers.Dense(2)(layer(inputs)))
    rows = np.ones((4, 9), "int64")
    before = model(rows)
    rows[2, 7] = wrong
    for call in (layer, model, model.predict):
        with pytest.raises(RuntimeCheckError, match=r"words.*integers from 0 to 4"):
            call(rows)
    rows[2, 7] = 1
    np.testing.assert_array_equal(model(rows), before)


def test_zero_marks_absent_steps():
    inputs = isoconv.Input((None,), dtype="int32")
    norm = layers.BatchNormalization(momentum=0.0)
    embedding = layers.Embedding(5, 3, mask_zero=True)
    model = isoconv.Model(inputs, norm(embedding(inputs)))
    model(ROWS, training=True)
    table = embedding.embeddings.numpy()
    close(norm.moving_mean, table[ROWS[ROWS != 0]].mean(0), rtol=1e-6)


def test_given_values():
    table = numbers(5, 3).astype("float32")
    for weights in (table, [table]):
        layer = layers.Embedding(5, 3, weights=weights)
        np.testing.assert_array_equal(layer(ROWS), table[ROWS])
    with pytest.raises(ShapeError, match="Embedding"):
        layers.Embedding(5, 2, weights=table)


@pytest.mark.parametrize("options", [{"input_dim": 0}, {"output_dim": -1}, {"input_dim": 2.0}])
def test_wrong_argument(options):
    (name,) = options
    with pytest.raises(ArgumentError, match=rf"Embedding '.*': {name}"):
        layers.Embedding(**{"input_dim": 5, "output_dim": 3} | options)
