"""The trilinear form on PyTorch's tensors: compiled programs for its three faces, made once a
geometry. Batch and lengths are arguments at run time; channels may be first or last in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from isoconv import compiler, optional
from isoconv.ir import sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node
from isoconv.ir.layout import to_first, to_last
from isoconv.ir.ops import make
from isoconv.ir.sizes import Shape
from isoconv.runtime.executable import Executable
from isoconv.torch.threads import team

torch: Any = optional.require("torch", "torch")


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


@dataclass(frozen=True)
class Form:
    """A form for known lengths of x, in whole numbers.

    arguments: what the operator of PyTorch takes after its tensors.
    """

    geometry: Geometry
    lengths: tuple[int, ...]
    arguments: tuple[Any, ...]
    _calls: dict[Any, Call] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return id(self)

    def call(self, face: str, first: Any, second: Any, bias: Any, summed: str = "") -> Call:
        """The face for such tensors; arguments as for `Call`."""
        key = (
            face,
            first.shape,
            first.stride(),
            second.shape,
            second.stride(),
            first.dtype,
            bias is not None,
            summed,
            torch.get_num_threads(),
        )
        found = self._calls.get(key)
        if found is None:
            if len(self._calls) >= _MOST_CALLS:
                self._calls.clear()
            found = self._calls[key] = Call(self, face, first, second, bias, summed)
        return found


@lru_cache(maxsize=1024)
def form_of(
    lengths: tuple[int, ...],
    channels: int,
    filters: int,
    taps: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    low: tuple[int, ...],
    high: tuple[int, ...],
    groups: int,
) -> Form:
    """The form, one object for equal arguments: those of the operator."""
    axes = tuple(map(Axis, taps, strides, dilation, low, high))
    arguments = (lengths, channels, filters, taps, strides, dilation, low, high, groups)
    return Form(Geometry(axes, groups, channels, filters), lengths, arguments)


class Call:
    """A face of a form for tensors of known shapes and strides: "y" of (x, w), "x" of (w, y), "w"
    of (x, y).

    bias: None, or a tensor of y's filters (face "y") or x's channels (face "x"). The result has
    its channels where the first operand that has any has them. summed: "" or, with face "w", the
    operand whose sums over all but the channels are given as well: where that is the gradient of
    a result, they are the bias' gradient.
    """

    def __init__(
        self, form: Form, face: str, first: Any, second: Any, bias: Any, summed: str
    ) -> None:
        self.form, self.face = form, face
        operands = dict(zip(_OPERANDS[face], (first, second), strict=True))
        last = {name: channels_are_last(tensor) for name, tensor in operands.items()}
        self._copied = [
            not last[name] and not tensor.is_contiguous() for name, tensor in operands.items()
        ]
        last[face] = next(last[name] for name in operands if name != "w") and face != "w"
        shapes = [_in_memory(tensor.shape, last[name]) for name, tensor in operands.items()]
        if bias is not None:
            shapes.append(tuple(bias.shape))
        self._rest: tuple[int, ...] = ()
        if face == "x":
            shapes.append(form.lengths)
            # Lengths are told by a shape; there is nothing to read.
            self._rest = (0,)
        program = _program(
            face,
            form.geometry,
            tuple(sorted(name for name, is_last in last.items() if is_last)),
            bias is not None,
            str(first.dtype).removeprefix("torch."),
            torch.get_num_threads(),
            summed,
        )
        self._run = program.addressed(shapes)
        self._results = [
            # Numbers one by one are taken sooner than a tuple of them.
            partial(torch.empty, *shape, dtype=first.dtype)
            for shape in self._run.shapes
        ]
        self._moved = last[face]

    def __call__(self, first: Any, second: Any, bias: Any = None) -> list[Any]:
        """The results for tensors of the shapes and strides that were promised."""
        if self._copied[0]:
            first = first.contiguous()
        if self._copied[1]:
            second = second.contiguous()
        results = [make() for make in self._results]
        addresses = [first.data_ptr(), second.data_ptr()]
        if bias is not None:
            bias = bias.contiguous()
            addresses.append(bias.data_ptr())
        addresses += self._rest
        addresses += [result.data_ptr() for result in results]
        self._run(addresses)
        if self._moved:
            # Channels are last in memory, and in PyTorch's place.
            results[0] = results[0].movedim(-1, 1)
        return results


def _in_memory(shape: Sequence[int], is_last: bool) -> tuple[int, ...]:
    """The shape of a tensor in the order of its memory."""
    return (shape[0], *shape[2:], shape[1]) if is_last else tuple(shape)


# Layouts and batches remembered of one form.
_MOST_CALLS = 64
_OPERANDS = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}


def channels_are_last(tensor: Any) -> bool:
    """Whether the tensor's memory has its channels last, as in `torch.channels_last`."""
    if tensor.is_contiguous() or tensor.dim() < 3:
        return False
    return bool(tensor.movedim(1, -1).is_contiguous())


@lru_cache(maxsize=1024)
def _program(
    face: str,
    geometry: Geometry,
    last: tuple[str, ...],
    with_bias: bool,
    dtype: str,
    threads: int,
    summed: str,
) -> Executable:
    """The face compiled. last: those of x, w and y that have their channels last in memory."""
    lengths = tuple(sizes.name(f"l{i}") for i in range(len(geometry.axes)))
    places = tuple(geometry.outputs(lengths))
    batch = sizes.name("n")
    shapes = {
        "x": (batch, geometry.channels, *lengths),
        "w": geometry.weight_shape,
        "y": (batch, geometry.filters, *places),
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
    outputs = [result if face in last else _outer(face, result)]
    if summed:
        read = dict(zip(names, given, strict=True))[summed][1]
        over = tuple(axis for axis in range(read.rank) if axis != 1)
        total = make("reduce_sum", read, axes=over)
        outputs.append(make("reshape", total, shape=(read.shape[1],)))
    return compiler.compile(Graph(tuple(inputs), tuple(outputs)), threads=threads, team=team())


def _input(name: str, shape: Shape, dtype: str, is_last: bool) -> tuple[Node, Node]:
    """The input as it lies in memory, and the same with channels in PyTorch's place."""
    if not is_last:
        node = make("input", name=name, shape=shape, dtype=dtype)
        return node, node
    node = make("input", name=name, shape=(shape[0], *shape[2:], shape[1]), dtype=dtype)
    return node, to_first(node)


def _inner(name: str, node: Node) -> Node:
    """An operand in the form's order: channels last; weights as taps, channels, filters."""
    rank = node.rank
    if name == "w":
        return make("transpose", node, perm=(*range(2, rank), 1, 0))
    return to_last(node)


def _outer(name: str, node: Node) -> Node:
    """A result in PyTorch's order."""
    rank = node.rank
    if name == "w":
        return make("transpose", node, perm=(rank - 1, rank - 2, *range(rank - 2)))
    return to_first(node)
