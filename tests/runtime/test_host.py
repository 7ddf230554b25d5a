"""The description of the processor: what is asked for and what this machine can run."""

import platform

import pytest

from isoconv.errors import IsoconvError
from isoconv.runtime import host, jit
from isoconv.runtime.target import process_triple

X86 = "x86_64-unknown-linux-gnu"

FUSED = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @f(ptr %p) {
  %x = load <16 x float>, ptr %p, align 4
  %y = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %x, <16 x float> %x)
  store <16 x float> %y, ptr %p, align 4
  ret void
}
"""


@pytest.mark.parametrize(
    ("cpu", "bits", "registers", "masks"),
    [
        ("x86-64-v3", 256, 16, False),
        ("haswell", 256, 16, False),
        ("znver1", 256, 16, False),
        ("alderlake", 256, 16, False),
        ("x86-64-v4", 512, 32, True),
        ("skylake-avx512", 512, 32, True),
        ("znver5", 512, 32, True),
        # It has vectors of 512 bits, but no masks on shorter ones.
        ("knl", 256, 16, False),
    ],
)
def test_x86_processors_by_name(cpu: str, bits: int, registers: int, masks: bool) -> None:
    machine = host.machine_for(X86, cpu)
    assert (machine.vector_bits, machine.registers) == (bits, registers)
    assert machine.masks == machine.broadcast_operand == masks
    assert machine.denormals == "mxcsr"
    assert ("zmm" in jit.assembly(FUSED, machine)) == (bits == 512 or cpu == "knl")


@pytest.mark.parametrize("cpu", ["x86-64", "nehalem", "sandybridge", "bdver2", "no-such-processor"])
def test_a_processor_without_fma_is_an_error(cpu: str) -> None:
    with pytest.raises(IsoconvError, match="AVX2 and FMA"):
        host.machine_for(X86, cpu)


def test_aarch64() -> None:
    machine = host.machine_for("aarch64-unknown-linux-gnu", "neoverse-n1")
    assert (machine.vector_bits, machine.registers, machine.masks) == (128, 32, False)
    assert machine.denormals == "fpcr"


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISOCONV_CPU", raising=False)
    machine = host.host()
    assert machine is host.host()
    assert machine.triple == process_triple()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names an x86-64 processor")
def test_the_processor_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    own = host.host()
    monkeypatch.setenv("ISOCONV_CPU", "x86-64-v3")
    asked = host.host()
    assert (asked.cpu, asked.vector_bits, asked.masks) == ("x86-64-v3", 256, False)
    assert "zmm" not in jit.assembly(FUSED, asked)
    # What this machine lacks stays off, whatever the processor asked for has.
    lacking = {flag for flag in own.features.split(",") if flag[0] == "-"} - {"-prefer-256-bit"}
    assert lacking <= set(asked.features.split(","))


def test_what_this_machine_lacks_is_left_out() -> None:
    features = host._features(X86, "x86-64-v4", {"avx512f": False})
    assert features["fma"]
    assert not features["avx512f"]
    assert not features["avx512vl"]
