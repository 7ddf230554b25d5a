"""The most that this machine can do, measured: multiply-adds a second, and bytes moved a second."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from threading import Barrier, Thread
from typing import Any

import numpy as np

from isoconv.runtime import jit
from isoconv.runtime.host import host

# Independent sums, so that no multiply-add waits for the one before.
_SUMS = 12

# Vectors copied by one step of the loop.
_UNROLLED = 4

_SECONDS = 0.008
_TRIES = 4

_Peak = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)
_Copy = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


_best: dict[int, float] = {}


def flops(threads: int) -> float:
    """Floating-point operations a second, a fused multiply-add being two, on so many threads.

    Measured anew at each call; the best so far counts, because the machine may be disturbed.
    """
    _best[threads] = max(_best.get(threads, 0.0), _flops(threads))
    return _best[threads]


def _flops(threads: int) -> float:
    lanes = host().lanes("float32")
    operand = np.full(lanes, 0.5, np.float32)
    address = operand.ctypes.data
    run = _peak()
    steps = _calibrated(lambda n: run(n, address))
    return 2.0 * lanes * _SUMS * _together(lambda _: run(steps, address), threads, steps)


def bandwidth(total: int, threads: int) -> float:
    """Bytes a second that a copy moves, read and written, where both arrays are `total` bytes.

    It depends on the cache that holds them; the size is rounded to a power of two.
    """
    return _bandwidth(max(14, min(28, round(np.log2(max(total, 1))))), threads)


@cache
def _bandwidth(power: int, threads: int) -> float:
    step = _UNROLLED * host().vector_bits // 8
    part = max(step, (1 << power) // 2 // threads // step * step)
    pairs = [(np.ones(part, np.uint8), np.ones(part, np.uint8)) for _ in range(threads)]
    addresses = [(to.ctypes.data, source.ctypes.data) for to, source in pairs]
    run = _copy()
    repeats = _calibrated(lambda n: run(*addresses[0], part // step, n))
    moved = 2.0 * part * repeats
    return _together(lambda i: run(*addresses[i], part // step, repeats), threads, moved)


def _calibrated(run: Callable[[int], Any]) -> int:
    """How many steps last about as long as a measurement should."""
    steps = 1
    while True:
        start = time.perf_counter()
        run(steps)
        if time.perf_counter() - start > _SECONDS / 2:
            return steps
        steps *= 2


def _together(run: Callable[[int], Any], threads: int, amount: float) -> float:
    """The best rate of `threads` threads that each do `amount` at the same time."""
    best = 0.0
    for _ in range(_TRIES):
        barrier = Barrier(threads)
        seconds = [0.0] * threads

        def work(index: int, barrier: Barrier = barrier, seconds: list[float] = seconds) -> None:
            barrier.wait()
            start = time.perf_counter()
            run(index)
            seconds[index] = time.perf_counter() - start

        workers = [Thread(target=work, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, threads * amount / max(seconds))
    return best


@cache
def _peak() -> Any:
    vector = f"<{host().lanes('float32')} x float>"
    name = f"@llvm.fma.v{host().lanes('float32')}f32"
    sums = range(_SUMS)
    text = "\n".join(
        [
            f"declare {vector} {name}({vector}, {vector}, {vector})",
            "define void @peak(i64 %n, ptr %operand) {",
            "entry:",
            f"  %kept = alloca {vector}, align 64",
            f"  %x = load {vector}, ptr %operand, align 4",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]",
            *(f"  %a{s} = phi {vector} [ %x, %entry ], [ %b{s}, %loop ]" for s in sums),
            *(
                f"  %b{s} = call {vector} {name}({vector} %x, {vector} %x, {vector} %a{s})"
                for s in sums
            ),
            "  %j = add i64 %i, 1",
            "  %more = icmp slt i64 %j, %n",
            "  br i1 %more, label %loop, label %end",
            "end:",
            *(f"  store volatile {vector} %b{s}, ptr %kept, align 64" for s in sums),
            "  ret void",
            "}",
        ]
    )
    return _Peak(jit.function("bench peak\n" + text, "peak", lambda: text, host()))


@cache
def _copy() -> Any:
    vector = f"<{host().lanes('float32')} x float>"
    width = host().vector_bits // 8
    moves = []
    for u in range(_UNROLLED):
        moves += [
            f"  %p{u} = getelementptr i8, ptr %from, i64 %o{u}",
            f"  %q{u} = getelementptr i8, ptr %to, i64 %o{u}",
            f"  %v{u} = load {vector}, ptr %p{u}, align 4",
            f"  store {vector} %v{u}, ptr %q{u}, align 4",
        ]
    text = "\n".join(
        [
            "define void @copy(ptr %to, ptr %from, i64 %n, i64 %repeats) {",
            "entry:",
            "  br label %again",
            "again:",
            "  %r = phi i64 [ 0, %entry ], [ %r2, %turn ]",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %again ], [ %j, %loop ]",
            f"  %base = mul i64 %i, {_UNROLLED * width}",
            *(f"  %o{u} = add i64 %base, {u * width}" for u in range(_UNROLLED)),
            *moves,
            "  %j = add i64 %i, 1",
            "  %more = icmp slt i64 %j, %n",
            "  br i1 %more, label %loop, label %turn",
            "turn:",
            "  %r2 = add i64 %r, 1",
            "  %on = icmp slt i64 %r2, %repeats",
            "  br i1 %on, label %again, label %end",
            "end:",
            "  ret void",
            "}",
        ]
    )
    return _Copy(jit.function("bench copy\n" + text, "copy", lambda: text, host()))
