"""Where every value lies: in a tensor of the caller's, or in a slot of one arena.

A slot is used again as soon as nobody reads its value any more. Slot sizes are expressions of the
run-time sizes, so one plan serves every batch and length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from isoconv import dtypes
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, evaluate, maximum, names, product
from isoconv.plan.kernel import Step

ALIGNMENT = 64
# What an unknown size is taken for when slots are matched; only the choice depends on it.
_TYPICAL = 64


ALIASES = ("reshape", "after")
"""Operations whose results are other names for a buffer."""


@dataclass(frozen=True)
class Tensor:
    """The caller's tensor of this number: the inputs, then the outputs."""

    number: int


@dataclass(frozen=True)
class Slot:
    """The arena's slot of this number."""

    number: int


Place = Tensor | Slot


@dataclass
class Layout:
    """places: of each node that lies in memory; slots: the bytes of each."""

    places: dict[Node, Place]
    slots: list[Dim]


def owner(node: Node) -> Node:
    """The node whose buffer this one is another name for."""
    while node.op in ALIASES:
        node = node.inputs[0]
    return node


def needed(node: Node) -> list[Node]:
    """The owners of what must be there before a node is read: its own, and what it comes after."""
    found = []
    while node.op in ALIASES:
        if node.op == "after":
            found += needed(node.inputs[1])
        node = node.inputs[0]
    return [*found, node]


def layout(steps: Sequence[Step], given: Mapping[Node, Place]) -> Layout:
    """Places for everything the steps write; `given` are the caller's tensors."""
    last: dict[Node, int] = {}
    for time, step in enumerate(steps):
        for node in (*step.inputs, *step.outputs):
            last[owner(node)] = time
    plan = Layout(dict(given), [])
    free: list[int] = []
    for time, step in enumerate(steps):
        for node in step.outputs:
            if node in plan.places:
                continue
            slot = _take(plan, free, _bytes(node))
            plan.places[node] = Slot(slot)
        for node, end in last.items():
            place = plan.places.get(node)
            if end == time and isinstance(place, Slot) and place.number not in free:
                free.append(place.number)
    return plan


def _bytes(node: Node) -> Dim:
    size = product(node.shape) * dtypes.BYTES[node.dtype]
    return ceildiv(size, ALIGNMENT) * ALIGNMENT


def _typical(size: Dim) -> int:
    return evaluate(size, dict.fromkeys(names(size), _TYPICAL))


@lru_cache(4096)
def typical_bytes(node: Node) -> int:
    """The bytes of a value, its unknown sizes being taken for typical ones."""
    return _typical(_bytes(node))


def _take(plan: Layout, free: list[int], size: Dim) -> int:
    """A free slot of this size or one made to fit, or a new one."""
    wanted = _typical(size)
    exact = [slot for slot in free if plan.slots[slot] == size]
    near = [slot for slot in free if wanted / 2 <= _typical(plan.slots[slot]) <= wanted * 2]
    if not exact and not near:
        plan.slots.append(size)
        return len(plan.slots) - 1
    slot = (exact or near)[-1]
    plan.slots[slot] = maximum(plan.slots[slot], size)
    free.remove(slot)
    return slot
