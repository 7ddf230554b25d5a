"""The cases of onnx's own tests of backends, and how a model that isoconv reads is held to one."""

import importlib
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case import node as cases

from isoconv.interop.onnx.reading import from_onnx

# The modules of onnx.backend.test.case.node: importing one makes the cases of its operation.
MODULES = """
    conv convtranspose maxpool averagepool globalaveragepool globalmaxpool lppool
    batch_normalization gemm matmul pad flatten reshape transpose concat slice split squeeze
    unsqueeze softmax logsoftmax relu leakyrelu prelu elu selu celu thresholdedrelu sigmoid tanh
    erf gelu hardsigmoid hardswish clip reducemean reducesum reducemax reducemin resize upsample
    identity cast add sub mul div neg abs pow sqrt exp log reciprocal mod min max sum mean floor
    ceil sign round sin cos softplus softsign mish swish gather expand tile shape size where
    layernormalization instance_normalization groupnormalization depthtospace spacetodepth and_
    or_ xor not_ less greater equal argmax argmin
"""

# Operands that say what shape comes out, by operation: exporters write them into the graph.
_FIXED = {
    "Reshape": [1],
    "Pad": [1, 2, 3],
    "Slice": [1, 2, 3, 4],
    "Split": [1],
    "Squeeze": [1],
    "Unsqueeze": [1],
    "Resize": [1, 2, 3],
    "Upsample": [1],
    "Expand": [1],
    "Tile": [1],
}
_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
_FIXED |= {reduction: [1] for reduction in _REDUCTIONS}

# Operations with weights: their cases are also run with all but the data in the graph.
WEIGHTED = ("Conv", "ConvTranspose", "BatchNormalization", "Gemm", "MatMul", "PRelu", "Clip")
WEIGHTED += ("InstanceNormalization", "GroupNormalization", "LayerNormalization", "Gather")


def node_cases():
    """All cases of the operations above, by name."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in MODULES.split():
            importlib.import_module(f"{cases.__name__}.{module}")
    return {case.name: case for case in cases._NodeTestCases}


def converted_cases():
    """(name, model, inputs, outputs) of the models that PyTorch's exporter once wrote."""
    for folder in sorted(Path(onnx.__file__).parent.glob("backend/test/data/pytorch-*/*")):
        data = folder / "test_data_set_0"
        inputs, outputs = (
            [numpy_helper.to_array(_tensor(path)) for path in sorted(data.glob(f"{kind}_*.pb"))]
            for kind in ("input", "output")
        )
        yield folder.name, onnx.load(folder / "model.onnx"), inputs, outputs


def _tensor(path):
    return onnx.TensorProto.FromString(path.read_bytes())


def hold(model, inputs, outputs, rtol=1e-3, atol=1e-6):
    """Reads the model, runs it, and compares values, shapes and dtypes."""
    given = [_array(x) for x in inputs]
    result = from_onnx(model)(given if len(given) > 1 else given[0])
    results = result if isinstance(result, list) else [result]
    for actual, each in zip(results, outputs, strict=True):
        expected = _array(each)
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def _array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def variants(case):
    """(model, inputs, outputs): the case with what decides shapes in the graph, and the operations
    with weights also with all but their first operand there.
    """
    graph = case.model.graph
    shaping = {
        name
        for node in graph.node
        for place, name in enumerate(node.input)
        if place in _FIXED.get(node.op_type, [])
    }
    found = [shaping]
    if any(node.op_type in WEIGHTED for node in graph.node):
        found.append({entry.name for entry in graph.input[1:]})
    for inputs, outputs in case.data_sets:
        for fixed in found:
            yield *_with_constants(case.model, inputs, fixed), outputs


def _with_constants(model, inputs, names):
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    kept = []
    for entry, value in zip(model.graph.input, inputs, strict=True):
        if entry.name in names:
            tensor = numpy_helper.from_array(np.asarray(_array(value)), entry.name)
            changed.graph.initializer.append(tensor)
        else:
            kept.append(value)
    return changed, kept
