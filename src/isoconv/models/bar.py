"""The progress bar of `fit`: batches, time left, losses and metrics; a line for each epoch done."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from isoconv.models.progress import described, epoch_line
from isoconv.training.callbacks import Callback, Logs

# How often the bar is drawn: drawing costs about a millisecond.
_SECONDS = 0.1


class Bar(Callback):
    """A bar while an epoch runs, and a line that stays when it has ended."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._progress: Progress | None = None
        self._next = 0.0
        self._done = 0
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.stop()
        self._start = time.perf_counter()
        # The numbers give way where the terminal is narrow; they are whole in the line that stays.
        numbers = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=12)),
            BarColumn(bar_width=16, table_column=Column(min_width=16)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[numbers]}", table_column=numbers),
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        title = f"Epoch {epoch + 1}/{self.params['epochs']}"
        self._task = self._progress.add_task(title, total=self.params["steps"], numbers="")
        self._progress.start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._done = batch + 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS
            self._show(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.update(self._task, total=self._done)
            self._show(logs or {})
        self.stop()
        taken = time.perf_counter() - self._start
        line = epoch_line(epoch, self.params["epochs"], taken, logs or {})
        self._console.print(line, highlight=False)

    def stop(self) -> None:
        """Ends what is shown, and gives the terminal back."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, logs: Logs) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done, numbers=described(logs))
            self._progress.refresh()
