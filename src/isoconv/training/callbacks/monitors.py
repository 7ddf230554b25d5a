"""Watching one number of the logs: what counts as better, and stopping when nothing gets better."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from isoconv.errors import ArgumentError, explain
from isoconv.training.callbacks.base import Callback, Logs
from isoconv.training.metrics.direction import direction

MODES = ("auto", "min", "max")


class Monitor(Callback):
    """The base of callbacks that follow one number of the logs.

    Args:
        monitor: its name, such as "val_loss".
        mode: "min" if smaller is better, "max" if larger is, "auto" for what the metric says.
        min_delta: a change of at most this counts as none.
    """

    kept: ClassVar[Sequence[str]] = ("best",)

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in MODES:
            where = f"{type(self).__name__}: mode"
            raise ArgumentError(explain(where, repr(mode), f"one of {', '.join(MODES)}"))
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def value_of(self, logs: Logs | None) -> float | None:
        """The number watched; None, with a warning, where the logs lack it."""
        logs = logs or {}
        if self.monitor not in logs:
            known = ", ".join(logs) or "nothing"
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, and there is only {known}.",
                stacklevel=3,
            )
            return None
        value = logs[self.monitor]
        if getattr(value, "ndim", 0):
            where = f"{type(self).__name__}: monitor"
            given = f"{self.monitor!r} of shape {value.shape}"
            raise ArgumentError(explain(where, given, "the name of one number"))
        return float(value)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another; every number is better than none."""
        if than is None or math.isnan(than):
            return not math.isnan(value)
        if self._sense() == "max":
            return value - self.min_delta > than
        return value + self.min_delta < than

    def _sense(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        found = "min" if name == "loss" or name.endswith("_loss") else None
        for metric in self.model.metrics:
            if found is None and (name == metric.name or name.endswith(f"_{metric.name}")):
                found = direction(metric)
        if found is None:
            where = f"{type(self).__name__}: mode"
            remedy = f"Nothing says whether a larger {self.monitor!r} is better."
            raise ArgumentError(explain(where, "'auto'", "'min' or 'max'", remedy))
        self.mode = found
        return found


class EarlyStopping(Monitor):
    """Ends training when a number has got no better for `patience` epochs.

    Args:
        monitor, min_delta, mode: the number, and when it is better.
        patience: so many epochs without anything better are borne.
        verbose: 1 prints a line when it stops.
        baseline: what must be surpassed for an epoch to count as better.
        restore_best_weights: whether the weights of the best epoch come back in the end.
        start_from_epoch: epochs before this one do not count.
    """

    kept = ("best", "wait", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._start()

    def _start(self) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value_of(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # Where no epoch is better than the baseline, the first is the best.
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"The weights are those of the best epoch, {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
