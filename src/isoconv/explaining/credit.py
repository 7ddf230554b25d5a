"""Whose work a kernel does, and how its time is shared out among layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from isoconv.explaining.facts import KernelFacts, LayerFacts


def credited(
    layers: Sequence[LayerFacts], parts: Sequence[KernelFacts]
) -> tuple[tuple[LayerFacts, ...], tuple[KernelFacts, ...]]:
    """The layers with the time of their kernels, and the kernels with the layer first that has the
    most multiply-adds: also where a rule moved its work on, as of a convolution whose scale was
    folded into it.
    """
    heaviest: dict[str, LayerFacts] = {}
    for layer in _with_time(layers, parts):
        owner = layer.merged or layer.name
        if owner not in heaviest or layer.multiply_adds > heaviest[owner].multiply_adds:
            heaviest[owner] = layer
    found = []
    for part in parts:
        first = heaviest.get(part.layers[0]) if part.layers else None
        names = part.layers if first is None else (first.name, *part.layers)
        found.append(replace(part, layers=tuple(dict.fromkeys(names))))
    return _with_time(layers, found), tuple(found)


def _with_time(
    layers: Sequence[LayerFacts], parts: Sequence[KernelFacts]
) -> tuple[LayerFacts, ...]:
    """The layers with the time of their kernels, or whose kernel does their work."""
    seconds: dict[str, float] = {}
    merged: dict[str, str] = {}
    for kernel in parts:
        if not kernel.layers:
            continue
        owner, *others = kernel.layers
        seconds[owner] = seconds.get(owner, 0.0) + (kernel.seconds or 0.0)
        merged |= dict.fromkeys(others, owner)
    timed_ = any(kernel.seconds is not None for kernel in parts)
    found: list[LayerFacts] = []
    after = None
    for layer in reversed(layers):
        mine = layer.name in seconds
        after = layer.name if mine else after
        found.append(
            replace(
                layer,
                seconds=seconds.get(layer.name) if timed_ else None,
                merged=None if mine else _merged(layer, merged, after),
            )
        )
    return tuple(reversed(found))


def _merged(layer: LayerFacts, merged: Mapping[str, str], after: str | None) -> str | None:
    """Whose kernels do a layer's work: those that name it, of a shared layer those of its first
    call, and where rules joined it with what follows, the next.
    """
    first_call = layer.name.partition("#")[0]
    if first_call != layer.name:
        return first_call
    return merged.get(layer.name, after if layer.weights else None)
