"""PyTorch's convolution layers, computed by isoconv's kernels where these can: with PyTorch's
parameters, signatures and autograd. What is not float32 or float64 on a CPU is left to PyTorch.

The rank of a convolution is that of the longest tuple among its kernel size, stride, padding and
dilation, whatever the class says; with numbers alone it is the class's own. `padding` may also be
"same" with any strides (Keras' rule, the odd position at the end), "causal", and pairs (before,
after), one an axis. The other arguments are PyTorch's: padding_mode and output_padding, device and
dtype of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoconv import optional
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir import geometry
from isoconv.torch.choosing import Choices, is_left
from isoconv.torch.form import Form, form_of
from isoconv.torch.operator import form, is_ours, is_plain, solve, weights_of

torch: Any = optional.require("torch", "torch")

_MODES = ("zeros", "reflect", "replicate", "circular")


# -- arguments --------------------------------------------------------------------------------


def _numbers(where: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """One whole number an axis, of one number, of a tuple of one, or of as many as axes."""
    given = (value,) if isinstance(value, int) else tuple(value)
    if len(given) == 1:
        given *= rank
    if len(given) != rank or not all(isinstance(n, int) and n >= least for n in given):
        raise ArgumentError(explain(where, repr(value), f"{rank} integers of at least {least}"))
    return given


def _rank(own: int, kernel_size: Any, others: Sequence[Any]) -> int:
    """The axes that the longest tuple speaks of, the class's own if there is none. Beside the
    kernel size, tuples of one are for all axes.
    """
    lengths = [len(each) for each in others if isinstance(each, tuple | list) and len(each) > 1]
    if isinstance(kernel_size, tuple | list):
        lengths.append(len(kernel_size))
    return max(lengths, default=own)


def _padding(where: str, value: Any, rank: int) -> Any:
    """A mode, or (before, after) for each axis."""
    if isinstance(value, str):
        if value not in ("valid", "same", "causal"):
            expected = 'a number, a tuple, "valid", "same" or "causal"'
            raise ArgumentError(explain(where, repr(value), expected))
        return value
    if isinstance(value, tuple | list) and any(isinstance(n, tuple | list) for n in value):
        pairs = [_numbers(where, pair, 2, 0) for pair in value]
        if len(pairs) != rank:
            raise ArgumentError(explain(where, repr(value), f"{rank} pairs (before, after)"))
        return tuple(pairs)
    return tuple((n, n) for n in _numbers(where, value, rank, 0))


# -- convolutions -----------------------------------------------------------------------------


class _Conv(torch.nn.modules.conv._ConvNd):  # type: ignore[misc]
    """What the convolutions share. `rank` is that of the class's name."""

    rank: int
    is_transposed = False
    # Set by `accelerate`: what PyTorch computes faster is left to it.
    choices: Choices | None = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        output_padding: Any = 0,
    ) -> None:
        torch.nn.Module.__init__(self)
        name = type(self).__name__
        pads = () if isinstance(padding, str) else (padding,)
        rank = _rank(self.rank, kernel_size, [stride, dilation, *pads])
        for label, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if groups < 1 or count < 1 or count % groups:
                expected = f"a positive multiple of groups = {groups}"
                raise ArgumentError(explain(f"{name}: {label}", count, expected))
        if padding_mode not in _MODES:
            expected = f"one of {', '.join(_MODES)}"
            raise ArgumentError(explain(f"{name}: padding_mode", repr(padding_mode), expected))
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _numbers(f"{name}: kernel_size", kernel_size, rank, 1)
        self.stride = _numbers(f"{name}: stride", stride, rank, 1)
        self.dilation = _numbers(f"{name}: dilation", dilation, rank, 1)
        self.output_padding = _numbers(f"{name}: output_padding", output_padding, rank, 0)
        pairs = _padding(f"{name}: padding", padding, rank)
        # As PyTorch's classes keep it, where they could.
        even = not isinstance(pairs, str) and all(low == high for low, high in pairs)
        self.padding = tuple(low for low, _ in pairs) if even else pairs
        self.transposed, self.groups = self.is_transposed, groups
        self.padding_mode = padding_mode
        outer, inner = out_channels, in_channels
        if self.is_transposed:
            outer, inner = inner, outer
        options = {"device": device, "dtype": dtype}
        shape = (outer, inner // groups, *self.kernel_size)
        self.weight = torch.nn.Parameter(torch.empty(shape, **options))
        vector = torch.nn.Parameter(torch.empty(out_channels, **options)) if bias else None
        self.register_parameter("bias", vector)
        self.reset_parameters()

    def _pairs(self, lengths: Sequence[int]) -> list[Any]:
        """The padding before and after each axis."""
        if not isinstance(self.padding, str):
            return [(n, n) if isinstance(n, int) else n for n in self.padding]
        numbers = zip(lengths, self.kernel_size, self.stride, self.dilation, strict=True)
        return [geometry.padding(self.padding, *each) for each in numbers]

    def _batched(self, x: Any) -> Any:
        """The input with a batch; ShapeError where it cannot be this layer's."""
        rank = len(self.kernel_size)
        if x.dim() == rank + 1:
            x = x.unsqueeze(0)
        channels = self.in_channels
        if x.dim() != rank + 2 or x.shape[1] != channels:
            expected = f"(batch, {channels}{', length' * rank}), the batch left out or not"
            given = f"shape {tuple(x.shape)}"
            raise ShapeError(explain(f"{type(self).__name__}: input", given, expected))
        return x

    def _arguments(self, pairs: Any) -> tuple[Any, ...]:
        """What the operator takes after the lengths."""
        channels, filters = self.in_channels, self.out_channels
        if self.is_transposed:
            channels, filters = filters, channels
        return (
            channels,
            filters,
            self.kernel_size,
            self.stride,
            self.dilation,
            tuple([low for low, _ in pairs]),
            tuple([high for _, high in pairs]),
            self.groups,
        )

    def _form(self, x: Any, resolved: Callable[..., Any], more: tuple[Any, ...]) -> Form:
        """The form for a batch x.

        resolved: gives the lengths and the padding of a batch, unless they are known for a layer of
        the same numbers. more: what they follow from besides; the last is an argument of
        `resolved`.
        """
        key = (
            self.is_transposed,
            x.shape,
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            *more,
        )
        known = _FORMS.get(key)
        if known is None:
            lengths, pairs = resolved(x, more[-1])[:2]
            if len(_FORMS) >= _MOST_FORMS:
                _FORMS.clear()
            known = _FORMS[key] = form_of(tuple(lengths), *self._arguments(pairs))
        return known


# The forms of layers, by all numbers that they follow from.
_FORMS: dict[Any, Form] = {}
_MOST_FORMS = 4096


class _Forward(_Conv):
    """Convolutions."""

    def forward(self, x: Any) -> Any:
        given, padded = self._batched(x), self.padding_mode != "zeros"
        if padded:
            pads = _flat(self._pairs(given.shape[2:]))
            given = torch.nn.functional.pad(given, pads, mode=self.padding_mode)
        (weight, bias), choices = weights_of(self), self.choices
        ours = is_ours(given, weight)
        if ours and is_plain(given, weight, bias):
            known = self._form(given, self._resolved, (padded,))
            call = known.call("y", given, weight, bias)
            if choices is not None and is_left(choices, call, given, weight, bias):
                return super().forward(x)
            y = solve(call, given, weight, bias)
        elif ours:
            lengths, pairs = self._resolved(given, padded)
            y = form("y", given, weight, bias, list(lengths), *self._arguments(pairs))
        else:
            pairs = self._resolved(given, padded)[1]
            edged = torch.nn.functional.pad(given, _flat(pairs))
            convolve = getattr(torch.nn.functional, f"conv{len(pairs)}d")
            options = (self.stride, 0, self.dilation, self.groups)
            y = convolve(edged, weight, bias, *options)
        return y if x.dim() == given.dim() else y.squeeze(0)

    def _resolved(self, x: Any, padded: bool) -> tuple[Any, Any]:
        """The lengths of a batch, and the padding; none is left where it was padded already."""
        lengths = x.shape[2:]
        pairs = [(0, 0)] * len(lengths) if padded else self._pairs(lengths)
        self._check_fit(lengths, pairs)
        return lengths, pairs

    def _check_fit(self, lengths: Sequence[int], pairs: Any) -> None:
        numbers = zip(lengths, pairs, self.kernel_size, self.dilation, strict=True)
        for axis, (length, (low, high), taps, dilation) in enumerate(numbers):
            span = geometry.span(taps, dilation)
            if length + low + high < span:
                where = f"{type(self).__name__}: input"
                given = f"{length} + {low} + {high} positions on axis {axis}"
                raise ShapeError(explain(where, given, f"at least the kernel's {span}"))


def _flat(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """(before, after) an axis as `torch.nn.functional.pad` takes them: the last axis first."""
    return [n for pair in reversed(pairs) for n in pair]


class _Transposed(_Conv):
    """Transposed convolutions: the form solved for its input."""

    is_transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        if isinstance(padding, str):
            raise ArgumentError(explain(f"{name}: padding", repr(padding), "numbers"))
        if padding_mode != "zeros":
            raise ArgumentError(explain(f"{name}: padding_mode", repr(padding_mode), '"zeros"'))
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            output_padding=output_padding,
        )

    def forward(self, x: Any, output_size: Any = None) -> Any:
        given = self._batched(x)
        wanted = None if output_size is None else tuple(output_size)
        (weight, bias), choices = weights_of(self), self.choices
        ours = is_ours(given, weight)
        if ours and is_plain(given, weight, bias):
            known = self._form(given, self._resolved, (self.output_padding, wanted))
            call = known.call("x", weight, given, bias)
            if choices is not None and is_left(choices, call, given, weight, bias):
                return super().forward(x, output_size)
            y = solve(call, weight, given, bias)
        else:
            lengths, highs, extra = self._resolved(given, wanted)
            if ours:
                y = form("x", weight, given, bias, lengths, *self._arguments(highs))
            else:
                y = self._by_torch(given, self._pairs(given.shape[2:]), extra)
        return y if x.dim() == given.dim() else y.squeeze(0)

    def _resolved(self, x: Any, wanted: tuple[int, ...] | None) -> tuple[Any, Any, Any]:
        """The lengths of the output for a batch, the padding, and what of the lengths is added.

        wanted: the output's size, if it was given.
        """
        pairs = self._pairs(x.shape[2:])
        smallest = self._lengths(x.shape[2:], pairs)
        extra = self.output_padding
        if wanted is not None:
            sizes = wanted[-len(smallest) :]
            extra = tuple(int(n) - s for n, s in zip(sizes, smallest, strict=True))
            if not all(0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
                where = f"{type(self).__name__}: output_size"
                expected = f"from {tuple(smallest)} to less than a stride more"
                raise ShapeError(explain(where, wanted, expected))
        lengths = [n + e for n, e in zip(smallest, extra, strict=True)]
        highs = [(low, high - e) for (low, high), e in zip(pairs, extra, strict=True)]
        return lengths, highs, extra

    def _lengths(self, lengths: Sequence[int], pairs: Any) -> list[int]:
        """The sizes of the output, if nothing is added to it."""
        numbers = zip(lengths, self.kernel_size, self.stride, self.dilation, pairs, strict=True)
        return [(n - 1) * s + geometry.span(k, d) - sum(p) for n, k, s, d, p in numbers]

    def _by_torch(self, x: Any, pairs: Any, extra: Sequence[int]) -> Any:
        """Without padding, then cropped: pairs may differ on the two sides."""
        transpose = getattr(torch.nn.functional, f"conv_transpose{len(pairs)}d")
        options = (self.stride, 0, 0, self.groups, self.dilation)
        y = transpose(x, self.weight, None, *options)
        crop = [(-low, e - high) for (low, high), e in zip(pairs, extra, strict=True)]
        y = torch.nn.functional.pad(y, _flat(crop))
        return y if self.bias is None else y + self.bias.to(y.dtype).reshape(-1, *[1] * len(crop))


class Conv1d(_Forward, torch.nn.Conv1d):  # type: ignore[misc]
    """`torch.nn.Conv1d` on these kernels; x (batch, channels, length)."""

    rank = 1


class Conv2d(_Forward, torch.nn.Conv2d):  # type: ignore[misc]
    """`torch.nn.Conv2d` on these kernels; x (batch, channels, height, width)."""

    rank = 2


class Conv3d(_Forward, torch.nn.Conv3d):  # type: ignore[misc]
    """`torch.nn.Conv3d` on these kernels; x (batch, channels, depth, height, width)."""

    rank = 3


class ConvTranspose1d(_Transposed, torch.nn.ConvTranspose1d):  # type: ignore[misc]
    """`torch.nn.ConvTranspose1d` on these kernels; x (batch, channels, length)."""

    rank = 1


class ConvTranspose2d(_Transposed, torch.nn.ConvTranspose2d):  # type: ignore[misc]
    """`torch.nn.ConvTranspose2d` on these kernels; x (batch, channels, height, width)."""

    rank = 2


class ConvTranspose3d(_Transposed, torch.nn.ConvTranspose3d):  # type: ignore[misc]
    """`torch.nn.ConvTranspose3d` on these kernels; x (batch, channels, depth, height, width)."""

    rank = 3
