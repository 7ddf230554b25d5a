"""Weights of PyTorch's files in a model and back, by name or by order, with a table of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.errors import ArgumentError, FileError, explain
from isoconv.interop.torch.checkpoints import read_checkpoint
from isoconv.interop.torch.flattening import in_own_order, in_torchs_order
from isoconv.interop.torch.safetensors import read_safetensors
from isoconv.interop.torch.weights import Rows
from isoconv.interop.weight_map import Array, WeightMap, WeightRow
from isoconv.models.model import Model

# What torch counts for statistics that we keep otherwise.
_COUNTERS = "num_batches_tracked"
_WRAPPED = "module."


def load_state_dict(
    model: Model,
    source: Any,
    *,
    by: str | None = None,
    key: str | None = None,
    flattened: str = "channels_first",
) -> WeightMap:
    """Gives a model the weights of PyTorch; all fit, or nothing changes.

    source: the path of a .pt, .pth or .safetensors file, which need no PyTorch to be read, or a
    mapping of names to tensors or arrays, such as `module.state_dict()`. by: "name" (what
    `state_dict` calls them), "order" (that of the model's calls), or None for the first of these
    that fits. key: where in the file the tensors are, if it holds other things too.
    flattened: what the module flattened. A model with "channels_last" has the rows of what follows
    in another order than a module that flattens PyTorch's layout, "channels_first", and they are
    put in it; for a module that permutes its tensor before, say "channels_last".
    Returns the table of what went where. Raises FileError with what does not fit.
    """
    if by not in (None, "name", "order"):
        raise ArgumentError(explain("load_state_dict: by", repr(by), "'name', 'order' or None"))
    orders = ("channels_first", "channels_last")
    if flattened not in orders:
        where = "load_state_dict: flattened"
        raise ArgumentError(explain(where, repr(flattened), f"one of {orders}"))
    arrays, name = _read(source, key)
    rows = in_torchs_order(model) if flattened == orders[0] else in_own_order(model)
    plan = _plan(rows, arrays, by, f"{name}: does not fit {model.where()}")
    # All are converted before any is assigned.
    ready = [(variable, row, row.forward(array)) for variable, row, array in plan]
    for variable, _, array in ready:
        variable.assign(array)
    return WeightMap([row for _, row, _ in ready], name, model.name)


def state_dict(model: Model) -> dict[str, Array]:
    """The weights of a model by the names and in the axes that PyTorch's layers have for them.

    Each name is the layer's and PyTorch's own for the weight: "conv1.weight", "bn.running_mean".
    Arrays are copies; torch.from_numpy makes tensors of them.
    """
    rows = in_torchs_order(model)
    return {row.source: np.array(row.backward(variable.numpy())) for variable, row in rows}


def load_weights(model: Model, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    """Gives the model the weights of `path`, a .pt, .pth or .safetensors file. See
    `load_state_dict`.

    skip_mismatch: load by name what fits, and warn of the rest. by_name: never by order.
    """
    if not skip_mismatch:
        load_state_dict(model, path, by="name" if by_name else None)
        return
    arrays, name = _read(path, None)
    left = []
    for variable, row in in_torchs_order(model):
        fitted = _fitted(row, row.source, arrays[row.source]) if row.source in arrays else None
        if fitted is None:
            left.append(row.source)
        else:
            variable.assign(fitted.forward(arrays[row.source]))
    if left:
        listed = ", ".join(left[:10]) + (", ..." if len(left) > 10 else "")
        warnings.warn(f"{name}: nothing that fits {model.where()} for {listed}", stacklevel=3)


def save_weights(model: Model, path: Path) -> None:
    """Writes `state_dict(model)` as torch.save does, with the torch package."""
    torch = optional.require("torch", "torch")
    torch.save({name: torch.from_numpy(array) for name, array in state_dict(model).items()}, path)


def _read(source: Any, key: str | None) -> tuple[dict[str, Array], str]:
    """The arrays of a source but for counters, by name, and what the source is called."""
    if isinstance(source, Mapping):
        name, found = "state_dict", {each: _as_array(source[each], each) for each in source}
    else:
        path = Path(source)
        name = path.name
        if path.suffix.lower() == ".safetensors":
            found = read_safetensors(path)
        else:
            found = read_checkpoint(path, key)
    return {each: array for each, array in found.items() if not each.endswith(_COUNTERS)}, name


def _as_array(value: Any, name: str) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    if not isinstance(value, np.ndarray):
        given = f"a {type(value).__name__}"
        raise FileError(explain(f"state_dict: {name}", given, "a tensor or an array"))
    return value


Plan = list[tuple[Any, WeightRow, Array]]


def _plan(rows: Rows, arrays: dict[str, Array], by: str | None, title: str) -> Plan:
    """Each weight with its array; FileError where not all find each other."""
    named = arrays
    if arrays and all(name.startswith(_WRAPPED) for name in arrays):
        named = {name.removeprefix(_WRAPPED): array for name, array in arrays.items()}
    names = {row.source for _, row in rows}
    if by == "name" or (by is None and names == set(named)):
        lines = [f"{name}: missing" for name in sorted(names - set(named))]
        lines += [f"{name}: the model has no such weight" for name in sorted(set(named) - names)]
        pairs = [(row.source, named[row.source]) for _, row in rows if row.source in named]
    else:
        lines, pairs = [], list(arrays.items())
        if len(arrays) != len(rows):
            lines = [f"{len(arrays)} weights for the model's {len(rows)}"]
    if lines:
        raise FileError(_listed(title, lines))
    plan = []
    for (variable, row), (name, array) in zip(rows, pairs, strict=True):
        fitted = _fitted(row, name, array)
        if fitted is None:
            lines.append(f"{name}: shape {array.shape} for {row.target}, {row.source_shape} here")
        else:
            plan.append((variable, fitted, array))
    if lines:
        raise FileError(_listed(title, lines))
    return plan


def _fitted(row: WeightRow, name: str, array: Array) -> WeightRow | None:
    """The row for an array that is called so; axes of size 1 may be more or fewer."""
    if array.shape == row.source_shape:
        return replace(row, source=name)
    if [n for n in array.shape if n != 1] != [n for n in row.source_shape if n != 1]:
        return None
    split = row.source_shape if row.split is None else row.split
    return replace(row, source=name, source_shape=array.shape, split=split)


def _listed(title: str, lines: list[str]) -> str:
    shown = [*lines[:10], *([f"and {len(lines) - 10} more"] if len(lines) > 10 else [])]
    return "\n  ".join([f"{title}:", *shown])
