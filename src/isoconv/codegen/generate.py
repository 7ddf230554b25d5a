"""Which generator emits a kernel, and how many tasks it splits into."""

from __future__ import annotations

from collections.abc import Callable

from isoconv.codegen import (
    depthwise,
    first,
    gram,
    group_gram,
    kernels,
    line,
    points,
    tile,
    transpose,
)
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

GENERATORS: dict[str, Callable[[Kernel, Machine], str]] = {
    "pull": kernels.pull,
    "rows": kernels.rows,
    "scatter": kernels.scatter,
    "tile": tile.emit,
    "depthwise": depthwise.emit,
    "line": line.emit,
    "first": first.emit,
    "gram": gram.emit,
    "group gram": group_gram.emit,
    "transpose": transpose.emit,
    "points": points.emit,
}


def emit(kernel: Kernel, machine: Machine) -> str:
    """The LLVM module of a kernel."""
    return GENERATORS[kernel.kind](kernel, machine)


def tasks(kernel: Kernel, machine: Machine) -> Dim:
    """How many independent tasks a kernel splits into, in terms of its own sizes."""
    root = kernel.graph.outputs[0]
    if kernel.kind == "scatter" or root.rank == 0:
        return 1
    if kernel.kind == "transpose":
        return transpose.tasks(root, machine)
    anchor = kernel.anchor
    if anchor is not None and kernel.kind == "tile":
        return tile.tasks(kernel, machine)
    if anchor is not None and kernel.kind == "gram":
        return gram.tasks(anchor, machine)
    if anchor is not None and kernel.kind == "group gram":
        return group_gram.tasks(anchor, machine)
    if anchor is not None and kernel.kind == "first":
        return first.tasks(anchor, machine)
    if anchor is not None and kernel.kind == "points":
        return points.tasks(anchor)
    if anchor is not None and kernel.kind == "line":
        return line.tasks(anchor)
    if anchor is not None and kernel.kind == "depthwise":
        return depthwise.tasks(anchor)
    if root.rank == 1 and kernel.kind == "pull":
        return ceildiv(root.shape[0], kernels.CHUNK)
    return product(root.shape[:-1])
