"""Reading ONNX operations with windows: convolutions, transposed ones, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv import layers
from isoconv.interop.onnx.site import Drawn, Site, as_numbers, reads
from isoconv.interop.onnx.sizing import padded
from isoconv.ir import geometry
from isoconv.ir.sizes import Dim
from isoconv.ops.windows import rounded_up

Pairs = list[list[Dim]]

_FIRST: dict[str, Any] = {"data_format": "channels_first"}


@dataclass(frozen=True)
class Window:
    """The window of a node. padding: "same", or pairs (before, after), one a spatial axis."""

    taps: list[int]
    strides: list[int]
    dilations: list[int]
    padding: Any

    @property
    def spans(self) -> list[int]:
        each = zip(self.taps, self.dilations, strict=True)
        return [geometry.span(tap, dilation) for tap, dilation in each]


def _any(pairs: Pairs) -> bool:
    return any(side != 0 for pair in pairs for side in pair)


def _window(site: Site, x: Drawn, taps: Sequence[int]) -> Window:
    rank = x.ndim - 2
    found = [int(tap) for tap in site.get("kernel_shape", list(taps))]
    strides, dilations = (site.get(n, [1] * rank) for n in ("strides", "dilations"))
    numbers = [*found, *strides, *dilations]
    if rank < 1 or any(len(each) != rank for each in (found, strides, dilations)):
        given = f"kernel {found}, strides {strides}, dilations {dilations}"
        raise site.fail(given, f"{rank} of each for an input of shape {x.dims}")
    if min(numbers) < 1 or max(numbers) > 1 << 31 or list(taps) not in ([], found):
        given = f"kernel {found}, strides {strides}, dilations {dilations}"
        raise site.fail(given, "numbers above 0 that fit the weights")
    return Window(found, strides, dilations, _padding(site, x, found, strides, dilations))


def _padding(
    site: Site, x: Drawn, taps: list[int], strides: list[int], dilations: list[int]
) -> Any:
    """ "same" where that is meant, whatever the sizes; else pairs."""
    rank, mode = len(taps), site.get("auto_pad", "NOTSET")
    pads = site.get("pads", [0] * (2 * rank))
    if len(pads) != 2 * rank or (mode == "NOTSET" and min(pads) < 0):
        raise site.fail(f"pads {pads}", f"{2 * rank} numbers, none negative")
    if mode == "VALID":
        return [[0, 0] for _ in taps]
    each = zip(x.dims[2:], taps, strides, dilations, strict=True)
    upper = [list(geometry.same(*sizes)) for sizes in each]
    if mode == "SAME_LOWER":
        return [[high, low] for low, high in upper]
    pairs = [[pads[i], pads[i + rank]] for i in range(rank)]
    return "same" if mode == "SAME_UPPER" or (pairs == upper and _any(pairs)) else pairs


def _all(pairs: Pairs) -> Pairs:
    """Pairs for all axes, from those of the spatial ones."""
    return [[0, 0], [0, 0], *pairs]


# -- convolutions -----------------------------------------------------------------------------

_CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}


@reads("Conv")
def conv(site: Site) -> Any:
    x, w, bias = site.drawn(0), site.required(1), site.operand(2)
    rank, groups = x.ndim - 2, int(site.get("group", 1))
    shape = w.dims if isinstance(w, Drawn) else w.shape
    _check_kernel(site, x, shape, groups, shape[1] if len(shape) > 1 else 0)
    window = _window(site, x, [d for d in shape[2:] if isinstance(d, int)])
    turned = (*range(2, rank + 2), 1, 0)
    causal = rank == 1 and window.padding == [[window.spans[0] - 1, 0]]
    is_layer = not isinstance(bias, Drawn) and rank in _CONV and x.dtype[0] == "f"
    if not is_layer or not isinstance(w, np.ndarray):
        return _conv_by_function(site, x, window, turned)
    padding = "causal" if causal and _any(window.padding) else "valid"
    if window.padding == "same":
        padding = "same"
    elif padding == "valid":
        x = padded(site, x, _all(window.padding), suffix=".pad")
    weights: dict[str, Any] = {"kernel": (as_numbers(w).transpose(turned), site.names[1], turned)}
    if isinstance(bias, np.ndarray):
        weights["bias"] = (bias, site.names[2], None)
    return site.layer(
        _CONV[rank],
        x,
        weights=weights,
        filters=int(w.shape[0]),
        kernel_size=window.taps,
        strides=window.strides,
        padding=padding,
        dilation_rate=window.dilations,
        groups=groups,
        use_bias=bias is not None,
        **_FIRST,
    )


def _check_kernel(site: Site, x: Drawn, shape: Any, groups: int, inner: Any) -> None:
    """The weights must fit the channels; shape: as in the file, the taps last."""
    channels = x.dims[1] if x.ndim > 1 else None
    fits = isinstance(channels, int) and all(isinstance(d, int) and d > 0 for d in shape)
    if not fits or len(shape) != x.ndim or groups < 1 or inner * groups != channels:
        given = f"weights {tuple(shape)} in {groups} groups for an input {x.dims}"
        raise site.fail(given, "weights that fit the channels and the rank")


def _conv_by_function(site: Site, x: Drawn, window: Window, turned: tuple[int, ...]) -> Any:
    """A convolution whose weights are computed, or of a rank that has no layer."""
    kernel = site.call("transpose", site.drawn(1), axes=list(turned))
    result = site.call(
        "conv",
        x,
        kernel,
        tensors=2,
        strides=window.strides,
        padding=window.padding,
        dilation_rate=window.dilations,
        **_FIRST,
    )
    return _with_bias(site, result)


def _with_bias(site: Site, result: Drawn) -> Any:
    if site.operand(2) is None:
        return result
    shape = [-1, *(1,) * (result.ndim - 2)]
    return site.call("add", result, site.call("reshape", site.drawn(2), newshape=shape))


_TRANSPOSE = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_CROPPING = {1: layers.Cropping1D, 2: layers.Cropping2D, 3: layers.Cropping3D}


@reads("ConvTranspose")
def conv_transpose(site: Site) -> Any:
    x, w, bias = site.drawn(0), site.required(1), site.operand(2)
    rank, groups = x.ndim - 2, int(site.get("group", 1))
    shape = w.dims if isinstance(w, Drawn) else w.shape
    _check_kernel(site, x, shape, groups, (shape[0] if len(shape) else 0) // max(groups, 1))
    taps = [d for d in shape[2:] if isinstance(d, int)]
    window = _window(site, x, taps)
    extra = [int(each) for each in site.get("output_padding", [0] * rank)]
    if len(extra) != rank or min(extra) < 0:
        raise site.fail(f"output_padding {extra}", f"{rank} numbers, none negative")
    crops = _crops(site, x, window, extra)
    turned = (*range(2, rank + 2), 1, 0)
    options: dict[str, Any] = {"strides": window.strides, "dilation_rate": window.dilations}
    options |= {"groups": groups, "output_padding": [0] * rank, **_FIRST}
    within = all(e < s for e, s in zip(extra, window.strides, strict=True))
    is_layer = isinstance(w, np.ndarray) and not isinstance(bias, Drawn) and rank in _TRANSPOSE
    if not is_layer or x.dtype[0] != "f":
        kernel = site.call("transpose", site.drawn(1), axes=list(turned))
        result = site.call("conv_transpose", x, kernel, **options)
        return _with_bias(site, _cropped(site, result, crops, extra))
    if not within or any(isinstance(e, int) and e < 0 for pair in crops for e in pair):
        # What no tap reaches is zero, and the bias is added there too.
        result = _transposed(site, x, rank, shape, turned, options, None)
        return _with_bias(site, _cropped(site, result, crops, extra))
    options["output_padding"] = extra
    result = _transposed(site, x, rank, shape, turned, options, bias)
    return _cropped(site, result, crops, [0] * rank)


def _transposed(
    site: Site, x: Drawn, rank: int, shape: Any, turned: Any, options: Any, bias: Any
) -> Drawn:
    weights: dict[str, Any] = {
        "kernel": (as_numbers(site.required(1)).transpose(turned), site.names[1], turned)  # type: ignore[arg-type]
    }
    if bias is not None:
        weights["bias"] = (bias, site.names[2], None)
    found: Drawn = site.layer(
        _TRANSPOSE[rank],
        x,
        weights=weights,
        filters=shape[1] * options["groups"],
        kernel_size=list(shape[2:]),
        use_bias=bias is not None,
        **options,
    )
    return found


def _crops(site: Site, x: Drawn, window: Window, extra: list[int]) -> Pairs:
    """What is taken at both ends of each axis from all that is reached, and `extra` at the end."""
    mode, rank = site.get("auto_pad", "NOTSET"), len(extra)
    wanted = site.get("output_shape")
    pads = site.get("pads", [0] * (2 * rank))
    if mode not in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        return [[pads[i], pads[i + rank]] for i in range(rank)]
    pairs: Pairs = []
    for i, length in enumerate(x.dims[2:]):
        stride, span = window.strides[i], window.spans[i]
        target = length * stride if wanted is None else int(wanted[-rank:][i])
        total = (length - 1) * stride + span + extra[i] - target
        less = total // 2
        pairs.append([less, total - less] if mode == "SAME_UPPER" else [total - less, less])
    return pairs


def _cropped(site: Site, x: Drawn, crops: Pairs, extra: list[int]) -> Any:
    """x without what is cropped; extra: zeros at the end that it does not have yet."""
    ends = [[low, high - more] for (low, high), more in zip(crops, extra, strict=True)]
    if not _any(ends):
        return x
    whole = all(isinstance(side, int) and side >= 0 for pair in ends for side in pair)
    if whole and x.ndim - 2 in _CROPPING and x.dtype == "float32":
        amounts: Any = ends[0] if len(ends) == 1 else ends
        crop = _CROPPING[x.ndim - 2]
        return site.layer(crop, x, suffix=".crop", cropping=amounts, **_FIRST)
    pairs = [[0, 0], [0, 0], *([low * -1, high * -1] for low, high in ends)]
    return site.call("pad", x, pad_width=pairs)


# -- pooling ----------------------------------------------------------------------------------

_POOLING: dict[str, dict[int, Any]] = {
    "MaxPool": {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D},
    "AveragePool": {
        1: layers.AveragePooling1D,
        2: layers.AveragePooling2D,
        3: layers.AveragePooling3D,
    },
    "LpPool": {1: layers.LpPooling1D, 2: layers.LpPooling2D, 3: layers.LpPooling3D},
}
_GLOBAL: dict[str, dict[int, Any]] = {
    "GlobalMaxPool": {
        1: layers.GlobalMaxPooling1D,
        2: layers.GlobalMaxPooling2D,
        3: layers.GlobalMaxPooling3D,
    },
    "GlobalAveragePool": {
        1: layers.GlobalAveragePooling1D,
        2: layers.GlobalAveragePooling2D,
        3: layers.GlobalAveragePooling3D,
    },
}


@reads("MaxPool", "AveragePool", "LpPool")
def pool(site: Site) -> Any:
    x = site.drawn(0)
    window, rank = _window(site, x, []), x.ndim - 2
    counts = site.op == "AveragePool" and site.flag("count_include_pad")
    counts = counts and (window.padding == "same" or _any(window.padding))
    ceil = site.flag("ceil_mode")
    options: dict[str, Any] = {"pool_size": window.taps, "strides": window.strides, **_FIRST}
    options["dilation_rate"] = window.dilations
    if site.op == "LpPool":
        options["p"] = float(site.get("p", 2))
    fits = window.padding == "same" or all(
        isinstance(side, int) and side < tap
        for pair, tap in zip(window.padding, window.taps, strict=True)
        for side in pair
    )
    if rank in _POOLING[site.op] and x.dtype[0] == "f" and fits and not counts:
        padding = window.padding if window.padding == "same" or _any(window.padding) else "valid"
        layer = _POOLING[site.op][rank]
        return site.layer(layer, x, padding=padding, ceil_mode=ceil, **options)
    if site.op == "LpPool":
        raise site.fail(f"an input of shape {x.dims} with pads {window.padding}", "1 to 3 axes")
    zeros = _pairs(x, window)
    padding = _rounded_up(x, window, zeros) if ceil else zeros
    if counts:
        ends = zip(padding, zeros, strict=True)
        padding = [[low - a, high - b] for (low, high), (a, b) in ends]
        x = padded(site, x, _all(zeros), suffix=".pad")
    function = "max_pool" if site.op == "MaxPool" else "average_pool"
    return site.call(function, x, padding=padding, **options)


def _pairs(x: Drawn, window: Window) -> Pairs:
    """The padding of a window in numbers, or in sizes known at run time only."""
    if window.padding != "same":
        found: Pairs = window.padding
        return found
    each = zip(x.dims[2:], window.taps, window.strides, window.dilations, strict=True)
    return [list(geometry.same(*sizes)) for sizes in each]


def _rounded_up(x: Drawn, window: Window, pairs: Pairs) -> Pairs:
    """The padding with which windows that begin inside are whole (ceil_mode)."""
    found = rounded_up(x.dims[2:], window.taps, window.strides, pairs, window.dilations)
    return [list(pair) for pair in found]


@reads(*_GLOBAL)
def global_pool(site: Site) -> Any:
    x = site.drawn(0)
    if x.ndim - 2 in _GLOBAL[site.op] and x.dtype[0] == "f":
        return site.layer(_GLOBAL[site.op][x.ndim - 2], x, keepdims=True, **_FIRST)
    name = "max" if site.op == "GlobalMaxPool" else "mean"
    return site.call(name, x, axis=list(range(2, x.ndim)), keepdims=True)


@reads("GlobalLpPool")
def global_lp_pool(site: Site) -> Any:
    x, p = site.drawn(0), float(site.get("p", 2))
    powers = site.call("power", site.call("absolute", x), p)
    total = site.call("sum", powers, axis=list(range(2, x.ndim)), keepdims=True)
    return site.call("power", total, 1 / p)
