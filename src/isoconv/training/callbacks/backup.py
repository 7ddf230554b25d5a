"""Backups of training that goes on: killed at any moment, it resumes with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.atomic import replacing
from isoconv.errors import FileError
from isoconv.training.callbacks.base import Callback, Logs
from isoconv.training.callbacks.files import batches_between

_FILE = "training.npz"
_PLAIN = "plain"


class BackupAndRestore(Callback):
    """Keeps a backup of the training, from which `fit`, called again alike, goes on.

    What was interrupted, by a kill or a loss of power too, continues with the same bits as if it
    had not been: the backup holds weights, the optimizer's state, random seeds, the order of
    samples, logs and what the other callbacks keep. It is replaced whole or not at all, so at most
    the epoch in progress (or save_freq batches) is lost. Data from an iterator cannot be wound
    back: give arrays, or what can be iterated anew.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: taken for Keras' sake; a backup is never half written.
        delete_checkpoint: whether the folder is removed when training ends.

    A backup of another model is refused with a FileError, and nothing is changed.
    """

    runs_last = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.folder = Path(backup_dir)
        self.every = batches_between(save_freq, "BackupAndRestore")
        self.delete_checkpoint = delete_checkpoint
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = self.folder / _FILE
        if path.exists():
            self.model.resume_training(*_read(path))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.every and (batch + 1) % self.every == 0:
            self._write(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._write(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, epoch: int, batch: int) -> None:
        arrays, plain = self.model.training_state(epoch, batch)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / _FILE) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **(arrays | {_PLAIN: np.array(json.dumps(plain))}))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the rest of a backup; FileError where it is none."""
    try:
        # NumPy leaves a file that is no archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
            arrays = {name: parts[name] for name in parts.files}
        plain = json.loads(str(arrays.pop(_PLAIN)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        remedy = "Remove it to begin anew."
        raise FileError(f"{path}: no backup, or a damaged one ({error}). {remedy}") from error
    return arrays, plain
