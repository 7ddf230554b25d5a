"""How much a process grows while it runs a model: measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isoconv.models.saving import load_model
from isoconv.racing.engines import BY_NAME, Data

_STATUS = Path("/proc/self/status")
_SECONDS = 300

Peaks = tuple[int | None, int | None]
"""Bytes of a prediction and of a training step; None where not measured."""


def peaks(engine: str, model: Path, data: Path, threads: int) -> Peaks:
    """The most that a new process grows by, beyond weights and data.

    model: a .keras file. data: a .npz file of inputs and target. What the process grows by is
    counted from where it stands after a call with one sample, so that code is not counted, until
    its peak within the first calls with all samples. (None, None) where the system does not tell.
    """
    if not _STATUS.exists():
        return None, None
    command = [sys.executable, "-m", __name__, engine, str(model), str(data), str(threads)]
    environment = os.environ | {"ISOCONV_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS)
    if done.returncode:
        return None, None
    forward, step = json.loads(done.stdout.splitlines()[-1])
    return forward, step


def measured(engine: str, model: Path, data: Path, threads: int) -> Peaks:
    """The same of this process."""
    with np.load(data) as arrays:
        given = [arrays[f"arr_{index}"] for index in range(len(arrays))]
    whole = Data(tuple(given[:-1]), given[-1])
    one = Data(tuple(x[:1] for x in whole.inputs), whole.target[:1])
    contender = BY_NAME[engine](threads)
    drawn = load_model(model)
    first = contender.runs(drawn, one)
    first.forward()
    forward = _growth(contender.runs(drawn, whole).forward)
    if first.step is None:
        return forward, None
    first.step()
    later = contender.runs(drawn, whole).step
    return forward, None if later is None else _growth(later)


def _growth(run: Callable[[], Any]) -> int:
    """Bytes from what the process holds now to its peak within two calls."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is
    before = _bytes("VmRSS")
    kept = run()
    kept = run()
    del kept
    return max(0, _bytes("VmHWM") - before)


def _bytes(field: str) -> int:
    (line,) = (each for each in _STATUS.read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    name, model_file, data_file, count = sys.argv[1:]
    print(json.dumps(measured(name, Path(model_file), Path(data_file), int(count))))
