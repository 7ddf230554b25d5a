"""Layers used several times as several layers, and how their weights go there and come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from isoconv.ir.graph import Node, rebuild
from isoconv.ir.ops import make
from isoconv.rewriting.proof.blocks import Block, size_of, substitute
from isoconv.rewriting.proof.field import Array
from isoconv.rewriting.proof.maps import SHARED, Map
from isoconv.rewriting.proof.values import needed

Copies = dict[Node, list[Node]]


@dataclass
class _Use:
    """What one call of a layer reads: expressions of weights, and the weights in them."""

    read: set[Node] = field(default_factory=set)
    weights: set[Node] = field(default_factory=set)


def unshared(block: Block) -> tuple[Block, Copies]:
    """The block with weights of its own for each use, and the copies of those used more often."""
    order = needed([block.end], {})
    uses, place = _uses(block, order)
    copies: Copies = {}
    for weight in block.weights:
        often = sum(weight in use.weights for use in uses)
        if often > 1:
            copies[weight] = [_copy(weight, number) for number in range(often)]
    if not copies:
        return block, {}
    own: list[dict[Node, Node]] = [{} for _ in uses]
    for weight, each in copies.items():
        having = (new for new, use in zip(own, uses, strict=True) if weight in use.weights)
        for new, copied in zip(having, each, strict=True):
            new[weight] = copied
    made: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(
            substitute(before, own[place[node, before]])
            if (node, before) in place
            # What no use reads stays as it is.
            else made[before]
            for before in node.inputs
        )
        made[node] = rebuild(node, inputs)
    weights = [new for node in block.weights for new in copies.get(node, [node])]
    return Block(block.start, tuple(weights), made[block.end], block.fixed), copies


def _uses(block: Block, order: Sequence[Node]) -> tuple[list[_Use], dict[tuple[Node, Node], int]]:
    """The uses of weights, and which one each pair of (node, operand) belongs to.

    An operand belongs to a use before it that has weights in common with it, as scale and shift
    of a normalization have, but for one that has read the same already.
    """
    moving = {block.start}
    held: dict[Node, set[Node]] = {}
    before_it: dict[Node, set[int]] = {}
    uses: list[_Use] = []
    place: dict[tuple[Node, Node], int] = {}
    for node in order:
        held[node] = ({node} & set(block.weights)).union(*(held[each] for each in node.inputs))
        if not moving.intersection(node.inputs):
            continue
        moving.add(node)
        near = set[int]().union(*(before_it.get(each, set()) for each in node.inputs))
        for operand in node.inputs:
            if operand in moving or not held[operand]:
                continue
            fits = [
                at
                for at in near
                if uses[at].weights & held[operand] and _unseen(operand) not in uses[at].read
            ]
            if not fits:
                uses.append(_Use())
            place[node, operand] = max(fits, default=len(uses) - 1)
            use = uses[place[node, operand]]
            use.read.add(_unseen(operand))
            use.weights |= held[operand]
            near.add(place[node, operand])
        before_it[node] = near
    return uses, place


def _unseen(node: Node) -> Node:
    """What views show: the normal form may look differently at what is read twice."""
    while node.op in ("reshape", "transpose", "broadcast"):
        (node,) = node.inputs
    return node


def _copy(weight: Node, number: int) -> Node:
    return make("input", name=f"{weight['name']}_{number}", shape=weight.shape, dtype=weight.dtype)


def handed_out(copies: Copies) -> list[Map]:
    """The map from weights to their copies, if there are any."""
    sources, targets = tuple(copies), tuple(new for each in copies.values() for new in each)
    firsts = np.cumsum([0, *map(size_of, sources)])
    select = [
        first + np.arange(size_of(node))
        for node, first in zip(sources, firsts, strict=False)
        for _ in copies[node]
    ]
    return _maps(sources, targets, select)


def taken_back(copies: Copies) -> list[Map]:
    """The map from the first copies to the weights, if there are any; right where all agree."""
    sources = tuple(each[0] for each in copies.values())
    count = sum(map(size_of, sources))
    return _maps(sources, tuple(copies), [np.arange(count)] if count else [])


def _maps(
    sources: tuple[Node, ...], targets: tuple[Node, ...], select: Sequence[Array]
) -> list[Map]:
    if not select:
        return []
    return [Map(sources, targets, SHARED, False, select=np.concatenate(select))]
