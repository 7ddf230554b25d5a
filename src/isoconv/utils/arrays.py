"""Labels and sequences as arrays, by Keras' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, ShapeError, explain

Array = np.ndarray[Any, Any]


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Numbers of classes as rows of zeros with a one at the class.

    x: integers from 0, of any shape; a last axis of size 1 is dropped. num_classes: how many; one
    more than the largest if left out. Gives x.shape + (num_classes,), float64.
    """
    array = np.asarray(x)
    whole = array.dtype.kind in "iufb" and bool((array == np.floor(array)).all())
    if not whole:
        raise ArgumentError(explain("to_categorical: x", f"dtype {array.dtype}", "whole numbers"))
    numbers = array.astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    largest = int(numbers.max(initial=-1))
    classes = largest + 1 if num_classes is None else num_classes
    if numbers.min(initial=0) < 0 or largest >= classes:
        given = f"numbers from {numbers.min()} to {largest}"
        raise ArgumentError(
            explain("to_categorical: x", given, f"integers from 0 to {classes - 1}")
        )
    one_hot: Array = np.eye(classes)[numbers]
    return one_hot


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Sequences as one array (samples, maxlen, ...), filled with `value`.

    Args:
        sequences: lists or arrays, alike but for their lengths.
        maxlen: the length of all; that of the longest if left out.
        dtype: of the array.
        padding, truncating: "pre" to fill, or cut, at the beginning, "post" at the end.
    """
    for name, side in {"padding": padding, "truncating": truncating}.items():
        if side not in ("pre", "post"):
            raise ArgumentError(explain(f"pad_sequences: {name}", repr(side), "'pre' or 'post'"))
    if isinstance(sequences, str | bytes) or not hasattr(sequences, "__len__"):
        raise ArgumentError(explain("pad_sequences: sequences", repr(sequences), "a list of lists"))
    if not all(hasattr(each, "__len__") for each in sequences):
        strange = next(each for each in sequences if not hasattr(each, "__len__"))
        raise ArgumentError(explain("pad_sequences: sequences", repr(strange), "lists within"))
    arrays = [np.asarray(each) for each in sequences]
    length = max((len(each) for each in arrays), default=0) if maxlen is None else maxlen
    inner = next((each.shape[1:] for each in arrays if len(each)), ())
    found = np.full((len(arrays), length, *inner), value, dtype)
    for row, each in zip(found, arrays, strict=True):
        kept = each[max(len(each) - length, 0) :] if truncating == "pre" else each[:length]
        if not len(kept):
            continue
        if kept.shape[1:] != inner:
            given = f"steps of shape {kept.shape[1:]}"
            raise ShapeError(explain("pad_sequences: sequences", given, f"shape {inner}, as first"))
        row[slice(length - len(kept), length) if padding == "pre" else slice(len(kept))] = kept
    return found
