"""TensorFlow 1's initializers: ours, with its names, arguments and defaults."""

from __future__ import annotations

from typing import Any

from isoconv.training import initializers
from isoconv.training.initializers import Initializer


def zeros_initializer(dtype: Any = None) -> Initializer:
    """All zeros."""
    return initializers.Zeros()


def ones_initializer(dtype: Any = None) -> Initializer:
    """All ones."""
    return initializers.Ones()


def constant_initializer(value: Any = 0, dtype: Any = None) -> Initializer:
    """This value."""
    return initializers.Constant(value)


def random_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """A normal distribution."""
    return initializers.RandomNormal(mean, stddev, seed)


def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """A normal distribution without what lies two deviations off."""
    return initializers.TruncatedNormal(mean, stddev, seed)


def random_uniform_initializer(
    minval: float = 0.0, maxval: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """An even distribution."""
    return initializers.RandomUniform(minval, maxval, seed)


def glorot_uniform_initializer(seed: int | None = None, dtype: Any = None) -> Initializer:
    """An even distribution as wide as the numbers of inputs and outputs ask for."""
    return initializers.GlorotUniform(seed)


def glorot_normal_initializer(seed: int | None = None, dtype: Any = None) -> Initializer:
    """A normal distribution as wide as the numbers of inputs and outputs ask for."""
    return initializers.GlorotNormal(seed)


def variance_scaling_initializer(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: int | None = None,
    dtype: Any = None,
) -> Initializer:
    """A distribution whose variance follows the numbers of inputs or outputs."""
    return initializers.VarianceScaling(scale, mode, distribution, seed)


def orthogonal_initializer(
    gain: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """Orthogonal rows or columns."""
    return initializers.Orthogonal(gain, seed)
