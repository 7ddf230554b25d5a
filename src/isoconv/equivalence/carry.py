"""Carries weights from one side to the other, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoconv.equivalence.sides import Side
from isoconv.errors import ArgumentError, explain
from isoconv.ir.graph import Graph, Node
from isoconv.ops.recorder import Array
from isoconv.ops.variable import Variable
from isoconv.reference import run
from isoconv.rewriting.proof.blocks import Block, size_of
from isoconv.rewriting.proof.maps import Map, Reading


@dataclass(frozen=True)
class WeightMap:
    """The weights of `target` for weights of `source`, both in the order of `get_weights`.

    The new weights are computed in float64 and rounded to the dtype of the target's weights.
    """

    source: Side
    target: Side
    maps: tuple[Map, ...]
    names: tuple[tuple[Node, ...], tuple[Node, ...]]

    def __call__(self, weights: Sequence[Array]) -> list[Array]:
        """A list of arrays for a list of arrays; ArgumentError where their shapes do not fit."""
        own = variables(self.source)
        shapes = [np.shape(each) for each in weights]
        if shapes != [variable.shape for variable in own]:
            wanted = f"shapes {[variable.shape for variable in own]}"
            raise ArgumentError(explain("weight_map", f"shapes {shapes}", wanted))
        arrays = {id(v): np.asarray(w, np.float64) for v, w in zip(own, weights, strict=True)}
        known = dict(
            zip(
                self.names[0], (arrays[id(v)].reshape(-1) for v in self.source.weights), strict=True
            )
        )
        for way in self.maps:
            known |= carry(way, known)
        result = []
        places = {id(v): node for v, node in zip(self.target.weights, self.names[1], strict=True)}
        for variable in variables(self.target):
            node = places.get(id(variable))
            flat = known.get(node) if node is not None else None
            new = np.zeros(variable.shape) if flat is None else flat.reshape(variable.shape)
            result.append(new.astype(variable.dtype))
        return result


def carry(way: Map, known: Mapping[Node, Array]) -> dict[Node, Array]:
    """The target weights of one map, flat."""
    flat = np.concatenate([*(known[node] for node in way.sources), np.zeros(0)])
    chosen = np.append(flat, 0.0)[way.select] if way.read is None else _read(way.read, known)
    ends = np.cumsum([size_of(node) for node in way.targets])
    return dict(zip(way.targets, np.split(chosen, ends)[: len(way.targets)], strict=True))


def _read(reading: Reading, known: Mapping[Node, Array]) -> Array:
    labels = {node: np.ones(size_of(node)) for node in reading.target.order}
    none = {node: np.zeros(size_of(node)) for node in reading.target.order}
    entries = reading.entry
    fixed = _entries(reading.target, none, reading, entries)
    change = _entries(reading.source, known, reading, entries) - fixed
    factor = _entries(reading.target, labels, reading, entries) - fixed
    if reading.based is not None:
        first = entries % reading.target.outputs
        bases = _entries(reading.source, known, reading, first)
        change = change + reading.based * (bases - _entries(reading.target, none, reading, first))
    return np.where(entries < 0, 0.0, change / np.where(factor == 0, 1.0, factor))


def _entries(
    block: Block, weights: Mapping[Node, Array], reading: Reading, entries: Array
) -> Array:
    """Entries of the table of a block: what a unit at an input adds to an output."""
    rows, outputs = np.divmod(np.maximum(entries, 0), block.outputs)
    graph = Graph((block.start, *block.weights), (block.end,))
    feeds = {node["name"]: weights[node] for node in block.weights}
    name, read = block.start["name"], np.unique(np.append(rows, 0))
    found = np.zeros((len(read), block.outputs))
    for values, row in zip(found, read, strict=True):
        point = np.zeros(block.inputs)
        if row:
            point[reading.inputs[row - 1]] = 1.0
        (values[:],) = run(graph, {**feeds, name: point}, precision="float64")
    found[1:] -= found[0]
    picked: Array = found[np.searchsorted(read, rows), outputs]
    return picked


def variables(side: Side) -> list[Variable]:
    """All weights of a side, as `get_weights` orders them."""
    found = {id(v): v for layer in side.layers for v in layer.weights}
    return list(found.values())
