"""What takes part in the benchmark: ours and each peer offer the same few methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from isoconv.bench.cases import Array, Shape
from isoconv.bench.networks import Network
from isoconv.bench.real import Real
from isoconv.timing import Turns


@dataclass(frozen=True)
class Prepared:
    """Work that is ready to be timed.

    run: does it once; only this is timed. read: what `run` returned, as an array, channels last.
    first: what it gave before, where it had to be run to be ready.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Array]
    first: list[Any] = field(default_factory=list, kw_only=True)

    def result(self) -> Array:
        """What the work gives when it is done for the first time."""
        return self.read(self.first.pop() if self.first else self.run())

    def turns(self) -> Turns:
        """Its turns, to be timed."""
        return Turns(self.run)


class Contender(ABC):
    """One way of computing the cases, on so many threads.

    Each method raises MissingPackageError where its package is not installed, and returns None for
    what it does not offer.
    """

    name: str

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def layer(self, shape: Shape) -> Prepared | None:
        """One convolution."""
        return None

    def channels_first(self, shape: Shape) -> Prepared | None:
        """The same of data with the channels first."""
        return None

    def face(self, shape: Shape, face: str) -> Prepared | None:
        """A gradient of it: "x" by the input, "w" by the kernel and the bias."""
        return None

    def network(self, network: Network, batch: int) -> Prepared | None:
        """The prediction of a network."""
        return None

    def training(self, network: Network, batch: int) -> Prepared | None:
        """A step of Adam on the loss of a network's outputs; its result is the loss."""
        return None

    def real(self, model: Real, folder: str, batch: int) -> Prepared | None:
        """The prediction of a trained model, whose files are in the folder."""
        return None

    def close(self) -> None:
        """Ends what it has started: nothing, as a rule."""
        return None

    @abstractmethod
    def version(self) -> str:
        """Its package and the version of that."""
