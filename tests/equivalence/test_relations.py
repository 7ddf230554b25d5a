"""Every equation between layers, and the look-alikes that are none."""

import numpy as np
import pytest

import isoconv
from isoconv import equivalent
from isoconv.equivalence.sides import Side

EQUAL, WITHIN, DIFFERENT = "equal", "a_within_b", "different"

# relation, a, b, the shape of a's input, that of b's if it is another
EQUATIONS = [
    (EQUAL, "Conv1D(64, 3)", "Conv2D(64, (3, 300))", (600, 300), (600, 300, 1)),
    (EQUAL, "Conv1D(4, 3)", "Conv2D(4, (1, 3))", (12, 3), (1, 12, 3)),
    (
        EQUAL,
        "Conv1D(4, 3, padding='same')",
        "Conv2D(4, (3, 1), padding='same')",
        (12, 3),
        (12, 1, 3),
    ),
    (
        EQUAL,
        "Conv1D(4, 3, strides=2, padding='same')",
        "Conv3D(4, (1, 3, 1), strides=(1, 2, 1), padding='same')",
        (12, 3),
        (1, 12, 1, 3),
    ),
    (EQUAL, "Conv1D(4, 1)", "Dense(4)", (12, 3), None),
    (EQUAL, "Conv1D(4, 3, padding='same') > Cropping1D(1)", "Conv1D(4, 3)", (12, 3), None),
    (
        EQUAL,
        "Conv1D(4, 3) > Cropping1D((1, 2))",
        "Cropping1D((1, 2)) > Conv1D(4, 3)",
        (12, 3),
        None,
    ),
    (
        EQUAL,
        "Conv1D(4, 3) > MaxPooling1D(1, strides=2)",
        "Conv1D(4, 3, strides=2)",
        (12, 3),
        None,
    ),
    (EQUAL, "AveragePooling1D(12)", "GlobalAveragePooling1D()", (12, 3), None),
    (EQUAL, "ReLU(max_value=6.0)", "Activation('relu6')", (12, 3), None),
    (EQUAL, "ReLU() > MaxPooling1D(2)", "MaxPooling1D(2) > ReLU()", (12, 3), None),
    (
        EQUAL,
        "Activation('tanh') > GlobalMaxPooling1D()",
        "GlobalMaxPooling1D() > Activation('tanh')",
        (12, 3),
        None,
    ),
    (EQUAL, "MaxPooling1D(2) > MaxPooling1D(2)", "MaxPooling1D(4)", (13, 3), None),
    (
        EQUAL,
        "MaxPooling1D(2) > MaxPooling1D(3, strides=1, padding='same')",
        "MaxPooling1D(6, strides=2, padding='same')",
        (12, 3),
        None,
    ),
    (
        EQUAL,
        "MaxPooling1D(5) > GlobalMaxPooling1D()",
        "Cropping1D((0, 3)) > GlobalMaxPooling1D()",
        (13, 3),
        None,
    ),
    (EQUAL, "Conv2D(4, 1)", "Dense(4)", (12, 3, 2), None),
    (EQUAL, "Conv2D(4, 1)", "TimeDistributed(Dense(4))", (12, 3, 2), None),
    (EQUAL, "Conv2D(4, (5, 6))", "Flatten() > Dense(4)", (5, 6, 2), None),
    (EQUAL, "Conv3D(4, (3, 2, 4))", "Flatten() > Dense(4)", (3, 2, 4, 2), None),
    (EQUAL, "Conv1D(4, 3, strides=3)", "Reshape((4, 9)) > Dense(4)", (12, 3), None),
    (
        EQUAL,
        "Conv1D(4, 3, strides=3)",
        "Cropping1D((0, 2)) > Reshape((4, 9)) > Dense(4)",
        (14, 3),
        None,
    ),
    (EQUAL, "DepthwiseConv1D(3, depth_multiplier=2)", "Conv1D(6, 3, groups=3)", (12, 3), None),
    (WITHIN, "DepthwiseConv2D(3, depth_multiplier=2)", "Conv2D(6, 3)", (5, 4, 3), None),
    (
        WITHIN,
        "Conv2D(6, 3, groups=3, padding='same')",
        "Conv2D(6, 3, padding='same')",
        (4, 4, 3),
        None,
    ),
    (
        EQUAL,
        "SeparableConv2D(4, 3)",
        "DepthwiseConv2D(3, use_bias=False) > Conv2D(4, 1)",
        (5, 5, 3),
        None,
    ),
    (WITHIN, "SeparableConv2D(4, 2)", "Conv2D(4, 2)", (3, 3, 3), None),
    (WITHIN, "Conv1D(4, 2, dilation_rate=2)", "Conv1D(4, 3)", (7, 3), None),
    (EQUAL, "Conv1D(4, 3, padding='same')", "ZeroPadding1D(1) > Conv1D(4, 3)", (12, 3), None),
    (
        EQUAL,
        "Conv1D(4, 3, padding='same', strides=2)",
        "ZeroPadding1D((0, 1)) > Conv1D(4, 3, strides=2)",
        (12, 3),
        None,
    ),
    (
        EQUAL,
        "Conv1D(4, 3, padding='causal', dilation_rate=2)",
        "ZeroPadding1D((4, 0)) > Conv1D(4, 3, dilation_rate=2)",
        (12, 3),
        None,
    ),
    (EQUAL, "Conv1DTranspose(4, 3)", "ZeroPadding1D(2) > Conv1D(4, 3)", (6, 3), None),
    (
        EQUAL,
        "Conv1DTranspose(4, 2, strides=2, use_bias=False)",
        "Dense(8, use_bias=False) > Reshape((12, 4))",
        (6, 3),
        None,
    ),
    (WITHIN, "Conv1D(4, 3)", "Flatten() > Dense(24)", (8, 3), None),
    (
        EQUAL,
        "Conv2D(4, 3, data_format='channels_first', activation='relu')",
        "Permute((2, 3, 1)) > Conv2D(4, 3, activation='relu') > Permute((3, 1, 2))",
        (3, 7, 6),
        None,
    ),
    (WITHIN, "Conv1D(4, 3) > BatchNormalization()", "Conv1D(4, 3)", (7, 3), None),
    (WITHIN, "BatchNormalization() > Conv1D(4, 3)", "Conv1D(4, 3)", (7, 3), None),
    (
        WITHIN,
        "Conv1D(4, 3, strides=2) > Conv1D(4, 2, strides=2)",
        "Conv1D(4, 5, strides=4)",
        (11, 3),
        None,
    ),
    (WITHIN, "AveragePooling1D(3)", "DepthwiseConv1D(3, strides=3)", (12, 3), None),
]

LOOK_ALIKES = [
    ("ReLU() > AveragePooling1D(2)", "AveragePooling1D(2) > ReLU()", (12, 3), None),
    ("MaxPooling1D(2, strides=3) > MaxPooling1D(2)", "MaxPooling1D(5, strides=6)", (12, 3), None),
    ("MaxPooling1D(5) > GlobalMaxPooling1D()", "GlobalMaxPooling1D()", (13, 3), None),
    (
        "MaxPooling1D(2) > MaxPooling1D(3, strides=1, padding='same')",
        "MaxPooling1D(6, strides=2, padding='same')",
        (13, 3),
        None,
    ),
    (
        "ZeroPadding1D(1) > MaxPooling1D(2) > GlobalMaxPooling1D()",
        "GlobalMaxPooling1D()",
        (13, 3),
        None,
    ),
    ("Conv1D(4, 3, padding='same')", "Conv1D(4, 3, padding='causal')", (12, 3), None),
    (
        "Conv1D(4, 3, padding='same', strides=2)",
        "ZeroPadding1D(1) > Conv1D(4, 3, strides=2)",
        (12, 3),
        None,
    ),
    (
        "Conv1DTranspose(4, 2, strides=3, padding='same')",
        "Conv1DTranspose(4, 2, strides=3, padding='same', output_padding=0)",
        (6, 3),
        None,
    ),
    ("Conv1D(4, 12, padding='same')", "Flatten() > Dense(4)", (12, 3), None),
    (
        "SeparableConv1D(4, 3)",
        "DepthwiseConv1D(3, activation='relu', use_bias=False) > Conv1D(4, 1)",
        (7, 3),
        None,
    ),
    ("Conv1D(4, 3, activation='relu') > Conv1D(4, 3)", "Conv1D(4, 5)", (7, 3), None),
    (
        "BatchNormalization() > Conv1D(4, 3, padding='same')",
        "Conv1D(4, 3, padding='same')",
        (7, 3),
        None,
    ),
    (
        "AveragePooling1D(3, strides=1, padding='same')",
        "DepthwiseConv1D(3, padding='same')",
        (12, 3),
        None,
    ),
    ("Conv1D(4, 3)", "Conv2D(4, (3, 3))", (7, 5), (7, 5, 1)),
    ("Conv1D(4, 3)", "Conv2D(4, (3, 3), padding='same')", (7, 5), (7, 5, 1)),
]

TURNED = {EQUAL: EQUAL, WITHIN: "b_within_a"}


@pytest.mark.parametrize(("relation", "a", "b", "shape", "other"), EQUATIONS)
def test_every_equation_holds_in_its_directions(relation, a, b, shape, other):
    found = equivalent(a, b, shape, other)
    assert found.relation == relation, found
    assert bool(found) is (relation == EQUAL)
    turned = equivalent(b, a, other or shape, shape)
    assert turned.relation == TURNED[relation], turned


@pytest.mark.parametrize(("relation", "a", "b", "shape", "other"), EQUATIONS[1:])
def test_the_weight_map_carries_a_function_over(relation, a, b, shape, other):
    found = equivalent(a, b, shape, other)
    left, right = (_built(text, each) for text, each in ((a, shape), (b, other or shape)))
    _randomize(left)
    right.set_weights(found.weight_map(left.get_weights()))
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    y = right(x.reshape(2, *(other or shape)))
    np.testing.assert_allclose(y, left(x).reshape(y.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("a", "b", "shape", "other"), LOOK_ALIKES)
def test_look_alikes_are_refuted_by_an_example_that_differs_when_run(a, b, shape, other):
    found = equivalent(a, b, shape, other)
    assert not found
    assert found.relation in ("different", "a_within_b", "b_within_a")
    example = found.counterexample
    if example.place is None:
        assert np.shape(example.a) != np.shape(example.b)
        return
    outputs = []
    held = {example.side: example.weights}
    for letter, text, each in (("a", a, shape), ("b", b, other or shape)):
        side = _built(text, each)
        weights = held.get(letter, example.other_weights)
        by_name = dict(
            zip(map(id, Side([side], letter, True).weights_at([each])), weights, strict=True)
        )
        side.set_weights([by_name[id(v)] for v in side.weights])
        outputs.append(
            side(example.input.reshape(1, *each).astype("float32")).reshape(-1)[example.place]
        )
    assert abs(outputs[0] - outputs[1]) > 1e-3


def _built(text, shape):
    model = isoconv.Sequential([isoconv.Input(shape), *isoconv.spec.layers(text)])
    return model


def _randomize(model):
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.5, 2, w.shape) for w in model.get_weights()])
