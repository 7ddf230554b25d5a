"""States in HDF5 files, in the layout of Keras 3: `<path>/vars/<number>`; and how values are read
from a file of any layout.

Nothing in a file is believed: a dataset is read only if it is a plain array of numbers in that
very file, of the shape that the model's variable has. All is read before anything is assigned.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from isoconv.errors import FileError, explain
from isoconv.models import h5_heaps
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


@contextmanager
def whole(path: Path) -> Iterator[Any]:
    """A new HDF5 file to fill, written to `path` when it is whole.

    It is made in memory, because HDF5 crashes the process where a disk is full.
    """
    made = BytesIO()
    with h5py.File(made, "w") as file:
        yield file
    path.write_bytes(made.getbuffer())


def write(target: BytesIO, states: Sequence[State]) -> None:
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


def read(
    source: Path | BytesIO, states: Sequence[State], name: str, by_name: bool = False
) -> Found:
    """The values that a file has for the states. FileError where it is no such file.

    by_name: look each state up by its layer's name instead of its place in the model; states that
    the file does not name are left out, and so is what the model does not name.
    """
    found = Found()
    with opened(source, states, name) as file:
        if by_name:
            states = _named(file, states, found, name)
        for state in states:
            _read_state(file, state, found)
        if not by_name:
            found.unknown = sorted(_groups(file) - {state.path for state in states})
    return found


@contextmanager
def opened(source: Path | BytesIO, states: Sequence[State], name: str) -> Iterator[Any]:
    """The file, if it can hold the states' values. FileError for what is damaged inside."""
    size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    wanted = sum(variable.array.nbytes for state in states for variable in state.variables)
    if wanted > max(_LARGEST_ARRAY, _EXPANSION * size):
        raise FileError(
            explain(name, f"{size} bytes", f"the {wanted} bytes of the model's weights")
        )
    with reading(source, name) as file:
        yield file


@contextmanager
def reading(source: Path | BytesIO, name: str) -> Iterator[Any]:
    """The file, read only. FileError for what is damaged inside; where there is none, its own."""
    try:
        with h5py.File(source, "r") as file:
            stuck = h5_heaps.stuck_at(source, file.id.get_create_plist().get_sizes()[1])
            if stuck is not None:
                raise FileError(f"{name}: damaged: its heap of texts has no end at byte {stuck}.")
            yield file
    except (FileError, FileNotFoundError):
        raise
    except _DAMAGE as error:
        raise FileError(f"{name}: not an HDF5 file that can be read ({error}).") from error


def _named(file: Any, states: Sequence[State], found: Found, where: str) -> list[State]:
    """The states at the paths where the file has their layers' names."""
    paths: dict[str, list[str]] = {}

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and path.endswith("/vars") and len(item):
            for name in texts(item, "name") or ():
                paths.setdefault(name, []).append(path.removesuffix("/vars"))

    try:
        file.visititems(note)
    except Misfit as error:
        raise FileError(f"{where}: damaged: {error}.") from error
    chosen = []
    for state in states:
        places = paths.get(state.name, []) if state.variables else []
        if len(places) > 1:
            found.problems.append(f"{state.name}: the file has {len(places)} layers of that name")
        elif places:
            chosen.append(State(places[0], state.name, state.variables))
    return chosen


def _read_state(file: Any, state: State, found: Found) -> None:
    try:
        group = item(file, f"{state.path}/vars".lstrip("/"))
        count = len(group) if isinstance(group, h5py.Group) else 0
        if count != len(state.variables):
            expected = f"{len(state.variables)} variables"
            raise Misfit(f"expected {expected}; the file has {count or 'none'}")
        numbered = enumerate(state.variables)
        values = [(v, dataset(group, str(number), v)) for number, v in numbered]
    except Misfit as error:
        found.problems.append(f"{state.name} ({state.path or 'the model'}): {error}")
    else:
        found.values += values


def assign(where: str, name: str, found: Found, steps: Found, skip_mismatch: bool) -> None:
    """Gives a model's layers and its optimizer what a file has for them, whole or not at all.

    where: which model, and name: which file, for messages. skip_mismatch: warn of layers that do
    not fit, and give the others.
    """
    if found.problems and not skip_mismatch:
        raise FileError(_listed(f"{name}: does not fit {where}", found.problems))
    found.assign()
    if found.problems:
        title = f"{name}: not loaded into {where}"
        warnings.warn(_listed(title, found.problems), stacklevel=5)
    if steps.problems:
        title = f"{name}: the optimizer starts anew"
        warnings.warn(_listed(title, steps.problems), stacklevel=5)
    else:
        steps.assign()


def _listed(title: str, lines: Sequence[str]) -> str:
    shown = [*lines[:10], *([f"and {len(lines) - 10} more"] if len(lines) > 10 else [])]
    return "\n  ".join([f"{title}:", *shown])


class Misfit(Exception):
    """Something in the file that is not what the model needs."""


def item(group: Any, path: str) -> Any:
    """What stands at a path below a group, if no link leads there; None if nothing."""
    for part in path.split("/"):
        if not isinstance(group, h5py.Group):
            raise Misfit(f"{path} leads through what is no group")
        link = group.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise Misfit(f"{part} is a link, which is not followed")
        group = group[part]
    return group


def texts(item: Any, attribute: str) -> list[str] | None:
    """The texts of an attribute, one or several; None if it has no such attribute.

    Misfit where it holds anything else: of some types HDF5 crashes the process when it reads them.
    """
    if attribute not in item.attrs:
        return None
    kept = h5py.h5a.open(item.id, attribute.encode())
    if not kept.get_space().get_simple_extent_npoints():
        # A list of no names is kept as one of no numbers.
        return []
    if not isinstance(kept.get_type(), h5py.h5t.TypeStringID):
        raise Misfit(f"the attribute {attribute} holds no text")
    if kept.get_storage_size() > _LARGEST_ARRAY:
        raise Misfit(f"the attribute {attribute} holds {kept.get_storage_size()} bytes")
    values = np.ravel(item.attrs[attribute])
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]


def text(item: Any, attribute: str) -> str | None:
    """The text of an attribute, in one piece."""
    found = texts(item, attribute)
    return None if found is None else "".join(found)


def dataset(group: Any, path: str, variable: Variable) -> Array:
    """A dataset's values, if they fit the variable."""
    return array(group, path, variable.shape, f"{variable.name} ({path})")


def array(group: Any, path: str, shape: Sequence[int], label: str) -> Array:
    """The numbers of a dataset of this shape, kept in the very file; Misfit where it is another."""
    data = item(group, path)
    if not isinstance(data, h5py.Dataset):
        raise Misfit(f"{label} is missing")
    if data.external or data.is_virtual:
        raise Misfit(f"{label} is kept outside the file")
    if data.shape != tuple(shape):
        raise Misfit(f"{label} has shape {data.shape}; expected {tuple(shape)}")
    if data.dtype.kind not in "fiub" or data.dtype.subdtype:
        raise Misfit(f"{label} has dtype {data.dtype}; expected numbers")
    chunk = prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > max(_LARGEST_CHUNK, 2 * prod(data.shape) * data.dtype.itemsize):
        raise Misfit(f"{label} is stored in pieces of {chunk} bytes")
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
