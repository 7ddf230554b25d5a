"""TensorFlow 1's initializers: ours, with its names, arguments and defaults. A `dtype` is taken
for TensorFlow's sake: weights have that of their layer.
"""

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
    """A normal distribution of this mean and stddev; seed: repeats it."""
    return initializers.RandomNormal(mean, stddev, seed)


def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """A normal distribution of this mean and stddev, cut at two stddev; seed: repeats it."""
    return initializers.TruncatedNormal(mean, stddev, seed)


def random_uniform_initializer(
    minval: float = 0.0, maxval: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """An even distribution from minval to maxval; seed: repeats it."""
    return initializers.RandomUniform(minval, maxval, seed)


def glorot_uniform_initializer(seed: int | None = None, dtype: Any = None) -> Initializer:
    """Even, as wide as the numbers of inputs and outputs ask for; seed: repeats it."""
    return initializers.GlorotUniform(seed)


def glorot_normal_initializer(seed: int | None = None, dtype: Any = None) -> Initializer:
    """Normal, as wide as the numbers of inputs and outputs ask for; seed: repeats it."""
    return initializers.GlorotNormal(seed)


def variance_scaling_initializer(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: int | None = None,
    dtype: Any = None,
) -> Initializer:
    """A distribution of variance scale / n, n by mode from inputs or outputs; seed: repeats it."""
    return initializers.VarianceScaling(scale, mode, distribution, seed)


def orthogonal_initializer(
    gain: float = 1.0, seed: int | None = None, dtype: Any = None
) -> Initializer:
    """Orthogonal rows or columns, times gain; seed: repeats them."""
    return initializers.Orthogonal(gain, seed)
