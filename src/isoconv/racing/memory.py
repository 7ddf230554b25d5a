"""How much a process grows while it runs a model: measured in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import memory as process
from isoconv.models.saving import load_model
from isoconv.racing.engines import BY_NAME, Data

_SECONDS = 300


@dataclass(frozen=True)
class Peaks:
    """Bytes of a prediction and of a training step; None where not measured, `why` if by fault."""

    forward: int | None = None
    step: int | None = None
    why: str = ""


def peaks(engine: str, model: Path, data: Path, threads: int) -> Peaks:
    """The most that a new process grows by in one call, beyond the package, weights and data.

    model: a .keras file. data: a .npz file of inputs and target. It is counted from where the
    process stands after a call on one sample to its peak within the second call on all: outputs and
    all that stands between, with what the first call left for later ones, but not what compiling
    took. Only Linux tells.
    """
    if not process.is_told():
        return Peaks(why="this system does not tell the peak of a process")
    command = [sys.executable, "-m", __name__, engine, str(model), str(data), str(threads)]
    environment = os.environ | {
        "ISOCONV_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=_SECONDS, text=True
        )
        return Peaks(*json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return Peaks(why=f"not done in {_SECONDS} seconds")
    except (IndexError, ValueError, TypeError):
        told = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Peaks(why=told[-1])


def measured(engine: str, model: Path, data: Path, threads: int) -> Peaks:
    """The same of this process."""
    drawn = load_model(model)
    with np.load(data) as arrays:
        *inputs, target = (arrays[f"arr_{index}"] for index in range(len(arrays)))
    target = target.reshape(len(target), *drawn.outputs[0].shape[1:])
    whole = Data(tuple(inputs), target)
    one = Data(tuple(x[:1] for x in inputs), target[:1])
    contender = BY_NAME[engine](threads)
    first = contender.runs(drawn, one)
    first.forward()
    forward = growth(contender.runs(drawn, whole).forward)
    if first.step is None:
        return Peaks(forward)
    first.step()
    later = contender.runs(drawn, whole).step
    return Peaks(forward, None if later is None else growth(later))


def growth(run: Callable[[], Any]) -> int:
    """Bytes from what the process holds now to its peak within the second of two calls."""
    _return_unused()
    before = process.resident()
    run()
    _return_unused()
    process.forget_peak()
    run()
    return max(0, process.peak() - before)


def _return_unused() -> None:
    """What was freed goes back to the system, as far as the C library has a way."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


if __name__ == "__main__":
    name, model_file, data_file, count = sys.argv[1:]
    found = measured(name, Path(model_file), Path(data_file), int(count))
    print(json.dumps([found.forward, found.step]))
