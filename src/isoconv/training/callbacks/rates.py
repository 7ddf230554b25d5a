"""Callbacks that set the optimizer's learning rate."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.training.callbacks.base import Callback, Logs
from isoconv.training.callbacks.monitors import Monitor


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch.

    schedule: a function of the epoch's number, from 0, and the learning rate so far; gives the new
    one. verbose: 1 prints a line an epoch. The logs of epochs get the learning rate.
    """

    def __init__(self, schedule: Any, verbose: int = 0) -> None:
        if not callable(schedule):
            where = "LearningRateScheduler: schedule"
            raise ArgumentError(explain(where, repr(schedule), "a function"))
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = len(inspect.signature(schedule).parameters) > 1

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        before = (float(optimizer.learning_rate),) if self._takes_rate else ()
        rate = self.schedule(epoch, *before)
        optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {float(rate):.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        _add_rate(self.model.optimizer, logs)


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a number has got no better for `patience` epochs.

    The logs of epochs get the learning rate they had.

    Args:
        monitor, mode, min_delta: the number, and when it is better.
        factor: what the learning rate is multiplied by, below 1.
        patience: so many epochs without anything better are borne.
        verbose: 1 prints a line when it lowers.
        cooldown: so many epochs after lowering do not count.
        min_lr: it never goes below this.
    """

    kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            where = "ReduceLROnPlateau: factor"
            raise ArgumentError(explain(where, factor, "a number from 0, below 1"))
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._start()

    def _start(self) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        _add_rate(self.model.optimizer, logs)
        value = self.value_of(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._lower(epoch)

    def _lower(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        before = float(optimizer.learning_rate)
        # The optimizer keeps its rate in float32.
        if before <= np.float32(self.min_lr):
            return
        optimizer.learning_rate = max(before * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            rate = float(optimizer.learning_rate)
            print(f"Epoch {epoch + 1}: the learning rate falls to {rate:.6g}")


def _add_rate(optimizer: Any, logs: Logs | None) -> None:
    if logs is not None:
        logs["learning_rate"] = float(optimizer.learning_rate)
