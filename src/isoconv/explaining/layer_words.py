"""One layer in words: its arithmetic with the numbers filled in."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from isoconv.explaining.facts import (
    AxisFacts,
    FormFacts,
    KernelFacts,
    LayerFacts,
    OperationFacts,
    Reading,
)
from isoconv.sections import Section, duration, size

# Taps listed one by one; more are told by their ends.
_LISTED = 7


def sections(
    layer: LayerFacts,
    forms: Sequence[FormFacts],
    kernels: Sequence[KernelFacts],
    machine: dict[str, Any],
    positions: Sequence[int],
) -> list[Section]:
    """All that is said of a layer by itself."""
    taken = " and ".join(map(str, layer.inputs))
    found = [Section(f"{layer.spec} on {taken} gives {layer.output}")]
    found += [_shape(operation) for operation in layer.operations]
    found += [_channels(operation) for operation in layer.operations]
    found += [_parameters(layer), _arithmetic(layer)]
    found += [_feeds(operation, positions) for operation in layer.operations if mixes(operation)]
    return [*found, _field(layer), *_forms(forms), _here(kernels, machine)]


def mixes(operation: OperationFacts) -> bool:
    """Whether an output reads more than its own position."""
    return any((axis.taps, axis.stride) != (1, 1) for axis in operation.axes)


def called(operation: OperationFacts) -> str:
    """What an operation is called."""
    if 1 < operation.groups == operation.channels and operation.kind.endswith("convolution"):
        return f"depthwise {operation.kind}"
    if operation.kind == "convolution" and not mixes(operation):
        return "pointwise convolution"
    return operation.kind


def _shape(operation: OperationFacts) -> Section:
    rows = []
    words = []
    for axis in operation.axes:
        rows.append((axis.name, formula(axis), f"= {axis.output}"))
    if operation.axes:
        axis = operation.axes[0]
        words.append(
            "(length - 1) * stride + span - before - after"
            if axis.transposed
            else "(length + before + after - span) // stride + 1"
        )
        spans = {a.name: f"({a.taps} - 1) * {a.dilation} + 1 = {a.span}" for a in operation.axes}
        told = ", ".join(f"{name} {text}" for name, text in spans.items())
        words.append(f"span = (taps - 1) * dilation + 1: {told}")
        words += _padding(operation.axes)
    change = f"{operation.channels} become {operation.filters}"
    if operation.channels == operation.filters:
        change = f"{operation.channels} stay {operation.filters}"
    rows.append(("channels", change, ""))
    return Section(f"Shape: {called(operation)}", words, rows)


def formula(axis: AxisFacts) -> str:
    """The output's size on an axis, with the numbers filled in."""
    if axis.transposed:
        ends = f"{axis.span} - {_signed(axis.before)} - {_signed(axis.after)}"
        return f"({axis.length} - 1) * {axis.stride} + {ends}"
    ends = f"{_signed(axis.before)} + {_signed(axis.after)} - {axis.span}"
    return f"({axis.length} + {ends}) // {axis.stride} + 1"


def _signed(value: int) -> str:
    return f"({value})" if value < 0 else str(value)


def _padding(axes: Sequence[AxisFacts]) -> list[str]:
    padded = [axis for axis in axes if axis.before or axis.after]
    if not padded or any(axis.transposed for axis in axes):
        return []
    told = ", ".join(f"{a.name} {a.before} before and {a.after} after" for a in padded)
    return [f"Padding: {told}. Padded positions are absent: they contribute nothing."]


def _channels(operation: OperationFacts) -> Section:
    """Why the output has no axis of the input's channels, or why it has."""
    each = operation.channels // operation.groups
    if not operation.axes:
        return _product(operation)
    if operation.kind in ("max pooling", "sum of windows") or each == 1 < operation.groups:
        return _apart(operation)
    taps = " x ".join(str(axis.taps) for axis in operation.axes)
    noun = "tap" if taps == "1" else "taps"
    one = operation.channels == 1
    share = (
        f"all {each} channels"
        if operation.groups == 1
        else f"{each} of {operation.channels} channels"
    )
    share = "the one channel" if one else share
    if operation.axes[0].transposed:
        words = (
            f"Each input spreads over {taps} {noun} for each of {operation.filters} filters. An "
            f"output adds up the taps that meet it, over {share}: at most {operation.terms} "
            "products."
        )
    else:
        words = (
            f"A kernel spans {taps} {noun} and {share}: {taps} x {each} = {operation.terms} "
            "products at each place, added into one number."
        )
    filters = operation.filters
    many = f"There are {filters} such kernels, and their {filters} numbers stand"
    words += f" {many if filters > 1 else 'There is 1 such kernel, and its number stands'}"
    words += f" where the {'channel' if one else 'channels'} stood."
    if operation.groups > 1:
        words += f" Groups: {operation.groups}, each with {filters // operation.groups}."
    title = "Where the channel went" if one else f"Where the {operation.channels} channels went"
    return Section(title, [words])


def _apart(operation: OperationFacts) -> Section:
    """Channels that are not summed up."""
    taps = " x ".join(str(axis.taps) for axis in operation.axes)
    done = "convolved" if "convolution" in operation.kind else "pooled"
    words = f"Each channel is {done} by itself, over windows of {taps}: none are summed up."
    if operation.filters > operation.channels:
        count = operation.filters // operation.channels
        words += f" Each of {operation.channels} has {count} kernels of its own."
    return Section("What becomes of the channels", [words])


def _product(operation: OperationFacts) -> Section:
    words = (
        f"Each output is the sum of {operation.terms} products, one for each number of the last "
        f"axis; {operation.filters} such sums stand in its place. Other axes stay as they are: it "
        "is a convolution without windows."
    )
    return Section(f"Where the {operation.channels} went", [words])


def _parameters(layer: LayerFacts) -> Section:
    if not layer.weights:
        return Section("Parameters: none")
    rows = []
    for weight in layer.weights:
        kept = "" if weight.trainable else " (not trained)"
        rows.append((weight.name, str(weight.shape), weight.meaning + kept, f"{weight.count:,}"))
    total = f"Parameters: {layer.parameters:,} ({size(layer.memory['weights'])})"
    return Section(total, (), rows, right=(3,))


def _arithmetic(layer: LayerFacts) -> Section:
    rows = []
    for operation in layer.operations:
        if not operation.multiply_adds:
            continue
        rows.append((called(operation), _count(operation, layer), f"{operation.multiply_adds:,}"))
    words = [
        f"Input {size(layer.memory['inputs'])}, output {size(layer.memory['output'])}, "
        f"weights {size(layer.memory['weights'])}."
    ]
    absent = sum(operation.absent for operation in layer.operations)
    if absent:
        words.append(
            f"{absent:,} of the multiply-adds ({absent / layer.multiply_adds:.1%}) would meet "
            "positions that do not exist, and are left out."
        )
    if not rows:
        words.insert(0, "No multiply-adds of windows or products.")
    title = f"For one sample: {layer.multiply_adds:,} multiply-adds" if rows else "For one sample"
    return Section(title, words, rows, right=(2,))


def _count(operation: OperationFacts, layer: LayerFacts) -> str:
    """How the multiply-adds are counted."""
    taps = prod(axis.taps for axis in operation.axes)
    each = operation.channels // operation.groups
    if operation.axes and operation.axes[0].transposed:
        places = " x ".join(str(axis.length) for axis in operation.axes)
        inner = operation.filters // operation.groups
        return f"{places} places x {operation.channels} channels x {taps} taps x {inner}"
    places = " x ".join(str(axis.output) for axis in operation.axes)
    if not operation.axes:
        rows = operation.multiply_adds // (operation.terms * operation.filters)
        return f"{rows} x {operation.filters} outputs x {operation.terms} products"
    return f"{places} places x {operation.filters} filters x {taps} taps x {each}"


def _feeds(operation: OperationFacts, positions: Sequence[int]) -> Section:
    words = []
    rows = []
    for axis in operation.axes:
        words.append(f"{axis.name}: {_reads(axis)}")
        chosen = [0, *positions, axis.output - 1]
        for output in dict.fromkeys(place for place in chosen if 0 <= place < axis.output):
            told = _listed(axis.inputs_of(output)) or "none"
            rows.append((axis.name, f"output {output}", f"inputs {told}"))
    later = {axis.name: axis.later for axis in operation.axes}
    if len(operation.axes) == 1 and not operation.axes[0].transposed:
        (axis,) = operation.axes
        here = "i" if axis.stride == 1 else f"{axis.stride}i"
        if later[axis.name]:
            words.append(
                f"Up to {axis.later} positions after {here} are read: not causal. With "
                'padding="causal" all padding is before, and none is read.'
            )
        else:
            words.append(f"No position after {here} is read: causal.")
    return Section(f"Which inputs feed which output: {called(operation)}", words, rows)


def _reads(axis: AxisFacts) -> str:
    if axis.transposed:
        shown = f"{axis.stride}i" if axis.stride > 1 else "i"
        offsets = [tap * axis.dilation - axis.before for tap in range(axis.taps)]
        return f"input i adds to outputs {_places(shown, offsets)}"
    shown = f"{axis.stride}i" if axis.stride > 1 else "i"
    offsets = [tap * axis.dilation - axis.before for tap in range(axis.taps)]
    return f"output i reads inputs {_places(shown, offsets)}"


def _places(name: str, offsets: Sequence[int]) -> str:
    told = [f"{name} {'-' if o < 0 else '+'} {abs(o)}" if o else name for o in offsets]
    if len(told) <= _LISTED:
        return ", ".join(told)
    step = offsets[1] - offsets[0]
    return f"{told[0]} to {told[-1]}" + (f" in steps of {step}" if step > 1 else "")


def _listed(places: Sequence[int]) -> str:
    if len(places) <= _LISTED:
        return ", ".join(map(str, places))
    return f"{places[0]}, {places[1]}, ..., {places[-1]}"


def _field(layer: LayerFacts) -> Section:
    return Section(f"Receptive field: {describe(layer.reads, layer.inputs[0])}")


def describe(reading: Reading, whole: Sequence[int]) -> str:
    """How much of an input one output reads."""
    if not reading.count:
        return "nothing of the input"
    each = zip(reading.count, whole, strict=True)
    return " x ".join("all" if n == size_ else f"{n} of {size_}" for n, size_ in each)


def _forms(forms: Sequence[FormFacts]) -> list[Section]:
    """The equal forms, where there are any."""
    if not forms:
        return []
    rows = [("form", "row", "params", "mult-adds", "memory")]
    for form in forms:
        macs = "" if form.multiply_adds is None else f"{form.multiply_adds:,}"
        memory = "" if form.bytes is None else size(form.bytes)
        rows.append((form.name, " ".join(form.rows), f"{form.parameters:,}", macs, memory))
    words = ["The same function, weights carried over; row: of the equations it follows from."]
    return [Section("Equal forms", words, rows, True, (2, 3, 4))]


def _here(kernels: Sequence[KernelFacts], machine: dict[str, Any]) -> Section:
    rows = [("kernel", "in registers", "instructions", "time")]
    for kernel in kernels:
        time = "" if kernel.seconds is None else duration(kernel.seconds)
        rows.append((kernel.kind, tile(kernel), f"{kernel.work:,}", time))
    if all(kernel.seconds is None for kernel in kernels):
        rows = [row[:3] for row in rows]  # type: ignore[misc]
    title = f"On this machine ({machine['processor']}, vectors of {machine['vector_bits']} bits)"
    return Section(title, (), rows, head=True, right=(2, 3))


def tile(kernel: KernelFacts) -> str:
    """What a kernel keeps in registers."""
    if kernel.rows is None:
        return f"vectors of {kernel.lanes}"
    return f"{kernel.rows} places x {kernel.vectors} vectors of {kernel.lanes} filters"
