"""Tracing a function into a program: a graph with what it captured, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from isoconv import compiler
from isoconv.ir import sizes
from isoconv.ir.graph import Graph, Node
from isoconv.ir.sizes import Shape
from isoconv.ir.verify import Check
from isoconv.ops import tree
from isoconv.ops.convert import as_tensor
from isoconv.ops.recorder import Array, Recorder, record_into
from isoconv.ops.tensor import KerasTensor, Tensor
from isoconv.ops.variable import Variable
from isoconv.rewriting.approximate import Numerics
from isoconv.rewriting.rule import Step


@dataclass(frozen=True)
class Spec:
    """What a traced function is told of an argument: its sizes and its dtype."""

    dims: Shape
    dtype: str


@dataclass(frozen=True)
class Trace:
    """A function as a graph.

    The graph's inputs are the arguments, then `captured`. Its outputs are the leaves of
    `result`, then the losses, then the values that `updated` variables end with.
    """

    graph: Graph
    result: Any
    captured: tuple[Variable | Array, ...]
    losses: tuple[Any, ...]
    updated: tuple[Variable, ...]
    required: tuple[Check, ...] = ()


def trace(function: Callable[..., Any], specs: Sequence[Spec], keep_updates: bool = True) -> Trace:
    """Runs the function on stand-ins and keeps what it computes.

    function: takes one Tensor a spec; gives anything whose leaves can be tensors.
    keep_updates: whether the program also changes variables and hands out losses.
    """
    recorder = Recorder()
    with record_into(recorder):
        arguments = [
            Tensor(recorder.argument(f"x{i}", spec.dims, spec.dtype))
            for i, spec in enumerate(specs)
        ]
        result = tree.transform(_or_none, function(*arguments))
    updates = recorder.updates() if keep_updates else []
    losses = recorder.losses if keep_updates else []
    outputs: list[Node] = [leaf.node for leaf in tree.leaves(result) if leaf is not None]
    outputs += [loss.node for _, loss in losses]
    outputs += [node for _, node in updates]
    return Trace(
        Graph(tuple(recorder.inputs), tuple(recorder.resolve(outputs))),
        result,
        tuple(recorder.captured),
        tuple(owner for owner, _ in losses),
        tuple(variable for variable, _ in updates),
        tuple(recorder.required),
    )


def _or_none(leaf: Any) -> Tensor | None:
    return None if leaf is None else as_tensor(leaf)


class Program:
    """A trace, compiled. Calling it reads the captured variables and writes the updated ones.

    folding: whether weights may be computed with beforehand, which changes rounding; not for a
        program that updates variables. `steps` are the rules applied then.
    numerics: what else may change rounding, with folding.
    """

    def __init__(
        self,
        traced: Trace,
        threads: int | None = None,
        folding: bool = False,
        numerics: Numerics | None = None,
    ) -> None:
        self.trace = traced
        self._count = sum(leaf is not None for leaf in tree.leaves(traced.result))
        first = len(traced.graph.inputs) - len(traced.captured)
        self.steps: tuple[Step, ...] = ()
        self._weights: PreparedWeights | None = None
        if folding and not traced.updated:
            weights = range(first, len(traced.graph.inputs))
            found = compiler.compile_prediction(
                traced.graph, weights, threads, traced.required, numerics
            )
            self._run, self.steps = found.run, found.steps
            if found.prepare is not None:
                self._weights = PreparedWeights(found.prepare, traced.captured)
            return
        places = {id(value): first + i for i, value in enumerate(traced.captured)}
        outputs = len(traced.graph.outputs) - len(traced.updated)
        in_place = {outputs + i: places[id(v)] for i, v in enumerate(traced.updated)}
        self._run = compiler.compile(traced.graph, in_place, threads, traced.required)

    def __call__(
        self,
        arrays: Sequence[Array],
        values: Mapping[Variable, Array] | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> Any:
        """The function's result for these arguments, with arrays as leaves.

        values: what to read for some of the variables instead of what they hold now.
        out: for each leaf of the result an array to write it to, or None.
        """
        feeds = self._feeds(arrays, values)
        if out is not None:
            out = [*out, *(None,) * (len(self.trace.graph.outputs) - len(out))]
        outputs = self._run(feeds, out)
        for variable in self.trace.updated:
            variable.written()
        if self.trace.losses:
            self._hand_out_losses(outputs[self._count :])
        return self._filled(outputs)

    def ready(
        self, arrays: Sequence[Array], given: Sequence[Array], since: int
    ) -> Callable[..., Any] | None:
        """A function of arrays like `given`, with the program's variables as they are now.

        arrays: the elements of `given`, in the shapes that the program takes. The function gives
        NotImplemented for other arrays, after any change since the stamp `since`, and while
        anything is traced. None for a program that changes variables or hands out losses.
        """
        if self.trace.updated or self.trace.losses:
            return None
        run = self._run.ready(self._feeds(arrays, None), given, since)
        if isinstance(self.trace.result, Tensor):
            return run
        several = len(self.trace.graph.outputs) != 1

        def filled(*given: Array) -> Any:
            found = run(*given)
            if found is NotImplemented:
                return found
            return self._filled(found if several else [found])

        return filled

    def _filled(self, outputs: Sequence[Array]) -> Any:
        """The function's result, with these arrays in the places of its tensors."""
        result = self.trace.result
        if isinstance(result, Tensor):
            return outputs[0]
        filled = iter(outputs)
        return tree.transform(lambda leaf: None if leaf is None else next(filled), result)

    def _feeds(
        self, arrays: Sequence[Array], values: Mapping[Variable, Array] | None
    ) -> list[Array]:
        """All that the compiled graph takes."""
        feeds = [*arrays]
        for source in self.trace.captured:
            if isinstance(source, Variable):
                feeds.append(values.get(source, source.array) if values else source.array)
            else:
                feeds.append(source)
        if self._weights is not None:
            feeds += self._weights.current(feeds, values)
        return feeds

    def output_shapes(self, arrays: Sequence[Array]) -> list[tuple[int, ...]]:
        """The shapes of the result's leaves for such arguments; nothing is computed."""
        return self._run.output_shapes(self._feeds(arrays, None))[: self._count]

    @property
    def arena_bytes(self) -> int:
        """The most memory that values in between took in a call."""
        return self._run.arena_bytes

    def _hand_out_losses(self, values: Sequence[Array]) -> None:
        """Gives the losses added on the way to those who added them."""
        found: dict[int, list[Array]] = {}
        for owner, value in zip(self.trace.losses, values, strict=False):
            found.setdefault(id(owner), []).append(value)
        for owner in self.trace.losses:
            owner.loss_values = found[id(owner)]


class PreparedWeights:
    """What a program computes from its variables alone, kept until one of them changes.

    prepare: from all inputs of the program to the prepared weights. sources: the variables and
    constants among these inputs, the last ones.
    """

    def __init__(
        self, prepare: Callable[[Sequence[Array]], list[Array]], sources: Sequence[Variable | Array]
    ) -> None:
        self._prepare = prepare
        self._variables = [source for source in sources if isinstance(source, Variable)]
        self._kept: tuple[list[tuple[int, int]], list[Array]] | None = None

    def current(
        self, feeds: Sequence[Array], values: Mapping[Variable, Array] | None = None
    ) -> list[Array]:
        """The prepared weights for what the variables hold now, or for `values` instead."""
        if values:
            return self._prepare(feeds)
        versions = [(id(each.array), each.version) for each in self._variables]
        kept = self._kept
        if kept is None or kept[0] != versions:
            # One assignment, so that another thread sees these versions with these weights.
            self._kept = kept = (versions, self._prepare(feeds))
        return kept[1]


# -- sizes at run time ------------------------------------------------------------------------


def symbolic(shape: Sequence[int | None], index: int = 0) -> Shape:
    """The shape with a name for each None: "n" for the batch, else the argument and the axis."""
    return tuple(
        (sizes.name("n" if axis == 0 else f"l{index}_{axis}") if dim is None else dim)
        for axis, dim in enumerate(shape)
    )


def abstract(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function's result for KerasTensors, as KerasTensors: shapes and dtypes only."""
    counter = count()
    recorder = Recorder()

    def enter(leaf: Any) -> Any:
        if not isinstance(leaf, KerasTensor):
            return leaf
        index = next(counter)
        node = recorder.argument(f"x{index}", symbolic(leaf.shape, index), leaf.dtype)
        return Tensor(node, enter(leaf.mask))

    with record_into(recorder):
        args, kwargs = tree.transform(enter, (args, kwargs))
        result = tree.transform(as_tensor, function(*args, **kwargs))
    return tree.transform(_drawn, result)


def _drawn(tensor: Tensor) -> KerasTensor:
    drawn = KerasTensor(tensor.shape, tensor.dtype)
    drawn.mask = None if tensor.mask is None else _drawn(tensor.mask)
    return drawn
