"""What a processor is, as a description: the code generator asks it and never tests for a name."""

from __future__ import annotations

from dataclasses import dataclass

from isoconv import dtypes
from isoconv.errors import IsoconvError, explain


@dataclass(frozen=True)
class Machine:
    """One processor as the kernels see it.

    vector_bits: width of one vector register; registers: how many there are; scratch: how many of
    them a kernel needs beside its accumulators and one row of weights, and row_scratch those that
    each row of a tile needs;
    masks: whether partial vectors load and store under a mask at no great cost;
    broadcast_operand: whether an FMA takes a scalar from memory and repeats it;
    denormals: the control register that flushes denormals ("mxcsr", "fpcr", or "" for none).
    """

    triple: str
    cpu: str
    features: str
    vector_bits: int
    registers: int
    scratch: int
    row_scratch: int
    masks: bool
    broadcast_operand: bool
    denormals: str

    def lanes(self, dtype: str) -> int:
        """How many elements of `dtype` one vector register holds."""
        return self.vector_bits // (8 * dtypes.BYTES[dtype])


def describe(triple: str, cpu: str, features: dict[str, bool]) -> Machine:
    """The description of a processor from LLVM's triple, CPU name and feature flags."""
    architecture = triple.split("-")[0]
    # `prefer-256-bit` is set by LLVM for some CPUs; whole kernels of 512-bit code do not need it.
    chosen = {**features, "prefer-256-bit": False} if features.get("avx512f") else features
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(chosen.items()))
    if architecture == "x86_64":
        if not (features.get("avx2") and features.get("fma")):
            raise IsoconvError(
                explain("this processor", cpu, "an x86-64 processor with AVX2 and FMA")
            )
        wide = bool(features.get("avx512f") and features.get("avx512vl"))
        return Machine(
            triple=triple,
            cpu=cpu,
            features=flags,
            vector_bits=512 if wide else 256,
            registers=32 if wide else 16,
            scratch=3 if wide else 2,
            row_scratch=0,
            masks=wide,
            broadcast_operand=wide,
            denormals="mxcsr",
        )
    if architecture in ("aarch64", "arm64"):
        return Machine(
            triple=triple,
            cpu=cpu,
            features=flags,
            vector_bits=128,
            registers=32,
            # LLVM schedules elements ahead of their use, each, or those of a row, in a register.
            scratch=5,
            row_scratch=1,
            masks=False,
            broadcast_operand=False,
            denormals="fpcr",
        )
    raise IsoconvError(explain("this processor", triple, "x86-64 or AArch64"))
