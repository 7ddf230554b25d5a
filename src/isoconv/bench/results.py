"""What the benchmark found, as data: one row a case, and what was demanded of some of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import exp, log
from typing import Any

from isoconv.bench.rewrites import Saving
from isoconv.timing import Times


@dataclass(frozen=True)
class Row:
    """One case. times: of each contender that ran. skipped: of those not installed, what to
    install.

    flops, bytes: of one call (bytes 0 where they are not counted). roof: the seconds that the
    machine needs for it at least, on as many threads as were asked for, and on one.
    """

    section: str
    name: str
    flops: int
    bytes: int
    roof: float
    roof_one: float
    times: dict[str, Times]
    skipped: dict[str, str] = field(default_factory=dict)

    def ratio(self, peer: str, ours: str = "isoconv") -> float | None:
        """How many times as long as ours the peer takes.

        By the least times: what else runs on the machine only ever adds to them.
        """
        if peer not in self.times or ours not in self.times:
            return None
        return self.times[peer].least / self.times[ours].least

    def best_ratio(self, peers: list[str]) -> float | None:
        """The ratio of the fastest of these peers that ran."""
        found = [ratio for ratio in map(self.ratio, peers) if ratio is not None]
        return min(found, default=None)

    def share(self) -> float | None:
        """Of the roof that ours reaches."""
        ours = self.times.get("isoconv")
        return self.roof / ours.least if ours and self.roof else None

    def share_one(self) -> float | None:
        """Of the roof of one core that ours reaches on one thread."""
        ours = self.times.get("isoconv, 1 thread")
        return self.roof_one / ours.least if ours and self.roof_one else None


@dataclass(frozen=True)
class Demand:
    """What a case has to reach: `found` at least `wanted`; None where it was not measured."""

    what: str
    wanted: float
    found: float | None

    @property
    def met(self) -> bool | None:
        return None if self.found is None else self.found >= self.wanted


@dataclass
class Report:
    """All that one run found."""

    machine: dict[str, Any]
    versions: list[str]
    rows: list[Row] = field(default_factory=list)
    savings: list[Saving] = field(default_factory=list)

    def demands(self) -> list[Demand]:
        """The demands of which at least the case was run."""
        rows = {(row.section, row.name): row for row in self.rows}
        found = []
        if text := rows.get(("layers", "text3gram")):
            found.append(Demand("text3gram, share of one core's roof", 0.6, text.share_one()))
        for section, what in (("networks", "prediction"), ("training", "training step")):
            if row := rows.get((section, "N1, batch 32")):
                title = f"N1, batch 32, {what}: torch as typed / isoconv"
                found.append(Demand(title, 1.0, row.ratio("torch")))
        return found

    def as_data(self) -> dict[str, Any]:
        """As JSON data; times in seconds."""
        demands = [asdict(demand) | {"met": demand.met} for demand in self.demands()]
        return asdict(self) | {"demands": demands}


def geometric_mean(values: list[float]) -> float | None:
    return exp(sum(map(log, values)) / len(values)) if values else None
