"""ONNX models held by the engines that run them, for whoever compares with those engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isoconv import optional

Array = np.ndarray[Any, Any]
Run = Callable[[], list[Array]]


def onnxruntime(model: bytes, inputs: Sequence[Array], threads: int) -> Run:
    """A function that runs the model on these inputs by ONNX Runtime's processor provider."""
    module = optional.require("onnxruntime", "bench")
    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    feeds = dict(zip(names, inputs, strict=True))
    return lambda: list(session.run(None, feeds))


def openvino(model: bytes, inputs: Sequence[Array], threads: int) -> Run:
    """The same by OpenVINO, told the shapes, for the least latency, in float32."""
    module = optional.require("openvino", "bench")
    core = module.Core()
    network = core.read_model(model, b"")
    network.reshape(dict(zip(network.inputs, (list(x.shape) for x in inputs), strict=True)))
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    for index, x in enumerate(inputs):
        request.set_input_tensor(index, module.Tensor(x))
    outputs = range(len(network.outputs))

    def run() -> list[Array]:
        request.infer()
        return [request.get_output_tensor(index).data for index in outputs]

    return run
