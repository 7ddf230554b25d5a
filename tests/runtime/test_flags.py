"""Denormals are flushed between `flush_denormals` and `restore`, and only there."""

import ctypes
from dataclasses import replace

import numpy as np

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.flags import flush_denormals, restore
from isoconv.plan.machine import Machine
from isoconv.runtime import jit
from isoconv.runtime.host import host, machine_for

TINY = np.finfo(np.float32).tiny


def text(machine: Machine) -> str:
    """f(p): p[1] = p[0] / 2 before, p[2] = p[0] / 2 and p[3] = p[4] * 2**24 while flushing, p[5]
    = p[0] / 2 after."""
    b = Builder(machine)
    p = Value("%p", "ptr")

    def scale(source: int, factor: float, target: int) -> None:
        number = b.load(b.at(p, source, "float"), "float")
        product = b.op("fmul", number, b.const("float", factor))
        b.store(product, b.at(p, target, "float"))

    def barrier() -> None:
        # LLVM may move arithmetic over a change of the control register; a call holds it.
        b.lines.append('  call void asm sideeffect "", "~{memory}"()')

    scale(0, 0.5, 1)
    barrier()
    saved = flush_denormals(b)
    barrier()
    scale(0, 0.5, 2)
    scale(4, 2.0**24, 3)
    barrier()
    restore(b, saved)
    barrier()
    scale(0, 0.5, 5)
    b.lines.append("  ret void")
    return b.function("void @f(ptr %p)")


def run(machine: Machine) -> np.ndarray:
    address = jit.load("f", jit.compile_object(text(machine), machine))
    data = np.array([TINY, 9, 9, 9, TINY / 2, 9], np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(data.ctypes.data)
    return data


def test_results_and_operands_are_flushed_only_between() -> None:
    half = TINY / 2
    np.testing.assert_array_equal(run(host()), [TINY, half, 0, 0, half, half])
    assert np.float32(TINY) * np.float32(0.5) == half


def test_a_machine_without_the_register_does_nothing() -> None:
    half = TINY / 2
    expected = [TINY, half, half, half * 2**24, half, half]
    np.testing.assert_array_equal(run(replace(host(), denormals="")), expected)


def test_the_register_of_aarch64() -> None:
    machine = machine_for("aarch64-unknown-linux-gnu", "neoverse-n1")
    assembly = jit.assembly(text(machine), machine)
    assert assembly.count("FPCR") == 3  # Read, set, put back.
