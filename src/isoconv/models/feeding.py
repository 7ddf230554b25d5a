"""Data on its way into training: what users give, as checked arrays in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv import dtypes, settings
from isoconv.errors import ArgumentError, explain
from isoconv.models.training import Training
from isoconv.training import batches
from isoconv.training.batches import ArrayBatches, Batches, Data, IterableBatches


class Feeding(Training):
    """Turns arrays and iterables into batches, for a model."""

    def _prepared(self, x: Any, y: Any, sample_weight: Any) -> Data:
        """Arrays as the model takes them, of as many samples each."""
        args, _ = self.prepare((x,), {})
        dtype = self._label_dtype()
        labels = batches.to_arrays(y, "y", dtype)
        data = args[0], labels, batches.to_arrays(sample_weight, "sample_weight", dtype)
        batches.count_samples(data)
        return data

    def _label_dtype(self) -> str:
        """The dtype that labels and weights of floats are turned into."""
        outputs = [] if self.network is None else self.network.flat_outputs
        floats = [each.dtype for each in outputs if dtypes.is_float(each.dtype)]
        return floats[0] if floats else settings.floatx()

    def _source(self, x: Any, y: Any, sample_weight: Any, task: str) -> Any:
        """Prepared arrays, or the iterable that was given."""
        if not batches.is_iterable_source(x):
            data = self._prepared(x, y, sample_weight)
            if not batches.count_samples(data):
                raise ArgumentError(explain(self.where(f"{task}: x"), "no samples", "at least one"))
            return data
        for name, value in {"y": y, "sample_weight": sample_weight}.items():
            if value is not None:
                remedy = "An iterable gives (x, y) or (x, y, sample_weight) itself."
                raise ArgumentError(explain(self.where(f"{task}: {name}"), "one", "None", remedy))
        return x

    def _batches(
        self,
        data: Any,
        size: int,
        shuffle: bool,
        steps: int | None,
        class_weight: Mapping[int, float] | None = None,
    ) -> Batches:
        if steps is not None:
            whole_number(steps, self.where("fit: steps"))

        def weighted(found: Data) -> Data:
            if not class_weight:
                return found
            return batches.with_class_weight(found, class_weight, self._label_dtype())

        if isinstance(data, tuple):
            return ArrayBatches(weighted(data), size, shuffle, steps)
        return IterableBatches(
            data, lambda *batch: weighted(self._prepared(*batch)), shuffle, steps
        )

    def _validation_source(self, given: Any) -> Any:
        """What `validation_data` means: prepared arrays, or an iterable."""
        if isinstance(given, tuple | list):
            return self._source(*batches.unpack(given), "fit: validation_data")
        return self._source(given, None, None, "fit: validation_data")


def whole_number(value: Any, where: str, least: int = 1) -> int:
    """An integer of at least `least`, or an ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(explain(where, repr(value), f"an integer of at least {least}"))
    return int(value)
