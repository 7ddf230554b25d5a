"""`isoconv.forms` and `isoconv.rewrite`: what they list, what they give, what they refuse."""

import tracemalloc

import numpy as np
import pytest

import isoconv
from isoconv import layers, spec
from isoconv.conversion.chain import Pending
from isoconv.conversion.describe import describe
from isoconv.errors import ArgumentError


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_forms_of_a_convolution_over_words() -> None:
    forms = isoconv.forms(layers.Conv1D(64, 3), (600, 300))
    names = [form.name for form in forms]
    assert names[0] == "Conv1D(64, 3)"
    assert "Reshape((600, 300, 1)) > Conv2D(64, (3, 300)) > Reshape((598, 64))" in names
    assert len(set(names)) == len(names) > 10
    first = forms[0]
    assert (first.params, first.macs, first.rules) == (57664, 598 * 64 * 900, ())
    assert first.bytes == 4 * (57664 + 600 * 300 + 598 * 64)
    assert all(form.params == 57664 for form in forms)


def test_every_form_is_the_same_function_with_the_weights_carried_over() -> None:
    layer = layers.Conv2D(4, (2, 3), padding="same", strides=2, activation="relu")
    forms = isoconv.forms(layer, (6, 5, 2))
    layer.bias.assign(drawn(4))
    x = drawn(2, 6, 5, 2)
    forms = isoconv.forms(layer, (6, 5, 2))
    assert {"valid", "toeplitz"} <= {rule.to for form in forms for rule in form.rules}
    for form in forms[::4]:
        np.testing.assert_allclose(form.model(x), layer(x), rtol=1e-5, atol=1e-5)


def test_forms_are_counted_without_weights(monkeypatch) -> None:
    """A block-diagonal kernel of 150 MB, say, is made when its model is asked for, and once."""
    filled = []
    fill = Pending.fill
    monkeypatch.setattr(Pending, "fill", lambda self: (filled.append(self), fill(self)))
    layer = layers.DepthwiseConv2D(3)
    layer.build((None, 14, 14, 2048))
    found = {form.name: form for form in isoconv.forms(layer, (14, 14, 2048))}
    full = found["Conv2D(2048, 3)"]
    assert (full.params, full.macs) == (9 * 2048**2 + 2048, 12 * 12 * 9 * 2048**2)
    assert not filled
    assert not full.drawn.weights[0].array.any()
    kernel = full.model.weights[0].array
    assert len(filled) == 1
    np.testing.assert_array_equal(
        kernel[:, :, range(2048), range(2048)], layer.kernel.numpy()[..., 0]
    )
    assert np.count_nonzero(kernel) == np.count_nonzero(layer.kernel.numpy())
    kernel[:] = 0
    assert full.model.weights[0].array is kernel
    assert not kernel.any()


def test_a_spec_is_taken_like_its_layer() -> None:
    text = "Conv1D(4, 3, padding='same')"
    (layer,) = spec.layers(text)
    found, expected = (isoconv.forms(each, (10, 3)) for each in (text, layer))
    assert [form.name for form in found] == [form.name for form in expected]
    assert isoconv.rewrite(text, "Conv2D", (10, 3)).output_shape == (None, 10, 4)
    with pytest.raises(ArgumentError, match="2 layers"):
        isoconv.forms(text + " > ReLU()", (10, 3))


def test_depth_is_how_many_rules_lead_there() -> None:
    layer = layers.Conv1D(4, 3)
    for depth, most in ((0, 0), (1, 1), (2, 2)):
        found = isoconv.forms(layer, (9, 2), depth)
        assert max(len(form.rules) for form in found) == most
    with pytest.raises(ArgumentError, match="forms: depth"):
        isoconv.forms(layer, (9, 2), -1)


def test_an_unknown_length_gives_no_numbers_that_need_it() -> None:
    form = isoconv.forms(layers.Conv1D(4, 3), (None, 2))[0]
    assert (form.macs, form.bytes, form.params) == (None, None, 28)


REWRITES = [
    (layers.Conv1D(8, 3), "Conv2D", (10, 3), ["1"]),
    (layers.Conv1D(8, 10), "Dense", (10, 3), ["4"]),
    (layers.Conv2D(8, 1, strides=2), "dense", (9, 9, 3), ["3"]),
    (layers.Conv2D(8, 3, padding="same"), "patches", (9, 9, 3), ["11", "13"]),
    (layers.Conv2D(8, 3), "channels_first", (9, 9, 3), ["14"]),
    (layers.Conv2D(6, 3, groups=3), "DepthwiseConv2D", (9, 9, 3), ["6"]),
    (layers.SeparableConv1D(6, 3), "Conv1D", (9, 3), ["8"]),
    (layers.Conv1D(6, 4, strides=4), "frames in the batch", (10, 3), ["5"]),
    (layers.Conv2DTranspose(6, 3, strides=2), "depth to space", (5, 5, 3), ["12b"]),
    (
        layers.Conv1D(6, 3, dilation_rate=2, padding="causal"),
        "space to batch",
        (9, 3),
        ["11", "9b"],
    ),
]


@pytest.mark.parametrize(("layer", "to", "shape", "rules"), REWRITES)
def test_a_layer_is_rewritten_by_the_nearest_way(layer, to, shape, rules) -> None:
    model = isoconv.rewrite(layer, to, shape)
    assert [rule.number for rule in model.rules] == rules
    x = drawn(3, *shape)
    np.testing.assert_allclose(model(x), layer(x), rtol=1e-5, atol=1e-5)


def block() -> isoconv.Model:
    x = given = isoconv.Input((9, 9, 4))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
    y = layers.BatchNormalization()(layers.Conv2D(4, 1)(given))
    x = layers.ReLU()(layers.Add()([x, y, layers.BatchNormalization()(given)]))
    parts = [layers.Conv2D(f, 1, activation="relu")(x) for f in (3, 5)]
    x = layers.Concatenate()(parts)
    model = isoconv.Model(given, [x, layers.Conv2D(2, 1)(layers.Conv2D(32, 3)(x))])
    for weight in model.weights:
        weight.assign(np.abs(drawn(*weight.shape)) * 0.3 + 0.1)
    return model


def test_a_model_is_merged() -> None:
    model, x = block(), drawn(2, 9, 9, 4)
    merged = isoconv.rewrite(model, "merged")
    assert sorted(rule.number for rule in merged.rules) == ["15", "15", "17", "18", "19"]
    assert sum(isinstance(layer, layers.Conv2D) for layer in merged.layers) == 3
    for ours, theirs in zip(merged(x), model(x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_all_layers_of_a_model_are_rewritten_that_can_be() -> None:
    model, x = block(), drawn(2, 9, 9, 4)
    other = isoconv.rewrite(model, "channels_first")
    assert len(other.rules) == 6
    for ours, theirs in zip(other(x), model(x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_model_without_a_way_is_told_by_its_name() -> None:
    model = isoconv.Sequential([isoconv.Input((9, 3)), layers.ReLU()], name="plain")
    with pytest.raises(ArgumentError, match=r"no known way from any layer of plain to Dense\. The"):
        isoconv.rewrite(model, "Dense")


def test_a_toeplitz_matrix_of_long_kernels_takes_little_more_than_itself() -> None:
    layer, x = layers.Conv1D(1, 256, strides=64), drawn(1, 8_000, 1)
    tracemalloc.start()
    other = isoconv.rewrite(layer, "toeplitz", (8_000, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (matrix,) = (each.kernel for each in other.layers if isinstance(each, layers.Dense))
    assert matrix.shape == (8_000, 122)
    assert peak < 5 * matrix.numpy().nbytes
    np.testing.assert_allclose(other(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "to", "shape", "words"),
    [
        (
            layers.ReLU(),
            "Dense",
            (3,),
            "no known way from ReLU() to Dense. The nearest: Conv(F, 1)",
        ),
        (layers.Conv1D(8, 3), "Conv9D", (9, 3), "'Conv9D'"),
        (layers.Conv1D(8, 3), "chanels first", (9, 3), "The nearest: channels_first"),
        (layers.Conv1D(8, 3), "Dense", None, "the shape of one input without the batch"),
        (layers.Conv2D(8, 3), "Dense", (9, 3), "4 dimensions"),
        ("Conv1D", "Dense", (9, 3), "a layer with its arguments"),
        (7, "Dense", (9, 3), "a layer, a model or a spec"),
        (layers.Conv1D(8, 3), 7, (9, 3), "7"),
    ],
)
def test_what_cannot_be_rewritten_says_why(layer, to, shape, words) -> None:
    with pytest.raises(ArgumentError) as error:
        isoconv.rewrite(layer, to, shape)
    assert words in str(error.value)


def test_a_rewritten_model_is_saved_and_loaded(tmp_path) -> None:
    model = isoconv.rewrite(layers.Conv1D(8, 3), "patches", (10, 3))
    model.save(tmp_path / "model.keras")
    x = drawn(2, 10, 3)
    np.testing.assert_array_equal(isoconv.load_model(tmp_path / "model.keras")(x), model(x))


@pytest.mark.parametrize("size", [2, (2, 3)])
@pytest.mark.parametrize("strides", [None, 1, 2, (2, 3), (3, 2)])
@pytest.mark.parametrize("kind", [layers.MaxPooling2D, layers.AveragePooling2D])
def test_names_of_pooling_are_read_back(kind, size, strides):
    layer = kind(size, strides)
    for name in (describe(layer), spec.text(layer)):
        (back,) = spec.layers(name)
        assert (back.pool_size, back.strides) == (layer.pool_size, layer.strides)
