"""What takes part in the benchmark: ours and each peer offer the same few methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isoconv.bench.cases import Array, Network, Shape


@dataclass(frozen=True)
class Prepared:
    """Work that is ready to be timed.

    run: does it once; only this is timed. read: what `run` returned, as an array, channels last.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Array]

    def result(self) -> Array:
        return self.read(self.run())


class Contender(Protocol):
    """One way of computing the cases. Each method raises MissingPackageError where its package is
    not installed, and returns None for what it does not offer.
    """

    name: str

    def layer(self, shape: Shape) -> Prepared | None:
        """One convolution."""

    def network(self, network: Network, batch: int) -> Prepared | None:
        """The prediction of a network."""

    def training(self, network: Network, batch: int) -> Prepared | None:
        """A step of Adam on the cross-entropy of a network's outputs; its result is the loss."""

    def version(self) -> str:
        """Its package and the version of that."""


def weights_of(network: Network) -> list[tuple[Array, Array]]:
    """Kernel and bias of each layer that has them."""
    drawn: Sequence[Array] = network.weights()
    return list(zip(drawn[::2], drawn[1::2], strict=True))
