"""Learning rates as functions of the number of steps made, by Keras' names, inside the step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from isoconv import ops, registry, settings
from isoconv.errors import ArgumentError, explain
from isoconv.ops.compiled import Compiled
from isoconv.ops.convert import as_array, as_tensor
from isoconv.ops.recorder import recording
from isoconv.ops.tensor import Tensor


class LearningRateSchedule:
    """A learning rate for each step. Subclasses write `__call__(step)`, in isoconv.ops.

    step: how many steps were made, an integer Tensor in training.
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate of the step that follows `step` others."""
        raise NotImplementedError(f"{type(self).__name__}: __call__ is not written")

    def value(self, step: Any) -> Any:
        """The rate: a Tensor while a program is traced, otherwise a float."""
        if recording() is not None:
            return self(step)
        return float(self._at_once(as_array(step)))

    @cached_property
    def _at_once(self) -> Compiled:
        return Compiled(self.__call__)

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__}: get_config is not written")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


class _Decay(LearningRateSchedule):
    """The base of those below, which compute in `floatx()`; a subclass writes `rate`."""

    def __init__(self, name: str | None, **options: Any) -> None:
        self.name = name or type(self).__name__
        self._options = options
        self._dtype = settings.floatx()
        vars(self).update(options)
        for key in ("decay_steps", "first_decay_steps"):
            if key in options and not options[key] > 0:
                where = f"{type(self).__name__}: {key}"
                raise ArgumentError(explain(where, options[key], "a number above 0"))

    def __init_subclass__(cls) -> None:
        registry.builtin("schedules")(cls)

    def __call__(self, step: Any) -> Any:
        if recording() is None:
            return self._at_once(as_array(step))
        return self.rate(ops.cast(step, self._dtype))

    def rate(self, step: Tensor) -> Tensor:
        """The learning rate after so many steps, a float."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**self._options, "name": self.name}


class _Stepped(_Decay):
    """The base of decays by a rate a number of steps; staircase: a whole rate at once."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
            staircase=staircase,
        )

    def passed(self, step: Tensor) -> Tensor:
        """step / decay_steps, rounded down for a staircase."""
        quotient = step / self.decay_steps
        return ops.floor(quotient) if self.staircase else quotient


class ExponentialDecay(_Stepped):
    """initial_learning_rate * decay_rate^(step / decay_steps).

    staircase: with the exponent rounded down.
    """

    def rate(self, step: Tensor) -> Tensor:
        decay = as_tensor(self.decay_rate, self._dtype)
        return ops.power(decay, self.passed(step)) * self.initial_learning_rate


class InverseTimeDecay(_Stepped):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    staircase: with the quotient rounded down.
    """

    def rate(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate / (self.passed(step) * self.decay_rate + 1.0)


class PiecewiseConstantDecay(_Decay):
    """values[i] until step boundaries[i], then the next; a value more than boundaries."""

    boundaries: Sequence[float]
    values: Sequence[float]

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None
    ) -> None:
        if len(values) != len(boundaries) + 1:
            given = f"{len(boundaries)} boundaries and {len(values)} values"
            wanted = "one value more than boundaries"
            raise ArgumentError(explain("PiecewiseConstantDecay", given, wanted))
        super().__init__(name or "PiecewiseConstant", boundaries=boundaries, values=values)

    def __call__(self, step: Any) -> Any:
        if recording() is None:
            return super().__call__(step)
        # Steps stay integers, which are exact.
        found = as_tensor(self.values[-1], self._dtype)
        for last, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            found = ops.where(ops.less_equal(step, last), as_tensor(value, self._dtype), found)
        return found


class PolynomialDecay(_Decay):
    """(initial - end) * (1 - step / decay_steps)^power + end, until decay_steps.

    cycle: then on with the next multiple of decay_steps, instead of staying at the end.
    """

    decay_steps: float
    initial_learning_rate: float
    end_learning_rate: float
    power: float
    cycle: bool

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            power=power,
            cycle=cycle,
        )

    def rate(self, step: Tensor) -> Tensor:
        if self.cycle:
            rounds = ops.maximum(ops.ceil(step / self.decay_steps), 1.0)
            passed = step / (rounds * self.decay_steps)
        else:
            passed = ops.minimum(step, self.decay_steps) / self.decay_steps
        fall = self.initial_learning_rate - self.end_learning_rate
        power = as_tensor(self.power, self._dtype)
        return ops.power(1.0 - passed, power) * fall + self.end_learning_rate


class CosineDecay(_Decay):
    """Half a cosine from initial_learning_rate to alpha times that, in decay_steps (Loshchilov
    and Hutter 2016).

    warmup_target: first rise to this, in a straight line of warmup_steps, and fall from there.
    """

    decay_steps: float
    initial_learning_rate: float
    alpha: float
    warmup_target: float | None
    warmup_steps: float

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str | None = None,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
        )

    def rate(self, step: Tensor) -> Tensor:
        start = self.initial_learning_rate
        if self.warmup_target is None:
            return self._fall(step, start)
        late = self._fall(ops.maximum(step - self.warmup_steps, 0.0), self.warmup_target)
        if not self.warmup_steps:
            return late
        early = step / self.warmup_steps * (self.warmup_target - start) + start
        return ops.where(step < self.warmup_steps, early, late)

    def _fall(self, step: Tensor, start: float) -> Tensor:
        passed = ops.minimum(step, self.decay_steps) / self.decay_steps
        return _half_cosine(passed, self.alpha) * start


class CosineDecayRestarts(_Decay):
    """Half cosines one after the other (Loshchilov and Hutter 2016).

    The first takes first_decay_steps, each next one t_mul times as many, from m_mul times as high.
    """

    first_decay_steps: float
    initial_learning_rate: float
    t_mul: float
    m_mul: float
    alpha: float

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            name or "SGDRDecay",
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=first_decay_steps,
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
        )

    def rate(self, step: Tensor) -> Tensor:
        passed = step / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = ops.floor(passed)
            passed = passed - restarts
        else:
            # Lengths 1, t, t^2, ... add up to (t^n - 1) / (t - 1).
            grown = ops.log(passed * (self.t_mul - 1.0) + 1.0)
            restarts = ops.floor(grown / math.log(self.t_mul))
            length = ops.power(as_tensor(self.t_mul, self._dtype), restarts)
            passed = (passed - (length - 1.0) / (self.t_mul - 1.0)) / length
        height = ops.power(as_tensor(self.m_mul, self._dtype), restarts)
        return _half_cosine(passed, self.alpha, height) * self.initial_learning_rate


def _half_cosine(passed: Tensor, alpha: float, height: Any = 1.0) -> Tensor:
    """From height to alpha, for `passed` from 0 to 1."""
    cosine: Tensor = (ops.cos(passed * math.pi) + 1.0) * 0.5
    scaled: Tensor = cosine * height * (1.0 - alpha) + alpha
    return scaled


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """The schedule as data."""
    return registry.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` made this data of."""
    return registry.deserialize(config, "schedules", custom_objects)
