"""How the axes of two shapes of as many elements correspond in row-major order."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(left: Sequence[int], right: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of axes of both shapes with as many elements, in order.

    Axes of size 1 go with what stands before them; empty shapes have no runs.
    """
    if 0 in left or 0 in right:
        return [(list(range(len(left))), list(range(len(right))))]
    runs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(left) or j < len(right):
        before: list[int] = []
        after: list[int] = []
        x = y = 1
        while True:
            if x <= y and i < len(left) and (x < y or left[i] > 1 or not before):
                before.append(i)
                x *= left[i]
                i += 1
            elif j < len(right) and (y < x or right[j] > 1 or not after):
                after.append(j)
                y *= right[j]
                j += 1
            else:
                break
            if x == y and x > 1:
                break
        while i < len(left) and left[i] == 1:
            before.append(i)
            i += 1
        while j < len(right) and right[j] == 1:
            after.append(j)
            j += 1
        runs.append((before, after))
    return runs
