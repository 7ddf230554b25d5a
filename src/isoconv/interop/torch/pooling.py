"""Max pooling over one axis as an operation that torch.export takes any length for.

Its own fixes the length to that of the example. Importing this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from isoconv import optional

torch: Any = optional.require("torch", "torch")

_library: Any = vars(torch)["library"].Library("isoconv", "FRAGMENT")
_library.define(
    "max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, "
    "int[1] dilation=1, bool ceil_mode=False) -> Tensor"
)


def _max_pool1d(
    x: Any, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Any:
    """By way of two axes, whose lengths are not fixed."""
    wide = [[1, *_first(each)] for each in (size, stride or size)]
    around = [0, *_first(padding)]
    pooled = torch.max_pool2d(x.unsqueeze(-2), *wide, around, [1, *_first(dilation)], ceil)
    return pooled.squeeze(-2)


def _first(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value]


_library.impl("max_pool1d", _max_pool1d, "CompositeExplicitAutograd")


_MAX_POOL1D = (torch.max_pool1d, torch.nn.functional.max_pool1d)


def _called(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    numbers = map(_first, (kernel_size, stride or [], padding, dilation))
    return torch.ops.isoconv.max_pool1d(input, *numbers, ceil_mode)


class _AnyLength(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
    """While it is active, the operation above stands for torch's."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in _MAX_POOL1D and not (kwargs or {}).get("return_indices"):
            return _called(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


@contextmanager
def any_length() -> Iterator[None]:
    """Inside, modules are exported with that operation."""
    with _AnyLength():
        yield
