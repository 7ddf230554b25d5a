"""What calls of a compiled program give to its driver: words and an arena, kept between calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from threading import Lock
from typing import Any

import numpy as np

from isoconv import memory
from isoconv.codegen import call, driver
from isoconv.codegen.frame import SYMBOL
from isoconv.codegen.generate import emit
from isoconv.errors import RuntimeCheckError
from isoconv.plan.cost import GRAIN
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.memory import ALIGNMENT
from isoconv.plan.program import Program
from isoconv.runtime import jit, pool
from isoconv.runtime.host import host

_Releasing = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_Holding = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_Claiming = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
# Calls of less work (about 20 us) keep Python's lock: getting it back from a busy thread takes
# until that thread has to yield, which is milliseconds.
_SHORT = 4 * GRAIN

# Of those whose words stand in frames.
numbers = count(1)


@dataclass(frozen=True)
class Binding:
    """What follows from the shapes of a program's inputs.

    sizes: those known at run time only, in the program's order. shapes: of the outputs. work: of
    all kernels, as `plan.cost` counts it.
    """

    sizes: list[int]
    shapes: list[tuple[int, ...]]
    work: int

    @property
    def long(self) -> bool:
        """Whether other threads should run Python meanwhile."""
        return self.work >= _SHORT


class Frame:
    """The words that one call gives to the driver, and the arena of that call.

    It is made in use. cells: where the elements of each tensor are, if `point` made its words
    point here.
    """

    def __init__(
        self, words: driver.Words, addresses: Sequence[int], threads: int, team: pool.Team
    ) -> None:
        self._tensors = slice(words.tensors, words.total)
        self.cells: Any = (ctypes.c_int64 * (words.total - words.tensors))()
        self.words: Any = (ctypes.c_int64 * words.total)()
        self.address = ctypes.addressof(self.words)
        self.words[driver.CONTROL] = team.control
        self.words[driver.PARALLEL] = team.parallel
        self.words[driver.LIMIT] = threads
        self.words[driver.BUSY] = 1
        self.words[words.kernels : words.sizes] = [*addresses]
        self._arena = np.empty(0, np.uint8)

    def point(self) -> None:
        """Lets the words of tensors stand for `cells`, as if these were in array objects."""
        start = ctypes.addressof(self.cells) - driver.DATA
        self.words[self._tensors] = [start + 8 * i for i in range(len(self.cells))]

    def grow(self, needed: int) -> None:
        """Makes the arena at least this many bytes."""
        memory.check("working memory of a call", (needed,), "bool")
        self._arena = np.empty(needed + ALIGNMENT, np.uint8)
        start = -(-self._arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.words[driver.ARENA] = start
        self.words[driver.CAPACITY] = needed


class Frames:
    """The frames of one program, of which each call takes one for itself, and its code."""

    def __init__(self, program: Program, machine: Machine, threads: int, team: pool.Team) -> None:
        self.words = driver.words(program)
        self._checks, self._guards = program.checks, list(program.guards.values())
        self._names = program.sizes
        self._threads, self._team = threads, team
        self._addresses = [_load_kernel(step.kernel, machine) for step in program.steps]
        text = driver.emit(program, machine)
        self.driver = jit.function("driver\n" + text, driver.SYMBOL, lambda: text, machine)
        self._releasing, self._holding = _Releasing(self.driver), _Holding(self.driver)
        # In the order of their chain, which begins with one that is always there.
        self._all: dict[int, Frame] = {}
        self._lock = Lock()
        self._last = self._new()
        self.first = self._last.address
        self.put_back(self._last)

    def take(self) -> Frame:
        """A frame that is nobody else's until it is put back."""
        free = _claim()(self.first)
        if free:
            return self._all[free]
        with self._lock:
            made = self._new()
            self._last.words[driver.NEXT] = made.address
            self._last = made
        return made

    def put_back(self, frame: Frame) -> None:
        frame.words[driver.BUSY] = 0

    def _new(self) -> Frame:
        made = Frame(self.words, self._addresses, self._threads, self._team)
        self._all[made.address] = made
        return made

    def run(self, frame: Frame, binding: Binding) -> None:
        """Calls the driver; RuntimeCheckError where a check or a guard of the program fails."""
        run = self._releasing if binding.long else self._holding
        code = run(frame.address)
        if code < 0:
            frame.grow(-code)
            code = run(frame.address)
        if code:
            raise RuntimeCheckError(self._message(code, binding.sizes))

    @property
    def arena_bytes(self) -> int:
        """The largest arena of a frame."""
        return max(int(frame.words[driver.CAPACITY]) for frame in [*self._all.values()])

    def _message(self, code: int, sizes: Sequence[int]) -> str:
        """What failed, with the sizes of this call."""
        if code > len(self._checks):
            return self._guards[code - len(self._checks) - 1]
        return self._checks[code - 1].message(dict(zip(self._names, sizes, strict=True)))


def _load_kernel(kernel: Kernel, machine: Machine) -> int:
    return jit.function(kernel.key, SYMBOL, lambda: emit(kernel, machine), machine)


@cache
def _claim() -> Any:
    machine = host()
    return _Claiming(jit.function("claim", call.CLAIM, lambda: call.emit_claim(machine), machine))
