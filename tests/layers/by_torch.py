"""Convolution layers by torch in float64, and the bound that rounding keeps a layer within.

Padding is worked out here once more, from Keras' description: nothing of it is isoconv's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import isoconv
from isoconv import reference
from isoconv.ir.graph import Graph

CONV = (None, F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED = (None, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)

Forward = Callable[..., torch.Tensor]


def around(mode: str, length: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """What Keras pads before and after."""
    span = (taps - 1) * dilation + 1
    if mode == "same":
        outputs = (length + stride - 1) // stride
        total = max((outputs - 1) * stride + span - length, 0)
        return total // 2, total - total // 2
    return (span - 1 if mode == "causal" else 0), 0


def widths(x: torch.Tensor, pairs: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """x, channels second, with `value` around its spatial axes, or cropped where negative."""
    return F.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)


def conv(x, kernel, bias, strides, dilation, padding, groups):
    rank = x.ndim - 2
    each = zip(x.shape[2:], kernel.shape[:rank], strides, dilation, strict=True)
    padded = widths(x, [around(padding, *sizes) for sizes in each])
    weight = kernel.permute(rank + 1, rank, *range(rank)).contiguous()
    return CONV[rank](padded, weight, bias, strides, 0, dilation, groups)


def depthwise(x, kernel, bias, strides, dilation, padding):
    *taps, channels, multiplier = kernel.shape
    flat = kernel.reshape(*taps, 1, channels * multiplier)
    return conv(x, flat, bias, strides, dilation, padding, channels)


def separable(x, deep, mixing, bias, strides, dilation, padding):
    ones = (1,) * (x.ndim - 2)
    inner = depthwise(x, deep, None, strides, dilation, padding)
    return conv(inner, mixing, bias, ones, ones, "valid", 1)


def transposed(x, kernel, bias, strides, dilation, padding, groups, output_padding):
    """The whole transpose, then what Keras takes off or adds at both ends."""
    rank = x.ndim - 2
    weight = kernel.permute(rank + 1, rank, *range(rank)).contiguous()
    whole = TRANSPOSED[rank](x, weight, None, strides, 0, 0, groups, dilation)
    more = output_padding or (None,) * rank
    cuts = []
    for taps, stride, rate, extra in zip(kernel.shape[:rank], strides, dilation, more, strict=True):
        span = (taps - 1) * rate + 1
        if padding == "valid":
            cuts.append((0, max(stride - span, 0) if extra is None else extra))
            continue
        total = stride + span - 2 if extra is None else span + span % 2 - 2 + extra
        left = min((total + 1) // 2, span - 1)
        cuts.append((left - (span - 1), (total - left) - (span - 1)))
    found = widths(whole, cuts)
    return found if bias is None else found + bias.reshape(-1, *(1,) * rank)


def forward_of(layer: Any) -> Forward:
    """What a layer with these attributes should compute, of x and its weights."""
    rank = layer.rank
    options = {"strides": layer.strides, "dilation": layer.dilation_rate, "padding": layer.padding}
    name = type(layer).__name__
    if name.startswith("Depthwise"):
        function = depthwise
    elif name.startswith("Separable"):
        function = separable
    else:
        function = transposed if name.endswith("Transpose") else conv
        options["groups"] = layer.groups
    if function is transposed:
        options["output_padding"] = layer.output_padding

    def forward(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        if layer.data_format == "channels_last":
            x = x.movedim(-1, 1)
        bias = weights if layer.use_bias else (*weights, None)
        y = function(x, *bias, **options)
        return y.movedim(1, -1) if layer.data_format == "channels_last" else y

    assert rank == len(layer.kernel_size)
    return forward


def pulled(forward: Forward, arrays: Sequence[np.ndarray], flow: Callable[..., Any]) -> Any:
    """The output, then the gradients by all arrays of what `flow` gives for the output's shape."""
    leaves = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    y = forward(*leaves)
    cotangent = torch.tensor(flow(tuple(y.shape)), dtype=torch.float64)
    found = torch.autograd.grad(y, leaves, cotangent)
    return [each.detach().numpy() for each in (y, *found)]


def check(layer: Any, shape: tuple[int, ...], seed: int = 0) -> None:
    """Asserts that a layer on numbers of this shape is torch's, forward and backward.

    Each number may be away by 4 eps sqrt(K) times the sum of its K products' sizes. K and that
    sum are torch's results for ones and for absolute values.
    """
    random = np.random.default_rng([seed, *shape])

    def numbers(shape: tuple[int, ...]) -> np.ndarray:
        return random.normal(size=shape).astype(layer.dtype)

    x = numbers(shape)
    layer.build((None, *shape[1:]))
    layer.set_weights([numbers(weight.shape) for weight in layer.weights])
    arrays = [x, *layer.get_weights()]
    actual, pullback = isoconv.vjp(layer, x)
    flow = numbers(actual.shape)
    dx, by_weights = pullback(flow)
    forward = forward_of(layer)
    exact = pulled(forward, arrays, lambda _: flow)
    sums = pulled(forward, [abs(array) for array in arrays], lambda _: abs(flow))
    counts = pulled(forward, [np.ones_like(array) for array in arrays], np.ones)
    whole = (actual, dx, *by_weights)
    for mine, his, size, count in zip(whole, exact, sums, counts, strict=True):
        check_terms(layer.dtype, mine, his, size, count)
    assert tuple(layer.compute_output_shape(shape)) == actual.shape


def check_terms(dtype: str, actual: Any, exact: Any, sums: Any, counts: Any) -> None:
    """Asserts that sums of so many products, of these sizes in all, are near the exact ones."""
    # Two sides round where the layer is in float64 itself.
    eps = np.finfo(dtype).eps * (2 if dtype == "float64" else 1)
    assert actual.shape == exact.shape
    assert actual.dtype == dtype
    assert (abs(actual - exact) <= 4 * eps * np.sqrt(counts) * sums).all()


def by_reference(graph: Graph, *_: Any) -> Callable[..., list[np.ndarray]]:
    """In place of the compiler: the program as its operations' meanings say."""
    names = [node["name"] for node in graph.inputs]
    return lambda arrays, *_: reference.run(graph, dict(zip(names, arrays, strict=True)))
