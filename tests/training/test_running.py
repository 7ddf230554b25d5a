"""fit as it runs: data of all kinds, what ends it early, what it shows, repeatability, errors."""

from __future__ import annotations

import copy
import io
import re
import threading

import keras
import numpy as np
import pytest
import torch
from rich.console import Console

import isoconv
from isoconv import autodiff, callbacks, layers, ops
from isoconv.errors import ArgumentError, ShapeError
from isoconv.models.bar import Bar
from isoconv.runtime import jit
from isoconv.training.batches import ArrayBatches

RNG = np.random.default_rng(11)
X = RNG.normal(size=(50, 12, 3)).astype("float32")
Y = RNG.integers(4, size=50)


def network(seed=1, dropout=0.0):
    isoconv.utils.set_random_seed(seed)
    model = isoconv.Sequential(
        [
            isoconv.Input((12, 3)),
            layers.Conv1D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def same(left, right):
    return all(
        np.array_equal(a, b) for a, b in zip(left.get_weights(), right.get_weights(), strict=True)
    )


# -- sizes and bits ---------------------------------------------------------------------------


def test_a_smaller_last_batch_and_other_batch_sizes_compile_nothing():
    model = network()
    model.fit(X[:32], Y[:32], batch_size=16, validation_split=0.5)
    before = jit.compilations()
    model.fit(X, Y, batch_size=16, validation_split=0.1)
    model.fit(X, Y, batch_size=7)
    model.fit(X, Y, batch_size=1, steps_per_epoch=3)
    model.optimizer.learning_rate = 0.5
    model.train_on_batch(X[:5], Y[:5])
    assert jit.compilations() == before


def test_new_lengths_compile_nothing():
    isoconv.utils.set_random_seed(0)
    model = isoconv.Sequential(
        [
            isoconv.Input((None, 3)),
            layers.Conv1D(4, 3, padding="same", activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(X[:, :9], RNG.integers(2, size=(50, 9)))
    before = jit.compilations()
    for length in (5, 11, 12):
        model.train_on_batch(X[:, :length], RNG.integers(2, size=(50, length)))
    assert jit.compilations() == before


def test_a_seed_repeats_bits():
    models = [network(seed, dropout=0.3) for seed in (3, 3, 4)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        isoconv.utils.set_random_seed(seed)
        model.fit(X, Y, epochs=2, batch_size=8)
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_threads_change_no_bit(monkeypatch):
    models = []
    for threads in ("1", "2"):
        monkeypatch.setenv("ISOCONV_THREADS", threads)
        isoconv.utils.set_random_seed(2)
        model = isoconv.Sequential(
            [
                isoconv.Input((64, 16)),
                layers.Conv1D(32, 5, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dense(4),
            ]
        )
        loss = isoconv.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        x = np.random.default_rng(0).normal(size=(300, 64, 16))
        model.fit(x, np.arange(300) % 4, epochs=2, batch_size=128)
        models.append(model)
    assert same(*models)


def test_shuffling_gives_every_sample_once_in_another_order():
    x = np.arange(12)
    for shuffle in (False, True):
        source = ArrayBatches((x, x, None), 5, shuffle, None)
        orders = [np.concatenate([each[0] for each in source.epoch()]) for _ in range(2)]
        assert all(sorted(order) == list(range(12)) for order in orders)
        assert [list(order) == list(x) for order in orders] == [not shuffle] * 2
    assert list(orders[0]) != list(orders[1])


# -- kinds of data ----------------------------------------------------------------------------


def batches_of(size, count=None, x=X, y=Y):
    number = 0
    while count is None or number < count:
        start = number * size % len(x)
        yield x[start : start + size], y[start : start + size]
        number += 1


def test_generators_learn_as_arrays():
    models = [network() for _ in range(3)]
    models[0].fit(X, Y, batch_size=10, epochs=2, shuffle=False)
    models[1].fit(batches_of(10), steps_per_epoch=5, epochs=2)

    class Sequence:
        def __len__(self):
            return 5

        def __getitem__(self, number):
            return X[number * 10 : number * 10 + 10], Y[number * 10 : number * 10 + 10]

    models[2].fit(Sequence(), epochs=2, shuffle=False)
    assert same(models[0], models[1])
    assert same(models[0], models[2])


def test_weights_and_validation_from_iterables():
    plain, weighted = network(), network()
    weights = RNG.random(50).astype("float32")
    found = plain.fit(
        X, Y, sample_weight=weights, shuffle=False, batch_size=25, validation_data=(X, Y)
    )
    rows = [slice(0, 25), slice(25, 50)]
    other = weighted.fit(
        [(X[r], Y[r], weights[r]) for r in rows].__iter__(),
        validation_data=iter([(X, Y)]),
        class_weight=None,
    )
    assert same(plain, weighted)
    for name, values in found.history.items():
        assert other.history[name] == pytest.approx(values)
    assert weighted.evaluate(batches_of(10), steps=5) == pytest.approx(weighted.evaluate(X, Y))


def test_all_dtypes_lists_and_strided_arrays():
    reference = network()
    reference.fit(X[::2], Y[::2], shuffle=False)
    frozen = X[::2].astype("float64")
    frozen.setflags(write=False)
    for x, y in [
        (X[::2], Y[::2].astype("uint8")),
        (frozen, Y[::2].astype("float32")),
        (np.asfortranarray(X[::2]), Y[::2].tolist()),
        (X[::2], Y[::2, None]),
    ]:
        model = network()
        model.fit(x, y, shuffle=False)
        assert same(model, reference)


def test_data_loaders_of_torch():
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    plain, loaded = network(), network()
    plain.fit(X, Y, batch_size=16, epochs=2, shuffle=False)
    loaded.fit(torch.utils.data.DataLoader(tensors, 16), epochs=2)
    assert same(plain, loaded)


def test_a_dict_of_outputs():
    x = isoconv.Input((3,))
    model = isoconv.Model(x, {"a": layers.Dense(2)(x), "b": layers.Dense(1)(x)})
    model.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"b": ["mse"]})
    given = RNG.normal(size=(20, 3)).astype("float32")
    y = {"b": given[:, :1], "a": given[:, :2]}
    found = model.fit(given, y, epochs=2).history
    assert set(found) == {"loss", "a_loss", "b_loss", "b_mse"}
    assert found["loss"] == pytest.approx(np.add(found["a_loss"], found["b_loss"]))


def test_a_subclass_is_built_by_its_data_and_not_run_for_it():
    class Model(isoconv.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)
            self.calls = self.add_weight((), "zeros", trainable=False)

        def call(self, inputs):
            self.calls.assign_add(1.0)
            return self.dense(inputs)

    model = Model()
    model.compile("adam", "mse")
    model.train_on_batch(X[:, 0], X[:, 0, :2])
    assert float(model.calls) == 1
    assert len(model.optimizer.variables) == 2 + 2 * 2


def test_validation_that_ends_early_warns_once():
    model = network()
    with pytest.warns(UserWarning, match="validation_data has no batches in epoch 2") as warned:
        found = model.fit(X, Y, epochs=3, validation_data=batches_of(10, count=5)).history
    assert len(warned) == 1
    assert [len(found[name]) for name in ("loss", "val_loss")] == [3, 1]


def test_class_weight_is_for_training_only():
    model = network()
    model.optimizer.learning_rate = 0.0
    found = model.fit(X, Y, class_weight=dict.fromkeys(range(4), 0.0), validation_split=0.2).history
    assert found["loss"] == [0.0]
    assert found["val_loss"][0] > 0


def test_steps_per_epoch_goes_on_where_the_last_epoch_stopped():
    whole, parts = network(), network()
    whole.fit(X, Y, batch_size=10, shuffle=False)
    parts.fit(X, Y, batch_size=10, shuffle=False, epochs=5, steps_per_epoch=1)
    assert same(whole, parts)


SOURCES = {
    "arrays": lambda lib: {"x": X, "y": Y, "batch_size": 10},
    "what is indexed": lambda lib: {"x": tens(getattr(lib.utils, "PyDataset", object))()},
    "what is iterated": lambda lib: {"x": torch_loader(X, Y)},
}


def tens(base):
    class Tens(base):
        def __len__(self):
            return 5

        def __getitem__(self, place):
            return X[10 * place : 10 * place + 10], Y[10 * place : 10 * place + 10]

    return Tens


def torch_loader(*arrays):
    tensors = map(torch.from_numpy, arrays)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), 10)


def epochs_of(lib, source, steps, validation_steps):
    """The numbers of the batches of each epoch, and of its evaluation."""
    model = lib.Sequential([lib.layers.Input((12, 3)), lib.layers.Flatten(), lib.layers.Dense(4)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen = []

    class Notes(lib.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(([], []))

        def on_train_batch_end(self, batch, logs=None):
            seen[-1][0].append(batch)

        def on_test_batch_end(self, batch, logs=None):
            seen[-1][1].append(batch)

    data, held = SOURCES[source](lib), SOURCES[source](lib)
    model.fit(
        **data,
        validation_data=(X, Y) if "y" in held else held["x"],
        validation_batch_size=10,
        steps_per_epoch=steps,
        validation_steps=validation_steps,
        epochs=4,
        verbose=0,
        callbacks=[Notes()],
    )
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("steps", "validation_steps"), [(2, 2), (3, 5), (5, 7), (7, None)])
def test_batches_of_an_epoch_are_those_of_keras(source, steps, validation_steps):
    ours = epochs_of(isoconv, source, steps, validation_steps)
    assert ours == epochs_of(keras, source, steps, validation_steps)


# -- ending early -----------------------------------------------------------------------------


def test_an_epoch_in_which_the_data_ends_warns_and_the_next_begins_with_its_start():
    model, reference = network(), network()
    with pytest.warns(UserWarning, match="fit: the data ended after 2 of 3 batches. The next"):
        model.fit(X, Y, batch_size=10, shuffle=False, epochs=3, steps_per_epoch=3)
    for x, y in batches_of(10, count=3 + 2 + 3):
        reference.train_on_batch(x, y)
    assert same(model, reference)
    with pytest.warns(UserWarning, match="evaluate: the data ended after 5 of 6 batches"):
        model.evaluate(X, Y, batch_size=10, steps=6)


def test_a_generator_that_ends_early_warns_and_keeps_what_was_learnt():
    model, reference = network(), network()
    with pytest.warns(UserWarning, match="the data ended after 2 of 4 batches"):
        found = model.fit(batches_of(10, count=6), steps_per_epoch=4, epochs=3)
    assert found.epoch == [0, 1]
    for x, y in batches_of(10, count=6):
        reference.train_on_batch(x, y)
    assert same(model, reference)
    with pytest.warns(UserWarning, match="ended after 0"):
        found = network().fit(batches_of(10, count=5), epochs=3)
    assert found.epoch == [0]


def test_an_interrupt_leaves_the_weights_of_the_last_step():
    model, reference = network(), network()

    def interrupted():
        yield from batches_of(10, count=3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(interrupted(), steps_per_epoch=5)
    for x, y in batches_of(10, count=3):
        reference.train_on_batch(x, y)
    assert same(model, reference)
    for each in (model, reference):
        each.fit(X, Y, shuffle=False)
    assert same(model, reference)


def test_an_error_in_a_callback_leaves_the_model_usable():
    class Failing(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ZeroDivisionError

    model = network()
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y, callbacks=[Failing()])
    assert int(model.optimizer.iterations) == 1
    assert np.isfinite(model.fit(X, Y).history["loss"][0])


def test_stop_training():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2 and logs["loss"] > 0:
                self.model.stop_training = True

    model = network()
    found = model.fit(X, Y, batch_size=5, epochs=4, callbacks=[Stop()])
    assert found.epoch == [0]
    assert int(model.optimizer.iterations) == 3


def test_callbacks_are_told_in_order():
    told = []

    class Note(callbacks.Callback):
        pass

    for event in ("train", "epoch", "test", "train_batch", "test_batch"):
        for end in ("begin", "end"):
            name = f"on_{event}_{end}"
            setattr(Note, name, lambda self, *args, name=name: told.append(name[3:]))
    network().fit(X[:20], Y[:20], batch_size=10, validation_split=0.5, callbacks=[Note()])
    assert told == [
        *("train_begin", "epoch_begin", "train_batch_begin", "train_batch_end"),
        *("test_begin", "test_batch_begin", "test_batch_end", "test_end"),
        *("epoch_end", "train_end"),
    ]


def test_nan_goes_through():
    model = network()
    found = model.fit(np.full_like(X, np.nan), Y)
    assert np.isnan(found.history["loss"][0])


# -- what is shown ----------------------------------------------------------------------------


def test_lines_and_silence(capsys):
    model = network()
    model.fit(X, Y, epochs=2)
    assert capsys.readouterr().out == ""
    model.fit(X, Y, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    number = r"\d\.\d{4}"
    pattern = f"Epoch 1/2 - .* s - loss: {number} - accuracy: {number} - val_loss: {number}"
    assert re.match(pattern, lines[0])
    model.fit(X, Y, verbose=1)
    assert capsys.readouterr().out.startswith("Epoch 1/1")
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


def test_the_bar_shows_batches_numbers_and_ends():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bar = Bar(console)
    network().fit(X, Y, batch_size=10, epochs=2, callbacks=[bar])
    bar.stop()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    assert "Epoch 2/2" in text
    assert "5/5" in text
    assert re.search(r"loss: \d\.\d{4} - accuracy: \d\.\d{4}", text)


def test_the_bar_of_an_unknown_length():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    network().fit(batches_of(10, count=3), callbacks=[Bar(console)])
    assert "3/3" in console.file.getvalue()


# -- steps of one's own -----------------------------------------------------------------------


def test_own_train_step():
    class Model(isoconv.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
            self.steps = self.add_weight((), "zeros", trainable=False)

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            x, y = data
            weights = self.trainable_variables
            loss, slopes = isoconv.value_and_grad(
                lambda: ops.mean(ops.square(self(x, training=True) - y)), weights
            )()
            self.optimizer.apply(slopes, weights)
            self.steps.assign_add(1.0)
            return {"own": loss}

    model = Model()
    model.compile("sgd")
    x = RNG.normal(size=(20, 3)).astype("float32")
    y = x.sum(1, keepdims=True) * 2
    found = model.fit(x, y, epochs=3, batch_size=20).history
    assert list(found) == ["own"]
    assert found["own"][-1] < found["own"][0]
    assert float(model.steps) == 3


class _Told(callbacks.Callback):
    def __init__(self):
        self.seen = []

    def on_predict_begin(self, logs=None):
        self.seen.append("begin")

    def on_predict_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["outputs"].shape))

    def on_predict_end(self, logs=None):
        self.seen.append("end")


class _Indexed:
    """What has items and a length, as datasets do."""

    def __len__(self):
        return 5

    def __getitem__(self, place):
        return X[10 * place : 10 * place + 10], Y[10 * place : 10 * place + 10]


@pytest.mark.parametrize(
    ("given", "options", "rows"),
    [
        (lambda: X, {"batch_size": 10}, 50),
        (lambda: X, {"batch_size": 10, "steps": 2}, 20),
        (lambda: X, {"batch_size": 60, "steps": 2}, 50),
        (lambda: (X[at : at + 10] for at in range(0, 50, 10)), {}, 50),
        (lambda: ((X[at : at + 10], Y[at : at + 10]) for at in range(0, 50, 10)), {"steps": 3}, 30),
        (lambda: torch.utils.data.DataLoader(torch.from_numpy(X), batch_size=10), {}, 50),
        (_Indexed, {}, 50),
    ],
)
def test_predict_takes_what_fit_takes_and_tells_callbacks(given, options, rows):
    model, told = network(), _Told()
    whole = model.predict(X)
    np.testing.assert_array_equal(model.predict(given(), **options), whole[:rows])
    np.testing.assert_array_equal(model.predict(given(), callbacks=[told], **options), whole[:rows])
    size = options.get("batch_size", 10)
    sizes = [(number, (min(size, rows), 4)) for number in range(-(-rows // size))]
    assert told.seen == ["begin", *sizes, "end"]


def test_predicting_no_batches_is_refused_and_no_samples_are_not():
    model = network()
    with pytest.raises(ArgumentError, match=r"predict: x: expected at least one; got no batches"):
        model.predict(iter([]))
    assert model.predict(X[:0], callbacks=[_Told()]).shape == (0, 4)
    with pytest.raises(ArgumentError, match=r"predict: steps: .* got 0"):
        model.predict(X, steps=0)


def test_own_test_and_predict_steps():
    """As in Keras: what is given is what `fit` was given, and metrics of one's own are reset."""

    class Model(isoconv.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.seen = isoconv.metrics.Sum(name="seen")

        def call(self, inputs):
            return self.dense(inputs)

        @property
        def metrics(self):
            return [self.seen]

        def train_step(self, data):
            x, y, weight = data
            self.seen.update_state(ops.sum(weight))
            slopes = autodiff.gradients(
                self.compute_loss(x, y, self(x), weight), self.trainable_variables
            )
            self.optimizer.apply(slopes, self.trainable_variables)
            return {"seen": self.seen.result()}

        def test_step(self, data):
            x, _ = data
            self.seen.update_state(ops.sum(ops.ones_like(x[:, 0])))
            return {"seen": self.seen.result()}

        def predict_step(self, data):
            return {"twice": self(data) * 2.0}

    model = Model()
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(20, 3)).astype("float32"), np.zeros((20, 1))
    found = model.fit(x, y, sample_weight=np.full(20, 0.5), epochs=2, batch_size=8, verbose=0)
    assert found.history["seen"] == [10, 10]
    assert model.evaluate(x, y, batch_size=8) == 20
    np.testing.assert_array_equal(model.predict(x, batch_size=7)["twice"], model(x) * 2)
    assert copy.deepcopy(model).predict(x)["twice"].shape == (20, 1)


def test_sequences_of_batches_are_told_of_epochs():
    class Batches:
        told = 0

        def __len__(self):
            return 4

        def __getitem__(self, place):
            return X[place * 10 : place * 10 + 10], Y[place * 10 : place * 10 + 10]

        def on_epoch_end(self):
            self.told += 1

    batches, model = Batches(), network()
    found = model.fit(batches, epochs=3, initial_epoch=1, validation_data=Batches(), verbose=0)
    assert found.epoch == [1, 2]
    assert batches.told == 2


def test_added_losses_are_minimised():
    class Far(layers.Layer):
        def call(self, inputs):
            self.add_loss(ops.mean(ops.square(inputs - 3.0)))
            return inputs

    model = isoconv.Sequential([isoconv.Input((2,)), layers.Dense(2), Far()])
    model.compile(isoconv.optimizers.SGD(0.1))
    x = RNG.normal(size=(32, 2)).astype("float32")
    found = model.fit(x, epochs=30).history["loss"]
    assert found[-1] < 0.1 * found[0]


def test_a_model_predicts_while_it_is_trained():
    model = network()
    model.fit(X, Y)
    failures = []

    def predict():
        for _ in range(30):
            if not np.isfinite(model.predict(X)).all():
                failures.append(True)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    model.fit(X, Y, epochs=10, batch_size=5)
    for thread in threads:
        thread.join()
    assert not failures


# -- what is refused --------------------------------------------------------------------------


def refused(match, *args, model=None, kind=ArgumentError, **options):
    """Asserts that fit refuses, and changes nothing."""
    model = model or network()
    before = model.get_weights()
    with pytest.raises(kind, match=match):
        model.fit(*args, **options)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert int(model.optimizer.iterations) == 0


def test_labels_out_of_range():
    for bad in (4, -1):
        y = Y.copy()
        y[-1] = bad
        refused(
            r"labels of output 'dense.*': expected integers from 0 to 3; got labels", X, Y * bad
        )
        refused("integers from 0 to 3", X, y, shuffle=False, batch_size=10)
        refused("integers from 0 to 3", batches_of(50, y=y), steps_per_epoch=1)
        with pytest.raises(ArgumentError, match="integers from 0 to 3"):
            network().train_on_batch(X, y)
    refused("integers from 0 to 3", X, np.full(50, np.nan))
    ignoring = network()
    ignoring.compile("sgd", isoconv.losses.SparseCategoricalCrossentropy(ignore_class=-1))
    ignoring.fit(X, np.where(Y == 0, -1, Y))


def test_shapes_that_do_not_fit():
    refused("50 in x and 49 in y", X, Y[:-1], kind=ShapeError)
    refused("50 in x and 3 in sample_weight", X, Y, sample_weight=np.ones(3), kind=ShapeError)
    refused("sparse_categorical_crossentropy: expected one class", X, np.eye(4)[Y], kind=ShapeError)
    refused(r"expected shape \(None, 12, 3\)", X[:, :5], Y, kind=ShapeError)
    model = network()
    model.compile("sgd", "mse")
    refused("labels shaped as the predictions", X, np.ones((50, 3)), model=model, kind=ShapeError)
    refused("expected 1, for the outputs", X, [Y, Y], model=model)


def test_labels_between_classes_are_refused():
    refused(r"integers from 0 to 3; got 0\.5 among them", X, np.where(Y == 1, 0.5, Y))
    assert network().fit(X, Y.astype("float32")).history


def test_no_epochs_train_nothing():
    model = network()
    before = model.get_weights()
    assert model.fit(X, Y, epochs=0).history == {}
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_labels_at_fault_are_forgotten():
    model = network()
    refused("for predictions of shape", X, np.eye(4)[Y], model=model, kind=ShapeError)
    found = model.fit(X, Y, shuffle=False).history
    assert found == network().fit(X, Y, shuffle=False).history


def test_nothing_to_train_on():
    refused("fit: x: expected at least one; got no samples", X[:0], Y[:0])
    refused("got no batches", iter([]))
    refused("labels for output", X)
    with pytest.raises(ArgumentError, match="no batches"):
        network().evaluate(iter([]))
    with pytest.raises(ArgumentError, match="no samples"):
        network().train_on_batch(X[:0], Y[:0])
    assert network().predict(X[:0]).shape == (0, 4)


def test_bad_arguments():
    refused("epochs: expected an integer of at least 0", X, Y, epochs=-1)
    refused("initial_epoch: expected an integer of at least 0", X, Y, initial_epoch=-1)
    refused("class_weight: expected a dict of weights", X, Y, class_weight=[1.0, 2.0])
    refused("class_weight: expected a dict of weights", X, Y, class_weight={"cat": 2.0})
    refused("batch_size", X, Y, batch_size=2.5)
    refused("validation_split", X, Y, validation_split=1.5)
    refused("validation_split", X[:1], Y[:1], validation_split=0.1)
    refused("validation_split: expected arrays", batches_of(5), validation_split=0.1)
    refused("verbose", X, Y, verbose=3)
    refused("validation_freq", X, Y, validation_freq=0)
    refused("y: expected None", batches_of(5), Y)
    refused("expected an array of numbers", X, np.array(["a"] * 50))
    model = network()
    with pytest.raises(ArgumentError, match="among losses"):
        model.compile("sgd", "mean_cubed_error")
    with pytest.raises(ArgumentError, match="among metrics: expected one of acc"):
        model.compile("sgd", "mse", metrics=["exactness"])
    with pytest.raises(ArgumentError, match="among optimizers"):
        model.compile("gd", "mse")
    with pytest.raises(ArgumentError, match="expected an optimizer"):
        model.compile(lambda: 1, "mse")
    model.compile("sgd", {"other": "mse"})
    refused("names among dense", X, Y, model=model)
    model.compile("sgd")
    refused("nothing to minimise", X, Y, model=model)
    plain = isoconv.Sequential([isoconv.Input((3,)), layers.Dense(2)])
    for task in (plain.fit, plain.evaluate, plain.train_on_batch):
        with pytest.raises(ArgumentError, match="Call compile"):
            task(X, Y)
