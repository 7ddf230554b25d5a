"""Whether isoconv is well on this machine: processor, threads, packages, cache, a kernel run."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from isoconv import layers, settings
from isoconv.errors import IsoconvError
from isoconv.runtime import cache
from isoconv.runtime.host import host

NEEDED = ("numpy", "llvmlite", "h5py", "rich", "typer")
"""What isoconv depends on."""

OPTIONAL = {
    "torch": "torch",
    "onnx": "onnx",
    "matplotlib": "plot",
    "onnxruntime": "bench",
    "openvino": "bench",
    "jax": "bench",
    "ai-edge-litert": "bench",
    "keras": "bench",
}
"""Packages that more can be done with, and the extra of isoconv that installs each."""


@dataclass(frozen=True)
class Health:
    """What was found. trouble: what is not as it should be, each with what to do about it.

    packages: version by name, None where one is not installed. first_call, later_call: seconds of a
    small convolution.
    """

    isoconv: str
    python: str
    system: str
    processor: str
    vector_bits: int
    registers: int
    threads: int
    packages: dict[str, str | None]
    cache: cache.Status
    first_call: float | None
    later_call: float | None
    trouble: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """All of it as JSON data."""
        return asdict(self)


def examine() -> Health:
    """Looks at everything once, and compiles and runs a small convolution."""
    trouble = []
    state = cache.status()
    processor, bits, registers, first, later = "unknown", 0, 0, None, None
    try:
        machine = host()
        processor, bits = machine.cpu, machine.vector_bits
        registers = machine.registers
        first, later, wrong = _convolve()
        if wrong:
            trouble.append(f"a convolution is off by {wrong:.1e}: please report it")
    except IsoconvError as error:
        trouble.append(str(error))
    found = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    trouble += [f"{name} is missing: pip install isoconv" for name in NEEDED if not found[name]]
    if state.unused is not None and state.limit:
        remedy = "Mend it, or name another with ISOCONV_CACHE_DIR"
        trouble.append(f"the cache {state.path} is not used: {state.unused}. {remedy}.")
    if state.damaged:
        trouble.append(f"{state.damaged} cached functions are damaged: isoconv cache --clear")
    return Health(
        isoconv=version("isoconv"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processor=processor,
        vector_bits=bits,
        registers=registers,
        threads=settings.threads(),
        packages=found,
        cache=state,
        first_call=first,
        later_call=later,
        trouble=tuple(trouble),
    )


def _convolve() -> tuple[float, float, float]:
    """Seconds of a first and a later call, and the error where it is too large, else 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 40, 8)).astype(np.float32)
    layer = layers.Conv1D(16, 3)
    start = time.perf_counter()
    found = layer(x)
    middle = time.perf_counter()
    layer(x)
    end = time.perf_counter()
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), 3, axis=1)
    expected = np.einsum("nock,kcf->nof", windows, layer.kernel.numpy().astype(np.float64))
    error = float(np.abs(found - expected).max())
    return middle - start, end - middle, error if not error < 1e-5 else 0.0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
