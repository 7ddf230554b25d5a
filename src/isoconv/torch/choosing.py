"""Which inputs of a layer PyTorch itself computes faster: measured where such an input first comes,
kept for the process, and told by `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from isoconv import optional, timing
from isoconv.ir.sizes import number
from isoconv.torch.form import Call, Form

torch: Any = optional.require("torch", "torch")

# What ours may take of PyTorch's time to be chosen: less than all, for times are uncertain.
_FASTER = 0.97
# How long each side is timed, at least.
_SECONDS = 0.02
# Kinds of inputs remembered, by a layer and in all.
_MOST = 4096

Run = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """Seconds of a layer for one kind of input, on both sides. trained: with the gradients."""

    shape: tuple[int, ...]
    trained: bool
    ours: float
    theirs: float

    @property
    def is_left(self) -> bool:
        """Whether PyTorch computes it."""
        return self.ours > _FASTER * self.theirs


@dataclass
class Choices:
    """What was measured for the inputs that one layer had. A copy, or one from a file, begins
    without any.
    """

    found: dict[Any, Measured] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return Choices, ()


_known: dict[Any, Measured] = {}


Needs = tuple[bool, ...]
"""Whether gradients by the input and by the weights are asked for."""


def is_left(choices: Choices, call: Call, x: Any, weight: Any, bias: Any) -> bool:
    """Whether a layer, which makes this call, is left to PyTorch for this input."""
    needs = (x.requires_grad, weight.requires_grad) if torch.is_grad_enabled() else (False, False)
    key = (call, needs)
    found = choices.found.get(key)
    if found is not None:
        return found.is_left

    def sides() -> tuple[Run, Run]:
        given = (call.form, call.face, x.detach(), weight.detach(), bias, needs)
        return _ours(*given), _theirs(*given)

    # Calls are forgotten sooner than what was measured for them.
    return _is_slower(choices, key, _kind((call.form, call.face), x, needs), x, needs, sides)


def is_slower(
    choices: Choices, what: Hashable, x: Any, needs: Needs, sides: Callable[[], tuple[Run, Run]]
) -> bool:
    """Whether we are slower for such an input x, as was measured when it first came.

    what: the layer's numbers. sides: gives what we and what PyTorch would run. Where PyTorch is
    asked for the same numbers each time (`torch.use_deterministic_algorithms`), nothing is measured
    and nothing is slower.
    """
    kind = _kind(what, x, needs)
    found = choices.found.get(kind)
    return found.is_left if found else _is_slower(choices, kind, kind, x, needs, sides)


def _kind(what: Hashable, x: Any, needs: Needs) -> Hashable:
    """What the times of a layer follow from."""
    return what, x.shape, x.stride(), x.dtype, needs, torch.get_num_threads()


def _is_slower(
    choices: Choices,
    key: Hashable,
    kind: Hashable,
    x: Any,
    needs: Needs,
    sides: Callable[[], tuple[Run, Run]],
) -> bool:
    """The same for an input of which the layer knows nothing under this key yet."""
    if torch.are_deterministic_algorithms_enabled():
        return False
    found = _known.get(kind)
    if found is None:
        # Layers with chance in them leave the generator as it was.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = _measure(*sides(), tuple(x.shape), any(needs))
        _remember(_known, kind, found)
    _remember(choices.found, key, found)
    return found.is_left


def _remember(where: dict[Any, Measured], key: Any, found: Measured) -> None:
    if len(where) >= _MOST:
        where.clear()
    where[key] = found


def _measure(ours: Run, theirs: Run, shape: tuple[int, ...], trained: bool) -> Measured:
    times = timing.in_turn({"ours": ours, "theirs": theirs}, _SECONDS)
    return Measured(shape, trained, times["ours"].least, times["theirs"].least)


def _ours(form: Form, face: str, x: Any, weight: Any, bias: Any, needs: Needs) -> Run:
    first, second = (x, weight) if face == "y" else (weight, x)
    other = "x" if face == "y" else "y"

    def run() -> None:
        (y,) = form.call(face, first, second, bias)(first, second, bias)
        if needs[0]:
            pair = (weight, y) if face == "y" else (y, weight)
            form.call(other, *pair, None)(*pair)
        if needs[1]:
            pair = (x, y) if face == "y" else (y, x)
            summed = "" if bias is None else face
            form.call("w", *pair, None, summed)(*pair)

    return run


def _theirs(form: Form, face: str, x: Any, weight: Any, bias: Any, needs: Needs) -> Run:
    axes, transposed = form.geometry.axes, face == "x"
    if not axes:
        return _linear(x, weight, bias, needs)
    low = [number(axis.low) for axis in axes]
    extra = [number(axis.low - axis.high) if transposed else 0 for axis in axes]
    if not transposed and any(axis.low != axis.high for axis in axes):
        pads = [n for axis in reversed(axes) for n in (number(axis.low), number(axis.high))]
        x = torch.nn.functional.pad(x, pads)
        low = [0] * len(axes)
    strides, dilation = [axis.stride for axis in axes], [axis.dilation for axis in axes]
    options = (strides, low, dilation, transposed, extra, form.geometry.groups)
    mask = (*needs, needs[1] and bias is not None)

    def run() -> None:
        y = torch.convolution(x, weight, bias, *options)
        if any(mask):
            sizes = None if bias is None else [len(bias)]
            torch.ops.aten.convolution_backward(y, x, weight, sizes, *options, mask)

    return run


def _linear(x: Any, weight: Any, bias: Any, needs: Needs) -> Run:
    def run() -> None:
        y = torch.nn.functional.linear(x, weight, bias)
        if needs[0]:
            y @ weight
        if needs[1]:
            y.t() @ x
            if bias is not None:
                y.sum(0)

    return run
