"""Learning-rate schedules against Keras on JAX, by themselves and inside the step."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import isoconv
from isoconv import layers, optimizers
from isoconv.errors import ArgumentError

schedules = optimizers.schedules

CASES = [
    ("ExponentialDecay", (0.1, 7, 0.9), {}),
    ("ExponentialDecay", (0.1, 7, 0.9), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10], [1.0, 0.5, 0.1]), {}),
    ("PiecewiseConstantDecay", ([5], [1.0, 0.5]), {}),
    ("PolynomialDecay", (0.1, 12), {}),
    ("PolynomialDecay", (0.1, 12, 0.01, 2.0), {}),
    ("PolynomialDecay", (0.1, 4, 0.01, 0.5), {"cycle": True}),
    ("CosineDecay", (0.1, 12), {}),
    ("CosineDecay", (0.1, 12, 0.2), {"warmup_target": 0.5, "warmup_steps": 5}),
    ("CosineDecay", (0.1, 12), {"warmup_target": 0.5}),
    ("CosineDecayRestarts", (0.1, 3), {}),
    ("CosineDecayRestarts", (0.1, 4, 1.0, 0.5, 0.1), {}),
    ("CosineDecayRestarts", (0.1, 3, 1.5, 0.8), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), CASES)
def test_rates_are_those_of_keras(name, args, options):
    ours, theirs = (getattr(each, name)(*args, **options) for each in (schedules, his()))
    found = [float(ours(step)) for step in range(20)]
    np.testing.assert_allclose(found, [float(theirs(step)) for step in range(20)], rtol=2e-5)
    assert ours.get_config() == theirs.get_config()
    again = schedules.deserialize(schedules.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert schedules.serialize(ours) == his().serialize(theirs)


def his():
    return keras.optimizers.schedules


def test_a_wrong_rate_is_caught():
    ours, theirs = schedules.CosineDecay(0.1, 12), his().CosineDecay(0.1, 13)
    assert abs(float(ours(6)) - float(theirs(6))) > 1e-3


def optimizer(name="SGD"):
    return getattr(optimizers, name)(schedules.ExponentialDecay(1.0, 1, 0.5))


def test_each_step_has_its_rate():
    weight, ours = isoconv.Variable(np.zeros(1, "float32")), optimizer()
    for _ in range(3):
        ours.apply([np.ones(1)], [weight])
    assert weight.numpy() == -(1 + 0.5 + 0.25)
    assert ours.learning_rate == 0.125
    # As in Keras, a schedule leaves no learning rate among the variables.
    assert [v.name for v in ours.variables] == ["iteration"]
    assert type(ours).from_config(ours.get_config()).learning_rate == 1.0
    with pytest.raises(ArgumentError, match="a schedule decides"):
        ours.learning_rate = 0.1


def test_in_fit_and_in_files(tmp_path):
    model = isoconv.Sequential([isoconv.Input((3,)), layers.Dense(1)])
    model.compile(optimizer("Adam"), "mse")
    model.fit(np.ones((8, 3)), np.ones(8), batch_size=2, verbose=0)
    model.save(tmp_path / "a.keras")
    again = isoconv.load_model(tmp_path / "a.keras")
    assert again.optimizer.learning_rate == model.optimizer.learning_rate == 0.5**4
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert float(loaded.optimizer.learning_rate) == 0.5**4


def test_own_schedule():
    class Harmonic(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 / (step + 1)

    weight, ours = isoconv.Variable(np.zeros(1, "float32")), optimizers.SGD(Harmonic())
    for _ in range(3):
        ours.apply([np.ones(1)], [weight])
    np.testing.assert_allclose(weight.numpy(), -(1 + 1 / 2 + 1 / 3), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("ExponentialDecay", (0.1, 0, 0.9), "decay_steps: expected a number above 0; got 0"),
        ("CosineDecayRestarts", (0.1, 0), "first_decay_steps: expected a number above 0"),
        ("PiecewiseConstantDecay", ([1, 2], [0.1]), "one value more than boundaries"),
    ],
)
def test_bad_arguments(name, args, message):
    with pytest.raises(ArgumentError, match=message):
        getattr(schedules, name)(*args)
