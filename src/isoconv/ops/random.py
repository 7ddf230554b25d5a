"""Random numbers, made from a key and the position, so that they repeat on every machine."""

from __future__ import annotations

import math
from typing import Any

from isoconv import dtypes, settings
from isoconv.errors import ArgumentError, explain
from isoconv.ir.ops import make
from isoconv.ops.convert import as_float, as_tensor
from isoconv.ops.create import standard_shape
from isoconv.ops.dispatch import op
from isoconv.ops.elementwise import cast as cast_
from isoconv.ops.elementwise import cos, floor, log, sqrt, where
from isoconv.ops.seeds import SeedGenerator, key_of
from isoconv.ops.tensor import Tensor

Seed = int | SeedGenerator | None


def _bits(shape: Any, dtype: str, seed: Seed) -> Tensor:
    key = key_of(seed)
    return Tensor(make("random", key.node, shape=standard_shape(shape), dtype=dtype))


def _floating(dtype: Any) -> str:
    return dtypes.standardize(dtype or settings.floatx(), "random: dtype")


@op
def uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: Seed = None,
) -> Tensor:
    """Evenly from `minval` up to but without `maxval`. shape, dtype, seed: as for `normal`."""
    return _bits(shape, _floating(dtype), seed) * (maxval - minval) + minval


@op
def normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: Seed = None,
) -> Tensor:
    """From the normal distribution of this mean and stddev (Box and Muller 1958).

    shape: of the result. dtype: `floatx()` if left out. seed: an integer, which gives the same
    numbers each time, a SeedGenerator, or None.
    """
    pairs = _bits((2, *standard_shape(shape)), _floating(dtype), seed)
    radius = sqrt(log(1.0 - pairs[0]) * -2.0)
    return radius * cos(pairs[1] * (2 * math.pi)) * stddev + mean


@op
def randint(
    shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None
) -> Tensor:
    """Integers from `minval` up to but without `maxval`. shape, dtype, seed: as for `normal`."""
    spread = _bits(shape, "float64", seed) * float(maxval - minval)
    return cast_(floor(spread) + float(minval), dtype)


@op
def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Seed = None) -> Tensor:
    """Elements of the inputs set to 0 with probability `rate`, the others divided by 1 - rate.

    noise_shape: the shape of the choices, 1 where one choice holds for a whole axis. seed: as for
    `normal`.
    """
    x = as_float(inputs)
    if not 0 <= rate <= 1:
        raise ArgumentError(explain("dropout: rate", rate, "a number from 0 to 1"))
    if rate == 1:
        return x * 0.0
    sizes = x.dims if noise_shape is None else noise_shape
    shape = tuple(x.dims[i] if dim is None else dim for i, dim in enumerate(sizes))
    kept = _bits(shape, x.dtype, seed) >= as_tensor(rate, x.dtype)
    return where(kept, x * (1.0 / (1.0 - rate)), 0.0)
