"""Row 14: a transpose moves past what does not care, towards the outputs, and meets its inverse.

A chain of layers with channels first then has transposes at its two ends only. Sums keep their
order, so they are not among the operations passed: all bits stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv.ir.graph import Node
from isoconv.ir.ops import OPS, make
from isoconv.ir.sizes import Dim, Shape, product
from isoconv.rewriting.rule import Facts, Rule

Perm = tuple[int, ...]


def inverse(perm: Perm) -> Perm:
    """The order of axes that undoes this one."""
    return tuple(sorted(range(len(perm)), key=lambda place: perm[place]))


def back(values: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """What stands for each axis before the transpose, from what stands for each axis after it."""
    return tuple(values[place] for place in inverse(perm))


def transposed(x: Node, perm: Perm) -> Node:
    """The transpose of x, with one below it made one with it."""
    if x.op == "transpose":
        perm = tuple(x["perm"][axis] for axis in perm)
        x = x.inputs[0]
    return x if perm == tuple(range(x.rank)) else make("transpose", x, perm=perm)


def _join(node: Node, facts: Facts) -> Node | None:
    found = transposed(node.inputs[0], node["perm"])
    return None if found is node else found


def _perms(inputs: Sequence[Node]) -> list[Perm]:
    return list(dict.fromkeys(x["perm"] for x in inputs if x.op == "transpose"))


def _pass_elementwise(node: Node, facts: Facts) -> Node | None:
    for perm in _perms(node.inputs):
        operands = _all_before(node.inputs, perm, facts)
        if operands:
            return make("transpose", make(node.op, *operands, **dict(node.attrs)), perm=perm)
    return None


def _pass_concat(node: Node, facts: Facts) -> Node | None:
    for perm in _perms(node.inputs):
        operands = _all_before(node.inputs, perm, facts)
        if operands:
            joined = make("concat", *operands, axis=perm[node["axis"]])
            return make("transpose", joined, perm=perm)
    return None


def _all_before(inputs: Sequence[Node], perm: Perm, facts: Facts) -> list[Node] | None:
    """The operands as they are before a transpose by `perm`, where that costs no new transpose."""
    undone = inverse(perm)
    moved = [x for x in inputs if x.op == "transpose" and x["perm"] == perm]
    kept = any(facts.is_needed_transposed(x.inputs[0], perm) for x in moved)
    cancels = facts.is_only_transposed(undone)
    found = []
    for x in inputs:
        free = _before(x, perm)
        if free is None and not kept and (cancels or facts.is_needed_transposed(x, undone)):
            free = transposed(x, undone)
        if free is None:
            return None
        found.append(free)
    return found


def _before(x: Node, perm: Perm) -> Node | None:
    """What x is the transpose of by `perm`, where nothing has to be moved for it."""
    shape = back(x.shape, perm)
    if x.op == "transpose" and x["perm"] == perm:
        return x.inputs[0]
    if x.op == "full":
        return make("full", value=x["value"], shape=shape, dtype=x.dtype)
    if x.op == "iota":
        return make("iota", axis=perm[x["axis"]], shape=shape, dtype=x.dtype)
    if x.op == "broadcast":
        inner = _before(x.inputs[0], perm)
        return None if inner is None else make("broadcast", inner, shape=shape)
    if sum(dim != 1 for dim in x.shape) <= 1:
        source = x.inputs[0] if x.op == "reshape" else x
        return source if source.shape == shape else make("reshape", source, shape=shape)
    return None


_PER_AXIS = {
    "pad": ("low", "high", "interior"),
    "slice": ("start", "shape", "step"),
    "broadcast": ("shape",),
}
_AXES = ("reverse", "reduce_max")


def _pass_view(node: Node, facts: Facts) -> Node | None:
    (x,) = node.inputs
    if x.op != "transpose":
        return None
    perm, attrs = x["perm"], dict(node.attrs)
    for name in _PER_AXIS.get(node.op, ()):
        attrs[name] = back(attrs[name], perm)
    if node.op in _AXES:
        attrs["axes"] = tuple(sorted(perm[axis] for axis in attrs["axes"]))
    if node.op == "argmax":
        attrs["axis"] = perm[attrs["axis"]]
    return make("transpose", make(node.op, x.inputs[0], **attrs), perm=perm)


def _pass_reshape(node: Node, facts: Facts) -> Node | None:
    (x,) = node.inputs
    if x.op != "transpose":
        return None
    perm, blocks = x["perm"], _blocks(x.shape, node.shape)
    sources = [[perm[axis] for axis in given] for given, _ in blocks]
    if any(source != list(range(source[0], source[0] + len(source))) for source in sources):
        return None
    order = sorted(range(len(blocks)), key=lambda number: sources[number][0])
    axes = [axis for number in order for axis in blocks[number][1]]
    inner, shape = x.inputs[0], tuple(node.shape[axis] for axis in axes)
    if shape != inner.shape:
        inner = make("reshape", inner, shape=shape)
    return transposed(inner, inverse(tuple(axes)))


def _blocks(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """A reshape as parts that do not mix: the axes before and after of each."""
    blocks: list[tuple[list[int], list[int]]] = []
    place = 0
    for axis in range(len(before)):
        if blocks and _count(before, blocks[-1][0]) != _count(after, blocks[-1][1]):
            blocks[-1][0].append(axis)
        else:
            blocks.append(([axis], []))
        given, found = blocks[-1]
        while place < len(after) and _continues(_count(before, given), after, found, place):
            found.append(place)
            place += 1
    blocks[-1][1].extend(range(place, len(after)))
    return blocks


def _continues(total: Dim, after: Shape, found: list[int], place: int) -> bool:
    """Whether the next axis after the reshape belongs to what is `total` before it."""
    if _count(after, found) == total:
        return bool(found and after[place] == 1)
    grown = _count(after, found) * after[place]
    return total == 0 if grown == 0 else total // grown * grown == total


def _count(shape: Shape, axes: Sequence[int]) -> Dim:
    return product(shape[axis] for axis in axes)


_ELEMENTWISE = frozenset(name for name, row in OPS.items() if row.kind == "elementwise")

RULES = (
    Rule(
        "two transposes are one",
        "14",
        "transpose(transpose(x, p), q)",
        "transpose(x, p[q]), or x where that is no change",
        "always",
        "exact",
        frozenset({"transpose"}),
        _join,
    ),
    Rule(
        "a transpose after an elementwise operation",
        "14",
        "f(transpose(x, p), transpose(y, p))",
        "transpose(f(x, y), p)",
        "no operand needs a transpose that is not there already",
        "exact",
        _ELEMENTWISE,
        _pass_elementwise,
    ),
    Rule(
        "a transpose after a concatenation",
        "14",
        "concat(transpose(x, p), transpose(y, p))",
        "transpose(concat(x, y), p)",
        "no operand needs a transpose that is not there already",
        "exact",
        frozenset({"concat"}),
        _pass_concat,
    ),
    Rule(
        "a transpose after padding, slicing, repeating, reversing or a maximum",
        "14",
        "f(transpose(x, p))",
        "transpose(f(x), p)",
        "always",
        "exact",
        frozenset({*_PER_AXIS, *_AXES, "argmax"}),
        _pass_view,
    ),
    Rule(
        "a transpose after a reshape",
        "14",
        "reshape(transpose(x, p))",
        "transpose(reshape(x), q)",
        "axes that the reshape joins stand side by side in x",
        "exact",
        frozenset({"reshape"}),
        _pass_reshape,
    ),
)
