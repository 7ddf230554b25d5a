"""Rows 15 and 16: scales and shifts of channels, such as BatchNormalization's, become weights."""

from __future__ import annotations

from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.rewriting.rule import Facts, Rule
from isoconv.rewriting.weights import (
    affine,
    along_channels,
    along_filters,
    constant_response,
    data_of,
    is_channelwise,
    is_form,
    is_unpadded,
    vector,
    weights_of,
    with_weights,
)


def fold_after(node: Node, facts: Facts) -> Node | None:
    found = affine(node, facts)
    form = found.source
    if found.scale is None or not is_form(form, facts, "yx") or not facts.read_once(form):
        return None
    if form.shape != node.shape:
        return None
    w, channels = weights_of(form), form.shape[-1]
    if form["face"] == "y":
        factors = along_filters(vector(found.scale, channels), w)
    else:
        factors = along_channels(found.scale, w, form["groups"])
    folded = with_weights(form, make("mul", w, factors))
    return folded if found.shift is None else make("add", folded, found.shift)


def fold_before(node: Node, facts: Facts) -> Node | None:
    if not is_form(node, facts):
        return None
    x, w, groups = data_of(node), weights_of(node), node["groups"]
    found = affine(x, facts)
    if found.scale is None or not facts.read_once(x) or found.source.shape != x.shape:
        return None
    if found.shift is not None and not is_unpadded(node["axes"]):
        return None
    scaled = make("mul", w, along_channels(found.scale, w, groups))
    folded = make("conv", found.source, scaled, **dict(node.attrs))
    if found.shift is None:
        return folded
    return make("add", folded, constant_response(found.shift, w, groups, node.rank))


def merge_shifts(node: Node, facts: Facts) -> Node | None:
    inner, shift = node.inputs
    if inner.op != "add" or not is_channelwise(shift, facts) or not facts.read_once(inner):
        return None
    source, first = inner.inputs
    if source.shape != node.shape or not is_channelwise(first, facts):
        return None
    return make("add", source, make("add", first, shift))


RULES = (
    Rule(
        "a scale of channels after a convolution",
        "15",
        "conv(x, w) * s + t",
        "conv(x, w * s) + t",
        "s and t are weights, one a channel; nothing else reads the convolution",
        "folding",
        frozenset({"add", "sub", "mul", "div"}),
        fold_after,
    ),
    Rule(
        "a scale and shift of channels before a convolution",
        "16",
        "conv(x * s + t, w)",
        "conv(x, s * w) + sum(t * w)",
        "s and t are weights, one a channel; no padding where there is a t",
        "folding",
        frozenset({"conv"}),
        fold_before,
    ),
    Rule(
        "two shifts of channels are one",
        "15",
        "(x + s) + t",
        "x + (s + t)",
        "s and t are weights, one a channel",
        "folding",
        frozenset({"add"}),
        merge_shifts,
    ),
)
