"""Running a model on many samples, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.changes import epoch
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.models.feeding import whole_number
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, is_array
from isoconv.ops.convert import as_array
from isoconv.training.batches import IterableBatches, is_iterable_source
from isoconv.training.callbacks import Callback, CallbackList

if TYPE_CHECKING:
    from isoconv.layers.base import Layer

    _Base = Layer
else:
    _Base = object


class Predicting(_Base):
    """`predict` and `predict_on_batch`, for a layer."""

    def predict_step(self, data: Any) -> Any:
        """What `predict` computes of a batch, in isoconv.ops. A subclass may write its own.

        data: as for `train_step`.
        """
        return self(data, training=False)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        *,
        rewrite: Any = True,
    ) -> Any:
        """The outputs for all samples of x, as arrays.

        x: an array, or a list or dict of them, one an input; or an iterable of batches, each x,
        (x, y) or (x, y, sample_weight). batch_size: samples of arrays computed at once, 32 if
        left out; it changes no bit of the result. verbose: taken for Keras' sake; nothing is
        printed. steps: at most so many batches. callbacks: told of each batch and its outputs.
        No samples give an empty result.

        rewrite: whether weights may be computed with beforehand, as `isoconv.jit` does; without,
        the bits are those of `model(x)`. Keras has it not.
        """
        size = whole_number(32 if batch_size is None else batch_size, self._named("batch_size"))
        if steps is not None:
            whole_number(steps, self._named("steps"))
        if not isinstance(rewrite, bool):
            raise ArgumentError(explain(self._named("rewrite"), repr(rewrite), "a bool"))
        if is_iterable_source(x):
            source = IterableBatches(x, lambda *batch: (batch[0], None, None), False, steps)
            parts = (batch[0] for batch in source.epoch())
            found = self._each(parts, source.steps, callbacks, rewrite)
            if not found:
                raise ArgumentError(explain(self._named("x"), "no batches", "at least one"))
            return _joined(found)
        args, _ = self.prepare((x,), {"training": False})
        count = samples(args, self._named("x"))
        if count <= size and not callbacks:
            return self._predicted(args[0], rewrite)
        whole = max(1, -(-count // size))
        parts = (part[0] for part in islice(batches(args, max(count, 1), size), steps))
        return _joined(self._each(parts, min(whole, steps or whole), callbacks, rewrite))

    def _named(self, argument: str) -> str:
        return self.where(f"predict: {argument}")

    def _each(
        self, parts: Iterable[Any], steps: int | None, callbacks: Any, rewrite: bool
    ) -> list[Any]:
        """The outputs for each part, while callbacks are told when it begins and ends."""
        tell = CallbackList(callbacks, self, {"steps": steps})
        found = []
        tell.tell("predict_begin")
        for number, part in enumerate(parts):
            tell.tell("predict_batch_begin", number)
            found.append(self._predicted(part, rewrite))
            tell.tell("predict_batch_end", number, logs={"outputs": found[-1]})
        tell.tell("predict_end")
        return found

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch `x`, as arrays."""
        result = self._ready_folded.again(x)
        return self._predicted(x, True) if result is NotImplemented else result

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


def _joined(parts: Sequence[Any]) -> Any:
    """Outputs of several batches as those of one."""
    columns = zip(*(tree.leaves(part) for part in parts), strict=True)
    joined = (np.concatenate(column) for column in columns)
    return tree.transform(lambda _: next(joined), parts[0])


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
