"""Optimizers that divide gradients by their size so far: RMSprop and Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.ops.convert import as_tensor
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.optimizers.base import Optimizer, fraction


class RMSprop(Optimizer):
    """Gradients over the root of their running mean square v (Hinton 2012).

    v = rho * v + (1 - rho) * g^2 and w -= rate * g / sqrt(v + epsilon); centered: of v less the
    square of the running mean of g. With momentum the steps are summed: s = momentum * s + step.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = fraction(rho, self.where("rho"))
        self.momentum = fraction(momentum, self.where("momentum"))
        self.epsilon = epsilon
        self.centered = centered

    def slots(self) -> Sequence[Sequence[str]]:
        own = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return [(name,) for name, used in own.items() if used]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        square = self.slot("velocity", variable)
        square.assign(square * self.rho + ops.square(gradient) * (1.0 - self.rho))
        spread: Any = square
        if self.centered:
            mean = self.slot("average_gradient", variable)
            mean.assign(mean * self.rho + gradient * (1.0 - self.rho))
            spread = square - ops.square(mean)
        step = gradient * learning_rate / ops.sqrt(spread + self.epsilon)
        if self.momentum:
            summed = self.slot("momentum", variable)
            summed.assign(summed * self.momentum + step)
            step = as_tensor(summed)
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        own = {"rho": self.rho, "momentum": self.momentum}
        return super().get_config() | own | {"epsilon": self.epsilon, "centered": self.centered}


class Adagrad(Optimizer):
    """Gradients over the root of the sum s of their squares (Duchi et al. 2011).

    s += g^2 and w -= rate * g / sqrt(s + epsilon); s starts from initial_accumulator_value.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not initial_accumulator_value >= 0:
            where = self.where("initial_accumulator_value")
            raise ArgumentError(explain(where, initial_accumulator_value, "a number from 0"))
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slots(self) -> Sequence[Sequence[str]]:
        return [("accumulator",)]

    def slot_start(self, name: str) -> float:
        return self.initial_accumulator_value if name == "accumulator" else super().slot_start(name)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        total = self.slot("accumulator", variable)
        total.assign(total + ops.square(gradient))
        step = gradient * learning_rate / ops.sqrt(total + self.epsilon)
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        start = {"initial_accumulator_value": self.initial_accumulator_value}
        return super().get_config() | start | {"epsilon": self.epsilon}
