"""Our layers in the place of PyTorch's own, in any module."""

from __future__ import annotations

from typing import Any

from isoconv import optional
from isoconv.errors import ArgumentError, explain
from isoconv.sections import Section, as_text, duration
from isoconv.torch import nn
from isoconv.torch.choosing import Choices, Measured
from isoconv.torch.operator import is_ours

torch: Any = optional.require("torch", "torch")

_OURS = {getattr(torch.nn, name): getattr(nn, name) for name in nn.__all__}


def accelerate(module: Any) -> Any:
    """Makes the layers of a module that `isoconv.torch.nn` names, itself included, compute with
    isoconv's kernels where these are faster, and gives the module back.

    Every such layer gets our class and stays the object it was: its parameters, hooks, names in
    `state_dict` and the optimizers that hold them go on unchanged. Only layers of exactly PyTorch's
    classes are changed, none of a subclass. What stands in a `Sequential`, activations and
    flattening included, is computed by one program forth and one back, up to a layer that has hooks
    or is of another kind. The choices of `Dropout` follow from PyTorch's seed, but are others than
    PyTorch's.

    The first time that a layer gets an input of some shape, both sides are timed, some 0.1 s in
    all; PyTorch computes what it is faster at. `report` tells what was found. Under
    `torch.use_deterministic_algorithms`, and in a compiled or exported program, all is ours.
    """
    _check("accelerate", module)
    for each in module.modules():
        ours = _OURS.get(type(each))
        if ours is not None:
            each.__class__ = ours
            each.choices = Choices()
    return module


def report(module: Any) -> str:
    """Which layers of a module that was accelerated isoconv computes, which PyTorch, and why: one
    line for each kind of input that a layer had, with the seconds that both sides took. For a
    `Sequential` that is what its layers take together, and by themselves, as the lines below say.
    """
    _check("report", module)
    rows: list[tuple[str, ...]] = [("layer", "input", "what", "isoconv", "PyTorch", "computed by")]
    words = []
    for name, each in module.named_modules():
        label = f"{name or 'itself'}: {type(each).__name__}"
        layer: Any = each
        if isinstance(each, tuple(_OURS.values())):
            # One measurement may be found under several keys.
            found = [] if layer.choices is None else dict.fromkeys(layer.choices.found.values())
            rows += [(label, *_row(one)) for one in found]
            if not found:
                words.append(f"{label}: {_unmeasured(layer)}.")
        elif isinstance(each, tuple(_OURS)):
            words.append(f"{label}: PyTorch, as it is of a subclass.")
    rows = rows if len(rows) > 1 else []
    table = Section("Layers, by their inputs", words, rows, head=True, right=(3, 4))
    return as_text([table])


def _unmeasured(layer: Any) -> str:
    """Who computes a layer of ours of which nothing was measured, and why."""
    for weight in layer.parameters():
        if not is_ours(weight, weight):
            return f"PyTorch, as its weights are {weight.dtype} on {weight.device}"
    if layer.choices is None:
        return "isoconv, as it was not put in another's place"
    return "no input yet"


def _row(measured: Measured) -> tuple[str, ...]:
    return (
        " x ".join(map(str, measured.shape)),
        "training" if measured.trained else "prediction",
        duration(measured.ours),
        duration(measured.theirs),
        "PyTorch" if measured.is_left else "isoconv",
    )


def _check(where: str, module: Any) -> None:
    if not isinstance(module, torch.nn.Module):
        expected = "a torch.nn.Module"
        raise ArgumentError(explain(f"{where}: module", repr(module), expected))
