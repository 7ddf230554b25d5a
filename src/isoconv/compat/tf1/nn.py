"""`tf.nn`: the activations, and convolution of any rank."""

from __future__ import annotations

from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.ops import (
    elu,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    softmax,
    softplus,
    softsign,
    tanh,
)

__all__ = [
    "convolution",
    "elu",
    "leaky_relu",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]


def convolution(
    input: Any,
    filter: Any,
    padding: str,
    strides: Any = None,
    dilation_rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
) -> Any:
    """A convolution over as many axes as `filter` (taps..., channels, filters) has taps.

    input: (batch, spatial..., channels). padding: "VALID" or "SAME". strides, dilation_rate: one an
    axis, 1 if left out. name: not used. data_format: such as "NWC" or "NCW"; channels are second if
    it starts with "NC".
    """
    if str(padding).lower() not in ("valid", "same"):
        raise ArgumentError(explain("tf.nn.convolution", repr(padding), "VALID or SAME"))
    first = str(data_format).startswith("NC")
    layout = "channels_first" if first else "channels_last"
    return ops.conv(input, filter, strides or 1, padding.lower(), layout, dilation_rate or 1)
