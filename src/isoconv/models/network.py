"""A model as it was drawn: the calls between its inputs and its outputs, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers.base import Layer
from isoconv.layers.input import InputLayer
from isoconv.ops import tree
from isoconv.ops.convert import as_array, as_tensor, change_dtype
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import Call, KerasTensor, Tensor


class Network:
    """The calls that lead from `inputs` to `outputs`.

    inputs, outputs: KerasTensors, or lists or dicts of them. steps: the calls, each after those
    it needs. targets: the layers and functions called, ordered as Keras orders them (by their
    distance from the outputs), inputs included.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        _only_keras_tensors("inputs", inputs)
        _only_keras_tensors("outputs", outputs)
        self.inputs, self.outputs = inputs, outputs
        self.flat_inputs: list[KerasTensor] = list(tree.leaves(inputs))
        self.flat_outputs: list[KerasTensor] = list(tree.leaves(outputs))
        self._given = {id(tensor) for tensor in self.flat_inputs}
        self.entries = [_entry(tensor) for tensor in self.flat_inputs]
        self.steps, first_seen = self._walk()
        self.targets = self._order(first_seen)
        _distinct_names(self.targets)

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs included, in Keras' order."""
        return [call.target for call in self.targets if isinstance(call.target, Layer)]

    @property
    def is_chain(self) -> bool:
        """Whether each step takes one tensor, and just what the step before gave."""
        calls = self.steps
        tensors = [list(needed(call)) for call in calls]
        return len(self.flat_inputs) == 1 and all(
            len(given) == 1 and (i == 0 or given[0].call is calls[i - 1])
            for i, given in enumerate(tensors)
        )

    # -- running -------------------------------------------------------------------------------

    def run(self, inputs: Any) -> Any:
        """The outputs, as Tensors, for input Tensors."""
        values: dict[int, Tensor] = {}
        for tensor, value in zip(self.flat_inputs, self.arrange(inputs), strict=True):
            given = as_tensor(value)
            values[id(tensor)] = Tensor(change_dtype(given, tensor.dtype).node, given.mask)

        def known(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        for call in self.steps:
            args, kwargs = tree.transform(known, (call.args, dict(call.kwargs)))
            results = tree.leaves(call.target(*args, **kwargs))
            for tensor, result in zip(call.outputs, results, strict=True):
                values[id(tensor)] = result
        return tree.transform(known, self.outputs)

    def arrange(self, inputs: Any) -> list[Any]:
        """The values given for the inputs, in order; dicts go by name or key."""
        names = [tensor.name for tensor in self.flat_inputs]
        if isinstance(inputs, Mapping):
            keys = list(self.inputs) if isinstance(self.inputs, dict) else names
            missing = [key for key in keys if key not in inputs]
            if missing:
                raise ArgumentError(explain("inputs", sorted(inputs), f"the keys {keys}"))
            return [inputs[key] for key in keys]
        values = list(tree.leaves(inputs))
        if len(values) != len(names):
            expected = f"{len(names)} ({', '.join(names)})"
            raise ArgumentError(explain("inputs", f"{len(values)} tensors", expected))
        return values

    def arrays(self, inputs: Any) -> list[Array]:
        """The arrays given for the inputs, in order and in their dtypes; ShapeError where one
        does not fit.
        """
        arrays = []
        for tensor, value in zip(self.flat_inputs, self.arrange(inputs), strict=True):
            array = as_array(value, f"input '{tensor.name}'")
            array = array.reshape(check_input(tensor, array.shape))
            arrays.append(as_array(array.astype(tensor.dtype, copy=False)))
        return arrays

    def runtime_axes(self, index: int) -> list[int]:
        """The axes of input number `index` whose sizes are known at run time only."""
        shape = self.flat_inputs[index].shape
        return [axis for axis, size in enumerate(shape) if size is None]

    # -- drawing -------------------------------------------------------------------------------

    def _walk(self) -> tuple[list[Call], list[Call]]:
        """The calls in order of need, and in the order in which a search from the outputs
        first sees each target.
        """
        steps: dict[int, Call] = {}
        first_seen: dict[int, Call] = {}
        open_: set[int] = set()
        for output in self.flat_outputs:
            stack: list[tuple[KerasTensor, bool]] = [(output, False)]
            while stack:
                tensor, ready = stack.pop()
                call = self._call_of(tensor)
                if ready:
                    if not isinstance(call.target, InputLayer):
                        steps.setdefault(id(call), call)
                    continue
                if id(call) in steps or id(call) in open_:
                    continue
                open_.add(id(call))
                first_seen.setdefault(id(_identity(call)), call)
                stack.append((tensor, True))
                if id(tensor) not in self._given:
                    stack += [(each, False) for each in reversed(list(needed(call)))]
        return list(steps.values()), list(first_seen.values())

    def _call_of(self, tensor: KerasTensor) -> Call:
        if id(tensor) in self._given:
            return self.entries[[id(each) for each in self.flat_inputs].index(id(tensor))]
        if tensor.call is None or isinstance(tensor.call.target, InputLayer):
            names = [each.name for each in self.flat_inputs]
            raise ArgumentError(
                explain("Model: inputs", names, f"all the outputs need, also {tensor.name!r}")
            )
        return tensor.call

    def _order(self, first_seen: Sequence[Call]) -> list[Call]:
        """One call a target, those farthest from the outputs first."""
        depth: dict[int, int] = {}
        target_depth: dict[int, int] = {}
        for call in reversed(self.steps):
            key = id(_identity(call))
            own = max(depth.get(id(call), 0), target_depth.get(key, 0))
            target_depth[key] = own
            for tensor in needed(call):
                before = self._call_of(tensor)
                depth[id(before)] = max(depth.get(id(before), 0), own + 1)
        for call in self.entries:
            target_depth[id(_identity(call))] = depth.get(id(call), 0)
        unused = [call for call in self.entries if all(call is not each for each in first_seen)]
        return sorted([*unused, *first_seen], key=lambda c: -target_depth[id(_identity(c))])


def needed(call: Call) -> Iterator[KerasTensor]:
    """The tensors a call was given."""
    for leaf in tree.leaves((call.args, dict(call.kwargs))):
        if isinstance(leaf, KerasTensor):
            yield leaf


def _identity(call: Call) -> Any:
    """What counts as one row of a summary: a layer, however often called; a function's call."""
    return call.target if isinstance(call.target, Layer) else call


def _entry(tensor: KerasTensor) -> Call:
    """The call of the input layer behind a model's input; a new one for a tensor within."""
    if tensor.call is not None and isinstance(tensor.call.target, InputLayer):
        return tensor.call
    layer = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype)
    entry: KerasTensor = layer.output
    if entry.call is None:
        raise ArgumentError(explain("Model: inputs", tensor, "tensors of Input"))
    return entry.call


def _only_keras_tensors(name: str, value: Any) -> None:
    leaves = list(tree.leaves(value))
    wrong = [leaf for leaf in leaves if not isinstance(leaf, KerasTensor)]
    if wrong or not leaves:
        given = repr(wrong[0]) if wrong else "nothing"
        remedy = "Start from isoconv.Input and call layers on it."
        raise ArgumentError(explain(f"Model: {name}", given, "what Input and layers give", remedy))


def _distinct_names(targets: Sequence[Call]) -> None:
    names = [call.name for call in targets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(explain("Model", f"the name {twice[0]!r} twice", "names of their own"))


def check_input(tensor: KerasTensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape an array must be given to fit an input; ShapeError where it cannot.

    As in Keras, a missing or superfluous last axis of size 1 is no obstacle.
    """
    wanted = tensor.shape
    fitted = shape
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        fitted = shape[:-1]
    elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        fitted = (*shape, 1)
    fits = len(fitted) == len(wanted) and all(
        want is None or want == size for want, size in zip(wanted, fitted, strict=True)
    )
    if not fits:
        raise ShapeError(explain(f"input '{tensor.name}'", f"shape {shape}", f"shape {wanted}"))
    return fitted
