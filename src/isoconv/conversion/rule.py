"""A rule on layers: a row of the equations, read in one direction, that builds the other side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from isoconv.conversion.chain import Chain, Shape
from isoconv.layers.base import Layer
from isoconv.layers.transposed import BaseConvTranspose
from isoconv.rewriting.equations import EQUATIONS, Equation, Numeric


@dataclass(frozen=True)
class LayerRule:
    """An equation between chains of layers.

    number: its row in `EQUATIONS`. to: a word for the form it gives. takes: the classes of the
    layers it replaces. build: of the shape of the input and these layers, the other side with its
    weights; None where the condition does not hold. backwards: from right to left.
    """

    number: str
    to: str
    takes: tuple[type[Layer], ...]
    build: Callable[..., Chain | None] = field(repr=False)
    backwards: bool = False

    @property
    def equation(self) -> Equation:
        return EQUATIONS[self.number]

    @property
    def title(self) -> str:
        return f"{self.before} -> {self.after}"

    @property
    def before(self) -> str:
        return self.equation.right if self.backwards else self.equation.left

    @property
    def after(self) -> str:
        return self.equation.left if self.backwards else self.equation.right

    @property
    def condition(self) -> str:
        return self.equation.condition

    @property
    def numeric(self) -> Numeric:
        return self.equation.numeric

    def apply(self, shape: Shape, given: Sequence[Layer]) -> Chain | None:
        """The other side for layers on an input of this shape (without the batch), or None."""
        if len(given) != len(self.takes):
            return None
        if not all(map(_fits, given, self.takes)):
            return None
        arguments: list[Any] = list(given)
        return self.build(shape, *arguments)


def _fits(layer: Layer, wanted: type[Layer]) -> bool:
    if isinstance(layer, BaseConvTranspose) and not issubclass(wanted, BaseConvTranspose):
        return False
    return isinstance(layer, wanted)
