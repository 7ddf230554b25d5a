"""Kernels that compute element by element: anything at all, reductions along rows, scatters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isoconv import dtypes
from isoconv.codegen.emit import SCALARS, Builder, Value, element_type, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import ZERO, Coord
from isoconv.codegen.pull import Pull
from isoconv.codegen.reductions import larger, lowest
from isoconv.ir.graph import Node
from isoconv.ir.sizes import product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Elements that one task of a kernel over one long axis takes.
CHUNK = 4096
# Lanes of a sum along the last axis: a constant, so that the bits do not depend on the machine.
ROW_LANES = 16


# -- any computation, element by element ------------------------------------------------------


def pull(kernel: Kernel, machine: Machine) -> str:
    frame = Frame(kernel, machine)
    b, roots = frame.b, kernel.graph.outputs
    shape = roots[0].shape
    if not shape:
        values = frame.pull(1)
        with frame.rows((), frame.begin, frame.end):
            _write(values, frame, (), None)
        return frame.text()
    lanes = machine.lanes(roots[0].dtype if roots[0].dtype != "bool" else "float32")
    values = frame.pull(lanes)
    if len(shape) == 1:
        with b.loop(frame.begin, frame.end) as task:
            start = b.mul(task.index, CHUNK)
            end = b.minimum(b.add(start, CHUNK), frame.sizes(shape[0]))
            _vectors(values, frame, (), start, end, lanes)
        return frame.text()
    with frame.rows(shape[:-1], frame.begin, frame.end) as row, values.scope():
        _vectors(values, frame, row, b.i64(0), frame.sizes(shape[-1]), lanes)
    return frame.text()


def _vectors(
    pull: Pull, frame: Frame, row: Sequence[Coord], start: Value, end: Value, lanes: int
) -> None:
    """Whole vectors from start to end, then the rest under a mask."""
    b = frame.b
    length = b.sub(end, start)
    whole = b.sub(length, _rest(b, length, lanes))
    last = b.add(start, whole)
    if whole.text != "0":
        with b.loop(start, last, step=lanes) as loop, pull.scope():
            _write(pull, frame, (*row, Coord(loop.index, 1)), None)
    rest = b.sub(length, whole)
    if rest.text == "0":
        return
    if rest.text.isdigit():
        _write(pull, frame, (*row, Coord(last, 1)), b.mask_below(rest, lanes))
        return
    with b.when(b.compare("sgt", rest, b.i64(0))), pull.scope():
        _write(pull, frame, (*row, Coord(last, 1)), b.mask_below(rest, lanes))


def _rest(b: Builder, length: Value, lanes: int) -> Value:
    if length.text.isdigit():
        return b.i64(int(length.text) % lanes)
    return b.op("and", length, b.i64(lanes - 1))


def _write(pull: Pull, frame: Frame, index: tuple[Coord, ...], mask: Value | None) -> None:
    """All outputs at one position: read first, so that an output may lie where an input does."""
    roots = frame.kernel.graph.outputs
    values = [pull.value(root, index, mask) for root in roots]
    for root, value, target in zip(roots, values, frame.targets, strict=True):
        pull.store(value, target, root, index, mask)


# -- reductions along the last axis -----------------------------------------------------------


def rows(kernel: Kernel, machine: Machine) -> str:
    """A reduction whose axes include the last one: lanes run along it, then join as a tree."""
    frame = Frame(kernel, machine)
    anchor = kernel.anchor
    assert anchor is not None
    wide, one = frame.pull(ROW_LANES), frame.pull(1)
    root = kernel.graph.outputs[0]
    with frame.rows(root.shape[:-1], frame.begin, frame.end) as row, wide.scope(), one.scope():
        one.held[anchor] = _reduce_row(wide, frame, anchor, (*row, ZERO))
        _write(one, frame, (*row, ZERO), None)
    return frame.text()


def _reduce_row(p: Pull, frame: Frame, anchor: Node, index: tuple[Coord, ...]) -> Value:
    b, (x,) = p.b, anchor.inputs
    outer = [axis for axis in anchor["axes"] if axis != x.rank - 1]
    length = p.sizes(x.shape[-1])
    scalar = SCALARS[anchor.dtype]
    is_sum = anchor.op == "reduce_sum"
    neutral = 0 if is_sum else lowest(anchor)
    add = "fadd" if scalar in ("float", "double") else "add"

    def join(total: Value, value: Value) -> Value:
        return b.op(add, total, value) if is_sum else larger(p, value, total)

    def along(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        given = dict(zip(outer, map(Coord, numbers), strict=True))
        start = tuple(given.get(axis, c) for axis, c in enumerate(index[:-1]))
        whole = b.sub(length, _rest(b, length, ROW_LANES))
        total = carried[0]
        if whole.text != "0":
            with p.scope(), b.loop(0, whole, step=ROW_LANES, carried=[total]) as loop:
                value = p.vector(x, (*start, Coord(loop.index, 1)))
                loop.next = (join(loop.carried[0], value),)
            total = loop.results[0]
        rest = b.sub(length, whole)
        if rest.text == "0":
            return [total]
        mask = b.mask_below(rest, ROW_LANES)
        value = p.vector(x, (*start, Coord(whole, 1)), mask)
        return [b.select(mask, join(total, value), total)]

    initial = b.const(vector_type(scalar, ROW_LANES), neutral)
    (total,) = p.nest([p.sizes(x.shape[axis]) for axis in outer], [initial], along)
    return _tree(p, total, join)


def _tree(p: Pull, vector: Value, join: Callable[[Value, Value], Value]) -> Value:
    """The lanes of a vector joined in a fixed order: halves, then quarters, and so on."""
    b, scalar = p.b, element_type(vector.type)
    lanes = ROW_LANES
    while lanes > 2:
        half = lanes // 2
        sides = [b.shuffle(vector, range(start, start + half)) for start in (0, half)]
        vector, lanes = join(*sides), half
    first, second = (b.emit(scalar, f"extractelement {vector}, i64 {lane}") for lane in (0, 1))
    return join(first, second)


# -- scatter ----------------------------------------------------------------------------------


def scatter(kernel: Kernel, machine: Machine) -> str:
    """Rows of a table, each the sum of its updates in their order."""
    frame = Frame(kernel, machine)
    b, root = frame.b, kernel.graph.outputs[0]
    places, updates = root.inputs
    lanes = machine.lanes(root.dtype)
    target = frame.targets[0]
    width = frame.sizes(product(root.shape[1:]))
    total = b.mul(frame.sizes(root.shape[0]), width)
    bytes_ = b.mul(total, dtypes.BYTES[root.dtype])
    b.call("llvm.memset.p0.i64", "void", target, Value("0", "i8"), bytes_, Value("false", "i1"))
    flat_places, flat_updates = frame.pointers[places], frame.pointers[updates]
    scalar = SCALARS[root.dtype]
    add = "fadd" if scalar in ("float", "double") else "add"
    with b.loop(0, frame.sizes(product(places.shape))) as loop:
        row = b.load(b.at(flat_places, loop.index, SCALARS[places.dtype]), SCALARS[places.dtype])
        if row.type != "i64":
            row = b.convert("sext", row, "i64")
        inside = b.compare("ult", row, frame.sizes(root.shape[0]))
        with b.when(b.op("xor", inside, b.const("i1", 1))):
            b.store(b.i64(1), frame.status)
        with b.when(inside):
            source = b.at(flat_updates, b.mul(loop.index, width), scalar)
            into = b.at(target, b.mul(row, width), scalar)
            with b.loop(0, width, step=lanes) as vector:
                mask = b.mask_below(b.sub(width, vector.index), lanes)
                type_ = vector_type(scalar, lanes)
                more = b.load_masked(b.at(source, vector.index, scalar), type_, mask)
                place = b.at(into, vector.index, scalar)
                old = b.load_masked(place, type_, mask)
                b.store_masked(b.op(add, old, more), place, mask)
    return frame.text()
