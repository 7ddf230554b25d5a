"""Numbers that grow when something changes that compiled programs, or calls of them, rest on."""

from __future__ import annotations

from itertools import count

_changes = count(1)
_epoch = 0
_stamp = 0


def epoch() -> int:
    """Programs compiled from layers are kept under this number.

    It grows when an attribute of a built layer changes: strides set anew, a weight frozen.
    """
    return _epoch


def stamp() -> int:
    """Calls made ready are kept under this number, which grows with any change.

    With the epoch, with the value of any variable, with the defaults that layers are made by.
    """
    return _stamp


def changed() -> None:
    """Notes that programs compiled so far may no longer say what the layers say."""
    global _epoch
    _epoch = next(_changes)
    touched()


def touched() -> None:
    """Notes that calls made ready so far may no longer hold: a variable has another value."""
    global _stamp
    _stamp = next(_changes)
