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
