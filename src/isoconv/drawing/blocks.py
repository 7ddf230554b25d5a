"""One picture of a layer at work: its stages as blocks of cells, and the sums written out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from isoconv import spec
from isoconv.drawing.crop import Crop
from isoconv.drawing.formula import numeral, written
from isoconv.drawing.grid import CellLook, GridAxis, grid
from isoconv.drawing.scene import Box, Item, Part, Scene, Text, column, framed, row, text_part
from isoconv.drawing.style import CONVOLVED, MINUS, STYLES, TIMES, text_width
from isoconv.explaining.layer_words import called, formula
from isoconv.explaining.stages import Stage, Staged, axis_meets

_WIDEST = 1120.0
_BETWEEN = 14.0
_SIZES = f" {TIMES} "
_WORDS = ("across", "down", "side by side", "below each other")
_PLURALS = {"channel": "channels", "filter": "filters"}


@dataclass(frozen=True)
class Step:
    """The output at work in one of the stages; None where only the numbers are shown.

    done: outputs of it that are known already; None for all.
    """

    place: tuple[int, ...]
    filter: int
    active: bool = True
    done: Collection[tuple[int, ...]] | None = None
    known: bool = True


def scene(whole: Staged, steps: Sequence[Step], crops: Sequence[Crop]) -> Scene:
    heading = f"{spec.text(whole.layer)} on {whole.shape} gives {whole.result.shape}"
    lines = [(heading, "title")]
    for axis in (axis for stage in whole.stages for axis in stage.axes):
        if axis.taps > 1 or axis.stride > 1 or axis.length != axis.output:
            lines.append((f"{axis.name}: {formula(axis)} = {axis.output}", "note"))
    parts = [column([text_part(lines), _legend(whole)], 8)]
    for number, (step, cut) in enumerate(zip(steps, crops, strict=True)):
        parts.append(_stage(whole, number, step, cut))
    # Last, because its lines are more or fewer from one output to the next.
    letters = int(max(*(part.width for part in parts), 560.0) / (STYLES["line"].size * 0.62))
    parts.append(
        text_part(
            (line, "line")
            for number, step in enumerate(steps)
            if step.active
            for line in written(whole, number, step.place, step.filter, letters)
        )
    )
    return framed(column(parts, 18), heading)


def _stage(whole: Staged, number: int, step: Step, cut: Crop) -> Part:
    """The blocks of a stage beside each other, as far as the page is wide."""
    stage = whole.stages[number]
    final = number == len(whole.stages) - 1
    result = whole.result if final and whole.result.shape == stage.result.shape else stage.result
    blocks = [_input(stage, step, cut)]
    if stage.weights is not None:
        blocks.append(_signed(CONVOLVED, _weights(stage, step, cut)))
    blocks.append(_signed("=", _output(stage, step, cut, result, final)))
    rows = [[blocks[0]]]
    for block in blocks[1:]:
        wide = sum(each.width + _BETWEEN for each in rows[-1]) + block.width
        if wide <= _WIDEST:
            rows[-1].append(block)
        else:
            rows.append([block])
    body = column([row(each, _BETWEEN) for each in rows], 14)
    if len(whole.stages) == 1:
        return body
    return column([text_part([(f"{number + 1}. {called(stage.facts)}", "head")]), body], 8)


def _signed(sign: str, block: Part) -> Part:
    """A block with a sign before it."""
    return row([Part((Text(8, block.height / 2 + 8, sign, "sign"),), 16, block.height), block], 12)


def _block(head: str, axes: Sequence[GridAxis], cells: Part, what: str = "") -> Part:
    """Cells under a heading that says which axis goes where."""
    words = [
        f"{_PLURALS.get(axis.name, axis.name)} {word}"
        for axis, word in zip(reversed(axes), _WORDS, strict=False)
    ]
    return column([text_part([(head, "head"), (what + ", ".join(words), "note")]), cells], 6)


def _input(stage: Stage, step: Step, cut: Crop) -> Part:
    read = [dict(_taps(each)) for each in stage.meets(step.place)]
    reading = stage.channels_of(step.filter)
    found = [dict(_inputs(axis)) for axis in stage.axes]

    def look(position: tuple[int, ...]) -> CellLook:
        channel, *places = position
        inputs = [known.get(at) for known, at in zip(found, places, strict=True)]
        taps = [each.get(at) for each, at in zip(read, places, strict=True)]
        chosen = step.active and channel in reading and None not in taps
        if None in inputs:
            return CellLook("read absent" if chosen else "absent")
        number = numeral(float(stage.data[(*inputs, channel)])) if step.known else ""
        if not chosen:
            return CellLook("cell" if step.known else "pending", number)
        weight = stage.weight([tap or 0 for tap in taps], channel - reading.start, step.filter)
        corner = "" if weight is None else f"{TIMES}{numeral(weight)}"
        return CellLook("read", number, "number", corner)

    axes = [_axis("channel", cut.channels, range(stage.facts.channels))]
    for axis, shown, whole, known in zip(
        stage.axes, cut.inputs, cut.whole_inputs, found, strict=True
    ):
        ticks = tuple(_input_tick(axis, known, at) for at in shown)
        axes.append(GridAxis(axis.name, shown, ticks, _cut(shown, whole)))
    sizes = _SIZES.join(map(str, stage.data.shape))
    return _block(f"input {sizes}", axes, grid(axes, look))


def _weights(stage: Stage, step: Step, cut: Crop) -> Part:
    met = stage.meets(step.place)
    reading = stage.channels_of(step.filter)

    def look(position: tuple[int, ...]) -> CellLook:
        channel, *taps = position
        weight = numeral(stage.weight(taps, channel - reading.start, step.filter) or 0.0)
        if not step.active:
            return CellLook("other tap", weight)
        there = all(each[tap][1] is not None for each, tap in zip(met, taps, strict=True))
        return CellLook("tap", weight) if there else CellLook("idle tap", weight, "pale number")

    shown = [c for c in reading if c in cut.channels]
    axes = [_axis("channel", range(shown[0], shown[-1] + 1), reading)]
    for axis, seen in zip(stage.axes, cut.inputs, strict=True):
        taps = range(min(axis.taps, max(1, -(-len(seen) // axis.dilation))))
        axes.append(_axis(axis.name, taps, range(axis.taps)))
    sizes = _SIZES.join(str(len(each)) for each in (*(range(a.taps) for a in stage.axes), reading))
    return _block(f"kernel of filter {step.filter}: {sizes}", axes, grid(axes, look), "taps: ")


def _output(stage: Stage, step: Step, cut: Crop, result: Any, final: bool) -> Part:
    def look(position: tuple[int, ...]) -> CellLook:
        chosen, *places = position
        at = (*places, chosen)
        if step.done is not None and at not in step.done:
            return CellLook("pending")
        number = numeral(float(result[at]))
        now = step.active and chosen == step.filter and tuple(places) == step.place
        return CellLook("result", number, "strong number") if now else CellLook("cell", number)

    axes = [
        _axis(
            "filter" if stage.weights is not None else "channel",
            cut.filters,
            range(stage.facts.filters),
        )
    ]
    for axis, shown in zip(stage.axes, cut.outputs, strict=True):
        axes.append(_axis(axis.name, shown, range(axis.output)))
    sizes = _SIZES.join(map(str, stage.result.shape))
    return _block(f"{'output' if final else 'in between'} {sizes}", axes, grid(axes, look))


def _axis(name: str, shown: range, whole: range) -> GridAxis:
    return GridAxis(name, shown, tuple(map(str, shown)), _cut(shown, whole))


def _cut(shown: range, whole: range) -> tuple[bool, bool]:
    return shown.start > whole.start, shown.stop < whole.stop


def _taps(met: Sequence[tuple[int, int | None]]) -> Iterator[tuple[int, int]]:
    return ((at, tap) for tap, (at, _) in enumerate(met))


def _inputs(axis: Any) -> Iterator[tuple[int, int]]:
    """The positions that hold an input."""
    apart = axis.stride if axis.transposed else 1
    return ((place * apart, place) for place in range(axis.length))


def _input_tick(axis: Any, known: dict[int, int], at: int) -> str:
    if at in known:
        return str(known[at])
    return "" if axis.transposed else str(at).replace("-", MINUS)


def _legend(whole: Staged) -> Part:
    rows = [("read", "read by the output"), ("result", "the output")]
    if whole.stages[-1].weights is not None:
        rows.insert(1, ("tap", "weight that meets an input"))
    if _absent(whole):
        rows += [("absent", "absent: contributes nothing")]
    items: list[Item] = []
    x = 0.0
    for style, words in rows:
        items += [Box(x, 2, 14, 14, style), Text(x + 20, 9, words, "note")]
        x += 20 + text_width(words, STYLES["note"].size) + 18
    legend = Part(tuple(items), x, 18)
    if not whole.made:
        return legend
    made = "Whole numbers stand in for what was not given, so that the sums can be followed."
    return column([legend, text_part([(made, "note")])], 4)


def _absent(whole: Staged) -> bool:
    ends = [
        (axis, output)
        for stage in whole.stages
        for axis in stage.axes
        for output in {0, axis.output - 1}
    ]
    return any(read is None for axis, output in ends for _, read in axis_meets(axis, output))
