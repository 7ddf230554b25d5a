"""The state of training that goes on: what it takes to go on with the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.errors import ArgumentError, FileError, explain
from isoconv.models.feeding import Feeding
from isoconv.ops import seeds
from isoconv.ops.recorder import Array
from isoconv.ops.variable import Variable
from isoconv.training.batches import Batches
from isoconv.training.callbacks import CallbackList

if TYPE_CHECKING:
    from isoconv.models.network import Network

_PARTS = {"epoch", "batch", "stopped", "names", "random", "source", "callbacks"}

State = tuple[dict[str, Array], dict[str, Any]]
"""Arrays by name, and the rest, which is JSON."""


class Run:
    """One call of `fit`: its data, its callbacks, and where it starts.

    epoch, batch: the first epoch, and the batches of it that are done already.
    """

    def __init__(self, source: Batches, tell: CallbackList, epoch: int) -> None:
        self.source = source
        self.tell = tell
        self.epoch = epoch
        self.batch = 0


class Resuming(Feeding):
    """`training_state` and `resume_training`, for a model."""

    _run: Run | None = None
    # What is to be given to metrics that are made with the first step.
    _late: Sequence[Array] = ()

    if TYPE_CHECKING:

        @property
        def network(self) -> Network | None: ...

    def training_state(self, epoch: int, batch: int = 0) -> State:
        """All that `fit` needs to go on from here, for a backup.

        epoch: the epoch to go on with, from 0; batch: how many batches of it are done.
        """
        run = self._running("training_state")
        arrays = {f"v{i}": each.numpy() for i, each in enumerate(self._kept())}
        callbacks = [_apart(state, f"c{i}", arrays) for i, state in enumerate(run.tell.states())]
        plain = {
            "epoch": epoch,
            "batch": batch,
            "stopped": self.stop_training,
            "names": [_named(each) for each in self._kept()],
            "random": seeds.generator_state(),
            "source": run.source.position(),
            "callbacks": callbacks,
        }
        return arrays, plain

    def resume_training(self, arrays: Mapping[str, Array], plain: Mapping[str, Any]) -> None:
        """Goes on from a state: called when training begins, before the first step.

        arrays, plain: the two halves of `training_state`, by name.

        FileError, and no change, where the state is not of this model and optimizer.
        """
        run = self._running("resume_training")
        if not self.built:
            remedy = "Call it on a batch before fit, or give the first layer an input shape."
            where = self.where("resume_training")
            raise ArgumentError(explain(where, "a model not built", "a built one", remedy))
        missing = _PARTS - set(plain)
        if missing:
            given = f"none of {', '.join(sorted(missing))}"
            raise FileError(explain(self.where("the backup"), given, "all parts of a backup"))
        self.optimizer.build(self.trainable_variables)
        kept = [*self.variables, *self.optimizer.variables, seeds.GLOBAL.state]
        values = [arrays.get(f"v{i}") for i in range(len(kept))]
        _check(self.where("the backup"), kept, values, plain)
        for variable, value in zip(kept, values, strict=True):
            variable.assign(value)
        run.tell.restore([_together(state, arrays) for state in plain["callbacks"]])
        run.source.go_on(plain["source"])
        seeds.set_generator_state(plain["random"])
        if plain["batch"]:
            count = len(plain["names"])
            self._late = [arrays[f"v{i}"] for i in range(len(kept), count)]
        run.epoch, run.batch = int(plain["epoch"]), int(plain["batch"])
        self.stop_training = bool(plain["stopped"])

    def _running(self, task: str) -> Run:
        if self._run is None:
            remedy = "It is for callbacks, while fit runs."
            raise ArgumentError(explain(self.where(task), "no training", "one that runs", remedy))
        return self._run

    def resume_metrics(self) -> None:
        """Gives the metrics, which are made by now, what they held within an epoch."""
        late, self._late = self._late, ()
        measures = [each for metric in self.metrics for each in metric.variables]
        for variable, value in zip(measures, late, strict=False):
            variable.assign(value)

    def _kept(self) -> list[Variable]:
        """The variables of model, optimizer and seeds, and of the metrics that exist by now."""
        measures = [each for metric in self.metrics for each in metric.variables]
        own = [*self.variables, *self.optimizer.variables, seeds.GLOBAL.state]
        return own + measures


def _named(variable: Variable) -> list[Any]:
    return [list(variable.shape), variable.dtype]


def _check(
    where: str, kept: list[Variable], values: list[Array | None], plain: Mapping[str, Any]
) -> None:
    """FileError where arrays are not those of the variables."""
    remedy = "Remove the backup to begin anew, or give the model it was made of."
    if plain["names"][: len(kept)] != [_named(each) for each in kept]:
        given = f"{len(plain['names'])} arrays of other shapes"
        wanted = f"those of the {len(kept)} variables of this model and optimizer"
        raise FileError(explain(where, given, wanted, remedy))
    for variable, value in zip(kept, values, strict=True):
        if value is None or value.shape != variable.shape or value.dtype != variable.dtype:
            given = "none" if value is None else f"shape {value.shape} and dtype {value.dtype}"
            wanted = f"shape {variable.shape} and dtype {variable.dtype} for {variable.path}"
            raise FileError(explain(where, given, wanted, remedy))


# -- what callbacks keep ----------------------------------------------------------------------


def _apart(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """The value as JSON, its arrays put into `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _apart(each, f"{path}.{key}", arrays) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_apart(each, f"{path}.{i}", arrays) for i, each in enumerate(value)]
    return value


def _together(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]]
        return {key: _together(each, arrays) for key, each in value.items()}
    return [_together(each, arrays) for each in value] if isinstance(value, list) else value
