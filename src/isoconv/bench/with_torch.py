"""PyTorch as a contender: as a user types it, and in its best form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.bench.cases import Array, Network, Shape
from isoconv.bench.contender import Prepared, weights_of

Step = Callable[[Any], Any]


class TorchTyped:
    """What a user types: channels first, `Conv1d` for one axis."""

    name = "torch"
    channels_last = False

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def torch(self) -> ModuleType:
        """The package, told how many threads to use."""
        torch = optional.require("torch", "bench")
        torch.set_num_threads(self.threads)
        return torch

    def version(self) -> str:
        return f"torch {self.torch.__version__}"

    # -- what is timed -------------------------------------------------------------------------

    def layer(self, shape: Shape) -> Prepared:
        x, kernel, bias = shape.arrays()
        options = {"stride": shape.strides, "dilation": shape.dilations, "groups": shape.groups}
        conv = self._conv(kernel, bias, "valid", options)
        return self._inference(conv, self._enter(x))

    def network(self, network: Network, batch: int) -> Prepared:
        forward, _ = self._forward(network)
        return self._inference(forward, self._enter(network.data(batch)[0]))

    def training(self, network: Network, batch: int) -> Prepared | None:
        torch = self.torch
        forward, parameters = self._forward(network)
        x, y = network.data(batch)
        data, labels = self._enter(x), torch.from_numpy(y)
        optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7)
        criterion = torch.nn.CrossEntropyLoss()

        def run() -> Any:
            optimizer.zero_grad()
            loss = criterion(forward(data), labels)
            loss.backward()
            optimizer.step()
            return loss

        return Prepared(run, lambda loss: np.asarray(loss.detach()))

    def _inference(self, forward: Step, data: Any) -> Prepared:
        torch = self.torch

        def run() -> Any:
            with torch.inference_mode():
                return forward(data)

        return Prepared(run, self._leave)

    # -- layouts -------------------------------------------------------------------------------

    def _enter(self, x: Array) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))

    def _leave(self, y: Any) -> Array:
        return np.asarray(np.moveaxis(y.numpy(), 1, -1))

    # -- modules -------------------------------------------------------------------------------

    def _conv(self, kernel: Array, bias: Array, padding: str, options: Mapping[str, Any]) -> Any:
        nn = self.torch.nn
        *size, channels, filters = kernel.shape
        make = getattr(nn, f"Conv{len(size)}d")
        groups = options.get("groups", 1)
        conv = make(channels * groups, filters, size, padding=padding, **options)
        self._fill(conv, np.moveaxis(kernel, (-1, -2), (0, 1)), bias)
        return conv

    def _fill(self, module: Any, weight: Array, bias: Array) -> None:
        with self.torch.no_grad():
            module.weight.copy_(self.torch.from_numpy(np.ascontiguousarray(weight)))
            module.bias.copy_(self.torch.from_numpy(bias))

    def _forward(self, network: Network) -> tuple[Step, list[Any]]:
        """The network as a function of what `_enter` gives, and its parameters."""
        steps: list[Step] = []
        parameters: list[Any] = []
        weights = iter(weights_of(network))
        flattened = False
        for spec in network.layers:
            if spec["kind"] == "conv":
                module = self._conv(*next(weights), spec["padding"], {})
                steps += [module, self.torch.relu]
                parameters += module.parameters()
            elif spec["kind"] == "dense":
                module = self._dense(*next(weights), parameters if flattened else [])
                steps.append(module)
                parameters += module.parameters()
            else:
                flattened = spec["kind"] == "flatten"
                steps.append(self._pooling(spec, len(network.input) - 1))

        def forward(x: Any) -> Any:
            for step in steps:
                x = step(x)
            return x

        return forward, parameters

    def _dense(self, kernel: Array, bias: Array, before: list[Any]) -> Any:
        """A Linear. before: the parameters of the convolution whose flattened output it takes:
        flattened channels first, its inputs have another order.
        """
        units = len(bias)
        if before:
            channels = len(before[-1])
            kernel = kernel.reshape(-1, channels, units).swapaxes(0, 1).reshape(-1, units)
        linear = self.torch.nn.Linear(prod(kernel.shape[:-1]), units)
        self._fill(linear, kernel.T, bias)
        return linear

    def _pooling(self, spec: Mapping[str, Any], rank: int) -> Step:
        functional = self.torch.nn.functional
        axes = tuple(range(2, 2 + rank))
        if spec["kind"] == "max_pool":
            pool = getattr(functional, f"max_pool{rank}d")
            return lambda x: pool(x, spec["size"])
        if spec["kind"] == "global_average":
            return lambda x: x.mean(axes)
        if spec["kind"] == "global_max":
            return lambda x: x.amax(axes)
        return lambda x: x.flatten(1)


class TorchBest(TorchTyped):
    """PyTorch's best form: channels last in memory, and `Conv2d` with one row for one axis."""

    name = "torch best"

    def training(self, network: Network, batch: int) -> Prepared | None:
        return None

    def _enter(self, x: Array) -> Any:
        rows = x[:, None] if x.ndim == 3 else x
        return self._channels_last(self.torch.from_numpy(np.moveaxis(rows, -1, 1)))

    def _leave(self, y: Any) -> Array:
        left = super()._leave(y)
        return left[:, 0] if left.ndim == 4 and left.shape[1] == 1 else left

    def _channels_last(self, tensor: Any) -> Any:
        kind = "channels_last" if tensor.ndim == 4 else "channels_last_3d"
        return tensor.contiguous(memory_format=getattr(self.torch, kind))

    def _conv(self, kernel: Array, bias: Array, padding: str, options: Mapping[str, Any]) -> Any:
        if kernel.ndim == 3:
            kernel = kernel[None]
            options = {k: v if k == "groups" else (1, *v) for k, v in options.items()}
        conv = super()._conv(kernel, bias, padding, options)
        conv.weight.data = self._channels_last(conv.weight.data)
        return conv

    def _pooling(self, spec: Mapping[str, Any], rank: int) -> Step:
        functional = self.torch.nn.functional
        if rank == 1 and spec["kind"] == "max_pool":
            return lambda x: functional.max_pool2d(x, (1, spec["size"]))
        return super()._pooling(spec, max(rank, 2))
