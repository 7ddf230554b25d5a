"""ONNX Runtime and OpenVINO as contenders: each holds the layer or network as an ONNX model with
channels first, which is how such models come. They predict; they do not train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from isoconv import optional, sessions
from isoconv.bench import ours
from isoconv.bench.cases import Array, Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import Network
from isoconv.bench.real import Real, joined
from isoconv.interop.onnx import to_onnx
from isoconv.layers import Input
from isoconv.models.model import Model
from isoconv.models.sequential import Sequential

_FIRST = "channels_first"


class _Session(Contender):
    """What both share."""

    package: str
    session: Callable[[bytes, Sequence[Array], int], sessions.Run]

    def layer(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        model = Sequential(
            [Input((shape.channels, *shape.spatial)), ours.convolution(shape, _FIRST)]
        )
        model.set_weights([kernel, bias])
        return self._prepared(model, x)

    def network(self, network: Network, batch: int) -> Prepared | None:
        return self._prepared(ours.build(network, _FIRST), network.data(batch)[0])

    def real(self, model: Real, folder: str, batch: int) -> Prepared | None:
        """The file itself if it is ONNX, else what our model is as ONNX."""
        optional.require(self.package, "bench")
        if model.path.endswith(".onnx"):
            file = Path(folder, model.path).read_bytes()
        else:
            file = to_onnx(model.opened(folder)).SerializeToString()
        return Prepared(self.session(file, [model.data(batch)], self.threads), joined)

    def version(self) -> str:
        optional.require(self.package, "bench")
        return f"{self.package} {metadata.version(self.package)}"

    def _prepared(self, model: Model, x: Array) -> Prepared:
        optional.require(self.package, "bench")
        words = x.dtype == np.int32
        data = x if words else np.ascontiguousarray(np.moveaxis(x, -1, 1))
        run = self.session(to_onnx(model).SerializeToString(), [data], self.threads)
        return Prepared(run, lambda outputs: np.asarray(np.moveaxis(outputs[0], 1, -1)))


class OnnxRuntime(_Session):
    """ONNX Runtime on its processor provider."""

    name = package = "onnxruntime"
    session = staticmethod(sessions.onnxruntime)


class OpenVino(_Session):
    """OpenVINO on the processor, told the shape of the data, for the least latency, in float32."""

    name = package = "openvino"
    session = staticmethod(sessions.openvino)
