"""Single convolutions to measure, as data: channels last, with a bias and "valid" padding, weights
in Keras' layout, arrays drawn by a seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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

    def cotangent(self) -> Array:
        """What is pulled back through the convolution."""
        rng = np.random.default_rng(_SEED + 1)
        return rng.normal(size=self.output_shape).astype(np.float32)


def _kernel(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Of a size that keeps outputs as large as inputs."""
    drawn: Array = rng.normal(size=shape) / np.sqrt(prod(shape[:-1]))
    return drawn.astype(np.float32)


def shapes() -> list[Shape]:
    """The convolutions of `shapes.json`."""
    return [Shape(*map(_tuples, row)) for row in _read("shapes.json")]


def _read(name: str) -> Any:
    return json.loads((files(__package__) / name).read_text(encoding="utf-8"))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
