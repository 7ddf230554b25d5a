"""What layers have in common that keep the shape of their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv.layers import masks
from isoconv.layers.base import Layer


class SameShape(Layer):
    """A layer whose output has the shape and the mask of its input."""

    single_input = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(max(rank - 1, min(rank, 1)))

    def check_mask(self, inputs: Any, mask: Any) -> None:
        masks.check_steps(mask, inputs.shape, 1, self.where("mask"))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
