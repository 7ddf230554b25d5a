"""isoconv as a contender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from isoconv import layers, settings
from isoconv.autodiff import vjp
from isoconv.bench.cases import Array, Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import (
    EPSILON,
    Conv,
    Embedding,
    Flatten,
    GlobalPool,
    MaxPool,
    Network,
    Step,
    assemble,
)
from isoconv.bench.real import Real, joined
from isoconv.layers.base import Layer
from isoconv.models.jit import jit
from isoconv.models.model import Model
from isoconv.ops.compiled import Compiled
from isoconv.ops.reductions import sum as total
from isoconv.ops.windows import conv
from isoconv.rewriting.approximate import Numerics
from isoconv.training.losses import MeanSquaredError, SparseCategoricalCrossentropy


class Ours(Contender):
    """Layers and models as a user calls them, on arrays."""

    def __init__(self, threads: int, name: str = "isoconv") -> None:
        super().__init__(threads)
        self.name = name

    def layer(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        layer = _built(shape, x.shape, kernel, bias)
        return self.compiled(partial(layer, x))

    def channels_first(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        data = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        layer = _built(shape, data.shape, kernel, bias, "channels_first")
        return self.compiled(partial(layer, data), lambda y: np.moveaxis(y, 1, -1))

    def face(self, shape: Shape, face: str) -> Prepared | None:
        operands = (*shape.arrays()[:2], shape.cotangent())
        solved = Compiled(_faces(shape)[face], lambda i, array: () if i == 1 else (0,))
        program = solved.program(operands, operands, {})
        return self.compiled(partial(program, operands), gradients)

    def network(self, network: Network, batch: int) -> Prepared | None:
        model = build(network)
        x, _ = network.data(batch)
        if network.rtol is None:
            return self.compiled(partial(model.predict_on_batch, x))
        within = jit(model, numerics=Numerics(network.rtol))
        return self.compiled(partial(within, x))

    def training(self, network: Network, batch: int) -> Prepared | None:
        model = _trainable(network)
        x, y = network.data(batch)
        return self.compiled(partial(model.train_on_batch, x, y))

    def real(self, model: Real, folder: str, batch: int) -> Prepared | None:
        opened, x = model.opened(folder), model.data(batch)
        return self.compiled(partial(opened.predict_on_batch, x), joined)

    def version(self) -> str:
        return f"isoconv {version('isoconv')}"

    def compiled(
        self, run: Callable[[], Any], read: Callable[[Any], Array] = np.asarray
    ) -> Prepared:
        """The work, compiled for its threads. The first result is kept, that of fresh weights."""
        if self.threads != settings.threads():
            # Around every call, because a program is compiled again when models around it change.
            run = self._limited(run)
        return Prepared(run, read, first=[run()])

    def _limited(self, run: Callable[[], Any]) -> Callable[[], Any]:
        def limited() -> Any:
            with settings.limit_threads(self.threads):
                return run()

        return limited


class OursBare(Contender):
    """The compiled step of training alone, without what `train_on_batch` does around it."""

    name = "isoconv step"

    def training(self, network: Network, batch: int) -> Prepared | None:
        model = _trainable(network)
        x, y = network.data(batch)
        step, _ = model.training_steps()
        program = step.program((x, y, None), [x, y])
        return Ours(self.threads).compiled(lambda: program([x, y])["loss"])

    def version(self) -> str:
        return Ours(self.threads).version()


def gradients(found: Any) -> Array:
    """One gradient, or those of kernel and bias as one vector."""
    parts = [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]
    return parts[0] if len(parts) == 1 else np.concatenate([each.ravel() for each in parts])


def _faces(shape: Shape) -> dict[str, Callable[..., Any]]:
    """The gradients as functions of input, kernel and cotangent."""

    def pulled(x: Any, kernel: Any, dy: Any) -> Any:
        def forward(x: Any, kernel: Any) -> Any:
            return conv(x, kernel, shape.strides, "valid", dilation_rate=shape.dilations)

        return vjp(forward, x, kernel)[1](dy)

    def by_weights(x: Any, kernel: Any, dy: Any) -> Any:
        axes = tuple(range(len(shape.input_shape) - 1))
        return [pulled(x, kernel, dy)[1], total(dy, axes)]

    return {"x": lambda *operands: pulled(*operands)[0], "w": by_weights}


def _trainable(network: Network) -> Model:
    model = build(network)
    entropy = SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", MeanSquaredError() if network.loss == "mse" else entropy)
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


def _built(
    shape: Shape, given: Any, kernel: Array, bias: Array, order: str = "channels_last"
) -> Layer:
    layer = convolution(shape, order)
    layer.build(given)
    layer.set_weights([kernel, bias])
    return layer


def build(network: Network, data_format: str = "channels_last") -> Model:
    """The network as a model of ours, with its weights."""
    first = data_format == "channels_first"
    words = isinstance(network.layers[0], Embedding)
    shape = network.input
    if first and not words:
        shape = (shape[-1], *shape[:-1])
    x = layers.Input(shape, dtype="int32" if words else None)
    return Model(x, assemble(_Drawn(data_format), network, x, network.weights(first)))


class _Drawn:
    """Draws steps as our layers."""

    def __init__(self, data_format: str) -> None:
        self.data_format = data_format

    def step(self, step: Step, x: Any, weights: Sequence[Array]) -> Any:
        rank = len(x.shape) - 2
        for layer in self._layers(step, rank):
            x = layer(x)
            if layer.weights:
                count = len(layer.weights)
                layer.set_weights(list(weights[:count]))
                weights = weights[count:]
        return x

    def add(self, x: Any, other: Any, activation: str) -> Any:
        added = layers.Add()([x, other])
        return added if activation == "linear" else layers.Activation(activation)(added)

    def _layers(self, step: Step, rank: int) -> list[Layer]:
        order = {"data_format": self.data_format}
        if isinstance(step, Conv):
            return self._convolution(step, rank, order)
        if isinstance(step, MaxPool):
            pool = getattr(layers, f"MaxPooling{rank}D")(step.size, step.strides, **order)
            return [*self._zeros((step.margin,) * rank), pool]
        if isinstance(step, GlobalPool):
            return [getattr(layers, f"Global{step.kind}Pooling{rank}D")(**order)]
        if isinstance(step, Embedding):
            turned = [layers.Permute((2, 1))] if self.data_format == "channels_first" else []
            return [layers.Embedding(step.rows, step.columns), *turned]
        return [layers.Flatten()] if isinstance(step, Flatten) else [layers.Dense(step.units)]

    def _convolution(self, step: Conv, rank: int, order: dict[str, str]) -> list[Layer]:
        same = step.padded and step.strides == 1
        options = {"use_bias": not step.norm, "padding": "same" if same else "valid", **order}
        if not step.norm:
            options["activation"] = step.activation
        before = [] if same else self._zeros(step.margins)
        conv = getattr(layers, f"Conv{rank}D")(
            step.filters,
            step.kernel,
            step.strides,
            dilation_rate=step.dilation,
            groups=step.filters if step.depthwise else 1,
            **options,
        )
        if not step.norm:
            return [*before, conv]
        axis = 1 if self.data_format == "channels_first" else -1
        after = [] if step.activation == "linear" else [layers.Activation(step.activation)]
        return [*before, conv, layers.BatchNormalization(axis=axis, epsilon=EPSILON), *after]

    def _zeros(self, margins: Sequence[int]) -> list[Layer]:
        make = getattr(layers, f"ZeroPadding{len(margins)}D")
        if not any(margins):
            return []
        given = margins[0] if len(margins) == 1 else tuple(margins)
        return [make(given, data_format=self.data_format)]
