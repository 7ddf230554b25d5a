"""Models: drawn, sequential and subclassed, against Keras where it has them."""

from __future__ import annotations

import copy
import json
import pickle

import keras
import numpy as np
import pytest
from oracle import close, compare_built, numbers

import isoconv
from isoconv import Input, Model, Sequential, layers, ops
from isoconv.errors import ArgumentError, ShapeError
from isoconv.models.network import Network


def drawn(module, inputs, dtype="float64"):
    """A network with branches, a shared layer and arithmetic, in either library."""
    make = module.layers
    shared = make.Conv1D(4, 3, padding="same", dtype=dtype, name="shared")
    first = make.Conv1D(4, 3, padding="causal", activation="relu", dtype=dtype, name="first")
    last = make.Dense(3, activation="softmax", dtype=dtype, name="last")
    a = first(inputs)
    b = shared(shared(make.Dense(4, dtype=dtype, name="widen")(inputs)))
    return module.Model(inputs, last(a + b * 2), name="net")


def pair():
    ours = drawn(isoconv, Input((None, 2), dtype="float64", name="x"))
    theirs = drawn(keras, keras.Input((None, 2), dtype="float64", name="x"))
    return ours, theirs


def test_weights_and_layers_stand_in_keras_order():
    ours, theirs = pair()
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]


def test_outputs_and_gradients_are_keras():
    ours, theirs = pair()
    theirs.set_weights(ours.get_weights())
    x = numbers(3, 7, 2)
    compare_built(ours, theirs, x)
    close(ours.predict(x), theirs(x))


def test_predict_in_batches_and_any_size(compilations):
    ours, _ = pair()
    x = numbers(70, 5, 2)
    whole = ours.predict(x, batch_size=70)
    before = compilations()
    for size in (1, 32, 64):
        np.testing.assert_array_equal(ours.predict(x, batch_size=size), whole)
    np.testing.assert_array_equal(ours.predict_on_batch(x[:2]), whole[:2])
    assert ours.predict(x[:0]).shape == (0, 5, 3)
    assert ours.predict(numbers(2, 9, 2)).shape == (2, 9, 3)
    assert compilations() == before
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="batch_size"):
            ours.predict(x, batch_size=wrong)


def test_config_makes_the_same_model_again():
    ours, _ = pair()
    config = json.loads(json.dumps(ours.get_config()))
    again = Model.from_config(config)
    again.set_weights(ours.get_weights())
    x = numbers(2, 6, 2)
    np.testing.assert_array_equal(again.predict(x), ours.predict(x))
    assert json.loads(json.dumps(again.get_config())) == config


def test_config_of_keras_is_read():
    _, theirs = pair()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    ours = isoconv.registry.deserialize(config)
    ours.set_weights(theirs.get_weights())
    x = numbers(2, 6, 2)
    close(ours.predict(x), theirs(x))


def test_several_inputs_and_outputs():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    total, product = a + b, layers.Dense(2, name="d")(a * b)
    x, y = numbers(4, 3).astype("float32"), numbers(4, 3, seed=1).astype("float32")
    listed = Model([a, b], [total, product])
    named = Model({"a": a, "b": b}, {"total": total, "product": product})
    first, second = listed.predict([x, y])
    close(first, x + y, 1e-6)
    for given in ({"a": x, "b": y}, {"b": y, "a": x}):
        result = named.predict(given)
        np.testing.assert_array_equal(result["total"], first)
        np.testing.assert_array_equal(result["product"], second)
        np.testing.assert_array_equal(listed.predict(given)[1], second)
    again = Model.from_config(json.loads(json.dumps(named.get_config())))
    assert set(again.predict({"a": x, "b": y})) == {"total", "product"}
    with pytest.raises(ArgumentError, match="keys"):
        named.predict({"a": x})
    with pytest.raises(ArgumentError, match="2 \\(a, b\\)"):
        listed.predict([x])
    with pytest.raises(ShapeError, match="4 and 5 samples"):
        listed.predict([x, numbers(5, 3)])


def test_models_within_models():
    inner_input = Input((None, 2))
    inner = Model(inner_input, layers.Conv1D(3, 2)(inner_input), name="inner")
    outer_input = Input((None, 2))
    outer = Sequential([layers.Dense(4), layers.Dropout(0.5)], name="outer")
    model = Model(outer_input, outer(inner(outer_input)))
    assert [w.shape for w in model.weights] == [(2, 2, 3), (3,), (3, 4), (4,)]
    x = numbers(2, 5, 2)
    np.testing.assert_array_equal(model(x), outer(inner(x)))
    assert (model(x, training=True) == 0).any()
    again = Model.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))
    assert model.get_layer("inner") is inner


def test_a_model_from_the_middle_of_another():
    ours, _ = pair()
    middle = ours.get_layer("first").output
    head = Model(ours.input, middle)
    tail = Model(middle, layers.Dense(2, dtype="float64")(middle))
    x = numbers(2, 6, 2)
    assert tail(head(x)).shape == (2, 6, 2)
    assert [layer.name for layer in head.layers] == ["x", "first"]


def test_activations_of_every_layer():
    ours, _ = pair()
    outputs = [layer.output for layer in ours.layers[1:]]
    values = Model(ours.input, outputs).predict(numbers(2, 6, 2))
    assert [value.shape for value in values] == [(2, 6, 4)] * 3 + [(2, 6, 3)]


def test_functions_in_models():
    inputs = Input((None, 4))
    outputs = ops.concatenate([inputs[:, 1:], ops.relu(inputs[:, :-1])], axis=-1)
    outputs = ops.reshape(outputs, (-1, 8)) @ np.ones((8, 2), "float32")
    model = Model(inputs, outputs)
    x = numbers(2, 5, 4).astype("float32")
    y = model.predict(x)
    assert y.shape == (8, 2)
    config = json.loads(json.dumps(Model(inputs, inputs[:, 1:, None]).get_config()))
    np.testing.assert_array_equal(Model.from_config(config)(x), x[:, 1:, None])


def test_sequential_is_keras():
    ours = Sequential(
        [Input((8, 3)), layers.Conv1D(4, 3, dtype="float64"), layers.Dense(2, dtype="float64")]
    )
    theirs = keras.Sequential(
        [
            keras.Input((8, 3)),
            keras.layers.Conv1D(4, 3, dtype="float64"),
            keras.layers.Dense(2, dtype="float64"),
        ]
    )
    theirs.set_weights(ours.get_weights())
    x = numbers(2, 8, 3)
    assert ours.output_shape == theirs.output_shape == (None, 6, 2)
    assert [type(layer).__name__ for layer in ours.layers] == ["Conv1D", "Dense"]
    close(ours.predict(x.astype("float32")), theirs(x))


def test_sequential_waits_for_its_input():
    model = Sequential()
    model.add(layers.Conv1D(4, 3))
    model.add(layers.Dense(2))
    assert not model.built
    assert not model.weights
    assert model(np.ones((2, 7, 3))).shape == (2, 5, 2)
    assert model.predict(np.ones((3, 9, 3))).shape == (3, 7, 2)
    assert len(model.weights) == 4
    model.pop()
    assert model.output_shape == (None, 5, 4)
    with pytest.raises(ShapeError, match=r"Conv1D"):
        model.add(layers.Conv1D(1, 9))
    assert len(model.layers) == 1
    with pytest.raises(ArgumentError, match="a layer"):
        model.add(3)


def test_sequential_config():
    model = Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(2)], name="two")
    assert model.built
    config = json.loads(json.dumps(isoconv.registry.serialize(model)))
    again = isoconv.registry.deserialize(config)
    again.set_weights(model.get_weights())
    x = numbers(2, 4)
    np.testing.assert_array_equal(again(x), model(x))
    theirs = keras.saving.deserialize_keras_object(config)
    theirs.set_weights(model.get_weights())
    close(model(x), theirs(x), 1e-5)


class Residual(Model):
    """A subclass with layers as attributes."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.steps = [layers.Dense(width), layers.Dropout(0.5), layers.Dense(3)]

    def call(self, inputs, training=None):
        x = inputs
        for step in self.steps:
            x = step(x)
        return x + inputs


def test_subclass(compilations):
    model = Residual(8)
    x = numbers(5, 3).astype("float32")
    y = model.predict(x)
    before = compilations()
    assert model.predict(x[:3]).shape == (3, 3)
    assert compilations() == before
    assert len(model.weights) == 4
    np.testing.assert_array_equal(model(x), model.predict(x, rewrite=False))
    # The two Denses with nothing between are one in prediction, within rounding.
    close(model(x), y, 1e-5)
    assert (model(x, training=True) != y).any()
    assert Residual.from_config(model.get_config()).width == 8
    inputs = Input((3,))
    np.testing.assert_array_equal(Model(inputs, model(inputs)).predict(x), y)


SUMMARY = """\
Model: "net"
_________________________________________________________________
Layer (type)                 Output Shape              Param #   
=================================================================
input_1 (InputLayer)         (None, 10, 3)             0         
_________________________________________________________________
conv1d_1 (Conv1D)            (None, 7, 2)              24        
=================================================================
Total params: 24 (96.00 B)
Trainable params: 24 (96.00 B)
Non-trainable params: 0 (0.00 B)
_________________________________________________________________"""  # noqa: W291


def test_summary_of_a_chain():
    inputs = Input((10, 3), name="input_1")
    outputs = layers.Conv1D(2, 4, use_bias=False, name="conv1d_1")(inputs)
    lines = []
    Model(inputs, outputs, name="net").summary(print_fn=lines.append)
    assert "\n".join(lines) == SUMMARY


def test_summary_of_branches_says_what_is_connected(capsys):
    pair()[0].summary()
    text = capsys.readouterr().out
    assert "Connected to" in text
    assert "(Multiply)" in text
    assert "shared[0][0]" in text.replace("\n", "")
    assert "Total params: 107 (856.00 B)" in text
    assert max(map(len, text.splitlines())) == 80


def test_summary_tells_the_end_of_a_name_that_is_very_long(capsys):
    x = isoconv.Input((4,), name="x")
    first = layers.Dense(4, name="block_1." * 9 + "first")(x)
    Model(x, layers.Add(name="sum")([x, first])).summary()
    found = capsys.readouterr().out
    assert "…" in found
    assert "first" in found
    assert max(map(len, found.splitlines())) <= 80
    assert "block_1." * 9 not in found.replace("\n", "")


def summarized(model, **arguments):
    lines = []
    model.summary(print_fn=lines.append, **arguments)
    return "\n".join(lines)


def nested():
    inner = Sequential([Input((8, 3)), layers.Conv1D(2, 3, name="conv")], name="inner")
    inner.layers[0].trainable = False
    parts = [layers.ReLU(name="relu_1"), layers.Dense(2, name="dense"), layers.ReLU(name="relu_2")]
    return Sequential([Input((8, 3)), inner, *parts], name="outer")


def test_summary_lists_what_keras_lists():
    """Keras' arguments, and which layers Keras lists for them."""
    text = summarized(nested(), expand_nested=True, show_trainable=True)
    assert [line[:15].rstrip() for line in text.splitlines()[4:13:2]] == [
        *("inner (Sequenti", "   └ conv (Conv", "relu_1 (ReLU)", "dense (Dense)", "relu_2 (ReLU)")
    ]
    ends = [line.split()[-1] for line in text.splitlines()[4:13:2]]
    assert ends == ["Y", "N", "-", "Y", "-"]
    assert {len(line) for line in text.splitlines()[1:14]} == {75}


@pytest.mark.parametrize(
    ("layer_range", "listed"),
    [
        (("relu_1", "dense"), ["relu_1", "dense"]),
        (("relu", "relu"), ["relu_1", "dense", "relu_2"]),
        (("dense", "inner"), ["inner", "relu_1", "dense"]),
        (None, ["inner", "relu_1", "dense", "relu_2"]),
    ],
)
def test_summary_of_a_range_of_layers(layer_range, listed):
    rows = summarized(nested(), layer_range=layer_range).splitlines()[4:-4:2]
    assert [row.split()[0] for row in rows] == listed


def test_summary_columns_end_where_it_is_told():
    head = summarized(nested(), line_length=40, positions=(0.5, 0.75, 1)).splitlines()[2]
    assert [head.index(word) for word in ("Layer", "Output", "Param")] == [0, 20, 30]
    assert summarized(nested(), positions=(20, 30, 40)).splitlines()[2] == head


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": (0.5, 1)}, r"expected 3 ends of columns, in order; got \(0.5, 1\)"),
        ({"line_length": 9}, r"columns of 4 letters or more; got \[4, 7, 9\] in a line of 9"),
        ({"layer_range": ("inner",)}, "the names of two layers"),
        ({"layer_range": (0, 1)}, "the names of two layers"),
        ({"layer_range": ("inner", "relo")}, "two of inner, relu_1, dense, relu_2"),
    ],
)
def test_summary_tells_what_it_cannot_do(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        nested().summary(**arguments)


def test_summary_before_building(capsys):
    Residual(2).summary()
    Sequential([layers.Dense(2)]).summary()
    assert capsys.readouterr().out.count("unbuilt") == 4


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((2, 8, 3), True),
        ((2, 9, 3), False),
        ((2, 8, 2), False),
        ((8, 3), False),
        ((2, 8, 3, 1), True),
    ],
)
def test_inputs_are_checked_by_name(shape, fits):
    inputs = Input((8, 3), name="sound")
    model = Model(inputs, layers.Dense(2)(inputs))
    if fits:
        assert model.predict(np.ones(shape)).shape == (2, 8, 2)
    else:
        with pytest.raises(ShapeError, match=r"input 'sound': expected shape \(None, 8, 3\)"):
            model.predict(np.ones(shape))


def test_what_no_model_is_made_of():
    x = Input((3,))
    y = layers.Dense(2)(x)
    with pytest.raises(ArgumentError, match="also 'other'"):
        Model(x, y + Input((2,), name="other"))
    with pytest.raises(ArgumentError, match="inputs"):
        Model(np.ones(3), y)
    with pytest.raises(ArgumentError, match="outputs"):
        Model(x, [])
    with pytest.raises(ArgumentError, match="inputs, outputs"):
        Model(x)
    with pytest.raises(ArgumentError, match="twice"):
        Model(x, layers.Dense(2, name="d")(layers.Dense(2, name="d")(x)))
    with pytest.raises(ArgumentError, match="one of 'input"):
        Model(x, y).get_layer("nothing")
    with pytest.raises(ShapeError, match=r"Write \(3,\)"):
        Input(3)
    for shape in [(0,), (-1, 2), (2.5,), (float("nan"),), "3"]:
        with pytest.raises(ShapeError, match="shape"):
            Input(shape)


def test_copies_are_models_of_their_own():
    ours, _ = pair()
    x = numbers(2, 6, 2)
    y = ours.predict(x)
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        np.testing.assert_array_equal(again.predict(x), y)
        again.set_weights([w * 0 for w in again.get_weights()])
        assert again.get_layer("last").output is again.output
    np.testing.assert_array_equal(ours.predict(x), y)


def test_deep_models_do_not_recurse():
    x = Input((1,))
    y = x
    for _ in range(1500):
        y = y + 1
    assert len(Network(x, y).steps) == 1500


def test_names_of_first_layers():
    isoconv.utils.clear_session()
    assert [Input((1,)).name, Input((1,)).name] == ["input_layer", "input_layer_1"]
    assert Sequential().name == "sequential"
    x = Input((1,))
    assert Model(x, x + 1).name == "functional"


def test_a_clone_has_the_same_layers_and_weights_of_its_own():
    model = isoconv.Sequential([isoconv.Input((7, 3)), layers.Conv1D(4, 3), layers.Dense(2)])
    clone = isoconv.models.clone_model(model)
    assert [each.name for each in clone.layers] == [each.name for each in model.layers]
    assert not any(a is b for a, b in zip(clone.weights, model.weights, strict=True))
    clone.set_weights(model.get_weights())
    x = np.ones((2, 7, 3), "float32")
    np.testing.assert_array_equal(clone.predict(x), model.predict(x))
    with pytest.raises(ArgumentError, match="clone_model: expected a model"):
        isoconv.models.clone_model(model.layers[0])
