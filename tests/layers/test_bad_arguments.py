"""What layers on spatial axes refuse, in which order, and what they say."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import numbers

from isoconv import Input, Model, layers
from isoconv.errors import ArgumentError, RuntimeCheckError, ShapeError

NEEDED = {
    "Conv1DTranspose": {"filters": 4, "kernel_size": 3},
    "Conv2DTranspose": {"filters": 4, "kernel_size": 3},
    "SeparableConv1D": {"filters": 4, "kernel_size": 3},
    "SeparableConv2D": {"filters": 4, "kernel_size": 3},
    "DepthwiseConv1D": {"kernel_size": 3},
    "DepthwiseConv2D": {"kernel_size": 3},
    "AveragePooling2D": {"pool_size": 2},
}
ARGUMENTS = [
    *[(name, argument, value)
      for name in ("Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D")
      for argument, value in [
          ("kernel_size", 0), ("kernel_size", (1, 2, 3)), ("kernel_size", 1.0),
          ("kernel_size", float("nan")), ("kernel_size", "3"), ("kernel_size", (True, 2)),
          ("strides", 0), ("strides", (1, -1)), ("strides", None),
          ("dilation_rate", (0, 1)), ("dilation_rate", 1.5),
          ("padding", "causal"), ("padding", "sane"), ("padding", 1),
          ("data_format", "channels_middle"), ("data_format", 1),
      ]],
    ("Conv1DTranspose", "padding", "causal"),
    ("Conv1DTranspose", "filters", 0),
    ("Conv1DTranspose", "filters", 2.0),
    ("Conv1DTranspose", "groups", 0),
    ("Conv1DTranspose", "groups", 3),
    ("Conv1DTranspose", "output_padding", 1),
    ("Conv1DTranspose", "output_padding", -1),
    ("Conv2DTranspose", "output_padding", (0, 1)),
    ("SeparableConv1D", "filters", -4),
    ("SeparableConv1D", "depth_multiplier", 0),
    ("DepthwiseConv1D", "depth_multiplier", None),
    *[(name, argument, value)
      for name in ("MaxPooling2D", "AveragePooling2D")
      for argument, value in [
          ("pool_size", 0), ("pool_size", (2, 2, 2)), ("pool_size", "2"), ("strides", 0),
          ("strides", (1, 0)), ("padding", "causal"), ("data_format", "last"),
      ]],
    ("GlobalMaxPooling1D", "data_format", "first"),
    ("ZeroPadding1D", "padding", -1),
    ("ZeroPadding1D", "padding", (1, 2, 3)),
    ("ZeroPadding2D", "padding", (1, 2, 3)),
    ("ZeroPadding2D", "padding", ((1, 2), (3, -4))),
    ("ZeroPadding2D", "padding", ((1, 2), 3.0)),
    ("ZeroPadding3D", "padding", "111"),
    ("Cropping1D", "cropping", 1.0),
    ("Cropping2D", "cropping", None),
    ("Cropping2D", "cropping", ((1, 2, 3), 0)),
    ("Cropping2D", "data_format", "channels"),
    ("UpSampling1D", "size", 0),
    ("UpSampling2D", "size", (1, 2, 3)),
    ("UpSampling2D", "interpolation", "bicubic"),
    ("UpSampling3D", "size", 1.5),
    ("Flatten", "data_format", "first"),
    ("Reshape", "target_shape", 3),
    ("Reshape", "target_shape", (-1, -1)),
    ("Reshape", "target_shape", (-2, 3)),
    ("Reshape", "target_shape", (2.0, 3)),
    ("Permute", "dims", 1),
    ("Permute", "dims", (0, 1)),
    ("Permute", "dims", (1, 1)),
    ("Permute", "dims", ("1", 2)),
    ("RepeatVector", "n", 0),
    ("RepeatVector", "n", 2.0),
    ("SeparableConv2D", "kernel_size", {2}),
    ("SeparableConv2D", "kernel_size", b"33"),
    ("DepthwiseConv1D", "use_bias", "no"),
    ("Conv1DTranspose", "use_bias", None),
    ("GlobalMaxPooling1D", "keepdims", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "argument", "given"), ARGUMENTS, ids=str)
def test_argument_is_refused(name, argument, given):
    options = NEEDED.get(name, {}) | {argument: given}
    with pytest.raises(ArgumentError) as error:
        getattr(layers, name)(**options, name="mine")
    said = str(error.value)
    assert said.startswith(f"{name} 'mine': {argument}: expected ")
    shown = said.rpartition("; got ")[2]
    assert shown == f"{given!r}."


SIZES = ["kernel_size", "strides", "dilation_rate", "padding", "data_format"]
ORDERS = {
    "Conv2D": [*SIZES, "filters", "groups"],
    "Conv2DTranspose": [*SIZES, "filters", "groups", "output_padding"],
    "SeparableConv2D": [*SIZES, "filters", "depth_multiplier"],
    "DepthwiseConv2D": [*SIZES, "depth_multiplier"],
    "MaxPooling2D": ["pool_size", "strides", "padding", "data_format"],
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_first_of_several_wrong_arguments_is_named(name):
    order = ORDERS[name]
    right = {"kernel_size": 1, "filters": 4}
    for place, argument in enumerate(order):
        options = {key: right[key] for key in order[:place] if key in right}
        options |= dict.fromkeys(order[place:], -1)
        with pytest.raises(ArgumentError, match=f"^{name} '.*': {argument}: "):
            getattr(layers, name)(**options)


INPUTS = [
    ("Conv1DTranspose", {}, (2, 7), "3 dimensions"),
    ("Conv1DTranspose", {}, (2, 7, None), "a known size of axis 2"),
    ("Conv1DTranspose", {"data_format": "channels_first"}, (2, None, 7), "a known size of axis 1"),
    (
        "Conv1DTranspose",
        {"kernel_size": 2, "strides": 2, "padding": "same", "output_padding": 0},
        (2, 1, 3),
        "an output of at least 1",
    ),
    ("SeparableConv1D", {}, (2, 7, 3, 1), "3 dimensions"),
    ("SeparableConv1D", {}, (2, 2, 3), "at least 3"),
    ("SeparableConv2D", {}, (2, 5, 2, 3), "at least 3"),
    ("DepthwiseConv1D", {"dilation_rate": 2}, (2, 4, 3), "at least 5"),
    ("DepthwiseConv2D", {}, (2, 5, 3), "4 dimensions"),
    ("MaxPooling2D", {}, (2, 5, 1, 3), "at least 2"),
    ("MaxPooling1D", {}, (2, 5), "3 dimensions"),
    ("AveragePooling2D", {}, (2, 5, 5, 3, 1), "4 dimensions"),
    ("GlobalMaxPooling1D", {}, (2, 0, 3), "at least one position"),
    ("GlobalAveragePooling2D", {}, (2, 3, 3), "4 dimensions"),
    ("ZeroPadding1D", {}, (2, 3), "3 dimensions"),
    ("Cropping1D", {"cropping": 2}, (2, 4, 3), "more positions than are cropped"),
    ("UpSampling2D", {}, (2, 4, 3), "4 dimensions"),
    ("Reshape", {"target_shape": (2, 5)}, (2, 3, 3), "as many as"),
    ("Reshape", {"target_shape": (2, -1)}, (2, 3, 3), "as many as"),
    ("Permute", {"dims": (2, 1)}, (2, 3), "3 dimensions"),
    ("RepeatVector", {"n": 2}, (2, 3, 3), "2 dimensions"),
]


@pytest.mark.parametrize(("name", "options", "shape", "expected"), INPUTS, ids=str)
def test_input_is_refused_before_weights_are_made(name, options, shape, expected):
    layer = getattr(layers, name)(**NEEDED.get(name, {}) | options, name="mine")
    attempts = [lambda: layer.build(shape), lambda: layer.compute_output_shape(shape)]
    if None not in shape:
        attempts.append(lambda: layer(np.ones(shape)))
    if 0 not in shape:
        attempts.append(lambda: layer(Input(shape[1:])))
    for attempt in attempts:
        with pytest.raises(ArgumentError, match=f"^{name} 'mine': .*{expected}.*; got "):
            attempt()
    assert not layer.weights
    assert not layer.built


ANY = {
    "Conv1D": lambda **kw: layers.Conv1D(4, 3, **kw),
    "SeparableConv1D": lambda **kw: layers.SeparableConv1D(4, 3, **kw),
    "Dense": lambda **kw: layers.Dense(4, **kw),
    "MaxPooling1D": layers.MaxPooling1D,
    "Cropping1D": layers.Cropping1D,
    "Flatten": layers.Flatten,
    "Reshape": lambda **kw: layers.Reshape((-1,), **kw),
    "Permute": lambda **kw: layers.Permute((2, 1), **kw),
}


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize(
    "given", [None, object(), {"x": np.ones((2, 9, 4))}, [np.ones(3)] * 2, 5.0]
)
def test_what_is_not_one_array_is_refused(name, given):
    layer = ANY[name](name="mine")
    for _ in range(2):
        with pytest.raises(ArgumentError, match=f"^{name} 'mine': input: expected .*; got "):
            layer(given)
        layer(numbers(2, 9, 4))  # Refused once built as well.


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize(
    "shape", [None, 9, "abc", (None, 9, -4), (None, 9, 4.0), (None, 9, "4"), [(None, 9, 4)], ()]
)
def test_what_is_no_shape_is_refused(name, shape):
    layer = ANY[name](name="mine")
    for attempt in (layer.build, layer.compute_output_shape):
        with pytest.raises(ShapeError, match=f"^{name} 'mine': input: expected .*; got "):
            attempt(shape)
    assert not layer.built


@pytest.mark.parametrize("name", ["Conv1D", "SeparableConv1D"])
def test_no_channels_are_refused(name):
    with pytest.raises(ShapeError, match="at least one channel"):
        ANY[name]()(np.ones((2, 9, 0)))


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_no_steps_are_refused_even_where_padded(padding):
    with pytest.raises(ShapeError, match=r"at least 1 .*; got 0 positions on spatial axis 0\.$"):
        layers.Conv1D(4, 3, padding=padding)(np.ones((2, 0, 4)))


@pytest.mark.parametrize("name", [5, "a/b"])
def test_names_are_words(name):
    with pytest.raises(ArgumentError, match="Dense: name: expected a string"):
        layers.Dense(1, name=name)


@pytest.mark.parametrize("given", [None, 5, {"kernel": 1}, "ab"])
def test_set_weights_takes_a_list(given):
    layer = layers.Dense(2)
    layer.build((None, 3))
    with pytest.raises(ArgumentError, match="set_weights: expected a list of 2 arrays"):
        layer.set_weights(given)


def test_sizes_may_be_numpy_arrays():
    assert layers.Conv2D(1, np.array(3)).kernel_size == (3, 3)
    assert layers.Conv2D(1, np.array([3, 2])).kernel_size == (3, 2)


def test_a_mask_may_be_a_list():
    layer, x, kept = layers.Conv1D(4, 3), numbers(1, 5, 2), [[1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(layer(x, mask=kept), layer(x, mask=np.array(kept, bool)))


@pytest.mark.parametrize("name", ["Conv1D", "Conv1DTranspose"])
def test_groups_divide_the_channels(name):
    layer = getattr(layers, name)(4, 1, groups=2)
    with pytest.raises(ArgumentError, match=f"^{name} '.*': groups: .*input channels, 3; got 2"):
        layer(numbers(2, 7, 3))


@pytest.mark.parametrize("name", ["Conv1D", "Conv1DTranspose", "SeparableConv1D"])
def test_nothing_is_allocated_for_sizes_that_cannot_be(name):
    large = 2**31 - 1
    layer = getattr(layers, name)(large, 9, data_format="channels_first")
    with pytest.raises(ShapeError, match="dimensions"):
        layer.build((None, large))
    if name != "Conv1DTranspose":
        with pytest.raises(ShapeError, match="at least 9"):
            layer.build((None, large, 8))


STEPS, ROWS, WORDS = np.ones((1, 8, 2)), np.ones((1, 3)), np.zeros((1, 2), "int32")
ABSURD = {
    "filters": lambda n: layers.Conv1D(n, 3)(STEPS),
    "kernel_size": lambda n: layers.Conv1D(2, n)(STEPS),
    "strides": lambda n: layers.Conv1DTranspose(2, 3, strides=n)(STEPS),
    "dilation_rate": lambda n: layers.DepthwiseConv1D(3, dilation_rate=n)(STEPS),
    "depth_multiplier": lambda n: layers.SeparableConv1D(3, 3, depth_multiplier=n)(STEPS),
    "units": lambda n: layers.Dense(n)(STEPS),
    "pool_size": lambda n: layers.MaxPooling1D(n)(STEPS),
    "n": lambda n: layers.RepeatVector(n)(ROWS),
    "size": lambda n: layers.UpSampling1D(n)(STEPS),
    "padding": lambda n: layers.ZeroPadding1D(n)(STEPS),
    "cropping": lambda n: layers.Cropping1D(n)(STEPS),
    "input_dim": lambda n: layers.Embedding(n, 4)(WORDS),
    "output_dim": lambda n: layers.Embedding(4, n)(WORDS),
}


@pytest.mark.parametrize("argument", ABSURD)
@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_absurd_numbers_are_refused_by_name(argument, number):
    with pytest.raises(ArgumentError, match=rf"'.*: {argument}: .*2147483647; got"):
        ABSURD[argument](number)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: layers.Dense(2**30).build((None, 2**30)), "dense.*/kernel: .* of memory here"),
        (lambda: layers.UpSampling1D(2**30)(STEPS[:, :, :1].repeat(64, 2)), "of memory here; got"),
        (lambda: layers.Input((2**31, 2)), "sizes of at most 2147483647"),
    ],
)
def test_what_no_memory_could_hold_is_refused_before_it_is_asked_for(make, what):
    with pytest.raises(ArgumentError, match=what):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv1DTranspose(3, 2),
        lambda: layers.SeparableConv1D(3, 2),
        lambda: layers.DepthwiseConv1D(2),
        lambda: layers.MaxPooling1D(2),
        lambda: layers.AveragePooling1D(2),
        lambda: layers.GlobalMaxPooling1D(),
        lambda: layers.GlobalAveragePooling1D(),
        lambda: layers.ZeroPadding1D(),
        lambda: layers.Cropping1D(),
        lambda: layers.UpSampling1D(),
        lambda: layers.Permute((2, 1)),
        lambda: layers.Reshape((-1, 3)),
    ],
)
def test_later_inputs_are_checked_too(make):
    layer = make()
    layer(numbers(2, 7, 3))
    wrong = (2, 7, 2) if layer.weights or isinstance(layer, layers.Reshape) else (2, 7, 3, 3)
    with pytest.raises(ShapeError, match=f"^{layer.where()}: "):
        layer(numbers(*wrong))


@pytest.mark.parametrize(
    ("layer", "length"),
    [
        (layers.SeparableConv1D(3, 4), 3),
        (layers.MaxPooling1D(4), 3),
        (layers.AveragePooling1D(4), 3),
        (layers.Reshape((-1, 6)), 3),
        (layers.Cropping1D((2, 2)), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_known_at_run_time_only_are_checked_then(layer, length):
    inputs = Input((None, 3))
    model = Model(inputs, layer(inputs))
    assert model(numbers(1, 8, 3)).shape[0] == 1
    with pytest.raises(RuntimeCheckError, match=f"^{layer.where()}: .*{length}"):
        model(numbers(1, length, 3))


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pooling_of_no_positions_is_an_error_of_its_layer(kind, rank, data_format):
    layer = getattr(layers, f"Global{kind}Pooling{rank}D")(data_format=data_format)
    first = data_format == "channels_first"
    inputs = Input((3, *(None,) * rank) if first else (*(None,) * rank, 3))
    model = Model(inputs, layer(inputs))
    for lengths, fits in (((2,) * rank, True), ((2,) * (rank - 1) + (0,), False)):
        for batch in (0, 1, 2):
            x = np.ones((batch, 3, *lengths) if first else (batch, *lengths, 3), "float32")
            for call in (model, model.predict_on_batch, layer):
                if fits:
                    assert call(x).shape == (batch, 3)
                    continue
                with pytest.raises(ShapeError, match=f"^{layer.where()}: input: .*, 0"):
                    call(x)


def test_a_check_names_the_layer_that_was_called():
    x = Input((None, 3))
    made = [layers.MaxPooling1D(4) for _ in range(3)]
    models = [Model(x, layer(x)) for layer in made]
    for model, layer in zip(models, made, strict=True):
        with pytest.raises(RuntimeCheckError, match=f"^{layer.where()}: "):
            model(numbers(1, 3, 3))
