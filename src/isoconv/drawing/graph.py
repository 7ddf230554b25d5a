"""A model as a graph: a box a call of a layer, a frame around a model within it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from isoconv import spec
from isoconv.drawing.layered import layered
from isoconv.drawing.picture import Picture
from isoconv.drawing.scene import Box, Item, Line, Part, Text, column, framed, moved, text_part
from isoconv.drawing.style import STYLES, TIMES
from isoconv.errors import ArgumentError, explain
from isoconv.explaining.tracing import traced
from isoconv.ir.graph import Node
from isoconv.layers.base import Layer
from isoconv.layers.input import InputLayer
from isoconv.models.model import Model
from isoconv.models.network import Network, needed
from isoconv.naming import shortened
from isoconv.ops import tree

_LONGEST, _NAME = 44, 28
_PAD = 12.0

# Functions of one box, and the letters of a line of their names.
_MOST_CALLS, _CALLS = 8, 28

_FAMILIES = {
    "convolution": "convolution",
    "transposed": "convolution",
    "separable": "convolution",
    "dense": "product",
    "embedding": "product",
    "pooling": "pooling",
    "adaptive": "pooling",
    "merge": "join",
    "input": "input",
}
"""The style of a box by the module that a layer's class, or one that it is made from, is in."""


@dataclass(frozen=True)
class _Box:
    """A node: its lines of text; within it, for a model, its own graph. calls: the functions that
    it stands for, where it is no layer.
    """

    lines: tuple[tuple[str, str], ...]
    style: str
    inner: Part | None = None
    calls: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        text = text_part(self.lines)
        inner = self.inner or Part((), 0, 0)
        height = text.height + inner.height + (_PAD if self.inner else 0)
        return max(text.width, inner.width, 90.0) + 2 * _PAD, height + _PAD

    def items(self, x: float, y: float) -> Iterator[Item]:
        """What is drawn, by the middle and the upper end."""
        width, height = self.size
        yield Box(x - width / 2, y, width, height, self.style)
        at = y + _PAD / 2
        for text, name in self.lines:
            line = STYLES[name].size * 1.5
            left = x - width / 2 + _PAD if STYLES[name].anchor == "start" else x
            yield Text(left, at + line / 2, text, name)
            at += line
        if self.inner is not None:
            yield from moved(self.inner.items, x - self.inner.width / 2, at + _PAD / 2)


def model(model: Model, input_shape: Any = None) -> Picture:
    """The model as a graph: each call of a layer with its arguments, what it gives (without the
    batch, ? for sizes that are open) and its parameters; models within models in frames.

    input_shape: for a subclass with a `call` of its own, or a model that is not built: it is run
    on stand-ins of that shape. Returns a Picture, which needs no package for .svg.
    """
    if not isinstance(model, Model):
        raise ArgumentError(explain("draw.model", repr(model), "a model"))
    if model.network is not None:
        part = _of_network(model.network)
    elif input_shape is not None:
        part = _of_trace(model, input_shape)
    else:
        remedy = "Give input_shape, without the batch."
        raise ArgumentError(explain("draw.model", f"{model.name}, not drawn yet", "inputs", remedy))
    count = sum(weight.size for weight in model.weights)
    title = f"{model.name}: {count:,} parameters"
    head = text_part([(title, "title")])
    return Picture((framed(column([head, part], 16), title),))


def _graph(boxes: Sequence[_Box], edges: Sequence[tuple[int, int]]) -> Part:
    """The boxes at their places, with arrows."""
    boxes, edges = _in_rows(boxes, edges)
    found = layered([box.size for box in boxes], edges)
    items: list[Item] = []
    for box, (x, y) in zip(boxes, found.centres, strict=True):
        items += box.items(x, y)
    items += [Line(route, "edge") for route in found.routes]
    return Part(tuple(items), found.width, found.height)


def _in_rows(
    boxes: Sequence[_Box], edges: Sequence[tuple[int, int]]
) -> tuple[list[_Box], list[tuple[int, int]]]:
    """Calls of functions that only follow one another as one box, of what the last one gives."""
    before: list[list[int]] = [[] for _ in boxes]
    readers = Counter(start for start, _ in edges)
    for start, end in edges:
        before[end].append(start)
    found: list[_Box] = []
    place: list[int] = []
    for box, sources in zip(boxes, before, strict=True):
        follows = len(sources) == 1 and readers[sources[0]] == 1 and box.calls
        last = found[place[sources[0]]].calls if follows else ()
        if 0 < len(last) < _MOST_CALLS:
            place.append(place[sources[0]])
            found[place[-1]] = _calls((*last, *box.calls), box.lines[-1][0])
        else:
            place.append(len(found))
            found.append(box)
    joined = [(place[start], place[end]) for start, end in edges if place[start] != place[end]]
    return found, joined


def _calls(names: tuple[str, ...], gives: str) -> _Box:
    """A box of functions called one after the other."""
    lines = [(line, "node name") for line in wrap(", ".join(names), _CALLS)]
    return _Box((*lines, (gives, "node note")), "other", calls=names)


def _of_network(network: Network) -> Part:
    """A model as it was drawn."""
    steps = [*network.entries, *network.steps]
    number = {id(step): i for i, step in enumerate(steps)}
    given = {id(tensor): i for i, tensor in enumerate(network.flat_inputs)}
    edges = dict.fromkeys(
        (given.get(id(tensor), number.get(id(tensor.call), -1)), number[id(step)])
        for step in network.steps
        for tensor in needed(step)
    )
    targets = [step.target for step in steps]
    boxes = [
        _box(
            step.target,
            step.name,
            [tensor.shape[1:] for tensor in step.outputs],
            _told_again(targets, i),
        )
        for i, step in enumerate(steps)
    ]
    return _graph(boxes, [edge for edge in edges if edge[0] >= 0])


def _of_trace(model: Model, input_shape: Any) -> Part:
    """A model as it runs: the calls of layers that call no others, and what goes from one to
    another.
    """
    found = traced(model, input_shape, 1)
    calls = list(found.calls.items())
    owner: dict[Node, int] = {node: i for i, node in enumerate(found.inputs)}
    boxes = [
        _Box((("Input", "node name"), (_shape(node.shape[1:]), "node note")), "input")
        for node in found.inputs
    ]
    edges: dict[tuple[int, int], None] = {}
    targets = [call.target for _, call in calls]
    for index, (name, call) in enumerate(calls):
        results = [leaf for leaf in tree.leaves(call.result) if hasattr(leaf, "node")]
        for before in _sources(call.args, owner):
            edges[before, len(boxes)] = None
        owner |= {leaf.node: len(boxes) for leaf in results}
        shapes = [leaf.shape[1:] for leaf in results]
        boxes.append(_box(call.target, name, shapes, _told_again(targets, index)))
    return _graph(boxes, list(edges))


def _sources(args: Any, owner: Mapping[Node, int]) -> list[int]:
    """The boxes that some arguments come from."""
    stack = [leaf.node for leaf in tree.leaves(args) if hasattr(leaf, "node")]
    seen: set[Node] = set()
    found: dict[int, None] = {}
    while stack:
        node = stack.pop()
        if node in owner:
            found[owner[node]] = None
        elif node not in seen:
            seen.add(node)
            stack += node.inputs
    return list(found)


def _told_again(targets: Sequence[Any], index: int) -> str:
    """Of a layer that is called more than once, which of its calls this is."""
    same = [i for i, target in enumerate(targets) if target is targets[index]]
    if len(same) == 1 or not isinstance(targets[index], Layer):
        return ""
    return f"call {same.index(index) + 1} of {len(same)}, same weights"


def _box(target: Any, name: str, shapes: Sequence[Any], again: str) -> _Box:
    gives = ", ".join(map(_shape, shapes))
    name = shortened(name, _NAME)
    if not isinstance(target, Layer):
        return _calls((target.__name__,), gives)
    if isinstance(target, Model) and target.network is not None:
        told = " - ".join(filter(None, [f"{name}: {type(target).__name__}", gives, again]))
        return _Box(((told, "group name"),), "group", _of_network(target.network))
    if isinstance(target, InputLayer):
        return _Box((("Input", "node name"), (f"{name}: {gives}", "node note")), "input")
    text = spec.text(target).replace("data_format='channels_first'", "channels first")
    head = wrap(text.removesuffix("()"), _LONGEST, max_lines=2, placeholder=" …")
    lines = [*((line, "node name") for line in head), (f"{name}: {gives}", "node text")]
    if target.built and target.weights:
        lines.append((f"{target.count_params():,} parameters", "node note"))
    if again:
        lines.append((again, "node note"))
    return _Box(tuple(lines), _style(target))


def _style(layer: Layer) -> str:
    modules = (base.__module__.rpartition("isoconv.layers.")[2] for base in type(layer).__mro__)
    return next((_FAMILIES[module] for module in modules if module in _FAMILIES), "other")


def _shape(shape: Sequence[Any]) -> str:
    """Sizes joined by a cross, ? for open ones."""
    return f" {TIMES} ".join("?" if size is None else str(size) for size in shape) or "one number"
