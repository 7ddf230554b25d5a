"""Where gradients end: values that are taken as constants."""

from __future__ import annotations

from typing import Any

from isoconv.ops.convert import as_tensor
from isoconv.ops.dispatch import op
from isoconv.ops.recorder import current
from isoconv.ops.tensor import Tensor


@op
def stop_gradient(variable: Any) -> Tensor:
    """The value of `variable`, any tensor or variable, through which no gradient flows."""
    return Tensor(current().stand_in(as_tensor(variable).node))
