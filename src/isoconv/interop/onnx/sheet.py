"""An ONNX graph while it is written: nodes, initializers, sizes, and values with a lazy layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.interop.onnx.package import element_types, onnx
from isoconv.interop.weight_map import WeightRow
from isoconv.ir.sizes import Dim, Shape, Size, fold

Array = np.ndarray[Any, Any]
Perm = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: `name` with axis perm[i] of it as axis i.

    So transposing costs nothing until somebody needs the other order. array: its numbers, in the
    order of the program, where it is a constant, which has no name before it is used.
    """

    name: str
    perm: Perm
    array: Array | None = None

    @property
    def rank(self) -> int:
        return len(self.perm)


def straight(rank: int) -> Perm:
    return tuple(range(rank))


def inverse(perm: Sequence[int]) -> Perm:
    found = [0] * len(perm)
    for place, axis in enumerate(perm):
        found[axis] = place
    return tuple(found)


def compose(outer: Sequence[int], inner: Sequence[int]) -> Perm:
    """The transposition by `inner` of what was transposed by `outer`."""
    return tuple(outer[axis] for axis in inner)


class Sheet:
    """The parts of a graph, in order.

    nodes, initializers: as ONNX has them. sources: of each named size, the input and the axis
    that have it. rows: the weights that were written.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.sources: dict[str, tuple[str, int]] = {}
        self.rows: list[WeightRow] = []
        self._names: set[str] = set()
        self._constants: dict[tuple[str, str, tuple[int, ...], bytes], str] = {}
        self._turned: dict[tuple[str, Perm], str] = {}
        self._sizes: dict[Dim, str] = {}

    def unique(self, wanted: str) -> str:
        label, count = wanted, 0
        while label in self._names:
            count += 1
            label = f"{wanted}_{count}"
        self._names.add(label)
        return label

    # -- nodes ---------------------------------------------------------------------------------

    def node(self, op: str, inputs: Sequence[str], origin: str, **attributes: Any) -> str:
        """A new node, named after the layer it comes from; gives its output's name."""
        label = self.unique("/".join(filter(None, (origin, op))))
        given = {key: value for key, value in attributes.items() if value is not None}
        made = onnx("helper").make_node(op, list(inputs), [label], name=label, **given)
        self.nodes.append(made)
        return label

    def constant(self, array: Array, label: str) -> str:
        """An initializer; the same one for the same numbers under the same label."""
        kept = np.ascontiguousarray(array).reshape(array.shape)
        key = (label, kept.dtype.name, kept.shape, kept.tobytes())
        if key not in self._constants:
            name = self.unique(label)
            self._constants[key] = name
            self.initializers.append(onnx("numpy_helper").from_array(kept, name))
        return self._constants[key]

    def number(self, value: Any, dtype: str) -> str:
        """One number as a scalar initializer, named by it."""
        return self.constant(np.asarray(value, dtype), f"{dtype}:{value}")

    # -- layouts -------------------------------------------------------------------------------

    def in_order(self, value: Value, perm: Perm, origin: str, label: str = "constant") -> str:
        """The name of a tensor that, transposed by `perm`, is the value."""
        if value.array is not None:
            return self.constant(value.array.transpose(inverse(perm)), label)
        if value.perm == perm:
            return value.name
        key = (value.name, compose(value.perm, inverse(perm)))
        if key not in self._turned:
            self._turned[key] = self.node("Transpose", [value.name], origin, perm=list(key[1]))
        return self._turned[key]

    def plain(self, value: Value, origin: str, label: str = "constant") -> str:
        """The name of a tensor that is the value as it stands."""
        return self.in_order(value, straight(value.rank), origin, label)

    # -- sizes ---------------------------------------------------------------------------------

    def shape(self, dims: Shape, origin: str) -> str:
        """A tensor of int64 with these sizes."""
        if all(isinstance(dim, int) for dim in dims):
            return self.constant(np.asarray(dims, "int64"), "sizes")
        parts = [self._size(dim, origin) for dim in dims]
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, origin, axis=0)

    def _size(self, dim: Dim, origin: str) -> str:
        """A tensor of one element, a size."""
        if dim not in self._sizes:
            self._sizes[dim] = str(
                fold(
                    dim,
                    lambda number: self.constant(np.asarray([number], "int64"), "sizes"),
                    self._named,
                    lambda op, x, y: self.node(_ARITHMETIC[op], [str(x), str(y)], "sizes"),
                )
            )
        return self._sizes[dim]

    def _named(self, text: str) -> str:
        source, axis = self.sources[text]
        if (found := self._sizes.get(text)) is None:  # type: ignore[call-overload]
            found = self.node("Shape", [source], "sizes", start=axis, end=axis + 1)
            self._sizes[text] = found  # type: ignore[index]
        return str(found)

    def reshape_to(self, before: Shape, after: Shape, origin: str) -> str:
        """The operand of a Reshape: numbers, with 0 for a size kept and -1 for one that follows,
        where that says all.
        """
        if 0 in (*before, *after):
            return self.shape(after, origin)
        wanted = [
            dim if isinstance(dim, int) else (0 if i < len(before) and before[i] == dim else -1)
            for i, dim in enumerate(after)
        ]
        if wanted.count(-1) > 1:
            return self.shape(after, origin)
        return self.constant(np.asarray(wanted, "int64"), "sizes")

    # -- the whole -----------------------------------------------------------------------------

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives tensors other names, wherever they stand."""
        for node in self.nodes:
            for field in (node.input, node.output):
                for place, name in enumerate(field):
                    field[place] = names.get(name, name)


_ARITHMETIC = {"+": "Add", "*": "Mul", "//": "Div", "max": "Max"}


def tensor_info(name: str, dims: Shape, dtype: str) -> Any:
    """What an ONNX graph says of an input or output; sizes that are free by their names."""
    if dtype not in element_types():
        raise ArgumentError(explain(name, dtype, "a dtype that ONNX has"))
    shape = [str(dim) if isinstance(dim, Size) else dim for dim in dims]
    return onnx("helper").make_tensor_value_info(name, element_types()[dtype], shape)
