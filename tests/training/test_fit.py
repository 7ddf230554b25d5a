"""fit and evaluate against Keras on JAX: curves, weights, outputs, regularizers, validation."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import isoconv

RNG = np.random.default_rng(5)
LENGTH, CHANNELS, CLASSES = 12, 3, 4


def utterances(count=70):
    x = RNG.normal(size=(count, LENGTH, CHANNELS)).astype("float32")
    return x, (x.mean((1, 2)) * 20).astype(int) % CLASSES


def chain(lib, *layers, shape=(LENGTH, CHANNELS)):
    return lib.Sequential([lib.Input(shape), *layers])


def classifier(lib, **first):
    layers = lib.layers
    return chain(
        lib,
        layers.Conv1D(6, 3, activation="relu", **first),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.Flatten(),
        layers.Dense(CLASSES, activation="softmax"),
    )


def twins(make, *args, **kwargs):
    """The same model of both, with the same weights."""
    ours, theirs = make(isoconv, *args, **kwargs), make(keras, *args, **kwargs)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def compare_fits(ours, theirs, *data, rtol=1e-4, **options):
    """Asserts that two models learn alike: numbers of every epoch, and the weights at the end."""
    options = {"epochs": 3, "shuffle": False, "verbose": 0} | options
    mine = ours.fit(*data, **options).history
    his = theirs.fit(*data, **options).history
    assert set(mine) == set(his)
    for name, values in his.items():
        np.testing.assert_allclose(mine[name], values, rtol=rtol, atol=1e-6, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_classifier_learns_as_in_keras(optimizer):
    x, y = utterances()
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    compare_fits(ours, theirs, x, y, validation_split=0.2)


def test_a_wrong_gradient_is_caught(monkeypatch):
    x, y = utterances()
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy")
    right = isoconv.models.training.gradients
    wrong = lambda *args, **kwargs: [slope * 1.01 for slope in right(*args, **kwargs)]  # noqa: E731
    monkeypatch.setattr(isoconv.models.training, "gradients", wrong)
    with pytest.raises(AssertionError):
        compare_fits(ours, theirs, x, y)


def test_validation_data_frequency_and_weights():
    x, y = utterances()
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        measured = {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}
        model.compile("adam", "sparse_categorical_crossentropy", **measured)
    weights = RNG.random(len(x)).astype("float32")
    compare_fits(
        *(ours, theirs, x, y),
        sample_weight=weights,
        validation_data=(x[:30], y[:30], weights[:30]),
        validation_freq=2,
        epochs=4,
        batch_size=16,
    )


def test_class_weight():
    x, y = utterances()
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy")
    compare_fits(ours, theirs, x, y, class_weight={0: 1.0, 1: 3.0, 2: 0.0, 3: 0.5})
    one_hot = np.eye(CLASSES, dtype="float32")[y]
    weight = {1: 3.0, 2: 0.0}
    found = [ours.train_on_batch(x, y, class_weight=weight)]
    ours.set_weights(theirs.get_weights())
    ours.compile("sgd", "categorical_crossentropy")
    found.append(ours.train_on_batch(x, one_hot, class_weight=weight))
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_penalties_and_constraints():
    x, y = utterances()

    def make(lib):
        options = {
            "kernel_regularizer": lib.regularizers.L2(0.1),
            "activity_regularizer": lib.regularizers.L1(0.01),
            "kernel_constraint": lib.constraints.MaxNorm(0.5, axis=[0, 1]),
            "bias_constraint": lib.constraints.NonNeg(),
        }
        return classifier(lib, **options)

    ours, theirs = twins(make)
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
    compare_fits(ours, theirs, x, y, validation_split=0.2)
    assert (np.linalg.norm(ours.get_weights()[0], axis=(0, 1)) <= 0.5001).all()


def two_headed(lib):
    a, b = lib.Input((5,), name="a"), lib.Input((3,), name="b")
    hidden = lib.layers.Concatenate()([lib.layers.Dense(4, activation="tanh")(a), b])
    one = lib.layers.Dense(1, activation="sigmoid", name="one")(hidden)
    many = lib.layers.Dense(CLASSES, name="many")(hidden)
    return lib.Model([a, b], [one, many])


@pytest.mark.parametrize("form", ["list", "dict"])
def test_several_outputs(form):
    a, b = RNG.normal(size=(50, 5)), RNG.normal(size=(50, 3))
    one, many = (a[:, :1] > 0) * 1.0, (b[:, 0] > 0).astype(int) + 1
    ours, theirs = twins(two_headed)
    for lib, model in ((isoconv, ours), (keras, theirs)):
        crossentropy = lib.losses.SparseCategoricalCrossentropy(from_logits=True)
        losses = {"one": "binary_crossentropy", "many": crossentropy}
        weights, metrics = {"one": 2.0, "many": 0.5}, {"one": ["accuracy"], "many": ["accuracy"]}
        if form == "list":
            losses, weights, metrics = (list(d.values()) for d in (losses, weights, metrics))
        model.compile("adam", losses, loss_weights=weights, metrics=metrics)
    x = [a, b] if form == "list" else {"a": a, "b": b}
    y = [one, many] if form == "list" else {"one": one, "many": many}
    compare_fits(ours, theirs, x, y, validation_split=0.3)
    mine, his = (model.evaluate(x, y, verbose=0, return_dict=True) for model in (ours, theirs))
    assert mine == pytest.approx(his, rel=1e-3)


def test_one_loss_for_all_outputs_and_outputs_without_loss():
    a, b = RNG.normal(size=(50, 5)), RNG.normal(size=(50, 3))
    y = [RNG.random((50, 1)), RNG.normal(size=(50, CLASSES))]
    ours, theirs = twins(two_headed)
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    compare_fits(ours, theirs, [a, b], y)
    ours.compile("sgd", {"many": "mse"})
    assert list(ours.fit([a, b], {"many": y[1]}).history) == ["loss"]


@pytest.mark.parametrize(
    ("shape", "labels", "kind"),
    [
        ((1,), lambda n: RNG.integers(2, size=n), "binary"),
        ((1,), lambda n: RNG.integers(2, size=(n, 1)), "binary"),
        ((4,), lambda n: RNG.integers(4, size=n), "sparse_categorical"),
        ((4,), lambda n: RNG.integers(4, size=(n, 1)), "sparse_categorical"),
        ((4,), lambda n: np.eye(4)[RNG.integers(4, size=n)], "categorical"),
        ((6, 4), lambda n: RNG.integers(4, size=(n, 6)), "sparse_categorical"),
    ],
)
def test_accuracy_and_crossentropy_by_shapes(shape, labels, kind):
    x = RNG.random((20, *shape)).astype("float32")
    x = x if kind == "binary" else x / x.sum(-1, keepdims=True)
    y = labels(20)
    found = []
    for lib in (isoconv, keras):
        for loss, metric in (("crossentropy", "accuracy"), (f"{kind}_crossentropy", "acc")):
            model = chain(lib, lib.layers.Activation("linear"), shape=shape)
            model.compile("sgd", loss, metrics=[metric])
            found.append(model.evaluate(x, y, verbose=0))
    assert len(found[0]) == 2
    for each in found[1:]:
        assert each == pytest.approx(found[0], rel=1e-5)


def test_a_loss_of_ones_own():
    x = RNG.normal(size=(40, 5)).astype("float32")
    y = x[:, :2] * 3

    def make(lib):
        return chain(lib, lib.layers.Dense(2), shape=(5,))

    ours, theirs = twins(make)
    for lib, model in ((isoconv, ours), (keras, theirs)):

        def cubes(y_true, y_pred, lib=lib):
            return lib.ops.mean(lib.ops.abs(y_true - y_pred) ** 3, axis=-1)

        model.compile("sgd", cubes, metrics=[cubes, "mae"])
    compare_fits(ours, theirs, x, y)


def test_masks_weigh_losses_and_metrics():
    x = RNG.normal(size=(20, 6, 3)).astype("float32")
    x[:, 4:] = 0
    y = RNG.normal(size=(20, 6, 2)).astype("float32")

    def make(lib):
        return chain(lib, lib.layers.Masking(), lib.layers.Dense(2), shape=(6, 3))

    ours, theirs = twins(make)
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    compare_fits(ours, theirs, x, y)
    # In fit, Keras on JAX drops the masks before its metrics see them.
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
    assert ours.evaluate(x, y) == pytest.approx(theirs.evaluate(x, y, verbose=0), rel=1e-5)


def test_single_batches_as_in_keras():
    x, y = utterances(32)
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for rows in (slice(0, 16), slice(16, 32)):
        mine = ours.train_on_batch(x[rows], y[rows])
        assert mine == pytest.approx(theirs.train_on_batch(x[rows], y[rows]), rel=1e-4)
    mine = ours.test_on_batch(x, y, return_dict=True)
    assert mine == pytest.approx(theirs.test_on_batch(x, y, return_dict=True), rel=1e-3)
    assert ours.test_on_batch(x, y) == pytest.approx(ours.evaluate(x, y), rel=1e-6)


def test_freezing_between_fits():
    x, y = utterances()
    ours, theirs = twins(classifier)
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy")
    compare_fits(ours, theirs, x, y, epochs=1)
    before = ours.layers[0].get_weights()[0]
    for model in (ours, theirs):
        model.layers[0].trainable = False
        model.compile("adam", "sparse_categorical_crossentropy")
    compare_fits(ours, theirs, x, y, epochs=1)
    np.testing.assert_array_equal(ours.layers[0].get_weights()[0], before)
