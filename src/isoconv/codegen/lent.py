"""Tasks shared among the threads of an OpenMP runtime that another library keeps, as LLVM IR.

`parallel` has the signature of `codegen.pool`'s. Its control block is one word: the address of the
runtime's `GOMP_parallel(function, data, threads, flags)`, or null where its threads are not there.
"""

from __future__ import annotations

from collections.abc import Callable

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.flags import flush_denormals, keep_denormals, restore
from isoconv.codegen.pool import MOST_PARTS, OPEN_PARTS, PART, TAKE_TASKS
from isoconv.plan.machine import Machine

# In a job, after its five words: how many threads have come; then how many tasks are taken.
_ARRIVED, _TAKEN = 40, 128
_SIZE = _TAKEN + MOST_PARTS * PART

_TEXT = """
declare i64 @llvm.smin.i64(i64, i64)

{OPEN_PARTS}
define void @parallel(ptr %ctl, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %limit) {{
entry:
{SLOTS}
  %job = alloca [{WORDS} x i64], align 128
  %begin = load atomic ptr, ptr %ctl monotonic, align 8
  %missing = icmp eq ptr %begin, null
  %whole = icmp sle i64 %tasks, %grain
  %single = icmp sle i64 %limit, 1
  %few = or i1 %whole, %single
  %alone = or i1 %few, %missing
  br i1 %alone, label %run, label %share
run:
  %some = icmp sgt i64 %tasks, 0
  br i1 %some, label %all, label %done
all:
  call void %kernel(ptr %args, i64 0, i64 %tasks)
  br label %done
share:
  store ptr %kernel, ptr %job, align 8
  %args.at = getelementptr i64, ptr %job, i64 1
  store ptr %args, ptr %args.at, align 8
  %tasks.at = getelementptr i64, ptr %job, i64 2
  store i64 %tasks, ptr %tasks.at, align 8
  %grain.at = getelementptr i64, ptr %job, i64 3
  store i64 %grain, ptr %grain.at, align 8
  %arrived = getelementptr i8, ptr %job, i64 {ARRIVED}
  store i64 0, ptr %arrived, align 8
  %taken = getelementptr i8, ptr %job, i64 {TAKEN}
  call void @open_parts(ptr %job, ptr %taken, i64 %limit)
  ; A thread that the runtime starts now begins as its starter is.
{KEEP}
  ; All threads each time: a runtime ends those that a smaller team has no use for.
  %threads = trunc i64 %limit to i32
  call void %begin(ptr @take_part, ptr %job, i32 %threads, i32 0)
{FLUSH_AGAIN}
  br label %done
done:
  ret void
}}

define internal void @take_part(ptr %job) {{
entry:
{FLUSH}
  %taken = getelementptr i8, ptr %job, i64 {TAKEN}
  %arrived = getelementptr i8, ptr %job, i64 {ARRIVED}
  %number = atomicrmw add ptr %arrived, i64 1 monotonic
{TAKE}
{RESTORE}
  ret void
}}
"""


def emit(machine: Machine) -> str:
    """The module whose `parallel(ctl, kernel, args, tasks, grain, limit)` shares out tasks."""
    caller, keep, flush_again = _between(machine, keep_denormals)
    member, flush, back = _between(machine, flush_denormals)
    parts = {
        "SLOTS": caller.entry,
        "KEEP": keep,
        "FLUSH_AGAIN": flush_again,
        "FLUSH": [*member.entry, *flush],
        "RESTORE": back,
    }
    joined = {name: "\n".join(lines) for name, lines in parts.items()}
    text = _TEXT.format(
        **joined,
        TAKE=TAKE_TASKS,
        OPEN_PARTS=OPEN_PARTS,
        WORDS=_SIZE // 8,
        ARRIVED=_ARRIVED,
        TAKEN=_TAKEN,
    )
    return "\n".join([*member.declared.values(), text])


def _between(
    machine: Machine, change: Callable[[Builder], Value]
) -> tuple[Builder, list[str], list[str]]:
    """What changes the control register, and what puts it back."""
    flags = Builder(machine)
    saved = change(flags)
    changed = len(flags.lines)
    restore(flags, saved)
    return flags, flags.lines[:changed], flags.lines[changed:]
