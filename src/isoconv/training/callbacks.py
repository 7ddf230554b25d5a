"""What is told of training as it goes on: the base of callbacks, and the history of epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Logs = Mapping[str, Any]


class Callback:
    """Is told when training, epochs and batches begin and end. Subclasses write what they need.

    logs: numbers by name; of batches, the means over the epoch so far.
    `self.model` is the model, `self.params` a dict with verbose, epochs and steps.
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...

    def on_train_end(self, logs: Logs | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...


class History(Callback):
    """Remembers the numbers of every epoch: `history["loss"]` is a list; `epoch` their numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class CallbackList:
    """Callbacks told together. A method that no callback has written costs nothing."""

    def __init__(
        self, callbacks: Sequence[Callback], model: Any, params: Mapping[str, Any]
    ) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def tell(self, event: str, *args: Any) -> None:
        """Calls `on_<event>` of each that has written it."""
        for callback in self.callbacks:
            if self.written(callback, event):
                getattr(callback, f"on_{event}")(*args)

    def wants(self, event: str) -> bool:
        """Whether any callback has written `on_<event>`."""
        return any(self.written(callback, event) for callback in self.callbacks)

    @staticmethod
    def written(callback: Callback, event: str) -> bool:
        method = getattr(callback, f"on_{event}")
        return getattr(method, "__func__", method) is not getattr(Callback, f"on_{event}")
