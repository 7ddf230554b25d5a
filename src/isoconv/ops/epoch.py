"""A number that grows whenever something changes that programs were compiled from."""

from __future__ import annotations

from itertools import count

_changes = count(1)
_epoch = 0


def epoch() -> int:
    """Programs compiled from layers are kept under this number.

    It grows when an attribute of a built layer changes: strides set anew, a weight frozen.
    """
    return _epoch


def changed() -> None:
    """Notes that programs compiled so far may no longer say what the layers say."""
    global _epoch
    _epoch = next(_changes)
