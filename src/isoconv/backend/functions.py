"""`K.function`, and the learning phase: whether layers behave as in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoconv import naming
from isoconv.errors import ArgumentError, explain
from isoconv.models.function import Function
from isoconv.ops.recorder import training

Phase = int | bool | None


class LearningPhase:
    """What `learning_phase()` gives: an input of a `function`, 0 for use and 1 for training."""

    def __repr__(self) -> str:
        return "<learning phase>"


_PHASE = LearningPhase()
_fixed: Phase = None


def learning_phase() -> Any:
    """The learning phase: an input for `function`, or the number that was set."""
    return _PHASE if _fixed is None else int(_fixed)


def set_learning_phase(value: Phase) -> None:
    """Fixes the phase of functions that are given none, to a value: 0 for use, 1 for training."""
    global _fixed
    if value not in (0, 1):
        raise ArgumentError(explain("set_learning_phase", repr(value), "0 or 1"))
    _fixed = value


def clear_session() -> None:
    """Starts the numbers in names anew, and leaves the learning phase open again."""
    global _fixed
    _fixed = None
    naming.clear()


def in_train_phase(x: Any, alt: Any, training: Phase = None) -> Any:
    """`x` in training, `alt` otherwise; each a value or a function of nothing that gives it."""
    chosen = x if _trains(training) else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x: Any, alt: Any, training: Phase = None) -> Any:
    """`x` in use, `alt` in training."""
    return in_train_phase(alt, x, training)


def _trains(said: Phase) -> bool:
    around = training() if said is None else said
    return bool(_fixed if around is None else around)


def function(inputs: Sequence[Any], outputs: Any) -> Callable[[Sequence[Any]], Any]:
    """The outputs as a function of a list of arrays, one an input, compiled.

    inputs: tensors of drawn models or placeholders; `learning_phase()` among them takes 0 or 1.
    outputs: tensors, in any list, dict or alone; the function gives arrays in that structure.
    """
    phases = [i for i, each in enumerate(inputs) if isinstance(each, LearningPhase | int)]
    if len(phases) > 1:
        raise ArgumentError(explain("function: inputs", "two learning phases", "at most one"))
    run = Function([each for i, each in enumerate(inputs) if i not in phases], outputs)

    def call(values: Sequence[Any]) -> Any:
        if len(values) != len(inputs):
            given = f"{len(values)} values"
            raise ArgumentError(explain("function", given, f"{len(inputs)}, one an input"))
        said = bool(values[phases[0]]) if phases else None
        data = [each for i, each in enumerate(values) if i not in phases]
        return run(data, training=_trains(said))

    return call
