"""Whether a form between tensors with channels first is cheaper than two copies and the kernels of
channels last: measured rules, in products an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, number, product

# A channel's own sum over more taps in a row is limited by loads that meet two lines of the cache.
_LONG = 128
# A tile of outputs reads as much of each channel, a line of memory apart, tap after tap: of more
# channels than these it does not stay in the nearest cache.
_WIDE = 128
# Groups that sum so few channels in windows of several axes load more than they multiply.
_FEW = 4
# Lanes of a vector, for this purpose. Shorter lines than these take a vector from three and more.
_LANES, _SHORT = 16, 12
# Where more than one lane of so many would be idle, vectors take what they lack from the next line.
_IDLE = 8
# What the copy of an element costs, in products.
_COPY = 16


def pays(conv: Node, axes: Sequence[Axis]) -> bool:
    """Whether a form is cheaper with channels first.

    axes: one for each dimension between the batch and the channels.
    """
    channels, groups = number(conv.inputs[1].shape[-2]), conv["groups"]
    filters = number(conv.shape[-1])
    wide = sum(axis.taps > 1 for axis in axes) > 1
    if channels > _WIDE or (groups == filters and axes[-1].taps > _LONG):
        return False
    if groups > 1 and channels <= _FEW and wide:
        return False
    line = _line(conv, axes)
    if not isinstance(line, int) or line == 0:
        return True
    idle = -line % _LANES
    if len(axes) > 1 and line >= _LANES and idle * _IDLE > line:
        idle = 0
    strides = prod(axis.stride for axis in axes)
    copies = _COPY * (1 + channels * groups * strides / filters)
    lost = number(product(conv.inputs[1].shape[:-1])) * idle / line
    return lost <= copies and (len(axes) == 1 or line >= _SHORT)


def _line(conv: Node, axes: Sequence[Axis]) -> Dim:
    """The outputs that lie side by side: of several axes where windows have no extent."""
    whole = 0
    while whole < len(axes) and axes[-1 - whole] == Axis(1):
        whole += 1
    return product(conv.shape[-1 - max(whole, 1) : -1])
