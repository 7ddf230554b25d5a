"""What the benchmark found, as data: one row a case, and what was demanded of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import exp, log
from statistics import median
from typing import Any

from isoconv.bench.within import RTOL
from isoconv.timing import Times

# Those of whom the best form of PyTorch is the faster.
TORCHES = ("torch", "torch best")
# Seconds that a call takes whatever it computes.
_CALL = 1e-6


@dataclass(frozen=True)
class Row:
    """One case. runs: the times of each contender that took part, run by run. skipped: of those
    not installed, what to install.

    flops, bytes: of one call (bytes 0 where they are not counted). roof: the seconds that the
    machine needs for it at least, on as many threads as were asked for, and on one.
    """

    section: str
    name: str
    flops: int
    bytes: int
    roof: float
    roof_one: float
    runs: list[dict[str, Times]]
    skipped: dict[str, str] = field(default_factory=dict)

    def least(self, name: str) -> float | None:
        """The seconds of a contender's fastest call; None if it took no part."""
        return min((times[name].least for times in self.runs if name in times), default=None)

    @property
    def peers(self) -> list[str]:
        """Those that ran, without ours."""
        return [name for name in self.runs[0] if not name.startswith("isoconv")]

    def ratio(self, *peers: str, ours: str = "isoconv") -> float | None:
        """How many times as long as ours the fastest of these peers takes: the median of the runs.

        By the least times of a run: what else runs on the machine only ever adds to them.
        """
        ratios = []
        for times in self.runs:
            found = [times[peer].least for peer in peers if peer in times]
            if found and ours in times:
                ratios.append(min(found) / times[ours].least)
        return median(ratios) if ratios else None

    def share(self) -> float | None:
        """Of the roof that ours reaches."""
        ours = self.least("isoconv")
        return self.roof / ours if ours and self.roof else None

    def most(self, *peers: str) -> float | None:
        """The ratio to these peers that ours would have at the roof; today's where the machine
        needs less time than a call does.
        """
        ratio, share = self.ratio(*peers), self.share()
        if ratio is None or share is None:
            return None
        return ratio if self.roof < _CALL else ratio / min(share, 1.0)

    def share_one(self) -> float | None:
        """Of the roof of one core that ours reaches on one thread."""
        ours = self.least("isoconv, 1 thread")
        return self.roof_one / ours if ours and self.roof_one else None


@dataclass(frozen=True)
class Demand:
    """What has to be reached: `found` at least `wanted`; None where it was not measured.

    most: what would be found if ours took no more time than the machine needs at least.
    """

    what: str
    wanted: float
    found: float | None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.found is None else self.found >= self.wanted


# Network and batch, section, against whom (nobody named: the best peer), at least.
_NETWORKS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("N1, batch 1", "networks", (), 1.35),
    ("N1, batch 32", "networks", (), 1.15),
    ("N1, batch 256", "networks", (), 1.12),
    ("N2, batch 1", "networks", (), 1.08),
    ("N2, batch 32", "networks", (), 1.08),
    ("N3, batch 1", "networks", (), 1.2),
    ("N3, batch 128", "networks", (), 1.1),
    ("N4, batch 1", "networks", ("openvino",), 0.95),
    (f"N4 ~{RTOL}, batch 1", "networks", ("openvino",), 1.3),
    ("N5, batch 1", "networks", (), 1.1),
    ("N6, batch 1", "networks", (), 1.05),
    ("N6, batch 4", "networks", (), 1.05),
    ("N1, batch 32", "training", (), 1.5),
    ("N1, batch 32", "training", ("torch",), 2.9),
    ("N1, batch 256", "training", (), 1.45),
    ("N1, batch 256", "training", ("torch",), 3.7),
    ("N2, batch 32", "training", (), 1.35),
    ("N2, batch 32", "training", ("torch",), 2.1),
    ("N3, batch 128", "training", (), 1.7),
    ("N3, batch 128", "training", ("torch",), 4.4),
    ("N6, batch 4", "training", (), 1.5),
    ("N6, batch 4", "training", ("torch",), 2.0),
    ("N1 step, batch 32", "accelerate", ("torch",), 1.5),
)

# Section, against whom, at least, for every case of it.
_EACH: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("layers", (), 0.97),
    ("channels_first", ("torch",), 0.97),
    ("faces", TORCHES, 1.0),
    ("accelerate", ("torch",), 0.97),
)

_MEANS: tuple[tuple[tuple[str, ...], float], ...] = (((), 1.7), (("torch",), 3.0))


@dataclass
class Report:
    """All that one benchmark found. alone: of the sections that have no peers, what each found."""

    machine: dict[str, Any]
    versions: dict[str, None] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    alone: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Adds a row, or another run of one that is there."""
        for known in self.rows:
            if (known.section, known.name) == (row.section, row.name):
                known.runs.extend(row.runs)
                return
        self.rows.append(row)

    def demands(self) -> list[Demand]:
        """The demands of which at least one case was run."""
        found = []
        for section, peers, wanted in _EACH:
            if rows := self._of(section):
                whom = _named(peers)
                found.append(_least(f"{section}: each, {whom}", wanted, rows, peers))
        if layers := self._of("layers"):
            for peers, wanted in _MEANS:
                what = f"layers: geometric mean, {_named(peers)}"
                most = [row.most(*(peers or row.peers)) for row in layers]
                found.append(Demand(what, wanted, mean_ratio(layers, peers), _mean(most)))
        for name, section, peers, wanted in _NETWORKS:
            for row in self._of(section):
                if row.name == name:
                    what = f"{section}: {name}, {_named(peers)}"
                    named = peers or tuple(row.peers)
                    found.append(Demand(what, wanted, row.ratio(*named), row.most(*named)))
        return found

    def _of(self, section: str) -> list[Row]:
        return [row for row in self.rows if row.section == section]

    def as_data(self) -> dict[str, Any]:
        """As JSON data; times in seconds."""
        demands = [asdict(demand) | {"met": demand.met} for demand in self.demands()]
        return asdict(self) | {"versions": list(self.versions), "demands": demands}


def _named(peers: Sequence[str]) -> str:
    return f"against {' or '.join(peers)}" if peers else "against the best peer"


def _least(what: str, wanted: float, rows: Sequence[Row], peers: Sequence[str]) -> Demand:
    """The least of all cases' ratios, and how many are what is wanted."""
    found = {row.name: row.ratio(*(peers or row.peers)) for row in rows}
    ratios = {name: ratio for name, ratio in found.items() if ratio is not None}
    met = sum(ratio >= wanted for ratio in ratios.values())
    title = f"{what}, {met} of {len(ratios)} do; the least"
    return Demand(title, wanted, min(ratios.values(), default=None))


def mean_ratio(rows: Sequence[Row], peers: Sequence[str] = ()) -> float | None:
    """The geometric mean of the ratios to these peers, or to the best of each row."""
    return _mean([row.ratio(*(peers or row.peers)) for row in rows])


def _mean(ratios: Sequence[float | None]) -> float | None:
    return geometric_mean([ratio for ratio in ratios if ratio is not None])


def geometric_mean(values: list[float]) -> float | None:
    return exp(sum(map(log, values)) / len(values)) if values else None
