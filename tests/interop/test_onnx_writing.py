"""What is written as ONNX: the same numbers in onnxruntime, at other sizes too; readable nodes."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

import isoconv as ic
from isoconv import layers
from isoconv.interop.onnx.writing import written

FIRST = {"data_format": "channels_first"}


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def shaken(model):
    """The model with random weights, those of variances positive."""
    for index, weight in enumerate(model.weights):
        if weight.dtype == "float32":
            weight.assign(np.abs(numbers(*weight.shape, seed=index)) * 0.5 + 0.1)
    return model


def by_onnxruntime(proto, *arrays):
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def outputs(model, *arrays):
    result = model(list(arrays) if len(arrays) > 1 else arrays[0])
    return result if isinstance(result, list) else [result]


def compare(model, *batches, tolerance=2e-6):
    """Writes the model and runs it on each batch, a tuple of arrays; gives what was written."""
    proto = written(shaken(model))[0]
    for arrays in batches:
        pairs = zip(by_onnxruntime(proto, *arrays), outputs(model, *arrays), strict=True)
        for actual, expected in pairs:
            assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)
    return proto


def kinds(proto):
    return Counter(node.op_type for node in proto.graph.node)


# A layer, the input's shape without the batch (None for free sizes), and the operations written
# besides transpositions; "" for as many as it takes.
LENGTHS = [
    (layers.Conv1D(5, 3), (None, 4), "Conv"),
    (layers.Conv1D(5, 3, padding="same"), (None, 4), "Conv"),
    (layers.Conv1D(5, 4, 3, padding="same"), (None, 4), "Conv"),
    (layers.Conv1D(5, 3, padding="causal", dilation_rate=2), (None, 4), "Conv"),
    (layers.Conv1D(6, 3, groups=2, use_bias=False, **FIRST), (4, None), "Conv"),
    (layers.Conv2D(5, (3, 2), (2, 1), padding="same"), (None, None, 3), "Conv"),
    (layers.Conv2D(5, 3, padding="same", dilation_rate=2, **FIRST), (3, None, None), "Conv"),
    (layers.Conv3D(2, 2, activation="relu"), (None, 4, 5, 2), "Conv Relu"),
    (layers.DepthwiseConv1D(3, depth_multiplier=2), (None, 4), "Conv"),
    (layers.DepthwiseConv2D(3, 2, padding="same", **FIRST), (3, None, 8), "Conv"),
    (layers.SeparableConv2D(5, 3), (None, None, 3), "Conv Conv"),
    (layers.Conv1DTranspose(5, 3, 2), (None, 4), "ConvTranspose"),
    (layers.Conv1DTranspose(5, 4, 2, padding="same"), (None, 4), "ConvTranspose"),
    (layers.Conv1DTranspose(5, 2, 3), (None, 4), "ConvTranspose"),
    (layers.Conv1DTranspose(6, 3, 2, output_padding=1, groups=2), (None, 4), "ConvTranspose"),
    (layers.Conv2DTranspose(5, 3, 2, padding="same", **FIRST), (3, None, 6), "ConvTranspose"),
    (layers.MaxPooling1D(3, 2, padding="same"), (None, 4), "MaxPool"),
    (layers.MaxPooling2D(2), (None, None, 3), "MaxPool"),
    (layers.AveragePooling1D(3, 2, padding="same"), (None, 4), "AveragePool"),
    (layers.AveragePooling2D((3, 2), 1, padding="same", **FIRST), (3, None, 9), "AveragePool"),
    (layers.LpPooling1D(2, p=3), (None, 4), ""),
    (layers.GlobalAveragePooling1D(), (None, 4), "ReduceMean"),
    (layers.GlobalMaxPooling2D(keepdims=True, **FIRST), (3, None, 7), "ReduceMax"),
    (layers.AdaptiveAveragePooling1D(3), (None, 4), ""),
    (layers.ZeroPadding1D((1, 2)), (None, 4), "Pad"),
    (layers.Padding1D(2, "reflect"), (None, 4), ""),
    (layers.Padding1D(2, "circular"), (None, 4), ""),
    (layers.Cropping1D((1, 2)), (None, 4), "Pad"),
    (layers.UpSampling1D(3), (None, 4), "Resize"),
    (layers.UpSampling2D(2, interpolation="bilinear"), (5, 6, 3), ""),
    (layers.NearestResizing1D(5), (None, 4), ""),
    (layers.BatchNormalization(), (None, 4), "BatchNormalization"),
    (layers.BatchNormalization(axis=1, scale=False), (4, None), "BatchNormalization"),
    (layers.LayerNormalization(), (None, 4), "LayerNormalization"),
    (layers.LayerNormalization(axis=1), (4, None), ""),
    (layers.GroupNormalization(2), (None, 4), "GroupNormalization"),
    (layers.Dense(5), (4,), "Gemm"),
    (layers.Dense(5, activation="softmax"), (None, 4), "MatMul Add Softmax"),
    (layers.PReLU(shared_axes=[1]), (None, 4), "PRelu"),
    (layers.ReLU(6.0, 0.1, 0.5), (None, 4), ""),
    (layers.LeakyReLU(), (None, 4), "LeakyRelu"),
    (layers.ELU(), (None, 4), "Elu"),
    (layers.Softmax(axis=1), (4, None), "Softmax"),
    (layers.Dropout(0.5), (None, 4), "Identity"),
    (layers.SpatialDropout1D(0.5), (None, 4), "Identity"),
    (layers.GaussianNoise(0.5), (None, 4), "Identity"),
    (layers.Flatten(), (3, 4), "Reshape"),
    (layers.Reshape((-1, 2)), (None, 4), "Reshape"),
    (layers.Permute((2, 1)), (None, 4), ""),
    (layers.RepeatVector(3), (4,), ""),
    (layers.TimeDistributed(layers.Dense(3)), (None, 4), ""),
    (layers.TimeDistributed(layers.Conv1D(3, 2)), (None, 6, 4), ""),
    (layers.Masking(0.0), (None, 4), ""),
    *[
        (layers.Activation(name), (None, 4), written_as)
        for name, written_as in {
            "relu": "Relu",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "gelu": "Gelu",
            "silu": "Swish",
            "selu": "Selu",
            "softplus": "Softplus",
            "softsign": "Softsign",
            "hard_sigmoid": "HardSigmoid",
            "hard_silu": "HardSwish",
            "log_softmax": "LogSoftmax",
            "exponential": "Exp",
            "relu6": "",
            "mish": "",
        }.items()
    ],
]


def sizes(shape, free):
    return tuple(free + axis if size is None else size for axis, size in enumerate(shape))


@pytest.mark.parametrize(
    ("layer", "shape", "ops"), LENGTHS, ids=[layer.name for layer, _, _ in LENGTHS]
)
def test_layers_give_the_same_numbers_at_any_size(layer, shape, ops):
    x = ic.Input(shape)
    model = ic.Model(x, layer(x))
    batches = [(numbers(2, *sizes(shape, 9)),), (numbers(3, *sizes(shape, 12)),)]
    found = kinds(compare(model, *batches))
    if ops:
        del found["Transpose"]
        assert found == Counter(ops.split())


@pytest.mark.parametrize(
    "merge",
    [
        layers.Add(),
        layers.Subtract(),
        layers.Multiply(),
        layers.Average(),
        layers.Maximum(),
        layers.Minimum(),
        layers.Concatenate(),
        layers.Concatenate(1),
        layers.Dot(2),
    ],
)
def test_merging(merge):
    x, y = ic.Input((5, 4)), ic.Input((5, 4))
    compare(ic.Model([x, y], merge([x, y])), (numbers(2, 5, 4), numbers(2, 5, 4, seed=1)))


def test_embedding_is_a_gather():
    x = ic.Input((None,), dtype="int32")
    y = layers.Conv1D(3, 2)(layers.Embedding(7, 4)(x))
    rows = np.random.default_rng(0).integers(0, 7, (2, 9)).astype("int32")
    assert kinds(compare(ic.Model(x, y), (rows,), (rows[:1, :5],)))["Gather"] == 1


def test_functions_of_ops_and_own_layers():
    class Own(layers.Layer):
        def call(self, inputs):
            near = ic.ops.log1p(ic.ops.abs(inputs)) + ic.ops.expm1(-ic.ops.abs(inputs))
            turned = ic.ops.flip(inputs, 1)[:, ::2]
            steps = ic.ops.arange(ic.ops.shape(inputs)[1], dtype="float32")
            mean = ic.ops.mean(near * steps[:, None], axis=(1, 2))
            chosen = ic.ops.where(turned > 0, ic.ops.argmax(turned, -1, keepdims=True), 2)
            return mean, ic.ops.cast(chosen, "float32") * ic.ops.sum(turned, 1, keepdims=True)

    x = ic.Input((None, 4))
    model = ic.Model(x, list(Own()(x)))
    compare(model, (numbers(2, 9, 4),), (numbers(3, 6, 4),), tolerance=1e-5)


def test_division_with_rest():
    x = ic.Input((4,))
    model = ic.Model(x, ic.ops.mod(x, 0.3) + ic.ops.floor_divide(x, -0.7))
    compare(model, (numbers(2, 4),), (numbers(3, 4),), tolerance=1e-6)


def network():
    """Shared layers, two inputs, two outputs, in Keras' order of axes."""
    x, y = ic.Input((None, None, 3), name="left"), ic.Input((None, None, 3), name="right")
    shared = ic.Sequential(
        [
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, padding="same", name="deep"),
        ],
        name="shared",
    )
    a, b = shared(x), shared(y)
    both = layers.Concatenate(name="both")([layers.Add(name="sum")([a, b]), a])
    mean = layers.GlobalAveragePooling2D(name="mean")(both)
    scores = layers.Dense(4, "softmax", name="scores")(mean)
    return ic.Model([x, y], [scores, layers.MaxPooling2D(name="map")(both)], name="twins")


def test_shared_layers_and_two_inputs_make_the_round_trip(tmp_path):
    model = network()
    batches = [[numbers(n, 8 + n, 9, 3, seed=s) for s in (0, 1)] for n in (1, 3)]
    proto = compare(model, *batches)
    assert kinds(proto)["Conv"] == 4
    assert [each.name for each in proto.graph.input] == ["left", "right"]
    assert [each.name for each in proto.graph.output] == ["scores", "map"]
    # One transposition an input, and one before the output that keeps its positions.
    assert kinds(proto)["Transpose"] == 3
    assert len(proto.graph.initializer) < 20
    model.save(tmp_path / "twins.onnx")
    again = ic.load_model(tmp_path / "twins.onnx")
    for arrays in batches:
        pairs = zip(outputs(again, *arrays), outputs(model, *arrays), strict=True)
        for actual, expected in pairs:
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_weights_and_nodes_have_the_names_of_layers():
    proto, rows = written(shaken(network()))
    names = {each.name for each in proto.graph.initializer}
    assert {"conv/kernel", "norm/gamma", "deep/kernel", "deep/bias", "scores/bias"} <= names
    assert all("/" in node.name for node in proto.graph.node)
    assert {"shared/conv/Conv", "mean/ReduceMean"} <= {node.name for node in proto.graph.node}
    turned = {row.source: row.transposition for row in rows}
    assert turned["conv/kernel"] == "axes (3, 2, 0, 1)"
    assert turned["scores/kernel"] == ""
    assert set(turned) == {weight.path for weight in network().weights}


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    x = ic.Input((4,))
    model = ic.Model(x, layers.Dense(2)(x))
    model.save(path)
    before = path.read_bytes()
    onnx.checker.check_model(onnx.load(path), full_check=True)
    monkeypatch.setattr(onnx.checker, "check_model", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(AssertionError):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_models_not_drawn_are_refused():
    with pytest.raises(ValueError, match="drawn"):
        written(ic.Sequential([layers.Dense(3)]))


def test_wrong_weights_would_be_found():
    x = ic.Input((None, 4))
    model = shaken(ic.Model(x, layers.Conv1D(5, 3)(x)))
    proto = written(model)[0]
    (kernel,) = (each for each in proto.graph.initializer if each.name.endswith("kernel"))
    values = onnx.numpy_helper.to_array(kernel)
    kernel.CopyFrom(onnx.numpy_helper.from_array(values[:, ::-1].copy(), kernel.name))
    data = numbers(2, 9, 4)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(by_onnxruntime(proto, data)[0], model(data), rtol=1e-3)
