"""`to_torch`: the module gives the model's outputs, in its layout, with its names and weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import isoconv
from isoconv import layers, ops
from isoconv.errors import ArgumentError
from torch_networks import MobileNetV2, ResNet18, randomized


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def randomize(model, seed=0):
    """Gives all weights numbers of their own, variances above 0."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = rng.normal(size=weight.shape) * 0.5
        weight.assign(abs(value) + 0.3 if weight.name == "moving_variance" else value)


def agree(model, *inputs, rtol=1e-5):
    """Asserts that the model's module gives what it gives; returns the module."""
    module = model.to_torch()
    ours = model(list(inputs) if len(inputs) > 1 else inputs[0])
    with torch.no_grad():
        theirs = module(*map(torch.from_numpy, inputs))
    both = (x if isinstance(x, list | tuple) else [x] for x in (ours, theirs))
    for mine, his in zip(*both, strict=True):
        assert mine.shape == tuple(his.shape)
        assert np.abs(mine - his.numpy()).max() <= rtol * max(np.abs(mine).max(), 1e-3)
    return module


CONVOLUTIONS = [
    ("Conv", {"filters": 6, "kernel_size": 3}),
    ("Conv", {"filters": 6, "kernel_size": 4, "padding": "same", "activation": "relu"}),
    ("Conv", {"filters": 6, "kernel_size": 3, "padding": "same", "strides": 2}),
    ("Conv", {"filters": 6, "kernel_size": 4, "padding": "same", "strides": 3, "groups": 2}),
    ("Conv", {"filters": 6, "kernel_size": 2, "dilation_rate": 3, "use_bias": False}),
    ("DepthwiseConv", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same", "strides": 2}),
    ("SeparableConv", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2, "strides": 2}),
    ("Transpose", {"filters": 6, "kernel_size": 3, "strides": 2}),
    ("Transpose", {"filters": 6, "kernel_size": 2, "strides": 3}),
    ("Transpose", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Transpose", {"filters": 6, "kernel_size": 4, "strides": 2, "padding": "same"}),
    (
        "Transpose",
        {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
    ),
    ("Transpose", {"filters": 6, "kernel_size": 5, "strides": 3, "output_padding": 0}),
    ("Transpose", {"filters": 6, "kernel_size": 3, "groups": 2, "dilation_rate": 2}),
    ("Transpose", {"filters": 6, "kernel_size": 1, "strides": 2, "padding": "same"}),
]
OTHERS = [
    ("MaxPooling", {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("MaxPooling", {"pool_size": 3, "strides": 2, "padding": 1, "ceil_mode": True}),
    ("MaxPooling", {"pool_size": 3, "padding": (1, 2)}),
    ("AveragePooling", {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("AveragePooling", {"pool_size": 2, "ceil_mode": True}),
    ("AveragePooling", {"pool_size": 3, "strides": 2, "padding": 1}),
    ("LpPooling", {"pool_size": 3, "strides": 2, "ceil_mode": True}),
    ("LpPooling", {"pool_size": 2, "p": 3, "padding": "same"}),
    ("GlobalAveragePooling", {}),
    ("GlobalMaxPooling", {"keepdims": True}),
    ("AdaptiveAveragePooling", {"output_size": 3}),
    ("AdaptiveMaxPooling", {"output_size": 2}),
    ("ZeroPadding", {"padding": 2}),
    ("Padding", {"padding": 2, "mode": "circular"}),
    ("Cropping", {"cropping": 1}),
    ("UpSampling", {"size": 2}),
    ("NearestResizing", {"scale": 1.5}),
    ("SpatialDropout", {"rate": 0.5}),
]


def spatial(name, rank, options, data_format):
    family = {"Transpose": f"Conv{rank}DTranspose"}.get(name, f"{name}{rank}D")
    options = dict(options)
    if name in ("MaxPooling",) and isinstance(options.get("padding"), tuple):
        options["padding"] = [options["padding"]] * rank
    if name != "SpatialDropout" or rank > 1:
        options["data_format"] = data_format
    return getattr(layers, family)(**options)


@pytest.mark.parametrize(("rank", "data_format"), [(1, "channels_first"), (2, "channels_last")])
@pytest.mark.parametrize(("name", "options"), [*CONVOLUTIONS, *OTHERS], ids=str)
def test_layers_with_windows_are_the_same(name, options, rank, data_format):
    shape = (11, 14)[:rank]
    first = data_format == "channels_first"
    loose = (4, *(None,) * rank) if first else (*(None,) * rank, 4)
    inputs = isoconv.Input(loose)
    model = isoconv.Model(inputs, spatial(name, rank, options, data_format)(inputs))
    randomize(model)
    agree(model, numbers(2, *((4, *shape) if first else (*shape, 4))))


def test_causal_padding_is_the_same():
    inputs = isoconv.Input((None, 3))
    y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, strides=2)(inputs)
    y = layers.DepthwiseConv1D(2, padding="causal", activation="softmax")(y)
    model = isoconv.Model(inputs, y)
    randomize(model)
    agree(model, numbers(2, 13, 3))


def test_volumes_are_the_same():
    inputs = isoconv.Input((None, None, None, 2))
    y = layers.Conv3D(4, 3, padding="same", strides=2)(inputs)
    y = layers.Conv3DTranspose(3, 2, strides=2)(layers.BatchNormalization()(y))
    model = isoconv.Model(inputs, layers.MaxPooling3D(2)(y))
    randomize(model)
    agree(model, numbers(2, 7, 6, 8, 2))


ELEMENTS = [
    layers.BatchNormalization(),
    layers.BatchNormalization(axis=1, scale=False),
    layers.BatchNormalization(center=False, scale=False),
    layers.LayerNormalization(),
    layers.LayerNormalization(axis=[1, 2], center=False),
    layers.GroupNormalization(2),
    layers.GroupNormalization(-1, axis=1, scale=False),
    layers.ReLU(),
    layers.ReLU(6, 0.1, 0.5),
    layers.LeakyReLU(0.2),
    layers.ELU(0.5),
    layers.PReLU(shared_axes=[1]),
    layers.PReLU(shared_axes=[1, 2]),
    layers.Softmax(1),
    layers.Dropout(0.5),
    layers.Dense(7, activation="gelu"),
    layers.Permute((2, 1)),
    layers.Reshape((3, -1)),
    layers.Flatten(),
    layers.Flatten("channels_first"),
    layers.Identity(),
]


@pytest.mark.parametrize("layer", ELEMENTS, ids=lambda layer: layer.name)
def test_other_layers_are_the_same(layer):
    inputs = isoconv.Input((6, 4))
    model = isoconv.Model(inputs, layer(inputs))
    randomize(model)
    agree(model, numbers(3, 6, 4))


def test_activations_are_the_same():
    names = "relu relu6 elu selu celu gelu silu mish sigmoid tanh softmax log_softmax softplus "
    names += "softsign hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid exponential"
    inputs = isoconv.Input((6,))
    model = isoconv.Model(inputs, [layers.Activation(name)(inputs) for name in names.split()])
    agree(model, numbers(4, 6))


def test_embeddings_merges_and_functions_are_the_same():
    words, more = isoconv.Input((5,), dtype="int32"), isoconv.Input((5, 4))
    x = layers.Embedding(9, 4)(words)
    merged = [
        kind()([x, more])
        for kind in (layers.Add, layers.Multiply, layers.Subtract, layers.Average, layers.Maximum)
    ]
    y = layers.Concatenate()(merged)
    y = ops.mean(y[:, ::2], axis=1, keepdims=True) * 2 - ops.maximum(y, 0.1) + 1 / (y * y + 2)
    model = isoconv.Model([words, more], [y, layers.GlobalMaxPooling1D()(y)])
    agree(model, np.array([[0, 1, 2, 8, 4], [3, 3, 0, 1, 7]], "int32"), numbers(2, 5, 4))


def classifier(data_format="channels_last"):
    shape = (9, 12, 3) if data_format == "channels_last" else (3, 9, 12)
    inputs = isoconv.Input(shape)
    y = layers.Conv2D(4, 3, activation="relu", name="stem.conv", data_format=data_format)(inputs)
    y = layers.MaxPooling2D(2, name="stem.pool", data_format=data_format)(y)
    y = layers.Dense(5, name="head")(layers.Flatten(data_format=data_format)(y))
    model = isoconv.Model(inputs, y, name="small")
    randomize(model)
    return model


def test_functions_of_a_file_are_the_same(tmp_path):
    """There their operands have names."""
    x = isoconv.Input((6, 4))
    y = ops.maximum(layers.Dense(4)(x), x) * 2 - ops.where(x > 0.1, x, 0.5)
    isoconv.Model(x, ops.concatenate([y[:, ::2], ops.flip(x, 1)], axis=1)).save(
        tmp_path / "m.keras"
    )
    model = isoconv.load_model(tmp_path / "m.keras")
    given = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    found = model.to_torch()(torch.tensor(given)).detach().numpy()
    np.testing.assert_allclose(found, model(given), 1e-5, 1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_order_of_flatten_is_kept(data_format):
    model = classifier(data_format)
    module = agree(model, numbers(2, *model.inputs[0].shape[1:]))
    # What came back can be exported again.
    isoconv.from_torch(module, torch.zeros(1, *model.inputs[0].shape[1:]), dynamic=False)
    assert {"stem.conv.weight", "stem.conv.bias", "head.weight", "head.bias"} == {
        *module.state_dict()
    }


def test_models_within_models_and_shared_layers():
    inner = isoconv.Sequential(
        [isoconv.Input((None, 3)), layers.Conv1D(3, 3, padding="same", name="c")], name="inner"
    )
    inputs = isoconv.Input((None, 3))
    shared = layers.Dense(3, name="shared")
    model = isoconv.Model(inputs, shared(inner(shared(inner(inputs)))))
    randomize(model)
    module = agree(model, numbers(2, 7, 3))
    assert len(module.state_dict()) == 4
    assert "inner.c.weight" in module.state_dict()


@pytest.mark.parametrize("network", [ResNet18(8, 10), MobileNetV2(0.25, 10)], ids=["18", "v2"])
def test_whole_networks_come_back(network):
    module = randomized(network)
    model = isoconv.from_torch(module, torch.zeros(1, 3, 64, 64))
    again = agree(model, numbers(2, 3, 64, 56))
    theirs = module.state_dict()
    assert set(again.state_dict()) == set(theirs)
    for name, tensor in again.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0)


def test_it_trains_with_torchs_momentum():
    inputs = isoconv.Input((None, 3))
    norm = layers.BatchNormalization(momentum=0.8)
    model = isoconv.Model(inputs, norm(inputs))
    x = numbers(4, 6, 3)
    module = model.to_torch().train()
    module(torch.from_numpy(x))
    model(x, training=True)
    found = module.get_submodule(norm.name).running_mean.numpy()
    np.testing.assert_allclose(found, norm.moving_mean.numpy(), atol=1e-6)


def masked():
    return layers.Masking()(isoconv.Input((4, 3)))


REFUSED = {
    "masks": lambda: masked(),
    "masks of words": lambda: layers.Embedding(4, 3, mask_zero=True)(isoconv.Input((4,))),
    "lambdas": lambda: layers.Lambda(lambda x: x + 1)(isoconv.Input((4,))),
    "noise": lambda: layers.GaussianNoise(0.1)(isoconv.Input((4,))),
    "symmetric": lambda: layers.Padding1D(1, "symmetric")(isoconv.Input((4, 2))),
    "dot": lambda: layers.Dot(1)([isoconv.Input((4,)), isoconv.Input((4,))]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_has_not_is_refused(name):
    output = REFUSED[name]()
    inputs = list(output.call.args)
    with pytest.raises(ArgumentError, match="to_torch"):
        isoconv.Model(inputs[0], output).to_torch()
