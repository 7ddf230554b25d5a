"""A layer used several times is a special case of several layers, and of no fewer."""

import numpy as np
import pytest

from isoconv import Input, Model, Sequential, equivalent, layers


def conv(taps=3, **arguments):
    return layers.Conv1D(3, taps, padding="same", **arguments)


def wide(**arguments):
    """The same as `conv` by a unit axis."""
    return Sequential(
        [
            Input((6, 3)),
            layers.Reshape((6, 1, 3)),
            layers.Conv2D(3, (3, 1), padding="same", **arguments),
            layers.Reshape((6, 3)),
        ]
    )


def twice(make):
    """One layer used twice in turn, and two layers."""

    def shared(x, y):
        layer = make()
        return layer(layer(x))

    return shared, lambda x, y: make()(make()(x))


def siamese(make, combine=layers.Subtract):
    """One layer used for both inputs, and one each."""

    def shared(x, y):
        layer = make()
        return combine()([layer(x), layer(y)])

    return shared, lambda x, y: combine()([make()(x), make()(y)])


def halves(shared, other):
    return shared[0], other[1]


def model(function):
    inputs = [Input((6, 3)), Input((6, 3))]
    return Model(inputs, function(*inputs))


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(twice(conv), id="in turn"),
        pytest.param(siamese(conv), id="for two inputs"),
        pytest.param(halves(siamese(conv), siamese(wide)), id="in another form"),
        pytest.param(twice(lambda: conv(activation="relu")), id="in turn, with relu"),
        pytest.param(
            siamese(lambda: conv(activation="gelu"), layers.Multiply), id="with gelu, multiplied"
        ),
        pytest.param(
            siamese(lambda: Sequential([Input((6, 3)), conv(), layers.Dense(2)])), id="models"
        ),
        pytest.param(siamese(layers.BatchNormalization), id="normalization"),
        pytest.param(twice(layers.BatchNormalization), id="normalization in turn"),
        pytest.param(
            (
                lambda x, y: (lambda d: d(d(d(x))))(conv(use_bias=False)),
                lambda x, y: (lambda d, e: d(e(d(x))))(conv(use_bias=False), conv(use_bias=False)),
            ),
            id="thrice within twice",
        ),
    ],
)
def test_a_layer_used_twice_is_a_special_case_of_two(pair):
    a, b = map(model, pair)
    forth, back = equivalent(a, b), equivalent(b, a)
    assert (forth.relation, back.relation) == ("a_within_b", "b_within_a"), f"{forth}\n{back}"
    rng = np.random.default_rng(5)
    a.set_weights([rng.uniform(0.2, 1, w.shape).astype("float32") for w in a.get_weights()])
    x = [rng.normal(size=(4, 6, 3)).astype("float32") for _ in range(2)]
    for found in (forth, back):
        b.set_weights(found.weight_map(a.get_weights()))
        np.testing.assert_allclose(b(x), a(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(twice(conv)[0], twice(lambda: conv(2))[1], id="fewer taps"),
        pytest.param(
            siamese(conv)[0],
            lambda x, y: (lambda d, e: layers.Subtract()([d(x), e(d(y))]))(
                conv(), conv(activation="relu")
            ),
            id="a relu after one",
        ),
        pytest.param(
            siamese(lambda: conv(activation="relu"))[0],
            lambda x, y: layers.Subtract()([conv(activation="relu")(x), conv()(y)]),
            id="an activation less",
        ),
    ],
)
def test_sharing_makes_no_more_of_it(a, b):
    assert equivalent(model(a), model(b)).relation in ("different", "unknown")
