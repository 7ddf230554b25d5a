"""Memory: the most that predicting takes, against the weights and the values alive at a time."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from isoconv import memory, settings
from isoconv.bench import networks
from isoconv.bench.layout import plain
from isoconv.bench.ours import build
from isoconv.bench.starting import started

CASES = tuple(
    f"{network.name}, batch {batch}" for network in networks.networks() for batch in network.batches
)

_PROGRAM = "import sys; from isoconv.bench.resident import tell; tell(*map(int, sys.argv[1:]))"


# What drawing the weights took goes back to the system, or it would hide what predicting takes.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Peak:
    """One network, in bytes: what a built model took more at most while it predicted (None where
    the system does not tell), its weights, and the least that holds the values alive at a time.
    """

    name: str
    peak: int | None
    weights: int
    live: int

    @property
    def excess(self) -> int | None:
        """What is neither packed weights nor live values."""
        return None if self.peak is None else self.peak - self.weights - self.live

    @property
    def allowed(self) -> float:
        """A tenth of what is needed, and 8 MB."""
        return 0.1 * (2 * self.weights + self.live) + 8e6


def measured(name: str, threads: int, seconds: float) -> Peak:
    """The memory of one of `CASES`, in a new process, with the functions compiled before."""
    every = networks.networks()
    names = [network.name for network in every]
    title, batch = name.split(", batch ")
    index = names.index(title)
    peak = None
    if memory.is_told():
        for _ in range(2):
            _, peak = started(_PROGRAM, [str(index), batch, str(threads)], _MALLOC)
    network = every[index]
    return Peak(name, peak, network.weight_bytes(), network.live_bytes(int(batch)))


def tell(index: int, batch: int, threads: int) -> None:
    """Prints how much more a model took while it predicted than after it was built."""
    with settings.limit_threads(threads):
        smallest = networks.networks()[0]
        build(smallest).predict_on_batch(smallest.data(1)[0])
        network = networks.networks()[index]
        model = build(network)
        dtype = network.data(1)[0].dtype
        gc.collect()
        before = memory.resident()
        memory.forget_peak()
        x = np.ones((batch, *network.input), dtype)
        for _ in range(3):
            model.predict_on_batch(x)
        print(json.dumps(memory.peak() - before), flush=True)


def table(peaks: list[Peak]) -> Table:
    """One row a network and batch."""
    found = plain(
        "Memory of predicting, in MB",
        ("peak", "packed weights", "live values", "beyond", "allowed"),
    )
    for each in peaks:
        numbers = (each.peak, each.weights, each.live, each.excess, each.allowed)
        shown = ("needs Linux" if n is None else f"{n / 1e6:.1f}" for n in numbers)
        found.add_row(each.name, *shown)
    return found
