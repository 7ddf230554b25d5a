"""States in HDF5 files, in the layout of Keras 3: `<path>/vars/<number>`.

Nothing in a file is believed: a dataset is read only if it is a plain array of numbers in that
very file, of the shape that the model's variable has. All is read before anything is assigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from isoconv.errors import FileError, explain
from isoconv.models.states import OPTIMIZER, State
from isoconv.ops.variable import Variable

Array = np.ndarray[Any, Any]

# What h5py raises on files that are damaged.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError)

# An array may need this much, or this many times the whole file, because compression is allowed.
_LARGEST_ARRAY = 64 << 20
_EXPANSION = 1000

# Read of a chunked dataset at once, at least, however small the dataset is.
_LARGEST_CHUNK = 1 << 20


def write(target: Path | BytesIO, states: Sequence[State]) -> None:
    """Makes a file of the states."""
    with h5py.File(target, "w") as file:
        for state in states:
            group = file.create_group(f"{state.path}/vars".lstrip("/"))
            group.attrs["name"] = state.name
            for number, variable in enumerate(state.variables):
                group[str(number)] = variable.array


@dataclass
class Found:
    """What a file holds of a model.

    values: the arrays for its variables. problems: a line for each layer whose values are missing
    or do not fit. unknown: paths of values that belong to no layer of the model.
    """

    values: list[tuple[Variable, Array]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def assign(self) -> None:
        """Gives the variables their values."""
        for variable, array in self.values:
            variable.assign(array)


def read(source: Path | BytesIO, states: Sequence[State], name: str) -> Found:
    """The values that a file has for the states. FileError where it is no such file."""
    found = Found()
    size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    wanted = sum(variable.array.nbytes for state in states for variable in state.variables)
    if wanted > max(_LARGEST_ARRAY, _EXPANSION * size):
        raise FileError(
            explain(name, f"{size} bytes", f"the {wanted} bytes of the model's weights")
        )
    try:
        with h5py.File(source, "r") as file:
            for state in states:
                _read_state(file, state, found)
            found.unknown = sorted(_groups(file) - {state.path for state in states})
    except _DAMAGE as error:
        raise FileError(f"{name}: not an HDF5 file that can be read ({error}).") from error
    return found


def _read_state(file: Any, state: State, found: Found) -> None:
    try:
        group = _group(file, f"{state.path}/vars".lstrip("/"))
        count = 0 if group is None else len(group)
        if count != len(state.variables):
            expected = f"{len(state.variables)} variables"
            raise _Misfit(f"expected {expected}; the file has {count or 'none'}")
        numbered = enumerate(state.variables)
        values = [(v, _dataset(group, str(number), v)) for number, v in numbered]
    except _Misfit as error:
        found.problems.append(f"{state.name} ({state.path or 'the model'}): {error}")
    else:
        found.values += values


class _Misfit(Exception):
    """Something in the file that is not what the model needs."""


def _child(group: Any, name: str) -> Any:
    """What `group` has under a name, if it is in that group itself; None if nothing."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise _Misfit(f"{name} is a link, which is not followed")
    return group[name]


def _group(file: Any, path: str) -> Any:
    """The group at a path; None if there is none."""
    group = file
    for part in path.split("/"):
        group = _child(group, part)
        if group is None:
            return None
        if not isinstance(group, h5py.Group):
            raise _Misfit(f"{part} is no group")
    return group


def _dataset(group: Any, name: str, variable: Variable) -> Array:
    """A dataset's values, if they fit the variable."""
    data = _child(group, name)
    label = f"{variable.name} ({name})"
    if not isinstance(data, h5py.Dataset):
        raise _Misfit(f"{label} is missing")
    if data.external or data.is_virtual:
        raise _Misfit(f"{label} is kept outside the file")
    if data.shape != variable.shape:
        raise _Misfit(f"{label} has shape {data.shape}; expected {variable.shape}")
    if data.dtype.kind not in "fiub" or data.dtype.subdtype:
        raise _Misfit(f"{label} has dtype {data.dtype}; expected numbers")
    chunk = prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > max(_LARGEST_CHUNK, 2 * prod(data.shape) * data.dtype.itemsize):
        raise _Misfit(f"{label} is stored in pieces of {chunk} bytes")
    return np.asarray(data[()])


def _groups(file: Any) -> set[str]:
    """The paths of layers that have values in the file; states of training are not meant."""
    paths = set()

    def note(path: str, item: Any) -> None:
        parts = path.split("/")
        kept = not {OPTIMIZER, "seed_generator"} & set(parts) and "metrics" not in path
        if isinstance(item, h5py.Dataset) and len(parts) > 1 and parts[-2] == "vars" and kept:
            paths.add("/".join(parts[:-2]))

    file.visititems(note)
    return paths
