"""Whole models: drawn again with some of their layers in another form, or merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isoconv.conversion.chain import Shape
from isoconv.conversion.merging import RULES, joined, merged_sum
from isoconv.conversion.rule import LayerRule
from isoconv.conversion.search import Found, applied
from isoconv.layers.base import Layer
from isoconv.layers.input import Input
from isoconv.layers.merge import Add, Concatenate
from isoconv.models.model import Model
from isoconv.models.network import Network, needed
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor

_PAIRS = [rule for rule in RULES if len(rule.takes) == 2]
_ADDED, _JOINED = (next(rule for rule in RULES if rule.number == n) for n in ("18", "19"))


@dataclass
class Changes:
    """What to draw instead of some calls: a source and the layers over it; `rules` that say so."""

    instead: dict[int, tuple[KerasTensor, Sequence[Layer]]] = field(default_factory=dict)
    rules: list[LayerRule] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)

    def replace(
        self, calls: Sequence[Call], source: KerasTensor, found: Sequence[Layer], rule: LayerRule
    ) -> None:
        """The last of these calls becomes `found` over `source`; none of them changes again."""
        self.instead[id(calls[-1])] = source, found
        self.rules.append(rule)
        self.taken |= set(map(id, calls))


def converted(model: Model, change: Callable[[Layer, Shape], Found | None]) -> Model | None:
    """The model with every layer in another form that has it; None where none has."""
    changes = Changes()
    for call in model.drawn_network().steps:
        source = _source(call)
        if source is None or not isinstance(call.target, Layer):
            continue
        found = change(call.target, source.shape[1:])
        if found is not None:
            changes.instead[id(call)] = source, found.layers
            changes.rules += found.rules
    return _redrawn(model, changes, ()) if changes.instead else None


def merged(model: Model) -> Model | None:
    """The model with what rows 15 to 19 and 21 merge merged; None where there is nothing."""
    result: Model | None = None
    while True:
        current = result or model
        changes = _merges(current)
        if not changes.instead:
            return result
        result = _redrawn(current, changes, current.rules)


def _merges(model: Model) -> Changes:
    """Merges that do not touch one another."""
    network, changes = model.drawn_network(), Changes()
    readers = _readers(network)
    for call in network.steps:
        if isinstance(call.target, Add | Concatenate):
            _merge_branches(call, readers, changes)
        else:
            _merge_pair(call, readers, changes)
    return changes


def _merge_pair(call: Call, readers: Mapping[int, int], changes: Changes) -> None:
    middle = _source(call)
    if middle is None or middle.call is None or readers[id(middle)] > 1:
        return
    before, source = middle.call, _source(middle.call)
    if source is None or {id(before), id(call)} & changes.taken:
        return
    if not isinstance(before.target, Layer) or not isinstance(call.target, Layer):
        return
    for rule in _PAIRS:
        chain = applied(rule, source.shape[1:], [before.target, call.target])
        if chain is not None:
            changes.replace([before, call], source, chain.layers, rule)
            return


def _merge_branches(call: Call, readers: Mapping[int, int], changes: Changes) -> None:
    tensors = list(needed(call))
    sources = [None if t.call is None else _source(t.call) for t in tensors]
    for source in dict.fromkeys(each for each in sources if each is not None):
        branches = [
            None if t is source else t.call.target if t.call is not None else None for t in tensors
        ]
        own = [t for t in tensors if t is not source]
        if any(s is not source for t, s in zip(tensors, sources, strict=True) if t is not source):
            continue
        calls = [t.call for t in own if t.call is not None]
        if any(readers[id(t)] > 1 for t in own) or set(map(id, calls)) & changes.taken:
            continue
        shape = source.shape[1:]
        if isinstance(call.target, Add):
            chain, rule = merged_sum(shape, branches), _ADDED
        else:
            chain, rule = joined(shape, call.target.axis, branches), _JOINED
        if chain is not None:
            changes.replace([*calls, call], source, chain.layers, rule)
            return


def _readers(network: Network) -> dict[int, int]:
    """How often each tensor is read, by calls or as an output."""
    found: dict[int, int] = {}
    read = [t for call in network.steps for t in needed(call)]
    for tensor in (*read, *network.flat_outputs):
        found[id(tensor)] = found.get(id(tensor), 0) + 1
    return found


def _source(call: Call) -> KerasTensor | None:
    """The tensor of a call that takes nothing else."""
    only = len(call.args) == 1 and isinstance(call.args[0], KerasTensor) and not call.kwargs
    return call.args[0] if only and len(call.outputs) == 1 else None


def _redrawn(model: Model, changes: Changes, before: Sequence[LayerRule]) -> Model:
    network = model.drawn_network()
    new: dict[int, Any] = {
        id(t): Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in network.flat_inputs
    }

    def value(leaf: Any) -> Any:
        return new[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    dropped = changes.taken - set(changes.instead)
    for call in network.steps:
        if id(call) in dropped:
            continue
        if id(call) in changes.instead:
            source, chain = changes.instead[id(call)]
            x = value(source)
            for layer in chain:
                x = layer(x)
            new[id(call.outputs[0])] = x
            continue
        args, kwargs = tree.transform(value, (call.args, dict(call.kwargs)))
        results = tree.leaves(call.target(*args, **kwargs))
        for tensor, found in zip(call.outputs, results, strict=True):
            new[id(tensor)] = found
    inputs, outputs = (tree.transform(value, each) for each in (network.inputs, network.outputs))
    result = Model(inputs, outputs, name=model.name)
    result.rules = (*before, *changes.rules)
    return result
