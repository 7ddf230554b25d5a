"""Starting a process for other measurements than the time of a call: cold start and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from isoconv.errors import InternalError, explain


def started(
    program: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> tuple[float, Any]:
    """Runs a Python program until it prints a line of JSON: the seconds since its start, and that.

    environment: variables besides ours.
    """
    command = [sys.executable, "-c", program, *arguments]
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | dict(environment or {}),
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        _, errors = process.communicate()
    if process.returncode:
        given = f"exit code {process.returncode}: {errors.strip()[-400:]}"
        raise InternalError(explain("bench: a process of its own", given, "an answer"))
    return seconds, json.loads(line)
