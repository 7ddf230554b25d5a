"""What is measured: single convolutions and small networks, as data, with arrays drawn by a seed.

Convolutions are channels last, with a bias and "valid" padding; those of networks are followed by
relu. Weights are in Keras' layout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_SEED = 0
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Shape:
    """One convolution: channels last, "valid"."""

    name: str
    batch: int
    spatial: tuple[int, ...]
    channels: int
    kernel: tuple[int, ...]
    filters: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.spatial, self.channels)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel, self.channels // self.groups, self.filters)

    @property
    def output_shape(self) -> tuple[int, ...]:
        axes = zip(self.spatial, self.kernel, self.strides, self.dilations, strict=True)
        outputs = ((size - (k - 1) * d - 1) // s + 1 for size, k, s, d in axes)
        return (self.batch, *outputs, self.filters)

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * prod(self.output_shape) * prod(self.kernel_shape[:-1])

    @property
    def bytes(self) -> int:
        """What is read and written at least once."""
        shapes = (self.input_shape, self.kernel_shape, self.output_shape)
        return FLOAT_BYTES * sum(map(prod, shapes))

    def arrays(self) -> tuple[Array, Array, Array]:
        """Input, kernel and bias."""
        rng = np.random.default_rng(_SEED)
        return (
            rng.normal(size=self.input_shape).astype(np.float32),
            _kernel(rng, self.kernel_shape),
            rng.normal(size=self.filters).astype(np.float32),
        )


@dataclass(frozen=True)
class Network:
    """A network: what `networks.json` says of it."""

    name: str
    title: str
    input: tuple[int, ...]
    batches: tuple[int, ...]
    training_batches: tuple[int, ...]
    layers: tuple[Mapping[str, Any], ...]

    @property
    def classes(self) -> int:
        return int(self.layers[-1]["units"])

    def weights(self) -> list[Array]:
        """Kernel and bias of each layer that has them, in order."""
        rng = np.random.default_rng(_SEED)
        drawn = []
        for shape in self._kernel_shapes():
            drawn += [_kernel(rng, shape), rng.normal(size=shape[-1]).astype(np.float32)]
        return drawn

    def data(self, batch: int) -> tuple[Array, Array]:
        """Inputs, and labels to train with."""
        rng = np.random.default_rng(_SEED + 1)
        x = rng.normal(size=(batch, *self.input)).astype(np.float32)
        return x, rng.integers(self.classes, size=batch)

    def flops(self, batch: int) -> int:
        """Of the convolutions and dense layers."""
        return batch * sum(self._sample_flops())

    def training_flops(self, batch: int) -> int:
        """Forward, and the gradients by weights and by inputs, of which nobody needs the first."""
        each = self._sample_flops()
        return batch * (3 * sum(each) - each[0])

    def _sample_flops(self) -> list[int]:
        return [2 * outputs * prod(kernel[:-1]) for outputs, kernel in self._products()]

    def _kernel_shapes(self) -> list[tuple[int, ...]]:
        return [kernel for _, kernel in self._products()]

    def _products(self) -> list[tuple[int, tuple[int, ...]]]:
        """The number of outputs of a sample and the kernel's shape, of each layer with weights."""
        found = []
        *spatial, channels = self.input
        for layer in self.layers:
            kind = layer["kind"]
            if kind == "conv":
                kernel = (*layer["kernel"], channels, layer["filters"])
                channels = layer["filters"]
                if layer["padding"] == "valid":
                    spatial = [n - k + 1 for n, k in zip(spatial, kernel, strict=False)]
                found.append((prod(spatial) * channels, kernel))
            elif kind == "max_pool":
                spatial = [n // layer["size"] for n in spatial]
            elif kind == "dense":
                found.append((layer["units"], (channels, layer["units"])))
            else:
                channels = channels * prod(spatial) if kind == "flatten" else channels
                spatial = []
        return found


def _kernel(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Of a size that keeps outputs as large as inputs."""
    drawn: Array = rng.normal(size=shape) / np.sqrt(prod(shape[:-1]))
    return drawn.astype(np.float32)


def shapes() -> list[Shape]:
    """The convolutions of `shapes.json`."""
    return [Shape(*map(_tuples, row)) for row in _read("shapes.json")]


def networks() -> list[Network]:
    """The networks of `networks.json`."""
    return [
        Network(name=name, **{key: _tuples(value) for key, value in fields.items()})
        for name, fields in _read("networks.json").items()
    ]


def _read(name: str) -> Any:
    return json.loads((files(__package__) / name).read_text(encoding="utf-8"))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
