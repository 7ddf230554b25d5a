"""What there is to say of a layer or a model, as data; `text` and `html` render it."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class AxisFacts:
    """A window on one axis: output o reads inputs o * stride + k * dilation - before, for taps k.

    A transposed one is turned round: input i adds to outputs i * stride + k * dilation - before.

    name: "steps", "height", ... length, output: positions before and after. span: positions from
    the first tap to the last. before, after: absent positions read at either side. later, earlier:
    how many positions after and before o * stride an output reads at most.
    """

    name: str
    length: int
    output: int
    taps: int
    stride: int
    dilation: int
    span: int
    before: int
    after: int
    transposed: bool
    later: int
    earlier: int

    def inputs_of(self, output: int) -> list[int]:
        """The inputs that an output position reads, in order."""
        if not self.transposed:
            places = [
                output * self.stride + tap * self.dilation - self.before for tap in range(self.taps)
            ]
        else:
            starts = [output + self.before - tap * self.dilation for tap in range(self.taps)]
            places = sorted(start // self.stride for start in starts if start % self.stride == 0)
        return [place for place in places if 0 <= place < self.length]

    def meetings(self) -> list[tuple[int, range]]:
        """Of each tap that meets any input: by how much that is ahead, and at which outputs."""
        found = []
        there, here = (self.output, self.length) if self.transposed else (self.length, self.output)
        for tap in range(self.taps):
            # Place p of here meets place p * stride + ahead of there.
            ahead = tap * self.dilation - self.before
            first = max(0, -(ahead // self.stride))
            end = min(here, (there - 1 - ahead) // self.stride + 1)
            places = range(first, end)
            if self.transposed and places:
                low, high = (p * self.stride + ahead for p in (places[0], places[-1]))
                places = range(low, high + 1, self.stride)
            if places:
                found.append((-ahead if self.transposed else ahead, places))
        return found


@dataclass(frozen=True)
class OperationFacts:
    """One operation with windows, or a product, within a layer.

    kind: "convolution", "transposed convolution", "product", "max pooling" or "sum of windows".
    channels, filters: before and after. terms: how many products each output number sums up.
    multiply_adds: of one sample, padding counted as if it were there. absent: how many of them meet
    padding, and are left out.
    """

    kind: str
    axes: tuple[AxisFacts, ...]
    groups: int
    channels: int
    filters: int
    terms: int
    multiply_adds: int
    absent: int


@dataclass(frozen=True)
class WeightFacts:
    """A weight. meaning: what its sizes are, in words. trainable: whether training changes it."""

    name: str
    shape: Shape
    count: int
    meaning: str
    trainable: bool


@dataclass(frozen=True)
class KernelFacts:
    """A compiled kernel that will run.

    kind: which generator emits it. layers: whose work it does, the heaviest first. operations: how
    many of the program it computes at once. rows, vectors, lanes: of its register tile, where it
    has one. work: its expected cost, in vector instructions. seconds: measured, if that was asked.
    """

    kind: str
    layers: tuple[str, ...]
    operations: int
    rows: int | None
    vectors: int | None
    lanes: int
    work: int
    seconds: float | None = None


@dataclass(frozen=True)
class RuleFacts:
    """A rule applied before the kernels were chosen: its title, whose work it changed, its class
    ("exact" or one that changes rounding).
    """

    title: str
    layer: str
    numeric: str


@dataclass(frozen=True)
class FormFacts:
    """Another form in which a layer is the same function.

    name: its layers in words. rows: of the equations that lead to it. numeric: "exact" for the same
    sums, "folding" where weights are computed beforehand. parameters; multiply_adds and bytes (of
    the weights and of what its layers give) for one sample.
    """

    name: str
    rows: tuple[str, ...]
    numeric: str
    parameters: int
    multiply_adds: int | None
    bytes: int | None


@dataclass(frozen=True)
class Reading:
    """What one output element reads of an input: from `first` to `last`, `count` positions of each
    axis, the batch left out.
    """

    position: Shape
    first: Shape
    last: Shape
    count: Shape


@dataclass(frozen=True)
class LayerFacts:
    """A layer on an input of a known shape; shapes leave out the batch, sizes are for one sample.

    name: its path in the model. kind: its class. spec: how it is written. memory: bytes of the
    weights, the inputs and the output. reads: what an output element in the middle reads of the
    layer's first input; field: of the model's, by all channels where some were joined. seconds:
    measured, of the kernels that do its work.
    merged: the layer whose kernel does its work as well, where it has none of its own.
    """

    name: str
    kind: str
    spec: str
    inputs: tuple[Shape, ...]
    output: Shape
    operations: tuple[OperationFacts, ...]
    weights: tuple[WeightFacts, ...]
    memory: dict[str, int]
    reads: Reading
    field: Reading
    seconds: float | None = None
    merged: str | None = None

    @property
    def parameters(self) -> int:
        return sum(weight.count for weight in self.weights)

    @property
    def multiply_adds(self) -> int:
        return sum(operation.multiply_adds for operation in self.operations)

    @property
    def axes(self) -> tuple[AxisFacts, ...]:
        return tuple(axis for operation in self.operations for axis in operation.axes)

    @property
    def causal(self) -> bool | None:
        """Whether no output reads a later position; None where it has no windows."""
        return all(axis.later == 0 for axis in self.axes) if self.axes else None
