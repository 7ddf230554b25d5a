"""Weights under which one side comes near given results, so that a difference is seen to be one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from isoconv.equivalence import balls
from isoconv.equivalence.sides import Side
from isoconv.gradient import vjp
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.ir.sizes import number
from isoconv.ops.recorder import Array
from isoconv.ops.variable import Variable

TURNS = 4
"""Turns of the one step that is taken towards the wanted results."""

NEAR = 1e-6
"""How far apart two weights are from which a slope is taken, where it is no constant."""


def fitted(side: Side, linear: bool, points: Array, wanted: Array) -> list[Array]:
    """Weights of the side for which it comes near the wanted results [points, outputs].

    linear: whether the results are linear in the weights, so that one step will do.
    """
    fit = _Fit(side, points, 1.0 if linear else NEAR)
    flat = np.zeros(fit.count)
    if not linear:
        # At zero the parts of a product have no slopes.
        flat = np.resize([0.5, 1.0, 1.5, 0.75], fit.count)
    here = fit.results(flat)
    change = fit.step(flat, here, wanted - here)
    far = np.square(wanted - here).sum()
    # Less far where results would not be finite, as with negative variances, or no nearer.
    for part in 2.0 ** -np.arange(6):
        new = np.round(flat + part * change, 6)
        if np.square(wanted - fit.results(new)).sum() <= far:
            return parts_of(side, new)
    return parts_of(side, flat)


class _Fit:
    """The results of a side at some points as a function of its flat weights."""

    def __init__(self, side: Side, points: Array, near: float) -> None:
        self.side, self.points, self._near = side, points, near
        self.count = sum(prod(variable.shape) for variable in side.weights)
        found = side.trace(side.shapes, len(points))
        graph = found.graph
        captured = graph.inputs[len(graph.inputs) - len(found.captured) :]
        wrt = [n for n, v in zip(captured, found.captured, strict=True) if isinstance(v, Variable)]
        flows = [
            make("input", name=f"flow{index}", shape=node.shape, dtype=node.dtype)
            for index, node in enumerate(graph.outputs)
        ]
        self._flows = flows
        self._back = Graph((*graph.inputs, *flows), tuple(vjp(graph.outputs, wrt, flows)))

    def results(self, flat: Array) -> Array:
        return results(self.side, self.points, parts_of(self.side, flat))

    def _forth(self, flat: Array, here: Array, change: Array) -> Array:
        """How the results change with the weights."""
        return (self.results(flat + self._near * change) - here) / self._near

    def _gathered(self, flat: Array, flow: Array) -> Array:
        """The transpose of that."""
        feeds = self.side.feeds(len(self.points), self.points, parts_of(self.side, flat))
        sizes = [prod(map(number, node.shape[1:])) for node in self._flows]
        parts = np.split(flow, np.cumsum(sizes)[:-1], 1)
        for node, part in zip(self._flows, parts, strict=True):
            feeds[node["name"]] = part.reshape(node.shape)
        found = balls.middles(self._back, feeds)
        return np.concatenate([*(each.reshape(-1) for each in found), np.zeros(0)])

    def step(self, flat: Array, here: Array, missing: Array) -> Array:
        """The change of the weights that adds what is missing, by conjugate gradients on the
        normal equations (Hestenes and Stiefel 1952).
        """
        change, left = np.zeros(self.count), missing
        gradient = self._gathered(flat, left)
        way, size = gradient, gradient @ gradient
        first = size
        for _ in range(TURNS):
            if not np.isfinite(size) or size <= 1e-10 * first:
                break
            added = self._forth(flat, here, way)
            length = np.square(added).sum()
            if not np.isfinite(length) or length == 0:
                break
            change = change + size / length * way
            left = left - size / length * added
            gradient, before = self._gathered(flat, left), size
            size = gradient @ gradient
            way = gradient + size / before * way
        return change


def parts_of(side: Side, flat: Array) -> list[Array]:
    """Flat weights as arrays, in the order in which the program reads them."""
    result, at = [], 0
    for variable in side.weights:
        size = prod(variable.shape)
        result.append(flat[at : at + size].reshape(variable.shape).astype(np.float64))
        at += size
    return result


def results(side: Side, points: Array, weights: Sequence[Array]) -> Array:
    """The outputs [points, elements] in float64."""
    graph = side.trace(side.shapes, len(points)).graph
    feeds = side.feeds(len(points), points, weights)
    outputs = [each.reshape(len(points), -1) for each in balls.middles(graph, feeds)]
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, 1)
