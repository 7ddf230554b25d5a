"""Vectors for numbers of words or classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv import ops
from isoconv.layers import arguments
from isoconv.layers.weighted import Ruled
from isoconv.ops.indexing import gather
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training import regularizers


class Embedding(Ruled):
    """Row number x of a learned table, for each x: (...) becomes (..., output_dim).

    Args:
        input_dim: how many rows the table has; inputs are from 0 to input_dim - 1, and others a
            RuntimeCheckError. Floats are cut to integers.
        output_dim: the length of a row.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether 0 means that a step is absent.
        weights: values for the table.
        input_length: the input's length, as in Keras 2.

    Weights: embeddings (input_dim, output_dim).
    """

    weight_names = ("embeddings",)
    casts_integers = False
    embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        rules = {
            "embeddings_initializer": embeddings_initializer,
            "embeddings_regularizer": embeddings_regularizer,
            "embeddings_constraint": embeddings_constraint,
        }
        # Row numbers must not pass through a float dtype that cannot hold them.
        super().__init__(rules, autocast=False, **kwargs)
        self.input_dim = arguments.count(input_dim, self.where("input_dim"))
        self.output_dim = arguments.count(output_dim, self.where("output_dim"))
        self.mask_zero = mask_zero
        if weights is not None:
            self.build(())
            self.set_weights(weights if isinstance(weights, list) else [np.asarray(weights)])

    @property
    def input_dtype(self) -> str:
        return "int32"

    def runtime_axes(self, rank: int) -> Sequence[int]:
        return range(rank)

    def build(self, input_shape: Any) -> None:
        if not self.built:
            self.embeddings = self.weight("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Tensor) -> Any:
        return gather(self.embeddings.value, _rows(inputs))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.not_equal(_rows(inputs), 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "mask_zero": self.mask_zero,
        }


def _rows(inputs: Any) -> Any:
    return inputs if inputs.dtype in ("int32", "int64") else ops.cast(inputs, "int32")
