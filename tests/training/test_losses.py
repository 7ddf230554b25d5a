"""Losses against Keras on JAX: values, gradients, weights and masks; and what is refused."""

from __future__ import annotations

import jax
import keras
import numpy as np
import pytest

import isoconv
from isoconv import losses, ops
from isoconv.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(7)

pytestmark = pytest.mark.usefixtures("keras_in_float64")


def close(actual, expected, rtol=1e-6):
    """Keras' mean of float64 numbers is one of float32 numbers."""
    expected = np.asarray(expected)
    assert np.shape(actual) == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def real(*shape):
    return RNG.normal(size=shape)


def probabilities(*shape):
    raised = np.exp(real(*shape))
    return raised / raised.sum(-1, keepdims=True)


def one_hot(*shape):
    return np.eye(shape[-1])[RNG.integers(shape[-1], size=shape[:-1])]


SHAPES = [(8, 5), (3, 9, 4)]

# Name, labels, predictions, options.
CASES = [
    ("mean_squared_error", real, real, {}),
    ("mean_absolute_error", real, real, {}),
    ("mean_absolute_percentage_error", real, real, {}),
    ("mean_squared_logarithmic_error", probabilities, probabilities, {}),
    ("huber", real, real, {}),
    ("huber", real, real, {"delta": 0.3}),
    ("log_cosh", real, real, {}),
    ("cosine_similarity", real, real, {}),
    ("hinge", lambda *shape: np.sign(real(*shape)), real, {}),
    ("hinge", lambda *shape: (real(*shape) > 0) * 1.0, real, {}),
    ("squared_hinge", lambda *shape: (real(*shape) > 0) * 1.0, real, {}),
    ("categorical_hinge", one_hot, real, {}),
    ("kl_divergence", probabilities, probabilities, {}),
    ("poisson", probabilities, probabilities, {}),
    ("binary_crossentropy", one_hot, probabilities, {}),
    ("binary_crossentropy", one_hot, real, {"from_logits": True}),
    ("binary_crossentropy", one_hot, probabilities, {"label_smoothing": 0.1}),
    ("categorical_crossentropy", one_hot, probabilities, {}),
    ("categorical_crossentropy", one_hot, real, {"from_logits": True}),
    ("categorical_crossentropy", one_hot, probabilities, {"label_smoothing": 0.2}),
    ("binary_focal_crossentropy", one_hot, probabilities, {"label_smoothing": 0.1}),
    (
        "binary_focal_crossentropy",
        one_hot,
        real,
        {"apply_class_balancing": True, "gamma": 1.5, "from_logits": True},
    ),
    ("categorical_focal_crossentropy", one_hot, probabilities, {"alpha": 0.5}),
    (
        "categorical_focal_crossentropy",
        one_hot,
        real,
        {"from_logits": True, "gamma": 1.5, "label_smoothing": 0.2},
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "label", "prediction", "options"), CASES)
def test_values_and_gradients_are_those_of_keras(name, label, prediction, options, shape):
    y_true, y_pred = label(*shape), prediction(*shape)
    compare(name, y_true, y_pred, options)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("shape", [(8, 5), (3, 9, 4)], ids=str)
@pytest.mark.parametrize("column", [False, True])
def test_sparse_crossentropy(shape, from_logits, column):
    y_true = RNG.integers(shape[-1], size=(*shape[:-1], 1) if column else shape[:-1])
    y_pred = real(*shape) if from_logits else probabilities(*shape)
    options = {"from_logits": from_logits}
    compare("sparse_categorical_crossentropy", y_true, y_pred, options)


def compare(name, y_true, y_pred, options):
    """Asserts that a function has Keras' values and gradient."""
    ours, theirs = getattr(losses, name), getattr(keras.losses, name)
    close(ours(y_true, y_pred, **options), theirs(y_true, y_pred, **options))
    value, pullback = isoconv.vjp(lambda p: ours(y_true, p, **options), y_pred)
    flow = real(*value.shape)
    _, pull = jax.vjp(lambda p: theirs(y_true, p, **options), y_pred)
    close(pullback(flow)[0], pull(flow)[0])


def test_a_wrong_loss_is_caught():
    y_true, y_pred = real(8, 5), real(8, 5)
    right = losses.mean_squared_error(y_true, y_pred)
    with pytest.raises(AssertionError):
        close(right * 1.001, keras.losses.mean_squared_error(y_true, y_pred))


CLASSES = [
    ("MeanSquaredError", {}),
    ("Huber", {"delta": 0.7}),
    ("LogCosh", {}),
    ("CosineSimilarity", {"axis": -1}),
    ("BinaryCrossentropy", {"from_logits": True}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
    ("Poisson", {}),
    ("KLDivergence", {}),
    ("MeanAbsoluteError", {}),
    ("Hinge", {}),
]


@pytest.mark.parametrize(
    ("name", "options", "reduction"),
    [
        *((name, options, "sum_over_batch_size") for name, options in CLASSES),
        *(("MeanSquaredError", {}, other) for other in ("sum", "none", "mean", None)),
    ],
)
def test_classes_reduce_and_weigh_as_keras(name, options, reduction):
    ours = getattr(losses, name)(reduction=reduction, **options)
    theirs = getattr(keras.losses, name)(reduction=reduction, **options)
    y_true, y_pred = probabilities(6, 5), probabilities(6, 5)
    close(ours(y_true, y_pred), theirs(y_true, y_pred))
    weight = RNG.random(6)
    close(ours(y_true, y_pred, weight), theirs(y_true, y_pred, weight))
    close(ours(y_true, y_pred, weight[:, None]), theirs(y_true, y_pred, weight[:, None]))
    steps = probabilities(6, 4, 5), probabilities(6, 4, 5)
    weight = RNG.random((6, 4))
    close(ours(*steps, weight), theirs(*steps, weight))


def test_weighted_mean_divides_by_the_weights():
    y_true, y_pred, weight = real(6, 5), real(6, 5), RNG.random(6)
    ours = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    theirs = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    close(ours(y_true, y_pred, weight), theirs(y_true, y_pred, weight))


def test_a_weight_a_sample_weighs_all_its_steps():
    y_true, y_pred, weight = real(6, 4, 5), real(6, 4, 5), RNG.random(6)
    expected = (((y_true - y_pred) ** 2).mean(-1) * weight[:, None]).mean()
    close(losses.MeanSquaredError()(y_true, y_pred, weight), expected)


def test_ignored_class_counts_for_nothing():
    y_true, y_pred = np.array([0, 2, 1, 2]), probabilities(4, 3)
    ours = losses.SparseCategoricalCrossentropy(ignore_class=2)
    theirs = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    close(ours(y_true, y_pred), theirs(y_true, y_pred))


def test_masked_steps_count_for_nothing():
    x = real(4, 5, 3)
    x[:, 3:] = 0
    mask = isoconv.layers.Masking(dtype="float64")
    value, _ = isoconv.vjp(lambda a: losses.MeanSquaredError()(ops.zeros_like(a), mask(a)), x)
    close(value, (x[:, :3] ** 2).mean())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("binary_crossentropy", {}),
        ("binary_crossentropy", {"from_logits": True}),
        ("categorical_crossentropy", {}),
        ("categorical_crossentropy", {"from_logits": True}),
        ("kl_divergence", {}),
        ("log_cosh", {}),
    ],
)
def test_extremes_stay_finite(name, options):
    big = 1e4 if options or name == "log_cosh" else 1.0
    y_true = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
    y_pred = np.array([[big, 0.0], [0.0, big]], "float32")
    function = getattr(losses, name)
    value, pullback = isoconv.vjp(lambda p: function(y_true, p, **options), y_pred)
    assert np.isfinite(value).all()
    assert np.isfinite(pullback(np.ones_like(value))[0]).all()


def test_names_and_configs():
    assert losses.get("mse") is losses.get("mean_squared_error") is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert losses.get(None) is None
    for name, options in CLASSES:
        ours = getattr(losses, name)(**options, name="own")
        theirs = getattr(keras.losses, name)(**options, name="own")
        # Keras forgets the delta of Huber.
        assert theirs.get_config().items() <= ours.get_config().items()
        assert type(ours).from_config(theirs.get_config()).name == "own"
        again = losses.deserialize(losses.serialize(ours))
        assert type(again) is type(ours)
        assert again.get_config() == ours.get_config()


def test_own_losses():
    class Squares(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.sum(ops.square(y_true - y_pred), -1)

    y_true, y_pred = real(6, 5), real(6, 5)
    close(Squares()(y_true, y_pred), ((y_true - y_pred) ** 2).sum(-1).mean())
    wrapped = losses.LossFunctionWrapper(lambda t, p: ops.mean(t * p, -1))
    close(wrapped(y_true, y_pred), (y_true * y_pred).mean())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="mean_squared_error: expected labels shaped as"):
        losses.mean_squared_error(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="use categorical_crossentropy"):
        losses.sparse_categorical_crossentropy(np.ones((4, 3)), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="sample_weight: expected a weight for each sample"):
        losses.MeanSquaredError()(np.ones((4, 2)), np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(ArgumentError, match="reduction: expected one of 'sum_over_batch_size'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ArgumentError, match="label_smoothing"):
        losses.BinaryCrossentropy(label_smoothing=2)
    with pytest.raises(ArgumentError, match="among losses"):
        losses.get("mean_cubed_error")
