"""Damaged and hostile ONNX files: a FileError that names the file, soon, and nothing else.

Mutations of files that are valid: cut short, bits turned, bytes zeroed, and fields set to what
nobody would write. Outside the tests the same runs for as long as is wanted:
python tests/interop/test_onnx_fuzz.py SECONDS.
"""

import random
import sys
import time
import warnings

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import isoconv as ic
from isoconv.errors import FileError


def weight(name, *shape):
    values = np.random.default_rng(len(name)).normal(size=shape).astype("float32")
    return numpy_helper.from_array(values, name)


def sizes(name, *values):
    return numpy_helper.from_array(np.asarray(values, "int64"), name)


def valid():
    """A small network with one node of most kinds that have sizes in them."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2], name="conv"),
        node("BatchNormalization", ["a", "b", "b", "b", "v"], ["n"]),
        node("MaxPool", ["n"], ["p"], kernel_shape=[2, 2], ceil_mode=1),
        node("ConvTranspose", ["p", "t"], ["q"], strides=[2, 2], output_padding=[1, 0]),
        node("Pad", ["q", "pads"], ["r"], mode="reflect"),
        node("Resize", ["r", "", "scales"], ["s"], mode="nearest"),
        node("Slice", ["s", "starts", "ends", "axes"], ["c"]),
        node("Split", ["c"], ["c1", "c2"], axis=1, num_outputs=2),
        node("Concat", ["c1", "c2"], ["d"], axis=1),
        node("Shape", ["d"], ["dims"]),
        node("Gather", ["dims", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "axis"], ["batch1"]),
        node("Concat", ["batch1", "rest"], ["shape"], axis=0),
        node("Reshape", ["d", "shape"], ["e"]),
        node("Expand", ["e", "wide"], ["f"]),
        node("Transpose", ["f"], ["g"], perm=[0, 2, 1]),
        node("ReduceMean", ["g", "axes1"], ["h"], keepdims=0),
        node("Gemm", ["h", "k"], ["i"], transB=1),
        node("Softmax", ["i"], ["y"], axis=-1),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 9, 9])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    constants = [
        weight("w", 4, 3, 3, 3),
        weight("b", 4),
        numpy_helper.from_array(np.ones(4, "float32"), "v"),
        weight("t", 4, 2, 3, 2),
        sizes("pads", 0, 0, 1, 1, 0, 0, 1, 2),
        numpy_helper.from_array(np.asarray([1, 1, 2, 2], "float32"), "scales"),
        sizes("starts", 0, 1),
        sizes("ends", 2**60, -1),
        sizes("axes", 2, 3),
        sizes("rest", 2, -1),
        sizes("axis", 0),
        sizes("axes1", 1),
        sizes("wide", 1, 2, 1),
        numpy_helper.from_array(np.asarray(0, "int64"), "zero"),
        weight("k", 5, 2),
    ]
    graph = helper.make_graph(nodes, "network", [image], [result], constants)
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


WHOLE = valid().SerializeToString()
HOSTILE = [-1, 0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63)]


def damaged(source):
    """Bytes of the file, damaged in a way that `source` draws."""
    data = bytearray(WHOLE)
    kind = source.choice(["cut", "bits", "zeros", "field", "field", "field", "field"])
    if kind == "field":
        return hostile(source)
    start = source.randrange(len(data))
    if kind == "cut":
        return bytes(data[:start])
    if kind == "zeros":
        end = min(len(data), start + source.randrange(1, 64))
        data[start:end] = bytes(end - start)
    else:
        for _ in range(source.randrange(1, 8)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    return bytes(data)


def hostile(source):
    """The file with one of its fields changed to something that the format allows."""
    proto = onnx.ModelProto.FromString(WHOLE)
    graph = proto.graph
    node, tensor = source.choice(graph.node), source.choice(graph.initializer)
    number = source.choice(HOSTILE)
    what = source.choice(["int", "ints", "dims", "data", "input", "op", "type", "shape", "drop"])
    if what in ("int", "ints") and node.attribute:
        attribute = source.choice(node.attribute)
        if attribute.ints:
            attribute.ints[source.randrange(len(attribute.ints))] = number
        else:
            attribute.i = number
    elif what == "dims" and tensor.dims:
        tensor.dims[source.randrange(len(tensor.dims))] = number
    elif what == "data" and tensor.data_type == TensorProto.INT64:
        array = numpy_helper.to_array(tensor).copy()
        array.reshape(-1)[source.randrange(array.size)] = number
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif what == "input" and node.input:
        names = [each for other in graph.node for each in other.output]
        names += [each.name for each in graph.initializer]
        node.input[source.randrange(len(node.input))] = source.choice(names)
    elif what == "op":
        node.op_type = source.choice(graph.node).op_type
    elif what == "type":
        tensor.data_type = source.randrange(24)
    elif what == "shape":
        dim = source.choice(graph.input[0].type.tensor_type.shape.dim)
        dim.dim_value = number
    elif what == "drop":
        del graph.node[source.randrange(len(graph.node))]
    return proto.SerializeToString()


def read(data):
    """Whether the bytes are read; no error but FileError comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ic.from_onnx(data)
        except FileError:
            return False
    return True


def test_the_file_itself_is_read():
    assert read(WHOLE)
    model = ic.from_onnx(WHOLE)
    assert model(np.ones((3, 3, 9, 9), "float32")).shape == (3, 5)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_damaged_files_are_refused_or_read(seed):
    read(damaged(random.Random(seed)))


def main(seconds):
    """Runs until the time is over; prints the seeds of what is neither read nor refused."""
    end, seed, outcomes = time.monotonic() + seconds, int(time.time()), {True: 0, False: 0}
    slowest = 0.0
    while time.monotonic() < end:
        seed += 1
        began = time.monotonic()
        try:
            outcomes[read(damaged(random.Random(seed)))] += 1
        except BaseException as error:
            print(seed, type(error).__name__, str(error)[:200], flush=True)
        slowest = max(slowest, time.monotonic() - began)
    print(f"read {outcomes[True]}, refused {outcomes[False]}, slowest {slowest:.2f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]))
