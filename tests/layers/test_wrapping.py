"""Masking, Identity, TimeDistributed and Lambda."""

import keras
import numpy as np
import pytest
from oracle import close, compare, compare_built, numbers, share_weights

import isoconv
from isoconv import layers, ops
from isoconv.errors import ArgumentError, ShapeError


@isoconv.register_keras_serializable("tests")
def scaled(x, factor=2.0):
    return x * factor


@pytest.mark.parametrize("options", [{}, {"mask_value": -1.5}])
def test_masking_is_keras(options):
    x = numbers(3, 5, 4)
    x[0, 1] = x[2, 4] = options.get("mask_value", 0.0)
    x[1, 2, 0] = 0.0
    compare("Masking", x, **options)
    mask = layers.Masking(**options).compute_mask(x)
    np.testing.assert_array_equal(mask, keras.layers.Masking(**options).compute_mask(x))


def test_identity_keeps_values_and_masks():
    compare("Identity", numbers(2, 3))
    x = numbers(2, 3, 2)
    x[:, 1] = 0
    inputs = isoconv.Input((3, 2))
    norm = layers.BatchNormalization(momentum=0.0)
    model = isoconv.Model(inputs, norm(layers.Identity()(layers.Masking()(inputs))))
    model(x, training=True)
    close(norm.moving_mean, x[:, ::2].mean((0, 1)), rtol=1e-6)


INNER = [
    ("Dense", (4,), {"activation": "relu"}, (2, 5, 3)),
    ("Conv1D", (4, 2), {"padding": "same"}, (2, 3, 6, 2)),
    ("LayerNormalization", (), {"epsilon": 0.1}, (2, 5, 3)),
    ("Softmax", (), {}, (2, 1, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), INNER, ids=str)
def test_time_distributed_is_keras(name, args, options, shape, monkeypatch):
    monkeypatch.setattr(keras.src.backend, "result_type", lambda *dtypes: str(dtypes[0]))
    ours, theirs = (
        kit.layers.TimeDistributed(
            getattr(kit.layers, name)(*args, dtype="float64", **options), dtype="float64"
        )
        for kit in (isoconv, keras)
    )
    share_weights(ours, theirs, shape)
    compare_built(ours, theirs, numbers(*shape))
    batchless = (None, *shape[1:])
    assert ours.compute_output_shape(batchless) == theirs.compute_output_shape(batchless)
    again = keras.layers.TimeDistributed.from_config(ours.get_config())
    restored = layers.TimeDistributed.from_config(again.get_config())
    assert type(restored.layer) is type(ours.layer)
    assert [w.shape for w in ours.trainable_weights] == [w.shape for w in theirs.trainable_weights]


def test_time_distributed_of_unknown_length(compilations):
    inputs = isoconv.Input((None, 3))
    model = isoconv.Model(inputs, layers.TimeDistributed(layers.Dense(2))(inputs))
    assert model.output_shape == (None, None, 2)
    for shape in [(2, 4), (3, 9), (1, 1)]:
        assert model(np.ones((*shape, 3))).shape == (*shape, 2)
    assert compilations() == 1


def test_time_distributed_of_a_model():
    inner = isoconv.Sequential([layers.Dense(4, input_shape=(3,)), layers.Dropout(0.5)])
    layer = layers.TimeDistributed(inner)
    x = numbers(2, 5, 3).astype("float32")
    y = layer(x)
    np.testing.assert_allclose(y[:, 2], inner(x[:, 2]), rtol=1e-6)
    assert (layer(x, training=True) == 0).any()
    assert len(layer.trainable_weights) == 2


def test_time_distributed_hands_masks_to_each_step():
    class Counting(layers.Layer):
        def call(self, x, mask=None):
            return ops.cast(mask, "float32")[:, None] + x * 0

    mask = np.array([[True, False, True], [False, True, True]])
    y = layers.TimeDistributed(Counting())(np.ones((2, 3, 1)), mask=mask)
    np.testing.assert_array_equal(y[..., 0], mask)


def test_time_distributed_needs_a_layer_and_steps():
    with pytest.raises(ArgumentError, match=r"TimeDistributed .*: layer"):
        layers.TimeDistributed(np.tanh)
    with pytest.raises(ShapeError, match=r"TimeDistributed .*: input: expected \(batch, steps"):
        layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3)))


def test_lambda_computes_its_function():
    x = numbers(2, 3)
    layer = layers.Lambda(lambda x, b: ops.tanh(x) + b, arguments={"b": 1.0}, dtype="float64")
    y, pullback = isoconv.vjp(layer, x)
    close(y, np.tanh(x) + 1)
    close(pullback(np.ones_like(y))[0], 1 - np.tanh(x) ** 2)
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    assert layers.Lambda(scaled, output_shape=(7,)).compute_output_shape((None, 3)) == (None, 7)
    shaped = layers.Lambda(scaled, output_shape=lambda shape: shape[:1])
    assert shaped.compute_output_shape((None, 3)) == (None,)


def test_lambda_of_several_inputs_and_of_training():
    joined = layers.Lambda(lambda xs: xs[0] * xs[1])
    np.testing.assert_array_equal(joined([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]), [[6, 6]])
    trained = layers.Lambda(lambda x, training: x + 1 if training else x)
    assert trained(np.zeros((1,)), training=True) == 1
    assert trained(np.zeros((1,))) == 0


@pytest.mark.parametrize(
    "function",
    [scaled, ops.tanh, ops.add, isoconv.activations.mish],
    ids=["registered", "operation", "of two", "activation"],
)
def test_lambda_of_a_named_function_is_read_back(function):
    layer = layers.Lambda(function, name="named")
    again = layers.Lambda.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.function is function


def test_lambda_neither_writes_nor_reads_code():
    with pytest.raises(ArgumentError, match=r"Lambda .*: function.*not saved.*register"):
        layers.Lambda(lambda x: x).get_config()
    theirs = keras.layers.Lambda(lambda x: x, name="theirs").get_config()
    with pytest.raises(ArgumentError, match=r"Lambda 'theirs': function.*never run"):
        layers.Lambda.from_config(theirs)
    unknown = layers.Lambda(numbers).get_config()
    with pytest.raises(ArgumentError, match="register"):
        layers.Lambda.from_config(unknown)
    with pytest.raises(ArgumentError, match=r"Lambda .*: function"):
        layers.Lambda(3)
