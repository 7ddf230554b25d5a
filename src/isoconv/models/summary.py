"""The table of a model's layers, shapes and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.layers.input import InputLayer
from isoconv.models import operations
from isoconv.models.network import Network, needed
from isoconv.naming import shortened
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor
from isoconv.ops.variable import Variable
from isoconv.sections import Section, as_html

if TYPE_CHECKING:
    from isoconv.models.model import Model

Row = tuple[str, ...]


def summary(
    model: Model,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
    """The table as text; the arguments are those of `Model.summary`."""
    branches = _has_branches(model)
    last = len("Trainable") + 1 if show_trainable else 0
    width = line_length or (80 if branches else 65 + last)
    ends = _ends(model, width - last, positions)
    ends += [ends[-1] + last] if show_trainable else []
    most = _NAME_LINES * ends[0]
    titles, *rows = _rows(model, most, expand_nested, show_trainable, layer_range)
    width = ends[-1]
    lines = [f'Model: "{model.name}"', "_" * width, *_lines(titles, ends), "=" * width]
    for index, row in enumerate(rows):
        lines += _lines(row, ends)
        lines.append(("=" if index == len(rows) - 1 else "_") * width)
    return "\n".join([*lines, *_totals(model), "_" * width])


def html(model: Model) -> str:
    """The table for a notebook."""
    table = Section(f'Model: "{model.name}"', (), _rows(model), head=True, right=(2,))
    return as_html([table, Section("", _totals(model))])


# Lines that a name takes at most; of a longer one its end is told, which differs from the others.
_NAME_LINES = 2
# Columns are no narrower than this, as in Keras.
_NARROWEST = 4
_TITLES = ("Layer (type)", "Output Shape", "Param #", "Connected to", "Trainable")


def _ends(model: Model, width: int, positions: Sequence[float] | None) -> list[int]:
    """Where the columns end; given ones are shares of the width, or places in the line."""
    plain = (0.3, 0.57, 0.69, 1) if _has_branches(model) else (0.45, 0.85, 1)
    given = plain if positions is None else positions
    where, expected = model.where("summary: positions"), f"{len(plain)} ends of columns, in order"
    if len(given) != len(plain):
        raise ArgumentError(explain(where, repr(positions), expected))
    scale = width if given[-1] <= 1 else 1
    ends = [int(scale * place) for place in given]
    if any(end - start < _NARROWEST for start, end in zip([0, *ends], ends, strict=False)):
        told = f"{ends} in a line of {width}"
        raise ArgumentError(explain(where, told, f"columns of {_NARROWEST} letters or more"))
    return ends


def _rows(
    model: Model,
    most: int | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> list[Row]:
    """The head of the table and its rows, names of at most so many letters; connections only where
    there are branches.
    """
    shown = [True, True, True, _has_branches(model), show_trainable]
    rows = [_TITLES, *_rows_within(model, most, expand_nested, layer_range)]
    return [tuple(compress(row, shown)) for row in rows]


def _rows_within(
    model: Model,
    most: int | None,
    expand_nested: bool,
    layer_range: Sequence[str] | None = None,
    level: int = 0,
) -> Iterator[Row]:
    network = model.network
    parts: Sequence[Any] = model.layers
    if network is not None:
        parts = _without_input(network) if _is_sequential(model) else network.targets
    for part in _within(model, parts, layer_range):
        if network is None or not isinstance(part, Call):
            name, *fields = _layer_row(part, most)
        else:
            name, *fields = _call_row(part, network, most)
        yield (f"{'   ' * level}└ {name}" if level else name, *fields)
        target = getattr(part, "target", part)
        if expand_nested and hasattr(target, "network") and target.layers:
            yield from _rows_within(target, most, expand_nested, level=level + 1)


def _within(model: Model, parts: Sequence[Any], layer_range: Sequence[str] | None) -> Sequence[Any]:
    """Those from the first whose name matches the first pattern to the last that matches the
    second; by Keras' rule a range that ends before it starts is turned round.
    """
    if layer_range is None:
        return parts
    where, given = model.where("summary: layer_range"), repr(layer_range)
    texts = isinstance(layer_range, list | tuple) and all(isinstance(x, str) for x in layer_range)
    if not texts or len(layer_range) != 2:
        raise ArgumentError(
            explain(where, given, "the names of two layers, the first and the last")
        )
    starts, stops = (
        [place for place, part in enumerate(parts) if re.match(pattern, part.name)]
        for pattern in layer_range
    )
    if not starts or not stops:
        known = ", ".join(part.name for part in parts)
        raise ArgumentError(explain(where, given, f"two of {known}"))
    if starts[0] > stops[-1]:
        return parts[stops[0] : starts[-1] + 1]
    return parts[starts[0] : stops[-1] + 1]


def _has_branches(model: Model) -> bool:
    return model.network is not None and not model.network.is_chain


def _is_sequential(model: Any) -> bool:
    return bool(getattr(model, "is_sequential", False))


def _without_input(network: Network) -> list[Call]:
    return [call for call in network.targets if not isinstance(call.target, InputLayer)]


def _layer_row(layer: Layer, most: int | None) -> Row:
    shape = "?" if not layer._calls else _shape(layer.output_shape)
    count = f"{layer.count_params():,}" if layer.built else "unbuilt"
    return (
        f"{shortened(layer.name, most)} ({type(layer).__name__})",
        shape,
        count,
        "",
        _trainable(layer),
    )


def _call_row(call: Call, network: Network, most: int | None) -> Row:
    target = call.target
    shapes = tree.transform(lambda tensor: tensor.shape, call.outputs)
    shown = _shape(shapes[0]) if len(shapes) == 1 else ", ".join(map(_shape, shapes))
    named = {id(tensor): entry.name for tensor, entry in _entries(network)}
    if isinstance(target, Layer):
        calls = [step for step in network.steps if step.target is target]
        kind, count = type(target).__name__, f"{target.count_params():,}"
    else:
        calls, kind, count = [call], operations.class_of(target.__name__), "0"
    before = [
        f"{shortened(named.get(id(tensor)) or _source(tensor), most)}"
        f"[{_number(tensor.call, network)}][{tensor.index}]"
        for each in calls
        for tensor in needed(each)
    ]
    name, connected = f"{shortened(call.name, most)} ({kind})", ", ".join(before)
    return (name, shown, count, connected, _trainable(target))


def _trainable(target: Any) -> str:
    """As Keras tells it: Y, N, or - where there are no weights."""
    return ("Y" if target.trainable else "N") if getattr(target, "weights", ()) else "-"


def _source(tensor: KerasTensor) -> str:
    return tensor.call.name if tensor.call else tensor.name


def _entries(network: Network) -> Any:
    return zip(network.flat_inputs, network.entries, strict=True)


def _number(call: Call | None, network: Network) -> int:
    """Which of its target's calls in the network this is."""
    if call is None or not isinstance(call.target, Layer):
        return 0
    same = [step for step in network.steps if step.target is call.target]
    return next((i for i, step in enumerate(same) if step is call), 0)


def _shape(shape: Any) -> str:
    return str(tuple(shape) if isinstance(shape, list | tuple) else shape)


def _lines(row: Sequence[str], ends: Sequence[int]) -> list[str]:
    """A row of the table, its fields broken over as many lines as they need."""
    starts = [0, *ends[:-1]]
    widths = [end - start - 1 for start, end in zip(starts, ends, strict=True)]
    broken = [_broken(text, width) for text, width in zip(row, widths, strict=True)]
    lines = []
    for index in range(max(map(len, broken))):
        fields = [parts[index] if index < len(parts) else "" for parts in broken]
        line = "".join(f"{text:<{width}} " for text, width in zip(fields, widths, strict=True))
        lines.append(line.ljust(ends[-1])[: ends[-1]])
    return lines


def _broken(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at spaces where there are any."""
    lines: list[str] = []
    rest = text
    while len(rest) > width:
        place = rest.rfind(" ", 1, width + 1)
        place = place if place > 0 else width
        lines.append(rest[:place])
        rest = rest[place:].lstrip()
    return [*lines, rest]


def _totals(model: Model) -> list[str]:
    return [
        f"{title} params: {_amount(weights)}"
        for title, weights in (
            ("Total", model.weights),
            ("Trainable", model.trainable_weights),
            ("Non-trainable", model.non_trainable_weights),
        )
    ]


def _amount(weights: Sequence[Variable]) -> str:
    count = sum(weight.size for weight in weights)
    size = float(sum(weight.array.nbytes for weight in weights))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{count:,} ({size:.2f} {unit})"
