"""Training with memory="low": the same bits in less memory; what is computed again, and when."""

from __future__ import annotations

import numpy as np
import pytest

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError

RNG = np.random.default_rng(4)
X = RNG.normal(size=(8, 64, 8)).astype("float32")
Y = RNG.integers(3, size=8)


def plain(x, _):
    return layers.Conv1D(8, 3, padding="same", activation="relu")(x)


def normalized(x, _):
    x = layers.Conv1D(8, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def residual(x, number):
    inner = layers.Conv1D(8, 3, padding="same", activation="tanh")(x)
    return layers.Add()([x, inner])


def dropped(x, _):
    return layers.Dropout(0.2)(layers.Conv1D(8, 3, padding="same", activation="gelu")(x))


def separable(x, _):
    return layers.SeparableConv1D(8, 3, padding="same", activation="relu")(x)


def network(block, memory, depth=16):
    isoconv.utils.set_random_seed(0)
    start = x = isoconv.Input((None, 8))
    for number in range(depth):
        x = block(x, number)
        if number == depth // 2:
            x = layers.MaxPooling1D(2)(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling1D()(x))
    model = isoconv.Model(start, x)
    loss = isoconv.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, memory=memory)
    return model


@pytest.mark.parametrize("block", [plain, normalized, residual, dropped, separable])
def test_the_same_bits_in_less_memory(block):
    default, low = (network(block, memory) for memory in ("default", "low"))
    for model in (default, low):
        for _ in range(2):
            model.train_on_batch(X, Y)
    assert low.step_bytes < 0.75 * default.step_bytes
    for one, other in zip(default.variables, low.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_memory_grows_with_the_root_of_the_depth():
    def peak(depth):
        model = network(plain, "low", depth)
        model.train_on_batch(X, Y)
        return model.step_bytes

    assert network(plain, "low").step_bytes == 0
    assert peak(36) < 2.5 * peak(9)


def test_each_gradient_is_used_before_the_next_layer_is_reached():
    """What the way back holds is not every layer's gradient."""
    model = network(plain, "default")
    model.train_on_batch(X, Y)
    output = X.shape[0] * X.shape[1] * 8 * 4
    assert model.step_bytes < 16 * output * 1.25


def test_bad_memory():
    with pytest.raises(ArgumentError, match="memory: expected 'default' or 'low'; got 'none'"):
        network(plain, "none")
