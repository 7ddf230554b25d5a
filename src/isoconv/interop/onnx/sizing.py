"""Reading ONNX operations that give images other sizes: padding and resizing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isoconv.interop.onnx.site import Array, Drawn, Site, reads
from isoconv.ir.sizes import Dim, Size
from isoconv.layers import (
    Padding1D,
    Padding2D,
    Padding3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

# -- padding ----------------------------------------------------------------------------------

_ZERO_PADDING = {1: ZeroPadding1D, 2: ZeroPadding2D, 3: ZeroPadding3D}


@reads("Pad")
def pad(site: Site) -> Any:
    x = site.drawn(0)
    amounts = site.get("pads", site.get("paddings"))
    amounts = site.sizes(1, "the padding") if amounts is None else amounts
    axes = site.integers(3, "axes")
    axes = list(range(x.ndim)) if axes is None else [site.axis(axis, x.ndim) for axis in axes]
    pairs: list[list[Dim]] = [[0, 0] for _ in range(x.ndim)]
    if amounts is None or len(amounts) != 2 * len(axes):
        raise site.fail(f"padding {amounts}", f"two numbers for each of {len(axes)} axes")
    for place, axis in enumerate(axes):
        pairs[axis] = [amounts[place], amounts[place + len(axes)]]
    mode = site.get("mode", "constant")
    if mode != "constant":
        return _copied(site, x, pairs, mode)
    value = site.number(2, "the value") if site.operand(2) is not None else site.get("value", 0.0)
    if not any(side != 0 for pair in pairs for side in pair):
        return x
    return padded(site, x, pairs, value)


def padded(site: Site, x: Drawn, pairs: list[list[Dim]], value: Any = 0.0, suffix: str = "") -> Any:
    """x with a value around it: as a layer where zeros are added to spatial axes alone."""
    sides = [side for pair in pairs for side in pair]
    if not any(side != 0 for side in sides):
        return x
    whole = all(isinstance(side, int) and side >= 0 for side in sides)
    layer = _ZERO_PADDING.get(x.ndim - 2)
    if value == 0 and whole and layer and pairs[:2] == [[0, 0], [0, 0]] and x.dtype == "float32":
        amounts: Any = pairs[2] if x.ndim == 3 else pairs[2:]
        return site.layer(layer, x, suffix=suffix, padding=amounts, data_format="channels_first")
    value = value if x.dtype.startswith("float") else int(value)
    return site.call("pad", x, pad_width=pairs, constant_values=value)


_COPIES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
_COPYING = {1: Padding1D, 2: Padding2D, 3: Padding3D}


def _copied(site: Site, x: Drawn, pairs: list[list[Dim]], mode: str) -> Any:
    """x with copies of its own elements around it."""
    if mode not in _COPIES:
        raise site.fail(f"mode {mode!r}", f"'constant' or one of {', '.join(_COPIES)}")
    whole = [[side for side in pair if isinstance(side, int)] for pair in pairs]
    if whole != pairs:
        raise site.fail(f"padding {pairs}", "known numbers")
    if min(min(pair) for pair in whole) < 0:
        x = site.call("pad", x, pad_width=[[min(low, 0), min(high, 0)] for low, high in whole])
        whole = [[max(low, 0), max(high, 0)] for low, high in whole]
    layer = _COPYING.get(x.ndim - 2)
    if layer and whole[:2] == [[0, 0], [0, 0]] and x.dtype == "float32":
        amounts: Any = whole[2] if x.ndim == 3 else whole[2:]
        options = {"padding": amounts, "mode": _COPIES[mode], "data_format": "channels_first"}
        return site.layer(layer, x, **options)
    return site.call("pad", x, pad_width=whole, mode=mode)


# -- resizing ---------------------------------------------------------------------------------

_UPSAMPLING = {1: UpSampling1D, 2: UpSampling2D, 3: UpSampling3D}


@reads("Resize", "Upsample")
def resize(site: Site) -> Any:
    x = site.drawn(0)
    mode = site.get("mode", "nearest")
    if mode != "nearest":
        raise site.fail(f"mode {mode!r}", "'nearest'")
    axes = [site.axis(a, x.ndim) for a in site.get("axes", list(range(x.ndim)))]
    scales, sizes = _wanted(site, x, axes)
    if any(key in site.attributes for key in ("exclude_outside", "extrapolation_value")):
        raise site.fail("exclude_outside or extrapolation_value", "plain nearest")
    whole = {
        axis: int(scale)
        for axis, scale in scales.items()
        if scale == int(scale) and scale >= 1 and _repeats(site)
    }
    spatial = [axis for axis in scales if scales[axis] != 1]
    layer = _UPSAMPLING.get(x.ndim - 2)
    if layer and set(spatial) <= set(whole) and min(spatial, default=2) >= 2 and spatial:
        times = [whole.get(axis, 1) for axis in range(2, x.ndim)]
        return site.layer(layer, x, size=times, data_format="channels_first")
    for axis in spatial:
        if axis in whole:
            x = site.call("repeat", x, whole[axis], axis=axis)
        else:
            rows = _nearest(site, x.dims[axis], sizes[axis], scales[axis])
            x = site.call("take", x, site.as_drawn(rows), axis=axis)
    return x if spatial else site.call("add", x, 0)


def _wanted(site: Site, x: Drawn, axes: list[int]) -> tuple[dict[int, float], dict[int, Dim]]:
    """The scale and the new size of each axis that is named."""
    place = 1 if site.op == "Upsample" or site.opset < 11 else 2
    scales: Array | list[float] | None = site.get("scales")
    if scales is None:
        scales = site.array(place, "scales")
    lengths = [x.dims[axis] for axis in axes]
    if scales is not None and len(scales):
        factors = [float(each) for each in scales]
        sizes = [
            d * int(f) if f == int(f) else _known(site, d) * f
            for d, f in zip(lengths, factors, strict=True)
        ]
        wanted = [d if isinstance(d, Size) else math.floor(d) for d in sizes]
        return dict(zip(axes, factors, strict=True)), dict(zip(axes, wanted, strict=True))
    given = site.sizes(3, "sizes") or []
    policy = site.get("keep_aspect_ratio_policy", "stretch")
    factors = [_factor(site, size, d) for size, d in zip(given, lengths, strict=True)]
    if policy != "stretch":
        one = min(factors) if policy == "not_larger" else max(factors)
        factors = [one] * len(factors)
        given = [math.floor(_known(site, d) * one + 0.5) for d in lengths]
    return dict(zip(axes, factors, strict=True)), dict(zip(axes, given, strict=True))


def _factor(site: Site, size: Dim, length: Dim) -> float:
    if isinstance(size, int) and isinstance(length, int):
        return size / length
    quotient = size // length
    if isinstance(quotient, Size) or quotient * length != size:
        raise site.fail(f"{length} resized to {size}", "known sizes, or a whole multiple")
    return float(quotient)


def _known(site: Site, size: Dim) -> int:
    if isinstance(size, Size):
        raise site.fail(f"{size}, known at run time only", "a known size, or a whole scale")
    return size


def _repeats(site: Site) -> bool:
    """Whether a whole scale repeats each position, whatever the sizes."""
    if site.op == "Upsample" or site.opset < 11:
        return True
    where = site.get("coordinate_transformation_mode", "half_pixel")
    how = site.get("nearest_mode", "round_prefer_floor")
    return (where, how) == ("asymmetric", "floor") or (
        where == "half_pixel" and how.startswith("round")
    )


def _nearest(site: Site, length: Dim, size: Dim, scale: float) -> Array:
    """The position that each new one is nearest to, by the formulas of ONNX."""
    old, new = _known(site, length), _known(site, size)
    if not 0 < new <= 1 << 24:
        raise site.fail(f"a new size of {new}", "at least 1, and not absurdly much")
    where, how = "asymmetric", "floor"
    if site.op == "Resize" and site.opset >= 11:
        where = site.get("coordinate_transformation_mode", "half_pixel")
        how = site.get("nearest_mode", "round_prefer_floor")
    at = np.arange(new, dtype="float64")
    places = {
        "half_pixel": (at + 0.5) / scale - 0.5,
        "half_pixel_symmetric": old / 2 * (1 - new / (scale * old)) + (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel": (at + 0.5) / scale - 0.5 if new > 1 else 0 * at,
        "align_corners": at * (old - 1) / (new - 1) if new > 1 else 0 * at,
        "asymmetric": at / scale,
    }
    rounded: dict[str, Any] = {
        "round_prefer_floor": lambda p: np.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if where not in places or how not in rounded:
        known = f"one of {', '.join(places)} with one of {', '.join(rounded)}"
        raise site.fail(f"{where} with {how}", known)
    return np.asarray(np.clip(rounded[how](places[where]), 0, old - 1), "int64")
