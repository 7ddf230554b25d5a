"""The trilinear form on PyTorch's tensors: compiled programs for its three faces, made once a
geometry. Batch and lengths are arguments at run time; channels may be first or last in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from isoconv import compiler, optional
from isoconv.ir import sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import Shape
from isoconv.runtime.executable import Executable

torch: Any = optional.require("torch", "torch")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Geometry:
    """What a layer fixes: the axes of its form, its groups, channels and filters.

    channels: of x, all groups together; filters: of y.
    """

    axes: tuple[Axis, ...]
    groups: int
    channels: int
    filters: int

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """PyTorch's order: filters, channels of a group, taps."""
        taps = tuple(axis.taps for axis in self.axes)
        return (self.filters, self.channels // self.groups, *taps)

    def outputs(self, lengths: Sequence[Any]) -> list[Any]:
        """The spatial sizes of y for those of x."""
        pairs = zip(self.axes, lengths, strict=True)
        return [axis.output(length) for axis, length in pairs]


def solve(
    face: str, geometry: Geometry, first: Any, second: Any, bias: Any, lengths: Sequence[int]
) -> Any:
    """The face of the form for two tensors: "y" of (x, w), "x" of (w, y), "w" of (x, y).

    bias: None, or a tensor of y's filters (face "y") or x's channels (face "x"). lengths: the
    spatial sizes of x. The result has its channels where the first operand that has any has them.
    """
    operands = dict(zip(_OPERANDS[face], (first, second), strict=True))
    arrays: list[Array] = []
    last: dict[str, bool] = {}
    for name, tensor in operands.items():
        array, last[name] = _array(tensor)
        arrays.append(array)
    last[face] = next(last[name] for name in operands if name != "w") and face != "w"
    if bias is not None:
        arrays.append(bias.detach().contiguous().numpy())
    if face == "x":
        arrays.append(_lengths(tuple(lengths)))
    run = _program(
        face,
        geometry,
        tuple(sorted(name for name, is_last in last.items() if is_last)),
        bias is not None,
        str(arrays[0].dtype),
        torch.get_num_threads(),
    )
    (result,) = run(arrays)
    tensor = torch.from_numpy(result)
    return tensor.movedim(-1, 1) if last[face] else tensor


_OPERANDS = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}


def channels_are_last(tensor: Any) -> bool:
    """Whether the tensor's memory has its channels last, as in `torch.channels_last`."""
    if tensor.is_contiguous() or tensor.dim() < 3:
        return False
    return bool(tensor.movedim(1, -1).is_contiguous())


def _array(tensor: Any) -> tuple[Array, bool]:
    """The tensor's memory as an array in row-major order, and whether channels are last in it."""
    detached = tensor.detach()
    if channels_are_last(detached):
        return detached.movedim(1, -1).numpy(), True
    return detached.contiguous().numpy(), False


@lru_cache(maxsize=256)
def _lengths(lengths: tuple[int, ...]) -> Array:
    """An array that says lengths by its shape and holds one number."""
    return np.broadcast_to(np.zeros((), np.int32), lengths)


@lru_cache(maxsize=1024)
def _program(
    face: str,
    geometry: Geometry,
    last: tuple[str, ...],
    with_bias: bool,
    dtype: str,
    threads: int,
) -> Executable:
    """The face compiled. last: those of x, w and y that have their channels last in memory."""
    lengths = tuple(sizes.name(f"l{i}") for i in range(len(geometry.axes)))
    outputs = tuple(geometry.outputs(lengths))
    batch = sizes.name("n")
    shapes = {
        "x": (batch, geometry.channels, *lengths),
        "w": geometry.weight_shape,
        "y": (batch, geometry.filters, *outputs),
    }
    names = _OPERANDS[face]
    given = [_input(name, shapes[name], dtype, name in last) for name in names]
    inputs = [node for node, _ in given]
    result = make(
        "conv",
        *(_inner(name, node) for name, (_, node) in zip(names, given, strict=True)),
        face=face,
        axes=geometry.axes,
        groups=geometry.groups,
        sizes=lengths,
    )
    if with_bias:
        bias = make("input", name="bias", shape=(shapes[face][1],), dtype=dtype)
        inputs.append(bias)
        row = make("reshape", bias, shape=(1,) * (result.rank - 1) + (shapes[face][1],))
        result = make("add", result, make("broadcast", row, shape=result.shape))
    if face == "x":
        inputs.append(make("input", name="lengths", shape=lengths, dtype="int32"))
    outer = result if face in last else _outer(face, result)
    return compiler.compile(Graph(tuple(inputs), (outer,)), threads=threads)


def _input(name: str, shape: Shape, dtype: str, is_last: bool) -> tuple[Node, Node]:
    """The input as it lies in memory, and the same with channels in PyTorch's place."""
    if not is_last:
        node = make("input", name=name, shape=shape, dtype=dtype)
        return node, node
    node = make("input", name=name, shape=(shape[0], *shape[2:], shape[1]), dtype=dtype)
    rank = len(shape)
    return node, make("transpose", node, perm=(0, rank - 1, *range(1, rank - 1)))


def _inner(name: str, node: Node) -> Node:
    """An operand in the form's order: channels last; weights as taps, channels, filters."""
    rank = node.rank
    if name == "w":
        return make("transpose", node, perm=(*range(2, rank), 1, 0))
    return make("transpose", node, perm=(0, *range(2, rank), 1))


def _outer(name: str, node: Node) -> Node:
    """A result in PyTorch's order."""
    rank = node.rank
    if name == "w":
        return make("transpose", node, perm=(rank - 1, rank - 2, *range(rank - 2)))
    return make("transpose", node, perm=(0, rank - 1, *range(1, rank - 1)))
