"""Training curves: what `fit` returns, one panel a number, validation beside training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isoconv.drawing.panels import blank, tidy
from isoconv.drawing.style import BLUE, FAINT, VERMILION
from isoconv.errors import ArgumentError, explain
from isoconv.optional import require


def history(given: Any) -> Any:
    """The curves of a training, as a matplotlib Figure.

    given: what `fit` returns, or its `history`: a list of one number an epoch for each name.
    A name and the same with "val_" before it share a panel. Save it with `savefig`, as PNG or SVG.
    Raises ArgumentError where nothing was recorded, MissingPackageError without matplotlib.
    """
    numbers = getattr(given, "history", given)
    if not isinstance(numbers, Mapping) or not any(len(each) for each in numbers.values()):
        remedy = "Give what model.fit(...) returns, after at least one epoch."
        raise ArgumentError(explain("draw.history", repr(numbers), "recorded epochs", remedy))
    names = list(dict.fromkeys(name.removeprefix("val_") for name in numbers))
    figure = blank(4.8 * len(names), 3.6)
    ticker = require("matplotlib.ticker", "plot")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label, colour, style in (
            (name, "training", BLUE, "o-"),
            (f"val_{name}", "validation", VERMILION, "s--"),
        ):
            if key in numbers:
                epochs = range(1, len(numbers[key]) + 1)
                panel.plot(epochs, numbers[key], style, color=colour, label=label, markersize=4)
        panel.set(title=name, xlabel="epoch")
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        tidy(panel).grid(color=FAINT, alpha=0.4, linewidth=0.6)
        panel.legend(frameon=False)
    return figure
