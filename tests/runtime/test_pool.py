"""The thread pool, each case of `pool_cases` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pool_cases
import pytest

from isoconv.codegen import pool as code
from isoconv.runtime import jit
from isoconv.runtime.host import machine_for

THREADS = {"one_thread": 1, "signals": 2}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is one thread elsewhere")
@pytest.mark.parametrize("case", [case.__name__ for case in pool_cases.CASES])
def test_case(case: str) -> None:
    # More threads than the machine has processors: whatever can be interrupted, is.
    environment = {**os.environ, "ISOCONV_THREADS": str(THREADS.get(case, 4))}
    result = subprocess.run(
        [sys.executable, str(Path(pool_cases.__file__)), case],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("cpu", ["neoverse-n1", "cortex-a72"])
def test_it_is_emitted_for_aarch64(cpu: str) -> None:
    """With and without atomic instructions, and never through functions of a library."""
    machine = machine_for("aarch64-unknown-linux-gnu", cpu)
    assembly = jit.assembly(code.emit(machine), machine)
    assert ("ldaxr" in assembly) == (cpu == "cortex-a72")
    assert "__aarch64" not in assembly
    assert "isb" in assembly
