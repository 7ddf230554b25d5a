"""PyTorch's max pooling layers, computed by isoconv's kernels where these can."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from isoconv import optional
from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import number
from isoconv.torch.choosing import Choices, Run, is_slower
from isoconv.torch.operator import is_ours, is_plain
from isoconv.torch.pooling import max_pool, pooled, pooled_by_torch, spread

torch: Any = optional.require("torch", "torch")


class _MaxPool(torch.nn.modules.pooling._MaxPoolNd):  # type: ignore[misc]
    """Max pooling. With `return_indices` or `ceil_mode`, of other layouts than PyTorch's default,
    and traced, it is PyTorch's.
    """

    rank: int
    choices: Choices | None = None

    def forward(self, x: Any) -> Any:
        choices, rank = self.choices, self.rank
        if (
            self.return_indices
            or self.ceil_mode
            or not is_ours(x, x)
            or not is_plain(x)
            or x.dim() != rank + 2
            or not x.is_contiguous()
        ):
            return super().forward(x)
        axes = pool_axes(rank, self.kernel_size, self.stride, self.padding, self.dilation)
        if axes is None or any(map(_is_short, axes, x.shape[2:])):
            return super().forward(x)
        if choices is not None:
            needs = (torch.is_grad_enabled() and x.requires_grad, False)
            if is_slower(choices, axes, x, needs, lambda: self._sides(x, axes, needs[0])):
                return super().forward(x)
        return max_pool(x, axes)

    def _sides(self, x: Any, axes: tuple[Axis, ...], trained: bool) -> tuple[Run, Run]:
        """What we and what PyTorch would run, with the gradient where it is asked for."""
        given, theirs = x.detach(), super().forward

        def ours() -> None:
            y = pooled(given, axes)
            if trained:
                spread(given, y, axes)

        return ours, pooled_by_torch(given, axes) if trained else lambda: theirs(given)


def _is_short(axis: Axis, length: int) -> bool:
    """Whether there is no window."""
    return length + 2 * number(axis.low) < axis.span


@lru_cache(maxsize=1024)
def pool_axes(rank: int, *numbers: Any) -> tuple[Axis, ...] | None:
    """The axes of windows; None where PyTorch is to say what is wrong with the numbers.

    numbers: taps, strides, padding and dilation, one for all axes or one for each.
    """
    each = [(n,) * rank if isinstance(n, int) else tuple(n) for n in numbers]
    if any(len(n) != rank for n in each):
        return None
    columns = list(zip(*each, strict=True))
    if any(min(k, s, d) < 1 or not 0 <= 2 * p <= k for k, s, p, d in columns):
        return None
    return tuple(Axis(k, s, d, p, p) for k, s, p, d in columns)


class MaxPool1d(_MaxPool, torch.nn.MaxPool1d):  # type: ignore[misc]
    """`torch.nn.MaxPool1d` on these kernels; x (batch, channels, length)."""

    rank = 1


class MaxPool2d(_MaxPool, torch.nn.MaxPool2d):  # type: ignore[misc]
    """`torch.nn.MaxPool2d` on these kernels; x (batch, channels, height, width)."""

    rank = 2


class MaxPool3d(_MaxPool, torch.nn.MaxPool3d):  # type: ignore[misc]
    """`torch.nn.MaxPool3d` on these kernels; x (batch, channels, depth, height, width)."""

    rank = 3
