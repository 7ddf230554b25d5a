"""What follows a kernel's own operation elementwise: in its kernel, or beside it."""

import numpy as np
import pytest
from compiled import normal, run, tensor

import isoconv
from isoconv import layers, reference
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.plan import lower as plan_lower
from isoconv.plan.lower import lower


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_row_of_a_tile_has_an_epilogue_of_its_own(width, channels):
    x = np.random.default_rng(0).normal(size=(2, 30, width, channels)).astype("float32")
    inputs = isoconv.Input((30, width, channels))
    conv = layers.Conv2D(16, (2, 1), bias_initializer="ones")
    model = isoconv.Model(inputs, layers.ReLU()(conv(inputs)))
    y = model(x)
    taps, bias = conv.get_weights()
    expected = x[:, :-1] @ taps[0, 0] + x[:, 1:] @ taps[1, 0] + bias
    np.testing.assert_allclose(y, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)


def test_rows_of_a_table_are_added_up_before_anything_else_is_done_with_them():
    """The gradient of an Embedding, with one reader: a step of plain gradient descent."""
    model = isoconv.Sequential([isoconv.Input((4,), dtype="int32"), layers.Embedding(5, 3)])
    model.compile(isoconv.optimizers.SGD(0.5), "mse")
    (before,) = model.get_weights()
    words, target = np.array([[0, 1, 1, 3]]), np.ones((1, 4, 3))
    model.fit(words, target, verbose=0)
    gradient = np.zeros_like(before)
    np.add.at(gradient, words[0], (before[words[0]] - target[0]) * 2 / 12)
    np.testing.assert_allclose(model.get_weights()[0], before - 0.5 * gradient, rtol=1e-5)


@pytest.mark.parametrize("form", [layers.Conv2D(20, 3), layers.DepthwiseConv2D(3)])
def test_what_an_epilogue_reads_twice_needs_no_memory_and_no_kernel(form):
    """ReLU(6.0) reads its input twice: once to compare, once to choose."""
    x = normal(0, 2, 9, 11, 20)
    inputs = isoconv.Input((9, 11, 20))
    before = form(inputs)
    both = isoconv.Model(inputs, [before, layers.ReLU(6.0)(before)])
    model = isoconv.Model(inputs, both.outputs[1])
    assert len(isoconv.explain(model, (9, 11, 20), measure=False).kernels) == 1
    plain, held = both.predict_on_batch(30 * x)
    np.testing.assert_array_equal(held, np.clip(plain, 0, 6))
    np.testing.assert_array_equal(model.predict_on_batch(30 * x), held)
    assert (held.min(), held.max()) == (0, 6)


def framed(sides, value=0.0):
    """A form of an input in a frame, for face y and face w."""
    x, w, y = tensor("x", "n", "L", 5), tensor("w", 3, 5, 8), tensor("y", "n", "Ly", 8)
    low, high = sides
    around = {"low": (0, low, 0), "high": (0, high, 0), "interior": (0, 0, 0)}
    pad = make("pad", x, value=value, **around)
    axes, sizes = (Axis(3, 2, 1, 1, 0),), pad.shape[1:-1]
    for face, other in (("y", w), ("w", y)):
        yield make("conv", pad, other, face=face, axes=axes, groups=1, sizes=sizes)


def check_framed(node, sides):
    length = 12 + sum(sides)
    feeds = {"x": normal(0, 2, 12, 5), "w": normal(1, 3, 5, 8)}
    feeds["y"] = normal(2, 2, (length + 1 - 3) // 2 + 1, 8)
    given = {n["name"]: feeds[n["name"]] for n in Graph((), (node,)).nodes if n.op == "input"}
    (found,) = run([node], given)
    (pad, _) = node.inputs
    graph = Graph((pad.inputs[0], node.inputs[1]), (node,))
    (expected,) = reference.run(graph, given, precision="float64")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sides", [(0, 0), (1, 0), (2, 4)])
def test_zeros_around_the_input_of_a_form_are_its_padding(sides):
    for node in framed(sides):
        lowered = lower(Graph((), (node,)))
        assert "pad" not in {n.op for n in lowered.nodes}
        check_framed(node, sides)


@pytest.mark.parametrize(("sides", "value"), [((-1, 2), 0.0), ((1, 1), 0.5)])
def test_other_frames_are_kept(sides, value):
    for node in framed(sides, value):
        assert "pad" in {n.op for n in lower(Graph((), (node,))).nodes}
        check_framed(node, sides)


def test_a_frame_on_the_wrong_side_is_caught(monkeypatch):
    def turned(axis, **sides):
        return real(axis, low=sides["high"], high=sides["low"])

    real = plan_lower.replace
    monkeypatch.setattr(plan_lower, "replace", turned)
    for node in framed((2, 4)):
        with pytest.raises(AssertionError):
            check_framed(node, (2, 4))
