"""Damage in an HDF5 file that would make the HDF5 library loop for ever, found before it reads.

Texts lie in global heaps ("HDF5 File Format Specification", III.E): rows of objects, each with its
size. The library goes from object to object, stays where free space has no size, and comes round
again where an object's size is larger than numbers are.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

_HEAP = b"GCOL\x01"


def stuck_at(source: Path | BytesIO, width: int) -> int | None:
    """The place of an object in a heap that no reader gets past; None where all is well.

    width: of the numbers that are lengths, in bytes, as the file says.
    """
    if isinstance(source, BytesIO):
        return _stuck_at(source.getvalue(), width)
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _stuck_at(data, width)


def _stuck_at(data: Any, width: int) -> int | None:
    # Heaps do not overlap, so that there are fewer objects than places for them.
    left = len(data) // 8
    heap = data.find(_HEAP)
    while heap >= 0:
        for place, size in _objects(data, heap, width):
            left -= 1
            if size < 8 or left < 0:
                return place
        heap = data.find(_HEAP, heap + 1)
    return None


def _objects(data: Any, heap: int, width: int) -> Iterator[tuple[int, int]]:
    """Of each object of a heap its place and the way to the next one, up to one of less than 8; of
    none where it is not within the heap.
    """
    header = _aligned(8 + width)
    end = min(heap + int.from_bytes(data[heap + 8 : heap + 8 + width], "little"), len(data))
    place = heap + header
    while place + header <= end:
        size = int.from_bytes(data[place + 8 : place + 8 + width], "little")
        # Free space, which has no index, counts its header.
        step = header + _aligned(size) if any(data[place : place + 2]) else size
        if place + step > end:
            step = 0
        yield place, step
        if step < 8:
            return
        place += step


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
