"""What can run a model: isoconv, and the frameworks that are installed, through plain calls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from isoconv import optional, sessions, settings
from isoconv.errors import ArgumentError, explain
from isoconv.interop.onnx import to_onnx
from isoconv.interop.torch import to_torch
from isoconv.models.jit import jit
from isoconv.models.model import Model

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Data:
    """Inputs, one array each, and what a training step is to predict."""

    inputs: tuple[Array, ...]
    target: Array


@dataclass(frozen=True)
class Runs:
    """Work that is ready to be timed.

    forward: the prediction of the batch. read: what it returned, as an array. step: a training
    step of Adam on the mean squared error; None where the engine does not train.
    """

    forward: Callable[[], Any]
    read: Callable[[Any], Array]
    step: Callable[[], Any] | None = None


class Engine(Protocol):
    """One way of running a model. `runs` and `version` raise MissingPackageError where its package
    is not installed. threads: how many one call may use; one with `all_processors` takes them all.
    """

    name: str
    all_processors: bool

    def __init__(self, threads: int) -> None: ...

    def version(self) -> str: ...

    def runs(self, model: Model, data: Data) -> Runs: ...


class Isoconv:
    """The model compiled as it stands: no rule changes its form. It trains as a copy."""

    name = "isoconv"
    all_processors = False
    folds = False

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def version(self) -> str:
        return f"isoconv {metadata.version('isoconv')}"

    def runs(self, model: Model, data: Data) -> Runs:
        call = jit(model, rewrite=self.folds, threads=self.threads)
        if self.folds or not trainable(model):
            return Runs(lambda: call(*data.inputs), np.asarray)
        trained = deepcopy(model)
        trained.compile(optimizer="adam", loss="mse")
        x = data.inputs[0] if len(data.inputs) == 1 else list(data.inputs)

        def step() -> Any:
            with settings.limit_threads(self.threads):
                return trained.train_on_batch(x, data.target)

        return Runs(lambda: call(*data.inputs), np.asarray, step)


class IsoconvFolding(Isoconv):
    """The model as `predict` runs it: rules have computed with its weights beforehand."""

    name = "isoconv, rewritten"
    folds = True


class Torch:
    """PyTorch as a user types it: the data has its channels first in memory."""

    name = "torch"
    all_processors = False
    channels_first = True

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def torch(self) -> ModuleType:
        torch = optional.require("torch", "bench")
        torch.set_num_threads(self.threads)
        return torch

    def version(self) -> str:
        return f"torch {self.torch.__version__}"

    def runs(self, model: Model, data: Data) -> Runs:
        torch = self.torch
        module = to_torch(model).eval()
        inputs = [self._enter(x) for x in data.inputs]

        def forward() -> Any:
            with torch.inference_mode():
                return module(*inputs)

        return Runs(forward, lambda y: np.asarray(y), self._step(model, inputs, data.target))

    def _step(self, model: Model, inputs: Sequence[Any], target: Array) -> Any:
        if not trainable(model):
            return None
        torch = self.torch
        module = to_torch(model).train()
        wanted = torch.from_numpy(target)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, eps=1e-7)

        def step() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(module(*inputs), wanted)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def _enter(self, x: Array) -> Any:
        """The data as the module takes it; what it turns within then lies as PyTorch's users
        have it.
        """
        if self.channels_first and x.ndim > 2:
            x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 1)), 1, -1)
        return self.torch.from_numpy(x)


class TorchLast(Torch):
    """PyTorch on data with the channels last in memory."""

    name = "torch, channels last"
    channels_first = False


class Keras:
    """Keras, on the backend that it is set to, or else on one that is installed: JAX first."""

    name = "keras"
    all_processors = True

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def keras(self) -> ModuleType:
        return optional.keras("bench")

    def version(self) -> str:
        return f"keras {self.keras.__version__} on {self.keras.backend.backend()}"

    def drawn(self, model: Model) -> Any:
        """The model as Keras reads it from our file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            return self.keras.models.load_model(path, compile=False)

    def runs(self, model: Model, data: Data) -> Runs:
        drawn = self.drawn(model)
        x = data.inputs[0] if len(data.inputs) == 1 else list(data.inputs)
        if trainable(model):
            drawn.compile(optimizer="adam", loss="mse")
        trained = self.drawn(model)
        trained.compile(optimizer="adam", loss="mse")
        step = (lambda: trained.train_on_batch(x, data.target)) if trainable(model) else None
        return Runs(lambda: drawn.predict_on_batch(x), np.asarray, step)


class Jax(Keras):
    """JAX: the calls that Keras makes of it for the model, compiled as one function, and another
    for the step, with Keras' Adam in it.
    """

    name = "jax"

    def version(self) -> str:
        return f"jax {optional.require('jax', 'bench').__version__}"

    def runs(self, model: Model, data: Data) -> Runs:
        jax = optional.require("jax", "bench")
        backend = self.keras.backend.backend()
        if backend != "jax":
            raise ArgumentError(explain("jax", f"Keras on {backend}", "KERAS_BACKEND=jax"))
        drawn = self.drawn(model)
        weights = [v.value for v in drawn.trainable_variables]
        others = [v.value for v in drawn.non_trainable_variables]
        inputs = [jax.numpy.asarray(x) for x in data.inputs]
        given = inputs[0] if len(inputs) == 1 else inputs
        call = jax.jit(lambda w, o, x: drawn.stateless_call(w, o, x, training=False)[0])
        step = None
        if trainable(model):
            step = self._step(jax, drawn, given, jax.numpy.asarray(data.target))
        return Runs(lambda: call(weights, others, given).block_until_ready(), np.asarray, step)

    def _step(self, jax: ModuleType, drawn: Any, given: Any, target: Any) -> Callable[[], Any]:
        optimizer = self.keras.optimizers.Adam()
        optimizer.build(drawn.trainable_variables)

        def loss_of(weights: Any, others: Any, x: Any, wanted: Any) -> Any:
            y, others = drawn.stateless_call(weights, others, x, training=True)
            return ((y - wanted) ** 2).mean(), others

        def step(state: Any, x: Any, wanted: Any) -> Any:
            weights, others, kept = state
            pair, slopes = jax.value_and_grad(loss_of, has_aux=True)(weights, others, x, wanted)
            weights, kept = optimizer.stateless_apply(kept, slopes, weights)
            return pair[0], (weights, pair[1], kept)

        variables = (drawn.trainable_variables, drawn.non_trainable_variables, optimizer.variables)
        state = [tuple([v.value for v in each] for each in variables)]
        compiled = jax.jit(step)

        def run() -> Any:
            loss, state[0] = compiled(state[0], given, target)
            return loss.block_until_ready()

        return run


class OnnxRuntime:
    """ONNX Runtime on the model as we write it."""

    name = "onnxruntime"
    all_processors = False
    session = staticmethod(sessions.onnxruntime)

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def version(self) -> str:
        optional.require(self.name, "bench")
        return f"{self.name} {metadata.version(self.name)}"

    def runs(self, model: Model, data: Data) -> Runs:
        optional.require(self.name, "bench")
        run = self.session(to_onnx(model).SerializeToString(), data.inputs, self.threads)
        return Runs(run, lambda outputs: np.asarray(outputs[0]))


class OpenVino(OnnxRuntime):
    """OpenVINO on the same."""

    name = "openvino"
    session = staticmethod(sessions.openvino)


PEERS: tuple[type[Engine], ...] = (Torch, TorchLast, OnnxRuntime, OpenVino, Keras, Jax)
_ALL: tuple[type[Engine], ...] = (Isoconv, IsoconvFolding, *PEERS)
BY_NAME = {kind.name: kind for kind in _ALL}


def trainable(model: Model) -> bool:
    """Whether a training step would change anything."""
    return bool(model.trainable_weights)
