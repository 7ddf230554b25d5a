"""The kernel sliding over its input, with all numbers: one picture, or one a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from isoconv import spec
from isoconv.drawing.blocks import Step, scene
from isoconv.drawing.crop import Crop, crop
from isoconv.drawing.picture import Picture
from isoconv.errors import ArgumentError, explain
from isoconv.explaining.facts import AxisFacts
from isoconv.explaining.stages import Stage, Staged, staged
from isoconv.layers.base import Layer

_MOST_STEPS = 120


def kernel(
    layer: Any,
    input_shape: Any = None,
    *,
    x: Any = None,
    position: Sequence[int] | int | None = None,
    filter: int = 0,
) -> Picture:
    """The windows of a layer over its input, and the sum behind one output, with all numbers.

    Args:
        layer: a convolution of any rank and kind (depthwise, separable, transposed, ...), a
            pooling layer or Dense; or text such as "Conv1D(2, 4)". One that is not built is shown
            with small whole numbers for weights, and stays as it is.
        input_shape: without the batch; what the layer was called on if left out.
        x: the input shown, one sample of that shape; small whole numbers if left out.
        position: the output that is worked out, one number an axis, or one for all; the first if
            left out, of a transposed layer the first that reads most.
        filter: its filter.

    Returns a Picture: `save` writes .svg, .html, .png, .pdf or .gif, notebooks show it. Of large
    inputs the cells around the window are drawn; sums are over all.
    """
    whole = staged(_layer(layer), input_shape, x)
    last = whole.stages[-1]
    place = _place(last, position)
    _check(whole, place, filter)
    steps = [Step(place, filter)]
    for stage, after in zip(whole.stages[-2::-1], whole.stages[:0:-1], strict=True):
        before = _source(after, steps[0])
        steps.insert(0, Step(before[:-1], min(before[-1], stage.facts.filters - 1)))
    return Picture((scene(whole, steps, _crops(whole, steps)),))


def kernel_animation(
    layer: Any,
    input_shape: Any = None,
    *,
    x: Any = None,
    position: Sequence[int] | int | None = None,
    filter: int | None = None,
    seconds: float = 0.8,
) -> Picture:
    """The same, output by output: each window with its sum, and the output filling up.

    layer, input_shape, x: as for `kernel`. Besides:
        position: where it begins.
        filter: the only filter worked out; all that are shown if left out, one after the other.
        seconds: how long each output is shown.

    Layers of several operations show one after the other. At most 120 outputs are worked out.
    """
    whole = staged(_layer(layer), input_shape, x)
    _check(whole, _place(whole.stages[-1], position), filter or 0)
    if not isinstance(seconds, int | float) or not 0 < seconds <= 60:
        raise ArgumentError(explain("kernel_animation: seconds", seconds, "above 0, at most 60"))
    rest = [Step(_place(stage, None), 0, active=False) for stage in whole.stages]
    rest[-1] = Step(_place(whole.stages[-1], position), filter or 0, active=False)
    crops = _crops(whole, rest)
    filters: list[Sequence[int]] = [cut.filters for cut in crops]
    if filter is not None:
        filters[-1] = [filter]
    places = [
        [(*at, f) for f in chosen for at in product(*cut.outputs)]
        for cut, chosen in zip(crops, filters, strict=True)
    ]
    frames = []
    for number, count in enumerate(_shares([len(each) for each in places])):
        share = places[number][:count]
        for index, (*place, chosen) in enumerate(share):
            done = frozenset(share[: index + 1])
            steps = list(_quiet(rest, number))
            steps[number] = Step(tuple(place), chosen, True, done)
            frames.append(scene(whole, steps, crops))
    return Picture(tuple(frames), float(seconds))


def _shares(counts: Sequence[int]) -> list[int]:
    """How many outputs of each operation are shown: all, or an even part of what others leave."""
    found, left = list(counts), _MOST_STEPS
    for done, number in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        found[number] = min(counts[number], left // (len(counts) - done))
        left -= found[number]
    return found


def _quiet(rest: Sequence[Step], now: int) -> Iterator[Step]:
    """The stages when one of them is at work: those before it are done, those after it wait."""
    for number, step in enumerate(rest):
        waits = number > now
        yield Step(step.place, step.filter, False, frozenset() if waits else None, not waits)


def _layer(target: Any) -> Layer:
    if isinstance(target, str):
        found = spec.layers(target)
        if len(found) > 1:
            expected = "one layer: 'Conv1D(64, 3)'"
            raise ArgumentError(explain("draw.kernel", target, expected))
        return found[0]
    if not isinstance(target, Layer):
        raise ArgumentError(explain("draw.kernel", repr(target), "a layer, or text that names one"))
    return target


def _place(stage: Stage, given: Sequence[int] | int | None) -> tuple[int, ...]:
    if given is not None:
        return (given,) * len(stage.axes) if isinstance(given, int) else tuple(given)
    return tuple(_fullest(axis) if axis.transposed else 0 for axis in stage.axes)


def _fullest(axis: AxisFacts) -> int:
    """The first output that reads most: where some tap is met first."""
    starts = sorted({places[0] for _, places in axis.meetings()})
    return max(starts, key=lambda output: len(axis.inputs_of(output)), default=0)


def _check(whole: Staged, place: tuple[int, ...], filter: int) -> None:
    outputs = tuple(axis.output for axis in whole.stages[-1].axes)
    inside = len(place) == len(outputs) and all(
        isinstance(at, int) and 0 <= at < size for at, size in zip(place, outputs, strict=False)
    )
    if not inside:
        raise ArgumentError(explain("draw.kernel: position", place, f"a place within {outputs}"))
    filters = whole.stages[-1].facts.filters
    if not isinstance(filter, int) or not 0 <= filter < filters:
        expected = f"an integer from 0 to {filters - 1}"
        raise ArgumentError(explain("draw.kernel: filter", repr(filter), expected))


def _source(stage: Stage, step: Step) -> tuple[int, ...]:
    """The first input that an output reads, with its channel."""
    met = [[read for _, read in each if read is not None] for each in stage.meets(step.place)]
    return (*(each[0] if each else 0 for each in met), stage.channels_of(step.filter).start)


def _crops(whole: Staged, steps: Sequence[Step]) -> list[Crop]:
    return [
        crop(stage, step.place, step.filter)
        for stage, step in zip(whole.stages, steps, strict=True)
    ]
