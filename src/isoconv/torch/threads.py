"""PyTorch's own threads, which compute our kernels as well where it has them from OpenMP."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

from isoconv import optional
from isoconv.runtime.pool import Team, borrowed

torch: Any = optional.require("torch", "torch")


@cache
def team() -> Team | None:
    """PyTorch's threads; None where they cannot be had.

    Its idle threads look for work for milliseconds. Beside a pool of ours each of them, and of
    ours, would take turns with a thread that has work to do.
    """
    if not torch.backends.openmp.is_available():
        return None
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            # A symbol is looked up in what the library needs as well: the runtime it runs on.
            begin = ctypes.CDLL(str(path)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        return borrowed(ctypes.cast(begin, ctypes.c_void_p).value or 0)
    return None
