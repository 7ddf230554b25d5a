"""What a public operation does with what it is given.

On KerasTensors it records itself, inside a trace it builds nodes, otherwise it runs at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import unwrap
from typing import Any, ParamSpec, TypeVar, cast

from isoconv import naming
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled
from isoconv.ops.program import abstract
from isoconv.ops.recorder import recording
from isoconv.ops.tensor import Call, KerasTensor

P = ParamSpec("P")
R = TypeVar("R")

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""The public operations by name, for reading models back."""


def op(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function written on Tensors a public operation.

    Its results are Tensors inside a trace, KerasTensors for KerasTensors, arrays otherwise.
    """
    compiled = Compiled(function)

    @wraps(function)
    def operation(*args: P.args, **kwargs: P.kwargs) -> R:
        if any(isinstance(leaf, KerasTensor) for leaf in tree.leaves((args, kwargs))):
            name = naming.unique(function.__name__)
            return cast(R, record(operation, function, args, kwargs, name))
        recorder = recording()
        if recorder is not None:
            result = function(*args, **kwargs)
            recorder.note(function, args, kwargs, result)
            return result
        return cast(R, compiled(*args, **kwargs))

    FUNCTIONS[function.__name__] = operation
    return operation


def draw_again(function: str, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation called `function`, recorded under the name it had when a model was saved."""
    operation = FUNCTIONS[function]
    return record(operation, unwrap(operation), args, kwargs, name)


def record(
    target: Any, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], name: str
) -> Any:
    """Notes the call of `target` on KerasTensors; `function` says what shapes come out."""
    call = Call(target, tuple(args), dict(kwargs), name)
    result = abstract(function, *args, **kwargs)
    for index, leaf in enumerate(tree.leaves(result)):
        leaf.name, leaf.call, leaf.index = f"{name}_{index}" if index else name, call, index
        call.outputs.append(leaf)
    return result
