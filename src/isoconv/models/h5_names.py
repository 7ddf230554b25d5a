"""Lists of names in attributes of HDF5 groups, and arrays by such names, as Keras 2 kept them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isoconv.models.h5 import texts
from isoconv.ops.variable import Variable

# HDF5 keeps no more in one attribute; longer lists continue in "name0", "name1", ...
_LARGEST_ATTRIBUTE = 64512


def names(group: Any, attribute: str) -> list[str]:
    """The names in an attribute of a group, or in its pieces."""
    found = texts(group, attribute) or []
    number = 0
    while (piece := texts(group, f"{attribute}{number}")) is not None:
        found += piece
        number += 1
    return found


def write_arrays(group: Any, variables: Mapping[str, Variable]) -> None:
    """Puts arrays into a group, and their names, in order, into its attribute."""
    write_names(group, "weight_names", list(variables))
    for label, variable in variables.items():
        group[label] = variable.array


def write_names(group: Any, attribute: str, values: Sequence[str]) -> None:
    """Puts names into an attribute, in pieces if one could not hold them."""
    encoded = np.array([value.encode() for value in values])
    pieces = -(-encoded.nbytes // _LARGEST_ATTRIBUTE)
    if pieces <= 1:
        group.attrs[attribute] = encoded
        return
    for number, piece in enumerate(np.array_split(encoded, pieces)):
        group.attrs[f"{attribute}{number}"] = piece
