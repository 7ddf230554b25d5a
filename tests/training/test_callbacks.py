"""Callbacks: those that follow a number against Keras' on the same logs; files; NaN; curves."""

from __future__ import annotations

import csv
import importlib
import re

import keras
import numpy as np
import pytest

import isoconv
from isoconv import callbacks, layers, ops
from isoconv.errors import ArgumentError

RNG = np.random.default_rng(2)
X = RNG.normal(size=(48, 6)).astype("float32")
Y = (X.sum(1) > 0).astype("float32")


def network(loss="binary_crossentropy", optimizer="sgd"):
    isoconv.utils.set_random_seed(3)
    parts = [layers.Dense(4, activation="tanh"), layers.Dense(1, activation="sigmoid")]
    model = isoconv.Sequential([isoconv.Input((6,)), *parts])
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


class Stand:
    """What the callbacks of both libraries use of a model."""

    def __init__(self, rate):
        self.optimizer = rate
        self.stop_training = False
        self.weights = 0.0
        self.metrics = []

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights


FALLING = [1.0, 0.8, 0.79, 0.85, 0.9, 0.7, 0.71, 0.72, 0.73, 0.74, 0.6, float("nan"), 0.65, 0.7]
CASES = [
    ("EarlyStopping", {"patience": 2}),
    ("EarlyStopping", {}),
    ("EarlyStopping", {"patience": 3, "min_delta": 0.15}),
    ("EarlyStopping", {"patience": 2, "baseline": 0.5}),
    ("EarlyStopping", {"patience": 1, "start_from_epoch": 4, "restore_best_weights": True}),
    ("EarlyStopping", {"patience": 2, "mode": "max", "restore_best_weights": True}),
    ("EarlyStopping", {"patience": 2, "baseline": 0.5, "restore_best_weights": True}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 2}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.1, "min_lr": 0.05, "min_delta": 0.2}),
    ("ReduceLROnPlateau", {"patience": 2, "mode": "max"}),
    ("ReduceLROnPlateau", {"patience": 0, "min_lr": 0.05}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_acts_as_that_of_keras(name, options):
    seen = []
    for library, rate in [
        (callbacks, isoconv.optimizers.SGD(1.0)),
        (keras.callbacks, keras.optimizers.SGD(1.0)),
    ]:
        told, model = getattr(library, name)(monitor="loss", **options), Stand(rate)
        told.set_model(model)
        told.on_train_begin()
        found = []
        for epoch, value in enumerate(FALLING):
            model.weights = float(epoch)
            told.on_epoch_end(epoch, {"loss": value})
            rate = float(model.optimizer.learning_rate)
            found.append((model.stop_training, rate, getattr(told, "wait", 0)))
            if model.stop_training:
                break
        told.on_train_end()
        seen.append((found, model.weights))
    assert seen[0][1] == seen[1][1]
    np.testing.assert_allclose(seen[0][0], seen[1][0], rtol=1e-6)


def test_sense_of_a_number():
    """Whether larger is better is known of metrics, and asked for otherwise."""
    model = network()
    model.fit(X, Y, verbose=0)
    for name, expected in [("val_loss", "min"), ("val_accuracy", "max")]:
        watching = callbacks.EarlyStopping(name)
        watching.set_model(model)
        watching.on_epoch_end(0, {name: 0.5})
        watching.on_epoch_end(1, {name: 0.6})
        assert watching.mode == expected
    stopping = callbacks.EarlyStopping("speed")
    stopping.set_model(model)
    stopping.on_epoch_end(0, {"speed": 1.0})
    with pytest.raises(ArgumentError, match="mode: expected 'min' or 'max'"):
        stopping.on_epoch_end(1, {"speed": 2.0})
    with pytest.warns(UserWarning, match="EarlyStopping watches 'val_loss', and there is only"):
        model.fit(X, Y, callbacks=callbacks.EarlyStopping(), verbose=0)


WHOLE = ["train", "test", "predict"]
NUMBERED = ["epoch", "train_batch", "test_batch", "predict_batch"]


def told(room, model, numbered):
    """What a callback is told whose methods ask for their logs."""
    seen = []

    def method(name, count):
        if count:
            return lambda number, logs: seen.append((name, number, sorted(logs)))
        return lambda logs: seen.append((name, sorted(logs)))

    events = [(each, False) for each in WHOLE] + [(each, True) for each in numbered]
    given = {
        f"on_{each}_{end}": method(f"{each}_{end}", count)
        for each, count in events
        for end in ("begin", "end")
    }
    listener = room.callbacks.LambdaCallback(**given)
    model.fit(X, Y, batch_size=32, validation_split=0.5, verbose=0, callbacks=[listener])
    model.evaluate(X, Y, verbose=0, callbacks=[listener])
    model.predict(X, batch_size=32, verbose=0, callbacks=[listener])
    return seen


@pytest.mark.parametrize("numbered", [NUMBERED, ["batch"]], ids=["names", "old names"])
def test_methods_are_told_what_keras_tells(numbered):
    theirs = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    theirs.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    found = told(isoconv, network(), numbered)
    assert found == told(keras, theirs, numbered)
    assert any(name == f"{numbered[-1]}_end" for name, *_ in found)


def test_functions_without_names_are_those_of_keras():
    seen = []
    first = callbacks.LambdaCallback(lambda epoch, logs: seen.append(epoch))
    network().fit(X, Y, epochs=2, callbacks=first, verbose=0)
    assert seen == [0, 1]


def test_learning_rates_are_in_the_history():
    for each in (
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=10.0),
        callbacks.LearningRateScheduler(lambda epoch: 0.01 * 0.5 ** max(epoch - 1, 0)),
    ):
        found = network().fit(X, Y, epochs=4, callbacks=each, verbose=0)
        np.testing.assert_allclose(found.history["learning_rate"], [0.01, 0.01, 0.005, 0.0025])


def test_learning_rates_of_epochs():
    model, seen = network(), []
    each = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.optimizer.learning_rate))
    )
    halving = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    model.fit(X, Y, epochs=3, callbacks=[halving, each], verbose=0)
    np.testing.assert_allclose(seen, [0.005, 0.0025, 0.00125])
    model.fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 2.0)], verbose=0)
    assert float(model.optimizer.learning_rate) == 2.0


def test_checkpoints(tmp_path):
    model = network()
    every = callbacks.ModelCheckpoint(tmp_path / "a{epoch:02d}-{loss:.2f}.keras")
    best = callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", "accuracy", save_best_only=True, save_weights_only=True
    )
    often = callbacks.ModelCheckpoint(tmp_path / "b{epoch}-{batch}.keras", save_freq=2)
    found = model.fit(X, Y, batch_size=16, epochs=2, callbacks=[every, best, often], verbose=0)
    names = sorted(path.name for path in tmp_path.iterdir())
    losses = [f"a{i + 1:02d}-{loss:.2f}.keras" for i, loss in enumerate(found.history["loss"])]
    assert names == [*losses, "b1-2.keras", "b2-1.keras", "b2-3.keras", "best.weights.h5"]
    again = isoconv.load_model(tmp_path / names[1])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ArgumentError, match="filepath: expected epoch, loss, accuracy; got"):
        model.fit(X, Y, callbacks=callbacks.ModelCheckpoint(f"{tmp_path}/{{speed}}.keras"))


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    model = network()
    found = model.fit(X, Y, epochs=3, callbacks=callbacks.CSVLogger(path), verbose=0).history
    again = callbacks.CSVLogger(path, append=True)
    found2 = model.fit(X, Y, epochs=1, callbacks=again, verbose=0).history
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 0]
    assert [float(row["loss"]) for row in rows] == found["loss"] + found2["loss"]


@pytest.mark.parametrize("validated", [False, True])
def test_csv_is_written_as_by_keras(tmp_path, validated):
    logs = {"b": 0.5, "a": np.array([0.25, 1.0])} | ({"val_b": 2.0} if validated else {})
    texts = []
    for room in (callbacks, keras.callbacks):
        path = tmp_path / f"{room.__name__}.csv"
        for append in (False, True):
            told = room.CSVLogger(path if room is callbacks else str(path), ";", append)
            told.on_train_begin()
            for epoch in range(2):
                told.on_epoch_end(epoch, dict(logs))
            told.on_train_end()
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]


def test_checkpoints_of_any_model_where_the_number_is_missing(tmp_path):
    path = tmp_path / "best.h5"
    with pytest.warns(UserWarning, match="ModelCheckpoint watches 'val_loss'"):
        network().fit(X, Y, callbacks=callbacks.ModelCheckpoint(path, save_best_only=True))
    assert isoconv.load_model(path).predict(X).shape == (48, 1)


def test_tensorboard(tmp_path):
    model = network()
    told = callbacks.TensorBoard(tmp_path, update_freq=1)
    found = model.fit(X, Y, epochs=2, validation_split=0.25, callbacks=told, verbose=0).history
    curves = {part: read_curves(tmp_path / part) for part in ("train", "validation")}
    np.testing.assert_allclose(curves["train"]["epoch_loss"], found["loss"], rtol=1e-6)
    np.testing.assert_allclose(curves["validation"]["epoch_loss"], found["val_loss"], rtol=1e-6)
    assert len(curves["train"]["batch_loss"]) == 4
    with pytest.raises(ArgumentError, match="histogram_freq: expected 0"):
        callbacks.TensorBoard(tmp_path, histogram_freq=1)


def read_curves(folder):
    loading = "tensorboard.backend.event_processing.event_file_loader"
    event_file_loader = importlib.import_module(loading)

    curves = {}
    for path in folder.iterdir():
        for event in event_file_loader.LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                curves.setdefault(value.tag, []).append(value.simple_value)
    return curves


# -- NaN --------------------------------------------------------------------------------------


def with_nan_input():
    x = X.copy()
    x[5, 2] = np.nan
    return network(), x, Y


def with_nan_label():
    return network("mse"), X, np.where(np.arange(48) == 5, np.nan, Y)


def with_a_bad_layer():
    bad = layers.Lambda(lambda x: ops.log(x), name="logarithm")
    model = isoconv.Sequential(
        [isoconv.Input((6,)), layers.Dense(4), bad, layers.Dense(1, name="last")]
    )
    model.compile("sgd", "mse")
    return model, X, Y


def with_a_huge_rate():
    model = network("mse", isoconv.optimizers.SGD(1e38))
    model.layers[1].activation = isoconv.activations.linear
    return model, X * 1e3, Y


def with_a_bad_loss():
    return network(lambda y_true, y_pred: ops.log(y_pred - 2.0)), X, Y


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (with_nan_input, r"step \d of epoch 1: the inputs hold NaN or infinity"),
        (with_nan_label, r"step \d of epoch 1: the labels hold NaN or infinity"),
        (with_a_bad_layer, "step 1 of epoch 1: it first appeared in the output of .*'logarithm'"),
        (
            with_a_huge_rate,
            "step 2 of epoch 1: (the weights of|it first appeared in the (output|loss))",
        ),
        (with_a_bad_loss, "step 1 of epoch 1: it first appeared in the loss, all outputs being"),
    ],
)
def test_nan_ends_training_and_is_placed(case, message, capsys):
    model, x, y = case()
    told, before = callbacks.TerminateOnNaN(), []
    each = callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs=None: before.append(model.get_weights())
    )
    model.fit(x, y, batch_size=8, epochs=3, callbacks=[told, each], verbose=0)
    assert told.message is not None
    assert told.message in capsys.readouterr().out
    assert len(before) <= 6
    assert re.search(message, told.message), told.message
    # The failing step changed nothing.
    for old, new in zip(before[-1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(RuntimeError, match="epoch 1"):
        model.fit(x, y, batch_size=8, callbacks=callbacks.TerminateOnNaN(True), verbose=0)


def test_watching_for_nan_changes_no_bit():
    plain, watched = network(), network()
    plain.fit(X, Y, epochs=2, verbose=0)
    isoconv.utils.set_random_seed(3)
    watched = network()
    watched.fit(X, Y, epochs=2, callbacks=callbacks.TerminateOnNaN(), verbose=0)
    for old, new in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.EarlyStopping(mode="up"), "mode: expected one of auto, min, max"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), "factor: expected a number from 0"),
        (lambda: callbacks.LearningRateScheduler(0.1), "schedule: expected a function"),
        (lambda: callbacks.ModelCheckpoint("a.pt"), "expected a name that ends in .keras or .h5"),
        (lambda: callbacks.ModelCheckpoint("a.keras", save_freq=0), "save_freq: expected 'epoch'"),
        (lambda: callbacks.LambdaCallback(on_batch=print), "expected names among on_"),
        (lambda: network().fit(X, Y, callbacks=[print]), "callbacks: expected callbacks"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
