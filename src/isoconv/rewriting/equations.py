"""The equations between layers, one row each: what is equal to what, when, and up to what.

Rules on graphs (`rewriting.rules`) and on layers (`conversion`) name the row they carry out.
C channels, F filters, k taps, L length, s stride, d dilation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Numeric = Literal["exact", "folding", "approximate"]
"""exact: the same sums, so the same bits. folding: weights are computed beforehand, which rounds
them. approximate: only within a tolerance that the user gave."""


@dataclass(frozen=True)
class Equation:
    """A row. both_ways: whether weights map one to one, so that it holds from right to left too."""

    number: str
    left: str
    right: str
    condition: str = "always"
    numeric: Numeric = "exact"
    both_ways: bool = False

    @property
    def title(self) -> str:
        return f"{self.left} {'<->' if self.both_ways else '->'} {self.right}"


_ROWS = [
    Equation(
        "1",
        "Conv over n axes",
        "Conv over n + 1 axes, one of size 1",
        "stride and dilation 1 on the new axis",
        both_ways=True,
    ),
    Equation(
        "2",
        "Conv(F, k) on (L, C)",
        "Conv(F, (k, C)) on (L, C, 1)",
        "groups 1, ranks 1 and 2; padding on the original axes only",
        both_ways=True,
    ),
    Equation(
        "3",
        "Conv(F, 1)",
        "Dense(F) on the last axis",
        "channels last, groups 1; a stride by slicing first",
        both_ways=True,
    ),
    Equation(
        "4",
        "Conv(F, the whole input)",
        "Flatten, Dense(F)",
        "no padding, dilation 1, groups 1",
        both_ways=True,
    ),
    Equation(
        "5",
        "Conv(F, k, strides=k)",
        "frames, Dense(F)",
        "no padding, dilation 1, groups 1; the remainder is cropped",
        both_ways=True,
    ),
    Equation("6", "DepthwiseConv", "Conv with as many groups as channels", both_ways=True),
    Equation("6b", "DepthwiseConv", "Conv with a block-diagonal kernel"),
    Equation("7", "Conv with g groups", "split, g Convs, concatenate", both_ways=True),
    Equation("7b", "Conv with g groups", "Conv with a block-diagonal kernel"),
    Equation(
        "8",
        "SeparableConv",
        "DepthwiseConv, Conv(F, 1)",
        "nothing between the halves",
        both_ways=True,
    ),
    Equation("8b", "SeparableConv", "Conv with the product kernel", numeric="folding"),
    Equation("9", "Conv of dilation d", "Conv with zeros between the taps"),
    Equation(
        "9b",
        "Conv of dilation d",
        "space to batch, Conv, batch to space",
        "stride 1",
        both_ways=True,
    ),
    Equation(
        "10",
        "Conv of stride s",
        "Conv of stride 1, then every s-th output",
        "padding made explicit first",
        both_ways=True,
    ),
    Equation(
        "10b",
        "Conv of stride s",
        "space to depth, Conv with regrouped taps",
        "padding made explicit first; groups 1, dilation 1",
    ),
    Equation(
        "11",
        "Conv with padding same or causal",
        "ZeroPadding, Conv without padding",
        "the length known, where the padding depends on it",
        both_ways=True,
    ),
    Equation(
        "12", "ConvTranspose", "zeros between the inputs, Conv with turned taps", both_ways=True
    ),
    Equation(
        "12b",
        "ConvTranspose of strides s",
        "Conv to s * F channels, depth to space",
        "dilation 1, groups 1",
    ),
    Equation("13", "Conv", "patches, Dense(F)", "groups 1", both_ways=True),
    Equation("13b", "Conv", "Flatten, Dense with a Toeplitz matrix", "lengths known"),
    Equation("14", "channels first", "Permute, channels last, Permute", both_ways=True),
    Equation("15", "Conv, BatchNormalization", "Conv", "inference", "folding"),
    Equation("16", "BatchNormalization, Conv", "Conv", "inference; no padding", "folding"),
    Equation(
        "17",
        "Conv, Conv",
        "one Conv",
        "nothing between; the second without padding; groups 1",
        "folding",
    ),
    Equation(
        "18",
        "Conv + Conv + identity",
        "one Conv",
        "one input, equal strides and output sizes",
        "folding",
    ),
    Equation(
        "19",
        "Convs of one input, concatenated",
        "one Conv with all filters",
        "equal geometry",
        both_ways=True,
    ),
    Equation("20", "AveragePooling", "DepthwiseConv with a constant kernel", "no padding"),
    Equation(
        "21", "Embedding, Conv1D", "the sum of k table look-ups", "weights that stay", "folding"
    ),
    Equation(
        "22",
        "Conv",
        "Winograd or FFT",
        "a tolerance that the user states",
        "approximate",
    ),
]

EQUATIONS: dict[str, Equation] = {row.number: row for row in _ROWS}
"""The rows by their numbers."""
