"""Some tensors of a drawn model from others: one compiled pass (Keras' `Function`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isoconv.changes import epoch
from isoconv.models.network import Network
from isoconv.ops.compiled import Compiled
from isoconv.ops.recorder import Array, training_scope
from isoconv.ops.variable import Variable


class Function:
    """The values of `outputs` for values of `inputs`.

    inputs, outputs: what `Input` and layers gave, or lists or dicts of that; the inputs may lie
    within a model. ArgumentError where the outputs need more than these inputs.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.network = Network(inputs, outputs)
        self._compiled = Compiled(self._in_trace, self._runtime_axes)

    def __call__(
        self, inputs: Any, training: bool = False, values: Mapping[Variable, Array] | None = None
    ) -> Any:
        """The outputs, in their structure, as arrays.

        inputs: arrays in the structure of the inputs. values: what to read for some variables
        instead of what they hold.
        """
        arrays = self.network.arrays(inputs)
        program = self._compiled.program(arrays, (arrays, training), {}, key=epoch())
        return program(arrays, values)

    def _in_trace(self, inputs: Sequence[Any], training: bool) -> Any:
        with training_scope(training):
            return self.network.run(list(inputs))

    def _runtime_axes(self, index: int, array: Array) -> Sequence[int]:
        return self.network.runtime_axes(index)
