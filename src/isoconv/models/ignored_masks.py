"""Masks that Keras ignores where isoconv heeds them: what a saved model says of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from isoconv.models import mask_steps
from isoconv.models.sequential import Sequential


def warn_of_untold(model: Any) -> None:
    """A UserWarning that names the layers whose masks Keras ignores when it opens the model."""
    names = sorted(set(_untold(model)))
    if names:
        warnings.warn(
            f"{model.where('save')}: masked steps are absent for {', '.join(names)}. Keras ignores "
            "masks there and predicts otherwise from this file; isoconv predicts the same.",
            stacklevel=2,
        )


def _untold(model: Any) -> Iterator[str]:
    """The names of layers in a model and models within it, as they would be written."""
    network = model.network
    if network is None:
        return
    if isinstance(model, Sequential):
        yield from (step.name for step in network.steps if mask_steps.ignored_there(step))
    else:
        yield from mask_steps.with_untold(network)[1]
    for step in network.steps:
        if getattr(step.target, "network", None) is not None:
            yield from _untold(step.target)
            if mask_steps.is_masked(step):
                within = step.target.network.layers
                yield from (each.name for each in within if mask_steps.ignores_masks_there(each))
