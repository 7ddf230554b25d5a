"""The form as an operator of PyTorch, `isoconv::form`, that can be differentiated any number of
times, traced and exported: each of its derivatives is the form again, solved for another operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import optional
from isoconv.ir.geometry import Axis
from isoconv.torch.form import Geometry, channels_are_last, solve

torch: Any = optional.require("torch", "torch")

# What `torch.library` is told instead of annotations, which are strings here.
_SCHEMA = (
    "(str face, Tensor first, Tensor second, Tensor? bias, SymInt[] lengths, int channels, "
    "int filters, int[] taps, int[] strides, int[] dilation, SymInt[] low, SymInt[] high, "
    "int groups) -> Tensor"
)


def _run(face: str, first: Any, second: Any, bias: Any, lengths: Any, *fixed: Any) -> Any:
    """The face of the form. fixed: what the schema has after `lengths`."""
    channels, filters, *windows, groups = fixed
    axes = tuple(Axis(*each) for each in zip(*windows, strict=True))
    return solve(face, Geometry(axes, groups, channels, filters), first, second, bias, lengths)


def _fake(face: str, first: Any, second: Any, bias: Any, lengths: Any, *fixed: Any) -> Any:
    """A tensor of the shape and layout of the result. fixed: as for `_run`."""
    channels, filters, taps, strides, dilation, low, high, groups = fixed
    if face == "w":
        return first.new_empty((filters, channels // groups, *taps))
    if face == "x":
        return _empty_like(second, (second.shape[0], channels, *lengths))
    numbers = zip(lengths, taps, strides, dilation, low, high, strict=True)
    sizes = [(n + a + b - (k - 1) * d - 1) // s + 1 for n, k, s, d, a, b in numbers]
    return _empty_like(first, (first.shape[0], filters, *sizes))


def _empty_like(tensor: Any, shape: Sequence[Any]) -> Any:
    """A tensor whose channels are in memory where those of `tensor` are."""
    if not channels_are_last(tensor):
        return tensor.new_empty(shape)
    return tensor.new_empty((shape[0], *shape[2:], shape[1])).movedim(-1, 1)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    face, first, second, bias, *rest = inputs
    ctx.face, ctx.rest, ctx.has_bias = face, rest, bias is not None
    ctx.save_for_backward(first, second)


# For each face: of the derivatives by its operands, the face and in what order it takes the
# operand that is left (0) and the gradient of the result (1).
_DERIVATIVES = {
    "y": (("x", (0, 1)), ("w", (0, 1))),
    "x": (("w", (1, 0)), ("y", (1, 0))),
    "w": (("x", (1, 0)), ("y", (0, 1))),
}


def _backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    found: list[Any] = []
    for place, (face, order) in enumerate(_DERIVATIVES[ctx.face]):
        if not ctx.needs_input_grad[1 + place]:
            found.append(None)
            continue
        pair = (saved[1 - place], grad)
        found.append(form(face, pair[order[0]], pair[order[1]], None, *ctx.rest))
    bias = grad.sum((0, *range(2, grad.dim()))) if ctx.has_bias else None
    return (None, *found, bias, *(None for _ in ctx.rest))


_library: Any = torch.library.Library("isoconv", "FRAGMENT")
_library.define(f"form{_SCHEMA}")
_library.impl("form", _run, "CPU")
torch.library.register_fake("isoconv::form", _fake, lib=_library)
torch.library.register_autograd("isoconv::form", _backward, setup_context=_setup, lib=_library)


def form(face: str, first: Any, second: Any, bias: Any, *rest: Any) -> Any:
    """form(face, first, second, bias, lengths, channels, filters, taps, strides, dilation, low,
    high, groups): see `isoconv.torch.form.solve` for the operands; low and high are the padding.

    Where nothing is recorded, neither for derivatives nor by a tracer, the kernels are called
    without PyTorch's dispatcher, which takes longer than a small layer.
    """
    operands = (first, second) if bias is None else (first, second, bias)
    if _is_recorded(operands):
        return torch.ops.isoconv.form(face, first, second, bias, *rest)
    return _run(face, first, second, bias, *rest)


def _is_recorded(operands: Sequence[Any]) -> bool:
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return True
    if torch.is_grad_enabled() and any(each.requires_grad for each in operands):
        return True
    plain = (torch.Tensor, torch.nn.Parameter)
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return any(type(each) not in plain or wrapped(each) for each in operands)
