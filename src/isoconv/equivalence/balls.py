"""Runs a program on floats with bounds of their errors: each value is a middle and a radius.

What is computed exactly, such as small whole numbers, has radius 0. Two results whose balls do not
touch differ for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv.ir.graph import Graph, Node, resize
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import number
from isoconv.reference import MEANING
from isoconv.reference.meaning import Call
from isoconv.rewriting.proof.sparse import gathered, is_sparse, spread_out

Array = np.ndarray[Any, Any]
Ball = tuple[Array, Array]

ULP = 2.0**-52
WHOLE = 2.0**52

STEADY = frozenset(["neg", "abs", "relu", "max", "min", "pool_max", "reduce_max"])
"""Operations that never move results further apart than their operands, and round nothing."""

SLOPES = {"tanh": 1.0, "sin": 1.0, "cos": 1.0, "erf": 1.13}
"""The steepest slope of operations that have one."""


class UndecidedError(Exception):
    """The radius of a condition reaches both its sides."""


def run(graph: Graph, feeds: Mapping[str, Any]) -> list[Ball]:
    """The outputs of a program without run-time sizes, for exact inputs."""
    values: dict[Node, Ball] = {}
    for node in graph.nodes:
        if node.op == "input":
            exact = _given(node, feeds)
            values[node] = exact, np.zeros(exact.shape)
        else:
            values[node] = _ball(node, [values[before] for before in node.inputs])
    return [values[node] for node in graph.outputs]


def middles(graph: Graph, feeds: Mapping[str, Any]) -> list[Array]:
    """The middles alone, which takes less."""
    values: dict[Node, Array] = {}
    for node in graph.nodes:
        operands = [values[before] for before in node.inputs]
        if node.op == "input":
            values[node] = _given(node, feeds)
        elif _is_sparse(node, operands):
            values[node] = _of_impulses(node, *operands)
        else:
            values[node] = _apply(node, *operands)
    return [values[node] for node in graph.outputs]


def _given(node: Node, feeds: Mapping[str, Any]) -> Array:
    return np.asarray(feeds[node["name"]], "float64" if node.dtype[0] == "f" else node.dtype)


def _apply(node: Node, *operands: Array) -> Array:
    attrs = {name: resize(value, {}) for name, value in node.attrs}
    shape: Any = node.shape
    call = Call(attrs, shape, "float64" if node.dtype[0] == "f" else node.dtype, node.dtype)
    with np.errstate(all="ignore"):
        return np.asarray(MEANING[node.op](call, *operands))


def _ball(node: Node, operands: list[Ball]) -> Ball:
    middles, radii = [m for m, _ in operands], [r for _, r in operands]
    if _is_sparse(node, middles) and not any(map(np.any, radii)):
        middle = _of_impulses(node, *middles)
        if _whole(*middles) and _most(middles) < WHOLE:
            return middle, np.zeros(middle.shape)
        terms = max(each.size for each in middles)
        return middle, _of_impulses(node, *map(np.abs, middles)) * (ULP * terms * (1 + ULP * terms))
    middle = _apply(node, *middles)
    if node.op in ("add", "sub"):
        return middle, _rounded(middle, radii[0] + radii[1])
    if node.op == "mul":
        (x, y), (dx, dy) = map(np.abs, middles), radii
        return middle, _rounded(middle, x * dy + dx * (y + dy))
    if node.op == "conv":
        return middle, _conv(node, middle, middles, radii)
    if node.op == "div":
        return middle, _rounded(middle, _quotient(middles, radii, middle))
    if node.op == "reduce_sum":
        count = middles[0].size // max(middle.size, 1)
        spread = _apply(node, np.abs(middles[0])) * ULP * count
        exact = _whole(middles[0]) & (_apply(node, np.abs(middles[0])).max(initial=0) < WHOLE)
        return middle, _apply(node, radii[0]) + (0 if exact else spread)
    if OPS[node.op].kind in ("leaf", "view") or node.op == "cast":
        return middle, _moved(node, radii, middle)
    if node.op in STEADY:
        return middle, _steady(node, radii, middle)
    if node.op in SLOPES:
        return middle, _rounded(middle, radii[0] * SLOPES[node.op], 4)
    if node.op == "where":
        return middle, _apply(node, middles[0], *radii[1:])
    if node.op in ("lt", "le", "eq"):
        apart = np.abs(middles[0] - middles[1]) > radii[0] + radii[1]
        if not (apart | ((radii[0] == 0) & (radii[1] == 0))).all():
            raise UndecidedError
        return middle, np.zeros(middle.shape)
    if all(not r.any() for r in radii):
        return middle, np.abs(middle.astype(np.float64)) * ULP * 8
    if node.op in ("exp", "expm1", "sqrt", "log", "log1p"):
        return middle, _monotone(node, middles[0], radii[0], middle)
    raise UndecidedError


def _whole(*arrays: Array) -> bool:
    return all((np.floor(array) == array).all() for array in arrays)


def _rounded(middle: Array, radius: Array, ulps: int = 1) -> Array:
    """A radius with the rounding of this operation, none if everything is a whole number."""
    size = np.abs(middle).max(initial=0)
    if ulps == 1 and not radius.any() and size < WHOLE and _whole(middle * 2**20):
        return radius * np.ones(middle.shape)
    result: Array = radius * (1 + 4 * ULP) + np.abs(middle) * ULP * ulps
    return result


def _is_sparse(node: Node, operands: list[Array]) -> bool:
    """Whether a node is a form of data that are almost all 0."""
    return node.op == "conv" and is_sparse(operands[node["face"] == "x"])


def _most(middles: list[Array]) -> float:
    """No sum of products is larger."""
    each = [float(np.abs(array).max(initial=0)) for array in middles]
    return each[0] * each[1] * max(array.size for array in middles)


def _of_impulses(node: Node, left: Array, right: Array) -> Array:
    """The sums without the zeros."""
    axes, face = node["axes"], node["face"]
    shape = tuple(map(number, node.shape))
    if face == "w":
        data, flow = (each.reshape(-1, *each.shape[-1 - len(axes) :]) for each in (left, right))
        return gathered(data, flow, axes, node["groups"], shape[-2], None)
    data, w = (left, right) if face == "y" else (right, left)
    first = len(shape) - 1 - len(axes)
    rows = data.reshape(-1, *data.shape[first:])
    sums = spread_out(rows, w, axes, node["groups"], shape[first:-1], face, None)
    return sums.reshape(shape)


def _conv(node: Node, middle: Array, middles: list[Array], radii: list[Array]) -> Array:
    x, y = map(np.abs, middles)
    size = _apply(node, x, y)
    if (
        not radii[0].any()
        and not radii[1].any()
        and _whole(*middles)
        and size.max(initial=0) < WHOLE
    ):
        return np.zeros(middle.shape)
    terms = max(middles[0].size, middles[1].size)
    moved = _apply(node, x, radii[1]) + _apply(node, radii[0], y + radii[1])
    result: Array = (moved + size * ULP * terms) * (1 + ULP * terms)
    return result


def _quotient(middles: list[Array], radii: list[Array], middle: Array) -> Array:
    least = np.abs(middles[1]) - radii[1]
    if (least <= 0).any():
        raise UndecidedError
    result: Array = (radii[0] + np.abs(middle) * radii[1]) / least
    return result


def _moved(node: Node, radii: list[Array], middle: Array) -> Array:
    """The radii where the values went; 0 where new ones came."""
    if not radii:
        return np.zeros(middle.shape)
    still = dict(node.attrs) | ({"value": 0.0} if node.op == "pad" else {})
    shape: Any = node.shape
    call = Call(still, shape, "float64", "float64")
    return np.asarray(MEANING[node.op](call, *radii))


def _steady(node: Node, radii: list[Array], middle: Array) -> Array:
    if node.op in ("neg", "abs", "relu"):
        return radii[0]
    if node.op in ("max", "min"):
        result: Array = np.maximum(*np.broadcast_arrays(*radii))
    else:
        result = np.maximum(_apply(node, radii[0]), 0)
    return result


def _monotone(node: Node, x: Array, radius: Array, middle: Array) -> Array:
    low, high = _apply(node, x - radius), _apply(node, x + radius)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise UndecidedError
    wide = np.maximum(high - middle, middle - low)
    result: Array = wide + np.maximum(np.abs(low), np.abs(high)) * ULP * 8
    return result
