"""Stand-ins for values: Tensor while a program is traced, KerasTensor while a model is drawn.

Both share Python's operators with Variable, through one table that the operations fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isoconv.errors import ArgumentError, explain
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Shape, Size

OPERATORS: dict[str, Callable[..., Tensor]] = {}
"""What Python's operators mean, by the name of the operation; `isoconv.ops` fills it."""


class Operand:
    """Python's operators, by way of the operations of `isoconv.ops`."""

    # NumPy arrays on the left leave the operator to us.
    __array_priority__ = 1000

    def __add__(self, other: Any) -> Tensor:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPERATORS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPERATORS["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPERATORS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPERATORS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPERATORS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPERATORS["divide"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return OPERATORS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return OPERATORS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return OPERATORS["mod"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return OPERATORS["mod"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return OPERATORS["power"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return OPERATORS["power"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPERATORS["matmul"](other, self)

    def __neg__(self) -> Any:
        return OPERATORS["negative"](self)

    def __abs__(self) -> Tensor:
        return OPERATORS["absolute"](self)

    def __lt__(self, other: Any) -> Tensor:
        return OPERATORS["less"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return OPERATORS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return OPERATORS["greater"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return OPERATORS["greater_equal"](self, other)

    def __eq__(self, other: Any) -> Any:
        return OPERATORS["equal"](self, other)

    def __ne__(self, other: Any) -> Any:
        return OPERATORS["not_equal"](self, other)

    def __and__(self, other: Any) -> Tensor:
        return OPERATORS["logical_and"](self, other)

    def __or__(self, other: Any) -> Tensor:
        return OPERATORS["logical_or"](self, other)

    def __invert__(self) -> Tensor:
        return OPERATORS["logical_not"](self)

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, key: Any) -> Tensor:
        return OPERATORS["getitem"](self, key)


class Placeholder(Operand):
    """What stands for a value that does not exist yet: it has a shape and a dtype, no number."""

    __array_ufunc__ = None
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"the length of {self!r} is not known while a program is traced")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __bool__(self) -> bool:
        raise self._no_value("if", "Use isoconv.ops.where, or decide from its shape.")

    def __float__(self) -> float:
        raise self._no_value("float")

    def __int__(self) -> int:
        raise self._no_value("int")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_value("a NumPy function", "Use the function of isoconv.ops.")

    def _no_value(self, user: str, remedy: str = "") -> TypeError:
        return TypeError(explain(user, repr(self), "a value that is known now", remedy))


class Tensor(Placeholder):
    """A value of the program being traced.

    node: what computes it. mask: which steps are present (a bool Tensor), or None.
    """

    def __init__(self, node: Node, mask: Tensor | None = None) -> None:
        self.node = node
        self.mask = mask

    @property
    def dims(self) -> Shape:
        """The sizes: numbers, or expressions of sizes known at run time."""
        return self.node.shape

    @property
    def shape(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The sizes, None for those known at run time only."""
        return unknown_as_none(self.node.shape)

    @property
    def dtype(self) -> str:  # type: ignore[override]
        return self.node.dtype

    def __repr__(self) -> str:
        return f"<Tensor {self.dtype} {self.shape}>"


@dataclass(frozen=True, eq=False)
class Call:
    """One call recorded in a model: what was called with what, and what it gave.

    target: a layer, or a function of `isoconv.ops`. name: the name of this step.
    outputs: filled once, when the results are known.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str
    outputs: list[KerasTensor] = field(default_factory=list)


class KerasTensor(Placeholder):
    """A value of a model being drawn: `Input` gives it, and layers called on it.

    shape: None for the batch and for sizes not known. call, index: the recorded call it came
    from and its place among the results; None for one that no call made. mask: what stands for
    its mask, if it has one.
    """

    def __init__(
        self,
        shape: tuple[int | None, ...],
        dtype: str,
        name: str = "keras_tensor",
        call: Call | None = None,
        index: int = 0,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.call = call
        self.index = index
        self.mask: KerasTensor | None = None

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


def unknown_as_none(dims: Shape) -> tuple[int | None, ...]:
    """The shape as Keras shows it."""
    return tuple(None if isinstance(dim, Size) else dim for dim in dims)


def require_known(dim: int | None, where: str, what: str) -> int:
    """A size that must be a number, or an ArgumentError that says so."""
    if dim is None:
        raise ArgumentError(explain(where, "None", f"{what} that is known"))
    return dim
