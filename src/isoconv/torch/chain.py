"""Layers in a row as two compiled programs: one forth, which keeps what the way back reads, and one
back, with all gradients. Batch and lengths are arguments at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from isoconv import compiler, gradient, optional
from isoconv.ir import sizes
from isoconv.ir.graph import Graph, Node, rebuild, sort
from isoconv.ir.layout import to_first, to_last
from isoconv.ir.ops import make
from isoconv.ops.recorder import Recorder, record_into
from isoconv.ops.tensor import Tensor
from isoconv.runtime.executable import Executable
from isoconv.torch.links import Drawing, Dropout, Link
from isoconv.torch.threads import team

torch: Any = optional.require("torch", "torch")


@dataclass(frozen=True)
class Kind:
    """What programs of a chain follow from.

    shape: of x, in PyTorch's order; sizes that are left to run time are None. tensors: the shapes
    of weights and buffers. is_last: whether channels are last in memory. needs: whether gradients
    are asked for, by x and by each of the tensors.
    """

    links: tuple[Link, ...]
    shape: tuple[int | None, ...]
    tensors: tuple[tuple[int, ...], ...]
    dtype: str
    is_last: bool
    needs: tuple[bool, ...]
    threads: int


@dataclass(frozen=True)
class Drawn:
    """A chain as nodes. x and y as they lie in memory, inner ones with channels last."""

    x: Node
    inner_x: Node
    tensors: tuple[Node, ...]
    keys: tuple[Node, ...]
    inner_y: Node
    y: Node
    drawing: Drawing


def draw(kind: Kind) -> Drawn:
    """The nodes; an error of isoconv where the layers do not fit."""
    shape = tuple(
        sizes.name("n" if i == 0 else f"l{i}") if n is None else n for i, n in enumerate(kind.shape)
    )
    rank = len(shape)
    if kind.is_last:
        shape = (shape[0], *shape[2:], shape[1])
    x = make("input", name="x", shape=shape, dtype=kind.dtype)
    tensors = tuple(
        make("input", name=f"w{i}", shape=each, dtype=kind.dtype)
        for i, each in enumerate(kind.tensors)
    )
    count = sum(isinstance(link, Dropout) for link in kind.links)
    keys = tuple(make("input", name=f"k{i}", shape=(), dtype="int64") for i in range(count))
    drawing = Drawing(iter(tensors), iter(keys))
    inner = x if kind.is_last or rank < 3 else to_last(x)
    y = Tensor(inner)
    with record_into(Recorder()):
        for link in kind.links:
            y = link.draw(drawing, y)
    turned = y.node if kind.is_last or y.ndim < 3 else to_first(y.node)
    return Drawn(x, inner, tensors, keys, y.node, turned, drawing)


class Chain:
    """The programs of one kind.

    changed: the places of the tensors that get new values. keys: how many random numbers are drawn.
    masks: how many choices of dropout are saved. reads: which of x, the tensors and, last, y the
    way back reads, by their places; after these it reads what was saved, the choices first.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        drawn = draw(kind)
        self.keys = len(drawn.keys)
        self.masks = 0
        self.reads: list[int] = []
        saved: list[Node] = []
        if any(kind.needs):
            back, saved = self._back(drawn)
            self.back = self._compiled(back)
        updates = drawn.drawing.updates
        self.changed = [drawn.tensors.index(node) for node in updates]
        outputs = (drawn.y, *updates.values(), *saved)
        self.dtypes = [getattr(torch, node.dtype) for node in outputs]
        self.forth = self._compiled(Graph((drawn.x, *drawn.tensors, *drawn.keys), outputs))

    def _compiled(self, graph: Graph) -> Executable:
        return compiler.compile(graph, threads=self.kind.threads, team=team())

    def _back(self, drawn: Drawn) -> tuple[Graph, list[Node]]:
        """The way back, and what it reads of the values in between."""
        kind = self.kind
        dy = make("input", name="dy", shape=drawn.y.shape, dtype=kind.dtype)
        y = make("input", name="y", shape=drawn.y.shape, dtype=kind.dtype)
        is_turned = drawn.y is not drawn.inner_y
        given = (drawn.inner_x, *drawn.tensors)
        wrt = [node for node, needed in zip(given, kind.needs, strict=True) if needed]
        found = gradient.vjp([drawn.inner_y], wrt, [to_last(dy) if is_turned else dy])
        if kind.needs[0] and drawn.x is not drawn.inner_x:
            found[0] = to_first(found[0])

        masks = drawn.drawing.masks
        self.masks = len(masks)
        known = {node: node for node in given}
        known[drawn.inner_y] = to_last(y) if is_turned else y
        saved = list(dict.fromkeys([*masks, *(n for n in drawn.drawing.kept if n not in known)]))
        for i, node in enumerate(saved):
            known[node] = make("input", name=f"s{i}", shape=node.shape, dtype=node.dtype)
        found = _from(found, known)
        read = set(sort(found))
        saved = [node for node in saved if node in masks or known[node] in read]

        places = (drawn.x, *drawn.tensors, y)
        self.reads = [i for i, node in enumerate(places) if node in read]
        open_sizes = tuple(dim for dim in drawn.x.shape if not isinstance(dim, int))
        lengths = make("input", name="sizes", shape=open_sizes, dtype="int32")
        inputs = (dy, *(places[i] for i in self.reads), *(known[node] for node in saved), lengths)
        return Graph(inputs, tuple(found)), saved


def _from(outputs: Sequence[Node], known: dict[Node, Node]) -> list[Node]:
    """The outputs, computed from known values."""
    new = dict(known)
    stack = list(reversed(outputs))
    while stack:
        node = stack[-1]
        missing = [before for before in node.inputs if before not in new]
        if node in new or not missing:
            stack.pop()
            if node not in new:
                new[node] = rebuild(node, [new[before] for before in node.inputs])
        else:
            stack.extend(reversed(missing))
    return [new[node] for node in outputs]


chain_of = lru_cache(maxsize=1024)(Chain)


class Call:
    """A chain for tensors of known sizes. shape: of x, in PyTorch's order."""

    def __init__(self, chain: Chain, shape: tuple[int, ...]) -> None:
        self.chain, kind = chain, chain.kind
        lies = (shape[0], *shape[2:], shape[1]) if kind.is_last else shape
        self._forth = chain.forth.addressed([lies, *kind.tensors, *[()] * chain.keys])
        y, *rest = self._forth.shapes
        self._turned = kind.is_last and len(y) > 2
        if any(kind.needs):
            lengths = tuple(n for n, fixed in zip(shape, kind.shape, strict=True) if fixed is None)
            read = [(lies, *kind.tensors, y)[i] for i in chain.reads]
            self._back = chain.back.addressed([y, *read, *rest[len(chain.changed) :], lengths])

    def forth(self, x: Any, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """The output, what buffers become, and what the way back reads of values in between."""
        chain = self.chain
        given = [x.data_ptr(), *[each.data_ptr() for each in tensors]]
        if chain.keys:
            keys = torch.randint(_KEYS, (chain.keys,))
            first = keys.data_ptr()
            given += range(first, first + 8 * chain.keys, 8)
        made = [
            torch.empty(shape, dtype=dtype)
            for shape, dtype in zip(self._forth.shapes, chain.dtypes, strict=True)
        ]
        self._forth((*given, *[each.data_ptr() for each in made]))
        y, *rest = made
        y = y.movedim(-1, 1) if self._turned else y
        return y, rest[: len(chain.changed)], rest[len(chain.changed) :]

    def back(self, dy: Any, read: Sequence[Any], saved: Sequence[Any]) -> list[Any]:
        """The gradients, for all that `needs` says so. read: as `Chain.reads` says."""
        if self._turned:
            dy = dy.movedim(1, -1)
        given = [dy.contiguous(), *read, *saved]
        made = [torch.empty(shape, dtype=dy.dtype) for shape in self._back.shapes]
        self._back((*[each.data_ptr() for each in given], 0, *[each.data_ptr() for each in made]))
        needs = self.chain.kind.needs
        if needs[0] and self.chain.kind.is_last:
            made[0] = made[0].movedim(-1, 1)
        found = iter(made)
        return [next(found) if needed else None for needed in needs]


# Keys of random numbers are drawn from PyTorch's generator, so that its seeds repeat them.
_KEYS = 1 << 62
