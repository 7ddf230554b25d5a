"""Normalization against Keras: values, gradients, moving statistics, masks."""

import keras
import numpy as np
import pytest
from oracle import both, close, compare, numbers, share_weights

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError

BATCH = [
    {},
    {"axis": 1},
    {"center": False, "momentum": 0.5},
    {"scale": False, "epsilon": 0.1},
    {"gamma_regularizer": "l2", "beta_constraint": "non_neg"},
]
LAYER = [
    {},
    {"axis": 1},
    {"axis": [1, 2]},
    {"axis": (-2, -1)},
    {"center": False},
    {"scale": False, "epsilon": 0.1},
]


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    """Keras normalizes in float32 whatever the layer's dtype: here in that of the input."""
    monkeypatch.setattr(keras.src.backend, "result_type", lambda *dtypes: str(dtypes[0]))


@pytest.mark.parametrize("options", BATCH, ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_is_keras(training, options):
    compare("BatchNormalization", numbers(2, 5, 3), training=training, **options)


@pytest.mark.parametrize(("shape", "axis"), [((6, 3), -1), ((1, 2, 17, 3), 1), ((2, 2, 3, 7), 3)])
def test_batch_normalization_of_other_ranks_is_keras(shape, axis):
    compare("BatchNormalization", numbers(*shape), training=True, axis=axis)


def test_a_wrong_formula_is_caught(monkeypatch):
    right = layers.BatchNormalization.normalized

    def wrong(self, inputs, mean, variance, axes):
        return right(self, inputs, mean, variance * 1.001, axes)

    monkeypatch.setattr(layers.BatchNormalization, "normalized", wrong)
    for training in (False, True):
        with pytest.raises(AssertionError):
            compare("BatchNormalization", numbers(6, 3), training=training)


@pytest.mark.parametrize("options", LAYER, ids=str)
def test_layer_normalization_is_keras(options):
    compare("LayerNormalization", numbers(3, 5, 4), **options)


def test_rms_scaling_is_keras():
    with pytest.warns(UserWarning, match="rms_scaling"):
        ours, theirs = both("LayerNormalization", rms_scaling=True)
    x = numbers(3, 5)
    share_weights(ours, theirs, x.shape)
    with pytest.warns(UserWarning, match="rms_scaling"):
        expected = theirs(x)
    close(ours(x), expected, rtol=1e-6)  # Keras' variance is a float32
    assert ours.beta is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [False, True])
def test_moving_statistics_after_several_steps(dtype, masked):
    ours, theirs = both("BatchNormalization", momentum=0.8, dtype=dtype)
    share_weights(ours, theirs, (4, 5, 3))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for step in range(4):
        # Two sizes by turns: the statistics do not depend on what was compiled.
        batch = 4 + step % 2
        x = numbers(batch, 5, 3, seed=step).astype(dtype)
        mask = numbers(batch, 5, seed=step) > 0 if masked else None
        options = {"mask": mask} if masked else {}
        actual = ours(x, training=True, **options)
        close(actual, theirs(x, training=True, **options), rtol=tolerance)
        assert actual.dtype == dtype
    for mine, his in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(mine, his, rtol=tolerance)
    close(ours(x), theirs(x), rtol=tolerance)


def test_masked_steps_do_not_count():
    x = numbers(2, 6, 3)
    mask = np.array([[True] * 4 + [False] * 2] * 2)
    spoiled = np.where(mask[..., None], x, 1e6)
    first, second = (layers.BatchNormalization(momentum=0.0, dtype="float64") for _ in range(2))
    first(x[:, :4], training=True)
    second(spoiled, training=True, mask=mask)
    close(second.moving_mean, first.moving_mean, rtol=1e-6)
    close(second.moving_variance, first.moving_variance, rtol=1e-6)


def test_mask_of_channels_first_convolutions():
    x, mask = numbers(2, 3, 6), numbers(2, 6) > 0
    last, first = (layers.BatchNormalization(axis, dtype="float64") for axis in (-1, 1))
    expected = last(x.transpose(0, 2, 1), training=True, mask=mask)
    close(first(x, training=True, mask=mask), expected.transpose(0, 2, 1))


def test_frozen_layer_infers_also_in_training():
    layer = layers.BatchNormalization()
    x = numbers(8, 3).astype("float32")
    inferred = layer(x)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), inferred)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))
    layer.trainable = True
    assert (layer(x, training=True) != inferred).any()
    assert (layer.moving_mean.numpy() != 0).all()


def test_gradient_does_not_move_the_statistics():
    layer = layers.BatchNormalization(dtype="float64")
    x = numbers(8, 3)
    y, pullback = isoconv.vjp(layer, x, training=True)
    once = layer.get_weights()
    pullback(y)
    for now, then in zip(layer.get_weights(), once, strict=True):
        np.testing.assert_array_equal(now, then)
    assert layer.moving_mean.version == 1


def test_statistics_move_inside_models():
    inputs = isoconv.Input((None, 3))
    norm = layers.BatchNormalization(momentum=0.5)
    model = isoconv.Model(inputs, norm(inputs))
    x = numbers(4, 7, 3).astype("float32")
    model(x, training=True)
    close(norm.moving_mean, 0.5 * x.mean((0, 1)), rtol=1e-5)
    model(x)
    assert norm.moving_mean.version == 1
    assert [weight.name for weight in norm.weights] == [
        *("gamma", "beta", "moving_mean", "moving_variance")
    ]
    assert len(norm.trainable_weights) == 2


def test_new_sizes_compile_nothing(compilations):
    batch, layer = layers.BatchNormalization(), layers.LayerNormalization()
    for shape in [(2, 5, 3), (4, 5, 3), (4, 9, 3), (1, 1, 3)]:
        batch(np.ones(shape), training=True)
        layer(np.ones(shape))
        counted = compilations()
    assert counted == 2


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization"])
def test_wrong_shapes_and_axes(name):
    make = getattr(layers, name)
    with pytest.raises(ShapeError, match=f"{name} .*: input"):
        make().build((None, 4, None))
    with pytest.raises(ArgumentError, match=f"{name} .*axis"):
        make(axis=3).build((None, 4, 2))
    layer = make()
    layer(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=rf"{name} .*\(3,\).* as built"):
        layer(np.ones((2, 4)))


@pytest.mark.parametrize(
    "options",
    [{"axis": "1"}, {"axis": [1]}, {"epsilon": -1}, {"momentum": None}, {"renorm": True}],
    ids=str,
)
def test_wrong_argument(options):
    (name,) = options
    with pytest.raises(ArgumentError, match=rf"BatchNormalization '.*': {name}"):
        layers.BatchNormalization(**options)


def test_mask_of_wrong_rank():
    with pytest.raises(ShapeError, match="mask"):
        layers.BatchNormalization()(np.ones((2, 5, 3)), training=True, mask=np.ones((2,), bool))
