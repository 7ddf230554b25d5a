"""Numbers short enough for a cell, and the sum behind one output written out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from textwrap import wrap

import numpy as np

from isoconv.drawing.style import MINUS, TIMES
from isoconv.explaining.stages import Stage, Staged

# Products written one by one; of more, the first.
_TERMS = 12


def numeral(value: float) -> str:
    """A number in at most five characters, such as -1.25, 12.5 or 3e-7; whole ones as they are."""
    if not np.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 10_000:
        return str(int(value)).replace("-", MINUS)
    size = abs(value)
    if 0.005 <= size < 9999.5:
        text = f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}"
    else:
        mantissa, _, power = f"{value:.0e}".partition("e")
        text = f"{mantissa}e{int(power)}"
    return text.replace("-", MINUS)


def terms(stage: Stage, place: Sequence[int], filter: int) -> list[tuple[float, float | None]]:
    """What an output adds up: each input that is there, with the weight that it meets."""
    found = []
    met = stage.meets(place)
    for taps in product(*(range(len(each)) for each in met)):
        inputs = [each[tap][1] for each, tap in zip(met, taps, strict=True)]
        if None in inputs:
            continue
        for index, channel in enumerate(stage.channels_of(filter)):
            value = float(stage.data[(*inputs, channel)])
            found.append((value, stage.weight(taps, index, filter)))
    return found


def written(whole: Staged, number: int, place: Sequence[int], filter: int, width: int) -> list[str]:
    """The sum behind an output of stage `number`, in lines of `width` characters, with what bias
    and activation make of it where the stage is the last.
    """
    stage = whole.stages[number]
    met = terms(stage, place, filter)
    result = float(stage.result[(*place, filter)])
    final = number == len(whole.stages) - 1
    where = f" [{', '.join(map(str, place))}]" if place else ""
    part = "filter" if stage.weights is not None else "channel"
    text = f"{'output' if final else 'in between'}{where} of {part} {filter} = "
    text += _sum(stage, met) + f" {_equals(met, result)} {numeral(result)}"
    if final:
        text += _after(whole, result, place, filter)
    return wrap(text, width)


def _sum(stage: Stage, met: Sequence[tuple[float, float | None]]) -> str:
    told = [
        numeral(value) if weight is None else f"{numeral(value)}{TIMES}{_signed(weight)}"
        for value, weight in met[:_TERMS]
    ]
    if stage.facts.kind == "max pooling":
        more = ", …" if len(met) > _TERMS else ""
        return f"max({', '.join(told)}{more})"
    if not told:
        return "nothing"
    noun = "products" if stage.weights is not None else "numbers"
    more = f" + … ({len(met):,} {noun})" if len(met) > _TERMS else ""
    return " + ".join(told) + more


def _signed(value: float) -> str:
    return f"({numeral(value)})" if value < 0 else numeral(value)


def _equals(met: Sequence[tuple[float, float | None]], result: float) -> str:
    numbers = [result, *(number for pair in met for number in pair if number is not None)]
    return "=" if all(number == int(number) for number in numbers) else "≈"


def _after(whole: Staged, result: float, place: Sequence[int], filter: int) -> str:
    """What bias and activation make of the sum."""
    if whole.result.shape != whole.stages[-1].result.shape:
        return ""
    final = float(whole.result[(*place, filter)])
    text = ""
    bias = getattr(whole.layer, "bias", None)
    if bias is not None:
        result += float(bias.array[filter])
        text += f"; with bias {numeral(float(bias.array[filter]))}: {numeral(result)}"
    name = getattr(getattr(whole.layer, "activation", None), "__name__", "linear")
    if name != "linear":
        text += f"; after {name}: {numeral(final)}"
    elif not np.isclose(final, result):
        text += f"; in the end {numeral(final)}"
    return text
