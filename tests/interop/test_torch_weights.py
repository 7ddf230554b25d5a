"""Weights of PyTorch in models and back: by name, by order, in files, through flattening."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, FileError
from isoconv.interop.torch import load_state_dict, state_dict


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def network(data_format="channels_last", **names):
    """Convolution, statistics, flattening, statistics, Dense."""
    axis = -1 if data_format == "channels_last" else 1
    inputs = isoconv.Input((6, 5, 3) if axis < 0 else (3, 6, 5))
    y = layers.Conv2D(4, 3, data_format=data_format, name=names.get("conv"))(inputs)
    y = layers.BatchNormalization(axis, epsilon=1e-5, name=names.get("bn"))(y)
    y = layers.Flatten(data_format=data_format)(y)
    y = layers.Dropout(0.5)(y)
    y = layers.BatchNormalization(epsilon=1e-5, name=names.get("flat"))(y)
    return isoconv.Model(inputs, layers.Dense(7, name=names.get("fc"))(layers.ReLU()(y)))


class Torch(nn.Module):
    """The same in PyTorch's layout, where the channels are flattened first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.flat = nn.BatchNorm1d(48)
        self.fc = nn.Linear(48, 7)

    def forward(self, x):
        return self.fc(torch.relu(self.flat(torch.flatten(self.bn(self.conv(x)), 1))))


NAMES = {"conv": "conv", "bn": "bn", "flat": "flat", "fc": "fc"}


def trained():
    module = Torch()
    for seed, tensor in enumerate(module.state_dict().values()):
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(np.abs(numbers(*tensor.shape, seed=seed)) + 0.1))
    return module.eval()


def agree(model, module, first):
    x = numbers(2, 3, 6, 5)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    given = x if first else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(model(given), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("by", ["name", "order"])
def test_weights_go_through_flattening_into_both_layouts(data_format, by):
    module = trained()
    model = network(data_format, **(NAMES if by == "name" else {}))
    table = load_state_dict(model, module.state_dict(), by=by)
    agree(model, module, data_format == "channels_first")
    assert len(table) == 12
    text = str(table)
    assert "conv.weight" in text
    assert "axes (2, 3, 1, 0)" in text
    assert "as (7, 4, 4, 3), axes (2, 3, 1, 0)" in text
    # And back into a module of PyTorch's own layout.
    again = Torch()
    found = {key: torch.from_numpy(array) for key, array in state_dict(model).items()}
    names = dict(zip(found, (key for key in again.state_dict() if "num" not in key), strict=True))
    again.load_state_dict({names[key]: each for key, each in found.items()}, strict=False)
    agree(model, again.eval(), data_format == "channels_first")


def test_a_flatten_in_the_wrong_order_is_caught(monkeypatch):
    module = trained()
    model = network(**NAMES)
    monkeypatch.setattr("isoconv.interop.torch.flattening._layout", lambda x: None)
    load_state_dict(model, module.state_dict())
    with pytest.raises(AssertionError):
        agree(model, module, False)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_files_are_read_as_they_were_saved(suffix, tmp_path):
    module, path = trained(), tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        source = network(**NAMES)
        load_state_dict(source, module.state_dict())
        source.save_weights(path)
    else:
        legacy = {"_use_new_zipfile_serialization": suffix == ".pth"}
        torch.save({"epoch": 3, "state_dict": module.state_dict()}, path, **legacy)
    model = network(**NAMES)
    model.load_weights(path)
    agree(model, module, False)


def test_safetensors_are_those_of_the_package(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    model = network(**NAMES)
    path = tmp_path / "net.safetensors"
    model.save_weights(path)
    found = package.load_file(path)
    wanted = state_dict(model)
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
    package.save_file({name: array + 1 for name, array in found.items()}, path)
    model.load_weights(path)
    np.testing.assert_array_equal(state_dict(model)["fc.bias"], wanted["fc.bias"] + 1)


KINDS = ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_every_kind_of_number_is_read(suffix, tmp_path):
    from_torch = {
        kind: torch.arange(-3, 9).reshape(3, 4).to(getattr(torch, kind)).t() for kind in KINDS
    }
    path = tmp_path / f"kinds{suffix}"
    torch.save(from_torch, path, _use_new_zipfile_serialization=suffix == ".pth")
    found = isoconv.interop.torch.loading.read_checkpoint(path)
    for kind, tensor in from_torch.items():
        np.testing.assert_array_equal(found[kind], tensor.double().numpy())


def test_axes_of_size_one_may_be_more_or_fewer():
    module = nn.Conv2d(2, 3, (5, 1))
    inputs = isoconv.Input((9, 2))
    model = isoconv.Model(inputs, layers.Conv1D(3, 5)(inputs))
    load_state_dict(model, module.state_dict())
    x = numbers(2, 9, 2)
    with torch.no_grad():
        expected = module(torch.from_numpy(x.transpose(0, 2, 1)[..., None]))[..., 0]
    np.testing.assert_allclose(model(x), expected.numpy().transpose(0, 2, 1), rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_changes_nothing():
    model = network(**NAMES)
    before = model.get_weights()
    good = {name: tensor.numpy() for name, tensor in trained().state_dict().items()}
    cases = {
        "fc.bias": good | {"fc.bias": np.zeros(8, "float32")},
        "conv.weight: missing": {
            name: each for name, each in good.items() if name != "conv.weight"
        },
        "no such weight": good | {"more.weight": np.zeros(3, "float32")},
    }
    for said, arrays in cases.items():
        with pytest.raises(FileError, match=said):
            load_state_dict(model, arrays, by="name")
    with pytest.raises(FileError, match="12"):
        load_state_dict(model, {"a": np.zeros(3)})
    with pytest.raises(ArgumentError, match="by"):
        load_state_dict(model, good, by="shape")
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_skip_mismatch_warns(tmp_path):
    module, model = trained(), network(**NAMES)
    weights = module.state_dict() | {"fc.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "net.pt")
    with pytest.warns(UserWarning, match=r"fc\.bias"):
        model.load_weights(tmp_path / "net.pt", skip_mismatch=True)
    np.testing.assert_array_equal(model.get_layer("fc").kernel.numpy().shape, (48, 7))


def test_an_order_that_is_not_known_is_refused():
    inputs = isoconv.Input((4, 4, 3))
    y = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    model = isoconv.Model(inputs, layers.Dense(2)(layers.Concatenate()([y, y])))
    with pytest.raises(ArgumentError, match="order"):
        state_dict(model)
