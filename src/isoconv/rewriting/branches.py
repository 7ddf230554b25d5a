"""Rows 18 and 19: convolutions of one input that are added, or stand side by side, become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from isoconv.ir.geometry import Axis, span
from isoconv.ir.graph import Node
from isoconv.ir.ops import OPS, make
from isoconv.rewriting.rule import Facts, Rule
from isoconv.rewriting.weights import (
    add,
    affine,
    along_filters,
    data_of,
    identity,
    is_channelwise,
    is_form,
    placed,
    taps_of,
    vector,
    weights_of,
)

# -- sums (row 18) ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """A term of a sum: form(source, weights) + shift. A source given back has no form yet."""

    source: Node
    form: Node | None
    scale: Node | None
    shift: Node | None


def merge_sum(node: Node, facts: Facts) -> Node | None:
    terms = list(_terms(node, facts))
    branches = [_branch(term, facts) for term in terms]
    for i, first in enumerate(branches):
        for j in range(i + 1, len(branches)):
            merged = _merged(first, branches[j])
            if merged is not None:
                rest = [term for place, term in enumerate(terms) if place not in (i, j)]
                return _sum([merged, *rest])
    return None


def _terms(node: Node, facts: Facts) -> Iterable[Node]:
    """What a nested sum adds; its bias counts with the term it was added to."""
    if node.op != "add" or any(is_channelwise(x, facts) for x in node.inputs):
        return [node]
    return [
        term
        for x in node.inputs
        for term in (_terms(x, facts) if facts.read_once(x) or x.op != "add" else [x])
    ]


def _sum(terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = make("add", total, term)
    return total


def _branch(term: Node, facts: Facts) -> Branch:
    found = affine(term, facts)
    if found.scale is None and is_form(found.source, facts) and facts.read_once(found.source):
        return Branch(data_of(found.source), found.source, None, found.shift)
    return Branch(found.source, None, found.scale, found.shift)


def _merged(left: Branch, right: Branch) -> Node | None:
    """Two terms as one form, where they have one source and fit each other."""
    form = left.form or right.form
    if form is None or left.source is not right.source:
        return None
    parts = [_part(branch, form) for branch in (left, right)]
    if None in parts:
        return None
    (w, axes), (v, others) = [part for part in parts if part is not None]
    fits = [joint_axis(*pair) for pair in zip(axes, others, strict=True)]
    joints = [each for each in fits if each is not None]
    joint = tuple(each.axis for each in joints)
    if len(joints) < len(fits) or taps_of(joint) > taps_of(axes) + taps_of(others):
        return None
    taps = [axis.taps for axis in joint]
    weights = make(
        "add",
        placed(w, [each.left for each in joints], taps),
        placed(v, [each.right for each in joints], taps),
    )
    merged = make("conv", left.source, weights, **dict(form.attrs) | {"axes": joint})
    if merged.shape != form.shape:
        return None
    shift = add(left.shift, right.shift)
    return merged if shift is None else make("add", merged, shift)


def _part(branch: Branch, form: Node) -> tuple[Node, tuple[Axis, ...]] | None:
    """The weights and axes of a term, in the groups of `form`; None where it has others."""
    if branch.form is not None:
        same = branch.form["groups"] == form["groups"] and branch.form.shape == form.shape
        same = same and len(branch.form["axes"]) == len(form["axes"])
        return (weights_of(branch.form), branch.form["axes"]) if same else None
    channels, rank = branch.source.shape[-1], len(form["axes"])
    if branch.source.shape != form.shape or not isinstance(channels, int):
        return None
    w = identity(channels, form["groups"], rank, form.dtype)
    if branch.scale is not None:
        w = make("mul", w, along_filters(vector(branch.scale, channels), w))
    return w, (Axis(1),) * rank


@dataclass(frozen=True)
class Joint:
    """A window that holds the taps of two. left, right: its taps before the first of each."""

    axis: Axis
    left: int
    right: int


def joint_axis(left: Axis, right: Axis) -> Joint | None:
    """The window of both; None where their strides, or the steps between taps, do not fit."""
    dilation = right.dilation if left.taps == 1 else left.dilation
    lead = left.low - right.low
    if left.stride != right.stride or not isinstance(lead, int) or lead % dilation:
        return None
    if right.taps > 1 and right.dilation != dilation:
        return None
    starts = max(-lead, 0) // dilation, max(lead, 0) // dilation
    taps = max(starts[0] + left.taps, starts[1] + right.taps)
    low = left.low + starts[0] * dilation
    # As many outputs as before: what the padding leaves beside the span does not change.
    high = left.low + left.high - left.span + span(taps, dilation) - low
    return Joint(Axis(taps, left.stride, dilation, low, high), *starts)


# -- side by side (row 19) --------------------------------------------------------------------


def join_concat(node: Node, facts: Facts) -> Node | None:
    if node["axis"] != node.rank - 1:
        return None
    runs: list[list[Node]] = [[node.inputs[0]]]
    for before, after in pairwise(node.inputs):
        if side_by_side([before, after], facts) is None:
            runs.append([])
        runs[-1].append(after)
    if len(runs) == len(node.inputs):
        return None
    parts = [side_by_side(run, facts) if len(run) > 1 else run[0] for run in runs]
    found = [part for part in parts if part is not None]
    return found[0] if len(found) == 1 else make("concat", *found, axis=node["axis"])


def side_by_side(nodes: Sequence[Node], facts: Facts) -> Node | None:
    """The concatenation of values along their channels, as one computation like each of them."""
    first, op = nodes[0], nodes[0].op
    if any(each.op != op or not facts.read_once(each) for each in nodes):
        return None
    if is_form(first, facts):
        return _one_form(nodes, facts)
    if OPS[op].kind != "elementwise" or any(each.attrs != first.attrs for each in nodes):
        return None
    operands = []
    for given in zip(*(each.inputs for each in nodes), strict=True):
        operand = _operand(given, nodes, facts)
        if operand is None:
            return None
        operands.append(operand)
    return make(op, *operands, **dict(first.attrs))


def _operand(given: Sequence[Node], nodes: Sequence[Node], facts: Facts) -> Node | None:
    if all(x is given[0] for x in given) and given[0].shape[-1] == 1:
        return given[0]
    if all(is_channelwise(x, facts) for x in given):
        pairs = zip(given, nodes, strict=True)
        rows = [vector(x, node.shape[-1]) for x, node in pairs]
        joined = make("concat", *rows, axis=0)
        return make("reshape", joined, shape=(*(1,) * (nodes[0].rank - 1), *joined.shape))
    return side_by_side(given, facts)


def _one_form(forms: Sequence[Node], facts: Facts) -> Node | None:
    first = forms[0]
    if first["groups"] > 1 or any(
        not is_form(each, facts) or each.attrs != first.attrs or data_of(each) is not data_of(first)
        for each in forms
    ):
        return None
    w = weights_of(first)
    weights = make("concat", *map(weights_of, forms), axis=w.rank - 1)
    return make("conv", data_of(first), weights, **dict(first.attrs))


RULES = (
    Rule(
        "branches that are added",
        "18",
        "conv(x, w) + conv(x, v) + x * s",
        "conv(x, w + v + s)",
        "one source, equal strides and output sizes; not more taps than the branches have",
        "folding",
        frozenset({"add"}),
        merge_sum,
    ),
    Rule(
        "convolutions side by side",
        "19",
        "concat(f(conv(x, w)), f(conv(x, v)))",
        "f(conv(x, concat(w, v)))",
        "one source, equal geometry, groups 1, neighbours in the concatenation",
        "exact",
        frozenset({"concat"}),
        join_concat,
    ),
)
