"""Names given to those who were given none: conv1d, conv1d_1, conv1d_2."""

from __future__ import annotations

import re
from collections import Counter
from threading import Lock

_used: Counter[str] = Counter()
_lock = Lock()


def snake_case(name: str) -> str:
    """A class name as Keras writes it: Conv2DTranspose becomes conv2d_transpose."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def unique(prefix: str) -> str:
    """The prefix, with a number from its second use on."""
    with _lock:
        count = _used[prefix]
        _used[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def clear() -> None:
    """Starts all numbers anew (Keras' clear_session)."""
    with _lock:
        _used.clear()
