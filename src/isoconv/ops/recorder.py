"""What a trace remembers while it runs: the values read and assigned, and the losses added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv import changes
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.graph import Node, current_origin, new_trace, origin, rebuild, rewrite
from isoconv.ir.ops import make
from isoconv.ir.sizes import Shape
from isoconv.ir.verify import Check

if TYPE_CHECKING:
    from isoconv.ops.tensor import Tensor
    from isoconv.ops.variable import Variable

Array = np.ndarray[Any, Any]

_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
_training: ContextVar[bool | None] = ContextVar("training", default=None)


@dataclass(frozen=True)
class Noted:
    """A call of a layer or of an operation inside a trace, and what it gave.

    path: the names of the layers around it, and a layer's own.
    """

    path: str
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any


class Recorder:
    """The state of one trace.

    inputs: the program's input nodes, arguments first. captured: what each of the other inputs
    stands for. losses: (who added it, the loss). calls: the calls of layers and operations, inner
    ones first, where `keep_calls` says that they are wanted.
    required: checks of sizes beyond the nodes' own.
    """

    def __init__(self, keep_calls: bool = False) -> None:
        self.calls: list[Noted] = []
        self.keep_calls = keep_calls
        self.inputs: list[Node] = []
        self.captured: list[Variable | Array] = []
        self.losses: list[tuple[Any, Tensor]] = []
        self.required: list[Check] = []
        self._names: set[str] = set()
        self._read: dict[Variable, Node] = {}
        self._now: dict[Variable, Node] = {}
        self._constants: dict[int, tuple[Array, Node]] = {}
        self._bound: dict[Node, Node] = {}

    def argument(self, name: str, shape: Shape, dtype: str) -> Node:
        """A new input of the program."""
        node = make("input", name=self._unique(name), shape=shape, dtype=dtype)
        self.inputs.append(node)
        return node

    def constant(self, array: Array) -> Node:
        """An array met while tracing, as it is now: one input however often it is met."""
        if id(array) not in self._constants:
            self.captured.append(array.copy())
            node = self.argument("constant", array.shape, array.dtype.name)
            # Kept with the array, so that its id stays its own.
            self._constants[id(array)] = array, node
        return self._constants[id(array)][1]

    def variable(self, variable: Variable) -> Node:
        """The input that stands for the variable's value before the program ran."""
        if variable not in self._read:
            self.captured.append(variable)
            node = self.argument(variable.path, variable.shape, variable.dtype)
            self._read[variable] = self._now[variable] = node
        return self._read[variable]

    def read(self, variable: Variable) -> Node:
        """The variable's value at this point of the program."""
        self.variable(variable)
        return self._now[variable]

    def assign(self, variable: Variable, node: Node) -> None:
        """From here on the variable has this value; the program writes it when it ends."""
        if node.shape != variable.shape or node.dtype != variable.dtype:
            given = f"{node.dtype} {node.shape}"
            wanted = f"{variable.dtype} {variable.shape}"
            raise ShapeError(explain(f"{variable.path}: assign", given, wanted))
        self.variable(variable)
        self._now[variable] = node

    @contextmanager
    def holding(self, values: Mapping[Variable, Array]) -> Iterator[None]:
        """Inside, these variables have these values; what is assigned to them is forgotten."""
        before = {variable: self.read(variable) for variable in values}
        self._now |= {variable: self.constant(array) for variable, array in values.items()}
        try:
            yield
        finally:
            self._now |= before

    def updates(self) -> list[tuple[Variable, Node]]:
        """The variables assigned, with the values they end with."""
        return [(v, node) for v, node in self._now.items() if node is not self._read[v]]

    def note(
        self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A layer, or the function of an operation, was called and gave `result`."""
        if self.keep_calls:
            self.calls.append(Noted(current_origin(), target, args, kwargs, result))

    # -- stand-ins -----------------------------------------------------------------------------

    def stand_in(self, node: Node) -> Node:
        """A node of its own that stands for `node`: gradients end there, and do not mix with
        those of other uses of `node`. The trace puts `node` in its place when it ends.
        """
        name = self._unique("stand_in")
        new = make("input", name=name, shape=node.shape, dtype=node.dtype)
        self._bound[new] = node
        return new

    def behind(self, node: Node) -> Node | None:
        """What a stand-in stands for; None for any other node."""
        return self._bound.get(node)

    def resolve(self, nodes: Sequence[Node], only: Iterable[Node] | None = None) -> list[Node]:
        """The nodes with stand-ins (all, or only these) replaced by what they stand for."""
        bound = self._bound if only is None else {each: self._bound[each] for each in only}
        if not bound:
            return list(nodes)
        # In an empty context nodes keep the origin they have, whatever surrounds this call.
        return Context().run(_replace, nodes, bound)

    def _unique(self, name: str) -> str:
        count = 0
        unique = name
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique


def _replace(nodes: Sequence[Node], bound: Mapping[Node, Node]) -> list[Node]:
    done: dict[Node, Node] = {}

    def change(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in bound:
            with origin(node.origin):
                return node if inputs == node.inputs else rebuild(node, inputs)
        if node not in done:
            done[node] = rewrite([bound[node]], change)[0]
        return done[node]

    return rewrite(nodes, change)


def recording() -> Recorder | None:
    """The trace that runs now in this thread, if any."""
    return _recorder.get()


def current() -> Recorder:
    """The trace that runs now; an ArgumentError where none does."""
    recorder = _recorder.get()
    if recorder is None:
        raise ArgumentError("this works only inside a layer's call or another traced function")
    return recorder


@contextmanager
def record_into(recorder: Recorder | None) -> Iterator[None]:
    """What is computed inside goes into this trace; with None it is computed at once."""
    token = _recorder.set(recorder)
    try:
        with new_trace(), changes.scope():
            yield
    finally:
        _recorder.reset(token)


def training() -> bool | None:
    """Whether the layers called now should train; None if nobody said."""
    return _training.get()


@contextmanager
def training_scope(value: bool | None) -> Iterator[None]:
    """Layers called inside train or not, as `value` says; None leaves it as it is."""
    token = _training.set(_training.get() if value is None else value)
    try:
        with changes.scope():
            yield
    finally:
        _training.reset(token)
