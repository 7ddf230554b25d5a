"""One node of an ONNX graph while it is read: its operands, its attributes, and drawing for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.interop.onnx.package import dtype_of, onnx
from isoconv.ir.sizes import Dim, Shape, Size
from isoconv.ops.tensor import KerasTensor, Tensor

if TYPE_CHECKING:
    from isoconv.interop.onnx.drawing import Sketch

Array = np.ndarray[Any, Any]

LARGEST = 1 << 40
"""More elements than this has no tensor that fits into memory; products of sizes may overflow."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A value computed from the model's inputs: as drawn, and as traced, which knows its sizes."""

    drawn: KerasTensor
    traced: Tensor

    @property
    def dims(self) -> Shape:
        return self.traced.dims

    @property
    def ndim(self) -> int:
        return len(self.traced.dims)

    @property
    def dtype(self) -> str:
        return self.traced.dtype


Value = Drawn | Array
"""What stands for a name in the graph. An array of objects holds sizes, some known at run time
only."""


@dataclass(frozen=True, eq=False)
class Site:
    """A node, with what it needs to be read.

    label: as errors name it; name: of what is drawn for it, readable, not yet unique. inputs: None
    for operands left out. sketch: what the model is drawn into.
    """

    op: str
    opset: int
    label: str
    name: str
    inputs: Sequence[Value | None]
    names: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]
    sketch: Sketch

    # -- attributes ----------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute: a number, a string, a list or a tensor."""
        if name not in self.attributes:
            return default
        value = onnx("helper").get_attribute_value(self.attributes[name])
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, int | float | str) else _listed(value)

    def flag(self, name: str, default: int = 0) -> bool:
        return bool(self.get(name, default))

    def fail(self, given: object, expected: str, remedy: str = "") -> ArgumentError:
        """An error that names the node."""
        return ArgumentError(explain(self.label, given, expected, remedy))

    # -- operands ------------------------------------------------------------------------------

    def operand(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def required(self, index: int) -> Value:
        value = self.operand(index)
        if value is None:
            raise self.fail(f"{len(self.inputs)} operands", f"operand {index}")
        return value

    def drawn(self, index: int) -> Drawn:
        """An operand as something drawn; a constant becomes a weight."""
        return self.as_drawn(self.required(index), self.names[index])

    def as_drawn(self, value: Value, name: str = "") -> Drawn:
        if isinstance(value, Drawn):
            return value
        if value.dtype == object and not is_known(value):
            sizes = self.call("stack", options={"x": list(value.reshape(-1))}, tensors=0)
            shaped = self.call("reshape", sizes, newshape=list(value.shape))
            found: Drawn = self.call("cast", shaped, dtype="int64")
            return found
        return self.sketch.parameter(as_numbers(value), name, self)

    def scalar_or_drawn(self, index: int) -> Any:
        """An operand for an elementwise function: a Python number for a single constant."""
        value = self.required(index)
        if isinstance(value, Drawn) or not is_known(value) or value.size != 1:
            return self.drawn(index)
        rank = max((v.ndim for v in self.inputs if v is not None), default=0)
        if value.ndim == rank and rank and all(isinstance(v, np.ndarray) for v in self.inputs):
            return self.drawn(index)
        return self.number(index)

    def array(self, index: int, what: str) -> Array | None:
        """An operand whose numbers must be known now, as `what` is; None where it is left out."""
        value = self.operand(index)
        if value is None:
            return None
        if isinstance(value, Drawn) or not is_known(value):
            remedy = "Make it an initializer of the graph."
            raise self.fail(f"{what} computed from the model's inputs", "known numbers", remedy)
        return as_numbers(value)

    def sizes(self, index: int, what: str) -> list[Dim] | None:
        """An operand that lists sizes, known or not; None where it is left out."""
        value = self.operand(index)
        if value is None:
            return None
        if isinstance(value, Drawn):
            remedy = "Make it an initializer of the graph."
            raise self.fail(f"{what} computed from data", "numbers and sizes", remedy)
        return [each if isinstance(each, Size) else int(each) for each in value.reshape(-1)]

    def integers(self, index: int, what: str) -> list[int] | None:
        """An operand that lists whole numbers known now; None where it is left out."""
        found = self.array(index, what)
        return None if found is None else [int(each) for each in found.reshape(-1)]

    def number(self, index: int, what: str = "a number") -> Any:
        """An operand that is one number known now."""
        found = self.array(index, what)
        if found is None or found.size != 1:
            raise self.fail(None if found is None else f"shape {found.shape}", what)
        return found.reshape(()).item()

    def listed(self, name: str, index: int) -> list[int] | None:
        """Whole numbers that older opsets have as an attribute and newer ones as an operand."""
        given = self.get(name)
        return [int(each) for each in given] if given is not None else self.integers(index, name)

    def axis(self, axis: Any, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= int(axis) < max(rank, 1):
            raise self.fail(f"axis {axis}", f"one of {rank} axes")
        return int(axis) % rank if rank else 0

    # -- drawing -------------------------------------------------------------------------------

    def call(
        self, function: str, *args: Any, tensors: int = 1, options: Any = None, **kwargs: Any
    ) -> Any:
        """Draws a call of a function of isoconv.ops; options that hold sizes are worked out at run
        time.
        """
        return self.sketch.call(self, function, args, {**(options or {}), **kwargs}, tensors)

    def layer(
        self,
        make: Callable[..., Any],
        *inputs: Drawn,
        weights: Mapping[str, Any] | None = None,
        suffix: str = "",
        **arguments: Any,
    ) -> Any:
        """Draws a layer on inputs and gives its weights their values.

        weights: by attribute of the layer, an array, or (array, name in the file, transposition).
        suffix: of its name, for a layer that only helps.
        """
        return self.sketch.layer(self, make, inputs, weights or {}, suffix, arguments)

    def dtype(self, element_type: int) -> str:
        return dtype_of(int(element_type), self.label)


Handler = Callable[[Site], Any]
HANDLERS: dict[str, Handler] = {}
"""How each operation is read: it gives a value, or a list with one for each output."""


def reads(*ops: str) -> Callable[[Handler], Handler]:
    """Registers how operations are read."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(ops, handler))
        return handler

    return register


def is_known(value: Array) -> bool:
    """Whether all of a constant is known now."""
    return value.dtype != object or not any(isinstance(each, Size) for each in value.reshape(-1))


def as_numbers(value: Array) -> Array:
    return value.astype("int64") if value.dtype == object else value


def check_size(dims: Sequence[Dim], label: str) -> None:
    """ShapeError for a tensor that no memory holds."""
    known = prod(dim for dim in dims if isinstance(dim, int))
    if known > LARGEST:
        given = f"shape {tuple(dims)}"
        raise ShapeError(explain(label, given, f"a tensor of at most {LARGEST} elements"))


def _listed(value: Any) -> Any:
    return list(value) if hasattr(value, "__iter__") else value
