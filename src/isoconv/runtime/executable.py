"""A compiled program as a Python callable: binds sizes, owns arenas, turns codes into errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np

from isoconv import memory, settings
from isoconv.codegen.driver import OWNER
from isoconv.errors import InternalError, ShapeError, explain
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Size, evaluate
from isoconv.plan.cost import work
from isoconv.plan.machine import Machine
from isoconv.plan.program import Program
from isoconv.runtime.calls import Call, function
from isoconv.runtime.frames import Binding, Frames, numbers
from isoconv.runtime.pool import Team, own

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

# Kinds of shapes remembered; those of one network in use are a handful.
_MOST_BINDINGS = 64


class Executable:
    """Runs a program on arrays. May be called from many threads at once.

    Arrays are given in the order of the graph's inputs: C-contiguous, of the right dtype. Outputs
    that overwrite an input are returned as that input's own array.
    """

    def __init__(
        self,
        program: Program,
        machine: Machine,
        in_place: Mapping[int, int],
        threads: int | None,
        team: Team | None = None,
    ) -> None:
        self._program = program
        self._in_place = dict(in_place)
        self._frames = Frames(program, machine, threads or settings.threads(), team or own())
        self._work = sum((step.at_home(work(step.kernel)) for step in program.steps), 0)
        self._bindings: dict[tuple[tuple[int, ...], ...], Binding] = {}
        self._lock = Lock()

    def __call__(
        self, arrays: Sequence[Array], out: Sequence[Array | None] | None = None
    ) -> list[Array]:
        binding = self._binding([array.shape for array in arrays], out)
        outputs = self._outputs(arrays, binding.shapes, out)
        words, frame = self._frames.words, self._frames.take()
        try:
            frame.words[OWNER] = 0
            frame.words[words.sizes : words.tensors] = binding.sizes
            frame.words[words.tensors :] = list(map(id, [*arrays, *outputs]))
            self._frames.run(frame, binding)
        finally:
            self._frames.put_back(frame)
        return outputs

    def ready(self, arrays: Sequence[Array], given: Sequence[Array], since: int) -> Call:
        """A function for calls with other arrays like `given` in place of the first ones.

        given: the elements of these, in any shape. since: the stamp after whose change it
        declines. The program may overwrite none of its inputs.
        """
        binding = self._binding([array.shape for array in arrays], None)
        dtypes = [np.dtype(node.dtype) for node in self._program.graph.outputs]
        return function(self._frames, binding, dtypes, given, arrays[len(given) :], since)

    def addressed(self, shapes: Sequence[tuple[int, ...]]) -> Addressed:
        """For calls with tensors of these shapes, told by where their elements are."""
        return Addressed(self._frames, self._binding(shapes, None))

    @property
    def arena_bytes(self) -> int:
        """The most memory that values in between took in a call."""
        return self._frames.arena_bytes

    def output_shapes(self, arrays: Sequence[Array]) -> list[tuple[int, ...]]:
        """The shapes of the outputs for such arrays, which are not read."""
        return self._shapes(self._bind([array.shape for array in arrays]))

    def _shapes(self, sizes: dict[str, int]) -> list[tuple[int, ...]]:
        return [
            tuple([max(evaluate(dim, sizes), 0) for dim in node.shape])
            for node in self._program.graph.outputs
        ]

    def _binding(
        self, given: Sequence[tuple[int, ...]], out: Sequence[Array | None] | None
    ) -> Binding:
        """What follows from the shapes of the arrays, kept for the next call with them."""
        shapes = tuple(given)
        found = self._bindings.get(shapes)
        if found is not None:
            return found
        sizes = self._bind(shapes)
        outputs = self._shapes(sizes)
        for number, (node, shape) in enumerate(
            zip(self._program.graph.outputs, outputs, strict=True)
        ):
            if out is None or out[number] is None:
                memory.check(f"{node.origin or node.op}: output {number}", shape, node.dtype)
        named = [sizes[name] for name in self._program.sizes]
        binding = Binding(named, outputs, evaluate(self._work, sizes))
        with self._lock:
            if len(self._bindings) >= _MOST_BINDINGS:
                self._bindings.clear()
            self._bindings[shapes] = binding
        return binding

    def _bind(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """The run-time sizes, read off the shapes of the arrays."""
        inputs = self._program.graph.inputs
        if len(shapes) != len(inputs):
            raise InternalError(f"{len(inputs)} arrays are needed; got {len(shapes)}")
        sizes: dict[str, int] = {}
        later = []
        for node, shape in zip(inputs, shapes, strict=True):
            if len(shape) != len(node.shape):
                raise ShapeError(_misfit(node, shape))
            for dim, length in zip(node.shape, shape, strict=True):
                name = str(dim) if isinstance(dim, Size) else ""
                if name in self._program.sizes and name not in sizes:
                    sizes[name] = length
                elif dim != length:
                    later.append((node, shape, dim, length))
        for node, shape, dim, length in later:
            if evaluate(dim, sizes) != length:
                raise ShapeError(_misfit(node, shape))
        return sizes

    def _outputs(
        self,
        arrays: Sequence[Array],
        shapes: Sequence[tuple[int, ...]],
        out: Sequence[Array | None] | None,
    ) -> list[Array]:
        """Where the outputs go: the array they overwrite, the one given, or a new one."""
        outputs = []
        for number, shape in enumerate(shapes):
            given = out[number] if out is not None else None
            if number in self._in_place:
                outputs.append(arrays[self._in_place[number]])
            elif given is None:
                outputs.append(np.empty(shape, self._program.graph.outputs[number].dtype))
            else:
                node = self._program.graph.outputs[number]
                if given.shape != shape or given.dtype != node.dtype or not _writable(given):
                    raise ShapeError(_misfit_output(number, shape, node.dtype, given))
                outputs.append(given)
        return outputs


class Addressed:
    """An executable for tensors of known shapes that are no arrays of NumPy."""

    def __init__(self, frames: Frames, binding: Binding) -> None:
        self._frames, self._binding = frames, binding
        self._number = next(numbers)
        self._sizes = slice(frames.words.sizes, frames.words.tensors)
        self.shapes = binding.shapes

    def __call__(self, addresses: Sequence[int]) -> None:
        """Runs it. addresses: of the inputs' elements, then of the outputs', in row-major order."""
        frame = self._frames.take()
        try:
            if frame.words[OWNER] != self._number:
                frame.words[self._sizes] = self._binding.sizes
                frame.point()
                frame.words[OWNER] = self._number
            frame.cells[:] = addresses
            self._frames.run(frame, self._binding)
        finally:
            self._frames.put_back(frame)


def _misfit(node: Node, shape: tuple[int, ...]) -> str:
    wanted = f"an array of shape ({', '.join(map(str, node.shape))}) and dtype {node.dtype}"
    return explain(f"input {node['name']}", f"shape {tuple(shape)}", wanted)


def _misfit_output(number: int, shape: tuple[int, ...], dtype: str, given: Array) -> str:
    wanted = f"a writable C-contiguous array of shape {shape} and dtype {dtype}"
    return explain(f"out {number}", f"shape {given.shape} and dtype {given.dtype}", wanted)


def _writable(array: Array) -> bool:
    return bool(array.flags.c_contiguous and array.flags.writeable)
