"""Training and evaluating on many batches: data in, epochs, validation, callbacks, history."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.models import progress
from isoconv.models.diagnosis import first_not_finite
from isoconv.models.feeding import whole_number
from isoconv.models.resuming import Resuming, Run
from isoconv.models.steps import Step, arrays_of
from isoconv.training import batches
from isoconv.training.batches import Batches, Data
from isoconv.training.callbacks import CallbackList, History

Logs = dict[str, Any]


class Fitting(Resuming):
    """`fit`, `evaluate`, `train_on_batch` and `test_on_batch`, for a model."""

    history: History | None = None
    _batch: Data = (None, None, None)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Trains, and gives the history: `history.history["loss"]` holds a number an epoch.

        Args:
            x: an array, or a list or dict of them, one an input; or an iterable of batches x,
                (x, y) or (x, y, sample_weight).
            y: labels, an array, or a list or dict of them, one an output.
            batch_size: samples a step, 32 if left out.
            epochs: the number of the last epoch; initial_epoch: how many are done already.
            verbose: "auto" shows a progress bar in a terminal and nothing elsewhere, 1 a bar in a
                terminal and a line an epoch elsewhere, 2 a line an epoch, 0 nothing.
            callbacks: told of what happens; one, or a list.
            validation_split: this part of the arrays, their end, is not trained on but evaluated
                after an epoch. validation_data: (x, y) or (x, y, sample_weight) or an iterable to
                evaluate instead. validation_freq: after how many epochs, or after which ones.
            shuffle: whether arrays get another order every epoch.
            class_weight: of each class, multiplied with the weights of its samples.
            sample_weight: (samples,), or shaped as the losses.
            steps_per_epoch: batches an epoch. The next one goes on where the data has more, and
                with its start where it has ended: an epoch in which it ends is shorter, and warns.
            validation_steps: batches an evaluation, which are the same ones every time.
            validation_batch_size: samples an evaluation takes at once, batch_size if left out.
        """
        self.require_compiled("fit")
        whole_number(epochs, self.where("fit: epochs"), least=0)
        whole_number(initial_epoch, self.where("fit: initial_epoch"), least=0)
        size = whole_number(32 if batch_size is None else batch_size, self.where("batch_size"))
        _check_frequency(validation_freq, self.where("fit: validation_freq"))
        data = self._source(x, y, sample_weight, "fit")
        evaluated = None
        if validation_data is not None:
            evaluated = self._validation_source(validation_data)
        elif validation_split:
            data, evaluated = self._split(data, validation_split)
        source = self._batches(data, size, shuffle, steps_per_epoch, class_weight)
        validation = None
        if evaluated is not None:
            own = validation_batch_size or size
            validation = self._batches(evaluated, own, False, validation_steps)
        span = range(initial_epoch, epochs)
        return self._fit(source, validation, validation_freq, span, verbose, callbacks)

    def _fit(
        self,
        source: Batches,
        validation: Batches | None,
        frequency: Any,
        epochs: range,
        verbose: Any,
        callbacks: Any,
    ) -> History:
        """Trains on batches; arguments as for `fit`."""
        self.history = History()
        params = {
            "verbose": verbose,
            "epochs": epochs.stop,
            "steps": source.steps,
        }
        with progress.shown(verbose) as display:
            tell = CallbackList([display, callbacks, self.history], self, params)
            self._run = Run(source, tell, epochs.start)
            try:
                self._epochs(self._run, validation, frequency, epochs.stop)
            finally:
                self._run, self._batch = None, (None, None, None)
        return self.history

    def _split(self, data: Any, share: float) -> tuple[Data, Data]:
        """Arrays without their end, which is this share of them, and their end."""
        if not isinstance(data, tuple):
            where = self.where("fit: validation_split")
            remedy = "Give validation_data instead."
            raise ArgumentError(explain(where, "an iterable", "arrays", remedy))
        return batches.split(data, share)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The mean loss, or a list of it and the metrics; return_dict: all by their names.

        x, y, batch_size, sample_weight, callbacks: as for `fit`. steps: at most so many batches.
        verbose: taken for Keras' sake.
        """
        self.require_compiled("evaluate")
        size = whole_number(32 if batch_size is None else batch_size, self.where("batch_size"))
        data = self._source(x, y, sample_weight, "evaluate")
        source = self._batches(data, size, False, steps)
        params = {"verbose": verbose, "epochs": 1, "steps": source.steps}
        logs = self._evaluate(source, CallbackList(callbacks, self, params))
        if not logs:
            raise ArgumentError(explain(self.where("evaluate: x"), "no batches", "at least one"))
        return _as_asked(logs, return_dict)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch. Gives what `evaluate` gives, of this batch.

        x, y, sample_weight, class_weight: as for `fit`. return_dict: numbers by their names.
        """
        step, _ = self.training_steps()
        return self._on_batch(step, (x, y, sample_weight), class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluates one batch. Gives what `evaluate` gives, of this batch.

        x, y, sample_weight: as for `fit`. return_dict: numbers by their names.
        """
        _, step = self.training_steps()
        return self._on_batch(step, (x, y, sample_weight), None, return_dict)

    # -- epochs --------------------------------------------------------------------------------

    def _epochs(self, run: Run, validation: Batches | None, frequency: Any, epochs: int) -> None:
        self.stop_training = False
        source, tell = run.source, run.tell
        self._keeps_finite = any(each.keeps_finite for each in tell.callbacks)
        tell.tell("train_begin")
        step, _ = self.training_steps()
        logs: Logs = {}
        for epoch in range(run.epoch, epochs):
            if self.stop_training:
                break
            tell.tell("epoch_begin", epoch)
            done = run.batch if epoch == run.epoch else 0
            steps, found = self._pass(step, source, tell, "train_batch", done)
            if not self._goes_on(steps, source, again=epoch > run.epoch):
                self.stop_training = True
            if steps:
                logs = found
                if validation is not None and _is_due(frequency, epoch):
                    values = self._evaluate(validation, tell)
                    if not values:
                        validation = None
                        self._warn_of_validation(epoch)
                    logs |= {f"val_{name}": value for name, value in values.items()}
                tell.tell("epoch_end", epoch, logs=logs)
        self.optimizer.finalize_variable_values(self.trainable_variables)
        tell.tell("train_end", logs=logs)

    def _evaluate(self, source: Batches, tell: CallbackList) -> Logs:
        """The means over all batches; empty where there are none."""
        tell.tell("test_begin")
        _, step = self.training_steps()
        source.start_anew()
        steps, logs = self._pass(step, source, tell, "test_batch")
        if source.steps is not None and 0 < steps < source.steps:
            self._warn_of_the_end("evaluate", steps, source.steps)
        tell.tell("test_end", logs=logs)
        return logs

    def _warn_of_validation(self, epoch: int) -> None:
        warnings.warn(
            f"{self.where('fit')}: validation_data has no batches in epoch {epoch + 1}; an "
            "iterator is gone through once. Training goes on without validation.",
            stacklevel=4,
        )

    def _warn_of_the_end(self, task: str, steps: int, wanted: int | None, then: str = ".") -> None:
        of = f"{steps} of {wanted or 'an unknown number of'} batches"
        warnings.warn(f"{self.where(task)}: the data ended after {of}{then}", stacklevel=5)

    def _pass(
        self, step: Step, source: Batches, tell: CallbackList, event: str, done: int = 0
    ) -> tuple[int, Logs]:
        """Runs a step for each batch after the first `done`; how many are done then, and logs."""
        if not done:
            self.reset_metrics()
        begins, ends = tell.wants(f"{event}_begin"), tell.wants(f"{event}_end")
        training = event == "train_batch"
        count = done
        logs: Mapping[str, Any] = {}
        for data in source.epoch(done):
            if begins:
                tell.tell(f"{event}_begin", count)
            logs = self._step(step, data, source.unchecked(data))
            if ends:
                self._batch = data
                tell.tell(f"{event}_end", count, logs=_numbers(logs))
            count += 1
            if training and self.stop_training:
                break
        return count, _numbers(logs)

    def where_not_finite(self) -> str:
        """Words for where NaN or infinity first appears in the last batch of `fit`.

        For callbacks at the end of a batch; the model must hold the weights from before the step,
        as it does where a callback `keeps_finite`.
        """
        return first_not_finite(self, self._batch)

    def _step(self, step: Step, data: Data, unchecked: Data | None) -> Mapping[str, Any]:
        """Runs a step; before anything changes, labels not checked yet are."""
        arrays = arrays_of(data)
        program = step.program(data, arrays)
        if unchecked is not None:
            self.require_compiled("fit").check(unchecked[1])
        if self._late:
            self.resume_metrics()
        found: Mapping[str, Any] = program(arrays)
        return found

    def _goes_on(self, steps: int, source: Batches, again: bool) -> bool:
        """Whether there is data for another epoch; a warning where there was too little."""
        if steps and (source.steps is None or steps >= source.steps or self.stop_training):
            return True
        if not steps and not again:
            raise ArgumentError(explain(self.where("fit: x"), "no batches", "at least one"))
        begins_anew = steps > 0 and source.steps is not None and not source.once
        then = (
            ". The next epoch begins with its start."
            if begins_anew
            else ", so training ends with this epoch. An iterator is gone through once: it must "
            "give steps_per_epoch * epochs batches. Anything else that can be iterated is started "
            "anew every epoch."
        )
        self._warn_of_the_end("fit", steps, source.steps, then)
        return begins_anew

    def _on_batch(
        self,
        step: Step,
        given: tuple[Any, Any, Any],
        class_weight: Mapping[int, float] | None,
        return_dict: bool,
    ) -> Any:
        self.require_compiled("train_on_batch")
        data = self._prepared(*given)
        if class_weight:
            data = batches.with_class_weight(data, class_weight, self._label_dtype())
        if not batches.count_samples(data):
            where = self.where("train_on_batch: x")
            raise ArgumentError(explain(where, "no samples", "at least one"))
        self.reset_metrics()
        return _as_asked(_numbers(self._step(step, data, data)), return_dict)


def _numbers(logs: Mapping[str, Any]) -> Logs:
    """Logs as floats, and arrays where a metric gives several numbers."""
    return {name: value if np.ndim(value) else float(value) for name, value in logs.items()}


def _as_asked(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _is_due(frequency: Any, epoch: int) -> bool:
    """Whether an epoch, counted from 0, is followed by an evaluation."""
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _check_frequency(frequency: Any, where: str) -> None:
    if not isinstance(frequency, list | tuple | set | range):
        whole_number(frequency, where)
