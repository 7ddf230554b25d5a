"""The equal forms of a layer that is explained."""

from __future__ import annotations

from collections.abc import Sequence

from isoconv import spec
from isoconv.conversion.forms import forms
from isoconv.errors import ArgumentError
from isoconv.explaining.facts import FormFacts, Shape
from isoconv.layers.base import Layer


def other_forms(layer: Layer, shapes: Sequence[Shape]) -> tuple[FormFacts, ...]:
    """The forms beside its own that one rule leads to; none for layers of several inputs."""
    if len(shapes) != 1:
        return ()
    return tuple(
        FormFacts(
            name=form.name,
            rows=tuple(rule.number for rule in form.rules),
            numeric=form.numeric,
            parameters=form.params,
            multiply_adds=form.macs,
            bytes=form.bytes,
        )
        for form in forms(layer, shapes[0], depth=1)[1:]
    )


def forms_of_text(text: str, shapes: Sequence[Shape]) -> tuple[FormFacts, ...]:
    """As `other_forms`, of the layer that the text names; none for one of a user's own class."""
    try:
        (layer,) = spec.layers(text)
    except ArgumentError:
        return ()
    return other_forms(layer, shapes)
