"""All arithmetic of strides, padding, dilation and taps, one axis at a time.

On each axis input position i, tap k and output position o are tied by
`i = o * stride + k * dilation - low`.
"""

from __future__ import annotations

from dataclasses import dataclass

from isoconv.errors import InternalError
from isoconv.ir.sizes import Dim, ceildiv, maximum, minimum


@dataclass(frozen=True)
class Axis:
    """One axis of a window: its taps and how it moves.

    low, high: absent positions before and after the input; negative crops.
    """

    taps: int
    stride: int = 1
    dilation: int = 1
    low: Dim = 0
    high: Dim = 0

    def __post_init__(self) -> None:
        if min(self.taps, self.stride, self.dilation) < 1:
            raise InternalError(f"a window of {self}")

    @property
    def span(self) -> int:
        """Input positions from the first tap to the last, both counted."""
        return span(self.taps, self.dilation)

    def output(self, length: Dim) -> Dim:
        """Output positions for an input of `length`; zero or less means that nothing fits."""
        return (length + self.low + self.high - self.span) // self.stride + 1


def span(taps: int, dilation: int) -> int:
    """Input positions that a dilated window covers: (k - 1) * d + 1."""
    return (taps - 1) * dilation + 1


def same(length: Dim, taps: int, stride: int, dilation: int) -> tuple[Dim, Dim]:
    """Keras' "same": ceil(length / stride) outputs, the odd position on the right."""
    width = span(taps, dilation)
    if width == 1:
        return 0, 0
    total = (ceildiv(length, stride) - 1) * stride + width - length
    # Windows that touch each other need never less than nothing: the expression stays simple.
    if width < stride:
        total = maximum(total, 0)
    left = total // 2
    return left, total - left


def causal(taps: int, dilation: int) -> tuple[Dim, Dim]:
    """Everything on the left, so that no output sees a later input."""
    return dilation * (taps - 1), 0


def overhang(length: Dim, axis: Axis) -> Dim:
    """How far a window more than fits would stick out, if it starts within input and low padding.

    PyTorch's and ONNX' "ceil_mode" is an axis with so much more high padding.
    """
    last = minimum(
        ceildiv(length + axis.low + axis.high - axis.span, axis.stride),
        (length + axis.low - 1) // axis.stride,
    )
    return maximum(last * axis.stride + axis.span - length - axis.low - axis.high, 0)


def padding(mode: str, length: Dim, taps: int, stride: int, dilation: int) -> tuple[Dim, Dim]:
    """The (low, high) padding of a mode: "valid", "same" or "causal"."""
    if mode == "same":
        return same(length, taps, stride, dilation)
    if mode == "causal":
        return causal(taps, dilation)
    return 0, 0


def transpose(
    mode: str, length: Dim, taps: int, stride: int, dilation: int, output_padding: int | None
) -> tuple[Dim, tuple[Dim, Dim]]:
    """Of a transposed convolution: its output length, and the (low, high) padding of the
    convolution that it transposes. Keras' rules, where output_padding 0 is not None.
    """
    width = span(taps, dilation)
    if mode == "valid":
        extra = max(width, stride) - width if output_padding is None else output_padding
        return (length - 1) * stride + width + extra, (0, -extra)
    if output_padding is None:
        output: Dim = length * stride
        pad_length = stride + width - 2
    else:
        output = (length - 1) * stride + width % 2 + output_padding
        pad_length = width + width % 2 - 2 + output_padding
    left_pad = min(-(-pad_length // 2), width - 1)
    low = (width - 1) - left_pad
    # The convolution of the output must give `length` positions again.
    high = (length - 1) * stride + width - output - low
    return output, (low, high)
