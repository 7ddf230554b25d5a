"""Callbacks that write files: the model as it gets better, and a table of the epochs."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.training.callbacks.base import Callback, Logs
from isoconv.training.callbacks.monitors import Monitor


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, every epoch or every so many batches.

    Args:
        filepath: where to; may hold "{epoch:02d}" (from 1), "{batch}" and names of logs. It ends in
            ".weights.h5" for weights only, in ".keras" or ".h5" otherwise. Files appear whole or
            not at all.
        monitor, mode: the number that says which model is better.
        verbose: 1 prints a line when it saves.
        save_best_only: save only where the number is better than ever, or the logs lack it.
        save_weights_only: save the weights only.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: what the number must surpass for the first saving.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.every = batches_between(save_freq, "ModelCheckpoint")
        self.best = initial_value_threshold
        self._batches = 0
        self._epoch = 0
        wanted = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(wanted):
            where, ends = "ModelCheckpoint: filepath", " or ".join(wanted)
            raise ArgumentError(explain(where, repr(self.filepath), f"a name that ends in {ends}"))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.every and self._batches % self.every == 0:
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.every:
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.value_of(logs)
            if value is not None:
                if not self.is_better(value, self.best):
                    return
                self.best = value
        path = self._path(epoch, batch, logs)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        number = {} if batch is None else {"batch": batch + 1}
        try:
            return self.filepath.format(epoch=epoch + 1, **number, **(logs or {}))
        except KeyError as error:
            known = ", ".join(["epoch", *number, *(logs or {})])
            where = "ModelCheckpoint: filepath"
            raise ArgumentError(explain(where, f"{{{error.args[0]}}}", known)) from error


def batches_between(save_freq: Any, where: str) -> int:
    """After how many batches to save; 0 for after epochs."""
    if save_freq == "epoch":
        return 0
    if isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1:
        wanted = "'epoch' or a number of batches"
        raise ArgumentError(explain(f"{where}: save_freq", repr(save_freq), wanted))
    return save_freq


class CSVLogger(Callback):
    """Writes a line an epoch to a file: its number, and all logs, in the form of Keras' files.

    filename: where to. separator: between the columns. append: whether to go on after what is in
    the file.
    """

    kept = ("_columns",)

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._columns = []
        if self.append and self.filename.exists():
            first = self.filename.read_text().partition("\n")[0]
            self._columns = first.split(self.separator) if first else []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {name: _cell(value) for name, value in (logs or {}).items()}
        new = not self._columns
        if new:
            names = sorted(row)
            # Validation may come with a later epoch.
            validated = any(name.startswith("val_") for name in names)
            later = [] if validated else [f"val_{name}" for name in names]
            self._columns = ["epoch", *names, *later]
        with self.filename.open("w" if new else "a", newline="") as file:
            columns = self._columns
            writer = csv.DictWriter(file, columns, "NA", "ignore", delimiter=self.separator)
            if new:
                writer.writeheader()
            writer.writerow({"epoch": epoch, **row})


def _cell(value: Any) -> Any:
    return f'"[{", ".join(map(str, value))}]"' if np.ndim(value) else value
