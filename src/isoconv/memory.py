"""How much memory arrays may take, refused before it is asked for, and what the process takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from math import prod
from pathlib import Path

from isoconv import dtypes
from isoconv.errors import ArgumentError, explain

# Where the system does not say what it has: what a process could address.
_ADDRESSABLE = 1 << 47

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")


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


def is_told() -> bool:
    """Whether the system tells what this process takes, and its peak."""
    return _FORGET.exists()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return _told("VmRSS")


def peak() -> int:
    """The most that it held since `forget_peak`."""
    return _told("VmHWM")


def forget_peak() -> None:
    """From here on, the peak is what there is now, or later."""
    _FORGET.write_text("5")


def _told(field: str) -> int:
    (line,) = (each for each in _STATUS.read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) * 1024
