"""Layers against Keras on JAX: outputs, gradients, shapes, weights and configurations."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

import isoconv


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal float64 numbers that depend on shape and seed alone."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def both(name: str, *args: Any, dtype: str = "float64", **kwargs: Any) -> tuple[Any, Any]:
    """Our layer and Keras' of this name and these arguments."""
    ours = getattr(isoconv.layers, name)(*args, dtype=dtype, **kwargs)
    return ours, getattr(keras.layers, name)(*args, dtype=dtype, **kwargs)


def share_weights(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    """Builds both and gives them the same random weights, also where they start at 0."""
    ours.build(shape)
    theirs.build(shape)
    shapes = [weight.shape for weight in ours.get_weights()]
    assert shapes == [weight.shape for weight in theirs.get_weights()]
    values = [0.5 + 0.1 * numbers(*each, seed=i + 1) for i, each in enumerate(shapes)]
    ours.set_weights(values)
    theirs.set_weights(values)


def compare(name: str, x: np.ndarray, *args: Any, training: bool = False, **kwargs: Any) -> None:
    """Asserts that our layer is Keras': outputs, gradients by input and weights, shape, config."""
    ours, theirs = both(name, *args, **kwargs)
    share_weights(ours, theirs, x.shape)
    compare_built(ours, theirs, x, training)
    batchless = (None, *x.shape[1:])
    assert tuple(ours.compute_output_shape(batchless)) == tuple(
        theirs.compute_output_shape(batchless)
    )
    compare_config(ours, theirs, x)


def compare_built(ours: Any, theirs: Any, x: np.ndarray, training: bool = False) -> None:
    """Asserts equal outputs and gradients of two layers or models with the same weights."""
    trainable = [variable.value for variable in theirs.trainable_variables]
    fixed = [variable.value for variable in theirs.non_trainable_variables]

    # Keras refuses the word where a layer has no use for it.
    options = {"training": True} if training else {}

    def pure(weights: Any, data: Any) -> Any:
        return theirs.stateless_call(weights, fixed, data, **options)[0]

    def with_gradients(weights: Any, data: Any, cotangent: Any) -> Any:
        expected, pull = jax.vjp(pure, weights, data)
        return expected, *pull(cotangent)

    # Compiled at once: each operation by itself would be compiled as well, for each shape.
    shape = jax.eval_shape(pure, trainable, x).shape
    cotangent = numbers(*shape, seed=9)
    expected, by_weights, by_input = jax.jit(with_gradients)(trainable, x, cotangent)
    actual, pullback = isoconv.vjp(ours, x, training=training)
    close(actual, expected)
    dx, dweights = pullback(cotangent)
    close(dx, by_input)
    assert len(dweights) == len(by_weights)
    for mine, his in zip(dweights, by_weights, strict=True):
        close(mine, his)


def compare_config(ours: Any, theirs: Any, x: np.ndarray) -> None:
    """Asserts that the config has Keras' keys, and makes the same layer again."""
    config = ours.get_config()
    missing = set(theirs.get_config()) - set(config) - {"quantization_config"}
    assert not missing
    again = type(ours).from_config(config)
    assert again.get_config() == config
    again.build(x.shape)
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(x), ours(x))


def close(actual: Any, expected: Any, rtol: float = 1e-11) -> None:
    """Asserts equal shapes, and values equal up to the rounding of float64 sums."""
    expected = np.asarray(expected)
    assert np.shape(actual) == expected.shape
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)
