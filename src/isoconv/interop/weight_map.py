"""The table of every weight that goes from one framework to another, with its transposition."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoconv.errors import ShapeError, explain

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class WeightRow:
    """One weight: where it comes from, where it goes, and how its elements are arranged anew.

    source, target: its names on both sides. source_shape, target_shape: its shapes there. split:
    the shape that the source is first read in, row-major; axes: axis axes[i] of that becomes axis
    i; the result is read in `target_shape`. Without `split` that is the source's own shape,
    without `axes` nothing is transposed.
    """

    source: str
    source_shape: Shape
    target: str
    target_shape: Shape
    axes: tuple[int, ...] | None = None
    split: Shape | None = None

    def __post_init__(self) -> None:
        sizes = {math.prod(shape) for shape in (self.source_shape, self.target_shape, self._split)}
        if len(sizes) > 1 or sorted(self._axes) != list(range(len(self._split))):
            given = f"shape {self.source_shape} for {self.target}"
            expected = f"as many elements as {self.target_shape} has"
            raise ShapeError(explain(f"weight {self.source}", given, expected))

    @property
    def _split(self) -> Shape:
        return self.source_shape if self.split is None else self.split

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(len(self._split))) if self.axes is None else self.axes

    @property
    def transposition(self) -> str:
        """What is done on the way, in words: "" where nothing is."""
        parts = []
        if self._split != self.source_shape:
            parts.append(f"as {_shown(self._split)}")
        if self._axes != tuple(range(len(self._axes))):
            parts.append(f"axes {_shown(self._axes)}")
        if tuple(self._split[axis] for axis in self._axes) != self.target_shape:
            parts.append("reshaped")
        return ", ".join(parts)

    @property
    def reversed(self) -> WeightRow:
        """The row of the way back."""
        split = tuple(self._split[axis] for axis in self._axes)
        back = tuple(sorted(range(len(split)), key=self._axes.__getitem__))
        ends = (self.target, self.target_shape, self.source, self.source_shape)
        axes = None if back == tuple(range(len(back))) else back
        return WeightRow(*ends, axes, None if split == self.target_shape else split)

    def forward(self, array: Array) -> Array:
        """The target's array for one of the source."""
        self._check(array, self.source, self.source_shape)
        return np.transpose(array.reshape(self._split), self._axes).reshape(self.target_shape)

    def backward(self, array: Array) -> Array:
        """The source's array for one of the target."""
        self._check(array, self.target, self.target_shape)
        wide = array.reshape([self._split[axis] for axis in self._axes])
        return np.transpose(wide, np.argsort(self._axes)).reshape(self.source_shape)

    def _check(self, array: Array, name: str, shape: Shape) -> None:
        if array.shape != shape:
            raise ShapeError(explain(f"weight {name}", f"shape {array.shape}", f"shape {shape}"))


class WeightMap(Sequence[WeightRow]):
    """The rows of all weights, in order; as a string, a table that a person can read.

    source, target: what the two sides are called, such as "model.h5" and "model.onnx".
    """

    def __init__(self, rows: Sequence[WeightRow], source: str = "from", target: str = "to") -> None:
        self.rows = tuple(rows)
        self.source = source
        self.target = target

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[WeightRow]:
        return iter(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def table(self) -> list[tuple[str, ...]]:
        """The cells, the titles first: from, shape, to, shape, transposition."""
        titles = (self.source, "shape", self.target, "shape", "transposition")
        return [
            titles,
            *(
                (
                    row.source,
                    _shown(row.source_shape),
                    row.target,
                    _shown(row.target_shape),
                    row.transposition,
                )
                for row in self.rows
            ),
        ]

    def __str__(self) -> str:
        cells = self.table()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (zip(row, widths, strict=True) for row in cells)
        return "\n".join("  ".join(c.ljust(w) for c, w in line).rstrip() for line in lines)

    def __repr__(self) -> str:
        return f"<WeightMap of {len(self)} weights from {self.source} to {self.target}>"


def _shown(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
