"""What the thread pool must keep to, one case a process: `python pool_cases.py CASE`.

A process of its own, since a pool that is wrong hangs or crashes, and one that is right stays.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from isoconv.codegen import pool as code
from isoconv.runtime import jit, pool
from isoconv.runtime.host import host

Parallel = Callable[[int, int, int, int, int], None]
_Kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_PARALLEL = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)
# Long enough for any thread to be given a processor.
LONG = 20.0

# Adds 1 to each of its tasks' words, and not atomically: a task done twice at once may show as
# done once, but one more or less shows sooner or later.
COUNT = """
define void @count(ptr %args, i64 %begin, i64 %end) {
entry:
  %base = load ptr, ptr %args, align 8
  br label %task
task:
  %i = phi i64 [ %begin, %entry ], [ %next, %task ]
  %address = getelementptr i64, ptr %base, i64 %i
  %old = load i64, ptr %address, align 8
  %new = add i64 %old, 1
  store i64 %new, ptr %address, align 8
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %task, label %done
done:
  ret void
}
"""

# Halves the smallest normal number into the word of its first task: a denormal, or zero if flushed.
HALVE = """
define void @halve(ptr %args, i64 %begin, i64 %end) {
entry:
  %base = load ptr, ptr %args, align 8
  %source = getelementptr ptr, ptr %args, i64 1
  %tiny = load double, ptr %source, align 8
  %half = fmul double %tiny, 0.5
  %address = getelementptr double, ptr %base, i64 %begin
  store double %half, ptr %address, align 8
  ret void
}
"""


def compiled(symbol: str, text: str) -> int:
    return jit.load(symbol, jit.compile_object(text, host()))


def sharing(text: str | None = None) -> Parallel:
    """`parallel` of the process' pool, or of one made of another text."""
    control, address = pool.control(), pool.parallel_address()
    if text is not None:
        block = ctypes.create_string_buffer(code.SIZE + 128)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))
        fixed = control
        control = -(-ctypes.addressof(block) // 128) * 128
        ctypes.memmove(control, fixed, code.CHANGING)
        address = compiled(code.SYMBOL, text)
    function = _PARALLEL(address)

    def parallel(kernel: int, args: int, tasks: int, grain: int, limit: int) -> None:
        function(control, kernel, args, tasks, grain, limit)

    return parallel


@contextmanager
def in_python(body: Callable[[int, int], None]) -> Iterator[int]:
    """A kernel written in Python; what it raises is raised here."""
    errors: list[BaseException] = []

    def run(_: int, begin: int, end: int) -> None:
        try:
            body(begin, end)
        except BaseException as error:
            errors.append(error)

    kernel = _Kernel(run)
    yield ctypes.cast(kernel, ctypes.c_void_p).value or 0
    if errors:
        raise errors[0]


def check_every_task_once(parallel: Parallel) -> None:
    count = compiled("count", COUNT)
    for tasks in (0, 1, 2, 3, 7, 8, 9, 64, 257, 1000):
        for grain in (1, 2, 3, 10, 64, 2000):
            for limit in (1, 2, 3, 100):
                # Room on both sides, for a pool that is wrong.
                data = np.zeros(grain + tasks + grain, np.int64)
                own = data[grain : grain + tasks]
                args = np.array([own.ctypes.data], np.int64)
                for _ in range(20):
                    parallel(count, args.ctypes.data, tasks, grain, limit)
                assert (own == 20).all(), (tasks, grain, limit)
                assert data.sum() == own.sum(), (tasks, grain, limit)


def every_task_once() -> None:
    check_every_task_once(sharing())


def many_short_jobs() -> None:
    parallel, count = sharing(), compiled("count", COUNT)
    data, guard = np.zeros(9, np.int64), np.zeros(9, np.int64)
    args = np.empty(1, np.int64)
    for _ in range(100_000):
        args[0] = data.ctypes.data
        parallel(count, args.ctypes.data, 9, 1, 100)
        # A worker that is late with this job would find these instead.
        args[0] = guard.ctypes.data
    time.sleep(0.05)
    assert (data == 100_000).all()
    assert (guard == 0).all()


def several_callers() -> None:
    parallel, count = sharing(), compiled("count", COUNT)
    failures = []

    def call(seed: int) -> None:
        data = np.zeros(50 + seed, np.int64)
        args = np.array([data.ctypes.data], np.int64)
        for _ in range(3000):
            parallel(count, args.ctypes.data, data.size, 1 + seed % 3, 100)
        if not (data == 3000).all():
            failures.append(seed)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def check_workers_come_and_are_waited_for(parallel: Parallel, patience: float = LONG) -> None:
    """The caller's first task waits for a worker, whose task then takes long."""
    for pause in (0.0, 0.0, 0.1):
        time.sleep(pause)  # After the last one, the workers are asleep.
        caller = threading.get_ident()
        came, done = threading.Event(), threading.Event()

        def task(begin: int, end: int, caller=caller, came=came, done=done) -> None:
            if threading.get_ident() == caller:
                assert came.wait(patience)
            else:
                came.set()
                time.sleep(0.2)
                done.set()

        with in_python(task) as kernel:
            parallel(kernel, 0, 2, 1, 2)
            assert done.is_set()


def workers_come_and_are_waited_for() -> None:
    check_workers_come_and_are_waited_for(sharing())


def at_most_so_many_threads() -> None:
    parallel = sharing()
    for limit in (4, 2, 3, 1, 4):
        seen = set()

        def task(begin: int, end: int, seen=seen) -> None:
            seen.add(threading.get_native_id())
            time.sleep(0.002)

        with in_python(task) as kernel:
            parallel(kernel, 0, 60, 1, limit)
        assert 1 <= len(seen) <= limit, (limit, seen)
    assert pool.workers() == 3


def one_thread() -> None:
    assert os.environ["ISOCONV_THREADS"] == "1"
    check_every_task_once(sharing())
    assert pool.workers() == 0


def started_when_needed() -> None:
    parallel, count = sharing(), compiled("count", COUNT)
    data = np.zeros(100, np.int64)
    args = np.array([data.ctypes.data], np.int64)
    parallel(count, args.ctypes.data, 100, 100, 100)
    parallel(count, args.ctypes.data, 100, 1, 1)
    assert pool.workers() == 0
    parallel(count, args.ctypes.data, 100, 60, 100)
    assert pool.workers() == 1
    parallel(count, args.ctypes.data, 100, 1, 100)
    assert pool.workers() == 3


def a_job_inside_a_job() -> None:
    parallel, count = sharing(), compiled("count", COUNT)
    data = np.zeros(30, np.int64)
    args = np.array([data.ctypes.data], np.int64)

    def task(begin: int, end: int) -> None:
        rows = args + 8 * 10 * begin
        parallel(count, rows.ctypes.data, 10, 1, 100)

    with in_python(task) as kernel:
        parallel(kernel, 0, 3, 1, 100)
    assert (data == 1).all()


def check_in_child(parallel: Parallel) -> None:
    assert pool.workers() == 0
    check_every_task_once(parallel)
    check_workers_come_and_are_waited_for(parallel)
    assert pool.workers() == 3


def forked() -> None:
    """A child of a process whose pool is in use by another thread at that moment."""
    parallel = sharing()
    inside, leave = threading.Event(), threading.Event()

    def task(begin: int, end: int) -> None:
        inside.set()
        assert leave.wait(LONG)

    def hold() -> None:
        with in_python(task) as kernel:
            parallel(kernel, 0, 2, 1, 2)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(LONG)
    control = pool.control()
    child = os.fork()
    if child == 0:
        try:
            assert pool.control() == control
            check_in_child(parallel)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    holder.join()
    check_every_task_once(parallel)


def _count_in_child(times: int) -> int:
    parallel, count = sharing(), compiled("count", COUNT)
    data = np.zeros(40, np.int64)
    args = np.array([data.ctypes.data], np.int64)
    for _ in range(times):
        parallel(count, args.ctypes.data, 40, 1, 100)
    return int(data.sum())


def multiprocess() -> None:
    assert _count_in_child(5) == 200
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as processes:
            assert processes.map(_count_in_child, [1, 10, 100]) == [40, 400, 4000]


def idle() -> None:
    check_every_task_once(sharing())
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03


def denormals() -> None:
    """Flushed in workers; the caller's own state is its own matter, and here it is not set."""
    parallel = sharing()
    halve = _Kernel(compiled("halve", HALVE))
    tiny = np.finfo(np.float64).tiny
    caller, met, results = threading.get_ident(), threading.Barrier(2), np.ones(2)
    args = np.array([results.ctypes.data, 0], np.int64)
    args[1:].view(np.float64)[0] = tiny

    def task(begin: int, end: int) -> None:
        met.wait(LONG)  # Neither runs both.
        halve(args.ctypes.data, 0 if threading.get_ident() == caller else 1, 0)

    with in_python(task) as kernel:
        parallel(kernel, 0, 2, 1, 2)
    assert results[0] == tiny / 2 != 0
    assert results[1] == 0


def no_more_threads() -> None:
    """The system refuses to make threads: callers go on with what there is."""
    refuse = "define i32 @refuse(ptr %t, ptr %a, ptr %f, ptr %x) { ret i32 11 }"
    parallel = sharing()
    create = ctypes.c_int64.from_address(pool.control() + code.CREATE)
    create.value = compiled("refuse", refuse)
    check_every_task_once(parallel)
    assert pool.workers() == 0


def signals() -> None:
    """A signal to the process must not land on a worker: the interpreter would sleep on."""
    own = threading.get_native_id()
    workers_come_and_are_waited_for()
    masks = {}
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/status") as status:
            blocked = re.search(r"SigBlk:\s*(\w+)", status.read())
        masks[int(thread)] = int(blocked[1], 16) if blocked else 0
    del masks[own]
    assert len(masks) == pool.workers() == 1
    (mask,) = masks.values()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPROF):
        assert mask >> (number - 1) & 1
    for number in (signal.SIGSEGV, signal.SIGFPE, signal.SIGBUS):
        assert not mask >> (number - 1) & 1


def exit_while_busy() -> None:
    """The interpreter ends while other threads are in the midst of jobs."""
    parallel, count = sharing(), compiled("count", COUNT)
    data = np.zeros(100_000, np.int64)
    args = np.array([data.ctypes.data], np.int64)
    gc.disable()
    # The caller's memory must outlive the interpreter, as the jobs do.
    for kept in (data, args):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))

    def call() -> None:
        while True:
            parallel(count, args.ctypes.data, data.size, 10, 100)

    for _ in range(3):
        threading.Thread(target=call, daemon=True).start()
    time.sleep(0.1)


# Faults planted in the code, and the check that must find each.
def check_each_begins_with_its_part(parallel: Parallel) -> None:
    """Each waits in its first task for the others, so that nobody helps before all have begun."""
    caller = threading.get_ident()
    for _ in range(5):
        first: dict[int, int] = {}
        met = threading.Barrier(2)

        def task(begin: int, end: int, first=first, met=met) -> None:
            if first.setdefault(threading.get_ident(), begin) == begin:
                met.wait(LONG)

        with in_python(task) as kernel:
            parallel(kernel, 0, 10, 1, 2)
        assert sorted(first.values()) == [0, 5]
        assert first[caller] == 0


def each_begins_with_its_part() -> None:
    check_each_begins_with_its_part(sharing())


FAULTS: dict[str, tuple[str, str, Callable[[Parallel], None]]] = {
    "nobody is waited for": (
        "%finished = icmp eq i64 %joined, 0",
        "%finished = icmp eq i64 0, 0",
        partial(check_workers_come_and_are_waited_for, patience=1.0),
    ),
    "nobody is woken": (
        "ptr %word, i64 129, i64 %needed",
        "ptr %lock, i64 129, i64 %needed",
        partial(check_workers_come_and_are_waited_for, patience=1.0),
    ),
    "the last part is too long": (
        "call i64 @llvm.smin.i64(i64 %full, i64 %last)",
        "add i64 %full, 0",
        check_every_task_once,
    ),
    "the first part begins too early": (
        "store atomic i64 0, ptr %count",
        "store atomic i64 -1, ptr %count",
        check_every_task_once,
    ),
    "nobody helps with the parts of others": (
        "%stop = add i64 %number, %parts",
        "%stop = add i64 %number, 1",
        check_every_task_once,
    ),
    "all threads begin with the first part": (
        "call void @share(ptr %ctl, i64 %number)",
        "call void @share(ptr %ctl, i64 0)",
        check_each_begins_with_its_part,
    ),
}


def faults() -> None:
    text = code.emit(host())
    check_workers_come_and_are_waited_for(sharing(text))
    check_every_task_once(sharing(text))
    for name, (right, wrong, check) in FAULTS.items():
        assert text.count(right) == 1, name
        parallel = sharing(text.replace(right, wrong))
        try:
            check(parallel)
        except AssertionError:
            time.sleep(0.5)  # Whoever is still at work has its kernel until then.
        else:
            raise AssertionError(f"not found: {name}")


CASES = [
    every_task_once,
    many_short_jobs,
    several_callers,
    workers_come_and_are_waited_for,
    each_begins_with_its_part,
    at_most_so_many_threads,
    one_thread,
    started_when_needed,
    a_job_inside_a_job,
    forked,
    multiprocess,
    idle,
    denormals,
    no_more_threads,
    signals,
    exit_while_busy,
    faults,
]

if __name__ == "__main__":
    {case.__name__: case for case in CASES}[sys.argv[1]]()
