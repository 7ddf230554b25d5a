"""The oracles are set up before anything imports them: Keras on JAX, JAX on the CPU with float64,
and one thread for each, because two workers share the machine's cores."""

import importlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable

import hypothesis
import numpy as np
import pytest

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["ISOCONV_VERIFY"] = "1"

# A first example may compile a kernel here and an oracle's there: time says nothing.
hypothesis.settings.register_profile("isoconv", deadline=None)
hypothesis.settings.load_profile("isoconv")


_KERNEL_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """One kernel cache for all workers, empty at the start: they inherit the environment."""
    if not hasattr(config, "workerinput"):
        config.stash[_KERNEL_CACHE] = tempfile.mkdtemp()
        os.environ["ISOCONV_CACHE_DIR"] = config.stash[_KERNEL_CACHE]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _KERNEL_CACHE in config.stash:
        shutil.rmtree(config.stash[_KERNEL_CACHE])


@pytest.fixture(autouse=True)
def _numbers_of_its_own(request: pytest.FixtureRequest) -> None:
    """A test's random numbers depend on its name, not on what its worker ran before it."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A function that says how many programs were compiled since the test began."""
    # What this imports reads the environment that the top of this file sets.
    compiler = importlib.import_module("isoconv.compiler")
    compile = compiler.compile
    graphs = []

    def counted(graph, *args, **kwargs):
        graphs.append(graph)
        return compile(graph, *args, **kwargs)

    monkeypatch.setattr(compiler, "compile", counted)
    return lambda: len(graphs)
