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


def in_turn(runs: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Times]:
    """The times of each, called in turn until each has had `seconds`, and three turns at least."""
    repeats = {name: _repeats(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    spent = 0.0
    turns = 0
    while turns < 3 or spent < seconds * len(runs):
        for name, run in runs.items():
            time.sleep(_PAUSE_SECONDS)
            run()  # its data and code are in the caches again
            for _ in range(repeats[name]):
                start = time.perf_counter()
                run()
                taken = time.perf_counter() - start
                samples[name].append(taken)
                spent += taken
        turns += 1
    return {name: Times(min(each), median(each), len(each)) for name, each in samples.items()}


def _repeats(run: Callable[[], object]) -> int:
    """Warms up, and says how many calls make one turn."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return max(1, min(200, int(_TURN_SECONDS / max(min(taken), 1e-9))))
