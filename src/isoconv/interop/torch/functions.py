"""What layers do and PyTorch's own functions do not, as functions on its tensors.

Importing this imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import optional
from isoconv.ir import geometry

torch: Any = optional.require("torch", "torch")
functional: Any = optional.require("torch.nn.functional", "torch")


def pad_around(x: Any, pairs: Sequence[Sequence[int]], value: float = 0.0) -> Any:
    """x, channels second, with `value` before and after each spatial axis; negative crops."""
    return functional.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)


def pad_same(
    x: Any, taps: Sequence[int], strides: Sequence[int], dilation: Sequence[int], value: float = 0.0
) -> Any:
    """x with what Keras' "same" pads for its sizes, which PyTorch refuses with strides."""
    each = zip(x.shape[2:], taps, strides, dilation, strict=True)
    return pad_around(x, [geometry.same(*sizes) for sizes in each], value)  # type: ignore[misc]


def mean_of_present(
    x: Any, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Any:
    """Average pooling with "same" padding, which does not count."""
    pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[x.ndim - 3]
    means, shares = (
        pool(pad_same(each, size, strides, dilation), tuple(size), tuple(strides))
        for each in (x, torch.ones_like(x[:1, :1]))
    )
    return means / shares


def norm_pool(x: Any, p: float, size: Sequence[int], strides: Sequence[int], ceil: bool) -> Any:
    """The p-norm of each window."""
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[x.ndim - 3]
    channels = x.shape[1]
    if ceil:
        axes = [geometry.Axis(*each) for each in zip(size, strides, strict=True)]
        more = zip(x.shape[2:], axes, strict=True)
        x = pad_around(x, [(0, geometry.overhang(*each)) for each in more])  # type: ignore[misc]
    ones = torch.ones((channels, 1, *size), dtype=x.dtype, device=x.device)
    return convolve(x.abs().pow(p), ones, stride=tuple(strides), groups=channels).pow(1 / p)


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    """x with its batch and then another shape."""
    return x.reshape(x.shape[0], *shape)


def repeated(x: Any, times: int) -> Any:
    """(batch, channels) as (batch, times, channels)."""
    return x.unsqueeze(1).repeat(1, times, 1)


def average(*tensors: Any) -> Any:
    """The mean of several tensors."""
    return sum(tensors[1:], tensors[0]) / len(tensors)


def product(*tensors: Any) -> Any:
    """The product of several tensors."""
    result = tensors[0]
    for each in tensors[1:]:
        result = result * each
    return result


def total(*tensors: Any) -> Any:
    """The sum of several tensors."""
    return sum(tensors[1:], tensors[0])


def largest(*tensors: Any) -> Any:
    """The largest of several tensors, element by element."""
    result = tensors[0]
    for each in tensors[1:]:
        result = torch.maximum(result, each)
    return result


def smallest(*tensors: Any) -> Any:
    """The smallest of several tensors, element by element."""
    return -largest(*(-each for each in tensors))


def bounded_relu(x: Any, slope: float, most: float | None, threshold: float) -> Any:
    """Keras' ReLU with all of its arguments."""
    rest = slope * (x - threshold) if slope else torch.zeros_like(x)
    result = torch.where(x >= threshold, x, rest)
    return result if most is None else result.clamp(max=most)


def getitem(x: Any, key: Sequence[Any]) -> Any:
    """x[key], backward slices too, which PyTorch refuses."""
    for axis, each in enumerate(key):
        if isinstance(each, slice) and each.step is not None and each.step < 0:
            start, stop, step = each.indices(x.shape[axis])
            places = torch.arange(start, stop, step, device=x.device)
            x = x.index_select(axis, places)
    keys = (
        slice(None) if isinstance(each, slice) and (each.step or 1) < 0 else each for each in key
    )
    return x[tuple(keys)]


def expanded(x: Any, axis: int | Sequence[int]) -> Any:
    """x with axes of size 1 at these places of the result."""
    places = [axis] if isinstance(axis, int) else list(axis)
    rank = x.dim() + len(places)
    for place in sorted(each % rank for each in places):
        x = x.unsqueeze(place)
    return x
