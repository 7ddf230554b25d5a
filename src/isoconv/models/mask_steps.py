"""The masks of a drawn model as calls of their own, which a file may have to tell Keras of.

Keras draws them itself when it reads a file, and names them as it goes: the mask of a layer called
"concatenate" takes that name too, and the file is refused. A file that says them is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from isoconv import naming
from isoconv.layers.base import Layer
from isoconv.layers.merge import Concatenate
from isoconv.layers.spatial import Spatial
from isoconv.models.network import Network, needed
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor


def drawn(network: Network) -> tuple[list[Call], dict[int, KerasTensor]]:
    """The calls that compute masks, and by the id of a layer's call the mask it is given.

    Nothing where no masks are concatenated.
    """
    if not any(
        isinstance(call.target, Concatenate) and call.outputs[0].mask is not None
        for call in network.steps
    ):
        return [], {}
    masks: dict[int, KerasTensor] = {}
    given: dict[int, KerasTensor] = {}
    known = {id(tensor) for tensor in network.flat_inputs}
    steps: dict[int, Call] = {}
    for call in network.steps:
        known |= {id(tensor) for tensor in call.outputs}
        # Keras' layers on spatial axes take masks and hand none on.
        if not isinstance(call.target, Layer) or not call.args:
            continue
        inputs = call.args[0]
        before = tree.transform(lambda leaf: masks.get(id(leaf)), inputs)
        if isinstance(before, KerasTensor):
            given[id(call)] = before
        if isinstance(call.target, Spatial):
            continue
        found = any(mask is not None for mask in tree.leaves(before))
        mask: Any = call.target.compute_mask(inputs, before if found else None)
        if isinstance(mask, KerasTensor):
            masks[id(call.outputs[0])] = mask
            steps |= {id(step): step for step in _made(mask, known)}
    return _named(steps.values(), {call.name for call in network.targets}), given


def _made(tensor: KerasTensor, known: set[int]) -> Iterator[Call]:
    """The calls behind a tensor that are not among those of the model, in order of need."""
    if tensor.call is None or id(tensor) in known:
        return
    for each in needed(tensor.call):
        yield from _made(each, known)
    yield tensor.call


def _named(calls: Iterable[Call], taken: set[str]) -> list[Call]:
    """The calls under names that nothing else in the model has."""
    named = []
    for call in calls:
        name = call.name
        while name in taken:
            name = naming.unique(call.target.__name__)
        taken.add(name)
        named.append(replace(call, name=name))
    return named
