"""The program: one immutable, interned node type, and graphs of such nodes.

Equal nodes are the same object, so a repeated subexpression is there once. A node also remembers
where it came from (a layer's name), which is no part of what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import Shape, Size, substitute

_interned: WeakValueDictionary[tuple[object, ...], Node] = WeakValueDictionary()
_lock = Lock()


class Origin(str):
    """Where a node comes from: names of layers, outermost first. label: how messages call it."""

    label: str

    def __new__(cls, path: str, label: str) -> Origin:
        self = super().__new__(cls, path)
        self.label = label
        return self


_NOWHERE = Origin("", "")
_origin: ContextVar[Origin] = ContextVar("origin", default=_NOWHERE)
_trace: ContextVar[int] = ContextVar("trace", default=0)
_traces = count(1)


class Node:
    """One value of the program: an operation applied to other nodes.

    Made by `ir.ops.make`, which checks it; `raw` makes one whose shape is already known.
    """

    __slots__ = ("__weakref__", "attrs", "dtype", "inputs", "op", "origin", "shape")

    op: str
    inputs: tuple[Node, ...]
    attrs: tuple[tuple[str, Any], ...]
    shape: Shape
    dtype: str
    origin: Origin

    def __getitem__(self, attribute: str) -> Any:
        for name, value in self.attrs:
            if name == attribute:
                return value
        raise KeyError(f"{self.op} has no attribute {attribute}")

    def __repr__(self) -> str:
        return f"<{self.op} {self.dtype}[{', '.join(map(str, self.shape))}]>"

    @property
    def rank(self) -> int:
        return len(self.shape)


def raw(
    op: str,
    inputs: Sequence[Node],
    attrs: Mapping[str, Any],
    shape: Shape,
    dtype: str,
    origin: Origin | None = None,
) -> Node:
    """The node with these parts; the same object each time.

    origin: where a node that is new comes from; by default, what is being traced.
    """
    frozen = tuple(sorted(attrs.items()))
    # Inputs are those of one trace, and so is all that depends on them: their origins are its.
    own = _trace.get() if op == "input" else 0
    key = (own, op, tuple(map(id, inputs)), _distinct(frozen), shape, dtype)
    with _lock:
        node = _interned.get(key)
        if node is None:
            node = Node()
            node.op, node.inputs, node.attrs = op, tuple(inputs), frozen
            node.shape, node.dtype = shape, dtype
            node.origin = _origin.get() if origin is None else origin
            _interned[key] = node
        return node


def _distinct(value: object) -> object:
    """A key under which 1, 1.0 and True, or 0.0 and -0.0, stay apart."""
    if isinstance(value, tuple):
        return tuple(map(_distinct, value))
    return (type(value), repr(value)) if isinstance(value, float | int) else value


@contextmanager
def new_trace() -> Iterator[None]:
    """Inputs made inside are other nodes than those made elsewhere, however equal they are."""
    token = _trace.set(next(_traces))
    try:
        yield
    finally:
        _trace.reset(token)


def current_origin() -> Origin:
    """Where nodes come from that are made now."""
    return _origin.get()


@contextmanager
def origin(name: str, label: str | None = None) -> Iterator[None]:
    """Nodes made inside remember `name`, with the names around it: "model/conv1d".

    label: how messages call that place; that of an `Origin`, else the name, if left out.
    """
    around = _origin.get()
    own = getattr(name, "label", name) if label is None else label
    path = "/".join(filter(None, (around, name)))
    token = _origin.set(Origin(path, own or around.label))
    try:
        yield
    finally:
        _origin.reset(token)


def sort(outputs: Iterable[Node]) -> list[Node]:
    """Every node the outputs need, each after its inputs."""
    done: dict[Node, None] = {}
    stack = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready:
            done[node] = None
            continue
        stack.append((node, True))
        stack.extend((before, False) for before in reversed(node.inputs) if before not in done)
    return list(done)


@dataclass(frozen=True)
class Graph:
    """A program: its inputs in order (nodes of operation "input") and its outputs in order."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @cached_property
    def nodes(self) -> list[Node]:
        return sort(self.outputs)

    @cached_property
    def users(self) -> dict[Node, list[Node]]:
        """The nodes that read each node; an output counts as no reader."""
        found: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for before in node.inputs:
                found[before].append(node)
        return found


def rebuild(node: Node, inputs: Sequence[Node], sizes: Mapping[str, Any] | None = None) -> Node:
    """The same operation on other inputs, its sizes renamed where `sizes` says so."""
    if not sizes:
        if tuple(inputs) == node.inputs:
            return node
        return raw(node.op, inputs, dict(node.attrs), node.shape, node.dtype, node.origin)
    attrs = {name: resize(value, sizes) for name, value in node.attrs}
    shape = tuple(substitute(dim, sizes) for dim in node.shape)
    return raw(node.op, inputs, attrs, shape, node.dtype, node.origin)


def resize(value: Any, sizes: Mapping[str, Any]) -> Any:
    """An attribute with the names of sizes in it replaced."""
    if isinstance(value, Size):
        return substitute(value, sizes)
    if isinstance(value, tuple):
        return tuple(resize(item, sizes) for item in value)
    if isinstance(value, Axis):
        low, high = resize(value.low, sizes), resize(value.high, sizes)
        return replace(value, low=low, high=high)
    return value


def rewrite(
    outputs: Sequence[Node], change: Callable[[Node, tuple[Node, ...]], Node]
) -> list[Node]:
    """Rebuilds what the outputs need from the inputs up: `change(node, new_inputs) -> node`."""
    new: dict[Node, Node] = {}
    for node in sort(outputs):
        new[node] = change(node, tuple(new[before] for before in node.inputs))
    return [new[node] for node in outputs]
