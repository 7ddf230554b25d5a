"""What is read of ONNX files: layers with readable names, free sizes, data outside, bad files."""

import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import isoconv as ic
from isoconv.errors import FileError
from isoconv.interop.onnx.reading import read
from real_inputs import real_input

FLOAT = TensorProto.FLOAT


def tensor(name, *shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(seed=0, **arrays):
    """Initializers: of these shapes with random numbers, or of these values."""
    rng = np.random.default_rng(seed)
    made = {
        name: rng.normal(size=each).astype("float32") if isinstance(each, tuple) else each
        for name, each in arrays.items()
    }
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in made.items()]


def model(nodes, inputs, outputs, initializers=(), opset=21):
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def by_onnxruntime(proto, *arrays):
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small(batch="batch", length="length"):
    """Convolution, activation, mean and a dense layer, with names as PyTorch gives them."""
    conv = helper.make_node(
        "Conv",
        ["x", "features.0.weight", "features.0.bias"],
        ["a"],
        name="/features/features.0/Conv",
        pads=[1, 1],
    )
    nodes = [
        conv,
        helper.make_node("Relu", ["a"], ["b"], name="/features/features.1/Relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], name="/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["c"], ["d"], name="/Flatten"),
        helper.make_node("Gemm", ["d", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    given = weights(
        **{
            "features.0.weight": (8, 3, 3),
            "features.0.bias": (8,),
            "head.weight": (5, 8),
            "head.bias": (5,),
        }
    )
    return model(nodes, [tensor("x", batch, 3, length)], [tensor("y", batch, 5)], given)


def test_layers_have_readable_names_and_keep_their_weights(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(small(), path)
    found, rows = read(path)
    assert [layer.name for layer in found.layers] == [
        "x",
        "features.0",
        "features.1",
        "pool",
        "Flatten",
        "head",
    ]
    assert [(name, variable.path, axes) for name, variable, axes in rows] == [
        ("features.0.weight", "features.0/kernel", (2, 1, 0)),
        ("features.0.bias", "features.0/bias", None),
        ("head.weight", "head/kernel", (1, 0)),
        ("head.bias", "head/bias", None),
    ]
    assert found.count_params() == 8 * 3 * 3 + 8 + 5 * 8 + 5
    assert len(found.trainable_weights) == 4


def test_batch_and_lengths_are_free(compilations):
    proto = small()
    found = ic.from_onnx(proto)
    assert found.input_shape == (None, 3, None)
    for batch, length in ((1, 7), (3, 7), (2, 30)):
        x = numbers(batch, 3, length)
        np.testing.assert_allclose(found(x), by_onnxruntime(proto, x)[0], rtol=1e-4, atol=1e-5)
    assert compilations() == 1


def test_what_was_read_is_saved_and_trained(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(small(), path)
    found = ic.load_model(path)
    x = numbers(4, 3, 9)
    before = found.predict(x)
    found.save(tmp_path / "small.keras")
    np.testing.assert_array_equal(ic.load_model(tmp_path / "small.keras").predict(x), before)
    found.compile("sgd", "mse")
    losses = found.fit(x, np.zeros((4, 5), "float32"), epochs=4, verbose=0).history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


class Shapes(torch.nn.Module):
    """Arithmetic with shapes, as PyTorch's exporter writes it out."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 6, 3, padding=1)
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, x):
        x = self.table(x).transpose(1, 2)
        y = self.conv(x)
        batch, channels, length = y.shape
        y = y.view(batch, 2, channels // 2, length).transpose(1, 2).reshape(batch, channels, -1)
        y = torch.nn.functional.interpolate(y, scale_factor=2.0)
        y = torch.cat([y, y.flip(2)[:, :2].expand(batch, 2, 2 * length)], 1)
        return y.reshape(batch * 8, -1).softmax(1).view(batch, -1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_arithmetic_of_shapes_as_pytorch_exports_it(tmp_path):
    torch.manual_seed(0)
    module, path = Shapes().eval(), tmp_path / "shapes.onnx"
    example = torch.randint(0, 10, (2, 9))
    axes = {"x": {0: "batch", 1: "length"}}
    torch.onnx.export(module, (example,), path, input_names=["x"], dynamic_axes=axes, dynamo=False)
    found = ic.from_onnx(path)
    found.save(tmp_path / "shapes.keras")
    for network in (found, ic.load_model(tmp_path / "shapes.keras")):
        for shape in ((2, 9), (3, 4), (1, 12)):
            x = torch.randint(0, 10, shape)
            expected = module(x).detach().numpy()
            np.testing.assert_allclose(network(x.numpy()), expected, rtol=1e-4, atol=1e-6)


def test_real_network_of_audio_equals_onnxruntime():
    path = real_input("basic_pitch/saved_models/icassp_2022/nmp.onnx")
    time = np.arange(43844) / 22050
    tones = [np.sin(2 * np.pi * f * k * time) / k for f in (220, 277, 330) for k in range(1, 6)]
    x = np.stack([sum(tones) * np.exp(-2 * (time % 0.5)), sum(tones[:5])])[..., None] / 5
    x = x.astype("float32")
    session = onnxruntime.InferenceSession(path)
    expected = session.run(None, {session.get_inputs()[0].name: x})
    for actual, each in zip(ic.load_model(path)(x), expected, strict=True):
        assert np.abs(actual - each).max() <= 1e-5 * np.abs(each).max()


def test_example_of_audio_hears_the_notes(capsys):
    path = Path(__file__).parents[2] / "examples" / "audio_to_notes.py"
    example = runpy.run_path(str(path))
    network = real_input("basic_pitch/saved_models/icassp_2022/nmp.onnx")
    assert example["main"](str(network)) == example["PLAYED"]
    assert "differs from onnxruntime by" in capsys.readouterr().out


def test_weights_may_be_constant_nodes():
    proto = small()
    constants = [
        helper.make_node("Constant", [], [each.name], value=each)
        for each in proto.graph.initializer
    ]
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    del changed.graph.initializer[:], changed.graph.node[:]
    changed.graph.node.extend([*constants, *proto.graph.node])
    x = numbers(2, 3, 9)
    found = ic.from_onnx(changed)
    np.testing.assert_array_equal(found(x), ic.from_onnx(proto)(x))
    assert len(found.trainable_weights) == 4


def test_initializers_are_trained_and_numbers_of_the_program_are_not():
    nodes = [
        helper.make_node("Constant", [], ["mean"], value=weights(mean=(3,))[0]),
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Mul", ["a", "scale"], ["y"]),
    ]
    proto = model(nodes, [tensor("x", "n", 3)], [tensor("y", "n", 3)], weights(scale=(3,)))
    found = ic.from_onnx(proto)
    assert [each.path for each in found.trainable_weights] == ["scale/value"]
    assert len(found.weights) == 2


# -- data outside the file --------------------------------------------------------------------


def outside(folder, **entries):
    """A model whose weight is in the file "data", or where the entries say."""
    values = numbers(5, 3)
    (folder / "data").write_bytes(values.tobytes())
    weight = TensorProto(name="w", data_type=FLOAT, dims=(5, 3))
    weight.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "data"} | entries).items():
        weight.external_data.add(key=key, value=value)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    proto = model(nodes, [tensor("x", 2, 3)], [tensor("y", 2, 5)], [weight])
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return folder / "model.onnx", values


def test_data_inside_the_folder_is_read(tmp_path):
    path, values = outside(tmp_path)
    x = numbers(2, 3, seed=2)
    np.testing.assert_allclose(ic.from_onnx(path)(x), x @ values.T, rtol=1e-5)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../data"}, "folder"),
        ({"location": "/etc/hostname"}, "folder"),
        ({"location": "link"}, "folder"),
        ({"location": ""}, "folder"),
        ({"location": "a\0b"}, "'w'"),
        ({"location": "."}, "folder"),
        ({"offset": "-4"}, "bytes"),
        ({"offset": "4"}, "60 bytes"),
        ({"length": "999999999999"}, "60 bytes"),
        ({"offset": "much"}, "'w'"),
    ],
)
def test_data_elsewhere_is_refused(tmp_path, entries, message):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "data").write_bytes(bytes(60))
    (folder / "link").symlink_to(tmp_path / "data")
    path, _ = outside(folder, **entries)
    with pytest.raises(FileError, match=message):
        ic.from_onnx(path)


# -- files that contradict themselves ---------------------------------------------------------


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def declared(dims, data=b""):
    return TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=data)


X, Y = tensor("x", 2, 3), tensor("y", 2, 3)
IMAGE = tensor("x", 1, 3, 8, 8)
HUGE = 2**40

BAD = {
    "cycle": (model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], [X], [Y]), "b"),
    "undefined": (model([node("Relu", ["z"], ["y"])], [X], [Y]), "z"),
    "output nobody gives": (model([node("Relu", ["x"], ["a"])], [X], [Y]), "'y'"),
    "defined twice": (model([node("Relu", ["x"], ["y"])] * 2, [X], [Y]), "y"),
    # Found by drawing damaged files at random.
    "no outputs": (model([node("Relu", ["x"], ["y"])], [X], []), "output"),
    "no such operation": (model([node("Frobnicate", ["x"], ["y"])], [X], [Y]), "Frobnicate"),
    "other domain": (
        model([node("Relu", ["x"], ["y"], domain="com.microsoft")], [X], [Y]),
        "com.microsoft",
    ),
    "no inputs": (
        model([node("Constant", [], ["y"], value_float=1.0)], [], [tensor("y")]),
        "input",
    ),
    "shape without data": (
        model([node("Add", ["x", "w"], ["y"])], [X], [Y], [declared((HUGE, HUGE))]),
        "'w'",
    ),
    "negative shape": (
        model([node("Add", ["x", "w"], ["y"])], [X], [Y], [declared((-1, 3), bytes(12))]),
        "'w'",
    ),
    "overflowing input": (
        model([node("Relu", ["x"], ["y"])], [tensor("x", HUGE, HUGE)], [tensor("y", HUGE, HUGE)]),
        "input 'x'",
    ),
    "huge constant": (
        model(
            [node("ConstantOfShape", ["s"], ["c"], name="fill"), node("Add", ["x", "c"], ["y"])],
            [X],
            [Y],
            weights(s=np.asarray([HUGE, HUGE])),
        ),
        "'fill'",
    ),
    "huge tile": (
        model(
            [node("Tile", ["x", "s"], ["y"], name="tile")],
            [X],
            [Y],
            weights(s=np.asarray([HUGE, HUGE])),
        ),
        "'tile'",
    ),
    "huge expansion": (
        model(
            [node("Expand", ["x", "s"], ["y"], name="grow")],
            [X],
            [Y],
            weights(s=np.asarray([HUGE, 1, 1, 1])),
        ),
        "'grow'",
    ),
    "huge padding": (
        model(
            [node("Pad", ["x", "s"], ["y"], name="pad")],
            [X],
            [Y],
            weights(s=np.asarray([HUGE, HUGE, HUGE, HUGE])),
        ),
        "'pad'",
    ),
    "huge strides": (
        model(
            [node("MaxPool", ["x"], ["y"], name="pool", kernel_shape=[2, 2], strides=[0, 1])],
            [IMAGE],
            [IMAGE],
        ),
        "'pool'",
    ),
    "huge kernel": (
        model(
            [node("AveragePool", ["x"], ["y"], name="pool", kernel_shape=[HUGE, HUGE])],
            [IMAGE],
            [IMAGE],
        ),
        "'pool'",
    ),
    "weights that do not fit": (
        model(
            [node("Conv", ["x", "w"], ["y"], name="conv")],
            [IMAGE],
            [IMAGE],
            weights(w=(4, 5, 3, 3)),
        ),
        "'conv'",
    ),
    "no groups": (
        model(
            [node("Conv", ["x", "w"], ["y"], name="conv", group=0)],
            [IMAGE],
            [IMAGE],
            weights(w=(4, 3, 3, 3)),
        ),
        "'conv'",
    ),
    "sizes that multiply": (
        model(
            [
                node("Shape", ["x"], ["s"]),
                node("ReduceSum", ["s"], ["a"], keepdims=1),
                *(node("Mul", [each, each], [after]) for each, after in pairwise("abcdefghijk")),
                node("Expand", ["w", "k"], ["y"]),
            ],
            [tensor("x", "n", "h", "w")],
            [tensor("y", None)],
            weights(w=(1,)),
        ),
        r"node \d+ \(Mul\): a size: .* terms multiplied",
    ),
    "a name that is no text": (
        model([node("Relu", ["x"], ["y"])], [X], [Y])
        .SerializeToString()
        .replace(b"Relu", b"Re\xffu"),
        r"node 0: expected text in UTF-8; got b'Re\\xffu'",
    ),
    "old": (model([node("Relu", ["x"], ["y"])], [X], [Y], opset=5), "opset"),
    "from the future": (model([node("Relu", ["x"], ["y"])], [X], [Y], opset=99), "opset"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_graphs_are_refused_by_their_part(name):
    proto, message = BAD[name]
    with pytest.raises(FileError, match=message):
        ic.from_onnx(proto)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"no model at all", b"\x08\x0a"])
def test_files_that_are_none_are_refused(tmp_path, data):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"bad\.onnx"):
        ic.load_model(path)
