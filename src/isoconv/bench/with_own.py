"""The framework that a trained model comes from, as a contender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isoconv import optional
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.real import Real, joined

# Files of Keras are run on JAX; the choice is made when Keras is imported.
ENVIRONMENT = {"KERAS_BACKEND": "jax"}


class OwnFramework(Contender):
    """The framework that the model comes from: PyTorch or Keras. Files of ONNX come from none."""

    name = "own"

    def version(self) -> str:
        return f"keras {optional.require('keras', 'tensorflow').__version__}"

    def real(self, model: Real, folder: str, batch: int) -> Prepared | None:
        x = model.data(batch)
        if model.module:
            torch = optional.require("torch", "bench")
            torch.set_num_threads(self.threads)
            module, data = model.torch_module(folder), torch.from_numpy(x)

            def run() -> Any:
                with torch.inference_mode():
                    return module(data)

            return Prepared(run, joined)
        if model.path.endswith(".onnx"):
            return None
        keras = optional.require("keras", "tensorflow")
        loaded = keras.models.load_model(Path(folder, model.path), compile=False)
        return Prepared(lambda: loaded.predict_on_batch(x), joined)
