"""Timing contenders in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

# One turn of one contender lasts about so long, so that short calls are repeated in it.
_TURN_SECONDS = 0.01

# The threads of whoever ran before may spin for a while, waiting for more work.
_PAUSE_SECONDS = 0.002


@dataclass(frozen=True)
class Times:
    """Seconds a call: the least, the median, and how many calls were timed."""

    least: float
    median: float
    count: int


class Turns:
    """The turns of one contender, whose work is `run`."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run

    def samples(self, count: int) -> list[float]:
        """The seconds of each of so many calls, after one that fills the caches."""
        run = self._run
        run()
        found = []
        for _ in range(count):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
        return found


def in_turn(runs: Mapping[str, Callable[[], object] | Turns], seconds: float) -> dict[str, Times]:
    """The times of each, called in turn until each has had `seconds`, and three turns at least."""
    turns = {name: run if isinstance(run, Turns) else Turns(run) for name, run in runs.items()}
    repeats = {name: _repeats(each) for name, each in turns.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    spent = 0.0
    count = 0
    while count < 3 or spent < seconds * len(runs):
        for name, each in turns.items():
            time.sleep(_PAUSE_SECONDS)
            found = each.samples(repeats[name])
            samples[name] += found
            spent += sum(found)
        count += 1
    return {name: Times(min(each), median(each), len(each)) for name, each in samples.items()}


def _repeats(turns: Turns) -> int:
    """Warms up, and says how many calls make one turn."""
    taken = min(turns.samples(2))
    return max(1, min(200, int(_TURN_SECONDS / max(taken, 1e-9))))
