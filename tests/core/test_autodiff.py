"""vjp and value_and_grad: against JAX, of each other, and through models."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import layers, ops
from isoconv.errors import ArgumentError, ShapeError


def test_function_of_several_arguments():
    x, y = numbers(3, 4), numbers(4)
    value, pullback = isoconv.vjp(lambda a, b: ops.tanh(a * b), x, y)
    expected, pull = jax.vjp(lambda a, b: jnp.tanh(a * b), x, y)
    close(value, expected)
    for mine, his in zip(pullback(np.ones((3, 4))), pull(np.ones((3, 4))), strict=True):
        close(mine, his)


def test_equal_arguments_stay_apart():
    x = numbers(3)
    assert [d.tolist() for d in isoconv.vjp(ops.multiply, x, x)[1](np.ones(3))] == [x.tolist()] * 2

    def inside(a):
        _, pullback = isoconv.vjp(lambda b, c: b * b * c, a, ops.exp(a))
        return pullback(ops.ones_like(a))[0]

    close(isoconv.vjp(inside, x)[0], 2 * x * np.exp(x))


def test_second_order():
    x = numbers(5)

    def slope(a):
        return isoconv.vjp(lambda b: ops.sum(ops.sin(b) * b), a)[1](ops.ones((), "float64"))[0]

    _, pullback = isoconv.vjp(slope, x)
    close(pullback(np.ones(5))[0], 2 * np.cos(x) - x * np.sin(x))


def test_third_order():
    x = np.array(0.7)

    def derive(f):
        return lambda a: isoconv.vjp(f, a)[1](ops.ones((), "float64"))[0]

    third = derive(derive(derive(lambda a: a * a * a * a)))
    close(isoconv.vjp(third, x)[0], 24 * 0.7)


def test_a_pullback_is_a_function_too():
    layer = layers.Dense(3, dtype="float64", use_bias=False)
    x, dy, ddx = numbers(2, 4), numbers(2, 3), numbers(2, 4, seed=1)
    _, pullback = isoconv.vjp(layer, x)
    (dx, (dw,)), again = isoconv.vjp(pullback, dy)
    w = layer.kernel.numpy()
    close(dx, dy @ w.T)
    close(dw, x.T @ dy)
    close(again((ddx, [np.zeros_like(w)]))[0], ddx @ w)


@pytest.mark.parametrize(
    "layer",
    [layers.Dropout(0.5, dtype="float64"), layers.GaussianNoise(1.0, dtype="float64")],
    ids=lambda layer: layer.name,
)
def test_differentiating_a_pullback_draws_no_new_random_numbers(layer):
    def squared(x):
        return ops.square(layer(x))

    x, dy, ddx = numbers(64), numbers(64, seed=1), numbers(64, seed=2)
    y, pullback = isoconv.vjp(squared, x, training=True)
    (dx,), again = isoconv.vjp(pullback, dy)
    state = layer.seed_generator.state.numpy()
    close(dx, pullback(dy)[0])
    close(again((ddx,))[0], dx * ddx / dy)
    assert layer.seed_generator.state.numpy() == state
    other, _ = isoconv.vjp(squared, x, training=True)
    assert not np.array_equal(other, y)


def test_integers_have_no_gradient():
    table = numbers(5, 2)
    _, pullback = isoconv.vjp(lambda t, rows: ops.take(t, rows, axis=0), table, np.array([1, 1, 4]))
    dt, drows = pullback(np.ones((3, 2)))
    np.testing.assert_array_equal(dt[:, 0], [0, 2, 0, 0, 1])
    assert drows is None


def test_new_sizes_compile_nothing(compilations):
    layer = layers.Conv1D(4, 3, padding="same", dtype="float64")

    def both(batch, length):
        y, pullback = isoconv.vjp(layer, numbers(batch, length, 2))
        dx, _ = pullback(np.ones_like(y))
        assert dx.shape == (batch, length, 2)

    both(2, 5)
    before = compilations()
    both(3, 8)
    both(1, 1)
    assert compilations() == before


def test_frozen_weights_have_no_gradient():
    model = isoconv.Sequential([layers.Dense(2), layers.Dense(2)])
    x = numbers(3, 2)
    assert len(isoconv.vjp(model, x)[1](np.ones((3, 2)))[1]) == 4
    model.layers[0].trainable = False
    assert len(isoconv.vjp(model, x)[1](np.ones((3, 2)))[1]) == 2


def test_value_and_grad(compilations):
    model = isoconv.Sequential([layers.Dense(5, "sigmoid", dtype="float64"),
                                layers.Dense(1, dtype="float64")])  # fmt: skip
    x, t = numbers(6, 3), numbers(6, 1)
    model(x)
    step = isoconv.value_and_grad(
        lambda x, t: ops.mean(ops.square(model(x, training=True) - t)), model.trainable_weights
    )
    loss, slopes = step(x, t)

    def by_jax(weights):
        hidden = jax.nn.sigmoid(x @ weights[0] + weights[1])
        return jnp.mean((hidden @ weights[2] + weights[3] - t) ** 2)

    expected, theirs = jax.value_and_grad(by_jax)(model.get_weights())
    close(loss, expected)
    for mine, his in zip(slopes, theirs, strict=True):
        close(mine, his)
    before = compilations()
    step(x[:4], t[:4])
    assert compilations() == before
    # Weights are read anew at each call.
    model.set_weights([w * 0 for w in model.get_weights()])
    close(step(x, t)[0], (t**2).mean())


def test_training_by_hand():
    model = isoconv.Sequential([layers.Dense(1, dtype="float64")])
    x = numbers(64, 3)
    t = x @ np.array([[1.0], [-2.0], [3.0]]) + 0.5
    model(x)
    step = isoconv.value_and_grad(lambda x, t: ops.mean(ops.square(model(x) - t)), model.weights)
    for _ in range(200):
        _, slopes = step(x, t)
        for weight, slope in zip(model.weights, slopes, strict=True):
            weight.assign_sub(0.2 * slope)
    close(model.get_weights()[0].ravel(), [1, -2, 3], 1e-6)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: isoconv.value_and_grad(lambda x: x, [])(numbers(3)), ShapeError),
        (lambda: isoconv.value_and_grad(lambda x: x, [numbers(3)]), ArgumentError),
        (lambda: isoconv.vjp(ops.exp, numbers(3))[1](numbers(4)), ShapeError),
        (lambda: isoconv.vjp(ops.exp, numbers(3))[1]([numbers(3)] * 2), ArgumentError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call()
