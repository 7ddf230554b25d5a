"""Curves for TensorBoard, through its own package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.errors import ArgumentError, explain
from isoconv.training.callbacks.base import Callback, Logs
from isoconv.training.callbacks.files import batches_between

_UNSUPPORTED = ("histogram_freq", "write_images", "profile_batch", "embeddings_freq")


class TensorBoard(Callback):
    """Writes the logs as curves: folders "train" and "validation" within log_dir.

    Args:
        log_dir: the folder that TensorBoard is started on.
        update_freq: "epoch", or after how many batches a point of the training is written too.
        write_graph, write_steps_per_second, embeddings_metadata: taken for Keras' sake.

        histogram_freq, write_images, profile_batch, embeddings_freq: must be 0: only curves are
            written.

    Needs the package tensorboard; raises MissingPackageError without it.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        given = (histogram_freq, write_images, profile_batch, embeddings_freq)
        for name, value in zip(_UNSUPPORTED, given, strict=True):
            if value:
                raise ArgumentError(explain(f"TensorBoard: {name}", repr(value), "0: only curves"))
        self.log_dir = Path(log_dir)
        self.every = 1 if update_freq == "batch" else batches_between(update_freq, "TensorBoard")
        writer = "tensorboard.summary.writer.event_file_writer"
        self._writer_class = optional.require(writer, "tensorboard").EventFileWriter
        self._event = optional.require("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        self._writers: dict[str, Any] = {}
        self._batches = 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.every and self._batches % self.every == 0:
            self._write("train", "batch_", self._batches, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = dict(logs or {})
        validated = {name: found.pop(name) for name in list(found) if name.startswith("val_")}
        rate = {"learning_rate": float(self.model.optimizer.learning_rate)}
        self._write("train", "epoch_", epoch, found | rate)
        if validated:
            plain = {name.removeprefix("val_"): value for name, value in validated.items()}
            self._write("validation", "epoch_", epoch, plain)

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _write(self, part: str, prefix: str, step: int, logs: Logs) -> None:
        if part not in self._writers:
            self._writers[part] = self._writer_class(str(self.log_dir / part))
        event = self._event(wall_time=time.time(), step=step)
        for name, value in logs.items():
            if not np.ndim(value):
                event.summary.value.add(tag=f"{prefix}{name}", simple_value=float(value))
        self._writers[part].add_event(event)
        self._writers[part].flush()
