"""What `fit` shows while it runs: a bar in a terminal, a line an epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.errors import ArgumentError, explain
from isoconv.training.callbacks import Callback, Logs

VERBOSE = ("auto", 0, 1, 2)


@contextmanager
def shown(verbose: Any) -> Iterator[list[Callback]]:
    """What shows the progress, as callbacks; whatever it shows ends when this is left.

    verbose: "auto" for a bar in a terminal and nothing elsewhere, 1 for a bar in a terminal and
    lines elsewhere, 2 for a line an epoch, 0 for nothing.
    """
    if verbose not in VERBOSE:
        raise ArgumentError(explain("verbose", repr(verbose), "'auto', 0, 1 or 2"))
    if sys.stdout.isatty() and verbose in ("auto", 1):
        # rich is not for every import of isoconv.
        bar: Any = optional.late("isoconv.models.bar").Bar()
        try:
            yield [bar]
        finally:
            bar.stop()
    else:
        yield [Lines()] if verbose in (1, 2) else []


class Lines(Callback):
    """A line an epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        taken = time.perf_counter() - self._start
        print(epoch_line(epoch, self.params["epochs"], taken, logs or {}), flush=True)


def epoch_line(epoch: int, epochs: int, seconds: float, logs: Logs) -> str:
    """What is told of an epoch that has ended; epoch counts from 0."""
    return f"Epoch {epoch + 1}/{epochs} - {seconds:.1f} s - {described(logs)}"


def described(logs: Logs) -> str:
    """Logs as a person reads them."""
    return " - ".join(f"{name}: {number(value)}" for name, value in logs.items())


def number(value: Any) -> str:
    """Four digits after the point, or the exponent of what these would not show."""
    if np.ndim(value):
        return f"[{', '.join(map(number, value))}]"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4e}"
