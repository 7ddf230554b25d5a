"""Questions about forms that rules and plans both ask."""

from __future__ import annotations

from isoconv.ir.graph import Node


def is_depthwise(form: Node) -> bool:
    """Whether every channel is a group of its own, with one filter."""
    operand = form.inputs[0]
    channels = operand.shape[-2] if form["face"] == "x" else operand.shape[-1] // form["groups"]
    if form["face"] == "w":
        return form["groups"] > 1 and channels == 1 and form.shape[-1] == form["groups"]
    weights = form.inputs[0 if form["face"] == "x" else 1]
    return form["groups"] > 1 and channels == 1 and weights.shape[-1] == form["groups"]
