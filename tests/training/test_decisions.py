"""Metrics of decisions (counts, precision, AUC, F-scores, confusion) against Keras on JAX."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import isoconv
from isoconv import layers, metrics
from isoconv.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(5)
SAMPLES, CLASSES = 40, 4

BINARY = RNG.integers(2, size=SAMPLES).astype("float32")
RISING = RNG.random(SAMPLES).astype("float32")
ONE_HOT = np.eye(CLASSES, dtype="float32")[RNG.integers(CLASSES, size=SAMPLES)]
SEVERAL = RNG.integers(2, size=(SAMPLES, CLASSES)).astype("float32")
SCORES = RNG.random((SAMPLES, CLASSES)).astype("float32")
NUMBERS = RNG.integers(CLASSES, size=SAMPLES)
TAKEN = RNG.integers(CLASSES, size=SAMPLES)
WEIGHTS = RNG.random(SAMPLES).astype("float32")

ONE = (BINARY, RISING)
MANY = (SEVERAL, SCORES)
CASES = [
    *[(name, ONE, {}) for name in ("TruePositives", "FalsePositives", "Precision", "Recall")],
    *[(name, ONE, {"thresholds": 0.3}) for name in ("TrueNegatives", "FalseNegatives")],
    ("Precision", ONE, {"thresholds": [0.2, 0.7]}),
    ("Recall", MANY, {"class_id": 2}),
    ("Precision", MANY, {"top_k": 2}),
    ("Recall", MANY, {"top_k": 2, "class_id": 1}),
    ("AUC", ONE, {}),
    ("AUC", ONE, {"num_thresholds": 7, "summation_method": "minoring"}),
    ("AUC", ONE, {"thresholds": [0.1, 0.5, 0.6], "summation_method": "majoring"}),
    ("AUC", ONE, {"curve": "PR"}),
    ("AUC", ONE, {"curve": "PR", "summation_method": "minoring"}),
    ("AUC", ONE, {"curve": "PRGAIN"}),
    ("AUC", MANY, {}),
    ("AUC", (SEVERAL, SCORES * 8 - 4), {"from_logits": True}),
    ("AUC", MANY, {"multi_label": True}),
    ("AUC", MANY, {"multi_label": True, "num_labels": CLASSES, "label_weights": [1, 2, 3, 0.5]}),
    ("AUC", MANY, {"multi_label": True, "curve": "PR"}),
    ("SensitivityAtSpecificity", ONE, {"specificity": 0.4}),
    ("SpecificityAtSensitivity", ONE, {"sensitivity": 0.4, "num_thresholds": 20}),
    ("PrecisionAtRecall", ONE, {"recall": 0.6}),
    ("RecallAtPrecision", ONE, {"precision": 0.5}),
    ("FBetaScore", (ONE_HOT, SCORES), {}),
    ("FBetaScore", MANY, {"average": "micro", "beta": 2.0, "threshold": 0.4}),
    ("FBetaScore", (ONE_HOT, SCORES), {"average": "weighted", "beta": 0.5}),
    ("F1Score", (ONE_HOT, SCORES), {"average": "macro"}),
    ("TopKCategoricalAccuracy", (ONE_HOT, SCORES), {"k": 2}),
    ("SparseTopKCategoricalAccuracy", (NUMBERS, SCORES), {"k": 3}),
    ("SquaredHinge", MANY, {}),
    ("CategoricalHinge", MANY, {}),
    ("IoU", (NUMBERS, TAKEN), {"num_classes": CLASSES, "target_class_ids": [0, 2]}),
    ("MeanIoU", (NUMBERS, TAKEN), {"num_classes": CLASSES, "ignore_class": 1}),
    ("MeanIoU", (ONE_HOT, SCORES), {"num_classes": 4, "sparse_y_true": 0, "sparse_y_pred": 0}),
]


PER_SAMPLE = ("FBetaScore", "F1Score", "TopK", "SparseTopK", "MeanIoU", "IoU", "Squared", "Categ")


def weights_for_keras(name, predicted, options):
    """As many as the predictions that count."""
    if name.startswith(PER_SAMPLE):
        return WEIGHTS
    wide = WEIGHTS.reshape(-1, *(1,) * (predicted.ndim - 1))
    return wide if "class_id" in options else np.broadcast_to(wide, predicted.shape)


@pytest.mark.parametrize(("name", "data", "options"), CASES)
def test_values_are_those_of_keras(name, data, options):
    if name.endswith("IoU"):
        options = options | {"dtype": "float32"}
    ours, theirs = (getattr(each, name)(**options) for each in (metrics, keras.metrics))
    weights = weights_for_keras(name, data[1], options)
    # A batch without weights, then one with.
    for part, own, wide in [(slice(0, 25), None, None), (slice(25, SAMPLES), WEIGHTS, weights)]:
        labels, predicted = (each[part] for each in data)
        ours.update_state(labels, predicted, None if own is None else own[part])
        theirs.update_state(labels, predicted, None if wide is None else wide[part])
    expected = np.asarray(theirs.result())
    np.testing.assert_allclose(ours.result(), expected, rtol=1e-5, atol=1e-6)
    assert np.shape(ours.result()) == expected.shape
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    type(theirs).from_config(ours.get_config() | {"dtype": "float32"})
    ours.reset_state()
    assert not any(variable.numpy().any() for variable in ours.variables)


def test_a_wrong_decision_is_caught():
    ours, theirs = metrics.AUC(), keras.metrics.AUC()
    ours.update_state(BINARY, RISING)
    theirs.update_state(np.r_[1 - BINARY[:1], BINARY[1:]], RISING)
    assert abs(float(ours.result()) - float(theirs.result())) > 1e-3


def test_confusion_matrix():
    ours = metrics.ConfusionMatrix(CLASSES)
    ours.update_state(NUMBERS, SCORES, WEIGHTS)
    expected = np.zeros((CLASSES, CLASSES))
    np.add.at(expected, (NUMBERS, SCORES.argmax(1)), WEIGHTS)
    np.testing.assert_allclose(ours.result(), expected, rtol=1e-5)
    # What is no class does not count.
    ours.update_state(np.array([-1, CLASSES]), SCORES[:2])
    np.testing.assert_allclose(ours.result(), expected, rtol=1e-5)


def classifier(*measures, **options):
    model = isoconv.Sequential([isoconv.Input((5,)), layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=list(measures), **options)
    return model


def test_in_fit_and_weighted(tmp_path):
    x = RNG.normal(size=(SAMPLES, 5))
    matrix = metrics.ConfusionMatrix(CLASSES, "matrix", sparse_y_true=False)
    measures = [metrics.F1Score(), matrix]
    model = classifier("accuracy", *measures, weighted_metrics=[metrics.AUC(name="area")])
    found = model.fit(x, ONE_HOT, epochs=2, sample_weight=WEIGHTS, verbose=2).history
    assert [np.shape(found[name][0]) for name in ("f1_score", "area")] == [(CLASSES,), ()]
    assert found["matrix"][1].shape == (CLASSES, CLASSES)
    assert found["matrix"][1].sum() == SAMPLES
    theirs = keras.metrics.AUC()
    wide = np.broadcast_to(WEIGHTS[:, None], ONE_HOT.shape)
    theirs.update_state(ONE_HOT, model.predict(x), sample_weight=wide)
    logs = model.evaluate(x, ONE_HOT, sample_weight=WEIGHTS, return_dict=True)
    assert logs["area"] == pytest.approx(float(theirs.result()), abs=1e-6)
    model.save(tmp_path / "model.keras")
    again = isoconv.load_model(tmp_path / "model.keras")
    assert (
        again.evaluate(x, ONE_HOT, sample_weight=WEIGHTS, return_dict=True)["area"] == logs["area"]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=2.0), "thresholds: expected numbers from 0 to 1"),
        (lambda: metrics.AUC(curve="LIFT"), "curve: expected one of ROC, PR, PRGAIN"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds: expected an integer of at least"),
        (lambda: metrics.AUC(num_labels=3), "num_labels: expected None without multi_label"),
        (lambda: metrics.PrecisionAtRecall(2.0), "recall: expected a number from 0 to 1"),
        (lambda: metrics.FBetaScore("mean"), "average: expected one of"),
        (lambda: metrics.F1Score(threshold=2.0), "threshold: expected a number above 0"),
        (lambda: metrics.ConfusionMatrix(0), "num_classes: expected an integer of at least 1"),
        (lambda: metrics.IoU(2, [2]), "target_class_ids: expected numbers below 2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (metrics.Precision(class_id=7), "metric 'precision': class_id: expected a number below 4"),
        (metrics.AUC(multi_label=True, num_labels=3), r"metric 'auc': expected \(batch, 3\)"),
    ],
)
def test_metrics_that_do_not_fit_are_named(measure, message):
    measure.name = message.split("'")[1]
    model = classifier(measure)
    before = model.get_weights()
    with pytest.raises(ShapeError, match=message):
        model.fit(np.ones((8, 5)), ONE_HOT[:8], verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
