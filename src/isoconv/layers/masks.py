"""Masks given by hand, held against the inputs that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops import tree

Sizes = Sequence[int | None]


def check_steps(mask: Any, sizes: Sizes, least: int, where: str) -> None:
    """A mask that says for each step whether it is present.

    Args:
        mask: an array or tensor.
        sizes: those of the axes that may be steps; None where unknown.
        least: how many of them, from the first, the mask must have.
        where: the layer and argument that an error names.

    Raises ArgumentError for what has no shape, ShapeError for another number of axes or sizes.
    """
    shape = shape_of(mask, where)
    if not least <= len(shape) <= len(sizes) or not alike(shape, sizes):
        fitting = [str(tuple(sizes[:count])) for count in range(least, len(sizes) + 1)]
        wanted = f"shape {' or '.join(fitting)}, whether each step is present"
        raise ShapeError(explain(where, f"shape {shape}", wanted))


def check_broadcasts(mask: Any, sizes: Sizes, where: str) -> None:
    """A mask of elements: its sizes are those of the input's last axes, or 1. Raises as above."""
    shape = shape_of(mask, where)
    last = sizes[max(len(sizes) - len(shape), 0) :]
    if len(shape) > len(sizes) or not alike([None if n == 1 else n for n in shape], last):
        wanted = f"sizes that broadcast to the input's {tuple(sizes)}"
        raise ShapeError(explain(where, f"shape {shape}", wanted))


def check_each(masks: Any, inputs: Any, where: str) -> None:
    """One mask of steps, or None, for each of several inputs. Raises as above."""
    arrays = list(tree.leaves(inputs))
    several = isinstance(masks, list | tuple | dict)
    if not several or len(masks) != len(arrays):
        given = f"{len(masks)}" if several else "one mask"
        wanted = f"{len(arrays)} in a list, a mask or None for each input"
        raise ArgumentError(explain(where, given, wanted))
    for array, mask in zip(
        arrays, masks.values() if isinstance(masks, dict) else masks, strict=True
    ):
        if mask is not None:
            check_steps(mask, array.shape, 1, where)


def shape_of(mask: Any, where: str) -> tuple[int | None, ...]:
    """The shape of a mask; ArgumentError for what is no array."""
    shape = getattr(mask, "shape", None)
    if shape is None:
        kind = f"an object of type {type(mask).__name__}"
        raise ArgumentError(explain(where, kind, "an array of bools"))
    return tuple(shape)


def alike(shape: Sizes, sizes: Sizes) -> bool:
    """Whether the sizes may be equal, as far as they are known, over the axes that both have."""
    pairs = zip(shape, sizes, strict=False)
    return all(a == b for a, b in pairs if a is not None and b is not None)
