"""Noise in training, and a penalty on activity: layers that keep networks from overfitting."""

from __future__ import annotations

import math
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.layers import arguments
from isoconv.layers.dropout import Dropout
from isoconv.layers.same_shape import SameShape
from isoconv.ops.nn import SELU_ALPHA, SELU_SCALE
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.tensor import Tensor
from isoconv.training import regularizers


class GaussianNoise(SameShape):
    """In training adds normal noise. stddev: from 0 to 1. seed: as for Dropout."""

    casts_integers = True

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = arguments.number(stddev, self.where("stddev"), 0, 1)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return inputs + _normal(inputs, 0.0, self.stddev, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"stddev": self.stddev, "seed": self.seed}


class GaussianDropout(SameShape):
    """In training multiplies by normal noise around 1 (Srivastava et al. 2014).

    rate: from 0 to below 1; the noise has the standard deviation sqrt(rate / (1 - rate)), that
    of dropout. seed: as for Dropout.
    """

    casts_integers = True

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = arguments.number(rate, self.where("rate"), 0, 1)
        if rate == 1:
            raise ArgumentError(explain(self.where("rate"), rate, "a number below 1"))
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return inputs * _normal(inputs, 1.0, stddev, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for selu (Klambauer et al. 2017).

    Dropped inputs take selu's lowest value a; then all are scaled and shifted back:
    s * x + b with s = ((1 - rate) (1 + rate a^2))^(-1/2), b = -s a rate.
    """

    def call(self, inputs: Tensor, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        lowest = -SELU_ALPHA * SELU_SCALE
        kept = ops.random.dropout(
            ops.ones_like(inputs), self.rate, self.choices(inputs), self.seed_generator
        )
        mixed = ops.where(kept > 0, inputs, lowest)
        spread = (1 - self.rate) * (1 + self.rate * lowest**2)
        scale = 1 / math.sqrt(spread) if spread else 0.0
        return mixed * scale - scale * lowest * self.rate


class ActivityRegularization(SameShape):
    """Hands its input on and adds l1 * sum |x| + l2 * sum x^2 over the batch size to the loss."""

    casts_integers = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"l1": self.l1, "l2": self.l2}


def _normal(inputs: Tensor, mean: float, stddev: float, seed: SeedGenerator) -> Tensor:
    return ops.random.normal(ops.shape(inputs), mean, stddev, inputs.dtype, seed)
