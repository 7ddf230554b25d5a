"""Optimizers against Keras on JAX over several steps; clipping, decay, constraints, configs."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest

import isoconv
from isoconv import Variable, constraints, ops, optimizers
from isoconv.errors import ArgumentError, ShapeError

CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.5, "clipvalue": 0.3}),
    ("SGD", {"clipnorm": 0.5}),
    ("SGD", {"global_clipnorm": 0.5}),
    ("SGD", {"global_clipnorm": 500.0}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"clipnorm": 1.0, "weight_decay": 0.01}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"weight_decay": 0.0, "clipnorm": 0.0}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "rho": 0.5, "epsilon": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-3}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.3, "beta_2": 0.7, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("Adam", {"gradient_accumulation_steps": 3, "global_clipnorm": 1.0, "weight_decay": 0.1}),
    ("Nadam", {"gradient_accumulation_steps": 2}),
    ("SGD", {"use_ema": True}),
    ("Adam", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 2}),
    (
        "RMSprop",
        {"use_ema": True, "ema_overwrite_frequency": 1, "gradient_accumulation_steps": 2},
    ),
]
SHAPES = [(3, 4, 5), (5,), ()]


def steps(count, seed=0):
    """Initial values, and gradients for each step."""
    rng = np.random.default_rng(seed)
    start = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    slopes = [[rng.normal(size=s).astype("float32") for s in SHAPES] for _ in range(count)]
    return start, slopes


def run(name, options, constraint=None):
    """The variables of both after six steps, and both optimizers."""
    start, slopes = steps(6)
    own = {} if constraint is None else {"constraint": constraint}
    mine = [Variable(value, **own) for value in start]
    his = [keras.Variable(value) for value in start]
    ours, theirs = getattr(optimizers, name)(**options), getattr(keras.optimizers, name)(**options)
    for slope in slopes:
        ours.apply(slope, mine)
        theirs.apply(slope, his)
    return mine, his, ours, theirs


def compare(mine, his, rtol=2e-6):
    for ours, theirs in zip(mine, his, strict=True):
        np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_those_of_keras(name, options):
    mine, his, ours, theirs = run(name, options)
    compare(mine, his)
    assert int(ours.iterations) == 6
    # Saved files hold the state in this order.
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    compare(ours.variables, theirs.variables)


def test_averages_become_the_variables_in_the_end():
    mine, his, ours, theirs = run("SGD", {"learning_rate": 0.1, "use_ema": True})
    before = mine[0].numpy()
    ours.finalize_variable_values(mine)
    theirs.finalize_variable_values(his)
    compare(mine, his)
    assert (mine[0].numpy() != before).any()


def test_a_wrong_step_is_caught():
    mine, his, _, _ = run("Adam", {})
    mine[0].assign(mine[0].numpy() * 1.0001)
    with pytest.raises(AssertionError):
        compare(mine, his)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_configs_make_the_same_again(name, options):
    ours = getattr(optimizers, name)(**options)
    theirs = getattr(keras.optimizers, name)(**options)
    assert not set(ours.get_config()) - set(theirs.get_config())
    for config in (ours.get_config(), theirs.get_config()):
        again = type(ours).from_config(config)
        assert {**again.get_config(), "name": 0} == {**ours.get_config(), "name": 0}
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("kept", ["listed", "named", "both", "no longer"])
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_excluded_variables_do_not_decay(name, kept):
    start, slopes = steps(3)
    found = []
    for optimizer, variable in [(optimizers, Variable), (keras.optimizers, keras.Variable)]:
        chosen = [variable(v, name=n) for v, n in zip(start, "abc", strict=True)]
        rule = getattr(optimizer, name)(0.1, weight_decay=0.5)
        if kept != "named":
            rule.exclude_from_weight_decay(chosen[:1])
        if kept != "listed":
            rule.exclude_from_weight_decay(chosen[:1] * (kept == "both"), ["b", "x"])
        for slope in slopes:
            rule.apply(slope, chosen)
        found.append(chosen)
    compare(*found)
    plain = getattr(optimizers, name)(0.1)
    plain.weight_decay = None
    free = [Variable(value) for value in start]
    for slope in slopes:
        plain.apply(slope, free)
    still = [bool((a.numpy() == b.numpy()).all()) for a, b in zip(found[0], free, strict=True)]
    assert still == [kept in ("listed", "both"), kept != "listed", False]


def test_constraints_come_after_the_update():
    start, slopes = steps(1)
    free, held = Variable(start[0]), Variable(start[0], constraint=constraints.NonNeg())
    optimizers.SGD(1.0).apply(slopes[0][:1], [free])
    optimizers.SGD(1.0).apply(slopes[0][:1], [held])
    np.testing.assert_array_equal(held.numpy(), np.maximum(free.numpy(), 0))
    assert (free.numpy() < 0).any()


def test_learning_rate_is_seen_without_compiling():
    variable = Variable(np.zeros(2, "float32"))
    ours = optimizers.SGD(1.0)
    ours.apply([np.ones(2)], [variable])
    before = isoconv.ops.program.compiler.compile
    isoconv.ops.program.compiler.compile = None
    try:
        ours.learning_rate = 10.0
        ours.apply([np.ones(2)], [variable])
        ours.learning_rate.assign(100.0)
        ours.apply_gradients([(np.ones(2), variable)])
    finally:
        isoconv.ops.program.compiler.compile = before
    assert variable.numpy().tolist() == [-111.0, -111.0]


def test_in_a_step_of_ones_own():
    weight = Variable(np.array([3.0, -2.0], "float32"))
    ours = optimizers.SGD(0.1)
    slopes = isoconv.value_and_grad(lambda: ops.sum(ops.square(weight)), [weight])
    for _ in range(3):
        _, found = slopes()
        ours.apply(found, [weight])
    np.testing.assert_allclose(weight.numpy(), np.array([3.0, -2.0]) * 0.8**3, rtol=1e-6)


def test_copies_go_on_alike():
    start, slopes = steps(4)
    pair = Variable(start[0]), optimizers.Adam(0.1)
    pair[1].apply(slopes[0][:1], [pair[0]])
    twin = copy.deepcopy(pair)
    for variable, ours in (pair, twin):
        for slope in slopes[1:]:
            ours.apply(slope[:1], [variable])
    np.testing.assert_array_equal(pair[0].numpy(), twin[0].numpy())
    assert pair[0] is not twin[0]


def test_own_optimizer():
    class Signs(optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable - ops.sign(gradient) * learning_rate)

    weight = Variable(np.zeros(3, "float32"))
    Signs(0.5).apply([np.array([3.0, -1.0, 0.0])], [weight])
    assert weight.numpy().tolist() == [-0.5, 0.5, 0.0]


def test_names():
    for name, cls in [("adam", "Adam"), ("AdamW", "AdamW"), ("rmsprop", "RMSprop"), ("SGD", "SGD")]:
        assert type(optimizers.get(name)) is getattr(optimizers, cls)
    with pytest.raises(ArgumentError, match="among optimizers"):
        optimizers.get("adamant")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"learning_rate": -1.0}, "learning_rate: expected a finite number"),
        ("SGD", {"learning_rate": float("nan")}, "learning_rate"),
        ("SGD", {"learning_rate": "fast"}, "learning_rate"),
        ("SGD", {"momentum": 2.0}, "momentum: expected a number from 0 to 1"),
        ("SGD", {"clipnorm": 1.0, "clipvalue": 1.0}, "at most one of clipnorm"),
        ("SGD", {"clipnorm": -1.0}, "clipnorm"),
        ("SGD", {"decay": 0.1}, "expected arguments that the optimizer has; got decay"),
        ("SGD", {"use_ema": True, "ema_momentum": 2.0}, "ema_momentum: expected a number from 0"),
        ("SGD", {"ema_overwrite_frequency": 0}, "ema_overwrite_frequency: expected None or"),
        ("SGD", {"gradient_accumulation_steps": 1}, "an integer of at least 2"),
        ("SGD", {"loss_scale_factor": 2.0}, "loss_scale_factor: expected None"),
        ("Lion", {"beta_1": 0}, "beta_1: expected a number above 0"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        ("Adam", {"beta_1": 1.5}, "beta_1"),
        ("AdamW", {"weight_decay": None}, "weight_decay"),
    ],
)
def test_bad_arguments(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        getattr(optimizers, name)(**options)


def test_what_does_not_fit_is_refused():
    variable, other = Variable(np.zeros(2, "float32")), Variable(np.zeros(2, "float32"))
    ours = optimizers.SGD()
    ours.build([variable])
    with pytest.raises(ShapeError, match="gradient of variable"):
        ours.apply([np.ones(3)], [variable])
    with pytest.raises(ArgumentError, match="expected 1, one a variable"):
        ours.apply([], [variable])
    with pytest.raises(ArgumentError, match="variables that it was built with"):
        ours.apply([np.ones(2)], [other])
    with pytest.raises(ArgumentError, match="a call before the optimizer has its variables"):
        ours.exclude_from_weight_decay([variable])
    for options in ({"var_names": "bias"}, {"var_list": [np.ones(2)]}):
        with pytest.raises(ArgumentError, match="expected a list of"):
            optimizers.SGD().exclude_from_weight_decay(**options)
    assert variable.numpy().tolist() == [0, 0]
    assert int(ours.iterations) == 0
