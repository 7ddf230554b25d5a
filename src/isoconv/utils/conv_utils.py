"""Keras 2's checks of convolution arguments, for code written for them."""

from __future__ import annotations

from typing import Any

from isoconv.errors import ArgumentError


def normalize_tuple(value: Any, n: int, name: str) -> tuple[Any, ...]:
    """`value` as a tuple of n: one integer is repeated, n of them stay as they are.

    name: of the argument, for the message. Raises ArgumentError (a ValueError) for what is neither
    an integer nor n values that `int` accepts; the messages are those of Keras 2.
    """
    if isinstance(value, int):
        return (value,) * n
    refused = f"The `{name}` argument must be a tuple of {n} integers. Received: {value}"
    try:
        values = tuple(value)
    except TypeError:
        raise ArgumentError(refused) from None
    if len(values) != n:
        raise ArgumentError(refused)
    for each in values:
        try:
            int(each)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{refused} including element {each} of type {type(each)}"
            ) from None
    return values
