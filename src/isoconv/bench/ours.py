"""isoconv as a contender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from isoconv import layers, settings
from isoconv.bench.cases import Array, Network, Shape
from isoconv.bench.contender import Prepared
from isoconv.layers.base import Layer
from isoconv.models.sequential import Sequential
from isoconv.training.losses import SparseCategoricalCrossentropy


class Ours:
    """Layers and models as a user calls them, on arrays.

    threads: how many one call may use.
    """

    def __init__(self, threads: int, name: str = "isoconv") -> None:
        self.threads = threads
        self.name = name

    def layer(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        layer = convolution(shape)
        layer.build(x.shape)
        layer.set_weights([kernel, bias])
        return self.compiled(lambda: layer(x))

    def network(self, network: Network, batch: int) -> Prepared | None:
        model = build(network)
        x, _ = network.data(batch)
        return self.compiled(lambda: model.predict_on_batch(x))

    def training(self, network: Network, batch: int) -> Prepared | None:
        model = _trainable(network)
        x, y = network.data(batch)
        return self.compiled(lambda: model.train_on_batch(x, y))

    def version(self) -> str:
        return f"isoconv {version('isoconv')}"

    def compiled(self, run: Callable[[], Any]) -> Prepared:
        """The work, compiled for its threads. The first result is kept, that of fresh weights."""
        if self.threads != settings.threads():
            # Around every call, because a program is compiled again when models around it change.
            run = self._limited(run)
        first = [run()]
        return Prepared(lambda: first.pop() if first else run(), np.asarray)

    def _limited(self, run: Callable[[], Any]) -> Callable[[], Any]:
        def limited() -> Any:
            with settings.limit_threads(self.threads):
                return run()

        return limited


class OursBare(Ours):
    """The compiled step of training alone, without what `train_on_batch` does around it."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, "isoconv step")

    def layer(self, shape: Shape) -> None:
        return None

    def network(self, network: Network, batch: int) -> None:
        return None

    def training(self, network: Network, batch: int) -> Prepared | None:
        model = _trainable(network)
        x, y = network.data(batch)
        step, _ = model.training_steps()
        program = step.program((x, y, None), [x, y])
        return self.compiled(lambda: program([x, y])["loss"])


def _trainable(network: Network) -> Sequential:
    model = build(network)
    model.compile(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True))
    return model


def convolution(shape: Shape, data_format: str = "channels_last") -> Layer:
    """The convolution as a layer of ours, its weights still to be given."""
    make = getattr(layers, f"Conv{len(shape.kernel)}D")
    layer: Layer = make(
        shape.filters,
        shape.kernel,
        strides=shape.strides,
        dilation_rate=shape.dilations,
        groups=shape.groups,
        data_format=data_format,
    )
    return layer


def build(network: Network, data_format: str = "channels_last") -> Sequential:
    """The network as a model of ours, with its weights."""
    rank = len(network.input) - 1
    first = data_format == "channels_first"
    shape = (network.input[-1], *network.input[:-1]) if first else network.input
    stack = [layer for each in network.layers for layer in _layers(each, rank, data_format)]
    model = Sequential([layers.Input(shape), *stack])
    model.set_weights(_in_order(network, first))
    return model


def _in_order(network: Network, first: bool) -> list[Array]:
    """The weights; a Dense after a Flatten takes its inputs in the order of the data."""
    weights = network.weights()
    if first and any(each["kind"] == "flatten" for each in network.layers):
        channels, units = len(weights[-3]), len(weights[-1])
        rows = weights[-2].reshape(-1, channels, units).swapaxes(0, 1)
        weights[-2] = rows.reshape(-1, units)
    return weights


def _layers(spec: Mapping[str, Any], rank: int, data_format: str) -> list[Layer]:
    kind = spec["kind"]
    order = {"data_format": data_format}
    if kind == "conv":
        make = getattr(layers, f"Conv{rank}D")
        options = {"padding": spec["padding"], "activation": "relu", **order}
        return [make(spec["filters"], spec["kernel"], **options)]
    if kind == "max_pool":
        return [getattr(layers, f"MaxPooling{rank}D")(spec["size"], **order)]
    if kind == "global_average":
        return [getattr(layers, f"GlobalAveragePooling{rank}D")(**order)]
    if kind == "global_max":
        return [getattr(layers, f"GlobalMaxPooling{rank}D")(**order)]
    return [layers.Flatten()] if kind == "flatten" else [layers.Dense(spec["units"])]
