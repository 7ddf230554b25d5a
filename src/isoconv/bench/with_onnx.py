"""ONNX Runtime and OpenVINO as contenders: each holds the layer or network as an ONNX model with
channels first, which is how such models come. They predict; they do not train.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.bench import ours
from isoconv.bench.cases import Array, Network, Shape
from isoconv.bench.contender import Prepared
from isoconv.interop.onnx import to_onnx
from isoconv.layers import Input
from isoconv.models.model import Model
from isoconv.models.sequential import Sequential

_FIRST = "channels_first"


class _Session(ABC):
    """What both share. threads: how many one call may use."""

    name: str
    package: str

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def layer(self, shape: Shape) -> Prepared:
        x, kernel, bias = shape.arrays()
        model = Sequential(
            [Input((shape.channels, *shape.spatial)), ours.convolution(shape, _FIRST)]
        )
        model.set_weights([kernel, bias])
        return self._prepared(model, x)

    def network(self, network: Network, batch: int) -> Prepared:
        return self._prepared(ours.build(network, _FIRST), network.data(batch)[0])

    def training(self, network: Network, batch: int) -> None:
        return None

    def version(self) -> str:
        optional.require(self.package, "bench")
        return f"{self.package} {metadata.version(self.package)}"

    def _prepared(self, model: Model, x: Array) -> Prepared:
        module = optional.require(self.package, "bench")
        data = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        run = self._session(module, to_onnx(model).SerializeToString(), data)
        return Prepared(run, lambda y: np.asarray(np.moveaxis(y, 1, -1)))

    @abstractmethod
    def _session(self, module: Any, model: bytes, data: Array) -> Callable[[], Array]:
        """A function that runs the model on the data."""


class OnnxRuntime(_Session):
    """ONNX Runtime on its processor provider."""

    name = package = "onnxruntime"

    def _session(self, module: Any, model: bytes, data: Array) -> Callable[[], Array]:
        options = module.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds = {session.get_inputs()[0].name: data}

        def run() -> Array:
            result: Array = session.run(None, feeds)[0]
            return result

        return run


class OpenVino(_Session):
    """OpenVINO on the processor, told the shape of the data, for the least latency, in float32."""

    name = package = "openvino"

    def _session(self, module: Any, model: bytes, data: Array) -> Callable[[], Array]:
        core = module.Core()
        network = core.read_model(model, b"")
        network.reshape(list(data.shape))
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(network, "CPU", settings).create_infer_request()
        request.set_input_tensor(module.Tensor(data))

        def run() -> Array:
            request.infer()
            result: Array = request.get_output_tensor().data
            return result

        return run
