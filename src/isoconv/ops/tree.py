"""Nested arguments and results: lists, tuples and dicts with anything else as leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def leaves(value: Any) -> Iterator[Any]:
    """The leaves in order; None is a leaf."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def transform(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with `function` applied to each leaf."""
    if isinstance(value, dict):
        return {key: transform(function, item) for key, item in value.items()}
    if isinstance(value, list):
        return [transform(function, item) for item in value]
    if isinstance(value, tuple):
        return tuple(transform(function, item) for item in value)
    return function(value)
