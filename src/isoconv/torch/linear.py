"""PyTorch's Linear layer, computed by isoconv's kernels where these can. Its arguments are
PyTorch's, device and dtype those of the weights.
"""

from __future__ import annotations

from typing import Any

from isoconv import optional
from isoconv.errors import ShapeError, explain
from isoconv.torch.choosing import Choices, is_left
from isoconv.torch.form import form_of
from isoconv.torch.operator import form, is_ours, is_plain, solve, weights_of

torch: Any = optional.require("torch", "torch")


class Linear(torch.nn.Linear):  # type: ignore[misc]
    """`torch.nn.Linear` on these kernels: the form without axes; x (..., features)."""

    # Set by `accelerate`, as for the convolutions.
    choices: Choices | None = None

    def forward(self, x: Any) -> Any:
        (weight, bias), choices = weights_of(self), self.choices
        if not is_ours(x, weight):
            return super().forward(x)
        inputs, outputs = self.in_features, self.out_features
        if not x.dim() or x.shape[-1] != inputs:
            given = f"shape {tuple(x.shape)}"
            raise ShapeError(explain("Linear: input", given, f"(..., {inputs})"))
        rows = x if x.dim() == 2 else x.reshape(-1, inputs)
        arguments = ((), inputs, outputs, (), (), (), (), (), 1)
        if is_plain(rows, weight, bias):
            call = form_of(*arguments).call("y", rows, weight, bias)
            if choices is not None and is_left(choices, call, rows, weight, bias):
                return super().forward(x)
            y = solve(call, rows, weight, bias)
        else:
            y = form("y", rows, weight, bias, *arguments)
        return y if x.dim() == 2 else y.reshape(*x.shape[:-1], outputs)
