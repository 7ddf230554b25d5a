"""Numbers that grow when something changes that compiled programs, or calls of them, rest on."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock

_changes = count(1)
_epoch = 0
# The stamp, and how many scopes are open, where compiled code can look at them.
_cells = (ctypes.c_int64 * 2)()
ADDRESS = ctypes.addressof(_cells)
_lock = Lock()


def epoch() -> int:
    """Programs compiled from layers are kept under this number.

    It grows when an attribute of a built layer changes: strides set anew, a weight frozen.
    """
    return _epoch


def stamp() -> int:
    """Calls made ready are kept under this number, which grows with any change.

    With the epoch, with the value of any variable, with the defaults that layers are made by.
    """
    return _cells[0]


def changed() -> None:
    """Notes that programs compiled so far may no longer say what the layers say."""
    global _epoch
    _epoch = next(_changes)
    touched()


def touched() -> None:
    """Notes that calls made ready so far may no longer hold: a variable has another value."""
    _cells[0] = next(_changes)


@contextmanager
def scope() -> Iterator[None]:
    """Inside, in whatever thread, calls may mean something else: a trace, training or not."""
    with _lock:
        _cells[1] += 1
    try:
        yield
    finally:
        with _lock:
            _cells[1] -= 1


if hasattr(os, "register_at_fork"):
    # A child must not inherit a lock that another thread holds.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
