"""Axes that do not slide are none: fewer axes for the kernels, the same bits in all three faces."""

from __future__ import annotations

import numpy as np
import pytest

import isoconv
from isoconv import layers
from isoconv.ops.program import Spec, trace
from isoconv.reference.run import run
from isoconv.rewriting import axes, driver

# A layer, its input's shape, and how many axes its form is left with.
CASES = [
    (lambda: layers.Conv1D(5, 7), (7, 3), 0),
    (lambda: layers.Conv1D(5, 7, strides=2, use_bias=False), (7, 1), 0),
    (lambda: layers.Conv1D(5, 1), (7, 3), 0),
    (lambda: layers.Conv2D(5, (3, 4)), (9, 4, 2), 1),
    (lambda: layers.Conv2D(5, (1, 3)), (4, 9, 2), 1),
    (lambda: layers.Conv2D(5, (6, 1)), (6, 1, 3), 0),
    (lambda: layers.Conv3D(5, (2, 3, 4)), (2, 3, 4, 2), 0),
    (lambda: layers.Conv3D(6, (1, 3, 1), groups=2), (2, 5, 1, 4), 2),
    (lambda: layers.Conv1D(5, 7, padding="same"), (7, 3), 1),
    (lambda: layers.Conv1D(5, 4, dilation_rate=2), (7, 3), 1),
    (lambda: layers.Conv1D(5, 1, strides=2), (7, 3), 1),
    (lambda: layers.Conv1D(6, 7, groups=3), (7, 3), 1),
]


@pytest.mark.parametrize(("make", "shape", "left"), CASES)
def test_the_form_keeps_its_meaning(make, shape, left):
    layer = make()
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    layer.build(x.shape)
    traced = trace(lambda x: isoconv.vjp(layer, x)[0], [Spec(x.shape, "float32")])
    found, steps = driver.apply(traced.graph, axes.RULES)
    (form,) = (node for node in found.nodes if node.op == "conv")
    assert len(form["axes"]) == left
    assert bool(steps) == (left < len(layer.kernel_size))
    names = [node["name"] for node in found.inputs]
    feeds = dict(zip(names, [x, *(each.array for each in traced.captured)], strict=True))
    (old,), (new,) = (run(graph, feeds, precision="float64") for graph in (traced.graph, found))
    np.testing.assert_allclose(new, old, rtol=1e-12)


@pytest.mark.parametrize(("make", "shape", "left"), CASES)
def test_outputs_and_gradients_keep_their_bits(make, shape, left, monkeypatch):
    """More samples than one block of a weight gradient, and compiled."""
    x = np.random.default_rng(1).normal(size=(300, *shape)).astype("float32")

    def computed():
        isoconv.utils.set_random_seed(3)
        layer = make()
        y, pullback = isoconv.vjp(layer, x)
        dx, weights = pullback(np.cos(y))
        return [y, dx, *weights]

    with_rules = computed()
    monkeypatch.setattr("isoconv.rewriting.rules.LAST", ())
    for new, old in zip(with_rules, computed(), strict=True):
        np.testing.assert_array_equal(new, old)
