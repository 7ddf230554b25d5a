"""Functions that are traced and compiled once for each kind of arguments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import RLock
from typing import Any

import numpy as np

from isoconv import settings
from isoconv.ir import sizes
from isoconv.ops import tree
from isoconv.ops.convert import as_array
from isoconv.ops.program import Program, Spec, trace
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.rewriting.approximate import Numerics

Axes = Callable[[int, Array], Sequence[int]]
"""Of argument number and array: the axes whose sizes are left to run time."""


def no_axes(index: int, array: Array) -> Sequence[int]:
    return ()


def first_axis(index: int, array: Array) -> Sequence[int]:
    """Every first axis is a batch."""
    return (0,) if array.ndim else ()


class Compiled:
    """A function that is traced and compiled once for each kind of arguments.

    A kind is the structure of the arguments, the dtypes, the sizes that `axes` does not leave to
    run time, every argument that is no array, and the process-wide defaults. At most `limit`
    kinds are kept. folding: whether weights may be computed with beforehand; numerics: what else
    may change rounding then.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        axes: Axes = no_axes,
        limit: int = 64,
        keep_updates: bool = True,
        threads: int | None = None,
        folding: bool = False,
        numerics: Numerics | None = None,
    ) -> None:
        self._function = function
        self.axes = axes
        self._threads = threads
        self._folding = folding
        self._numerics = numerics
        self._keep_updates = keep_updates
        self._limit = limit
        self._programs: OrderedDict[Hashable, Program] = OrderedDict()
        self._lock = RLock()

    def __reduce__(self) -> Any:
        """A copy begins with nothing compiled."""
        parts = (self._function, self.axes, self._limit, self._keep_updates, self._threads)
        return Compiled, (*parts, self._folding, self._numerics)

    @property
    def programs(self) -> Sequence[Program]:
        """What was compiled so far and is kept."""
        with self._lock:
            return list(self._programs.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arrays = [as_array(leaf) for leaf in tree.leaves((args, kwargs)) if is_array(leaf)]
        return self.program(arrays, args, kwargs)(arrays)

    def program(
        self,
        arrays: Sequence[Array],
        args: Any,
        kwargs: Any,
        key: Any = None,
        specs: Sequence[Spec] | None = None,
    ) -> Program:
        """The program for arguments of this kind; `arrays` are the array leaves among them.

        key: more that tells kinds apart. specs: of the arrays, where `axes` does not say.
        """
        sizes_kind = runtime_kind(arrays, self.axes) if specs is None else tuple(specs)
        defaults = (settings.floatx(), settings.image_data_format())
        kind = (static_kind(args), static_kind(kwargs), sizes_kind, key, defaults)
        with self._lock:
            found = self._programs.get(kind)
            if found is None:
                on_tensors = self._on_tensors(args, kwargs)
                chosen = runtime_specs(arrays, self.axes) if specs is None else specs
                traced = trace(on_tensors, chosen, self._keep_updates)
                found = Program(traced, self._threads, self._folding, self._numerics)
                self._programs[kind] = found
                while len(self._programs) > self._limit:
                    self._programs.popitem(last=False)
            else:
                self._programs.move_to_end(kind)
            return found

    def _on_tensors(self, args: Any, kwargs: Any) -> Callable[..., Any]:
        """The function of the array leaves alone, everything else held."""

        def call(*tensors: Tensor) -> Any:
            new = iter(tensors)
            full, named = tree.transform(
                lambda leaf: next(new) if is_array(leaf) else leaf, (args, kwargs)
            )
            return self._function(*full, **named)

        return call


def is_array(leaf: Any) -> bool:
    """Whether a leaf is data that a compiled function takes anew at each call."""
    return isinstance(leaf, np.ndarray | Variable) or (
        hasattr(leaf, "__array__") and not isinstance(leaf, np.generic)
    )


def static_kind(value: Any) -> Hashable:
    """All of an argument but its arrays, as a key that tells 1 from 1.0 and True."""
    if isinstance(value, np.ndarray):
        return _ARRAY
    if isinstance(value, tuple | list):
        return (type(value), *[static_kind(item) for item in value])
    if isinstance(value, dict):
        return (dict, *[(key, static_kind(item)) for key, item in value.items()])
    if isinstance(value, slice):
        return (slice, *map(static_kind, (value.start, value.stop, value.step)))
    if isinstance(value, float):
        return (type(value), repr(value))
    return _ARRAY if is_array(value) else (type(value), value)


_ARRAY = "an array"


def runtime_kind(arrays: Sequence[Array], axes: Axes) -> Hashable:
    """What tells apart arrays that `runtime_specs` gives other specs."""
    batches = []
    parts: list[Hashable] = []
    for index, array in enumerate(arrays):
        own = axes(index, array)
        shape: list[int | None] = list(array.shape)
        for axis in own:
            shape[axis] = None
        if 0 in own:
            batches.append(array.shape[0])
        parts += [array.dtype, tuple(shape)]
    order = list(dict.fromkeys(batches))
    if len(order) > 1:
        parts.append(tuple([1 if size == 1 else -order.index(size) for size in batches]))
    return tuple(parts)


def runtime_specs(arrays: Sequence[Array], axes: Axes) -> list[Spec]:
    """The specs of arrays, with names for the sizes left to run time.

    First axes of one size share one name. Where they differ, those of size 1 stay 1, so that
    they may be repeated against the others.
    """
    chosen = [set(axes(i, array)) for i, array in enumerate(arrays)]
    batches = [array.shape[0] for array, own in zip(arrays, chosen, strict=True) if 0 in own]
    order = list(dict.fromkeys(batches))
    specs = []
    for index, (array, own) in enumerate(zip(arrays, chosen, strict=True)):
        dims: list[sizes.Dim] = list(array.shape)
        for axis in own:
            dims[axis] = sizes.name(f"l{index}_{axis}")
        if 0 in own:
            dims[0] = _batch_name(array.shape[0], order)
        specs.append(Spec(tuple(dims), array.dtype.name))
    return specs


def _batch_name(size: int, order: Sequence[int]) -> sizes.Dim:
    if len(order) == 1:
        return sizes.name("n")
    return 1 if size == 1 else sizes.name(f"n{order.index(size)}")
