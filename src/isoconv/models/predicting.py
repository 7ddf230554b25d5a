"""Running a model on many samples, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.changes import epoch
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops import tree
from isoconv.ops.convert import as_array
from isoconv.ops.program import Compiled, is_array

if TYPE_CHECKING:
    from isoconv.layers.base import Layer

    _Base = Layer
else:
    _Base = object


class Predicting(_Base):
    """`predict` and `predict_on_batch`, for a layer."""

    def predict_step(self, data: Any) -> Any:
        """What `predict` computes of a batch x, in isoconv.ops. A subclass may write its own."""
        return self(data, training=False)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        *,
        rewrite: Any = True,
    ) -> Any:
        """The outputs for all samples of x, as arrays.

        x: an array, or a list or dict of them, one an input. batch_size: samples computed at
        once, 32 if left out; it changes no bit of the result. verbose: taken for Keras' sake;
        nothing is printed. No samples give an empty result.

        rewrite: whether weights may be computed with beforehand, as `isoconv.jit` does; without,
        the bits are those of `model(x)`. Keras has it not.
        """
        size = 32 if batch_size is None else batch_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            where = self.where("predict: batch_size")
            raise ArgumentError(explain(where, repr(batch_size), "an integer of at least 1"))
        if not isinstance(rewrite, bool):
            where = self.where("predict: rewrite")
            raise ArgumentError(explain(where, repr(rewrite), "a bool"))
        args, _ = self.prepare((x,), {"training": False})
        count = samples(args, self.where("predict: x"))
        if count <= size:
            return self._predicted(args[0], rewrite)
        parts = [self._predicted(part[0], rewrite) for part in batches(args, count, size)]
        columns = zip(*(tree.leaves(part) for part in parts), strict=True)
        joined = (np.concatenate(column) for column in columns)
        return tree.transform(lambda _: next(joined), parts[0])

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as arrays."""
        return self._predicted(x, True)

    def _predicted(self, x: Any, rewrite: bool) -> Any:
        if type(self).predict_step is Predicting.predict_step:
            return self.at_once((x,), {"training": False}, folding=rewrite)
        args, kwargs = self.prepare((x,), {"training": False})
        self.ensure_built(args, kwargs)
        arrays = [as_array(leaf) for leaf in tree.leaves(args) if is_array(leaf)]
        if self._predicting is None:
            self._predicting = Compiled(self.predict_step, self.runtime_axes_of)
        return self._predicting.program(arrays, args, {}, key=epoch())(arrays)

    _predicting: Compiled | None = None


def samples(args: Any, where: str) -> int:
    """How many samples the arrays hold; ShapeError where they do not agree."""
    counts = {len(leaf) if leaf.ndim else -1 for leaf in tree.leaves(args)}
    if len(counts) != 1 or -1 in counts:
        given = " and ".join("no" if each < 0 else str(each) for each in sorted(counts))
        raise ShapeError(explain(where, f"{given} samples", "as many of each input"))
    return counts.pop()


def batches(args: Any, count: int, size: int) -> Iterator[Any]:
    """Of arrays of `count` samples, `size` samples at a time."""
    for start in range(0, count, size):
        yield _part(args, slice(start, start + size))


def _part(args: Any, rows: slice) -> Any:
    """These samples of each array."""
    return tree.transform(lambda array: array[rows], args)
