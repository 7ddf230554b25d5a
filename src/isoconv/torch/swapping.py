"""Our layers in the place of PyTorch's own, in any module."""

from __future__ import annotations

from typing import Any

from isoconv import optional
from isoconv.errors import ArgumentError, explain
from isoconv.torch import nn

torch: Any = optional.require("torch", "torch")

_OURS = {getattr(torch.nn, name): getattr(nn, name) for name in nn.__all__}


def accelerate(module: Any) -> Any:
    """Makes the convolutions and Linear layers of a module, itself included, compute with isoconv's
    kernels, and gives the module back.

    Every such layer gets our class and stays the object it was: its parameters, hooks, names in
    `state_dict` and the optimizers that hold them go on unchanged. Only layers of exactly PyTorch's
    classes are changed, none of a subclass.
    """
    if not isinstance(module, torch.nn.Module):
        expected = "a torch.nn.Module"
        raise ArgumentError(explain("accelerate: module", repr(module), expected))
    for each in module.modules():
        ours = _OURS.get(type(each))
        if ours is not None:
            each.__class__ = ours
    return module
