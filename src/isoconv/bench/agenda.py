"""What is measured, section by section: the cases, and who takes part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from isoconv.bench import cases, networks
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.elsewhere import MALLOC, Elsewhere
from isoconv.bench.ours import Ours, OursBare
from isoconv.bench.real import REAL
from isoconv.bench.with_jax import Jax
from isoconv.bench.with_keras import ENVIRONMENT, KerasTensorFlow
from isoconv.bench.with_litert import LiteRT
from isoconv.bench.with_onnx import OnnxRuntime, OpenVino
from isoconv.bench.with_own import ENVIRONMENT as ENVIRONMENT_OF_OWNERS
from isoconv.bench.with_own import OwnFramework
from isoconv.bench.with_torch import TorchBest, TorchOnOurs, TorchTyped
from isoconv.bench.within import RTOL


@dataclass(frozen=True)
class Case:
    """One row to be: its name, its work, and the method that prepares it with its arguments.

    bytes: what is moved at least; 0 where it is not counted.
    """

    section: str
    name: str
    flops: int
    bytes: int
    method: str
    arguments: tuple[Any, ...]

    def prepared(self, contender: Contender) -> Prepared | None:
        """The work of a contender that offers it."""
        found: Prepared | None = getattr(contender, self.method)(*self.arguments)
        return found


def everyone(threads: int) -> list[Contender]:
    """Ours and the peers. One core's roof is compared with ours on one thread."""
    return [
        Ours(threads),
        TorchTyped(threads),
        Elsewhere(TorchBest, threads, MALLOC),
        OnnxRuntime(threads),
        OpenVino(threads),
        Jax(threads),
        LiteRT(threads),
        Elsewhere(KerasTensorFlow, threads, ENVIRONMENT),
        Ours(1, "isoconv, 1 thread"),
        OursBare(threads),
    ]


def both_torches(threads: int) -> list[Contender]:
    """PyTorch on our kernels, and as it is."""
    return [TorchOnOurs(threads), TorchTyped(threads)]


def owners(threads: int) -> list[Contender]:
    """Ours, the frameworks that trained models come from, and those that take models of all."""
    own = Elsewhere(OwnFramework, threads, ENVIRONMENT_OF_OWNERS)
    return [Ours(threads), own, OnnxRuntime(threads)]


@dataclass(frozen=True)
class Section:
    """Cases with contenders. title: of the table. cases: of the section's name and the folder of
    trained models, if it is known.
    """

    title: str
    cases: Callable[[str, str | None], Iterator[Case]]
    contenders: Callable[[int], list[Contender]] = everyone


def _layers(section: str, models: str | None) -> Iterator[Case]:
    for shape in cases.shapes():
        yield _of_shape(section, shape, "layer")


def _channels_first(section: str, models: str | None) -> Iterator[Case]:
    for shape in cases.shapes():
        yield _of_shape(section, shape, "channels_first")


def _of_shape(section: str, shape: cases.Shape, method: str) -> Case:
    return Case(section, shape.name, shape.flops, shape.bytes, method, (shape,))


def _faces(section: str, models: str | None) -> Iterator[Case]:
    for shape in cases.shapes():
        for face in ("x", "w"):
            name = f"{shape.name}, {face}"
            yield Case(section, name, shape.flops, shape.bytes, "face", (shape, face))


def _networks(section: str, models: str | None) -> Iterator[Case]:
    for network in networks.networks():
        for batch in network.batches:
            yield _prediction(section, network, batch)


def _predictions(section: str, models: str | None) -> Iterator[Case]:
    """Those of all networks, and again of one that gains by a tolerance."""
    yield from _networks(section, models)
    network = next(each for each in networks.networks() if each.name == "N4")
    within = replace(network, name=f"{network.name} ~{RTOL}", rtol=RTOL)
    for batch in within.batches:
        yield _prediction(section, within, batch)


def _prediction(section: str, network: networks.Network, batch: int) -> Case:
    name = f"{network.name}, batch {batch}"
    return Case(section, name, network.flops(batch), 0, "network", (network, batch))


def _training(section: str, models: str | None) -> Iterator[Case]:
    for network in networks.networks():
        for batch in network.training_batches:
            yield _step(section, network, batch, "")


def _step(section: str, network: networks.Network, batch: int, what: str) -> Case:
    name = f"{network.name}{what}, batch {batch}"
    flops = network.training_flops(batch)
    return Case(section, name, flops, 0, "training", (network, batch))


def _scaling(section: str, models: str | None) -> Iterator[Case]:
    """One convolution of an ECG, as one size after the other grows."""
    shape = next(each for each in cases.shapes() if each.name == "ecg_k16")
    for batch in (1, 2, 8, 32):
        yield _of_shape(section, replace(shape, name=f"batch {batch}", batch=batch), "layer")
    for length in (50, 200, 1000, 5000, 20000):
        longer = replace(shape, name=f"length {length}", batch=1, spatial=(length,))
        yield _of_shape(section, longer, "layer")
    for channels in (4, 16, 64, 256):
        wider = replace(shape, name=f"channels {channels}", channels=channels, filters=channels)
        yield _of_shape(section, wider, "layer")


def _accelerate(section: str, models: str | None) -> Iterator[Case]:
    yield from _layers(section, models)
    yield from _networks(section, models)
    ecg = networks.networks()[0]
    yield _step(section, ecg, 32, " step")


def _real(section: str, models: str | None) -> Iterator[Case]:
    for model in REAL if models else ():
        for batch in (1, 32):
            name = f"{model.name}, batch {batch}"
            yield Case(section, name, 0, 0, "real", (model, models, batch))


SECTIONS = {
    "layers": Section("Single convolutions", _layers),
    "channels_first": Section("Single convolutions, channels first", _channels_first),
    "networks": Section("Networks: prediction", _predictions),
    "training": Section("Networks: a training step (Adam)", _training),
    "faces": Section("Gradients of single convolutions, by input (x) and weights (w)", _faces),
    "scaling": Section("ecg_k16 as its sizes grow", _scaling),
    "real": Section("Trained models, and their own frameworks", _real, owners),
    "accelerate": Section("PyTorch's modules on our kernels", _accelerate, both_torches),
}
