"""Initial values of weights, by Keras' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from isoconv import registry
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.recorder import Array
from isoconv.ops.seeds import generator


class Initializer:
    """Gives an array for a shape. Subclasses write `__call__(shape, dtype)` and `get_config`."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__ and not cls.__name__.startswith("_"):
            registry.builtin("initializers")(cls)

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new initializer with the arguments in `config`."""
        return cls(**config)


def get(identifier: Any) -> Any:
    """An initializer from an identifier: its name, config, class, values or itself; None stays."""
    if isinstance(identifier, np.ndarray):
        return Constant(identifier)
    return registry.get("initializers", identifier)


def serialize(initializer: Any) -> Any:
    """The initializer as data."""
    return registry.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` made `config` of.

    custom_objects: classes and functions of yours by name, besides those registered.
    """
    return registry.deserialize(config, "initializers", custom_objects)


class Zeros(Initializer):
    """0 everywhere."""

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """1 everywhere."""

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.ones(shape, dtype)


class Constant(Initializer):
    """One value everywhere, or the values of an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        try:
            return np.full(shape, self.value, dtype)
        except ValueError as error:
            given = f"values of shape {np.shape(self.value)}"
            raise ShapeError(explain("Constant: value", given, f"shape {shape}")) from error

    def get_config(self) -> dict[str, Any]:
        return {"value": np.asarray(self.value).tolist()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        value = config["value"]
        # Keras writes arrays as {"class_name": "__numpy__", "config": {"value": ..., ...}}.
        return cls(value["config"]["value"] if isinstance(value, Mapping) else value)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        if len(shape) != 2:
            raise ShapeError(explain("Identity initializer: shape", tuple(shape), "two sizes"))
        return self.gain * np.eye(*shape, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """Draws from its own seed, the same each time, or from the shared generator."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            where = f"{type(self).__name__}: seed"
            raise ArgumentError(explain(where, repr(seed), "an integer or None"))
        self.seed = seed

    def generator(self) -> np.random.Generator:
        return generator() if self.seed is None else np.random.default_rng(abs(self.seed))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class RandomNormal(RandomInitializer):
    """The normal distribution around `mean`, of standard deviation `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return self.generator().normal(self.mean, self.stddev, shape).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """The normal distribution around `mean`, without what is beyond two of `stddev`."""

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        values = _cut_normal(self.generator(), shape)
        return (values * self.stddev + self.mean).astype(dtype)


class RandomUniform(RandomInitializer):
    """Evenly from `minval` to `maxval`."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return self.generator().uniform(self.minval, self.maxval, shape).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"minval": self.minval, "maxval": self.maxval}


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns, or rows where those are fewer.

    All axes but the last are the rows (Saxe et al. 2014).
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        if len(shape) < 2:
            raise ShapeError(explain("Orthogonal: shape", tuple(shape), "two sizes or more"))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        # The signs make the distribution uniform (Mezzadri 2007).
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return (self.gain * (q.T if rows < columns else q).reshape(shape)).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"gain": self.gain}


class VarianceScaling(RandomInitializer):
    """Variance `scale` over the fan that `mode` names: "fan_in", "fan_out" or their mean "fan_avg".

    Args:
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        input_axes, output_axes: the axes that count for fan_in and fan_out, where the shape is
            not (taps..., in, out).
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
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
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> Array:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
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
        return (_cut_normal(source, shape) * stddev).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Named(VarianceScaling):
    """A VarianceScaling whose class fixes all but the seed and the axes."""

    fixed: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.fixed, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class GlorotUniform(_Named):
    """Uniform within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    fixed = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Named):
    """Truncated normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    fixed = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Named):
    """Uniform within sqrt(6 / fan_in) (He et al. 2015)."""

    fixed = 2.0, "fan_in", "uniform"


class HeNormal(_Named):
    """Truncated normal with variance 2 / fan_in (He et al. 2015)."""

    fixed = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Named):
    """Uniform within sqrt(3 / fan_in) (LeCun et al. 1998)."""

    fixed = 1.0, "fan_in", "uniform"


class LecunNormal(_Named):
    """Truncated normal with variance 1 / fan_in (LeCun et al. 1998)."""

    fixed = 1.0, "fan_in", "truncated_normal"


def _cut_normal(source: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, those beyond 2 drawn again."""
    values = np.asarray(source.standard_normal(shape))
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = source.standard_normal(int(beyond.sum()))
    return values


def compute_fans(
    shape: tuple[int, ...],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[float, float]:
    """fan_in and fan_out of a kernel of this shape, as Keras counts them.

    input_axes, output_axes: the axes whose sizes they are the products of; without them the shape
    is (taps..., in, out).
    """
    if input_axes is not None and output_axes is not None:
        sizes = (math.prod(shape[axis] for axis in axes) for axes in (input_axes, output_axes))
        fan_in, fan_out = sizes
        return float(fan_in), float(fan_out)
    if len(shape) < 2:
        fan = float(shape[0]) if shape else 1.0
        return fan, fan
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
orthogonal = Orthogonal
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal

registry.builtin("initializers", "zero")(Zeros)
registry.builtin("initializers", "one")(Ones)
registry.builtin("initializers", "normal")(RandomNormal)
registry.builtin("initializers", "uniform")(RandomUniform)
registry.builtin("initializers", "IdentityInitializer")(Identity)
registry.builtin("initializers", "OrthogonalInitializer")(Orthogonal)
