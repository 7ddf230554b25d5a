"""Merging layers against Keras: broadcasting, gradients, masks."""

import jax
import keras
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError

SAME = [(2, 5, 3)] * 3
ELEMENTWISE = ["Add", "Multiply", "Average", "Maximum", "Minimum"]
CASES = [
    *[(name, {}, SAME) for name in ELEMENTWISE],
    *[(name, {}, [(2, 5, 3), (2, 1, 3), (2, 3)]) for name in ELEMENTWISE],
    ("Add", {}, [(2, 3)]),
    ("Subtract", {}, SAME[:2]),
    ("Subtract", {}, [(2, 1, 3), (2, 4, 1)]),
    ("Concatenate", {}, [(2, 5, 3), (2, 5, 1), (2, 5, 8)]),
    ("Concatenate", {"axis": 1}, [(2, 4, 3), (2, 5, 3)]),
    ("Concatenate", {"axis": -2}, [(2, 4, 3), (2, 5, 3)]),
    ("Dot", {"axes": 1}, [(3, 4), (3, 4)]),
    ("Dot", {"axes": (2, 1)}, [(2, 5, 3), (2, 3, 4)]),
    ("Dot", {"axes": -1}, [(2, 5, 3), (2, 4, 3)]),
    ("Dot", {"axes": (1, 1), "normalize": True}, [(2, 5, 3), (2, 5)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3), (2, 4, 3, 5)]),
    ("Dot", {"axes": (3, 1)}, [(2, 2, 4, 3), (2, 3)]),
]


@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=str)
def test_merge_is_keras(name, options, shapes):
    ours = getattr(layers, name)(dtype="float64", **options)
    theirs = getattr(keras.layers, name)(dtype="float64", **options)
    inputs = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    theirs.build(shapes)
    expected, pull = jax.vjp(lambda given: theirs(given), inputs)
    flow = numbers(*expected.shape, seed=9)
    actual, pullback = isoconv.vjp(ours, inputs)
    close(actual, expected)
    for mine, his in zip(pullback(flow)[0], pull(flow)[0], strict=True):
        close(mine, his)
    batchless = [(None, *shape[1:]) for shape in shapes]
    assert ours.compute_output_shape(batchless) == theirs.compute_output_shape(batchless)
    again = getattr(keras.layers, name).from_config(ours.get_config())
    assert type(ours).from_config(again.get_config()).get_config() == ours.get_config()


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Subtract", "Concatenate"])
@pytest.mark.parametrize("masked", [(0, 1), (0,), (1,)], ids=str)
def test_masks_are_merged_as_in_keras(name, masked):
    x = [np.round(numbers(4, 6, 3, seed=i), 3) for i in range(2)]
    for i in range(2):
        x[i][numbers(4, 6, seed=i) > 0] = 0
    found = []
    for kit in (isoconv, keras):
        inputs = [kit.Input((6, 3), dtype="float64") for _ in x]
        masking = kit.layers.Masking(dtype="float64")
        given = [masking(t) if i in masked else t for i, t in enumerate(inputs)]
        merged = getattr(kit.layers, name)(dtype="float64")(given)
        # The mask is seen through what it does to the statistics of a batch.
        norm = kit.layers.BatchNormalization(momentum=0.0, dtype="float64")
        model = kit.Model(inputs, [merged, norm(merged)])
        result = model(x, training=True)
        found.append((result[0], norm.moving_mean))
    (ours, our_mean), (theirs, their_mean) = found
    close(ours, theirs)
    close(our_mean, np.asarray(their_mean), rtol=1e-6)  # Keras' is a float32


@pytest.mark.parametrize("name", [n.lower() for n in [*ELEMENTWISE, "Subtract", "Concatenate"]])
def test_functions_draw_layers(name):
    inputs = [isoconv.Input((5, 3)) for _ in range(2)]
    model = isoconv.Model(inputs, getattr(layers, name)(inputs))
    x = [numbers(4, 5, 3, seed=i).astype("float32") for i in range(2)]
    np.testing.assert_allclose(model(x), getattr(keras.layers, name)(x), rtol=1e-6)
    np.testing.assert_array_equal(getattr(layers, name)(x), model(x))


def test_cosines_of_zero_vectors_are_zero():
    layer = layers.Dot(1, normalize=True, dtype="float64")
    y, pullback = isoconv.vjp(layer, [np.zeros((2, 3)), np.ones((2, 3))])
    np.testing.assert_array_equal(y, np.zeros((2, 1)))
    assert all(np.isfinite(each).all() for each in pullback(np.ones((2, 1)))[0])


def test_lengths_known_at_run_time_only():
    inputs = [isoconv.Input((None, 3)) for _ in range(2)]
    joined = layers.Concatenate(axis=1)(inputs)
    products = layers.Dot((2, 2))(inputs)
    assert joined.shape == (None, None, 3)
    model = isoconv.Model(inputs, [joined, products])
    x, y = numbers(2, 4, 3).astype("float32"), numbers(2, 7, 3).astype("float32")
    both, dots = model([x, y])
    np.testing.assert_array_equal(both, np.concatenate([x, y], 1))
    np.testing.assert_allclose(dots, x @ y.transpose(0, 2, 1), rtol=1e-5, atol=1e-6)


def test_integers_stay_integers():
    x = np.arange(6).reshape(2, 3)
    assert layers.Add()([x, x]).dtype == "int64"
    np.testing.assert_array_equal(layers.concatenate([x, x]), np.concatenate([x, x], 1))


@pytest.mark.parametrize(
    ("name", "options", "shapes", "words"),
    [
        ("Add", {}, [(2, 3), (2, 4)], "broadcast"),
        ("Subtract", {}, [(2, 3)] * 3, "3 inputs"),
        ("Concatenate", {}, [(2, 3, 1), (2, 4, 1)], "axis -1"),
        ("Concatenate", {}, [(2, 3), (2, 3, 1)], "axis -1"),
        ("Concatenate", {"axis": 2}, [(2, 3), (2, 3)], "axis"),
        ("Dot", {"axes": 1}, [(2, 3), (2, 4)], "sizes 3 and 4"),
        ("Dot", {"axes": 0}, [(2, 3), (2, 3)], "batch"),
        ("Dot", {"axes": 1}, [(2, 3)], "list of 2"),
    ],
)
def test_inputs_that_do_not_fit(name, options, shapes, words):
    with pytest.raises(ArgumentError, match=f"{name} '.*{words}"):
        getattr(layers, name)(**options)([np.ones(shape) for shape in shapes])


def test_one_input_is_no_list():
    with pytest.raises(ShapeError, match=r"Add 'add.*: input: expected a list"):
        layers.Add()(np.ones((2, 3)))


@pytest.mark.parametrize("axes", ["1", (1, 2, 3), (1.0, 2), None])
def test_wrong_axes(axes):
    with pytest.raises(ArgumentError, match="axes"):
        layers.Dot(axes)
