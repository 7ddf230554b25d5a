"""The form as an operator of PyTorch, `isoconv::form`, that can be differentiated any number of
times, traced and exported: each of its derivatives is the form again, solved for another operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import optional
from isoconv.torch.form import Call, channels_are_last, form_of

torch: Any = optional.require("torch", "torch")

# What `torch.library` is told instead of annotations, which are strings here.
_SCHEMA = (
    "(str face, Tensor first, Tensor second, Tensor? bias, SymInt[] lengths, int channels, "
    "int filters, int[] taps, int[] strides, int[] dilation, SymInt[] low, SymInt[] high, "
    "int groups) -> Tensor"
)


def _run(face: str, first: Any, second: Any, bias: Any, *arguments: Any) -> Any:
    """The face of the form. arguments: what the schema has after the tensors."""
    form = form_of(*[tuple(each) if isinstance(each, list) else each for each in arguments])
    return form.call(face, first, second, bias)(first, second, bias)[0]


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
    needs = ctx.needs_input_grad[1:4]
    return None, *_gradients(ctx, grad, needs), *(None for _ in ctx.rest)


def _gradients(ctx: Any, grad: Any, needs: Sequence[bool]) -> list[Any]:
    """By both operands and the bias, each of them a form that can be differentiated again."""
    saved = ctx.saved_tensors
    found: list[Any] = []
    for place, (face, order) in enumerate(_DERIVATIVES[ctx.face]):
        if not needs[place]:
            found.append(None)
            continue
        pair = (saved[1 - place], grad)
        found.append(form(face, pair[order[0]], pair[order[1]], None, *ctx.rest))
    found.append(_over_channels(grad) if ctx.has_bias and needs[2] else None)
    return found


_library: Any = torch.library.Library("isoconv", "FRAGMENT")
_library.define(f"form{_SCHEMA}")
_library.impl("form", _run, "CPU")
torch.library.register_fake("isoconv::form", _fake, lib=_library)
torch.library.register_autograd("isoconv::form", _backward, setup_context=_setup, lib=_library)


def form(face: str, first: Any, second: Any, bias: Any, *arguments: Any) -> Any:
    """form(face, first, second, bias, lengths, channels, filters, taps, strides, dilation, low,
    high, groups): see `isoconv.torch.form.Call` for the operands; low and high are the padding.
    """
    if not is_plain(first, second, bias):
        return torch.ops.isoconv.form(face, first, second, bias, *arguments)
    found = form_of(*map(_fixed, arguments))
    return solve(found.call(face, first, second, bias), first, second, bias)


def _fixed(argument: Any) -> Any:
    return argument if isinstance(argument, int) else tuple(argument)


def is_ours(x: Any, weight: Any) -> bool:
    """Whether the kernels take these tensors: dense, of one floating dtype, on a CPU, and in none
    of PyTorch's function transforms, forward derivatives and traces by `torch.jit.trace`.
    """
    dtype = x.dtype
    return (
        dtype in _DTYPES
        and dtype is weight.dtype
        and x.is_cpu
        and weight.is_cpu
        and x.layout is torch.strided
        and weight.layout is torch.strided
        and not torch.is_autocast_enabled("cpu")
        and (_is_compiling() or not _is_transformed(x, weight))
    )


def _is_transformed(x: Any, weight: Any) -> bool:
    return (
        _is_wrapped(x)
        or _is_wrapped(weight)
        or _forward._current_level >= 0
        or _tracing() is not None
    )


def is_plain(*tensors: Any) -> bool:
    """Whether PyTorch's dispatcher, which takes longer than a small layer, may be left out: nobody
    traces, and the tensors (or None) are no more than numbers in memory.
    """
    if _is_compiling() or _dispatching():
        return False
    for tensor in tensors:
        if tensor is not None and (
            type(tensor) not in _PLAIN
            or _is_wrapped(tensor)
            or tensor.is_neg()
            or tensor._is_zerotensor()
        ):
            return False
    return True


_DTYPES = (torch.float32, torch.float64)
_PLAIN = (torch.Tensor, torch.nn.Parameter)
_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
_is_compiling = torch.compiler.is_compiling
_dispatching = torch._C._len_torch_dispatch_stack
_tracing = torch._C._get_tracing_state
_forward = torch.autograd.forward_ad


def weights_of(layer: Any) -> tuple[Any, Any]:
    """The weight and the bias of a layer. Parameters are found sooner than attributes; what they
    are computed from, by a parametrization, is an attribute alone.
    """
    own = layer._parameters
    if "weight" in own and "bias" in own:
        return own["weight"], own["bias"]
    return layer.weight, layer.bias


def solve(call: Call, first: Any, second: Any, bias: Any) -> Any:
    """The call for its plain tensors, which can be differentiated."""
    if torch.is_grad_enabled() and (
        first.requires_grad or second.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _Solved.apply(call, first, second, bias)
    return call(first, second, bias)[0]


class _Solved(torch.autograd.Function):  # type: ignore[misc]
    """A face of a form for plain tensors, without PyTorch's dispatcher."""

    @staticmethod
    def forward(ctx: Any, call: Call, first: Any, second: Any, bias: Any) -> Any:
        ctx.form, ctx.face, ctx.has_bias = call.form, call.face, bias is not None
        ctx.save_for_backward(first, second)
        return call(first, second, bias)[0]

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        _, *needs = ctx.needs_input_grad
        if torch.is_grad_enabled() or not is_plain(grad):
            ctx.rest = ctx.form.arguments
            return None, *_gradients(ctx, grad, needs)
        saved = ctx.saved_tensors
        found: list[Any] = [None, None, None]
        for place, (face, order) in enumerate(_DERIVATIVES[ctx.face]):
            if needs[place]:
                pair = (saved[1 - place], grad)
                first, second = pair[order[0]], pair[order[1]]
                # Gradients by weights and bias read the same numbers.
                summed = ctx.face if face == "w" and needs[2] else ""
                found[place], *sums = ctx.form.call(face, first, second, None, summed)(
                    first, second
                )
                if sums:
                    found[2] = sums[0]
        if needs[2] and found[2] is None:
            found[2] = _over_channels(grad)
        return None, *found


def _over_channels(grad: Any) -> Any:
    return grad.sum((0, *range(2, grad.dim())))
