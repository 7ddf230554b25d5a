"""The derivative of a derivative of every smooth layer, by its input and by its weights."""

import inspect

import numpy as np
import pytest

import isoconv
from isoconv import layers, ops

# How to make a layer, and the shape of one sample: of a line, in layers of each rank.
OF_EACH_RANK = {
    "Conv{}D": (lambda make: make(4, 3, padding="same"), (5, 2)),
    "Conv{}DTranspose": (lambda make: make(4, 3, strides=2), (3, 2)),
    "DepthwiseConv{}D": (lambda make: make(3, depth_multiplier=2), (5, 2)),
    "SeparableConv{}D": (lambda make: make(4, 3, depth_multiplier=2), (5, 2)),
    "AveragePooling{}D": (lambda make: make(2, padding="same"), (5, 2)),
    "AdaptiveAveragePooling{}D": (lambda make: make(3), (5, 2)),
    "GlobalAveragePooling{}D": (lambda make: make(), (4, 2)),
    "LpPooling{}D": (lambda make: make(2), (4, 2)),
    "UpSampling{}D": (lambda make: make(2), (3, 2)),
    "NearestResizing{}D": (lambda make: make(5), (3, 2)),
    "ZeroPadding{}D": (lambda make: make(2), (3, 2)),
    "Cropping{}D": (lambda make: make(1), (4, 2)),
    "Padding{}D": (lambda make: make(2, mode="reflect"), (4, 2)),
    "SpatialDropout{}D": (lambda make: make(0.5), (3, 2)),
}
SMOOTH = {
    "Activation": (lambda make: make("gelu"), (5, 3)),
    "ActivityRegularization": (lambda make: make(l2=0.1), (5, 3)),
    "Add": (lambda make: merging(make()), (5, 3)),
    "AlphaDropout": (lambda make: make(0.5), (5, 3)),
    "Average": (lambda make: merging(make()), (5, 3)),
    "BatchNormalization": (lambda make: make(), (5, 3)),
    "BatchToSpace": (lambda make: make((1,), (5,)), (5, 3)),
    "Concatenate": (lambda make: merging(make()), (5, 3)),
    "Dense": (lambda make: make(4, activation="softplus"), (5, 3)),
    "Dot": (lambda make: merging(make(-1, normalize=True)), (5, 3)),
    "Dropout": (lambda make: make(0.5), (5, 3)),
    "ELU": (lambda make: make(), (5, 3)),
    "Flatten": (lambda make: make(), (5, 3)),
    "GaussianDropout": (lambda make: make(0.5), (5, 3)),
    "GaussianNoise": (lambda make: make(0.5), (5, 3)),
    "GroupNormalization": (lambda make: make(2), (5, 4)),
    "Identity": (lambda make: make(), (5, 3)),
    "Lambda": (lambda make: make(ops.tanh), (5, 3)),
    "LayerNormalization": (lambda make: make(), (5, 3)),
    "Multiply": (lambda make: merging(make()), (5, 3)),
    "Patches": (lambda make: make((3,), (1,), (1,)), (5, 3)),
    "Permute": (lambda make: make((2, 1)), (5, 3)),
    "RepeatVector": (lambda make: make(3), (5,)),
    "Rescaling": (lambda make: make(2.0, 1.0), (5, 3)),
    "Reshape": (lambda make: make((3, 5)), (5, 3)),
    "Slice": (lambda make: make((1, 0), (3, -1)), (5, 3)),
    "Softmax": (lambda make: make(), (5, 3)),
    "SpaceToBatch": (lambda make: make((2,)), (5, 3)),
    "Subtract": (lambda make: merging(make()), (5, 3)),
    "TimeDistributed": (lambda make: make(layers.Dense(4, dtype="float64")), (5, 3)),
    "WithSizes": (lambda make: make("reshape", {"newshape": [{"size": "x0_0"}, 15]}), (5, 3)),
    "ZeroStuffing": (lambda make: make((2,)), (5, 3)),
}
for rank in (1, 2, 3):
    for kind, (make, (length, channels)) in OF_EACH_RANK.items():
        SMOOTH[kind.format(rank)] = make, ((length,) * rank + (channels,))
# Their slopes jump, or they read integers, or they compute nothing.
OTHERS = {"Embedding", "InputLayer", "LeakyReLU", "Masking", "Maximum", "Minimum", "PReLU"}
OTHERS |= {"Layer", "Parameter", "ReLU", "TextVectorization"}
POOLINGS = ("MaxPooling", "AdaptiveMaxPooling", "GlobalMaxPooling")
OTHERS |= {f"{kind}{rank}D" for kind in POOLINGS for rank in (1, 2, 3)}
STEP = 1e-5


def merging(layer):
    """A layer of two inputs as one of one."""

    class Merging(layers.Layer):
        def build(self, shape):
            layer.build([shape, shape])
            super().build(shape)

        def call(self, inputs):
            return layer([inputs, ops.sin(inputs)])

    return Merging(dtype="float64")


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_every_class_of_layers_is_told_smooth_or_not():
    found = {each.__name__ for _, each in inspect.getmembers(layers, inspect.isclass)}
    assert found == set(SMOOTH) | OTHERS


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_are_the_differences_of_first_ones(name):
    make, shape = SMOOTH[name]
    isoconv.utils.set_random_seed(0)
    layer = make(lambda *args, **options: getattr(layers, name)(*args, **options, dtype="float64"))
    x = drawn(2, *shape)
    y = layer(x)
    u, v, dy = drawn(*x.shape), drawn(*x.shape)[::-1].copy(), drawn(*y.shape)

    def slope(place):
        """The derivative of a function that bends, along u."""
        _, pullback = isoconv.vjp(lambda z: ops.sin(layer(z)), place)
        return ops.sum(pullback(ops.convert_to_tensor(dy))[0] * u)

    (second,) = isoconv.vjp(slope, x)[1](np.ones(()))
    along = [float(slope(x + sign * STEP * v)) for sign in (1, -1)]
    assert np.sum(second * v) == pytest.approx((along[0] - along[1]) / (2 * STEP), 1e-5, 1e-6)

    weights = layer.trainable_weights
    if weights:
        _, found = isoconv.value_and_grad(lambda: slope(x), weights)()
        change = [drawn(*weight.shape) for weight in weights]
        along = []
        for sign in (1, -1):
            before = [weight.numpy() for weight in weights]
            for weight, value, more in zip(weights, before, change, strict=True):
                weight.assign(value + sign * STEP * more)
            along.append(float(slope(x)))
            for weight, value in zip(weights, before, strict=True):
                weight.assign(value)
        total = sum(np.sum(a * b) for a, b in zip(found, change, strict=True))
        assert total == pytest.approx((along[0] - along[1]) / (2 * STEP), 1e-5, 1e-6)
