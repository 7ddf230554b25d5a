"""PyTorch as a contender: as a user types it, in its best form, and on our kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.bench.cases import Array, Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import (
    EPSILON,
    Conv,
    Dense,
    Embedding,
    GlobalPool,
    MaxPool,
    Network,
    Residual,
    Spec,
    Step,
)
from isoconv.bench.ours import gradients

Function = Callable[[Any], Any]


class TorchTyped(Contender):
    """What a user types: channels first, `Conv1d` for one axis."""

    name = "torch"

    @property
    def torch(self) -> ModuleType:
        """The package, told how many threads to use."""
        torch = optional.require("torch", "bench")
        torch.set_num_threads(self.threads)
        return torch

    def version(self) -> str:
        return f"torch {self.torch.__version__}"

    # -- what is timed -------------------------------------------------------------------------

    def layer(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        options = {"stride": shape.strides, "dilation": shape.dilations, "groups": shape.groups}
        conv = self._conv(kernel, bias, options)
        return self._inference(self._ready([conv], conv), self._enter(x))

    def channels_first(self, shape: Shape) -> Prepared | None:
        return self.layer(shape)

    def face(self, shape: Shape, face: str) -> Prepared | None:
        torch = self.torch
        x, kernel, bias = shape.arrays()
        given, dy = self._enter(x), self._enter(shape.cotangent())
        rank = given.ndim - 2
        extra = rank - len(shape.kernel)
        weight = self._conv(kernel, bias, {"groups": shape.groups}).weight.detach()
        steps = [(1,) * extra + each for each in (shape.strides, shape.dilations)]
        geometry = (steps[0], [0] * rank, steps[1], False, [0] * rank, shape.groups)
        mask = [face == "x", face == "w", face == "w"]

        def run() -> Any:
            backward = torch.ops.aten.convolution_backward
            return backward(dy, given, weight, [shape.filters], *geometry, mask)

        def read(found: Any) -> Array:
            if face == "x":
                return self._leave(found[0])
            moved = np.moveaxis(found[1].numpy(), (0, 1), (-1, -2))
            return gradients([moved, found[2].numpy()])

        return Prepared(run, read)

    def network(self, network: Network, batch: int) -> Prepared | None:
        forward, _ = self._forward(network)
        return self._inference(forward, self._enter(network.data(batch)[0]))

    def training(self, network: Network, batch: int) -> Prepared | None:
        torch = self.torch
        forward, parameters = self._forward(network)
        x, y = network.data(batch)
        mse = network.loss == "mse"
        data = self._enter(x)
        target = self._enter(y) if mse else torch.from_numpy(y)
        optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7)
        criterion = torch.nn.MSELoss() if mse else torch.nn.CrossEntropyLoss()

        def run() -> Any:
            optimizer.zero_grad()
            loss = criterion(forward(data), target)
            loss.backward()
            optimizer.step()
            return loss

        return Prepared(run, lambda loss: np.asarray(loss.detach()))

    def _inference(self, forward: Function, data: Any) -> Prepared:
        torch = self.torch

        def run() -> Any:
            with torch.inference_mode():
                return forward(data)

        return Prepared(run, self._leave)

    # -- layouts -------------------------------------------------------------------------------

    def _enter(self, x: Array) -> Any:
        if x.dtype == np.int32:
            return self.torch.from_numpy(x)
        return self.torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))

    def _leave(self, y: Any) -> Array:
        return np.asarray(np.moveaxis(y.numpy(), 1, -1))

    def _entered(self, vectors: Any) -> Any:
        """Rows of a table, (batch, positions, channels), as data of one axis."""
        return vectors.transpose(1, 2)

    # -- modules -------------------------------------------------------------------------------

    def _ready(self, modules: Sequence[Any], forward: Function) -> Function:
        """The function of the modules, as it is timed."""
        return forward

    def _conv(self, kernel: Array, bias: Array | None, options: Mapping[str, Any]) -> Any:
        nn = self.torch.nn
        *size, channels, filters = kernel.shape
        make = getattr(nn, f"Conv{len(size)}d")
        inputs = channels * options.get("groups", 1)
        conv = make(inputs, filters, size, bias=bias is not None, **options)
        self._fill(conv, weight=np.moveaxis(kernel, (-1, -2), (0, 1)), bias=bias)
        return conv

    def _fill(self, module: Any, **arrays: Array | None) -> None:
        torch = self.torch
        with torch.no_grad():
            for name, array in arrays.items():
                if array is not None:
                    given = torch.from_numpy(np.ascontiguousarray(array))
                    getattr(module, name).copy_(given)

    def _forward(self, network: Network) -> tuple[Function, list[Any]]:
        """The network as a function of what `_enter` gives, and its parameters."""
        weights = iter(network.weights(channels_first=True))
        modules = self._chain(network.layers, network.rank, weights)
        return self._ready([modules], modules), list(modules.parameters())

    def _chain(self, layers: Sequence[Spec], rank: int, weights: Iterator[Any]) -> Any:
        """The layers as a `Sequential`."""
        made: list[Any] = []
        for spec in layers:
            if isinstance(spec, Residual):
                within = self._chain(spec.layers, rank, weights)
                shortcut = self._chain(spec.shortcut, rank, weights)
                made += [self._sum(within, shortcut), *self._activation(spec.activation)]
            else:
                made += self._step(spec, rank, weights)
        return self.torch.nn.Sequential(*made)

    def _sum(self, within: Any, shortcut: Any) -> Any:
        return self._through(lambda x: within(x) + shortcut(x), within, shortcut)

    def _step(self, step: Step, rank: int, weights: Iterator[Any]) -> list[Any]:
        nn = self.torch.nn
        if isinstance(step, Conv):
            return [*self._convolution(step, *next(weights)), *self._activation(step.activation)]
        if isinstance(step, Dense):
            kernel, bias = next(weights)
            linear = nn.Linear(*kernel.shape)
            self._fill(linear, weight=kernel.T, bias=bias)
            return [linear]
        if isinstance(step, Embedding):
            table = nn.Embedding(step.rows, step.columns)
            self._fill(table, weight=next(weights)[0])
            return [table, self._through(self._entered)]
        return self._pooling(step, rank)

    def _convolution(self, step: Conv, kernel: Array, *vectors: Array) -> list[Any]:
        rank = len(step.kernel)
        groups = step.groups(step.filters)
        options = {
            "stride": (step.strides,) * rank,
            "padding": step.margins,
            "dilation": (step.dilation,) * rank,
            "groups": groups,
        }
        if not step.norm:
            return [self._conv(kernel, vectors[0], options)]
        conv = self._conv(kernel, None, options)
        scale, offset, mean, variance = vectors
        make = getattr(self.torch.nn, f"BatchNorm{conv.weight.ndim - 2}d")
        norm = make(step.filters, eps=EPSILON)
        self._fill(norm, weight=scale, bias=offset, running_mean=mean, running_var=variance)
        return [conv, norm.eval()]

    def _activation(self, name: str) -> list[Any]:
        nn = self.torch.nn
        return {"linear": [], "relu": [nn.ReLU()], "relu6": [nn.ReLU6()]}[name]

    def _pooling(self, step: Step, rank: int) -> list[Any]:
        nn = self.torch.nn
        if isinstance(step, MaxPool):
            return [getattr(nn, f"MaxPool{rank}d")(step.size, step.strides, step.margin)]
        if isinstance(step, GlobalPool) and step.kind == "Average":
            return [getattr(nn, f"AdaptiveAvgPool{rank}d")(1), nn.Flatten()]
        if isinstance(step, GlobalPool):
            axes = tuple(range(2, 2 + rank))
            return [self._through(lambda x: x.amax(axes))]
        return [nn.Flatten()]

    def _through(self, function: Function, *parts: Any) -> Any:
        """A module that computes the function, which calls the parts."""
        nn = self.torch.nn

        class Through(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.parts = nn.ModuleList(parts)

            def forward(self, x: Any) -> Any:
                return function(x)

        return Through()


class TorchBest(TorchTyped):
    """PyTorch's best form: channels last in memory, and `Conv2d` with one row for one axis."""

    name = "torch best"

    def channels_first(self, shape: Shape) -> None:
        return None

    def _enter(self, x: Array) -> Any:
        if x.dtype == np.int32:
            return super()._enter(x)
        rows = x[:, None] if x.ndim == 3 else x
        return self._channels_last(self.torch.from_numpy(np.moveaxis(rows, -1, 1)))

    def _leave(self, y: Any) -> Array:
        left = super()._leave(y)
        return left[:, 0] if left.ndim == 4 and left.shape[1] == 1 else left

    def _entered(self, vectors: Any) -> Any:
        return vectors[:, None].permute(0, 3, 1, 2)

    def _channels_last(self, tensor: Any) -> Any:
        kind = "channels_last" if tensor.ndim == 4 else "channels_last_3d"
        return tensor.contiguous(memory_format=getattr(self.torch, kind))

    def _conv(self, kernel: Array, bias: Array | None, options: Mapping[str, Any]) -> Any:
        if kernel.ndim == 3:
            kernel = kernel[None]
            first = {"stride": 1, "dilation": 1, "padding": 0}
            options = {k: (first[k], *v) if k in first else v for k, v in options.items()}
        conv = super()._conv(kernel, bias, options)
        conv.weight.data = self._channels_last(conv.weight.data)
        return conv

    def _pooling(self, step: Step, rank: int) -> list[Any]:
        if rank == 1 and isinstance(step, MaxPool):
            numbers = (1, step.size), (1, step.strides), (0, step.margin)
            return [self.torch.nn.MaxPool2d(*numbers)]
        return super()._pooling(step, max(rank, 2))


class TorchOnOurs(TorchTyped):
    """What a user types, after `isoconv.torch.accelerate`."""

    name = "isoconv"

    def _ready(self, modules: Sequence[Any], forward: Function) -> Function:
        optional.late("isoconv.torch").accelerate(self.torch.nn.ModuleList(modules))
        return forward
