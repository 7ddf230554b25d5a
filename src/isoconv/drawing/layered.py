"""Where the nodes of a graph without cycles stand: in rows, every edge from a row to a lower one.

After Sugiyama, Tagawa and Toda (1981): rows by the longest path, waypoints where an edge passes a
row, the order within rows by the mean place of neighbours, places drawn towards these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 12
_ACROSS, _DOWN = 26.0, 30.0
_WAYPOINT = 8.0

Edge = tuple[int, int]
Size = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """centres: of each node, the middle of its width and its upper end. routes: of each edge, the
    points that it goes through. width, height: of all of it.
    """

    centres: tuple[tuple[float, float], ...]
    routes: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


def layered(sizes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Places for nodes of these sizes (width, height); edges go from a node to a later one."""
    rows = _rows(len(sizes), edges)
    all_sizes, all_rows = list(sizes), list(rows)
    paths = []
    for start, end in edges:
        path = [start]
        for between in range(rows[start] + 1, rows[end]):
            path.append(len(all_sizes))
            all_sizes.append((_WAYPOINT, 0.0))
            all_rows.append(between)
        paths.append([*path, end])
    steps = [step for path in paths for step in pairwise(path)]
    order = _ordered(all_rows, steps)
    places = _places(order, [size[0] for size in all_sizes], steps)
    left = min((x - size[0] / 2 for x, size in zip(places, all_sizes, strict=True)), default=0.0)
    places = [x - left for x in places]
    tops, bottoms = _heights(order, all_sizes)
    centres = [(places[i], tops[rows[i]]) for i in range(len(sizes))]
    ends = _ends(sizes, edges, places)
    routes = []
    for edge, path in zip(edges, paths, strict=True):
        out, into = ends[edge]
        # Straight down past what is higher in the same row.
        points = [(out, centres[edge[0]][1] + sizes[edge[0]][1]), (out, bottoms[rows[edge[0]]])]
        for waypoint in path[1:-1]:
            row = all_rows[waypoint]
            points += [(places[waypoint], tops[row]), (places[waypoint], bottoms[row])]
        routes.append((*points, (into, centres[edge[1]][1])))
    width = max((x + size[0] / 2 for x, size in zip(places, all_sizes, strict=True)), default=0.0)
    return Layout(tuple(centres), tuple(routes), width, bottoms[-1] if bottoms else 0.0)


def _rows(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each node: below all before it; what starts, right above the first after it."""
    rows = [0] * count
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        rows[end] = max(rows[end], rows[start] + 1)
    entered = {end for _, end in edges}
    for node in range(count):
        after = [rows[end] for start, end in edges if start == node]
        if node not in entered and after:
            rows[node] = min(after) - 1
    return rows


def _ordered(rows: Sequence[int], steps: Sequence[Edge]) -> list[list[int]]:
    """The nodes of each row, those with neighbours near each other near each other."""
    order: list[list[int]] = [[] for _ in range(max(rows, default=-1) + 1)]
    for node, at in enumerate(rows):
        order[at].append(node)
    above, below = _neighbours(len(rows), steps)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        place = {node: i / len(row) for row in order for i, node in enumerate(row)}
        near = above if down else below
        for row in order if down else order[::-1]:
            wanted = {node: _mean(near[node], place, place[node]) for node in row}
            row.sort(key=wanted.__getitem__)
            place |= {node: i / len(row) for i, node in enumerate(row)}
    return order


def _neighbours(count: int, steps: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for start, end in steps:
        above[end].append(start)
        below[start].append(end)
    return above, below


def _mean(nodes: Sequence[int], place: dict[int, float], own: float) -> float:
    return sum(place[node] for node in nodes) / len(nodes) if nodes else own


def _places(
    order: Sequence[Sequence[int]], widths: Sequence[float], steps: Sequence[Edge]
) -> list[float]:
    """The middle of each node: near those of its neighbours, in order, and not over each other."""
    above, below = _neighbours(len(widths), steps)
    place = {}
    for row in order:
        for node, x in zip(row, _apart([0.0] * len(row), row, widths), strict=True):
            place[node] = x
    both = [a + b for a, b in zip(above, below, strict=True)]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = both if sweep >= _SWEEPS - 2 else above if down else below
        for row in order if down else order[::-1]:
            wanted = [_mean(near[node], place, place[node]) for node in row]
            place |= dict(zip(row, _apart(wanted, row, widths), strict=True))
    return [place[node] for node in range(len(widths))]


def _apart(wanted: Sequence[float], row: Sequence[int], widths: Sequence[float]) -> list[float]:
    """Places near the wanted ones, in order, with room between neighbours: the mean of pushing all
    to the right as far as they must, and to the left.
    """
    least = [(widths[a] + widths[b]) / 2 + _ACROSS for a, b in pairwise(row)]
    right, left = list(wanted), list(wanted)
    for i, gap in enumerate(least):
        right[i + 1] = max(right[i + 1], right[i] + gap)
    for i, gap in reversed(list(enumerate(least))):
        left[i] = min(left[i], left[i + 1] - gap)
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _heights(
    order: Sequence[Sequence[int]], sizes: Sequence[Size]
) -> tuple[list[float], list[float]]:
    """The upper and lower end of each row."""
    tops, bottoms = [], []
    y = 0.0
    for row in order:
        tops.append(y)
        bottoms.append(y + max(sizes[node][1] for node in row))
        y = bottoms[-1] + _DOWN
    return tops, bottoms


def _ends(
    sizes: Sequence[Size], edges: Sequence[Edge], places: Sequence[float]
) -> dict[Edge, tuple[float, float]]:
    """Where each edge leaves and enters: spread over the node, in the order of the others' places,
    so that edges do not cross right there.
    """
    ends: list[dict[Edge, float]] = [{}, {}]
    for side, found in enumerate(ends):
        for node in {edge[side] for edge in edges}:
            others = {edge: places[edge[1 - side]] for edge in edges if edge[side] == node}
            room = min(sizes[node][0] * 0.6, 28.0 * (len(others) - 1))
            for i, edge in enumerate(sorted(others, key=others.__getitem__)):
                share = i / (len(others) - 1) - 0.5 if len(others) > 1 else 0.0
                found[edge] = places[node] + share * room
    return {edge: (ends[0][edge], ends[1][edge]) for edge in edges}
