"""Which layers of PyTorch are links, and of what numbers and tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoconv.torch import links
from isoconv.torch.max_pool import pool_axes

Linked = tuple[links.Link, tuple[Any, ...]]
"""A link, and the tensors that it takes."""


def linked(layer: Any, is_first: bool) -> Linked | None:
    """The layer as a link; None if it is of another class, a subclass's, or unusual.

    is_first: whether its input is seen by others, so that it may not be written to.
    """
    kind = type(layer)
    made = _LINKS.get(kind.__name__) if kind.__module__.startswith(_ROOMS) else None
    if made is None or (is_first and getattr(layer, "inplace", False)):
        return None
    return made(layer)


def _conv(layer: Any) -> Linked | None:
    if layer.padding_mode != "zeros":
        return None
    padding = layer.padding
    if not isinstance(padding, str):
        padding = tuple([(n, n) if isinstance(n, int) else n for n in padding])
    numbers = (layer.kernel_size, layer.stride, layer.dilation, padding, layer.groups)
    return _weighted(links.Conv, layer, layer.in_channels, layer.out_channels, *numbers)


def _linear(layer: Any) -> Linked:
    return _weighted(links.Linear, layer, layer.in_features, layer.out_features)


def _weighted(link: Callable[..., links.Link], layer: Any, *numbers: Any) -> Linked:
    weight, bias = layer.weight, layer.bias
    if bias is None:
        return link(*numbers, False), (weight,)
    return link(*numbers, True), (weight, bias)


def _batch_norm(least: int, most: int) -> Callable[[Any], Linked | None]:
    def make(layer: Any) -> Linked | None:
        mean, variance = layer.running_mean, layer.running_var
        weight, bias = layer.weight, layer.bias
        of_batch = layer.training or mean is None
        is_kept = layer.training and layer.track_running_stats and mean is not None
        if (is_kept and layer.momentum is None) or (weight is None) != (bias is None):
            return None
        tensors = () if weight is None else (weight, bias)
        if is_kept or not of_batch:
            tensors += (mean, variance)
        momentum = layer.momentum if is_kept else None
        link = links.BatchNorm((least, most), layer.eps, weight is not None, of_batch, momentum)
        return link, tensors

    return make


def _max_pool(rank: int) -> Callable[[Any], Linked | None]:
    def make(layer: Any) -> Linked | None:
        axes = pool_axes(rank, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        if axes is None or layer.return_indices or layer.ceil_mode:
            return None
        return links.MaxPool(axes), ()

    return make


def _global_mean(rank: int) -> Callable[[Any], Linked | None]:
    def make(layer: Any) -> Linked | None:
        size = layer.output_size
        is_one = size == 1 or (isinstance(size, tuple) and size == (1,) * rank)
        return (links.GlobalMean(rank), ()) if is_one else None

    return make


def _dropout(layer: Any) -> Linked | None:
    if not layer.training or layer.p == 0:
        return links.Activation("Identity", ()), ()
    return (links.Dropout(layer.p), ()) if layer.p < 1 else None


def _flatten(layer: Any) -> Linked | None:
    is_usual = layer.start_dim == 1 and layer.end_dim == -1
    return (links.Flatten(), ()) if is_usual else None


def _activation(name: str, *numbers: str) -> Callable[[Any], Linked | None]:
    def make(layer: Any) -> Linked:
        return links.Activation(name, tuple([getattr(layer, each) for each in numbers])), ()

    return make


_ROOMS = ("torch.nn.modules.", "isoconv.torch.")

_LINKS: dict[str, Callable[[Any], Linked | None]] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "Conv3d": _conv,
    "Linear": _linear,
    "MaxPool1d": _max_pool(1),
    "MaxPool2d": _max_pool(2),
    "MaxPool3d": _max_pool(3),
    "BatchNorm1d": _batch_norm(2, 3),
    "BatchNorm2d": _batch_norm(4, 4),
    "BatchNorm3d": _batch_norm(5, 5),
    "Dropout": _dropout,
    "AdaptiveAvgPool1d": _global_mean(1),
    "AdaptiveAvgPool2d": _global_mean(2),
    "AdaptiveAvgPool3d": _global_mean(3),
    "Flatten": _flatten,
    "Identity": _activation("Identity"),
    "ReLU": _activation("ReLU"),
    "ReLU6": _activation("ReLU6"),
    "LeakyReLU": _activation("LeakyReLU", "negative_slope"),
    "ELU": _activation("ELU", "alpha"),
    "SiLU": _activation("SiLU"),
    "GELU": _activation("GELU", "approximate"),
    "Sigmoid": _activation("Sigmoid"),
    "Tanh": _activation("Tanh"),
}
