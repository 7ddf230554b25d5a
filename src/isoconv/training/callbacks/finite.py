"""Ending training whose loss is no number any more, and saying where that came from."""

from __future__ import annotations

import math

from isoconv.errors import NotFiniteError
from isoconv.training.callbacks.base import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends training when the loss is NaN or infinite, and says in which step and where that began.

    The step that fails changes nothing, so the model keeps the weights from before it; `message`
    names the step, and the layer (or the data, labels or loss) where NaN or infinity first
    appeared. A step and `train_step` of your own must give the loss under the name "loss".

    raise_error: raise NotFiniteError, a RuntimeError, instead of printing the message and stopping.
    """

    keeps_finite = True

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error
        self.message: str | None = None
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        self.model.stop_training = True
        found = self.model.where_not_finite()
        step = f"step {batch + 1} of epoch {self._epoch + 1}"
        self.message = f"The loss is {loss} in {step}: {found}."
        if self.raise_error:
            raise NotFiniteError(self.message)
        print(self.message)
