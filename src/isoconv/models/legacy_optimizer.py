"""The state of an optimizer in files of Keras 2's layout: arrays in an order and under names that
changed from version to version ("Adam/m/conv1d/kernel:0", "Adam/conv1d/kernel/m:0", "Variable_3:0",
"adam/conv1d_kernel_momentum").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from isoconv.models import h5
from isoconv.models.h5 import Found, Misfit
from isoconv.models.h5_names import names, write_arrays
from isoconv.ops.variable import Variable

GROUP = "optimizer_weights"

# What a slot was called, beside its name today.
_SLOTS = {
    "m": "momentum",
    "mg": "average_gradient",
    "rms": "velocity",
    "v": "velocity",
    "vhat": "velocity_hat",
}
_UNNAMED = ""
_COUNTERS = ("iter", "iteration", "iterations")
_RATES = ("learning_rate", "current_learning_rate", "_current_learning_rate")


def read(file: Any, model: Any, found: Found) -> None:
    """Notes what the file has for the model's optimizer, or why it does not fit."""
    group = h5.item(file, GROUP)
    optimizer = getattr(model, "optimizer", None)
    if group is None or optimizer is None:
        return
    try:
        labels = names(group, "weight_names")
        wanted = _wanted(labels, optimizer, model.trainable_weights)
        found.values += [
            (variable, h5.dataset(group, label, variable)) for label, variable in wanted.items()
        ]
    except Misfit as error:
        found.problems.append(str(error))


def write(file: Any, optimizer: Any) -> None:
    """Puts the optimizer's variables into the file, as Keras 3 does."""
    variables = {variable.path: variable for variable in optimizer.variables}
    write_arrays(file.create_group(GROUP), variables)


def _wanted(
    labels: Sequence[str], optimizer: Any, trained: Sequence[Variable]
) -> dict[str, Variable]:
    """The optimizer's variable for each array; Misfit where some are left over or missing."""
    slots = [name for group in optimizer.slots() for name in group]
    found: dict[str, Variable] = {}
    arrays: dict[str, list[str]] = {name: [] for name in (*slots, _UNNAMED)}
    for label in labels:
        last = label.split("/")[-1].partition(":")[0]
        slot = _slot(label, slots)
        if last in _COUNTERS:
            found[label] = optimizer.iterations
        elif last in _RATES:
            found[label] = optimizer.learning_rate
        elif slot is not None:
            arrays[slot].append(label)
        else:
            arrays[_UNNAMED].append(label)
    _spread_unnamed(arrays, slots, len(trained))
    if not any(arrays.values()):
        return found  # It was saved before its first step.
    if arrays.pop(_UNNAMED):
        raise Misfit(f"its arrays {', '.join(labels[:3])}, ... are none of {', '.join(slots)}")
    for slot, each in arrays.items():
        if len(each) != len(trained):
            raise Misfit(f"{slot}: {len(each)} arrays for {len(trained)} weights")
        found |= {
            label: optimizer.slot(slot, variable)
            for label, variable in zip(each, trained, strict=True)
        }
    return found


def _slot(label: str, slots: Sequence[str]) -> str | None:
    """The slot that an array's name speaks of."""
    parts = re.sub(r":\d+$", "", label).split("/")
    for part in (parts[-1], *parts[1:2]):
        name = _SLOTS.get(part, part)
        if name in slots:
            return name
    ends = [slot for slot in slots if parts[-1].endswith(f"_{slot}")]
    return max(ends, key=len, default=None)


def _spread_unnamed(arrays: Mapping[str, list[str]], slots: Sequence[str], count: int) -> None:
    """Arrays that say nothing are one slot after the other."""
    unnamed = arrays[_UNNAMED]
    if unnamed and len(unnamed) == count * len(slots) and not any(arrays[each] for each in slots):
        for number, slot in enumerate(slots):
            arrays[slot].extend(unnamed[number * count : (number + 1) * count])
        unnamed.clear()
