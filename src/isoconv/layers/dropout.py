"""Dropout: some inputs set to 0 in training, to keep units from relying on each other."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.same_shape import SameShape
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.tensor import Tensor


class Dropout(SameShape):
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
        self.rate = arguments.number(rate, self.where("rate"), 0, 1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        shape = self.choices(inputs)
        if shape is not None and len(shape) != inputs.ndim:
            given = f"{len(shape)} sizes for an input of shape {inputs.shape}"
            raise ShapeError(explain("noise_shape", given, f"{inputs.ndim} sizes"))
        return ops.random.dropout(inputs, self.rate, shape, self.seed_generator)

    def choices(self, inputs: Tensor) -> tuple[Any, ...] | None:
        """The shape of the choices, None for that of the input."""
        return self.noise_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }


class SpatialDropout(Dropout):
    """Dropout of whole channels: one choice for all of a channel's places (Tompson et al. 2014).

    Args:
        rate, seed: as for Dropout.
        data_format: "channels_last" or "channels_first"; None is the process-wide default.
    """

    rank: int

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = arguments.data_format(data_format, self.where("data_format"))

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != self.rank + 2:
            given = f"shape {tuple(input_shape)}"
            raise ShapeError(explain("input", given, f"{self.rank + 2} dimensions"))

    def choices(self, inputs: Tensor) -> tuple[Any, ...]:
        ones = (1,) * self.rank
        if self.data_format == "channels_first":
            return (None, None, *ones)
        return (None, *ones, None)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"data_format": self.data_format}
        # Keras' classes take neither.
        del config["noise_shape"], config["trainable"]
        return config


class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of (batch, steps, channels). See SpatialDropout."""

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels over two axes. See SpatialDropout."""

    rank = 2


class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels over three axes. See SpatialDropout."""

    rank = 3
