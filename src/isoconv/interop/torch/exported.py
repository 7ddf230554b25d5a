"""`from_torch`: what torch.export says of a module, as a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from isoconv import naming, optional
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.interop.torch import elements, shapes, windows
from isoconv.interop.torch.graph import Drawing, Handlers, NeedsSizes
from isoconv.models.model import Model

HANDLERS = Handlers(elements.HANDLERS | shapes.HANDLERS | windows.HANDLERS)


def from_torch(
    module: Any, example: Any, *, dynamic: bool = True, name: str | None = None
) -> Model:
    """A torch.nn.Module as a model with the same weights, in "channels_first".

    module: as it computes in `eval()`; what it is stays as it was. Its layers keep the names of its
    attributes, such as "layer1.0.conv1". example: an input, or a tuple of its inputs, each with
    the batch first. dynamic: whether batch and lengths may differ from the example's, wherever the
    module allows it; what its code decides by looking at sizes is decided for all. name: of the
    model.
    Raises ArgumentError, which names the module, for operations that there is no layer for.
    """
    torch = optional.require("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(explain("from_torch: module", type(module), "a torch.nn.Module"))
    inputs = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not inputs or not all(isinstance(each, torch.Tensor) for each in inputs):
        raise ArgumentError(explain("from_torch: example", type(example), "a tensor or several"))
    label = name or naming.unique(naming.snake_case(type(module).__name__))
    with _evaluating(module):
        # First all sizes, then fewer, then none: what code or a layer fixes is refused.
        freedoms: list[Sequence[int]] = [range(64), [0, *range(2, 64)], range(1)] if dynamic else []
        refusals = _refusals()
        for free in freedoms:
            try:
                return Drawing(_exported(torch, module, inputs, free), HANDLERS).model(label)
            except refusals:
                continue
        return Drawing(_exported(torch, module, inputs, ()), HANDLERS).model(label)


def _exported(torch: Any, module: Any, inputs: tuple[Any, ...], free: Sequence[int]) -> Any:
    """The program for inputs whose axes `free` may have any size."""
    # Export takes a size of 1 for one that never changes.
    grown = tuple(_of_two(torch, each) for each in inputs) if free else inputs
    shapes = torch.export.ShapesCollection()
    for each in grown:
        axes = [axis for axis in free if axis < each.ndim]
        shapes[each] = dict.fromkeys(axes, torch.export.Dim.AUTO)
    with optional.late("isoconv.interop.torch.pooling").any_length():
        return torch.export.export(module, grown, dynamic_shapes=shapes if free else None)


def _of_two(torch: Any, tensor: Any) -> Any:
    one = tensor.ndim > 0 and tensor.shape[0] == 1
    return torch.cat([tensor, tensor]) if one else tensor.clone()


def _refusals() -> tuple[type[Exception], ...]:
    """What is raised where code, or a layer, depends on the sizes that were to be free."""
    dynamo = optional.require("torch._dynamo.exc", "torch")
    symbolic = optional.require("torch.fx.experimental.symbolic_shapes", "torch")
    return (
        ShapeError,
        NeedsSizes,
        dynamo.TorchDynamoException,
        symbolic.ConstraintViolationError,
        symbolic.GuardOnDataDependentSymNode,
    )


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """The module and all within it in `eval()`, and then as they were."""
    before = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in before.items():
            each.training = training
