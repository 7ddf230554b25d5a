"""Convolutions, pooling, padding and resizing of ATen, drawn as layers with channels second."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from isoconv import layers
from isoconv.errors import explain
from isoconv.interop.torch.graph import Drawing, Handlers, Unsupported, concrete
from isoconv.ir import geometry

FIRST = "channels_first"

HANDLERS = Handlers()


def of_rank(name: str, rank: int, suffix: str = "") -> Any:
    """The layer of a family for a number of spatial axes."""
    return getattr(layers, f"{name}{rank}D{suffix}")


def per_axis(value: Any, rank: int, default: Any = None) -> tuple[int, ...]:
    """ATen's list of one number for all axes, or one each; empty means the default."""
    numbers = concrete(value if isinstance(value, list) else [value])
    if not numbers:
        return per_axis(default, rank)
    return tuple(numbers * rank if len(numbers) == 1 else numbers)


def spatial_rank(drawing: Drawing, x: Any, name: str) -> int:
    """The number of spatial axes of an input, which must have a batch."""
    rank = int(x.ndim) - 2
    if rank < 1:
        given = f"{name} on shape {x.shape} in {drawing.where()}"
        raise Unsupported(explain("from_torch", given, "an input with a batch and channels"))
    return rank


@HANDLERS.draws("conv1d", "conv2d", "conv3d")
def convolution(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = len(a.weight.shape) - 2
    x, strides, dilation = a.input, per_axis(a.stride, rank), per_axis(a.dilation, rank)
    filters, inner, *taps = a.weight.shape
    x, mode = _padded(drawing, x, a.padding, taps, strides, dilation)
    channels = inner * a.groups
    options: dict[str, Any] = {
        "kernel_size": tuple(taps),
        "strides": strides,
        "padding": mode,
        "data_format": FIRST,
        "dilation_rate": dilation,
        "use_bias": a.bias is not None,
        "weights": {"weight": a.weight, "bias": a.bias},
    }
    if a.groups == channels > 1:
        kind = of_rank("DepthwiseConv", rank)
        return drawing.layer(kind, x, depth_multiplier=filters // channels, **options)
    return drawing.layer(of_rank("Conv", rank), x, filters=filters, groups=a.groups, **options)


def _padded(
    drawing: Drawing,
    x: Any,
    padding: Any,
    taps: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[Any, str]:
    """The input, padded unless a mode of Keras' does the same, and that mode."""
    if isinstance(padding, str):
        return x, padding
    amounts = per_axis(padding, len(taps))
    if not any(amounts):
        return x, "valid"
    around = [geometry.span(k, d) - 1 for k, d in zip(taps, dilation, strict=True)]
    if max(strides) == 1 and around == [2 * amount for amount in amounts]:
        return x, "same"
    return _zeros(drawing, x, [(amount, amount) for amount in amounts]), "valid"


def _zeros(drawing: Drawing, x: Any, pairs: Sequence[tuple[int, int]]) -> Any:
    kind = of_rank("ZeroPadding", len(pairs))
    return drawing.layer(kind, x, tuple(pairs), data_format=FIRST, suffix="pad")


@HANDLERS.draws("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = len(a.weight.shape) - 2
    _, inner, *taps = a.weight.shape
    strides, dilation = per_axis(a.stride, rank), per_axis(a.dilation, rank)
    padding, extra = per_axis(a.padding, rank), per_axis(a.output_padding, rank)
    axes = list(zip(taps, strides, dilation, padding, extra, strict=True))
    same = _as_same(axes) if any(padding) else None
    mode, more, cropped = same or _as_valid(drawing, axes)
    y = drawing.layer(
        of_rank("Conv", rank, "Transpose"),
        a.input,
        filters=inner * a.groups,
        kernel_size=tuple(taps),
        strides=strides,
        padding=mode,
        output_padding=more,
        data_format=FIRST,
        dilation_rate=dilation,
        groups=a.groups,
        use_bias=a.bias is not None,
        weights={"weight": a.weight, "bias": a.bias},
    )
    if not any(map(any, cropped)):
        return y
    kind = of_rank("Cropping", rank)
    return drawing.layer(kind, y, tuple(cropped), data_format=FIRST, suffix="crop")


def _as_same(axes: Sequence[tuple[int, ...]]) -> Any:
    """Keras' "same" with an output_padding, where it gives just these positions."""
    extras = []
    for taps, stride, dilation, padding, extra in axes:
        span = geometry.span(taps, dilation)
        size = span + extra - 2 * padding  # of one input position
        candidates = [None, *range(stride)]
        fitting = [
            more
            for more in candidates
            for length, (low, _) in [geometry.transpose("same", 1, taps, stride, dilation, more)]
            if length == size and low == padding
        ]
        if not fitting:
            return None
        extras.append(fitting)
    if all(None in fitting for fitting in extras):
        return "same", None, [(0, 0)]
    numbers = [[more for more in fitting if more is not None] for fitting in extras]
    return ("same", tuple(each[0] for each in numbers), [(0, 0)]) if all(numbers) else None


def _as_valid(drawing: Drawing, axes: Sequence[tuple[int, ...]]) -> Any:
    """All positions, more where PyTorch has more, and what is cropped of them."""
    more, cropped = [], []
    for _, stride, _, padding, extra in axes:
        right = padding - extra
        if -right >= stride:
            given = f"output_padding {extra} with padding {padding} and stride {stride}"
            where = f"from_torch: {drawing.where()}"
            raise Unsupported(explain(where, given, "output_padding below stride + padding"))
        more.append(max(-right, 0))
        cropped.append((padding, max(right, 0)))
    return "valid", tuple(more), cropped


@HANDLERS.draws("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = spatial_rank(drawing, a.self, "max_pool")
    options = _window(a, rank)
    dilation = per_axis(a.dilation, rank)
    if max(dilation) > 1:
        options["dilation_rate"] = dilation
    return drawing.layer(of_rank("MaxPooling", rank), a.self, **options)


@HANDLERS.draws("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = spatial_rank(drawing, a.self, "avg_pool")
    if getattr(a, "divisor_override", None) is not None:
        given = f"divisor_override={a.divisor_override}"
        raise Unsupported(explain(f"from_torch: {drawing.where()}", given, "None"))
    x, options = a.self, _window(a, rank)
    padding = per_axis(a.padding, rank)
    if any(padding) and a.count_include_pad:
        # Zeros that count are elements; only what sticks out beyond them is absent.
        x = _zeros(drawing, x, [(amount, amount) for amount in padding])
        options["padding"] = "valid"
    return drawing.layer(of_rank("AveragePooling", rank), x, **options)


def _window(a: SimpleNamespace, rank: int) -> dict[str, Any]:
    """What pooling layers are given of ATen's arguments."""
    size = per_axis(a.kernel_size, rank)
    padding = per_axis(a.padding, rank)
    options: dict[str, Any] = {
        "pool_size": size,
        "strides": per_axis(a.stride, rank, list(size)),
        "padding": tuple((amount, amount) for amount in padding) if any(padding) else "valid",
        "data_format": FIRST,
    }
    return options | ({"ceil_mode": True} if a.ceil_mode else {})


@HANDLERS.draws("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_average_pool(drawing: Drawing, a: SimpleNamespace) -> Any:
    return _adaptive(drawing, a, "Average")


@HANDLERS.draws("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(drawing: Drawing, a: SimpleNamespace) -> Any:
    # ATen gives the places of the maxima too.
    return [_adaptive(drawing, a, "Max"), None]


def _adaptive(drawing: Drawing, a: SimpleNamespace, kind: str) -> Any:
    rank = spatial_rank(drawing, a.self, "adaptive pooling")
    size = per_axis(a.output_size, rank)
    if set(size) == {1}:
        whole = of_rank(f"Global{kind}Pooling", rank)
        return drawing.layer(whole, a.self, data_format=FIRST, keepdims=True)
    return drawing.layer(of_rank(f"Adaptive{kind}Pooling", rank), a.self, size, data_format=FIRST)


@HANDLERS.draws("pad")
def pad(drawing: Drawing, a: SimpleNamespace) -> Any:
    x, flat = a.self, concrete(a.pad)
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)][::-1]
    # Within a convolution the padding is what is added to it.
    suffix = "" if "Pad" in drawing.kind else "pad"
    rank = x.ndim - 2
    spatial = [(0, 0)] * (rank - len(pairs)) + pairs
    within = rank >= 1 and len(spatial) == rank and min(map(min, spatial)) >= 0
    value = a.value or 0.0
    if a.mode == "constant" and within and value == 0:
        kind = of_rank("ZeroPadding", rank)
        return drawing.layer(kind, x, tuple(spatial), data_format=FIRST, suffix=suffix)
    if a.mode == "constant":
        widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
        return drawing.function("pad", x, widths, constant_values=value, suffix=suffix)
    if not within:
        given = f"{a.mode} padding {flat} of shape {x.shape}"
        expected = "padding of axes after the channels, none negative"
        raise Unsupported(explain(f"from_torch: {drawing.where()}", given, expected))
    kind = of_rank("Padding", rank)
    return drawing.layer(kind, x, tuple(spatial), a.mode, data_format=FIRST, suffix=suffix)


@HANDLERS.draws("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def upsample(drawing: Drawing, a: SimpleNamespace) -> Any:
    return _resized(drawing, a, "nearest")


@HANDLERS.draws(
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"
)
def upsample_exact(drawing: Drawing, a: SimpleNamespace) -> Any:
    return _resized(drawing, a, "nearest-exact")


def _resized(drawing: Drawing, a: SimpleNamespace, mode: str) -> Any:
    rank = a.input.ndim - 2
    scales = getattr(a, "scale_factors", None)
    options: dict[str, Any] = {}
    if scales is None:
        options = {"size": per_axis(a.output_size, rank)}
    else:
        scales = [float(scale) for scale in scales] * (rank if len(scales) == 1 else 1)
        if all(scale % 1 == 0 for scale in scales):
            sizes = tuple(map(int, scales))
            kind = of_rank("UpSampling", rank)
            size = sizes[0] if rank == 1 else sizes
            return drawing.layer(kind, a.input, size, data_format=FIRST)
        options = {"scale": tuple(scales)}
    kind = of_rank("NearestResizing", rank)
    return drawing.layer(kind, a.input, interpolation=mode, data_format=FIRST, **options)
