"""The networks that are measured, as data: what stands after what, with weights drawn by a seed.

Shapes are channels last and without the batch; weights are in Keras' layout. Every contender builds
them from this description, most of them by `assemble`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Size = tuple[int, ...]
T = TypeVar("T")

_SEED = 0
FLOAT_BYTES = 4
EPSILON = 1e-3


@dataclass(frozen=True)
class Conv:
    """A convolution, with a bias, or normalized by the statistics of training, then activated.

    padded: by zeros on either side, so that outputs keep their positions; "valid" else.
    activation: "relu", "relu6" or "linear".
    """

    filters: int
    kernel: Size
    padded: bool = True
    activation: str = "relu"
    norm: bool = False
    strides: int = 1
    dilation: int = 1
    depthwise: bool = False

    @property
    def margins(self) -> Size:
        """The zeros on each side of each axis."""
        return tuple((k - 1) * self.dilation // 2 if self.padded else 0 for k in self.kernel)

    def groups(self, channels: int) -> int:
        return channels if self.depthwise else 1

    def output(self, shape: Size) -> Size:
        axes = zip(shape, self.kernel, self.margins, strict=False)
        reach = [n + 2 * margin - (k - 1) * self.dilation for n, k, margin in axes]
        return (*((n - 1) // self.strides + 1 for n in reach), self.filters)

    def weights(self, shape: Size) -> list[Size]:
        """Kernel and bias; or kernel, scale, offset, mean and variance."""
        inner = shape[-1] // self.groups(shape[-1])
        return [(*self.kernel, inner, self.filters), *[(self.filters,)] * (4 if self.norm else 1)]


@dataclass(frozen=True)
class MaxPool:
    """Of windows as far apart as `strides`; padded as a convolution, after relu."""

    size: int
    strides: int
    padded: bool = False

    @property
    def margin(self) -> int:
        return (self.size - 1) // 2 if self.padded else 0

    def output(self, shape: Size) -> Size:
        *spatial, channels = shape
        return (*((n + 2 * self.margin - self.size) // self.strides + 1 for n in spatial), channels)

    def weights(self, shape: Size) -> list[Size]:
        return []


@dataclass(frozen=True)
class GlobalPool:
    """Over all positions. kind: "Average" or "Max"."""

    kind: str

    def output(self, shape: Size) -> Size:
        return shape[-1:]

    def weights(self, shape: Size) -> list[Size]:
        return []


@dataclass(frozen=True)
class Flatten:
    """Positions and channels as one axis."""

    def output(self, shape: Size) -> Size:
        return (prod(shape),)

    def weights(self, shape: Size) -> list[Size]:
        return []


@dataclass(frozen=True)
class Dense:
    """The last layer, not activated."""

    units: int

    def output(self, shape: Size) -> Size:
        return (self.units,)

    def weights(self, shape: Size) -> list[Size]:
        return [(shape[-1], self.units), (self.units,)]


@dataclass(frozen=True)
class Embedding:
    """Rows of a table, by number; the first layer."""

    rows: int
    columns: int

    def output(self, shape: Size) -> Size:
        return (*shape, self.columns)

    def weights(self, shape: Size) -> list[Size]:
        return [(self.rows, self.columns)]


@dataclass(frozen=True)
class Residual:
    """What the layers give, plus what the shortcut gives (nothing in it: the input), activated."""

    layers: tuple[Spec, ...]
    shortcut: tuple[Spec, ...] = ()
    activation: str = "linear"

    def output(self, shape: Size) -> Size:
        for spec in self.layers:
            shape = spec.output(shape)
        return shape


Step = Conv | MaxPool | GlobalPool | Flatten | Dense | Embedding
Spec = Step | Residual


@dataclass(frozen=True)
class Network:
    """A network, the batches it predicts, and those it is trained with.

    loss: "crossentropy" of the outputs, or "mse". rtol: of `isoconv.Numerics`, for ours; sums are
    exact if it is left out.
    """

    name: str
    title: str
    input: Size
    batches: tuple[int, ...]
    training_batches: tuple[int, ...]
    layers: tuple[Spec, ...]
    loss: str = "crossentropy"
    rtol: float | None = None

    def weights(self, channels_first: bool = False) -> list[list[Array]]:
        """The arrays of each step that has some, in order.

        channels_first: for data in that order, in which a Dense after a Flatten takes its inputs.
        """
        rng = np.random.default_rng(_SEED)
        drawn: list[list[Array]] = []
        flattened: Size = ()
        for step, shape in self.steps():
            if isinstance(step, Flatten):
                flattened = shape
            sizes = step.weights(shape)
            if not sizes:
                continue
            drawn.append([_weight(rng, sizes[0]), *_vectors(rng, sizes[1:])])
            if isinstance(step, Dense) and flattened and channels_first:
                rows = drawn[-1][0].reshape(*flattened, step.units)
                drawn[-1][0] = np.moveaxis(rows, -2, 0).reshape(-1, step.units)
        return drawn

    def data(self, batch: int) -> tuple[Array, Array]:
        """Inputs, and what to train for: labels, or numbers."""
        rng = np.random.default_rng(_SEED + 1)
        first = self.layers[0]
        if isinstance(first, Embedding):
            x = rng.integers(first.rows, size=(batch, *self.input)).astype(np.int32)
        else:
            x = rng.normal(size=(batch, *self.input)).astype(np.float32)
        if self.loss == "mse":
            return x, rng.normal(size=(batch, *self.output)).astype(np.float32)
        return x, rng.integers(self.output[-1], size=batch)

    @property
    def rank(self) -> int:
        """How many axes its convolutions have."""
        return next(len(step.kernel) for step, _ in self.steps() if isinstance(step, Conv))

    @property
    def output(self) -> Size:
        return Residual(self.layers).output(self.input)

    def flops(self, batch: int) -> int:
        """Of the convolutions and dense layers."""
        return batch * sum(self._products())

    def training_flops(self, batch: int) -> int:
        """Forward, and the gradients by weights and by inputs, of which nobody needs the first."""
        each = self._products()
        return batch * (3 * sum(each) - each[0])

    def weight_bytes(self) -> int:
        return FLOAT_BYTES * sum(sum(map(prod, step.weights(n))) for step, n in self.steps())

    def live_bytes(self, batch: int) -> int:
        """The least that holds the values which exist at the same time, step by step."""
        return FLOAT_BYTES * batch * _live(self.layers, self.input)

    def steps(self) -> Iterator[tuple[Step, Size]]:
        """The steps in order, those of a shortcut last, each with the shape that it takes."""
        return _steps(self.layers, self.input)

    def _products(self) -> list[int]:
        found = []
        for step, shape in self.steps():
            if isinstance(step, Conv | Dense):
                found.append(2 * prod(step.output(shape)) * prod(step.weights(shape)[0][:-1]))
        return found


def _steps(layers: Sequence[Spec], shape: Size) -> Iterator[tuple[Step, Size]]:
    for spec in layers:
        if isinstance(spec, Residual):
            yield from _steps(spec.layers, shape)
            yield from _steps(spec.shortcut, shape)
        else:
            yield spec, shape
        shape = spec.output(shape)


def _live(layers: Sequence[Spec], shape: Size, kept: int = 0) -> int:
    """The most numbers there are at a time. kept: of the input, needed after the layers as well."""
    most = 0
    for place, spec in enumerate(layers):
        beside = kept if place else 0
        after = spec.output(shape)
        if isinstance(spec, Residual):
            shortcut = prod(after) + _live(spec.shortcut, shape)
            most = max(most, beside + max(_live(spec.layers, shape, prod(shape)), shortcut))
        else:
            most = max(most, beside + prod(shape) + prod(after))
        shape = after
    return most


def _weight(rng: np.random.Generator, shape: Size) -> Array:
    """Of a size that keeps outputs as large as inputs."""
    drawn: Array = rng.normal(size=shape) / np.sqrt(prod(shape[:-1]))
    return drawn.astype(np.float32)


def _vectors(rng: np.random.Generator, shapes: Sequence[Size]) -> list[Array]:
    """A bias; or scale, offset, mean and variance, the first and last of them above 0."""
    drawn = [rng.normal(size=shape) * (0.1 if len(shapes) > 1 else 1.0) for shape in shapes]
    if len(shapes) > 1:
        drawn[0], drawn[-1] = 1 + np.abs(drawn[0]), 1 + np.abs(drawn[-1])
    return [each.astype(np.float32) for each in drawn]


# -- building ---------------------------------------------------------------------------------


class Builder(Protocol[T]):
    """Computes steps on values of its own kind, or draws them."""

    def step(self, step: Step, x: T, weights: Sequence[Any]) -> T:
        """The step's output for x. weights: its arrays, if it has any."""

    def add(self, x: T, other: T, activation: str) -> T:
        """The sum, activated."""


def assemble(builder: Builder[T], network: Network, x: T, weights: Sequence[Sequence[Any]]) -> T:
    """The network's output for x. weights: as `Network.weights` gives them."""
    given = iter(weights)

    def through(layers: Sequence[Spec], x: T) -> T:
        for spec in layers:
            if isinstance(spec, Residual):
                within = through(spec.layers, x)
                x = builder.add(within, through(spec.shortcut, x), spec.activation)
            else:
                has_weights = isinstance(spec, Conv | Dense | Embedding)
                x = builder.step(spec, x, next(given) if has_weights else ())
        return x

    return through(network.layers, x)


def folded(weights: Sequence[Any]) -> tuple[Any, Any]:
    """Kernel and bias that do what a convolution and its normalization do."""
    if len(weights) == 2:
        return weights[0], weights[1]
    kernel, scale, offset, mean, variance = weights
    factor = scale / (variance + EPSILON) ** 0.5
    return kernel * factor, offset - mean * factor


# -- the networks -----------------------------------------------------------------------------


def networks() -> list[Network]:
    """N1 to N6, and a network that begins with words."""
    return [_ecg(), _text(), _digits(), _resnet18(), _mobilenet_v2(), _wavenet(), _words()]


def _ecg() -> Network:
    layers = (
        Conv(32, (7,)),
        MaxPool(2, 2),
        Conv(64, (5,)),
        MaxPool(2, 2),
        Conv(64, (3,)),
        GlobalPool("Average"),
        Dense(5),
    )
    return Network("N1", "ECG beats", (187, 1), (1, 32, 256), (32, 256), layers)


def _text() -> Network:
    layers = (Conv(64, (3,), padded=False), GlobalPool("Max"), Dense(2))
    return Network("N2", "text as vectors", (600, 300), (1, 32), (32,), layers)


def _digits() -> Network:
    layers = (
        Conv(32, (3, 3), padded=False),
        MaxPool(2, 2),
        Conv(64, (3, 3), padded=False),
        MaxPool(2, 2),
        Flatten(),
        Dense(10),
    )
    return Network("N3", "MNIST digits", (28, 28, 1), (1, 128), (128,), layers)


def _resnet18() -> Network:
    """He et al. 2015, table 1, 18 layers."""
    layers: list[Spec] = [Conv(64, (7, 7), norm=True, strides=2), MaxPool(3, 2, padded=True)]
    for stage in range(4):
        filters = 64 << stage
        for place in range(2):
            strides = 2 if stage and not place else 1
            inner = (
                Conv(filters, (3, 3), norm=True, strides=strides),
                Conv(filters, (3, 3), norm=True, activation="linear"),
            )
            pointwise = Conv(filters, (1, 1), norm=True, strides=strides, activation="linear")
            layers.append(Residual(inner, (pointwise,) if strides > 1 else (), "relu"))
    layers += [GlobalPool("Average"), Dense(1000)]
    return Network("N4", "ResNet-18", (224, 224, 3), (1,), (), tuple(layers))


# Expansion, filters, how often, strides of the first.
_INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _mobilenet_v2() -> Network:
    """Sandler et al. 2018, table 2."""
    layers: list[Spec] = [_relu6(32, 3, 2)]
    channels = 32
    for expansion, filters, count, strides in _INVERTED:
        for place in range(count):
            wide, apart = channels * expansion, strides if place == 0 else 1
            inner: tuple[Spec, ...] = (
                *([_relu6(wide, 1)] if expansion > 1 else []),
                _relu6(wide, 3, apart, depthwise=True),
                Conv(filters, (1, 1), norm=True, activation="linear"),
            )
            same = apart == 1 and channels == filters
            layers += [Residual(inner)] if same else inner
            channels = filters
    layers += [_relu6(1280, 1), GlobalPool("Average"), Dense(1000)]
    return Network("N5", "MobileNetV2", (224, 224, 3), (1,), (), tuple(layers))


def _relu6(filters: int, size: int, strides: int = 1, depthwise: bool = False) -> Conv:
    return Conv(
        filters,
        (size, size),
        norm=True,
        activation="relu6",
        strides=strides,
        depthwise=depthwise,
    )


def _wavenet() -> Network:
    layers = [Residual((Conv(64, (3,), dilation=2 ** (i % 8)),)) for i in range(16)]
    title = "dilated residual"
    return Network("N6", title, (4096, 64), (1, 4), (4,), tuple(layers), loss="mse")


def _words() -> Network:
    layers = (Embedding(20000, 300), Conv(64, (3,), padded=False), GlobalPool("Max"), Dense(2))
    return Network("words", "text as words", (600,), (1, 32), (), layers)
