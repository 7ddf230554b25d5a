"""What layers of PyTorch compute, each as a link: drawn in operations of ours, with channels last,
and said once more in operations of PyTorch, for derivatives of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

from isoconv import ops, optional
from isoconv.errors import ShapeError, explain
from isoconv.ir import geometry
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.layout import to_first
from isoconv.ir.ops import make
from isoconv.ops.tensor import Tensor
from isoconv.torch.operator import form

torch: Any = optional.require("torch", "torch")
F = torch.nn.functional


@dataclass
class Drawing:
    """What links draw from and leave behind.

    tensors: the weights and buffers, in the order of the links. keys: of random numbers. kept:
    values worth keeping for the way back. masks: choices of dropout. updates: what buffers become,
    and which of the tensors these are.
    """

    tensors: Iterator[Node]
    keys: Iterator[Node]
    kept: list[Node] = field(default_factory=list)
    masks: list[Node] = field(default_factory=list)
    updates: dict[Node, Node] = field(default_factory=dict)

    def tensor(self) -> Tensor:
        return Tensor(next(self.tensors))

    def keep(self, value: Tensor) -> Tensor:
        self.kept.append(value.node)
        return value


class Link(Protocol):
    """One layer, as numbers. Equal links compute the same of equal tensors."""

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        """The output for x (batch, positions..., channels)."""

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        """The output for PyTorch's x, by differentiable operations of PyTorch."""


@dataclass(frozen=True)
class Conv:
    """A convolution. padding: a mode, or (before, after) for each axis."""

    channels: int
    filters: int
    taps: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any
    groups: int
    has_bias: bool

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        axes = self._axes(x.dims[1:-1])
        drawing.keep(x)
        rank = len(axes) + 2
        weight = make("transpose", drawing.tensor().node, perm=(*range(2, rank), 1, 0))
        attrs = {"axes": axes, "groups": self.groups, "sizes": x.dims[1:-1]}
        y = Tensor(make("conv", x.node, weight, face="y", **attrs))
        return drawing.keep(y + drawing.tensor() if self.has_bias else y)

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        axes = self._axes(x.shape[2:])
        weight = next(tensors)
        bias = next(tensors) if self.has_bias else None
        pads = [axis.low for axis in axes], [axis.high for axis in axes]
        numbers = (self.channels, self.filters, self.taps, self.strides, self.dilation)
        return form("y", x, weight, bias, list(x.shape[2:]), *numbers, *pads, self.groups)

    def _axes(self, lengths: Sequence[Any]) -> tuple[Axis, ...]:
        numbers = list(zip(self.taps, self.strides, self.dilation, strict=True))
        pairs = self.padding
        if isinstance(pairs, str):
            each_axis = zip(lengths, numbers, strict=False)
            pairs = [geometry.padding(pairs, length, *each) for length, each in each_axis]
        axes = tuple(Axis(*each, *pair) for each, pair in zip(numbers, pairs, strict=False))
        _check_fit(axes, lengths)
        return axes


def _check_fit(axes: Sequence[Axis], lengths: Sequence[Any]) -> None:
    """ShapeError where a length is known to hold no window, or the axes are too many or few."""
    if len(lengths) != len(axes):
        raise ShapeError(explain("input", f"{len(lengths)} axes", str(len(axes))))
    for axis, length in zip(axes, lengths, strict=True):
        room = length + axis.low + axis.high
        if isinstance(room, int) and room < axis.span:
            raise ShapeError(explain("input", f"{room} positions", f"at least {axis.span}"))


@dataclass(frozen=True)
class Linear:
    """The form without axes, of features in the last place: rows of two axes alone."""

    channels: int
    filters: int
    has_bias: bool

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ShapeError(explain("input", f"{x.ndim} axes", "2"))
        drawing.keep(x)
        weight = make("transpose", drawing.tensor().node, perm=(1, 0))
        y = Tensor(make("conv", x.node, weight, face="y", axes=(), groups=1, sizes=()))
        return drawing.keep(y + drawing.tensor() if self.has_bias else y)

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        weight = next(tensors)
        return F.linear(x, weight, next(tensors) if self.has_bias else None)


@dataclass(frozen=True)
class BatchNorm:
    """A normalization of channels. rank: how many axes an input has, at least and at most.

    of_batch: by the batch's own statistics. momentum: how much of these the running ones become;
    None where none are kept.
    """

    rank: tuple[int, int]
    epsilon: float
    is_affine: bool
    of_batch: bool
    momentum: float | None

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        if not self.rank[0] <= x.ndim <= self.rank[1]:
            raise ShapeError(explain("input", f"{x.ndim} axes", str(self.rank)))
        scale = shift = None
        if self.is_affine:
            scale, shift = drawing.tensor(), drawing.tensor()
        if self.of_batch:
            drawing.keep(x)
            mean, factor = self._of_batch(drawing, x)
        else:
            mean, variance = drawing.tensor(), drawing.tensor()
            factor = 1.0 / ops.sqrt(variance + self.epsilon)
        y = (x - mean) * (factor if scale is None else factor * scale)
        return y if shift is None else y + shift

    def _of_batch(self, drawing: Drawing, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, and one over the standard deviation."""
        axes = tuple(range(x.ndim - 1))
        count = prod(x.dims[:-1])
        if count == 1:
            raise ShapeError(explain("input", "one value a channel", "at least two"))
        mean = drawing.keep(ops.mean(x, axes, keepdims=True))
        variance = drawing.keep(ops.mean(ops.square(x - mean), axes, keepdims=True))
        if self.momentum is not None:
            number = ops.cast(count, x.dtype)
            fair = variance * (number / (number - 1.0))
            for new in (mean, fair):
                old = drawing.tensor()
                rest = old * (1.0 - self.momentum)
                moved = rest + ops.reshape(new, (x.dims[-1],)) * self.momentum
                drawing.updates[old.node] = moved.node
        return mean, drawing.keep(1.0 / ops.sqrt(variance + self.epsilon))

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        scale = shift = mean = variance = None
        if self.is_affine:
            scale, shift = next(tensors), next(tensors)
        if self.momentum is not None or not self.of_batch:
            mean, variance = next(tensors), next(tensors)
        if self.of_batch:
            mean = variance = None
        return F.batch_norm(x, mean, variance, scale, shift, self.of_batch, 0.0, self.epsilon)


@dataclass(frozen=True)
class Activation:
    """A function of each number. name: of PyTorch's module; numbers: what it was made with."""

    name: str
    numbers: tuple[Any, ...]

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        y: Tensor = _ACTIVATIONS[self.name][0](x, *self.numbers)
        return y

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        return _ACTIVATIONS[self.name][1](x, *self.numbers)


@dataclass(frozen=True)
class MaxPool:
    """Maxima of windows."""

    axes: tuple[Axis, ...]

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        _check_fit(self.axes, x.dims[1:-1])
        drawing.keep(x)
        return drawing.keep(Tensor(make("pool_max", x.node, axes=self.axes)))

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        pool = getattr(F, f"max_pool{len(self.axes)}d")
        numbers = zip(*((a.taps, a.stride, a.low, a.dilation) for a in self.axes), strict=True)
        return pool(x, *map(list, numbers))


@dataclass(frozen=True)
class GlobalMean:
    """The mean over all positions, which stay as axes of one. rank: how many they are."""

    rank: int

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        if x.ndim != self.rank + 2:
            raise ShapeError(explain("input", f"{x.ndim} axes", str(self.rank + 2)))
        return ops.mean(x, tuple(range(1, x.ndim - 1)), keepdims=True)

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        return x.mean(tuple(range(2, x.dim())), keepdim=True)


@dataclass(frozen=True)
class Dropout:
    """Numbers set to 0 by chance, the others made larger; p is below 1."""

    p: float

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        chance = Tensor(make("random", next(drawing.keys), shape=x.dims, dtype=x.dtype))
        mask = drawing.keep(chance >= self.p)
        drawing.masks.append(mask.node)
        return ops.where(mask, x * (1.0 / (1.0 - self.p)), 0.0)

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        mask = next(masks)
        if mask.dim() > 2:
            mask = mask.movedim(-1, 1)
        return torch.where(mask, x * (1.0 / (1.0 - self.p)), torch.zeros((), dtype=x.dtype))


@dataclass(frozen=True)
class Flatten:
    """Channels and positions as one axis."""

    def draw(self, drawing: Drawing, x: Tensor) -> Tensor:
        if x.ndim < 3:
            return x
        return Tensor(make("reshape", to_first(x.node), shape=(x.dims[0], prod(x.dims[1:]))))

    def replay(self, x: Any, tensors: Iterator[Any], masks: Iterator[Any]) -> Any:
        return x.flatten(1)


_Function = Callable[..., Any]
_ACTIVATIONS: dict[str, tuple[_Function, _Function]] = {
    "Identity": (lambda x: x, lambda x: x),
    "ReLU": (ops.relu, F.relu),
    # With PyTorch's derivatives where two pieces meet.
    "ReLU6": (lambda x: ops.where(x >= 6, 6.0, ops.relu(x)), F.relu6),
    "LeakyReLU": (lambda x, slope: ops.where(x > 0, x, x * slope), F.leaky_relu),
    "ELU": (ops.elu, F.elu),
    "SiLU": (ops.silu, F.silu),
    "GELU": (
        lambda x, kind: ops.gelu(x, kind == "tanh"),
        lambda x, kind: F.gelu(x, approximate=kind),
    ),
    "Sigmoid": (ops.sigmoid, torch.sigmoid),
    "Tanh": (ops.tanh, torch.tanh),
}
