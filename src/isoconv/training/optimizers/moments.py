"""Optimizers by running means of gradients and of their squares: Adam, AdamW and Nadam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import ops, settings
from isoconv.errors import ArgumentError, explain
from isoconv.ops.convert import as_tensor
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.optimizers.base import Optimizer, fraction


class Adam(Optimizer):
    """Steps by running means of gradients m and of their squares v (Kingma and Ba 2015).

    w -= rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon) at step t. amsgrad:
    divides by the largest v so far (Reddi et al. 2018).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = fraction(beta_1, self.where("beta_1"))
        self.beta_2 = fraction(beta_2, self.where("beta_2"))
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def slots(self) -> Sequence[Sequence[str]]:
        return [("momentum", "velocity"), *([("velocity_hat",)] if self.amsgrad else [])]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = ops.cast(self.updates + 1, variable.dtype)
        # The same nodes for every variable: computed once a step.
        unbiased = ops.sqrt(1.0 - ops.power(as_tensor(self.beta_2, variable.dtype), step))
        rate = learning_rate * unbiased
        rate = rate / (1.0 - ops.power(as_tensor(self.beta_1, variable.dtype), step))
        mean, square = self.slot("momentum", variable), self.slot("velocity", variable)
        mean.assign(mean + (gradient - mean) * (1.0 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1.0 - self.beta_2))
        if self.amsgrad:
            largest = self.slot("velocity_hat", variable)
            largest.assign(ops.maximum(largest, square))
            square = largest
        variable.assign(variable - mean * rate / (ops.sqrt(square) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2}
        return super().get_config() | own | {"epsilon": self.epsilon, "amsgrad": self.amsgrad}


class AdamW(Adam):
    """Adam with weight decay apart from the gradients (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs["weight_decay"] = weight_decay
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **kwargs)
        if weight_decay is None:
            raise ArgumentError(explain(self.where("weight_decay"), "None", "a number"))


class Nadam(Optimizer):
    """Adam that looks one step of momentum ahead (Dozat 2015).

    With u_t = beta_1 (1 - 0.96^t / 2) and p_t their product up to t, w -= rate * a /
    (sqrt(v / (1 - beta_2^t)) + epsilon), where a = u_(t+1) m / (1 - p_(t+1)) + (1 - u_t) g /
    (1 - p_t).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = fraction(beta_1, self.where("beta_1"))
        self.beta_2 = fraction(beta_2, self.where("beta_2"))
        self.epsilon = epsilon

    def slots(self) -> Sequence[Sequence[str]]:
        return [("momentum", "velocity")]

    def build(self, trainable_variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(trainable_variables)
            dtype = trainable_variables[0].dtype if trainable_variables else settings.floatx()
            self._product = self.add_variable((), dtype, "u_product", start=1.0)

    def begin_step(self) -> None:
        self._product.assign(self._product * self._momentum_at(1, self._product.dtype))

    def _momentum_at(self, ahead: int, dtype: str) -> Tensor:
        """u_t of the step that is `ahead` of those made."""
        decayed = ops.power(as_tensor(0.96, dtype), ops.cast(self.updates + ahead, dtype))
        return (1.0 - decayed * 0.5) * self.beta_1

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        dtype = variable.dtype
        mean, square = self.slot("momentum", variable), self.slot("velocity", variable)
        mean.assign(mean + (gradient - mean) * (1.0 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1.0 - self.beta_2))
        now, later = self._momentum_at(1, dtype), self._momentum_at(2, dtype)
        product = as_tensor(self._product, dtype)
        ahead = mean * (later / (1.0 - product * later)) + gradient * (
            (1.0 - now) / (1.0 - product)
        )
        step = ops.cast(self.updates + 1, dtype)
        unbiased = 1.0 - ops.power(as_tensor(self.beta_2, dtype), step)
        spread = ops.sqrt(square / unbiased) + self.epsilon
        variable.assign(variable - ahead * learning_rate / spread)

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return super().get_config() | own
