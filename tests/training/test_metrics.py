"""Metrics against Keras on JAX over several batches, with weights; states; names; own metrics."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import isoconv
from isoconv import metrics, ops
from isoconv.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(3)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


def rising(*shape):
    return RNG.random(shape).astype("float32")


def classes(*shape):
    return RNG.integers(shape[-1], size=shape[:-1])


def one_hot(*shape):
    return np.eye(shape[-1], dtype="float32")[classes(*shape)]


def binary(*shape):
    return RNG.integers(2, size=shape).astype("float32")


CASES = [
    ("Accuracy", binary, binary, {}),
    ("BinaryAccuracy", binary, rising, {}),
    ("BinaryAccuracy", binary, rising, {"threshold": 0.2}),
    ("CategoricalAccuracy", one_hot, real, {}),
    ("SparseCategoricalAccuracy", classes, real, {}),
    ("MeanSquaredError", real, real, {}),
    ("MeanAbsoluteError", real, real, {}),
    ("MeanAbsolutePercentageError", real, real, {}),
    ("MeanSquaredLogarithmicError", rising, rising, {}),
    ("RootMeanSquaredError", real, real, {}),
    ("CosineSimilarity", real, real, {}),
    ("LogCoshError", real, real, {}),
    ("Hinge", binary, real, {}),
    ("Poisson", rising, rising, {}),
    ("KLDivergence", rising, rising, {}),
    ("BinaryCrossentropy", binary, real, {"from_logits": True}),
    ("CategoricalCrossentropy", one_hot, real, {"from_logits": True}),
    ("SparseCategoricalCrossentropy", classes, real, {"from_logits": True}),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5,), (4, 3)], ids=str)
@pytest.mark.parametrize(("name", "label", "prediction", "options"), CASES)
def test_batches_add_up_as_in_keras(name, label, prediction, options, shape, weighted):
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    for batch in (7, 3):
        y_true, y_pred = label(batch, *shape), prediction(batch, *shape)
        weight = rising(batch) if weighted and len(shape) == 1 else None
        ours.update_state(y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)
        np.testing.assert_allclose(ours.result(), theirs.result(), rtol=2e-6, atol=1e-7)
    ours.reset_state()
    assert ours.result() == 0


def test_a_wrong_metric_is_caught():
    ours, theirs = metrics.Mean(), keras.metrics.Mean()
    values = rising(9)
    ours.update_state(values, np.full(9, 1.001, "float32"))
    ours.count.assign(9.0)
    theirs.update_state(values)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(ours.result(), theirs.result(), rtol=2e-6, atol=1e-7)


def test_means_and_sums_of_values():
    for name in ("Mean", "Sum"):
        ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        for args in [(real(5),), (real(4, 3), rising(4)), (real(4, 3), rising(4, 3)), (2.5,)]:
            ours.update_state(*args)
            theirs.update_state(*args)
            # Drawn numbers may add up to nearly nothing: the error is one of their sizes.
            np.testing.assert_allclose(ours.result(), theirs.result(), rtol=2e-6, atol=2e-6)


def test_an_empty_mean_is_zero():
    assert metrics.Mean().result() == 0


def test_configs():
    for name, _, _, options in CASES:
        ours = getattr(metrics, name)(**options, name="own")
        again = metrics.deserialize(metrics.serialize(ours))
        assert type(again) is type(ours)
        assert again.get_config() == ours.get_config()
        assert options.items() <= ours.get_config().items()
        theirs = getattr(keras.metrics, name)(**options, name="own")
        assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()
    assert isinstance(metrics.get("mse"), metrics.MeanSquaredError)
    assert isinstance(metrics.get("binary_accuracy"), metrics.BinaryAccuracy)


@pytest.mark.parametrize("shape", [(6,), (6, 4)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_an_ignored_class_counts_for_nothing_among_weights_only(shape, weighted):
    """Without weights its places are zeros in the mean, as in Keras."""
    y_true = RNG.integers(3, size=shape)
    y_pred = rising(*shape, 3)
    weights = rising(*shape) if weighted else None
    found = []
    for room in (metrics, keras.metrics):
        metric = room.SparseCategoricalCrossentropy(ignore_class=1)
        for _ in range(2):
            metric.update_state(y_true, y_pred, sample_weight=weights)
        found.append(float(metric.result()))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_own_metric_at_once_and_in_fit():
    class Largest(metrics.Metric):
        def __init__(self, name="largest"):
            super().__init__(name)
            self.value = self.add_weight(name="value")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.value.assign(ops.maximum(self.value, ops.max(y_pred)))

        def result(self):
            return self.value * 1.0

    own = Largest()
    own.update_state(np.zeros(3), np.array([1.0, 5.0, 2.0], "float32"))
    own.update_state(np.zeros(3), np.array([1.0, 4.0, 2.0], "float32"))
    assert own.result() == 5
    model = isoconv.Sequential([isoconv.Input((3,)), isoconv.layers.Activation("linear")])
    model.compile("sgd", "mse", metrics=[Largest()])
    x = real(40, 3)
    found = model.evaluate(x, x, return_dict=True)
    assert found == {"loss": 0.0, "largest": pytest.approx(x.max())}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="sample_weight"):
        metrics.Mean().update_state(real(4), rising(4, 2))
    with pytest.raises(ArgumentError, match="among metrics"):
        metrics.get("exactness")
