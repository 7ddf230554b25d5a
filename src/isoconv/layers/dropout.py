"""Dropout: some inputs set to 0 in training, to keep units from relying on each other."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.tensor import Tensor


class Dropout(Layer):
    """In training sets inputs to 0 with probability `rate` and divides the others by 1 - rate.

    Args:
        rate: from 0 to 1.
        noise_shape: the shape of the choices, 1 where one choice holds for a whole axis, None
            where it is the input's.
        seed: an integer makes the choices repeat; None draws one.
    """

    casts_integers = True

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not number or not 0 <= rate <= 1:
            raise ArgumentError(explain(self.where("rate"), repr(rate), "a number from 0 to 1"))
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return ops.random.dropout(inputs, self.rate, self.noise_shape, self.seed_generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }
