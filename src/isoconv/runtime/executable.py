"""A compiled program as a Python callable: binds sizes, owns arenas, turns codes into errors."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from isoconv import memory, settings
from isoconv.codegen import driver
from isoconv.codegen.frame import SYMBOL
from isoconv.codegen.generate import emit
from isoconv.errors import InternalError, RuntimeCheckError, ShapeError, explain
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Size, evaluate
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.memory import ALIGNMENT
from isoconv.plan.program import Program
from isoconv.runtime import jit, pool

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
_Run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


# Kinds of shapes remembered; those of one network in use are a handful.
_MOST_BINDINGS = 64


@dataclass(frozen=True)
class _Binding:
    """What follows from the shapes of the inputs: run-time sizes, and shapes of the outputs."""

    sizes: list[int]
    shapes: list[tuple[int, ...]]


class Executable:
    """Runs a program on arrays. May be called from many threads at once.

    Arrays are given in the order of the graph's inputs: C-contiguous, of the right dtype. Outputs
    that overwrite an input are returned as that input's own array.
    """

    def __init__(
        self, program: Program, machine: Machine, in_place: Mapping[int, int], threads: int | None
    ) -> None:
        self._program = program
        self._in_place = dict(in_place)
        self._words = driver.words(program)
        self._threads = threads or settings.threads()
        self._addresses = [_load_kernel(step.kernel, machine) for step in program.steps]
        text = driver.emit(program, machine)
        self._run = _Run(jit.function("driver\n" + text, driver.SYMBOL, lambda: text, machine))
        self._frames: list[_Frame] = []
        self._bindings: dict[tuple[tuple[int, ...], ...], _Binding] = {}
        self._lock = Lock()

    def __call__(
        self, arrays: Sequence[Array], out: Sequence[Array | None] | None = None
    ) -> list[Array]:
        shapes = tuple([array.shape for array in arrays])
        binding = self._bindings.get(shapes)
        if binding is None:
            binding = self._remember(shapes, self._bind(arrays), out)
        outputs = self._outputs(arrays, binding.shapes, out)
        frame = self._take()
        try:
            self._call(frame, binding.sizes, [*arrays, *outputs])
        finally:
            with self._lock:
                self._frames.append(frame)
        return outputs

    @property
    def arena_bytes(self) -> int:
        """The most memory that values in between took in a call."""
        with self._lock:
            return max((frame.words[driver.CAPACITY] for frame in self._frames), default=0)

    def output_shapes(self, arrays: Sequence[Array]) -> list[tuple[int, ...]]:
        """The shapes of the outputs for such arrays, which are not read."""
        return self._shapes(self._bind(arrays))

    def _shapes(self, sizes: dict[str, int]) -> list[tuple[int, ...]]:
        return [
            tuple([max(evaluate(dim, sizes), 0) for dim in node.shape])
            for node in self._program.graph.outputs
        ]

    def _remember(
        self,
        shapes: tuple[tuple[int, ...], ...],
        sizes: dict[str, int],
        out: Sequence[Array | None] | None,
    ) -> _Binding:
        """Keeps what follows from shapes for the next call with them."""
        outputs = self._shapes(sizes)
        for number, (node, shape) in enumerate(
            zip(self._program.graph.outputs, outputs, strict=True)
        ):
            if out is None or out[number] is None:
                memory.check(f"{node.origin or node.op}: output {number}", shape, node.dtype)
        binding = _Binding([sizes[name] for name in self._program.sizes], outputs)
        with self._lock:
            if len(self._bindings) >= _MOST_BINDINGS:
                self._bindings.clear()
            self._bindings[shapes] = binding
        return binding

    def _bind(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The run-time sizes, read off the shapes of the arrays."""
        inputs = self._program.graph.inputs
        if len(arrays) != len(inputs):
            raise InternalError(f"{len(inputs)} arrays are needed; got {len(arrays)}")
        sizes: dict[str, int] = {}
        later = []
        for node, array in zip(inputs, arrays, strict=True):
            if len(array.shape) != len(node.shape):
                raise ShapeError(_misfit(node, array))
            for dim, length in zip(node.shape, array.shape, strict=True):
                name = str(dim) if isinstance(dim, Size) else ""
                if name in self._program.sizes and name not in sizes:
                    sizes[name] = length
                elif dim != length:
                    later.append((node, array, dim, length))
        for node, array, dim, length in later:
            if evaluate(dim, sizes) != length:
                raise ShapeError(_misfit(node, array))
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

    def _take(self) -> _Frame:
        with self._lock:
            if self._frames:
                return self._frames.pop()
        return _Frame(self._words, self._addresses, self._threads)

    def _call(self, frame: _Frame, sizes: list[int], tensors: Sequence[Array]) -> None:
        words = frame.words
        words[self._words.sizes : self._words.tensors] = [*sizes]
        words[self._words.tensors :] = list(map(id, tensors))
        code = self._run(frame.address)
        if code < 0:
            frame.grow(-code)
            code = self._run(frame.address)
        if code:
            raise RuntimeCheckError(self._message(code, sizes))

    def _message(self, code: int, sizes: Sequence[int]) -> str:
        """What failed, with the sizes of this call."""
        checks = self._program.checks
        if code > len(checks):
            return list(self._program.guards.values())[code - len(checks) - 1]
        return checks[code - 1].message(dict(zip(self._program.sizes, sizes, strict=True)))


class _Frame:
    """The words that one call gives to the driver, and the arena of that call."""

    def __init__(self, words: driver.Words, addresses: Sequence[int], threads: int) -> None:
        self.words = (ctypes.c_int64 * words.total)()
        self.address = ctypes.addressof(self.words)
        self.words[driver.CONTROL] = pool.control()
        self.words[driver.PARALLEL] = pool.parallel_address()
        self.words[driver.LIMIT] = threads
        self.words[words.kernels : words.sizes] = [*addresses]
        self._arena = np.empty(0, np.uint8)

    def grow(self, needed: int) -> None:
        """Makes the arena at least this many bytes."""
        memory.check("working memory of a call", (needed,), "bool")
        self._arena = np.empty(needed + ALIGNMENT, np.uint8)
        start = -(-self._arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.words[driver.ARENA] = start
        self.words[driver.CAPACITY] = needed


def _load_kernel(kernel: Kernel, machine: Machine) -> int:
    return jit.function(kernel.key, SYMBOL, lambda: emit(kernel, machine), machine)


def _misfit(node: Node, array: Array) -> str:
    wanted = f"an array of shape ({', '.join(map(str, node.shape))}) and dtype {node.dtype}"
    return explain(f"input {node['name']}", f"shape {array.shape}", wanted)


def _misfit_output(number: int, shape: tuple[int, ...], dtype: str, given: Array) -> str:
    wanted = f"a writable C-contiguous array of shape {shape} and dtype {dtype}"
    return explain(f"out {number}", f"shape {given.shape} and dtype {given.dtype}", wanted)


def _writable(array: Array) -> bool:
    return bool(array.flags.c_contiguous and array.flags.writeable)
