"""The thread pool as LLVM IR: `parallel`, which shares a kernel's tasks, and what workers do.

One word carries the protocol, `state`: | generation: 32 | seats: 16 | joined: 16 |. A job is open
while it has seats. A worker joins by taking a seat and adding itself to `joined` in one atomic
step, so it either is waited for or never touches the job; the generation keeps it from joining a
job twice, and from taking a new job for one that it saw before.
"""

from __future__ import annotations

from dataclasses import dataclass

from isoconv.codegen.emit import Builder
from isoconv.codegen.flags import flush_denormals
from isoconv.plan.machine import Machine

SYMBOL = "parallel"

# The control block, by bytes. Words that different threads write stand 128 bytes apart, as
# processors fetch lines in pairs. First what is fixed: threads to have, functions of libc.
WANTED, SYSCALL, CREATE, DETACH = 0, 8, 16, 24
# Then what changes, all of it zero at the start: the caller's lock, the threads there are and those
# that have a number,
LOCK, STARTED, NUMBERED = 128, 136, 144
STATE, SLEEPERS = 256, 384
# and the job: kernel, its arguments, tasks, grain, parts; how many tasks of each part are taken.
JOB, TAKEN = 512, 640
# Parts lie as far apart; a job has this many at most.
PART, MOST_PARTS = 128, 16
SIZE = TAKEN + MOST_PARTS * PART
CHANGING = LOCK

MOST_WORKERS = 1023

# How often a worker looks for a job before it sleeps: some 20 us.
_SPINS = 1000
# A worker takes no signals that are meant for the process, only those of its own faults:
# ILL 4, TRAP 5, ABRT 6, BUS 7, FPE 8, SEGV 11, SYS 31.
_SIGNALS = ~sum(1 << (number - 1) for number in (4, 5, 6, 7, 8, 11, 31))


@dataclass(frozen=True)
class _Processor:
    """How a thread idles for a moment, and the numbers of Linux' system calls."""

    pause: str
    declaration: str
    futex: int
    sched_yield: int
    sigprocmask: int


_PROCESSORS = {
    "x86_64": _Processor(
        "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()", 202, 24, 14
    ),
    # `yield` does nothing on most processors; `isb` takes some 10 ns.
    "aarch64": _Processor(
        "call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)", 98, 124, 135
    ),
}
_PROCESSORS["arm64"] = _PROCESSORS["aarch64"]

# What each thread of a job does, up to the label `done`. %job: the kernel, its arguments, tasks,
# grain and parts, a word each; %taken: where it stands how many tasks of each part are taken;
# %number: that of the thread. It begins with a part of its own, the same in each job (what a kernel
# reads, the one before often wrote on the same processor), and then helps with the others.
TAKE_TASKS = f"""\
  %kernel = load ptr, ptr %job, align 8
  %args.at = getelementptr i8, ptr %job, i64 8
  %args = load ptr, ptr %args.at, align 8
  %tasks.at = getelementptr i8, ptr %job, i64 16
  %tasks = load i64, ptr %tasks.at, align 8
  %grain.at = getelementptr i8, ptr %job, i64 24
  %grain = load i64, ptr %grain.at, align 8
  %parts.at = getelementptr i8, ptr %job, i64 32
  %parts = load i64, ptr %parts.at, align 8
  %stop = add i64 %number, %parts
  br label %part
part:
  %which = phi i64 [ %number, %entry ], [ %another, %empty ]
  %here = urem i64 %which, %parts
  %before = mul i64 %tasks, %here
  %first = udiv i64 %before, %parts
  %through = add i64 %before, %tasks
  %last = udiv i64 %through, %parts
  %place = mul i64 %here, {PART}
  %count = getelementptr i8, ptr %taken, i64 %place
  br label %look
look:
  %seen = load atomic i64, ptr %count monotonic, align 8
  %left = sub i64 %last, %first
  %some = icmp slt i64 %seen, %left
  br i1 %some, label %take, label %empty
take:
  %got = atomicrmw add ptr %count, i64 %grain monotonic
  %begin = add i64 %first, %got
  %more = icmp slt i64 %begin, %last
  br i1 %more, label %run, label %empty
run:
  %full = add i64 %begin, %grain
  %end = call i64 @llvm.smin.i64(i64 %full, i64 %last)
  call void %kernel(ptr %args, i64 %begin, i64 %end)
  br label %look
empty:
  %another = add i64 %which, 1
  %all = icmp eq i64 %another, %stop
  br i1 %all, label %done, label %part
done:"""

# Makes a job one of so many threads, in parts of which nothing is taken.
OPEN_PARTS = f"""\
define internal void @open_parts(ptr %job, ptr %taken, i64 %threads) {{
entry:
  %parts = call i64 @llvm.smin.i64(i64 %threads, i64 {MOST_PARTS})
  %parts.at = getelementptr i8, ptr %job, i64 32
  store i64 %parts, ptr %parts.at, align 8
  br label %next
next:
  %part = phi i64 [ 0, %entry ], [ %following, %next ]
  %place = mul i64 %part, {PART}
  %count = getelementptr i8, ptr %taken, i64 %place
  store atomic i64 0, ptr %count monotonic, align 8
  %following = add i64 %part, 1
  %more = icmp slt i64 %following, %parts
  br i1 %more, label %next, label %done
done:
  ret void
}}
"""

_TEXT = """
declare i64 @llvm.smin.i64(i64, i64)

{OPEN_PARTS}
define void @parallel(ptr %ctl, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %limit) {{
entry:
  %whole = icmp sle i64 %tasks, %grain
  br i1 %whole, label %alone, label %several
several:
  %wanted = load atomic i64, ptr %ctl monotonic, align 8
  %others = sub i64 %limit, 1
  %rest = sub i64 %tasks, 1
  %helped = sdiv i64 %rest, %grain
  %most = call i64 @llvm.smin.i64(i64 %others, i64 %wanted)
  %seats = call i64 @llvm.smin.i64(i64 %most, i64 %helped)
  %useful = icmp sgt i64 %seats, 0
  br i1 %useful, label %try, label %alone
try:
  %lock = getelementptr i8, ptr %ctl, i64 {LOCK}
  %taking = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {{i32, i1}} %taking, 1
  br i1 %mine, label %staff, label %alone
staff:
  %started.at = getelementptr i8, ptr %ctl, i64 {STARTED}
  %before = load i64, ptr %started.at, align 8
  %enough = icmp sge i64 %before, %seats
  br i1 %enough, label %publish, label %recruit
recruit:
  call void @recruit(ptr %ctl, i64 %seats)
  br label %publish
publish:
  %job = getelementptr i8, ptr %ctl, i64 {JOB}
  store ptr %kernel, ptr %job, align 8
  %args.at = getelementptr i8, ptr %job, i64 8
  store ptr %args, ptr %args.at, align 8
  %tasks.at = getelementptr i8, ptr %job, i64 16
  store i64 %tasks, ptr %tasks.at, align 8
  %grain.at = getelementptr i8, ptr %job, i64 24
  store i64 %grain, ptr %grain.at, align 8
  %taken = getelementptr i8, ptr %ctl, i64 {TAKEN}
  %threads = add i64 %seats, 1
  call void @open_parts(ptr %job, ptr %taken, i64 %threads)
  %state = getelementptr i8, ptr %ctl, i64 {STATE}
  %closed = load atomic i64, ptr %state monotonic, align 8
  %generation = add i64 %closed, {GENERATION}
  %chairs = shl i64 %seats, 16
  %open = or i64 %generation, %chairs
  ; Sequentially consistent, as is a worker's word that it sleeps: one of the two sees the other.
  %was = atomicrmw xchg ptr %state, i64 %open seq_cst
  %sleepers.at = getelementptr i8, ptr %ctl, i64 {SLEEPERS}
  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %asleep = icmp sgt i64 %sleepers, 0
  br i1 %asleep, label %count, label %work
count:
  %started = load i64, ptr %started.at, align 8
  %awake = sub i64 %started, %sleepers
  %needed = sub i64 %seats, %awake
  %few = icmp sgt i64 %needed, 0
  br i1 %few, label %wake, label %work
wake:
  %syscall.at = getelementptr i8, ptr %ctl, i64 {SYSCALL}
  %syscall = load ptr, ptr %syscall.at, align 8
  %word = getelementptr i8, ptr %state, i64 4
  %woken = call i64 (i64, ...) %syscall(i64 {FUTEX}, ptr %word, i64 {WAKE}, i64 %needed)
  br label %work
work:
  call void @share(ptr %ctl, i64 0)
  %closing = atomicrmw and ptr %state, i64 {NO_SEATS} acq_rel
  br label %wait
wait:
  %patience = phi i64 [ {SPINS}, %work ], [ %patience, %yield ], [ %less, %pause ]
  %now = load atomic i64, ptr %state acquire, align 8
  %joined = and i64 %now, {JOINED}
  %finished = icmp eq i64 %joined, 0
  br i1 %finished, label %leave, label %again
again:
  %tired = icmp eq i64 %patience, 0
  br i1 %tired, label %yield, label %pause
pause:
  %less = sub i64 %patience, 1
  {PAUSE}
  br label %wait
yield:
  ; There are more threads than processors, and one that we wait for may not be running.
  %os.at = getelementptr i8, ptr %ctl, i64 {SYSCALL}
  %os = load ptr, ptr %os.at, align 8
  %yielded = call i64 (i64, ...) %os(i64 {YIELD})
  br label %wait
leave:
  store atomic i32 0, ptr %lock release, align 4
  ret void
alone:
  %some = icmp sgt i64 %tasks, 0
  br i1 %some, label %all, label %none
all:
  tail call void %kernel(ptr %args, i64 0, i64 %tasks)
  ret void
none:
  ret void
}}

define internal void @share(ptr %ctl, i64 %number) {{
entry:
  %job = getelementptr i8, ptr %ctl, i64 {JOB}
  %taken = getelementptr i8, ptr %ctl, i64 {TAKEN}
{TAKE}
  ret void
}}

define internal void @recruit(ptr %ctl, i64 %seats) noinline cold {{
entry:
  %thread = alloca i64, align 8
  %create.at = getelementptr i8, ptr %ctl, i64 {CREATE}
  %create = load ptr, ptr %create.at, align 8
  %detach.at = getelementptr i8, ptr %ctl, i64 {DETACH}
  %detach = load ptr, ptr %detach.at, align 8
  %started.at = getelementptr i8, ptr %ctl, i64 {STARTED}
  br label %next
next:
  %started = load i64, ptr %started.at, align 8
  %enough = icmp sge i64 %started, %seats
  br i1 %enough, label %done, label %start
start:
  %error = call i32 %create(ptr %thread, ptr null, ptr @worker, ptr %ctl)
  %failed = icmp ne i32 %error, 0
  br i1 %failed, label %refused, label %began
began:
  %handle = load i64, ptr %thread, align 8
  %detached = call i32 %detach(i64 %handle)
  %more = add i64 %started, 1
  store i64 %more, ptr %started.at, align 8
  br label %next
refused:
  ; The system gives no more threads: what there is has to do, and nobody asks again.
  store atomic i64 %started, ptr %ctl monotonic, align 8
  br label %done
done:
  ret void
}}

define internal ptr @worker(ptr %ctl) {{
entry:
  %signals = alloca i64, align 8
  store i64 {SIGNALS}, ptr %signals, align 8
{FLUSH}
  %state = getelementptr i8, ptr %ctl, i64 {STATE}
  %word = getelementptr i8, ptr %state, i64 4
  %sleepers = getelementptr i8, ptr %ctl, i64 {SLEEPERS}
  %syscall.at = getelementptr i8, ptr %ctl, i64 {SYSCALL}
  %syscall = load ptr, ptr %syscall.at, align 8
  %numbered = getelementptr i8, ptr %ctl, i64 {NUMBERED}
  %others = atomicrmw add ptr %numbered, i64 1 monotonic
  %number = add i64 %others, 1
  %blocked = call i64 (i64, ...) %syscall(i64 {SIGPROCMASK}, i64 0, ptr %signals, ptr null, i64 8)
  br label %watch
watch:
  %seen = phi i64 [ 0, %entry ], [ %seen, %sleep ], [ %generation, %work ]
  br label %look
look:
  %patience = phi i64 [ {SPINS}, %watch ], [ %less, %pause ]
  %now = load atomic i64, ptr %state acquire, align 8
  %generation = lshr i64 %now, 32
  %new = icmp ne i64 %generation, %seen
  %seats = and i64 %now, {SEATS}
  %free = icmp ne i64 %seats, 0
  %welcome = and i1 %new, %free
  br i1 %welcome, label %join, label %wait
join:
  %seated = sub i64 %now, {SEAT_FOR_JOINED}
  %joining = cmpxchg ptr %state, i64 %now, i64 %seated acquire monotonic
  %joined = extractvalue {{i64, i1}} %joining, 1
  br i1 %joined, label %work, label %wait
work:
  call void @share(ptr %ctl, i64 %number)
  %left = atomicrmw sub ptr %state, i64 1 release
  br label %watch
wait:
  %less = sub i64 %patience, 1
  %tired = icmp eq i64 %less, 0
  br i1 %tired, label %sleep, label %pause
pause:
  {PAUSE}
  br label %look
sleep:
  %dozing = atomicrmw add ptr %sleepers, i64 1 seq_cst
  ; Returns at once if the generation is no longer the one seen.
  %slept = call i64 (i64, ...) %syscall(i64 {FUTEX}, ptr %word, i64 {WAIT},
                                       i64 %generation, ptr null)
  %awoken = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  br label %watch
}}
"""


def emit(machine: Machine) -> str:
    """The module whose `parallel(ctl, kernel, args, tasks, grain, limit)` shares out tasks."""
    processor = _PROCESSORS[machine.triple.split("-")[0]]
    flags = Builder(machine)
    flush_denormals(flags)
    text = _TEXT.format(
        SYSCALL=SYSCALL,
        CREATE=CREATE,
        DETACH=DETACH,
        LOCK=LOCK,
        STARTED=STARTED,
        STATE=STATE,
        SLEEPERS=SLEEPERS,
        JOB=JOB,
        NUMBERED=NUMBERED,
        TAKEN=TAKEN,
        OPEN_PARTS=OPEN_PARTS,
        TAKE=TAKE_TASKS,
        GENERATION=1 << 32,
        SEATS=0xFFFF << 16,
        NO_SEATS=~(0xFFFF << 16),
        SEAT_FOR_JOINED=(1 << 16) - 1,
        JOINED=0xFFFF,
        SPINS=_SPINS,
        SIGNALS=_SIGNALS,
        PAUSE=processor.pause,
        FUTEX=processor.futex,
        # FUTEX_WAIT and FUTEX_WAKE of threads of one process.
        WAIT=128,
        WAKE=129,
        YIELD=processor.sched_yield,
        SIGPROCMASK=processor.sigprocmask,
        FLUSH="\n".join([*flags.entry, *flags.lines]),
    )
    return "\n".join([processor.declaration, *flags.declared.values(), text])
