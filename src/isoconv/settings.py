"""Every environment flag and process-wide setting, declared, validated and documented here.

| variable | meaning | default |
|---|---|---|
| ISOCONV_THREADS | threads one call may use | the CPUs this process may run on |
| ISOCONV_CACHE_DIR | folder of compiled kernels | ~/.cache/isoconv (XDG_CACHE_HOME is respected) |
| ISOCONV_CACHE_MB | size limit of that folder in MiB; 0 turns the disk cache off | 256 |
| ISOCONV_CPU | the CPU to compile for, as LLVM names it ("x86-64-v3" is AVX2) | this machine's |
| ISOCONV_VERIFY | 1 verifies the graph between all passes | 0 |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from isoconv import changes
from isoconv.errors import ArgumentError, explain

_floatx = "float32"
_data_format = "channels_last"
_epsilon = 1e-7
_threads: ContextVar[int | None] = ContextVar("threads", default=None)


def _integer(variable: str, default: int, minimum: int) -> int:
    text = os.environ.get(variable)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < minimum:
        raise ArgumentError(explain(variable, repr(text), f"an integer of at least {minimum}"))
    return int(text)


def threads() -> int:
    """How many threads one call may use."""
    return _threads.get() or process_threads()


def process_threads() -> int:
    """How many threads the calls of this process may use together."""
    return _integer("ISOCONV_THREADS", _available_cpus(), 1)


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """What is compiled inside uses `count` threads a call, whatever ISOCONV_THREADS says."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(explain("threads", repr(count), "an integer of at least 1"))
    token = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(token)


def _available_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_dir() -> Path:
    """Where compiled kernels are kept."""
    given = os.environ.get("ISOCONV_CACHE_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "isoconv"


def cache_limit_bytes() -> int:
    """The size the folder of compiled kernels may reach; 0 means that nothing is kept on disk."""
    return _integer("ISOCONV_CACHE_MB", 256, 0) << 20


def cpu() -> str | None:
    """The CPU asked for instead of this machine's, as LLVM names it."""
    return os.environ.get("ISOCONV_CPU") or None


def verify() -> bool:
    """Whether the graph is verified between all passes."""
    return _integer("ISOCONV_VERIFY", 0, 0) != 0


def floatx() -> str:
    """The default dtype of layers: "float32" unless `set_floatx` changed it."""
    return _floatx


def set_floatx(dtype: str) -> None:
    """Sets the default dtype of layers made from now on: "float32" or "float64"."""
    global _floatx
    if dtype not in ("float32", "float64"):
        raise ArgumentError(explain("set_floatx", repr(dtype), "'float32' or 'float64'"))
    _floatx = dtype
    changes.touched()


def image_data_format() -> str:
    """The default of layers' data_format: "channels_last" unless changed."""
    return _data_format


def set_image_data_format(data_format: str) -> None:
    """Sets the default data_format of layers made from now on."""
    global _data_format
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(
            explain("data_format", repr(data_format), "'channels_last' or 'channels_first'")
        )
    _data_format = data_format
    changes.touched()


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (Keras' default, 1e-7)."""
    return _epsilon
