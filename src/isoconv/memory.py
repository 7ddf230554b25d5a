"""How much memory arrays may take: refused before it is asked for, with what would need it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from math import prod

from isoconv import dtypes
from isoconv.errors import ArgumentError, explain

# Where the system does not say what it has: what a process could address.
_ADDRESSABLE = 1 << 47


@cache
def available() -> int:
    """Bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _ADDRESSABLE


def check(where: str, shape: Sequence[int], dtype: str) -> None:
    """ArgumentError where an array of this shape is larger than the machine's memory."""
    needed = prod(shape) * dtypes.BYTES[dtype]
    if needed > available():
        given = f"shape {tuple(shape)} of {dtype}, {needed / 1e9:.3g} GB"
        most = f"no more than the {available() / 1e9:.3g} GB of memory here"
        raise ArgumentError(explain(where, given, most))
