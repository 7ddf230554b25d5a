"""Which processor this is, or the one asked for, as LLVM tells it; `plan.machine` describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from llvmlite import binding as llvm

from isoconv import settings
from isoconv.plan.machine import Machine, describe
from isoconv.runtime.target import module, process_triple, target_machine

# LLVM does not tell the features of a processor by name, but its code does: a fused multiply-add
# as wide as it can be, integers in 256 bits, and 256 bits loaded under a mask.
_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)

define <16 x float> @fused(<16 x float> %a, <16 x float> %b) {
  %r = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %b)
  ret <16 x float> %r
}

define <8 x i32> @integer(<8 x i32> %a, <8 x i32> %b) {
  %r = add <8 x i32> %a, %b
  ret <8 x i32> %r
}

define <8 x float> @masked(ptr %p, <8 x i1> %m) {
  %r = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %p, <8 x i1> %m,
                                                   <8 x float> zeroinitializer)
  ret <8 x float> %r
}
"""


def host() -> Machine:
    """The processor to compile for: this machine's, or the one that ISOCONV_CPU names.

    What a named processor has and this machine lacks is left out, so that the code runs here.
    """
    return _host(settings.cpu())


@cache
def machine_for(triple: str, cpu: str) -> Machine:
    """A processor by LLVM's names, such as "aarch64-unknown-linux-gnu" and "neoverse-n1".

    Code for it can be emitted, not run.
    """
    return describe(triple, cpu, _features(triple, cpu, {}))


@cache
def _host(named: str | None) -> Machine:
    triple = process_triple()
    own = dict(llvm.get_host_cpu_features())
    if named is None:
        return describe(triple, str(llvm.get_host_cpu_name()), own)
    missing = {name: False for name, present in own.items() if not present}
    return describe(triple, named, _features(triple, named, missing))


def _features(triple: str, cpu: str, missing: Mapping[str, bool]) -> dict[str, bool]:
    """The features of a processor that decide the shape of the code, less those missing."""
    if not triple.startswith("x86_64"):
        return dict(missing)
    # LLVM aborts on a processor that it does not know, unless told that it has 64 bits.
    flags = ",".join(["+64bit", *(f"-{name}" for name in sorted(missing))])
    machine = target_machine(triple, cpu, flags)
    assembly = machine.emit_assembly(module(_PROBE, machine))
    fused, rest = assembly.split("integer:")
    integer, masked = rest.split("masked:")
    found = {
        "64bit": True,
        "fma": "vfmadd" in fused,
        "avx2": re.search(r"vpaddd.*ymm", integer) is not None,
        "avx512f": "zmm" in fused,
        "avx512vl": re.search(r"ymm\d+ \{%k", masked) is not None,
    }
    return {**missing, **found}
