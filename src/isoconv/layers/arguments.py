"""Checks of the arguments that many layers share: sizes an axis, padding, formats, counts.

`where` names the layer and the argument; every check raises ArgumentError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv import settings
from isoconv.errors import ArgumentError, ShapeError, explain

DATA_FORMATS = ("channels_last", "channels_first")

# No size, count or step is larger: what follows from them is computed in 64 bits.
LARGEST = 2**31 - 1


def is_integer(value: Any) -> bool:
    """Whether this is a whole number, and not a bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def sizes(value: Any, rank: int, where: str, allow_zero: bool = False) -> tuple[int, ...]:
    """One integer for each axis, from one or from `rank` of them."""
    least = 0 if allow_zero else 1
    kind = f"{rank} integers" if rank > 1 else "an integer"
    expected = f"{kind} of at least {least}"
    if rank > 1:
        expected = f"an integer or {expected}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if is_integer(value):
        numbers = [value] * rank
    else:
        if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
            raise ArgumentError(explain(where, repr(value), expected))
        numbers = list(value)
    if len(numbers) != rank or not all(map(is_integer, numbers)):
        raise ArgumentError(explain(where, repr(value), expected))
    if any(not least <= number <= LARGEST for number in numbers):
        bound = f" and at most {LARGEST}" if max(numbers) > LARGEST else ""
        raise ArgumentError(explain(where, repr(value), expected + bound))
    return tuple(int(number) for number in numbers)


def count(value: Any, where: str) -> int:
    """A whole number of at least 1."""
    if not is_integer(value) or value < 1:
        raise ArgumentError(explain(where, repr(value), "an integer of at least 1"))
    if value > LARGEST:
        raise ArgumentError(explain(where, repr(value), f"an integer of at most {LARGEST}"))
    return int(value)


def number(value: Any, where: str, least: float = -math.inf, most: float = math.inf) -> Any:
    """A finite number within bounds, as it was given."""
    real = isinstance(value, int | float | np.integer | np.floating)
    if real and not isinstance(value, bool) and math.isfinite(value) and least <= value <= most:
        return value
    between = f" from {least:g} to {most:g}" if most < math.inf else f" of at least {least:g}"
    expected = f"a finite number{between if least > -math.inf else ''}"
    raise ArgumentError(explain(where, repr(value), expected))


def flag(value: Any, where: str) -> bool:
    """True or False, which may also be written as a number."""
    if value is None or value not in (False, True):
        raise ArgumentError(explain(where, repr(value), "True or False"))
    return bool(value)


def input_shape(value: Any, where: str, least_rank: int = 0) -> tuple[int | None, ...]:
    """The shape of one input, with None for sizes that are not known."""
    sizes = tuple(value) if isinstance(value, list | tuple) else (-1,)
    known = [size for size in sizes if size is not None]
    if not all(map(is_integer, known)) or min(known, default=0) < 0:
        given = "none" if value is None else repr(value)
        raise ShapeError(explain(where, f"shape {given}", "one array, or a shape with the batch"))
    if max(known, default=0) > LARGEST:
        raise ShapeError(explain(where, f"shape {sizes}", f"sizes of at most {LARGEST}"))
    if len(sizes) < least_rank:
        expected = f"{least_rank} dimensions or more"
        raise ShapeError(explain(where, f"shape {sizes}", expected))
    return tuple(None if size is None else int(size) for size in sizes)


def choice(value: Any, allowed: tuple[str, ...], where: str) -> str:
    """One of a few words, in any case of letters."""
    found = value.lower() if isinstance(value, str) else value
    if found not in allowed:
        listed = ", ".join(map(repr, allowed))
        raise ArgumentError(explain(where, repr(value), f"one of {listed}"))
    return str(found)


def padding(value: Any, where: str, causal: bool = False) -> str:
    """A padding mode; "causal" only where `causal` says so."""
    return choice(value, ("valid", "same", "causal") if causal else ("valid", "same"), where)


def data_format(value: Any, where: str) -> str:
    """Where the channels stand; None is the process-wide default."""
    if value is None:
        return settings.image_data_format()
    return choice(value, DATA_FORMATS, where)


def divisible(number: int, divisor: int, where: str, what: str) -> None:
    """`number` must be a multiple of `divisor`."""
    if number % divisor:
        raise ArgumentError(explain(where, divisor, f"a divisor of the {what}, {number}"))
