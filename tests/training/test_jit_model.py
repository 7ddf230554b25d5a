"""jit: the bits of a call, live weights, outputs in place, threads, errors."""

from __future__ import annotations

import numpy as np
import pytest

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError
from isoconv.ops import compiled
from isoconv.runtime import jit

X = np.random.default_rng(0).normal(size=(9, 12, 3)).astype("float32")


def network():
    return isoconv.Sequential(
        [
            isoconv.Input((None, 3)),
            layers.Conv1D(5, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def test_it_gives_the_bits_of_a_call_and_of_predict():
    model = network()
    for threads in (None, 1, 2):
        run = isoconv.jit(model, threads=threads)
        np.testing.assert_array_equal(run(X), model(X))
        np.testing.assert_array_equal(run(X), model.predict(X))
    np.testing.assert_array_equal(isoconv.jit(model, rewrite=False)(X), model(X))


def test_new_sizes_compile_nothing():
    run = isoconv.jit(network())
    run(X)
    before = jit.compilations()
    assert run(X[:1, :7]).shape == (1, 2)
    assert run(X[:0]).shape == (0, 2)
    assert jit.compilations() == before


def test_compiling_a_model_traces_no_other_anew(monkeypatch):
    traced, trace, model = [], compiled.trace, network()
    monkeypatch.setattr(compiled, "trace", lambda *args: traced.append(args) or trace(*args))
    before = model.predict(X)
    count = len(traced)
    network().compile("sgd", "mse")
    np.testing.assert_array_equal(model.predict(X), before)
    assert count > 0
    assert len(traced) == count


def test_weights_are_live():
    model = network()
    run = isoconv.jit(model)
    before = run(X)
    model.layers[-1].bias.assign([3.0, -3.0])
    assert not np.array_equal(run(X), before)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, np.zeros(9, int))
    np.testing.assert_array_equal(run(X), model(X))


def test_outputs_are_written_in_place():
    model = network()
    run = isoconv.jit(model)
    place = np.full((9, 2), np.nan, "float32")
    assert run(X, out=place) is place
    np.testing.assert_array_equal(place, model(X))
    for wrong in (np.empty((8, 2), "float32"), np.empty((9, 2)), place[:, ::-1]):
        with pytest.raises(ShapeError, match="out 0: expected a writable"):
            run(X, out=wrong)
    with pytest.raises(ArgumentError, match="1 arrays, one an output"):
        run(X, out=[place, place])


def test_several_inputs_and_outputs():
    a, b = isoconv.Input((3,)), isoconv.Input((2,))
    joined = layers.Concatenate()([a, b])
    model = isoconv.Model([a, b], [layers.Dense(2)(joined), joined])
    run = isoconv.jit(model)
    given = X[:, 0], X[:, 1, :2]
    places = [np.empty((9, 2), "float32"), np.empty((9, 5), "float32")]
    for found in (run(*given), run(list(given)), run(*given, out=places)):
        for mine, his in zip(found, model(list(given)), strict=True):
            np.testing.assert_array_equal(mine, his)
    np.testing.assert_array_equal(places[1], np.concatenate(given, 1))


def test_a_layer():
    layer = layers.Conv1D(4, 3)
    run = isoconv.jit(layer)
    np.testing.assert_array_equal(run(X), layer(X))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"numerics": 1e-3}, "numerics: expected None or Numerics; got 0.001"),
        ({"threads": 0}, "threads: expected an integer of at least 1"),
        ({"rewrite": 1}, "rewrite: expected a bool"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(ArgumentError, match=match):
        isoconv.jit(network(), **options)
    with pytest.raises(ArgumentError, match="expected a model or a layer"):
        isoconv.jit(np.sin)
    with pytest.raises(ShapeError, match="input"):
        isoconv.jit(network())(X[..., :2])
