"""Max pooling of tensors with channels first: two compiled programs for one geometry, its outputs
and the gradient by its input, which finds again where each maximum stood.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from isoconv import compiler, optional
from isoconv.ir import sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.layout import to_first, to_last
from isoconv.ir.ops import make
from isoconv.runtime.executable import Addressed, Executable
from isoconv.torch.operator import is_plain
from isoconv.torch.threads import team

torch: Any = optional.require("torch", "torch")


def max_pool(x: Any, axes: tuple[Axis, ...]) -> Any:
    """The maximum of each window of x (batch, channels, lengths), plain and contiguous."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _Pooled.apply(x, axes)
    return pooled(x, axes)


def pooled(x: Any, axes: tuple[Axis, ...]) -> Any:
    """`max_pool` without a derivative."""
    run = _call(axes, tuple(x.shape), x.dtype, False, torch.get_num_threads())
    y = torch.empty(run.shapes[0], dtype=x.dtype)
    run((x.data_ptr(), y.data_ptr()))
    return y


def spread(x: Any, dy: Any, axes: tuple[Axis, ...]) -> Any:
    """The gradient by x: each window's dy where the first of its maxima stood."""
    run = _call(axes, tuple(x.shape), x.dtype, True, torch.get_num_threads())
    given, dx = dy.contiguous(), torch.empty(x.shape, dtype=x.dtype)
    run((given.data_ptr(), x.data_ptr(), dx.data_ptr()))
    return dx


class _Pooled(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[Axis, ...]) -> Any:
        ctx.save_for_backward(x)
        ctx.axes = axes
        return pooled(x, axes)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, None]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_plain(grad):
            return _spread_again(x, grad, ctx.axes), None
        return spread(x, grad, ctx.axes), None


def _spread_again(x: Any, dy: Any, axes: tuple[Axis, ...]) -> Any:
    """As `spread`, in operations of PyTorch, which can be differentiated by dy."""
    options = [list(each) for each in zip(*((a.taps, a.stride, a.low) for a in axes), strict=True)]
    dilation = [axis.dilation for axis in axes]
    pool = getattr(torch.nn.functional, f"max_pool{len(axes)}d")
    _, places = pool(x.detach(), *options, dilation, return_indices=True)
    zeros = torch.zeros_like(x).flatten(2)
    return zeros.scatter_add(2, places.flatten(2), dy.flatten(2)).view(x.shape)


def pooled_by_torch(x: Any, axes: tuple[Axis, ...]) -> Callable[[], object]:
    """What PyTorch does for the outputs and the gradient of `max_pool`, recording nothing."""
    if len(axes) == 1:
        # As PyTorch itself does.
        x, axes = x.unsqueeze(2), (Axis(1), *axes)
    numbers = [(a.taps, a.stride, sizes.number(a.low), a.dilation) for a in axes]
    options = (*map(list, zip(*numbers, strict=True)), False)
    name = f"max_pool{len(axes)}d_with_indices"
    forward, backward = (getattr(torch.ops.aten, f"{name}{end}") for end in ("", "_backward"))

    def run() -> None:
        y, places = forward(x, *options)
        backward(y, x, *options, places)

    return run


@lru_cache(maxsize=4096)
def _call(
    axes: tuple[Axis, ...], shape: tuple[int, ...], dtype: Any, back: bool, threads: int
) -> Addressed:
    name = str(dtype).removeprefix("torch.")
    program = _program(axes, shape[1], name, back, threads)
    if not back:
        return program.addressed([shape])
    places = [axis.output(length) for axis, length in zip(axes, shape[2:], strict=True)]
    return program.addressed([(*shape[:2], *map(sizes.number, places)), shape])


@lru_cache(maxsize=1024)
def _program(
    axes: tuple[Axis, ...], channels: int, dtype: str, back: bool, threads: int
) -> Executable:
    lengths = [sizes.name(f"l{i}") for i in range(len(axes))]
    places = [axis.output(length) for axis, length in zip(axes, lengths, strict=True)]
    batch = sizes.name("n")
    x = make("input", name="x", shape=(batch, channels, *lengths), dtype=dtype)
    if not back:
        y = make("pool_max", to_last(x), axes=axes)
        graph = Graph((x,), (to_first(y),))
    else:
        dy = make("input", name="dy", shape=(batch, channels, *places), dtype=dtype)
        taps = make("pool_argmax", to_last(x), axes=axes)
        given = to_last(dy)
        dx = make("pool_scatter", given, taps, axes=axes, sizes=tuple(lengths))
        graph = Graph((dy, x), (to_first(dx),))
    return compiler.compile(graph, threads=threads, team=team())
