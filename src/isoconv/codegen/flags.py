"""How a thread is told to flush denormals, by the control register that the machine has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isoconv.codegen.emit import Builder, Value


@dataclass(frozen=True)
class _Register:
    """A control register: its type, the bits that flush results and operands, its access."""

    type: str
    bits: int
    read: Callable[[Builder], Value]
    write: Callable[[Builder, Value], None]


def _slot(b: Builder) -> Value:
    with b.at_entry():
        return b.emit("ptr", "alloca i32, align 4")


def _read_mxcsr(b: Builder) -> Value:
    slot = _slot(b)
    b.call("llvm.x86.sse.stmxcsr", "void", slot)
    return b.load(slot, "i32")


def _write_mxcsr(b: Builder, value: Value) -> None:
    slot = _slot(b)
    b.store(value, slot)
    b.call("llvm.x86.sse.ldmxcsr", "void", slot)


def _read_fpcr(b: Builder) -> Value:
    return b.call("llvm.aarch64.get.fpcr", "i64")


def _write_fpcr(b: Builder, value: Value) -> None:
    b.call("llvm.aarch64.set.fpcr", "void", value)


def _read_none(b: Builder) -> Value:
    return b.const("i32", 0)


def _write_none(b: Builder, value: Value) -> None:
    pass


_REGISTERS = {
    # Flush to zero is bit 15, denormals are zero bit 6.
    "mxcsr": _Register("i32", 1 << 15 | 1 << 6, _read_mxcsr, _write_mxcsr),
    # One bit, FZ, flushes results and operands.
    "fpcr": _Register("i64", 1 << 24, _read_fpcr, _write_fpcr),
    "": _Register("i32", 0, _read_none, _write_none),
}


def flush_denormals(b: Builder) -> Value:
    """From here on the thread takes denormals for zero; gives what `restore` needs."""
    register = _REGISTERS[b.machine.denormals]
    saved = register.read(b)
    if register.bits:
        register.write(b, b.op("or", saved, b.const(register.type, register.bits)))
    return saved


def keep_denormals(b: Builder) -> Value:
    """From here on the thread computes with denormals; gives what `restore` needs."""
    register = _REGISTERS[b.machine.denormals]
    saved = register.read(b)
    if register.bits:
        register.write(b, b.op("and", saved, b.const(register.type, ~register.bits)))
    return saved


def restore(b: Builder, saved: Value) -> None:
    """Puts the control register back to what it was at `flush_denormals` or `keep_denormals`."""
    _REGISTERS[b.machine.denormals].write(b, saved)
