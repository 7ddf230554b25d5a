"""Rescaling, the first layer of many networks on pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.layers.same_shape import SameShape
from isoconv.ops.tensor import Tensor


class Rescaling(SameShape):
    """inputs * scale + offset, such as 1 / 255 for pictures of bytes.

    scale, offset: numbers, or one for each channel (a list; the last axis).
    """

    casts_integers = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = self._numbers(scale, "scale")
        self.offset = self._numbers(offset, "offset")

    def _numbers(self, value: Any, name: str) -> Any:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.ndim > 1 or not np.isfinite(array).all():
            wanted = "a number, or a list of one for each channel"
            raise ArgumentError(explain(self.where(name), repr(value), wanted))
        return array.tolist()

    def call(self, inputs: Tensor) -> Tensor:
        scale, offset = (np.asarray(each, inputs.dtype) for each in (self.scale, self.offset))
        return inputs * scale + offset

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "offset": self.offset}
