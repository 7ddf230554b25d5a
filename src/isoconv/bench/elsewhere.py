"""A contender in a process of its own, with environment variables that must be set before it starts
or would disturb the others. The process is `python -m isoconv.bench.worker`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isoconv import settings
from isoconv.bench.cases import Array, Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import Network
from isoconv.bench.real import Real
from isoconv.timing import Turns

# glibc's malloc gives big arrays back to the system at once and gets them again page by page.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


class Elsewhere(Contender):
    """What `kind` does, done by another process. environment: its variables, besides ours."""

    def __init__(self, kind: type[Contender], threads: int, environment: Mapping[str, str]) -> None:
        super().__init__(threads)
        self.name = kind.name
        self._kind = kind
        self._environment = {"ISOCONV_THREADS": str(settings.process_threads()), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def layer(self, shape: Shape) -> Prepared | None:
        return self._prepared("layer", shape)

    def channels_first(self, shape: Shape) -> Prepared | None:
        return self._prepared("channels_first", shape)

    def face(self, shape: Shape, face: str) -> Prepared | None:
        return self._prepared("face", shape, face)

    def network(self, network: Network, batch: int) -> Prepared | None:
        return self._prepared("network", network, batch)

    def training(self, network: Network, batch: int) -> Prepared | None:
        return self._prepared("training", network, batch)

    def real(self, model: Real, folder: str, batch: int) -> Prepared | None:
        return self._prepared("real", model, folder, batch)

    def version(self) -> str:
        return str(self.ask("version"))

    def _prepared(self, method: str, *arguments: Any) -> Prepared | None:
        first = self.ask("prepare", method, *arguments)
        return None if first is None else _There(lambda: first, lambda y: y, self)

    def ask(self, *question: Any) -> Any:
        """The worker's answer; an error that it met is raised here."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "isoconv.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | self._environment,
            )
            self._send((self._kind, self.threads))
        self._send(question)
        assert self._process.stdout is not None
        answer = pickle.load(self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _send(self, data: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pickle.dump(data, self._process.stdin)
        self._process.stdin.flush()

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


@dataclass(frozen=True)
class _There(Prepared):
    """What the worker has prepared last."""

    contender: Elsewhere

    def turns(self) -> Turns:
        return _TurnsThere(self.contender)


class _TurnsThere(Turns):
    """Turns that the worker takes and times."""

    def __init__(self, contender: Elsewhere) -> None:
        self._contender = contender

    def samples(self, count: int) -> list[float]:
        found: list[float] = self._contender.ask("samples", count)
        return found


def answers(contender: Contender) -> Any:
    """In the worker: the function that answers questions, as `Elsewhere.ask` puts them."""
    kept: dict[str, Prepared | None] = {}

    def prepare(method: str, *arguments: Any) -> Array | None:
        kept.clear()
        prepared = kept["last"] = getattr(contender, method)(*arguments)
        return None if prepared is None else prepared.result()

    def samples(count: int) -> list[float]:
        prepared = kept["last"]
        assert prepared is not None
        return prepared.turns().samples(count)

    known: dict[str, Callable[..., Any]] = {
        "prepare": prepare,
        "samples": samples,
        "version": contender.version,
    }
    return lambda name, *arguments: known[name](*arguments)
