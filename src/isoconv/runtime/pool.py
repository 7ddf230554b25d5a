"""The one thread pool of the process: its control block, the code of `parallel`, forks.

Workers are threads of the operating system that never enter Python, started by `parallel` itself
when a job first wants them: there is nothing to join at exit, and nobody for whom to hold the GIL.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache

from isoconv import settings
from isoconv.codegen import lent
from isoconv.codegen import pool as code
from isoconv.runtime import jit
from isoconv.runtime.host import host

_ALIGNMENT = 128


@dataclass(frozen=True)
class Team:
    """Threads that share a program's tasks: addresses of a control block and of `parallel`."""

    control: int
    parallel: int


def own() -> Team:
    """The threads of this pool."""
    return Team(control(), parallel_address())


@cache
def borrowed(begin: int) -> Team:
    """The threads of an OpenMP runtime that another library keeps: where two libraries in turn
    have threads of their own, those of one wait for work on the processors that the other needs.

    begin: the address of the runtime's `GOMP_parallel`.
    """
    machine = host()
    block = ctypes.c_int64(begin)
    _borrowed.append(block)
    address = jit.function("lent", code.SYMBOL, lambda: lent.emit(machine), machine)
    return Team(ctypes.addressof(block), address)


def control() -> int:
    """The address of the control block, the first argument of `parallel`; the same for good."""
    _set_up()
    return _block


def parallel_address() -> int:
    """The address of `void parallel(ctl, kernel, args, tasks, grain, limit)`.

    It calls kernel(args, begin, end) on ranges of at least `grain` tasks, on at most `limit`
    threads of which the caller is one. A caller that finds the pool in use runs all tasks itself.
    """
    return _parallel()


def workers() -> int:
    """How many threads were started, besides the callers' own."""
    return _word(code.STARTED).value


def _word(offset: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(_block + offset)


def _allocate() -> int:
    memory = ctypes.create_string_buffer(code.SIZE + _ALIGNMENT)
    # Never freed: workers look at it until the process is gone, longer than the interpreter.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    return -(-ctypes.addressof(memory) // _ALIGNMENT) * _ALIGNMENT


_block = _allocate()
_borrowed: list[ctypes.c_int64] = []


@cache
def _parallel() -> int:
    machine = host()
    return jit.function("parallel", code.SYMBOL, lambda: code.emit(machine), machine)


@cache
def _set_up() -> None:
    """Lets `parallel` start workers where it can: elsewhere each caller runs its tasks alone."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    names = {
        code.SYSCALL: "syscall",
        code.CREATE: "pthread_create",
        code.DETACH: "pthread_detach",
    }
    for offset, name in names.items():
        _word(offset).value = ctypes.cast(libc[name], ctypes.c_void_p).value or 0
    _word(code.WANTED).value = min(settings.process_threads() - 1, code.MOST_WORKERS)


def _forget_workers() -> None:
    """A forked child has the block but none of the threads, whatever they were doing."""
    ctypes.memset(_block + code.CHANGING, 0, code.SIZE - code.CHANGING)
    for block in _borrowed:
        block.value = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
