"""isoconv convert: a table of every weight, and both sides run before anything is written."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

import isoconv as ic
import torch_networks
from isoconv import cli, layers
from isoconv.errors import ArgumentError, FileError
from isoconv.interop import conversion
from isoconv.interop.conversion import convert
from isoconv.interop.torch.loading import state_dict


def network():
    x = ic.Input((None, 4), name="series")
    y = layers.Conv1D(6, 3, activation="relu", name="conv")(x)
    y = layers.DepthwiseConv1D(3, name="deep")(y)
    y = layers.BatchNormalization(name="norm")(y)
    return ic.Model(x, layers.Dense(2, name="head")(layers.GlobalAveragePooling1D()(y)))


def test_keras_to_onnx_and_back(tmp_path):
    paths = [tmp_path / name for name in ("first.keras", "second.onnx", "third.keras")]
    model = network()
    model.save(paths[0])
    there, back = convert(paths[0], paths[1]), convert(paths[1], paths[2])
    assert [check.name for check in there.checks] == [
        "first.keras in Keras",
        "second.onnx in isoconv",
        "second.onnx in onnxruntime",
    ]
    assert all(check.difference < 1e-5 for check in there.checks)
    rows = {row.source: (row.target_shape, row.transposition) for row in there.weights}
    assert rows["conv/kernel"] == ((6, 4, 3), "axes (2, 1, 0)")
    assert rows["deep/kernel"] == ((6, 1, 3), "as (3, 1, 6), axes (2, 1, 0)")
    assert rows["norm/gamma"] == ((6,), "")
    assert len(rows) == len(model.weights)
    assert {row.transposition for row in back.weights} == {"", "axes (2, 1, 0)"}
    x = np.random.default_rng(0).normal(size=(2, 20, 4)).astype("float32")
    np.testing.assert_allclose(ic.load_model(paths[2])(x), model(x), rtol=1e-5, atol=1e-6)


def test_rows_lead_from_array_to_array(tmp_path):
    path = tmp_path / "model.keras"
    model = network()
    model.save(path)
    found = convert(path, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    written = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
    arrays = {weight.path: weight.array for weight in model.weights}
    for row in found.weights:
        np.testing.assert_array_equal(row.forward(arrays[row.source]), written[row.target])


def test_command(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.keras"
    network().save(path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["isoconv", "convert", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code or 0, *capsys.readouterr()

    code, out, _ = run(path, tmp_path / "model.onnx")
    assert code == 0
    assert "conv/kernel" in out
    assert "axes (2, 1, 0)" in out
    assert "model.onnx in onnxruntime: differs by" in out
    code, out, _ = run("--json", path, tmp_path / "model.onnx")
    assert json.loads(out)["weights"][0]["transposition"] == "axes (2, 1, 0)"
    code, _, err = run(path, tmp_path / "model.exe")
    assert code == 2
    assert ".onnx" in err


def test_nothing_is_written_where_the_sides_differ(tmp_path, monkeypatch):
    path, target = tmp_path / "model.keras", tmp_path / "model.onnx"
    network().save(path)
    monkeypatch.setattr(
        conversion, "_by_onnxruntime", lambda path, inputs: [np.zeros((2, 2), "float32")]
    )
    with pytest.raises(FileError, match="difference"):
        convert(path, target)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.keras"]


@pytest.mark.parametrize(
    "network",
    [torch_networks.ResNet18(8, 10), torch_networks.MobileNetV2(0.25, 10)],
    ids=["ResNet18", "MobileNetV2"],
)
def test_networks_of_pytorch_through_onnx(tmp_path, network):
    module = torch_networks.randomized(network)
    example = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = ic.from_torch(module, example)
    proto = model.to_onnx(tmp_path / "model.onnx")
    kinds = [node.op_type for node in proto.graph.node]
    convolutions = sum(isinstance(each, torch.nn.Conv2d) for each in module.modules())
    assert kinds.count("Conv") == convolutions
    assert kinds.count("Transpose") == 0
    again = ic.load_model(tmp_path / "model.onnx")
    expected = module(example).detach().numpy()
    session = conversion._by_onnxruntime(tmp_path / "model.onnx", [example.numpy()])[0]
    for actual in (model(example.numpy()), session, again(example.numpy())):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("end", [".safetensors", ".pt", ".pth", ".weights.h5"])
def test_weights_alone_both_ways(tmp_path, end):
    model, other, weights = network(), network(), tmp_path / f"weights{end}"
    for each in model.weights:
        each.assign(np.random.default_rng(each.shape[0]).uniform(0.5, 1, each.shape))
    whole, empty = tmp_path / "model.keras", tmp_path / "empty.keras"
    model.save(whole)
    other.save(empty)
    there, back = convert(whole, weights), convert(weights, tmp_path / "back.onnx", empty)
    framework = "Keras" if end == ".weights.h5" else "PyTorch"
    names = [f"{weights.name} in isoconv", f"{weights.name} in {framework}"]
    assert [check.name for check in there.checks][1:] == names
    assert back.checks[0].name == names[1]
    for check in (*there.checks, *back.checks):
        assert check.difference is not None, check
        assert check.difference < 1e-5, check
    x = np.random.default_rng(0).normal(size=(2, 20, 4)).astype("float32")
    again = ic.load_model(tmp_path / "back.onnx")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-6)
    # Each row of the tables makes the one side's array of the other's.
    arrays = {weight.path: weight.array for weight in model.weights}
    written = state_dict(model) if framework == "PyTorch" else arrays
    proto = onnx.load(tmp_path / "back.onnx")
    initial = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
    assert len(there.weights) == len(back.weights) == len(arrays)
    for row in there.weights:
        np.testing.assert_array_equal(row.forward(arrays[row.source]), written[row.target])
    for row in back.weights:
        np.testing.assert_array_equal(row.forward(written[row.source]), initial[row.target])


@pytest.mark.parametrize("end", [".pt", ".safetensors"])
def test_weights_behind_a_flattened_image_are_for_pytorchs_order(tmp_path, end):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    steps = [layers.MaxPooling2D(1), layers.ReLU(), layers.Flatten(), layers.Dense(2, name="head")]
    model = ic.Sequential([ic.Input((5, 4, 3)), *steps])
    model.save(tmp_path / "model.keras")
    found = convert(tmp_path / "model.keras", tmp_path / f"weights{end}")
    back = convert(tmp_path / f"weights{end}", tmp_path / "back.keras", tmp_path / "model.keras")
    assert all(check.difference < 1e-5 for check in (*found.checks, *back.checks))
    rows = {row.source: row for row in found.weights}
    written = state_dict(model)["head.weight"]
    np.testing.assert_array_equal(rows["head/kernel"].forward(model.get_weights()[0]), written)
    flat = torch.from_numpy(x).relu().flatten(1) @ torch.from_numpy(written).T
    np.testing.assert_allclose(model(x.transpose(0, 2, 3, 1)), flat, rtol=1e-4, atol=1e-5)


def test_weights_alone_need_their_model(tmp_path):
    network().save_weights(tmp_path / "weights.pt")
    with pytest.raises(ArgumentError, match=r"weights alone in weights.pt.*--model FILE"):
        convert(tmp_path / "weights.pt", tmp_path / "model.keras")
    small = ic.Sequential([ic.Input((3,)), layers.Dense(2)])
    small.save(tmp_path / "small.keras")
    with pytest.raises(FileError, match="does not fit"):
        convert(tmp_path / "weights.pt", tmp_path / "model.keras", tmp_path / "small.keras")
    assert not (tmp_path / "model.keras").exists()


def test_keras_runs_on_what_is_installed():
    """A process that says nothing of a backend has Keras take none that is missing."""
    code = "from isoconv import optional; print(optional.keras('test').backend.backend())"
    bare = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=bare, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "jax"
