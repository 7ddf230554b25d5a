"""Bilinear schemes: m outputs of a filter of r taps from fewer products than m * r.

Data of m + r - 1 positions and weights are each taken to points by a matrix, multiplied point by
point and added up for the outputs by a third one: y = outputs^T ((weights w) * (data x)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from math import prod
from typing import Any

import numpy as np

from isoconv.errors import InternalError

Array = np.ndarray[Any, Any]

SIDES = ("data", "weights", "outputs")


@dataclass(frozen=True)
class Scheme:
    """Three matrices of one row a point, each as factors to apply one after the other.

    outputs: how many are computed at once; taps: of the filter. data, weights, results: the
    factors, the one that is applied first at the front; columns are positions, taps and outputs.
    """

    name: str
    outputs: int
    taps: int
    data: tuple[Array, ...]
    weights: tuple[Array, ...]
    results: tuple[Array, ...]

    @property
    def points(self) -> int:
        return len(self.data[-1])

    def factors(self, side: str) -> tuple[Array, ...]:
        """The matrix of the data, the weights or the outputs, from positions to points."""
        return {"data": self.data, "weights": self.weights, "outputs": self.results}[side]

    def matrix(self, side: str) -> Array:
        """The factors multiplied out."""
        return reduce(np.matmul, self.factors(side)[::-1])

    @cached_property
    def amplification(self) -> float:
        """By how much an output's error can exceed that of its products, if these have independent
        errors: sqrt(sum over p of (outputs[p, o] weights[p, k] sum over i of |data[p, i]|)^2), for
        the output o and the tap k for which it is the largest.
        """
        reach = np.abs(self.matrix("data")).sum(1)
        squares = (self.matrix("outputs").T * reach) ** 2 @ self.matrix("weights") ** 2
        return float(np.sqrt(squares.max()))


# -- Toom and Cook, Winograd ------------------------------------------------------------------

# Zero, then points that keep numbers small (Barabasz et al., 2018); the last one is infinity.
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, 2.0)


def _toom(outputs: int, taps: int) -> Scheme:
    """The product of polynomials by their values at points, transposed: F(outputs, taps)."""
    points = _POINTS[: outputs + taps - 2]
    data, weights, results = [], [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod(point - other for other in others)
        data.append([*_with_roots(others), 0.0])
        weights.append([point**k / scale for k in range(taps)])
        results.append([point**k for k in range(outputs)])
    data.append(_with_roots(points))
    weights.append([0.0] * (taps - 1) + [1.0])
    results.append([0.0] * (outputs - 1) + [1.0])
    sides = ((np.array(rows),) for rows in (data, weights, results))
    return Scheme(f"F({outputs},{taps})", outputs, taps, *sides)


def _with_roots(roots: Sequence[float]) -> list[float]:
    """The coefficients of a monic polynomial, the constant one first."""
    found = [1.0]
    for root in roots:
        pairs = zip([0.0, *found], [*found, 0.0], strict=True)
        found = [high - root * low for high, low in pairs]
    return found


# -- Fourier ----------------------------------------------------------------------------------


def _fourier(outputs: int) -> Scheme:
    """The real transform of twice as many positions as there are outputs; taps are as many.

    With X, a and w the transforms of data, outputs and weights at one frequency, the real part of
    X a w is w_r (a_r + a_i) (X_r - X_i) - (w_i - w_r) a_r X_i - (w_r + w_i) a_i X_r: three points.
    """
    length = 2 * outputs
    turns = 2 * np.pi / length * np.outer(np.arange(outputs + 1), np.arange(length))
    real, imaginary = np.cos(turns), np.sin(turns)[1:-1]
    scale = 2 / length
    data = _points(outputs, [(scale, -scale), (0, -scale), (-scale, 0)], scale / 2)
    results = _points(outputs, [(1, -1), (1, 0), (0, -1)], 1)
    weights = _points(outputs, [(1, 0), (-1, -1), (1, -1)], 1)
    spectrum = np.concatenate([real, imaginary])
    folds = [
        _fold([range(length)], length),
        _fold([range(outputs + 1), range(1, outputs)], outputs),
    ]
    rest = spectrum @ np.linalg.inv(folds[1] @ folds[0])
    rest[np.abs(rest) < _NOTHING] = 0
    return Scheme(
        f"DFT({outputs})",
        outputs,
        outputs,
        (folds[0][:, :-1], folds[1], rest, data),
        (folds[0][:, :outputs], folds[1], rest, weights),
        (folds[0][:, :outputs], folds[1], rest, results),
    )


_NOTHING = 1e-12


def _fold(parts: Sequence[range], period: int) -> Array:
    """Of numbers in parts, one part after the other: the sums, then the differences, of those at
    places j and period - j.
    """
    whole = np.eye(sum(map(len, parts)))
    rows = []
    start = 0
    for part in parts:
        here = dict(zip(part, whole[start:], strict=False))
        first = [j for j in part if period - j not in part or 2 * j <= period]
        other = {j: here[period - j] for j in first if period - j in part and 2 * j != period}
        rows += [here[j] + other.get(j, 0) for j in first]
        rows += [here[j] - other[j] for j in other]
        start += len(part)
    return np.array(rows)


def _points(half: int, three: Sequence[tuple[float, float]], end: float) -> Array:
    """Points from the real parts of the frequencies 0 to half and the imaginary ones between:
    `three` for each of those, of its two parts, and one at either end.
    """
    found = np.zeros((3 * half - 1, 2 * half))
    found[0, 0] = found[1, half] = end
    for frequency in range(1, half):
        for number, (real, imaginary) in enumerate(three):
            row = found[3 * frequency - 1 + number]
            row[frequency], row[half + frequency] = real, imaginary
    return found


# -- by their names ---------------------------------------------------------------------------


def _none() -> Scheme:
    one = (np.ones((1, 1)),)
    return Scheme("1", 1, 1, one, one, one)


SCHEMES: dict[str, Callable[[], Scheme]] = {
    "1": _none,
    "F(2,3)": lambda: _toom(2, 3),
    "F(4,3)": lambda: _toom(4, 3),
    "F(2,5)": lambda: _toom(2, 5),
    "F(4,4)": lambda: _toom(4, 4),
    "DFT(8)": lambda: _fourier(8),
    "DFT(16)": lambda: _fourier(16),
    "DFT(32)": lambda: _fourier(32),
}


@cache
def scheme(name: str) -> Scheme:
    """The scheme of a name."""
    if name not in SCHEMES:
        raise InternalError(f"no scheme {name!r}")
    return SCHEMES[name]()
