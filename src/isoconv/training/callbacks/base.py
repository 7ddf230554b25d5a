"""What is told of training as it goes on: the base of callbacks, and those that only listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

from isoconv.errors import ArgumentError, explain
from isoconv.ops import tree

Logs = MutableMapping[str, Any]
Function = Callable[..., Any] | None


class Callback:
    """Is told when training, epochs and batches begin and end. Subclasses write what they need.

    epoch, batch: their numbers, from 0. logs: numbers by name, empty at beginnings; of batches, the
    means over the epoch so far. At the end of an epoch all callbacks get one dict: what one adds,
    later ones and `History` see. `on_batch_begin` and `on_batch_end` are older names of
    `on_train_batch_begin` and `..._end`. `self.model` is the model, `self.params` a dict with
    verbose, epochs and steps: `set_model` and `set_params` set them.

    kept: the names of attributes (numbers, lists, arrays) that go into backups, so that training
    which is resumed goes on as if never stopped. runs_last: whether it is told after the others.
    keeps_finite: whether a step whose loss is NaN or infinite shall leave all variables as they
    were.
    """

    kept: ClassVar[Sequence[str]] = ()
    runs_last: ClassVar[bool] = False
    keeps_finite: ClassVar[bool] = False

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

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_begin(self, logs: Logs | None = None) -> None: ...

    def on_predict_end(self, logs: Logs | None = None) -> None: ...

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...


class History(Callback):
    """Remembers the numbers of every epoch: `history["loss"]` is a list; `epoch` their numbers."""

    kept = ("history", "epoch")

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """Calls functions of yours: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin,
    on_train_batch_end: called where the methods of `Callback` are, with the same arguments; any
    other of its methods may be given by name too.
    """

    def __init__(
        self,
        on_epoch_begin: Function = None,
        on_epoch_end: Function = None,
        on_train_begin: Function = None,
        on_train_end: Function = None,
        on_train_batch_begin: Function = None,
        on_train_batch_end: Function = None,
        **functions: Function,
    ) -> None:
        functions |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                known = ", ".join(each for each in vars(Callback) if each.startswith("on_"))
                raise ArgumentError(explain("LambdaCallback", name, f"names among {known}"))
            if function is not None:
                setattr(self, name, function)


class CallbackList:
    """Callbacks told together. A method that no callback has written costs nothing.

    callbacks: one, None, or lists of them. model, params: what these get as `self.model` and
    `self.params`.
    """

    def __init__(self, callbacks: Any, model: Any, params: Mapping[str, Any]) -> None:
        given = [each for each in tree.leaves(callbacks) if each is not None]
        for callback in given:
            if not isinstance(callback, Callback):
                remedy = "Write a subclass of isoconv.callbacks.Callback, or use LambdaCallback."
                raise ArgumentError(explain("callbacks", repr(callback), "callbacks", remedy))
        self.callbacks = sorted(given, key=lambda callback: callback.runs_last)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def tell(self, event: str, *number: int, logs: Logs | None = None) -> None:
        """Calls `on_<event>` of each that has written it. number: of the epoch or batch."""
        shared = {} if logs is None else logs
        for callback in self.callbacks:
            if self.written(callback, event):
                getattr(callback, f"on_{event}")(*number, shared)

    def wants(self, event: str) -> bool:
        """Whether any callback has written `on_<event>`."""
        return any(self.written(callback, event) for callback in self.callbacks)

    def states(self) -> list[dict[str, Any]]:
        """What each callback keeps, by name."""
        return [
            {"class": type(each).__name__} | {name: getattr(each, name) for name in each.kept}
            for each in self.callbacks
        ]

    def restore(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Gives the callbacks what they kept; those that were not there then start anew."""
        left = list(states)
        for callback in self.callbacks:
            name = type(callback).__name__
            found = next((state for state in left if state["class"] == name), None)
            if found is not None:
                left.remove(found)
                for each in callback.kept:
                    setattr(callback, each, found[each])

    @staticmethod
    def written(callback: Callback, event: str) -> bool:
        for name in (f"on_{event}", f"on_{event.replace('train_batch', 'batch')}"):
            method = getattr(callback, name)
            if getattr(method, "__func__", method) is not getattr(Callback, name):
                return True
        return False
