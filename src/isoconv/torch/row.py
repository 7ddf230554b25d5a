"""Links that follow one another, run on an input: by one program forth and one back, where this is
faster than each layer by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from isoconv import optional
from isoconv.errors import IsoconvError
from isoconv.torch import chained
from isoconv.torch.chain import Call, Kind, chain_of, draw
from isoconv.torch.choosing import Choices, Run, is_slower
from isoconv.torch.form import channels_are_last
from isoconv.torch.links import BatchNorm, Dropout, Flatten, Link
from isoconv.torch.operator import is_ours, is_plain

torch: Any = optional.require("torch", "torch")


@dataclass
class Row:
    """Layers, their links, and the tensors that each link takes."""

    layers: list[Any] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    tensors: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, layer: Any, link: Link, tensors: tuple[Any, ...]) -> None:
        self.layers.append(layer)
        self.links.append(link)
        self.tensors.append(tensors)


def through(row: Row, x: Any, choices: Choices | None, alone: Callable[[Any], Any]) -> Any:
    """The row's output for x. alone: what gives it without a program."""
    tensors = [each for some in row.tensors for each in some]
    call = _call(tuple(row.links), x, tensors)
    if call is None:
        return alone(x)
    if choices is not None:
        kind, known = call.chain.kind, call
        what = (kind.links, kind.tensors)
        if is_slower(choices, what, x, kind.needs, lambda: _sides(row, tensors, x, known)):
            return alone(x)
    y, updates = chained.run(call, x, tensors)
    if updates:
        with torch.no_grad():
            for place, new in zip(call.chain.changed, updates, strict=True):
                tensors[place].copy_(new)
            for layer, link in zip(row.layers, row.links, strict=True):
                if isinstance(link, BatchNorm) and link.momentum is not None:
                    layer.num_batches_tracked.add_(1)
    return y


def _call(links: tuple[Link, ...], x: Any, tensors: list[Any]) -> Call | None:
    """The programs for x; None where they cannot take it, or PyTorch is to say what is wrong."""
    is_last = channels_are_last(x)
    if x.dim() < 2 or not (is_last or x.is_contiguous()):
        return None
    if not all(is_ours(x, each) and each.is_contiguous() for each in tensors):
        return None
    if not is_plain(*tensors):
        return None
    needs = [False] * (len(tensors) + 1)
    if torch.is_grad_enabled():
        needs = [x.requires_grad, *[each.requires_grad for each in tensors]]
    return _call_of(
        links,
        tuple(x.shape),
        tuple([tuple(each.shape) for each in tensors]),
        str(x.dtype).removeprefix("torch."),
        is_last,
        tuple(needs),
        torch.get_num_threads(),
    )


@lru_cache(maxsize=4096)
def _call_of(links: tuple[Link, ...], shape: tuple[int, ...], *rest: Any) -> Call | None:
    if 0 in shape:
        return None
    try:
        # With all numbers known, so that nothing stays undecided.
        draw(Kind(links, shape, *rest))
    except IsoconvError:
        return None
    is_fixed = any(isinstance(link, Flatten) for link in links)
    lengths = shape[2:] if is_fixed else (None,) * (len(shape) - 2)
    return Call(chain_of(Kind(links, (None, shape[1], *lengths), *rest)), shape)


def _sides(row: Row, tensors: list[Any], x: Any, call: Call) -> tuple[Run, Run]:
    """What the programs and what the layers by themselves would run, gradients included, without
    changing a buffer.
    """
    needs = call.chain.kind.needs
    given = [x.detach(), *[each.detach() for each in tensors]]
    start = x.detach().requires_grad_(needs[0])
    wanted = [t for t, needed in zip((start, *tensors), needs, strict=True) if needed]

    def ours() -> None:
        y, _, saved = call.forth(given[0], given[1:])
        if wanted:
            places = [*given, y]
            call.back(y, [places[i] for i in call.chain.reads], saved)

    def theirs() -> None:
        with torch.set_grad_enabled(bool(wanted)):
            y = start
            for layer, link, own in zip(row.layers, row.links, row.tensors, strict=True):
                if isinstance(link, BatchNorm):
                    y = link.replay(y, iter(own), iter(()))
                elif isinstance(link, Dropout):
                    y = torch.nn.functional.dropout(y, link.p)
                else:
                    y = layer(y)
            if wanted:
                torch.autograd.grad(y, wanted, y.detach())

    return ours, theirs
