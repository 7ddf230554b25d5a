"""Batches for training: of arrays, cut without copies where they are not shuffled; of iterables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import numpy as np

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops import seeds, tree
from isoconv.ops.compiled import is_array
from isoconv.ops.convert import as_array
from isoconv.ops.recorder import Array

Data = tuple[Any, Any, Any]
"""x, y and sample weights: arrays, or lists or dicts of arrays; y and the weights may be None."""

Prepare = Callable[[Any, Any, Any], Data]
"""Makes what a user gave into Data: arrays as the model wants them, checked."""


class Batches(Protocol):
    """Where the batches of each epoch come from.

    steps: how many batches an epoch has, or None if nobody knows. An epoch is shorter where the
    data ends in it; the next one begins with the first batch. once: the data has no second start.
    """

    steps: int | None
    once: bool

    def epoch(self, done: int = 0) -> Iterator[Data]:
        """The batches of one more epoch; of one that is resumed, those after the first `done`."""

    def start_anew(self) -> None:
        """Lets the next epoch begin with the first batch, as far as the data can."""

    def unchecked(self, batch: Data) -> Data | None:
        """The data whose labels must be checked before this batch is used, if any."""

    def position(self) -> dict[str, Any]:
        """Where it stands, as JSON data."""

    def go_on(self, position: Mapping[str, Any]) -> None:
        """Goes on from where it stood, as far as the data can be wound back."""


class ArrayBatches:
    """Batches of arrays.

    data: prepared and checked as a whole. shuffle: another order every epoch, drawn from the
    generator that `set_random_seed` starts anew. steps: of an epoch, all if left out; where these
    are fewer than there are, the next epoch goes on where this one stopped.
    """

    once = False

    def __init__(self, data: Data, batch_size: int, shuffle: bool, steps: int | None) -> None:
        self.data = data
        self._size = batch_size
        self._shuffle = shuffle
        self.samples = count_samples(data)
        self._whole = -(-self.samples // batch_size)
        self.steps: int | None = self._whole if steps is None else steps
        self._rest: Iterator[Data] | None = None
        self._position: dict[str, Any] = {"random": None, "taken": 0}
        self._first = True

    def epoch(self, done: int = 0) -> Iterator[Data]:
        if not done and self._position["taken"] == self._whole:
            self.start_anew()
        if self._rest is None:
            self._rest = self._pass()
        for batch in islice(self._rest, (self.steps or 0) - done):
            self._position["taken"] += 1
            yield batch

    def start_anew(self) -> None:
        self._rest = None

    def unchecked(self, batch: Data) -> Data | None:
        first, self._first = self._first, False
        return self.data if first else None

    def position(self) -> dict[str, Any]:
        return dict(self._position)

    def go_on(self, position: Mapping[str, Any]) -> None:
        if position["random"] is not None:
            seeds.set_generator_state(position["random"])
            self._rest = self._pass(position["taken"])

    def _pass(self, taken: int = 0) -> Iterator[Data]:
        """All samples once, in a new order, less those of the batches taken."""
        self._position = {"random": seeds.generator_state(), "taken": taken}
        order = seeds.generator().permutation(self.samples) if self._shuffle else None
        return self._cut(order, taken)

    def _cut(self, order: Array | None, taken: int) -> Iterator[Data]:
        for start in range(taken * self._size, self.samples, self._size):
            stop = start + self._size
            yield select(self.data, slice(start, stop) if order is None else order[start:stop])


class IterableBatches:
    """Batches that an iterable gives: x, (x, y) or (x, y, sample_weight).

    An iterator is gone through once, `steps` batches an epoch; anything else is started anew for
    each epoch or, with `steps`, where it has ended. What is indexed is shuffled, and told when
    epochs begin and end where it has `on_epoch_begin` or `on_epoch_end`. Batches are prepared, and
    checked, one by one.
    """

    def __init__(self, source: Any, prepare: Prepare, shuffle: bool, steps: int | None) -> None:
        self._source = source
        self._prepare = prepare
        self._shuffle = shuffle
        self._indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self._iterator: Iterator[Any] | None = source if isinstance(source, Iterator) else None
        self.once = self._iterator is not None
        self._keeps = self.once or steps is not None
        self._position: dict[str, Any] = {"random": None, "taken": 0}
        self.steps: int | None = steps
        if steps is None and hasattr(source, "__len__"):
            self.steps = len(source)

    def epoch(self, done: int = 0) -> Iterator[Data]:
        self._tell("on_epoch_begin")
        if self._iterator is None or not (self._keeps or done):
            self._iterator = self._start()
        count = done
        while self.steps is None or count < self.steps:
            try:
                item = next(self._iterator)
            except StopIteration:
                if count or self.once or not self._position["taken"]:
                    break
                self._iterator = self._start()
                continue
            count += 1
            self._position["taken"] += 1
            yield self._prepare(*unpack(item))
        self._tell("on_epoch_end")

    def start_anew(self) -> None:
        if not self.once:
            self._iterator = None

    def unchecked(self, batch: Data) -> Data | None:
        return batch

    def position(self) -> dict[str, Any]:
        return dict(self._position)

    def go_on(self, position: Mapping[str, Any]) -> None:
        if self.once or position["random"] is None:
            return
        seeds.set_generator_state(position["random"])
        self._iterator = self._start()
        for _ in range(position["taken"]):
            next(self._iterator, None)
        self._position["taken"] = position["taken"]

    def _tell(self, event: str) -> None:
        if self._indexed and hasattr(self._source, event):
            getattr(self._source, event)()

    def _start(self) -> Iterator[Any]:
        self._position = {"random": seeds.generator_state(), "taken": 0}
        if not self._indexed:
            return iter(self._source)
        count = len(self._source)
        order = seeds.generator().permutation(count) if self._shuffle else range(count)
        return (self._source[int(place)] for place in order)


def unpack(item: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of what an iterable gave; missing ones are None."""
    parts = tuple(item) if isinstance(item, tuple | list) else (item,)
    if not 1 <= len(parts) <= 3:
        wanted = "x, (x, y) or (x, y, sample_weight)"
        raise ArgumentError(explain("a batch", f"{len(parts)} parts", wanted))
    return (*parts, *(None,) * (3 - len(parts)))


def pack(x: Any, y: Any, sample_weight: Any) -> Any:
    """A batch as `train_step` is given it: (x, y, sample_weight), (x, y) or x, as there are."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, list | tuple) else x


def is_iterable_source(x: Any) -> bool:
    """Whether batches come from x one by one, rather than being cut from it."""
    return not (x is None or is_array(x) or isinstance(x, list | tuple | Mapping))


# -- arrays -----------------------------------------------------------------------------------


def to_arrays(value: Any, what: str, dtype: str) -> Any:
    """Labels or weights as arrays, floats in `dtype`. Lists of numbers are arrays."""
    if isinstance(value, Mapping):
        return {key: to_arrays(each, what, dtype) for key, each in value.items()}
    if isinstance(value, list | tuple) and any(is_array(each) for each in value):
        return [to_arrays(each, what, dtype) for each in value]
    if value is None:
        return None
    array = as_array(value, what)
    if array.dtype.kind == "f":
        array = as_array(array.astype(dtype, copy=False))
    if array.ndim == 0:
        raise ShapeError(explain(what, "a number", "an array with an axis of samples"))
    return array


def count_samples(data: Data) -> int:
    """How many samples the arrays hold; ShapeError where they do not agree."""
    counts: dict[int, str] = {}
    for name, part in zip(("x", "y", "sample_weight"), data, strict=True):
        for leaf in tree.leaves(part):
            if leaf is not None:
                counts.setdefault(len(leaf) if leaf.ndim else -1, name)
    if len(counts) > 1:
        given = " and ".join(f"{count} in {name}" for count, name in counts.items())
        raise ShapeError(explain("samples", given, "as many in x, y and sample_weight"))
    return next(iter(counts), 0)


def select(data: Data, rows: slice | Array) -> Data:
    """These samples of every array."""

    def pick(leaf: Any) -> Any:
        if leaf is None:
            return None
        return leaf[rows] if isinstance(rows, slice) else leaf.take(rows, 0)

    found: Data = tree.transform(pick, data)
    return found


def split(data: Data, fraction: float) -> tuple[Data, Data]:
    """All but the last samples, and the last: `fraction` of them."""
    if not 0 < fraction < 1:
        wanted = "a number between 0 and 1"
        raise ArgumentError(explain("fit: validation_split", repr(fraction), wanted))
    samples = count_samples(data)
    cut = int(samples * (1 - fraction))
    if not 0 < cut < samples:
        given = f"{fraction} of {samples} samples"
        raise ArgumentError(explain("fit: validation_split", given, "some samples on either side"))
    return select(data, slice(0, cut)), select(data, slice(cut, None))


def with_class_weight(data: Data, class_weight: Mapping[int, float], dtype: str) -> Data:
    """The data with each sample weighted by its class, besides the weights it has.

    The labels are one array: numbers of classes, or one-hot (then the largest counts).
    """
    x, y, weights = data
    if not isinstance(class_weight, Mapping) or not all(map(_is_number, class_weight)):
        wanted = "a dict of weights by the numbers of classes"
        raise ArgumentError(explain("class_weight", repr(class_weight), wanted))
    if not isinstance(y, np.ndarray):
        remedy = "Give sample_weight instead."
        raise ArgumentError(explain("class_weight", "several outputs", "one output", remedy))
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(y.shape[0], -1)[:, 0]
    if y.ndim > 2:
        raise ShapeError(explain("class_weight", f"labels of shape {y.shape}", "a class a sample"))
    factors = np.ones(len(labels), dtype)
    for number, weight in class_weight.items():
        factors[labels == number] = weight
    if weights is not None:
        if not isinstance(weights, np.ndarray) or weights.ndim != 1:
            raise ArgumentError(explain("class_weight", "such sample_weight", "a weight a sample"))
        factors = factors * weights
    return x, y, factors


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def check_classes(y: Any, count: int, ignored: int | None, where: str) -> None:
    """ArgumentError where labels are no numbers from 0 to count - 1 (or the ignored one)."""
    if y is None or y.size == 0:
        return
    kept = y if ignored is None else y[y != ignored]
    # Written so that NaN fails.
    if kept.size and not (kept.min() >= 0 and kept.max() < count):
        given = f"labels from {kept.min()} to {kept.max()}"
        raise ArgumentError(explain(where, given, f"integers from 0 to {count - 1}"))
    if kept.dtype.kind == "f" and (broken := kept[kept != np.trunc(kept)]).size:
        remedy = "Take CategoricalCrossentropy for probabilities of classes."
        expected = f"integers from 0 to {count - 1}"
        raise ArgumentError(explain(where, f"{broken[0]} among them", expected, remedy))
