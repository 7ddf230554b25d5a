"""Initial values of weights, by Keras' names."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from isoconv import registry
from isoconv.errors import ArgumentError, explain
from isoconv.ops.recorder import Array
from isoconv.ops.seeds import generator


class Initializer:
    """Gives an array for a shape. Subclasses write `__call__(shape, dtype)` and `get_config`."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("initializers")(cls)

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def get(identifier: Any) -> Any:
    """An initializer from its name, config, class or itself; None stays None."""
    return registry.get("initializers", identifier)


def serialize(initializer: Any) -> Any:
    """The initializer as data."""
    return registry.serialize(initializer)


class Zeros(Initializer):
    """0 everywhere."""

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """1 everywhere."""

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.ones(shape, dtype)


class Constant(Initializer):
    """One value everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class RandomInitializer(Initializer):
    """Draws from its own seed, the same each time, or from the shared generator."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def generator(self) -> np.random.Generator:
        return generator() if self.seed is None else np.random.default_rng(self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class VarianceScaling(RandomInitializer):
    """Variance `scale` over the fan: "fan_in", "fan_out" or their mean "fan_avg".

    distribution: "truncated_normal", "untruncated_normal" or "uniform".
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0:
            raise ArgumentError(explain("VarianceScaling: scale", scale, "a number above 0"))
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            modes = "'fan_in', 'fan_out' or 'fan_avg'"
            raise ArgumentError(explain("VarianceScaling: mode", repr(mode), modes))
        distribution = "truncated_normal" if distribution == "normal" else distribution
        known = ("truncated_normal", "untruncated_normal", "uniform")
        if distribution not in known:
            given = repr(distribution)
            raise ArgumentError(explain("VarianceScaling: distribution", given, f"one of {known}"))
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        source = self.generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return source.uniform(-limit, limit, shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return source.normal(0.0, math.sqrt(variance), shape).astype(dtype)
        # The standard deviation of a normal distribution cut at two of its own.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return (truncated_normal(source, shape) * stddev).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


class GlorotUniform(VarianceScaling):
    """Uniform within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


def truncated_normal(source: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, those beyond 2 drawn again."""
    values = np.asarray(source.standard_normal(shape))
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = source.standard_normal(int(beyond.sum()))
    return values


def compute_fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """fan_in and fan_out of a kernel (taps..., in, out), as Keras counts them."""
    if len(shape) < 2:
        fan = float(shape[0]) if shape else 1.0
        return fan, fan
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)
