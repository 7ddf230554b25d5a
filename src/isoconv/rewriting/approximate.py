"""Row 22: forms by fewer products than taps times channels, within a tolerance that the user gives.

Tiles of the input are taken to points, multiplied there by transformed weights, channel by channel
and point by point, and taken back: Winograd's and Toom and Cook's schemes, and Fourier transforms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from isoconv import dtypes
from isoconv.errors import ArgumentError, explain
from isoconv.ir.forms import is_depthwise
from isoconv.ir.graph import Node
from isoconv.ir.schemes import Scheme, scheme
from isoconv.ir.sizes import number, product
from isoconv.rewriting.rule import Facts, Rule
from isoconv.rewriting.tiled import groups_of, tiled
from isoconv.rewriting.weights import data_of, is_form, weights_of

_NUMBERS = (int, float, np.integer, np.floating)


@dataclass(frozen=True)
class Numerics:
    """What error a program may have beyond that of rounding one sum after the other.

    Args:
        rtol: bounds |error| / sum |x| |w| of each output of a convolution, where x, of each
            channel, is the largest that the outputs computed together with it read: errors spread
            among these, at most 32 along an axis. An infinity or NaN does too.

    Raises ArgumentError unless rtol is a finite number that is not negative.
    """

    rtol: float

    def __post_init__(self) -> None:
        rtol = self.rtol
        if isinstance(rtol, bool) or not isinstance(rtol, _NUMBERS) or not 0 <= rtol < math.inf:
            expected = "a finite number of at least 0"
            raise ArgumentError(explain("Numerics: rtol", repr(rtol), expected))


@dataclass(frozen=True)
class Family:
    """One way to compute forms. name: of the scheme of each axis that has several taps.

    axes: how many of these a form may have: the transforms of a tile are written out. long: whether
    the filter of a form of one such axis may have other taps than the scheme: fewer, the rest being
    0, or more, which are summed group by group at the points.
    """

    name: str
    title: str
    axes: int = 2
    long: bool = False


FAMILIES = (
    Family("F(2,3)", "Winograd F(2,3)"),
    Family("F(4,3)", "Winograd F(4,3)"),
    Family("F(2,5)", "Winograd F(2,5)"),
    Family("F(4,4)", "Toom-Cook F(4,4)", long=True),
    Family("DFT(8)", "Fourier transforms of 16 positions", axes=1, long=True),
    Family("DFT(16)", "Fourier transforms of 32 positions", axes=1, long=True),
    Family("DFT(32)", "Fourier transforms of 64 positions", axes=1, long=True),
)

# Costs in products: of one element written at a point and read again, and of one term of a
# transform. Measured.
_MOVED, _TERM = 6.0, 0.5
# Weights at points of more bytes than these take longer to read than to multiply. Lanes of products
# are filters, of which fewer leave some idle.
_LARGEST, _FEWEST = 12 << 20, 16


def rules(numerics: Numerics) -> tuple[Rule, ...]:
    """The rules that a tolerance allows."""
    return tuple(
        Rule(
            family.title,
            "22",
            "conv(x, w)",
            "from_points(conv(to_points(x), to_points(w)))",
            f"stride, dilation 1; groups 1 or depthwise; error within {numerics.rtol}; less work",
            "approximate",
            frozenset({"conv"}),
            partial(_apply, family, numerics),
            partial(bound, family),
        )
        for family in FAMILIES
    )


def bound(family: Family, form: Node) -> float:
    """The largest |error| / sum |x| |w| of an output, as `Numerics` has it.

    Roundings are taken for independent: sqrt(K) of them add up, K products an output, and the
    scheme's matrices make them larger, each axis by its amplification.
    """
    unit = float(np.finfo(form.dtype).eps) / 2
    schemes = _schemes(family, form)
    terms = number(product(weights_of(form).shape[:-1]))
    return unit * math.sqrt(terms) * prod(each.amplification for each in schemes)


def _apply(family: Family, numerics: Numerics, node: Node, facts: Facts) -> Node | None:
    if not is_form(node, facts) or (node["groups"] > 1 and not is_depthwise(node)):
        return None
    if any(axis.stride > 1 or axis.dilation > 1 for axis in node["axes"]):
        return None
    costs = {
        each.name: _cost(each, node)
        for each in FAMILIES
        if _fits(each, node) and bound(each, node) <= numerics.rtol
    }
    costs[""] = float(number(product(weights_of(node).shape)))
    best = min(costs, key=costs.__getitem__)
    return tiled(node, _schemes(family, node)) if best == family.name else None


def _fits(family: Family, node: Node) -> bool:
    taps = [axis.taps for axis in node["axes"] if axis.taps > 1]
    own = all(each == scheme(family.name).taps for each in taps)
    if not 1 <= len(taps) <= family.axes or not (own or (family.long and len(taps) == 1)):
        return False
    if number(node.shape[-1]) < _FEWEST:
        return False
    schemes = _schemes(family, node)
    each = prod(s.points for s in schemes) * prod(groups_of(node, schemes))
    elements = each * number(product(weights_of(node).shape[-2:]))
    return elements * dtypes.BYTES[node.dtype] <= _LARGEST


def _schemes(family: Family, node: Node) -> list[Scheme]:
    """The scheme of each axis."""
    return [scheme(family.name if axis.taps > 1 else "1") for axis in node["axes"]]


def _cost(family: Family, node: Node) -> float:
    """What an output of all filters costs, in products."""
    schemes = _schemes(family, node)
    each, filters = map(number, weights_of(node).shape[-2:])
    channels = each * node["groups"]
    points = prod(s.points / s.outputs for s in schemes)
    groups = prod(groups_of(node, schemes))
    to, back = _terms(schemes, "data"), _terms(schemes, "outputs")
    products = groups * points * each * filters
    # Between tensors with channels first it takes copies too.
    copies = points + (data_of(node).op == "transpose")
    moved = _MOVED * copies * (channels + filters)
    return float(products + moved + _TERM * (to * channels + back * filters))


def _terms(schemes: Sequence[Scheme], side: str) -> float:
    """The terms that a transform of a tile adds up, a channel and output."""
    total = 0.0
    for axis, each in enumerate(schemes):
        before = prod(other.outputs for other in schemes[:axis])
        after = prod(other.points for other in schemes[axis + 1 :])
        terms = sum(int(np.count_nonzero(factor)) for factor in each.factors(side))
        total += terms * before * after
    return total / prod(each.outputs for each in schemes)
