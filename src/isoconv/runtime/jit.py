"""From LLVM IR text to the address of a function: compiled once, kept in the process and on disk.

No optimiser runs: the text is in its final form. What is loaded stays until the process ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from threading import RLock

from llvmlite import binding as llvm

from isoconv.errors import InternalError
from isoconv.plan.machine import Machine
from isoconv.runtime import cache as disk
from isoconv.runtime.target import initialize, module, process_triple, target_machine

_lock = RLock()
_addresses: dict[tuple[str, str, Machine], int] = {}
_compilations = 0
_libraries = 0

# The rooms whose code decides what an object holds: another text there makes other objects.
_ROOMS = ("ir", "plan", "codegen", "runtime")


def function(key: str, symbol: str, text: Callable[[], str], machine: Machine) -> int:
    """The address of a function; `key` must tell apart whatever `text` can be.

    Taken from this process, else from disk, else made by compiling `text()`.
    """
    with _lock:
        place = (key, symbol, machine)
        if place not in _addresses:
            _addresses[place] = load(symbol, _object(key, text, machine))
        return _addresses[place]


def compilations() -> int:
    """How many functions `function` has compiled in this process."""
    return _compilations


def loaded() -> int:
    """How many functions `function` has made callable, compiled here or read back from disk."""
    return len(_addresses)


def compile_object(text: str, machine: Machine) -> bytes:
    """The object file of LLVM IR text; for any processor that LLVM knows."""
    with _lock:
        target = target_machine(machine.triple, machine.cpu, machine.features)
        return bytes(target.emit_object(module(text, target)))


def assembly(text: str, machine: Machine) -> str:
    """The assembly of LLVM IR text, to read."""
    with _lock:
        target = target_machine(machine.triple, machine.cpu, machine.features)
        return str(target.emit_assembly(module(text, target)))


def load(symbol: str, object_bytes: bytes) -> int:
    """Puts an object file for this machine into the process: the address of a symbol in it."""
    global _libraries
    with _lock:
        _libraries += 1
        library = llvm.JITLibraryBuilder()
        library.add_object_img(object_bytes)
        # LLVM may write memset and memcpy for loops.
        library.add_current_process()
        library.export_symbol(symbol)
        try:
            tracker = library.link(_linker(), f"library{_libraries}")
        except RuntimeError as error:
            raise InternalError(f"LLVM cannot load the object made for it: {error}") from error
        address = int(tracker[symbol])
        # Never unloaded: another thread may be inside when the interpreter ends.
        tracker.detach()
        return address


@cache
def _linker() -> llvm.LLJIT:
    initialize(process_triple())
    return llvm.create_lljit_compiler(use_jit_link=True)


def _object(key: str, text: Callable[[], str], machine: Machine) -> bytes:
    global _compilations
    digest = _digest(key, machine)
    found = disk.read(digest)
    if found is None:
        _compilations += 1
        found = compile_object(text(), machine)
        disk.write(digest, found)
    return found


def _digest(key: str, machine: Machine) -> bytes:
    parts = (_version(), repr(machine), key)
    return sha256("\0".join(parts).encode()).digest()


@cache
def _version() -> str:
    """Of LLVM, and of the code that makes code: a new release finds no objects of an old one."""
    hashed = sha256()
    for room in _ROOMS:
        for file in _modules(resources.files("isoconv") / room):
            hashed.update(file.read_bytes())
    return f"{llvm.llvm_version_info} {hashed.hexdigest()}"


def _modules(folder: Traversable) -> Iterator[Traversable]:
    """The modules of a room, with those of the packages in it."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _modules(entry)
        elif entry.name.endswith(".py"):
            yield entry


if hasattr(os, "register_at_fork"):
    # A child must not inherit a lock that another thread holds, or LLVM in the middle of a step.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
