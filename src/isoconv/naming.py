"""Names given to those who were given none: conv1d, conv1d_1, conv1d_2."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

_used: Counter[str] = Counter()
_lock = Lock()
_taken: ContextVar[set[str] | None] = ContextVar("_taken", default=None)


def snake_case(name: str) -> str:
    """A class name as Keras writes it: Conv2DTranspose becomes conv2d_transpose."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def unique(prefix: str) -> str:
    """The prefix, with a number from its second use on."""
    taken = _taken.get()
    if taken is not None:
        count = next(i for i in range(len(taken) + 1) if _numbered(prefix, i) not in taken)
        taken.add(_numbered(prefix, count))
        return _numbered(prefix, count)
    with _lock:
        count = _used[prefix]
        _used[prefix] += 1
    return _numbered(prefix, count)


def _numbered(prefix: str, count: int) -> str:
    return f"{prefix}_{count}" if count else prefix


@contextmanager
def apart(taken: Iterable[str]) -> Iterator[None]:
    """Names made within are none of `taken`, and count nowhere else."""
    token = _taken.set(set(taken))
    try:
        yield
    finally:
        _taken.reset(token)


def clear() -> None:
    """Starts all numbers anew (Keras' clear_session)."""
    with _lock:
        _used.clear()


def shortened(name: str, most: int | None) -> str:
    """The end of a long name, which tells it from others; the whole name for None."""
    return name if most is None or len(name) <= most else f"…{name[1 - most :]}"
