"""Masks as steps of saved models: Keras opens them and predicts the same, and what it saves is read
back with the same bits."""

import importlib
import inspect

import keras
import numpy as np
import pytest

import isoconv
from isoconv import layers
from isoconv.models import operations
from isoconv.ops.dispatch import FUNCTIONS

RNG = np.random.default_rng(0)
WORDS = np.array([[1, 2, 0, 0, 3, 0], [0, 0, 0, 1, 2, 0]], "int32")
STEPS = RNG.normal(size=(2, 6, 3)).astype("float32") * np.array([1, 1, 0, 1, 0, 1])[None, :, None]
STEPS = STEPS.astype("float32")


def masked(library, *names):
    """Masks through every kind of layer that hands them on, and to all that take them."""
    own = [{"name": name} for name in names] or [{}, {}]
    of = library.layers
    words, steps = library.Input((6,), dtype="int32"), library.Input((6, 3))
    first, second = (of.Embedding(5, 4, mask_zero=True, **each)(words) for each in (own[0], {}))
    joined, after = of.Concatenate()([first, second]), of.Concatenate(axis=1)([first, second])
    both = of.Concatenate(**own[1])([joined, of.Masking()(steps)])
    added = of.BatchNormalization()(of.Activation("relu")(of.Add()([first, second])))
    inner = library.Input((6, 4))
    nested = library.Model(inner, of.GlobalAveragePooling1D()(of.Dropout(0.1)(inner)))
    taken = [joined, after, both, added, of.TimeDistributed(of.Dense(3))(both)]
    pooled = [of.GlobalAveragePooling1D()(each) for each in taken]
    pooled.append(nested(first))
    return library.Model([words, steps], of.Dense(2)(of.Concatenate()(pooled)))


def both_ways(ours, inputs, tmp_path):
    expected = ours.predict(inputs)
    ours.save(tmp_path / "ours.keras")
    keras.utils.clear_session()
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    given = theirs.predict(inputs, verbose=0)
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)
    theirs.save(tmp_path / "theirs.keras")
    for name in ("ours", "theirs"):
        again = isoconv.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_array_equal(again.predict(inputs), expected)
    return theirs


@pytest.mark.filterwarnings("ignore:Layer 'functional.*destroy the mask")
@pytest.mark.parametrize("names", [(), ("any", "not_equal")])
def test_masks_are_steps_of_their_own(names, tmp_path):
    isoconv.utils.clear_session()
    both_ways(masked(isoconv, *names), [WORDS, STEPS], tmp_path)


@pytest.mark.filterwarnings("ignore:Layer 'functional.*destroy the mask")
def test_the_steps_are_those_that_keras_draws():
    isoconv.utils.clear_session()
    keras.utils.clear_session()
    ours, theirs = (masked(library).get_config()["layers"] for library in (isoconv, keras))
    kinds = [sorted(each["class_name"] for each in config) for config in (ours, theirs)]
    assert kinds[0] == kinds[1]


def test_saving_leaves_the_names_to_come_as_they_are():
    isoconv.utils.clear_session()
    model = masked(isoconv)
    assert model.get_config() == model.get_config()
    assert layers.Concatenate().name == "concatenate_4"
    assert isoconv.ops.any(model.input[0]).name == "any"


def test_functions_have_the_defaults_of_their_classes():
    for name, module in operations._MODULE_OF.items():
        cls = getattr(importlib.import_module(f"keras.src.ops.{module}"), operations.class_of(name))
        made, called = (inspect.signature(each).parameters for each in (cls.__init__, cls.call))
        for key, parameter in inspect.signature(FUNCTIONS[name]).parameters.items():
            if key in operations._CALLED:
                assert key in called, (name, key)
            elif key in made:
                assert made[key].default == parameter.default, (name, key)


WINDOWS = {
    "Conv1D": lambda of: of.Conv1D(3, 3, padding="same", bias_initializer="ones"),
    "causal": lambda of: of.Conv1D(3, 2, padding="causal", dilation_rate=2),
    "strided": lambda of: of.Conv1D(3, 2, strides=2),
    "depthwise": lambda of: of.DepthwiseConv1D(3, padding="same"),
    "separable": lambda of: of.SeparableConv1D(3, 3),
    "transposed": lambda of: of.Conv1DTranspose(3, 2),
    "largest": lambda of: of.MaxPooling1D(2),
    "mean": lambda of: of.AveragePooling1D(2, padding="same"),
    "repeated": lambda of: of.UpSampling1D(2),
    "largest of all": lambda of: of.GlobalMaxPooling1D(keepdims=True),
}


def windows(library, name):
    """Masked steps through a layer that ignores masks in Keras, to a mean that does not."""
    of = library.layers
    words = library.Input((6,), dtype="int32")
    steps = of.Embedding(5, 4, mask_zero=True)(words)
    layer = WINDOWS[name](of)
    joined = of.Concatenate(axis=1)([layer(steps), layer(of.Masking()(of.Dense(4)(steps)))])
    return library.Model(words, of.GlobalAveragePooling1D()(joined))


@pytest.mark.filterwarnings("ignore:Layer 'up_sampling.*destroy the mask")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("end", ["keras", "h5"])
def test_masks_that_keras_ignores_are_written_out(name, end, tmp_path):
    model = windows(isoconv, name)
    expected = model.predict(WORDS)
    file = tmp_path / f"ours.{end}"
    model.save(file)
    np.testing.assert_array_equal(isoconv.load_model(file).predict(WORDS), expected)
    theirs = keras.models.load_model(file, compile=False)
    assert [each.name for each in theirs.layers] == [each.name for each in model.layers]
    np.testing.assert_allclose(theirs(WORDS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer '.*destroy the mask")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("end", ["keras", "h5"])
def test_masks_that_keras_ignored_stay_ignored(name, end, tmp_path):
    theirs = windows(keras, name)
    expected = np.asarray(theirs(WORDS))
    theirs.save(tmp_path / f"theirs.{end}")
    read = isoconv.load_model(tmp_path / f"theirs.{end}", compile=False)
    np.testing.assert_allclose(read(WORDS), expected, rtol=1e-5, atol=1e-6)
    read.save(tmp_path / "again.keras")
    again = isoconv.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again(WORDS), read(WORDS))
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "again.keras")(WORDS), expected, rtol=1e-5, atol=1e-6
    )


def test_masks_that_a_file_cannot_tell_are_named(tmp_path):
    """A chain has no place for steps; isoconv itself predicts the same from it."""
    of = layers
    chain = isoconv.Sequential(
        [of.Embedding(5, 4, mask_zero=True), of.Conv1D(3, 3, name="here"), of.Flatten()]
    )
    inner = isoconv.Sequential([isoconv.Input((6, 4)), of.MaxPooling1D(2, name="within")])
    words = isoconv.Input((6,), dtype="int32")
    nested = isoconv.Model(words, inner(of.Embedding(5, 4, mask_zero=True)(words)))
    for model, name in ((chain, "here"), (nested, "within")):
        expected = model.predict(WORDS)
        for end in ("keras", "h5"):
            with pytest.warns(UserWarning, match=f"absent for {name}. Keras ignores masks there"):
                model.save(tmp_path / f"m.{end}")
            again = isoconv.load_model(tmp_path / f"m.{end}")
            np.testing.assert_array_equal(again.predict(WORDS), expected)


@pytest.mark.parametrize("end", ["keras", "h5"])
def test_lambdas_of_operations_cross_to_keras(end, tmp_path):
    model = isoconv.Sequential(
        [
            isoconv.Input((6, 3)),
            layers.Lambda(isoconv.ops.relu),
            layers.Lambda(isoconv.ops.expand_dims, arguments={"axis": 2}),
            layers.Lambda(isoconv.ops.sum, arguments={"axis": [2, 3]}),
        ]
    )
    file = tmp_path / f"m.{end}"
    model.save(file)
    assert isoconv.load_model(file).layers[0].function is isoconv.ops.relu
    theirs = keras.models.load_model(file, compile=False)
    np.testing.assert_allclose(theirs(STEPS), model(STEPS), rtol=1e-5, atol=1e-6)
    public = [name for name, each in FUNCTIONS.items() if getattr(isoconv.ops, name, None) is each]
    assert [name for name in public if not hasattr(keras.ops, name)] == ["getitem"]
