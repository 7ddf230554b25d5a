"""A traced function of one batch, as the program that runs for batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from isoconv import ops
from isoconv.changes import epoch
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, runtime_specs, static_kind
from isoconv.ops.program import Program, trace
from isoconv.ops.recorder import Array, current
from isoconv.ops.tensor import Tensor
from isoconv.training.batches import Data, pack

if TYPE_CHECKING:
    from isoconv.models.training import Training

# Kinds of batches whose programs are found quickly; one or two are in use.
_MOST_RECENT = 64


class Step:
    """Runs `function` on batches of any size; another size compiles nothing.

    function: of a batch of Tensors, as `pack` gives it; gives a dict of numbers.
    """

    def __init__(self, model: Training, function: Callable[[Any], dict[str, Any]]) -> None:
        self._model = model
        self._compiled = Compiled(partial(_guarded, model, function))
        self._recent: dict[Hashable, Program] = {}

    def program(self, data: Data, arrays: Sequence[Array]) -> Program:
        """The program for batches of this kind. arrays: those in `data`, all as long."""
        kinds = tuple([(array.dtype, array.shape[1:]) for array in arrays])
        way = self._model.way_of_training
        key = (epoch(), static_kind(data), kinds, way)
        found = self._recent.get(key)
        if found is None:
            self._build(data, arrays)
            specs = runtime_specs(arrays, self._axes(data))
            with self._model.learning_shapes():
                found = self._compiled.program(arrays, (data,), {}, key=(epoch(), way), specs=specs)
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            self._recent[epoch(), *key[1:]] = found
        return found

    @property
    def arena_bytes(self) -> int:
        """The most memory that values in between took."""
        return max((program.arena_bytes for program in self._recent.values()), default=0)

    def _build(self, data: Data, arrays: Sequence[Array]) -> None:
        """Makes the variables of the model and the optimizer, where they are missing."""
        model = self._model
        model.ensure_built((data[0],), {"training": True})
        if not all(layer.built for layer in model.all_layers()):
            # The layers that a subclass calls are built when it is traced; nothing is run.
            trace(self._forward(data[0]), runtime_specs(arrays, self._axes(data)), False)
        model.optimizer.build(model.trainable_variables)

    def _forward(self, x: Any) -> Callable[..., Any]:
        def forward(*tensors: Any) -> Any:
            given = iter(tensors)
            return self._model(tree.transform(lambda _: next(given), x), training=False)

        return forward

    def _axes(self, data: Data) -> Callable[[int, Array], Sequence[int]]:
        """Which sizes are left to run time: those of the inputs that the model leaves open, and
        those of labels where the output's are open.
        """
        model = self._model
        inputs = sum(1 for leaf in tree.leaves(data[0]) if leaf is not None)
        outputs = [] if model.network is None else model.network.flat_outputs
        open_: set[int] = {i for out in outputs for i, dim in enumerate(out.shape) if dim is None}

        def axes(index: int, array: Array) -> Sequence[int]:
            if index < inputs:
                return sorted({0, *model.runtime_axes_of(index, array)})
            return sorted({0, *(axis for axis in open_ if axis < array.ndim)})

        return axes


def _guarded(model: Training, function: Callable[[Any], dict[str, Any]], data: Any) -> Any:
    """The step; where the model keeps finite, one whose loss is not changes only metrics."""
    logs = function(pack(*data))
    if model.way_of_training.keeps_finite and "loss" in logs:
        fine = ops.isfinite(logs["loss"])
        measures = {id(each) for metric in model.metrics for each in metric.variables}
        recorder = current()
        for variable, node in recorder.updates():
            if id(variable) not in measures:
                before = Tensor(recorder.variable(variable))
                variable.assign(ops.where(fine, Tensor(node), before))
    return logs


def arrays_of(data: Data) -> list[Array]:
    """The arrays in a batch."""
    return [leaf for leaf in tree.leaves(data) if leaf is not None]
