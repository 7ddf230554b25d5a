"""What a race found: a table for a terminal, a page, data, a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from textwrap import shorten
from typing import Any

from isoconv.optional import require
from isoconv.sections import Section, as_html, as_text, duration, size
from isoconv.timing import Times

# Blue and vermilion, which colour-blind people tell apart.
_FORWARD, _STEP = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Entry:
    """One way of computing the layer.

    name: the layers. engine: what ran them. rules: those of `isoconv.forms` that led to this form,
    by row and title. forward, step: seconds of a prediction and of a training step (None where the
    engine does not train). memory, step_memory: bytes by which a process of its own grew in one.
    error: the largest from float64, over the largest output. same_bits: as the first entry gives.
    gflops: of the first entry's multiply-adds, two each, in a prediction.
    """

    name: str
    engine: str
    rules: tuple[str, ...]
    forward: Times
    step: Times | None
    memory: int | None
    step_memory: int | None
    error: float
    same_bits: bool
    gflops: float


@dataclass(frozen=True)
class Race:
    """What `isoconv.race` gives: entries, the first of them the layer as it was given.

    skipped: frameworks that took no part, and why. against: of each layer that was given to race
    against, whether it is the same function. not_measured: whose memory is not known, and why.
    versions: of what ran.
    """

    title: str
    input_shape: tuple[tuple[int, ...], ...]
    batch: int
    threads: int
    macs: int
    entries: list[Entry] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    against: dict[str, str] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)

    @property
    def fastest(self) -> Entry:
        """That of the least time for a prediction."""
        return min(self.entries, key=lambda entry: entry.forward.least)

    def as_data(self) -> dict[str, Any]:
        """As JSON data; times in seconds, memory in bytes."""
        return asdict(self)

    def __str__(self) -> str:
        return as_text(self._sections())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._sections())

    def plot(self) -> Any:
        """Bars of the times, as a matplotlib Figure; save it with `savefig`, as PNG or SVG."""
        figure_of = require("matplotlib.figure", "plot").Figure
        trains = any(entry.step for entry in self.entries)
        figure = figure_of((9.0, 1.4 + 0.3 * len(self.entries)), layout="constrained")
        panels = figure.subplots(1, 1 + trains, sharey=True, squeeze=False)[0]
        places = range(len(self.entries))
        for panel, what, colour in zip(
            panels, ("forward", "step"), (_FORWARD, _STEP), strict=False
        ):
            times = [getattr(entry, what) for entry in self.entries]
            bars = panel.barh(places, [t.least * 1e3 if t else 0 for t in times], color=colour)
            labels = [duration(t.least) if t else "-" for t in times]
            panel.bar_label(bars, labels, padding=3, fontsize=8)
            panel.set_title("prediction" if what == "forward" else "training step", fontsize=10)
            panel.set_xlabel("milliseconds, the least")
            panel.margins(x=0.25)
            panel.spines[["top", "right"]].set_visible(False)
        labels = [shorten(self._label(entry), 60) for entry in self.entries]
        panels[0].set_yticks(places, labels, fontsize=8)
        panels[0].invert_yaxis()
        figure.suptitle(f"{self._heading()}", fontsize=11)
        return figure

    def _heading(self) -> str:
        shapes = " and ".join("x".join(map(str, shape)) for shape in self.input_shape)
        return f"{self.title} on {self.batch} of {shapes}, threads: {self.threads}"

    def _label(self, entry: Entry) -> str:
        """The layers, or the framework, with the layers where several were given."""
        if _ours(entry):
            return entry.name
        return f"{entry.engine}: {entry.name}" if self.against else entry.engine

    def _sections(self) -> list[Section]:
        notes = [
            "forward, step: the least time of a prediction and of a training step (Adam, mean "
            "squared error), everybody in turn. x: how many times as long as the first. GF/s: the "
            "first's arithmetic over the time. grows: by how much a process of its own grows in a "
            "prediction, and in a step. error: the largest from float64, over the largest output; "
            "= marks the first's bits."
        ]
        found = [
            Section(self._heading(), [", ".join(self.versions)]),
            Section("Forms of isoconv", (), self._table(True), True, _NUMBERS),
        ]
        if not all(map(_ours, self.entries)):
            found.append(Section("Other engines", (), self._table(False), True, _NUMBERS))
        found += [Section(f"Against {name}", [answer]) for name, answer in self.against.items()]
        if self.skipped:
            found.append(Section("Took no part", (), list(self.skipped.items())))
        if self.not_measured:
            found.append(Section("Memory not measured", (), list(self.not_measured.items())))
        return [*found, Section("What the columns are", notes)]

    def _table(self, ours: bool) -> list[Sequence[str]]:
        first = self.entries[0]
        rows: list[Sequence[str]] = [("", "forward", "x", "GF/s", "step", "grows", "error")]
        for entry in self.entries:
            if _ours(entry) == ours:
                grows = " ".join(_size(each) for each in (entry.memory, entry.step_memory))
                rows.append(
                    (
                        self._label(entry),
                        duration(entry.forward.least),
                        f"{entry.forward.least / first.forward.least:.2f}",
                        f"{entry.gflops:.3g}",
                        duration(entry.step.least) if entry.step else "-",
                        grows,
                        f"{entry.error:.1e}{' =' if entry.same_bits else '  '}",
                    )
                )
        return rows


_NUMBERS = (1, 2, 3, 4, 5)


def _size(count: int | None) -> str:
    return "-" if count is None else size(count).replace("iB", "").replace(" ", "")


def _ours(entry: Entry) -> bool:
    return entry.engine.startswith("isoconv")
