"""Calls that need no preparation: of arrays like earlier ones, with nothing changed since."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from isoconv.changes import stamp
from isoconv.ops.program import Program
from isoconv.ops.recorder import Array

ReadyCall = Callable[..., Any]
"""From arrays to the result, or to NotImplemented if it is not for these, or not now."""

# Shapes remembered; those of one network in use are a handful.
_MOST = 64


def _declines(*arrays: Any) -> Any:
    return NotImplemented


class ReadyCalls:
    """The calls of one function that are ready, by the shapes of the arrays in its argument.

    The argument is an array, or a list or tuple of arrays; another structure is never ready, nor
    is an array that would be converted. `again` is the call that was ready last, of arrays as
    arguments of their own: to try before anything else is looked at.
    """

    def __init__(self) -> None:
        self.again: ReadyCall = _declines
        # Replaced as one, so that another thread finds no call under another's stamp.
        self._now: tuple[int, dict[Hashable, ReadyCall]] = (0, {})

    def call(self, argument: Any, mode: Hashable = None, again: bool = True) -> Any:
        """The result for such an argument; NotImplemented where no call is ready.

        mode: whatever else tells calls apart. again: whether `again` is for such arguments.
        """
        then, calls = self._now
        if then != stamp():
            return NotImplemented
        arrays = _plain(argument)
        if arrays is None:
            return NotImplemented
        found = calls.get((type(argument), mode, *[array.shape for array in arrays]))
        if found is None:
            return NotImplemented
        result = found(*arrays)
        if again and result is not NotImplemented:
            self.again = found
        return result

    def keep(
        self,
        since: int,
        argument: Any,
        arrays: Sequence[Array],
        program: Program,
        mode: Hashable = None,
    ) -> None:
        """Remembers the call of a program, if such calls can be ready.

        since: the stamp from before anything was read for it. arrays: what the argument was turned
        into: what runs reads these elements, whatever shape they were seen in.
        """
        given = _plain(argument)
        if given is None or len(given) != len(arrays):
            return
        if not all(map(_same_elements, given, arrays)):
            return
        call = program.ready(arrays, given, since)
        if call is None:
            return
        then, calls = self._now
        if then != since or len(calls) >= _MOST:
            calls = {}
        key = (type(argument), mode, *[array.shape for array in given])
        self._now = (since, {**calls, key: call})


def _plain(argument: Any) -> Sequence[Array] | None:
    """The arrays of an argument that holds nothing else."""
    arrays = (argument,) if type(argument) is np.ndarray else argument
    if type(arrays) is not tuple and type(arrays) is not list:
        return None
    return arrays if all(type(array) is np.ndarray for array in arrays) else None


def _same_elements(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.ctypes.data == other.ctypes.data
