"""Optimizers whose steps follow a gradient or its sign: SGD and Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops
from isoconv.errors import ArgumentError, explain
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.optimizers.base import Optimizer, fraction


class SGD(Optimizer):
    """w -= rate * g; with momentum, v = momentum * v - rate * g and w += v (Sutskever et al. 2013).

    nesterov: w += momentum * v - rate * g instead, with the new v.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = fraction(momentum, self.where("momentum"))
        self.nesterov = nesterov

    def slots(self) -> Sequence[Sequence[str]]:
        return [("momentum",)] if self.momentum else ()

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        velocity = self.slot("momentum", variable)
        velocity.assign(velocity * self.momentum - step)
        ahead = velocity * self.momentum - step if self.nesterov else velocity
        variable.assign(variable + ahead)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}


class Lion(Optimizer):
    """Steps of one size, by the sign of a running mean of gradients (Chen et al. 2023).

    w -= rate * sign(beta_1 * m + (1 - beta_1) * g), then m = beta_2 * m + (1 - beta_2) * g.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = fraction(beta_1, self.where("beta_1"))
        self.beta_2 = fraction(beta_2, self.where("beta_2"))
        if not self.beta_1:
            wanted = "a number above 0, for without it only the signs of gradients are left"
            raise ArgumentError(explain(self.where("beta_1"), 0, wanted))

    def slots(self) -> Sequence[Sequence[str]]:
        return [("momentum",)]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        mean = self.slot("momentum", variable)
        direction = ops.sign(mean * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable - direction * learning_rate)
        mean.assign(mean * self.beta_2 + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}
