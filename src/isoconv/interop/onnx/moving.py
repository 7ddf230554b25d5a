"""Reading ONNX operations that move elements: reshape, slice, split, gather."""

from __future__ import annotations

import math
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from isoconv.interop.onnx.site import Drawn, Site, is_known, reads
from isoconv.ir.sizes import Dim, Size
from isoconv.layers import (
    Concatenate,
    Embedding,
    Flatten,
    Permute,
    Reshape,
)

# Ends this far away mean "all there is".
_FAR = 2**31 - 1


@reads("Reshape")
def reshape(site: Site) -> Any:
    x, wanted = site.drawn(0), site.sizes(1, "the shape") or []
    if not site.flag("allowzero"):
        wanted = [x.dims[i] if dim == 0 else dim for i, dim in enumerate(wanted)]
    return reshaped(site, x, wanted)


def reshaped(site: Site, x: Drawn, wanted: list[Dim]) -> Any:
    """x in another shape, of which one size may be -1: as a layer where the batch stays."""
    unknown = [i for i, dim in enumerate(wanted) if isinstance(dim, Size)]
    keeps = bool(wanted) and x.ndim > 0 and wanted[0] == x.dims[0]
    rest = wanted[1:]
    sizes = [i for i, dim in enumerate(rest) if isinstance(dim, Size)]
    if -1 not in rest and len(sizes) == 1 and keeps:
        rest = [-1 if i in sizes else dim for i, dim in enumerate(rest)]
        sizes = []
    if keeps and rest and not sizes and x.ndim > 1 and 0 not in rest:
        return site.layer(Reshape, x, target_shape=rest)
    if len(unknown) == 1 and -1 not in wanted:
        wanted = [-1 if i in unknown else dim for i, dim in enumerate(wanted)]
    return site.call("reshape", x, newshape=wanted)


@reads("Flatten")
def flatten(site: Site) -> Any:
    x = site.drawn(0)
    given = site.get("axis", 1)
    axis = x.ndim if given == x.ndim else site.axis(given, x.ndim)
    if axis == 1 and x.ndim > 1:
        return site.layer(Flatten, x, data_format="channels_last")
    return reshaped(site, x, [prod(x.dims[:axis]), prod(x.dims[axis:])])


@reads("Squeeze")
def squeeze(site: Site) -> Any:
    x = site.drawn(0)
    wanted = site.listed("axes", 1)
    axes = None if wanted is None else {site.axis(axis, x.ndim) for axis in wanted}
    if axes is not None and any(
        isinstance(x.dims[axis], int) and x.dims[axis] != 1 for axis in axes
    ):
        raise site.fail(f"axes {sorted(axes)} of {x.dims}", "axes of size 1")
    kept = [d for i, d in enumerate(x.dims) if (d != 1 if axes is None else i not in axes)]
    return reshaped(site, x, kept)


@reads("Unsqueeze")
def unsqueeze(site: Site) -> Any:
    x = site.drawn(0)
    wanted = site.listed("axes", 1) or []
    axes = [site.axis(axis, x.ndim + len(wanted)) for axis in wanted]
    return site.call("expand_dims", x, axis=axes)


@reads("Transpose")
def transpose(site: Site) -> Any:
    x = site.drawn(0)
    perm = [int(axis) for axis in site.get("perm", list(reversed(range(x.ndim))))]
    if perm == list(range(x.ndim)):
        return x
    if perm[:1] == [0] and sorted(perm) == list(range(x.ndim)):
        return site.layer(Permute, x, dims=perm[1:])
    return site.call("transpose", x, axes=perm)


@reads("Expand")
def expand(site: Site) -> Any:
    x, wanted = site.drawn(0), site.sizes(1, "the shape") or []
    rank = max(x.ndim, len(wanted))
    own: list[Dim] = [*(1,) * (rank - x.ndim), *x.dims]
    other: list[Dim] = [*(1,) * (rank - len(wanted)), *wanted]
    target = [a if b in (1, -1) else b for a, b in zip(own, other, strict=True)]
    return site.call("broadcast_to", x, shape=target)


@reads("Tile")
def tile(site: Site) -> Any:
    return site.call("tile", site.drawn(0), repeats=site.sizes(1, "repeats"))


@reads("Concat")
def concat(site: Site) -> Any:
    values = [site.drawn(index) for index in range(len(site.inputs))]
    axis = site.axis(site.get("axis", 1), values[0].ndim)
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, Drawn) for value in site.inputs):
        dtype = values[0].dtype
        if dtype == "float32":
            return site.layer(Concatenate, *values, axis=axis)
    return site.call("concatenate", values, axis=axis)


# -- parts ------------------------------------------------------------------------------------


@reads("Slice")
def slices(site: Site) -> Any:
    x = site.drawn(0)
    starts, ends = _bounds(site, "starts", 1), _bounds(site, "ends", 2)
    axes = site.listed("axes", 3)
    axes = list(range(len(starts))) if axes is None else axes
    steps = site.integers(4, "steps") or [1] * len(starts)
    keys: list[Any] = [slice(None)] * x.ndim
    for given, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = site.axis(given, x.ndim)
        if step == 0:
            raise site.fail("a step of 0", "another")
        keys[axis] = _key(start, end, step, x.dims[axis])
    if all(key == slice(None) for key in keys):
        return x
    found = [keys[0]]
    for key, length in zip(keys[1:], x.dims[1:], strict=True):
        found += _one_or_key(key, length)
    return site.call("getitem", x, key=found)


def _one_or_key(key: slice, length: Dim) -> list[Any]:
    """The key; for the first or last of positions whose number is known at run time only, that one
    and an axis of size 1, which a slice could not promise.
    """
    for part, place in ((slice(None, 1), 0), (slice(-1, None), -1)):
        if key == part and isinstance(length, Size):
            return [place, None]
    return [key]


def _bounds(site: Site, name: str, index: int) -> list[Dim]:
    given = site.get(name)
    found = site.sizes(index, name) if given is None else given
    if found is None:
        raise site.fail(f"no {name}", "a number for each axis")
    return list(found)


def _key(start: Dim, end: Dim, step: int, length: Dim) -> slice:
    """A slice as Python has it: None for what is beyond the ends."""
    if step > 0:
        first = None if isinstance(start, int) and start == 0 else start
        last = None if isinstance(end, int) and end >= _FAR else end
        if isinstance(last, Size) and last == length:
            last = None
        return slice(first, last, None if step == 1 else step)
    first = start
    if isinstance(start, int) and start != -1:
        most = length if isinstance(length, int) else _FAR
        first = None if start >= most else start
    elif isinstance(start, int):
        first = None
    beyond = -length if isinstance(length, int) else -_FAR
    last = None if isinstance(end, int) and end < beyond else end
    return slice(first, last, step)


@reads("Split")
def split(site: Site) -> Any:
    x = site.drawn(0)
    axis = site.axis(site.get("axis", 0), x.ndim)
    length, parts = x.dims[axis], len(site.outputs)
    sizes = site.listed("split", 1)
    if not isinstance(length, int):
        raise site.fail(f"axis {axis} of {x.dims}", "an axis of known size")
    if sizes is None:
        each = math.ceil(length / parts)
        sizes = [min(each, length - i * each) for i in range(parts)]
    if sum(sizes) != length or len(sizes) != parts or min(sizes) < 0:
        raise site.fail(f"parts of {sizes}", f"{parts} parts that make up {length}")
    if parts == 1:
        return [x]
    cuts = list(accumulate(sizes))[:-1]
    return site.call("split", x, cuts, axis=axis)


@reads("Gather")
def gather(site: Site) -> Any:
    table, indices = site.required(0), site.required(1)
    axis = site.axis(site.get("axis", 0), table.ndim)
    if isinstance(indices, np.ndarray):
        if isinstance(table, Drawn) and indices.ndim == 0 and is_known(indices):
            key = [slice(None)] * axis + [int(indices.item())]
            return site.call("getitem", table, key=key)
        return site.call("take", site.drawn(0), site.drawn(1), axis=axis)
    if isinstance(table, np.ndarray) and table.ndim == 2 and axis == 0 and table.dtype.kind == "f":
        rows, columns = table.shape
        weights = {"embeddings": (table, site.names[0], None)}
        dtype = table.dtype.name
        return site.layer(
            Embedding, indices, weights=weights, input_dim=rows, output_dim=columns, dtype=dtype
        )
    return site.call("take", site.drawn(0), indices, axis=axis)


@reads("DepthToSpace", "SpaceToDepth")
def depth_and_space(site: Site) -> Any:
    x = site.drawn(0)
    batch, channels, height, width = x.dims
    size = int(site.get("blocksize"))
    first = site.get("mode", "DCR") == "DCR"
    if site.op == "SpaceToDepth":
        apart = [batch, channels, height // size, size, width // size, size]
        order = [0, 3, 5, 1, 2, 4] if first else [0, 1, 3, 5, 2, 4]
        final = [batch, channels * size**2, height // size, width // size]
    else:
        less = channels // size**2
        apart = [batch, size, size, less] if first else [batch, less, size, size]
        apart += [height, width]
        order = [0, 3, 4, 1, 5, 2] if first else [0, 1, 4, 2, 5, 3]
        final = [batch, less, height * size, width * size]
    turned = site.call("transpose", reshaped(site, x, apart), axes=order)
    return reshaped(site, turned, final)
