"""Optimizers by Keras' names and numbers, as part of the compiled step or at once on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from isoconv import naming, ops, registry, settings
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.convert import as_array, as_tensor
from isoconv.ops.program import Compiled
from isoconv.ops.recorder import Array, recording
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable

# Keras' further arguments, which mean nothing where they have these values.
_NEUTRAL: Mapping[str, Any] = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class Optimizer:
    """Changes variables along their gradients. Subclasses write `slots` and `update_step`.

    Args:
        learning_rate: how far. It is a variable: a new value is seen by the next step.
        weight_decay: each step takes learning_rate * weight_decay of each variable away first.
        clipnorm: gradients longer than this are shortened to it, each by itself.
        clipvalue: each number of a gradient is held between minus this and this.
        global_clipnorm: like clipnorm, for all gradients as one vector.
        name: its name.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = name or naming.unique(naming.snake_case(type(self).__name__))
        _only_neutral(self.where(), kwargs)
        self.weight_decay = _positive(weight_decay, self.where("weight_decay"))
        self.clipnorm = _positive(clipnorm, self.where("clipnorm"))
        self.clipvalue = _positive(clipvalue, self.where("clipvalue"))
        self.global_clipnorm = _positive(global_clipnorm, self.where("global_clipnorm"))
        if sum(each is not None for each in (clipnorm, clipvalue, global_clipnorm)) > 1:
            wanted = "at most one of clipnorm, clipvalue and global_clipnorm"
            raise ArgumentError(explain(self.where(), "several", wanted))
        self._variables: list[Variable] = []
        self._iterations = self.add_variable((), "int64", "iteration")
        self._learning_rate = self.add_variable((), settings.floatx(), "learning_rate")
        self.learning_rate = learning_rate
        self._places: dict[Variable, int] = {}
        self._slots: dict[str, list[Variable]] = {}
        self._applying: tuple[list[Variable], Compiled] | None = None
        self.built = False

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            registry.builtin("optimizers", cls.__name__.lower())(cls)

    # -- what subclasses write -----------------------------------------------------------------

    def slots(self) -> Sequence[Sequence[str]]:
        """The names of the variables it keeps for each variable that it changes.

        In groups: files hold the slots of one group variable by variable, as Keras does.
        """
        return ()

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Assigns the variable's new value, and those of its slots, in isoconv.ops."""
        raise NotImplementedError

    # -- state ---------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """All its state: iterations, learning rate, then the slots, variable by variable."""
        return list(self._variables)

    @property
    def iterations(self) -> Variable:
        """How many steps were made."""
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate, a variable."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        number = value.numpy() if isinstance(value, Variable) else value
        array = np.asarray(number)
        if array.dtype.kind not in "fiu" or array.ndim or not np.isfinite(array) or array < 0:
            wanted = "a finite number of at least 0"
            raise ArgumentError(explain(self.where("learning_rate"), repr(value), wanted))
        self._learning_rate.assign(array)

    def add_variable(self, shape: Sequence[int], dtype: Any, name: str) -> Variable:
        """Makes a variable of the optimizer's state, which starts at 0."""
        path = f"{self.name}/{name}"
        zeros = np.zeros(tuple(shape), dtype)
        variable = Variable(zeros, trainable=False, name=name, path=path)
        self._variables.append(variable)
        return variable

    def build(self, trainable_variables: Sequence[Variable]) -> None:
        """Makes the slots for these variables, which are all that it can change afterwards."""
        if self.built:
            return
        self._places = {variable: place for place, variable in enumerate(trainable_variables)}
        for group in self.slots():
            self._slots |= {name: [] for name in group}
            for variable in trainable_variables:
                for name in group:
                    label = f"{variable.path.replace('/', '_')}_{name}"
                    slot = self.add_variable(variable.shape, variable.dtype, label)
                    self._slots[name].append(slot)
        self.built = True

    def slot(self, name: str, variable: Variable) -> Variable:
        """What is kept for a variable under the name of a slot."""
        return self._slots[name][self._places[variable]]

    # -- stepping ------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """`apply` of pairs."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """One step: clips the gradients, decays and updates the variables, applies constraints.

        grads: a gradient for each variable. trainable_variables: those it was built with, or some
        of them; all if left out.
        """
        variables = list(self._places) if trainable_variables is None else list(trainable_variables)
        self.build(variables)
        self._check(grads, variables)
        if recording() is not None:
            self._apply(variables, grads)
            return
        if self._applying is None or self._applying[0] != variables:
            self._applying = variables, Compiled(partial(self._apply, variables))
        self._applying[1]([_array(gradient) for gradient in grads])

    def _check(self, grads: Sequence[Any], variables: Sequence[Variable]) -> None:
        if len(grads) != len(variables):
            given, wanted = f"{len(grads)} gradients", f"{len(variables)}, one a variable"
            raise ArgumentError(explain(self.where("apply"), given, wanted))
        for gradient, variable in zip(grads, variables, strict=True):
            if variable not in self._places:
                remedy = "Compile the model again, with a new optimizer."
                wanted = "variables that it was built with"
                raise ArgumentError(explain(self.where(), variable.path, wanted, remedy))
            if tuple(gradient.shape) != variable.shape:
                where = self.where(f"gradient of {variable.path}")
                raise ShapeError(explain(where, tuple(gradient.shape), f"shape {variable.shape}"))

    def _apply(self, variables: Sequence[Variable], grads: Sequence[Any]) -> None:
        rate = as_tensor(self._learning_rate)
        clipped = self._clip([as_tensor(g, v.dtype) for g, v in zip(grads, variables, strict=True)])
        for gradient, variable in zip(clipped, variables, strict=True):
            own_rate = as_tensor(rate, variable.dtype)
            if self.weight_decay is not None:
                variable.assign(variable - variable * self.weight_decay * own_rate)
            self.update_step(gradient, variable, own_rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign(ops.add(self._iterations, 1))

    def _clip(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        if self.clipnorm is not None:
            return [_shorten(g, self.clipnorm, ops.sum(ops.square(g))) for g in grads]
        if self.global_clipnorm is not None:
            squares = [ops.sum(ops.square(g)) for g in grads]
            total = sum(squares[1:], squares[0]) if squares else None
            return [_shorten(g, self.global_clipnorm, total) for g in grads]
        return grads

    # -- configuration -------------------------------------------------------------------------

    def where(self, argument: str = "") -> str:
        """The optimizer, and one of its arguments, as error messages name them."""
        text = f"{type(self).__name__} '{self.name}'"
        return f"{text}: {argument}" if argument else text

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "learning_rate": float(self._learning_rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


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
        self.momentum = _fraction(momentum, self.where("momentum"))
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
        self.beta_1 = _fraction(beta_1, self.where("beta_1"))
        self.beta_2 = _fraction(beta_2, self.where("beta_2"))
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def slots(self) -> Sequence[Sequence[str]]:
        return [("momentum", "velocity"), *([("velocity_hat",)] if self.amsgrad else [])]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = ops.cast(self.iterations + 1, variable.dtype)
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
        self.rho = _fraction(rho, self.where("rho"))
        self.momentum = _fraction(momentum, self.where("momentum"))
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


# -- arguments and arithmetic -----------------------------------------------------------------


def _shorten(gradient: Tensor, limit: float, square: Any) -> Tensor:
    """The gradient, times limit / sqrt(square) where that is less than 1."""
    # The other side of `where` must not divide by 0.
    long = square > limit * limit
    norm = ops.sqrt(ops.where(long, square, 1.0))
    return gradient * ops.where(long, limit / norm, 1.0)


def _array(gradient: Any) -> Array:
    return as_array(gradient.array if isinstance(gradient, Variable) else gradient, "gradient")


def _positive(value: float | None, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ArgumentError(explain(where, repr(value), "a number of at least 0"))
    return float(value) or None


def _fraction(value: float, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ArgumentError(explain(where, repr(value), "a number from 0 to 1"))
    return float(value)


def _only_neutral(where: str, given: Mapping[str, Any]) -> None:
    """Refuses what is not known, and what is known and asks for something."""
    for name, value in given.items():
        if name not in _NEUTRAL:
            raise ArgumentError(explain(where, name, "arguments that the optimizer has"))
        if value != _NEUTRAL[name] and not (name == "ema_momentum" and not given.get("use_ema")):
            raise ArgumentError(explain(f"{where}: {name}", repr(value), repr(_NEUTRAL[name])))


def get(identifier: Any) -> Any:
    """An optimizer from its name, config, class or itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    return registry.get("optimizers", identifier)


def serialize(optimizer: Any) -> Any:
    """The optimizer as data."""
    return registry.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` made this data of."""
    return registry.deserialize(config, "optimizers", custom_objects)
