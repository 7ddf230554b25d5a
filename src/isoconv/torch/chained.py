"""A chain on PyTorch's tensors, which can be differentiated: once by its own way back, again by
PyTorch's operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import optional
from isoconv.torch.chain import Call
from isoconv.torch.operator import is_plain

torch: Any = optional.require("torch", "torch")


def run(call: Call, x: Any, tensors: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The output for x, and what the buffers that it changes become."""
    if not any(call.chain.kind.needs):
        return call.forth(x, tensors)[:2]
    updates: list[Any] = []
    return _Chained.apply(call, updates, x, *tensors), updates


class _Chained(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, call: Call, updates: list[Any], x: Any, *tensors: Any) -> Any:
        y, new, saved = call.forth(x, tensors)
        updates += new
        ctx.call, ctx.count = call, len(tensors)
        chain = call.chain
        # What changes, or is not read, is not kept: others may write to it.
        kept = [None if i in chain.changed else each for i, each in enumerate(tensors)]
        last = y if len(tensors) + 1 in chain.reads else None
        ctx.save_for_backward(x, *kept, last, *saved)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        call, count = ctx.call, ctx.count
        whole = ctx.saved_tensors
        places, saved = whole[: count + 2], whole[count + 2 :]
        if torch.is_grad_enabled() or not is_plain(grad):
            return None, None, *_again(call, places[:-1], saved[: call.chain.masks], grad)
        read = [places[i] for i in call.chain.reads]
        return None, None, *call.back(grad, read, saved)


def _again(call: Call, given: Sequence[Any], masks: Sequence[Any], grad: Any) -> list[Any]:
    """The gradients by operations of PyTorch, as functions of what was given and of `grad`."""
    kind = call.chain.kind
    with torch.enable_grad():
        x, rest, choices = given[0], iter(given[1:]), iter(masks)
        for link in kind.links:
            x = link.replay(x, rest, choices)
    wanted = [each for each, needed in zip(given, kind.needs, strict=True) if needed]
    found = iter(torch.autograd.grad(x, wanted, grad, create_graph=True))
    return [next(found) if needed else None for needed in kind.needs]
