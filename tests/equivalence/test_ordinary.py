"""Pairs of ordinary sizes: what they are to each other, and that a difference is shown."""

import numpy as np
import pytest
from ordinary import CHAINS, LAYERS

import isoconv
from isoconv import equivalent, spec


def decide(a, b, shape):
    return equivalent(a, b, *(shape if isinstance(shape, list) else [shape]))


@pytest.mark.parametrize(("a", "b", "shape", "relation"), [*LAYERS, *CHAINS])
def test_the_relation_is_found(a, b, shape, relation):
    found = decide(a, b, shape)
    assert found.relation == relation, found
    if relation == "different":
        example = found.counterexample
        assert np.shape(example.a) != np.shape(example.b) or np.any(example.a != example.b)


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        ("SeparableConv1D(64, 3)", "Conv1D(64, 3)", (100, 32)),
        ("Conv2D(32, 3) > Conv2D(64, 3)", "Conv2D(64, 5)", (14, 14, 16)),
        ("Dense(5) > Dense(10)", "Dense(10)", (100,)),
        ("Dense(2) > Dense(3)", "Dense(3)", (4,)),
    ],
)
def test_fewer_directions_are_shown_by_weights_that_cannot_be_fitted(a, b, shape):
    example = equivalent(a, b, shape).counterexample
    assert "independent directions" in example.why
    assert example.side == "b"
    gap = np.abs(np.asarray(example.a) - np.asarray(example.b)).max()
    assert gap > 1e-3 * np.abs(example.b).max()


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Conv1D(4, 3, padding='same')", 40),
        ("SeparableConv1D(4, 3, padding='causal')", 40),
        ("AveragePooling1D(2)", 10),
        ("Conv1D(4, 3) > Conv1D(2, 3, dilation_rate=2)", 8),
    ],
)
def test_what_is_linear_is_within_a_dense_on_everything(text, units):
    shape, rng = (10, 2), np.random.default_rng(0)
    models = [
        isoconv.Sequential([isoconv.Input(shape), *spec.layers(each)])
        for each in (text, f"Flatten() > Dense({units})")
    ]
    models[0].set_weights([rng.normal(size=w.shape) for w in models[0].get_weights()])
    found = equivalent(*models)
    assert found.relation == "a_within_b"
    assert "decided exactly" in found.proof
    models[1].set_weights(found.weight_map(models[0].get_weights()))
    x = rng.normal(size=(3, *shape)).astype("float32")
    a, b = (model.predict_on_batch(x).reshape(3, -1) for model in models)
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())
