"""Calls like earlier ones skip all preparation, and still see whatever changed in between."""

from __future__ import annotations

import resource
import sys
import threading
import time

import numpy as np
import pytest

import isoconv
from isoconv import layers, models, ops, settings
from isoconv.ops.compiled import Compiled

RNG = np.random.default_rng(1)


def network():
    return models.Sequential(
        [
            layers.Input((9, 2)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )


def data(*shape):
    return RNG.normal(size=shape).astype("float32")


CALLS = {
    "model": lambda model: model,
    "predict": lambda model: model.predict,
    "predict_on_batch": lambda model: model.predict_on_batch,
    "jit": isoconv.jit,
}


@pytest.fixture
def prepared(monkeypatch):
    """The kinds of calls for which a program was looked up."""
    found = []
    program = Compiled.program

    def watched(self, arrays, *args, **kwargs):
        found.append([array.shape for array in arrays])
        return program(self, arrays, *args, **kwargs)

    monkeypatch.setattr(Compiled, "program", watched)
    return found


@pytest.mark.parametrize("way", CALLS)
def test_only_the_first_call_is_prepared(way, prepared):
    call, x = CALLS[way](network()), data(5, 9, 2)
    first = call(x)
    for _ in range(3):
        np.testing.assert_array_equal(call(x.copy()), first)
    assert len(prepared) == 1


def _assign(model):
    model.layers[0].kernel.assign(data(3, 2, 4))


def _train(model):
    model.compile("sgd", "mse")
    model.train_on_batch(data(5, 9, 2), data(5, 7, 3))


def _change_an_argument(model):
    model.layers[0].activation = ops.tanh


def _rename_nothing_but_the_default_dtype(model):
    settings.set_floatx("float64")
    settings.set_floatx("float32")


def _set_weights(model):
    model.set_weights([2 * weight for weight in model.get_weights()])


@pytest.mark.parametrize(
    "change",
    [_assign, _train, _change_an_argument, _rename_nothing_but_the_default_dtype, _set_weights],
)
@pytest.mark.parametrize("way", CALLS)
def test_changes_are_seen(way, change):
    model, x = network(), data(5, 9, 2)
    call = CALLS[way](model)
    before = [call(x) for _ in range(2)][-1]
    change(model)
    after = [call(x) for _ in range(2)]
    np.testing.assert_array_equal(after[0], after[1])
    np.testing.assert_allclose(after[0], model(x), rtol=1e-5, atol=1e-6)
    assert (change is _rename_nothing_but_the_default_dtype) == np.array_equal(before, after[0])


@pytest.mark.parametrize("way", CALLS)
def test_any_array_may_follow_any_other(way):
    call, x = CALLS[way](network()), data(6, 9, 2)
    expected = call(x)
    strided = np.repeat(x, 2, axis=0)[::2]
    integers = np.zeros((6, 9, 2), np.int64)
    zeros = call(integers.astype("float32"))
    for given, wanted in [
        (x, expected),
        (strided, expected),
        (x.astype("float64"), expected),
        (x[:2], expected[:2]),
        (x.astype(">f4"), expected),
        (integers, zeros),
        (x, expected),
        (x[2:], expected[2:]),
        (x[:0], expected[:0]),
        (np.asfortranarray(x), expected),
    ]:
        np.testing.assert_array_equal(call(given), wanted)


def test_results_are_new_arrays():
    call, x = isoconv.jit(network()), data(1, 9, 2)
    first = call(x)
    kept = first.copy()
    call(x + 1)
    np.testing.assert_array_equal(first, kept)


def test_training_is_told_apart():
    model = models.Sequential([layers.Input((4,)), layers.Dropout(0.5)])
    x = np.ones((64, 4), "float32")
    for _ in range(2):
        np.testing.assert_array_equal(model(x), x)
        assert (model(x, training=True) == 0).any()
    draws = [model(x, training=True) for _ in range(2)]
    assert not np.array_equal(*draws)


def test_several_inputs_and_outputs():
    a, b = layers.Input((3,)), layers.Input((5,))
    sums = layers.Dense(2)(a), layers.Dense(2)(b)
    model = models.Model([a, b], [layers.Add()(sums), sums[0]])
    x = [data(4, 3), data(4, 5)]
    wanted = model(x)
    for call in (lambda: model.predict_on_batch(x), lambda: isoconv.jit(model)(*x)):
        for _ in range(2):
            for one, other in zip(call(), wanted, strict=True):
                np.testing.assert_array_equal(one, other)


def test_values_that_weigh_nothing_are_let_go():
    """Weights prepared for earlier values are not kept for each length seen."""
    model = models.Sequential([layers.Input((None, 1)), layers.Conv1D(2, 3)])
    call = isoconv.jit(model)
    for length in range(3, 20):
        _ = model.layers[0].bias.assign(np.full(2, length))
        call(data(1, length, 1))
    assert len(call._ready._now[1]) == 1


def test_memory_stays_flat_over_changing_lengths():
    model = models.Sequential([layers.Input((None, 2)), layers.Conv1D(4, 3), layers.ReLU()])
    lengths = RNG.integers(3, 200, 5000)
    call = isoconv.jit(model)

    def run():
        for length in lengths:
            x = np.zeros((1, int(length), 2), "float32")
            model.predict_on_batch(x)
            call(x)

    run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048


def test_other_threads_see_whole_weights():
    """What a call sees is one assignment or another, never an older one once the next is done."""
    plain = [layers.Input((1,)), layers.Dense(1, use_bias=False)]
    model = models.Sequential([*plain, layers.BatchNormalization(epsilon=1e-9)])
    call, x = isoconv.jit(model), np.ones((1, 1), "float32")
    kernel, done, wrong = model.layers[0].kernel, [0], []

    def read():
        while done[0] < 300:
            least = done[0]
            found = call(x)[0, 0]
            if not least - 0.01 <= found <= done[0] + 1.01:
                wrong.append((least, found))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        readers = [threading.Thread(target=read) for _ in range(3)]
        kernel.assign([[0.0]])
        for reader in readers:
            reader.start()
        for value in range(1, 301):
            kernel.assign([[float(value)]])
            done[0] = value
            time.sleep(1e-4)
    finally:
        sys.setswitchinterval(interval)
    for reader in readers:
        reader.join()
    assert not wrong
