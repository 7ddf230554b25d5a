"""Layers on spatial axes against Keras: values, gradients, shapes, configurations, arguments."""

from __future__ import annotations

import inspect
import json

import keras
import numpy as np
import pytest
from oracle import both, close, compare, compare_built, numbers, share_weights

import isoconv
from isoconv import layers

FIRST = {"data_format": "channels_first"}

STEPS, PLANES, VOLUMES = (2, 9, 4), (2, 5, 6, 4), (2, 3, 4, 5, 3)
TRANSPOSED = [
    ("Conv1DTranspose", STEPS, {"filters": 3, "kernel_size": taps, "strides": strides, **rest})
    for taps, strides, rest in [
        (3, 1, {}),
        (4, 2, {"padding": "same"}),
        (4, 2, {"padding": "same", "output_padding": 0}),
        (3, 3, {"padding": "same", "output_padding": 2}),
        (2, 5, {}),
        (3, 2, {"output_padding": 1, "activation": "sigmoid"}),
        (3, 1, {"dilation_rate": 2, "padding": "same"}),
        (2, 5, {"padding": "same", "use_bias": False}),
    ]
]
CONVOLUTIONS = [
    *TRANSPOSED,
    ("Conv2DTranspose", PLANES, {"filters": 3, "kernel_size": (3, 2), "strides": (1, 2)}),
    ("Conv3DTranspose", VOLUMES, {"filters": 2, "kernel_size": 2, "padding": "same", **FIRST}),
    ("DepthwiseConv1D", STEPS, {"kernel_size": 3, "strides": 2, "depth_multiplier": 3}),
    ("DepthwiseConv1D", STEPS, {"kernel_size": 2, "dilation_rate": 2, **FIRST}),
    ("DepthwiseConv2D", PLANES, {"kernel_size": (3, 2), "padding": "same", "use_bias": False}),
    ("DepthwiseConv2D", PLANES, {"kernel_size": 2, "strides": 2, "activation": "relu", **FIRST}),
    ("SeparableConv1D", STEPS, {"filters": 5, "kernel_size": 3, "dilation_rate": 2}),
    ("SeparableConv1D", STEPS, {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("SeparableConv2D", PLANES, {"filters": 3, "kernel_size": 2, "depth_multiplier": 2}),
    ("SeparableConv2D", PLANES, {"filters": 3, "kernel_size": 2, "activation": "gelu", **FIRST}),
]
POOLING = [
    (f"{kind}Pooling{len(shape) - 2}D", shape, {"pool_size": size, **options})
    for kind in ("Max", "Average")
    for shape, size, options in [
        (STEPS, 2, {}),
        ((2, 2, 3), 3, {"strides": 2, "padding": "same"}),
        (STEPS, 3, {"strides": 1, "padding": "same"}),
        (STEPS, 2, {"strides": 3}),
        (STEPS, 4, {"strides": 3, "padding": "same", **FIRST}),
        (PLANES, (2, 3), {"strides": (2, 1), "padding": "same"}),
        (PLANES, 2, FIRST),
        (VOLUMES, (2, 1, 3), {"padding": "same"}),
    ]
]
GLOBAL = [
    (f"Global{kind}Pooling{len(shape) - 2}D", shape, options)
    for kind in ("Max", "Average")
    for shape in (STEPS, PLANES, VOLUMES)
    for options in ({}, {"keepdims": True}, FIRST)
]
MOVING = [
    ("ZeroPadding1D", STEPS, {}),
    ("ZeroPadding1D", STEPS, {"padding": (2, 0), **FIRST}),
    ("ZeroPadding2D", PLANES, {"padding": (1, 2)}),
    ("ZeroPadding2D", PLANES, {"padding": ((0, 1), (2, 3)), **FIRST}),
    ("ZeroPadding3D", VOLUMES, {"padding": ((1, 0), (0, 0), (2, 1))}),
    ("Cropping1D", STEPS, {}),
    ("Cropping1D", STEPS, {"cropping": (0, 3)}),
    ("Cropping2D", PLANES, {}),
    ("Cropping2D", PLANES, {"cropping": ((0, 1), (2, 1)), **FIRST}),
    ("Cropping3D", VOLUMES, {}),
    ("UpSampling1D", STEPS, {"size": 3}),
    ("UpSampling2D", PLANES, {"size": (2, 3)}),
    ("UpSampling2D", PLANES, {"interpolation": "bilinear"}),
    ("UpSampling2D", PLANES, {"size": (3, 1), "interpolation": "bilinear", **FIRST}),
    ("UpSampling3D", VOLUMES, {"size": (1, 2, 3), **FIRST}),
    ("Flatten", PLANES, {}),
    ("Flatten", PLANES, FIRST),
    ("Flatten", (3,), {}),
    ("Reshape", PLANES, {"target_shape": (6, -1)}),
    ("Reshape", STEPS, {"target_shape": (4, 3, 3)}),
    ("Reshape", STEPS, {"target_shape": (-1,)}),
    ("Permute", PLANES, {"dims": (3, 1, 2)}),
    ("RepeatVector", (2, 3), {"n": 5}),
]


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    """Keras takes means in float32 whatever the layer's dtype: here in that of the input."""
    dtypes = keras.src.backend.common.dtypes
    usual = dtypes.result_type
    monkeypatch.setattr(
        dtypes, "result_type", lambda *of: "float64" if "float64" in of else usual(*of)
    )


def case_id(value):
    return value if isinstance(value, str) else str(value).replace("'", "")


@pytest.mark.parametrize(
    ("name", "shape", "options"), [*CONVOLUTIONS, *POOLING, *GLOBAL, *MOVING], ids=case_id
)
def test_layer_is_keras(name, shape, options):
    # Keras' own layer reads our configuration.
    config = getattr(layers, name)(**options).get_config()
    assert getattr(keras.layers, name).from_config(config).get_config()["name"] == config["name"]
    compare(name, numbers(*shape), **options)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("Conv1DTranspose", STEPS), ("DepthwiseConv2D", PLANES), ("SeparableConv1D", STEPS)],
)
def test_regularizers_and_constraints_of_each_weight(name, shape):
    kinds = ("depthwise", "pointwise") if name[0] == "S" else ("kernel",)
    kinds = ("depthwise",) if name[0] == "D" else kinds
    options = {f"{kind}_regularizer": "l2" for kind in kinds} | {"bias_regularizer": "l1"}
    options |= {f"{kind}_constraint": "max_norm" for kind in kinds}
    options |= {f"{kind}_initializer": "he_normal" for kind in kinds}
    counts = {} if name[0] == "D" else {"filters": 3}
    ours, theirs = both(name, kernel_size=2, **counts, **options)
    x = numbers(*shape)
    share_weights(ours, theirs, x.shape)
    compare_built(ours, theirs, x)
    close(sum(ours.losses), sum(theirs.losses), rtol=1e-6)  # Keras' penalty is a float32
    constrained = [weight.constraint is not None for weight in ours.weights]
    assert constrained == [weight.constraint is not None for weight in theirs.weights]


def positional(name):
    """Values for Keras' arguments in their order, each telling."""
    telling = {
        "filters": 4, "kernel_size": 2, "pool_size": 3, "strides": 1, "padding": "same",
        "output_padding": 0, "data_format": "channels_first", "dilation_rate": 2,
        "depth_multiplier": 3, "groups": 2, "activation": "tanh", "use_bias": False,
        "keepdims": True, "size": 3, "interpolation": "bilinear", "cropping": 2,
        "target_shape": (2, 3), "dims": (2, 1), "n": 4, "name": "mine",
    }  # fmt: skip
    if "Padding" in name:
        telling["padding"] = 3
    found = []
    for parameter in list(inspect.signature(getattr(keras.layers, name).__init__).parameters)[1:]:
        rule = parameter.rpartition("_")[2]
        if rule in ("initializer", "regularizer", "constraint"):
            which = {"initializer": "ones", "regularizer": "l1", "constraint": "non_neg"}
            found.append(which[rule])
        elif parameter != "kwargs":
            found.append(telling[parameter])
    return found


def plain(config):
    """A config as JSON, with objects by their classes' names alone."""
    named = {
        key: value["class_name"] if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in ("dtype", "name", "quantization_config")
    }
    return json.loads(json.dumps(named))


OURS_ALONE = {"groups", "data_format"}
NAMES = sorted({name for name, *_ in [*CONVOLUTIONS, *POOLING, *GLOBAL, *MOVING]} | {"Conv2D"})


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stand_in_keras_order_and_default_to_keras(name):
    required = {"filters": 4, "kernel_size": 2, "pool_size": 2, "n": 2, "dims": (2, 1)}
    required |= {"target_shape": (2, 3)}
    signature = inspect.signature(getattr(keras.layers, name).__init__).parameters
    needed = {k: v for k, v in required.items() if k in signature}
    for args, kwargs in [((), needed), (positional(name), {})]:
        ours = plain(getattr(layers, name)(*args, **kwargs).get_config())
        theirs = plain(getattr(keras.layers, name)(*args, **kwargs).get_config())
        assert {key: ours.get(key) for key in theirs} == theirs
        assert set(ours) - set(theirs) <= OURS_ALONE


def test_aliases_are_the_layers():
    for name in layers.__all__:
        theirs = getattr(keras.layers, name, None)
        if inspect.isclass(theirs):
            assert getattr(layers, name).__name__ == theirs.__name__
    found = {name for name in dir(keras.layers) if name in NAMES or "Pool" in name}
    adaptive = {name for name in found if name.startswith("Adaptive")}
    assert found - adaptive <= set(layers.__all__)


@pytest.mark.parametrize("name", ["Cropping1D", "UpSampling1D"])
def test_channels_first_where_keras_has_no_format(name):
    ours = getattr(layers, name)(2, data_format="channels_first")
    again = type(ours).from_config(ours.get_config())
    x = numbers(2, 4, 9)
    expected = getattr(layers, name)(2)(x.transpose(0, 2, 1)).transpose(0, 2, 1)
    np.testing.assert_array_equal(again(x), expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ZeroPadding1D", "channels_first"),
        ("MaxPooling1D", "channels_first"),
        ("Cropping1D", "channels_last"),
        ("UpSampling1D", "channels_last"),
        ("UpSampling2D", "channels_first"),
    ],
)
def test_formats_follow_the_default_only_where_keras_does(monkeypatch, name, expected):
    monkeypatch.setattr(isoconv.settings, "image_data_format", lambda: "channels_first")
    assert getattr(layers, name)(2).data_format == expected


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        *[(name, (None,) * len(shape), options) for name, shape, options in [*POOLING, *GLOBAL]],
        *[
            (name, (None, *(None,) * (len(shape) - 2), shape[-1]), options)
            for name, shape, options in [*CONVOLUTIONS, *MOVING]
            if len(shape) > 2 and "data_format" not in options and name != "Reshape"
        ],
        ("Reshape", (None, None, 6), {"target_shape": (-1, 3)}),
    ],
    ids=case_id,
)
def test_unknown_sizes_stay_unknown(name, shape, options):
    ours, theirs = both(name, **options)
    assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2DTranspose(3, 2, padding="same"),
        lambda: layers.DepthwiseConv2D(2),
        lambda: layers.SeparableConv2D(3, 2, strides=2),
        lambda: layers.MaxPooling2D(3, 2, "same"),
        lambda: layers.AveragePooling2D(3, 2, "same"),
        lambda: layers.GlobalMaxPooling2D(),
        lambda: layers.GlobalAveragePooling2D(),
        lambda: layers.ZeroPadding2D(1),
        lambda: layers.Cropping2D(1),
        lambda: layers.UpSampling2D(2),
        lambda: layers.UpSampling2D(3, interpolation="bilinear"),
        lambda: layers.Flatten(),
        lambda: layers.Permute((2, 3, 1)),
    ],
)
def test_new_sizes_compile_nothing(make, compilations):
    layer = make()
    layer(numbers(2, 6, 5, 3))
    before = compilations()
    for shape in [(1, 6, 5, 3), (0, 6, 5, 3), (3, 4, 9, 3), (2, 11, 4, 3)]:
        x = numbers(*shape)
        assert layer(x).shape == tuple(layer.compute_output_shape(shape))
    assert compilations() == before


@pytest.mark.parametrize("name", ["MaxPooling1D", "GlobalMaxPooling1D", "UpSampling1D"])
def test_integers_stay_integers(name):
    x = np.arange(24).reshape(2, 4, 3)
    y = getattr(layers, name)()(x)
    assert y.dtype == "int64"
    np.testing.assert_array_equal(y, getattr(keras.layers, name)()(x.astype(float)))


@pytest.mark.parametrize(
    "make",
    [
        lambda **kw: layers.Conv1DTranspose(3, 2, **kw),
        lambda **kw: layers.DepthwiseConv1D(2, **kw),
        lambda **kw: layers.SeparableConv1D(3, 2, **kw),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_numbers_become_those_of_the_layer(make, dtype):
    layer = make(dtype=dtype)
    whole = np.arange(24).reshape(2, 4, 3)
    expected = layer(whole.astype(dtype))
    assert expected.dtype == dtype
    assert {weight.dtype for weight in layer.weights} == {dtype}
    for given in ("uint8", "int64", "float16", "float64"):
        np.testing.assert_array_equal(layer(whole.astype(given)), expected)
    turned = np.asfortranarray(whole)
    turned.flags.writeable = False
    np.testing.assert_array_equal(layer(turned), expected)
