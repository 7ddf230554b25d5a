"""The optimizer: clipping, decay, accumulation and averages around the update of a subclass.

It is part of the compiled step, or runs at once on arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from isoconv import naming, ops, registry, settings
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ops.compiled import Compiled
from isoconv.ops.convert import as_array, as_tensor
from isoconv.ops.recorder import Array, recording
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.training.optimizers.schedules import LearningRateSchedule


class Optimizer:
    """Changes variables along their gradients. Subclasses write `slots` and `update_step`.

    Args:
        learning_rate: how far: a number, kept in a variable, so that a new value is seen by the
            next step; or a schedule, a function of the number of steps made.
        weight_decay: each step takes learning_rate * weight_decay of each variable away first.
        clipnorm: gradients longer than this are shortened to it, each by itself.
        clipvalue: each number of a gradient is held between minus this and this.
        global_clipnorm: like clipnorm, for all gradients as one vector.
        use_ema: keep running averages of the variables, average = ema_momentum * average +
            (1 - ema_momentum) * variable, which become the variables when `fit` ends, and every
            ema_overwrite_frequency steps if that is given.
        loss_scale_factor: None; nothing is computed in fewer bits than float32.
        gradient_accumulation_steps: from 2: change the variables after so many steps only, along
            the mean of their gradients.
        name: its name.

    The arithmetic is that of Keras 3.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = name or naming.unique(naming.snake_case(type(self).__name__))
        if kwargs:
            given = ", ".join(kwargs)
            raise ArgumentError(explain(self.where(), given, "arguments that the optimizer has"))
        if loss_scale_factor is not None:
            where = self.where("loss_scale_factor")
            remedy = "All arithmetic is float32 or float64, which needs no scaling."
            raise ArgumentError(explain(where, repr(loss_scale_factor), "None", remedy))
        self.use_ema = bool(use_ema)
        self.ema_momentum = fraction(ema_momentum, self.where("ema_momentum"))
        self.ema_overwrite_frequency = _count(
            ema_overwrite_frequency, 1, self.where("ema_overwrite_frequency")
        )
        self.gradient_accumulation_steps = _count(
            gradient_accumulation_steps, 2, self.where("gradient_accumulation_steps")
        )
        self.weight_decay = _positive(weight_decay, self.where("weight_decay"))
        self.clipnorm = _positive(clipnorm, self.where("clipnorm"))
        self.clipvalue = _positive(clipvalue, self.where("clipvalue"))
        self.global_clipnorm = _positive(global_clipnorm, self.where("global_clipnorm"))
        if sum(each is not None for each in (clipnorm, clipvalue, global_clipnorm)) > 1:
            wanted = "at most one of clipnorm, clipvalue and global_clipnorm"
            raise ArgumentError(explain(self.where(), "several", wanted))
        self._variables: list[Variable] = []
        self._iterations = self.add_variable((), "int64", "iteration")
        self._learning_rate: Variable | LearningRateSchedule
        if isinstance(learning_rate, LearningRateSchedule):
            self._learning_rate = learning_rate
        else:
            self._learning_rate = self.add_variable((), settings.floatx(), "learning_rate")
            self.learning_rate = learning_rate
        self._undecayed: tuple[frozenset[Variable], tuple[str, ...]] = frozenset(), ()
        self._places: dict[Variable, int] = {}
        self._slots: dict[str, list[Variable]] = {}
        self._applying: tuple[list[Variable], Compiled] | None = None
        self.built = False

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith("isoconv.training.optimizers"):
            registry.builtin("optimizers", cls.__name__.lower())(cls)

    # -- what subclasses write -----------------------------------------------------------------

    def slots(self) -> Sequence[Sequence[str]]:
        """The names of the variables it keeps for each variable that it changes.

        In groups: files hold the slots of one group variable by variable, as Keras does.
        """
        return ()

    def slot_start(self, name: str) -> float:
        """What the slots of this name start from."""
        return 0.0

    def begin_step(self) -> None:
        """Assigns what all variables share, before the first of them is updated."""

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Assigns the variable's new value, and those of its slots, in isoconv.ops.

        gradient: of the loss by the variable. learning_rate: of this step.
        """
        raise NotImplementedError

    # -- state ---------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """All its state: iterations, learning rate unless scheduled, averages, accumulated
        gradients, then the slots, variable by variable.
        """
        return list(self._variables)

    @property
    def iterations(self) -> Variable:
        """How many steps were made. With accumulation, several make one change."""
        return self._iterations

    @property
    def updates(self) -> Any:
        """How often the variables were changed so far, as updates see it."""
        if self.gradient_accumulation_steps is None:
            return self._iterations
        return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable; where it is scheduled, its value for the next step."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate.value(self._iterations)
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, LearningRateSchedule):
            remedy = "Make the optimizer with a number to set it later."
            wanted = "no new value, for a schedule decides"
            raise ArgumentError(explain(self.where("learning_rate"), repr(value), wanted, remedy))
        number = value.numpy() if isinstance(value, Variable) else value
        array = np.asarray(number)
        if array.dtype.kind not in "fiu" or array.ndim or not np.isfinite(array) or array < 0:
            wanted = "a finite number of at least 0, or a LearningRateSchedule"
            raise ArgumentError(explain(self.where("learning_rate"), repr(value), wanted))
        self._learning_rate.assign(array)

    def add_variable(
        self, shape: Sequence[int], dtype: Any, name: str, start: float = 0.0
    ) -> Variable:
        """Makes a variable of the optimizer's state.

        shape, dtype, name: of it. start: what all its numbers are at first.
        """
        path = f"{self.name}/{name}"
        # Zeros take no memory until they are written.
        values = np.full(tuple(shape), start, dtype) if start else np.zeros(tuple(shape), dtype)
        variable = Variable(values, trainable=False, name=name, path=path)
        self._variables.append(variable)
        return variable

    def build(self, trainable_variables: Sequence[Variable]) -> None:
        """Makes the slots for `trainable_variables`, all that it can change afterwards."""
        if self.built:
            return
        self._places = {variable: place for place, variable in enumerate(trainable_variables)}
        groups = [("average",)] if self.use_ema else []
        groups += [("gradient_accumulator",)] if self.gradient_accumulation_steps else []
        for group in (*groups, *self.slots()):
            self._slots |= {name: [] for name in group}
            for variable in trainable_variables:
                for name in group:
                    label = f"{variable.path.replace('/', '_')}_{name}"
                    start = self.slot_start(name)
                    slot = self.add_variable(variable.shape, variable.dtype, label, start)
                    self._slots[name].append(slot)
        self.built = True

    def slot(self, name: str, variable: Variable) -> Variable:
        """What is kept for a variable under the name of a slot."""
        return self._slots[name][self._places[variable]]

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Says which variables keep their size: each call anew, and before the first step.

        var_list: variables. var_names: regular expressions; ["bias", "gamma"] are the variables in
        whose names one of them is found.
        """
        where = self.where("exclude_from_weight_decay")
        if self.built:
            wanted = "a call before the optimizer has its variables"
            raise ArgumentError(explain(where, "a call after the first step", wanted))
        variables = [] if var_list is None else var_list
        names = [] if var_names is None else var_names
        if isinstance(names, str) or not all(isinstance(each, str) for each in names):
            raise ArgumentError(explain(where, f"var_names={var_names!r}", "a list of texts"))
        several = isinstance(variables, list | tuple)
        if not several or not all(isinstance(each, Variable) for each in variables):
            raise ArgumentError(explain(where, "var_list of other things", "a list of variables"))
        self._undecayed = frozenset(variables), tuple(names)

    def _decays(self, variable: Variable) -> bool:
        kept, names = self._undecayed
        return variable not in kept and not any(re.search(each, variable.name) for each in names)

    # -- stepping ------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """`apply` of pairs: grads_and_vars holds gradients with their variables."""
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

    def finalize_variable_values(self, variables: Sequence[Variable]) -> None:
        """Gives the variables their averages, where these are kept. `fit` does it at its end."""
        if self.use_ema and self.built:
            for variable in variables:
                if variable in self._places:
                    variable.assign(self.slot("average", variable).array)

    # -- the parts of a step -------------------------------------------------------------------

    def _apply(self, variables: Sequence[Variable], grads: Sequence[Any]) -> None:
        found = [as_tensor(g, v.dtype) for g, v in zip(grads, variables, strict=True)]
        if self.gradient_accumulation_steps is None:
            self._update(variables, found)
        else:
            self._accumulate(variables, found, self.gradient_accumulation_steps)
        if self.use_ema:
            self._average()
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign(ops.add(self._iterations, 1))

    def _update(self, variables: Sequence[Variable], grads: list[Tensor]) -> None:
        """Changes the variables along these gradients."""
        rate = as_tensor(self.learning_rate)
        self.begin_step()
        for gradient, variable in zip(self._clip(grads), variables, strict=True):
            own_rate = as_tensor(rate, variable.dtype)
            if self.weight_decay and self._decays(variable):
                variable.assign(variable - variable * self.weight_decay * own_rate)
            self.update_step(gradient, variable, own_rate)

    def _accumulate(self, variables: Sequence[Variable], grads: list[Tensor], steps: int) -> None:
        """Adds gradients up; where this is the last of `steps`, changes the variables too."""
        due = ops.equal(ops.mod(ops.add(self._iterations, 1), steps), 0)
        sums = [self.slot("gradient_accumulator", variable) for variable in variables]
        totals = [gradient + held for gradient, held in zip(grads, sums, strict=True)]
        # A step has no branches: everything is computed, and kept where it is due.
        before = {each: as_tensor(each) for each in (*variables, *self._variables)}
        self._update(variables, [total / steps for total in totals])
        for each, old in before.items():
            new = as_tensor(each)
            if new.node is not old.node:
                each.assign(ops.where(due, new, old))
        for held, total in zip(sums, totals, strict=True):
            held.assign(ops.where(due, 0.0, total))

    def _average(self) -> None:
        """Moves the averages, and overwrites the variables with them when that is due."""
        started = ops.not_equal(self.updates, 0)
        every = self.ema_overwrite_frequency
        for variable in self._places:
            average = self.slot("average", variable)
            momentum = ops.cast(started, variable.dtype) * self.ema_momentum
            average.assign(momentum * average + (1.0 - momentum) * variable)
            if every is not None:
                due = ops.equal(ops.mod(ops.add(self.updates, 1), every), 0)
                variable.assign(ops.where(due, average, variable))

    def _clip(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        if self.clipnorm:
            return [_shorten(g, self.clipnorm, ops.sum(ops.square(g))) for g in grads]
        if self.global_clipnorm:
            squares = [ops.sum(ops.square(g)) for g in grads]
            total = sum(squares[1:], squares[0]) if squares else None
            return [_shorten(g, self.global_clipnorm, total) for g in grads]
        return grads

    # -- configuration -------------------------------------------------------------------------

    def where(self, argument: str = "") -> str:
        """The optimizer, and `argument`, one of its arguments, as error messages name them."""
        text = f"{type(self).__name__} '{self.name}'"
        return f"{text}: {argument}" if argument else text

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "learning_rate": self._rate_config(),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": None,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    def _rate_config(self) -> Any:
        if isinstance(self._learning_rate, LearningRateSchedule):
            return registry.serialize(self._learning_rate)
        return float(self._learning_rate)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new optimizer with the arguments in `config`."""
        rate = registry.deserialize(config.get("learning_rate"), "schedules")
        return cls(**config | ({} if rate is None else {"learning_rate": rate}))


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
    return float(value)


def fraction(value: float, where: str) -> float:
    """The number, if it is one from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ArgumentError(explain(where, repr(value), "a number from 0 to 1"))
    return float(value)


def _count(value: int | None, least: int, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(explain(where, repr(value), f"None or an integer of at least {least}"))
    return value
