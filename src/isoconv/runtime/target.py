"""LLVM's targets: started when first needed, one target machine for each processor, text to module.

Callers hold the one lock of `jit` around everything here, or run before there are threads.
"""

from __future__ import annotations

from functools import cache

from llvmlite import binding as llvm

from isoconv.errors import InternalError


@cache
def process_triple() -> str:
    """The triple of code that can run in this process."""
    return str(llvm.get_process_triple())


@cache
def initialize(triple: str) -> None:
    """Starts the part of LLVM that makes code for a triple."""
    if triple.split("-")[0] != process_triple().split("-")[0]:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The empty inline assembly that hides pointers must be parsed.
    llvm.initialize_native_asmparser()


@cache
def target_machine(triple: str, cpu: str, features: str) -> llvm.TargetMachine:
    """The code generator for a processor; position-independent, so that objects can be loaded."""
    initialize(triple)
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )


def module(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """The verified module of LLVM IR text that names neither triple nor data layout."""
    head = f'target datalayout = "{machine.target_data}"\ntarget triple = "{machine.triple}"\n'
    try:
        parsed = llvm.parse_assembly(head + text)
        # Code generation aborts the process on what this refuses.
        parsed.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the code made for it: {error}") from error
    for function in parsed.functions:
        if not function.is_declaration:
            # Nothing here unwinds; without this, each object carries tables to register.
            function.add_function_attribute("nounwind")
    return parsed
