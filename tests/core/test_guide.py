"""The layers and functions that docs/extending.md shows are run as they stand there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import isoconv
from isoconv import ops
from isoconv.autodiff import gradients
from isoconv.layers import Layer, arguments
from isoconv.ops.compiled import Compiled
from isoconv.ops.convert import as_float
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import absolute, where
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.optimizers import Optimizer

GUIDE = Path(__file__).parents[2] / "docs/extending.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def shown():
    """Everything the guide defines."""
    model = isoconv.Sequential([isoconv.layers.Dense(1)])
    model.build((None, 2))
    names: dict[str, Any] = {
        **globals(), "model": model, "learning_rate": 0.1,
    }  # fmt: skip
    for block in BLOCKS:
        exec(block, names)
    return names


def test_operation(shown):
    np.testing.assert_array_equal(shown["hard_shrink"](np.array([0.2, -3.0])), [0, -3])


def test_geometry(shown):
    layer = shown["MaxOverTime"](3, padding="same")
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    expected = keras.layers.MaxPooling1D(3, padding="same")(x)
    np.testing.assert_array_equal(layer(x), expected)
    assert layer.compute_output_shape((None, 7, 3)) == (None, 3, 3)
    mask = np.array([[True] * 4 + [False] * 3] * 2)
    assert np.isneginf(layer(x, mask=mask)[:, 2]).all()
    assert shown["MaxOverTime"].from_config(layer.get_config()).window == (3,)


def test_state(shown):
    layer = shown["RunningMean"](momentum=0.5)
    x = np.ones((2, 3, 4), "float32")
    layer(x, training=True)
    np.testing.assert_array_equal(layer.mean, [0.5] * 4)
    np.testing.assert_array_equal(layer(x), x - 0.5)


def test_random(shown):
    x = np.zeros((100, 9), "float32")
    layer = shown["Noise"](2.0, seed=1)
    assert (layer(x, training=True) != layer(x, training=True)).all()
    assert layer(x, training=True).std() == pytest.approx(2.0, abs=0.2)


def test_training(shown):
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    losses = [float(shown["run"](x, y)) for _ in range(20)]
    assert losses[-1] < 1e-3 < losses[0]
    assert shown["model"].weights[0].version == 20


def test_optimizer(shown):
    weight = Variable(np.zeros(3, "float32"))
    shown["Lion"](0.5).apply([np.array([3.0, -1.0, 0.0])], [weight])
    assert weight.numpy().tolist() == [-0.5, 0.5, 0.0]


USED = (math, Sequence, gradients, Layer, arguments, as_float, op, absolute, where, Compiled,
        SeedGenerator, Tensor, Variable, Optimizer, ops)  # fmt: skip
