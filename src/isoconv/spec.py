"""Layers as text: `Conv1D(64, 3, padding='same') > Flatten()`, read without running anything."""

from __future__ import annotations

import ast
import difflib
import inspect
from typing import Any

import numpy as np

from isoconv import layers as known
from isoconv.errors import ArgumentError
from isoconv.layers.base import Layer
from isoconv.layers.wrapping import Lambda

# In single quotes within, because shells take double ones away.
EXAMPLE = "Conv1D(64, 3, padding='same') > Flatten() > Dense(10)"


def layers(text: str) -> list[Layer]:
    """The layers that a spec names, one after the other.

    text: calls of layers with plain values as arguments, joined by `>`. Raises ArgumentError with
    the place marked where it is not understood, with the nearest name where there is no such
    layer, and with the arguments there are where one is unknown.
    """
    return [_layer(text, call) for call in _calls(text)]


def text(layer: Layer) -> str:
    """A layer as it would be written: the arguments that differ from the defaults."""
    named = not type(layer).__module__.startswith("isoconv.layers") or isinstance(layer, Lambda)
    config = {} if named else layer.get_config()
    shown = []
    parameters = inspect.signature(type(layer).__init__).parameters
    for name, parameter in parameters.items():
        if name not in config or name in _UNSHOWN or parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = _plain(config[name])
        if name == "strides" and config[name] == config.get("pool_size"):
            continue
        goes_without_saying = parameter.default is not parameter.empty and name != "pool_size"
        if goes_without_saying and _alike(value, parameter.default):
            continue
        positional = parameter.default is parameter.empty
        shown.append(f"{value!r}" if positional else f"{name}={value!r}")
    name = type(layer).__name__
    return f"{name}({', '.join(shown)})" if config else f"{name} '{layer.name}'"


# What is written as a class or a function, and not as text.
_UNWRITTEN = frozenset({"Layer", "Lambda"})

_UNSHOWN = frozenset({"name", "trainable", "dtype", "self"})


def _plain(value: Any) -> Any:
    """A value of a config as it is written: equal numbers as one, lists as tuples.

    Numbers of 32 bits, such as older files hold, have the fewest digits that tell them apart.
    """
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            short = np.float32(value)
        return float(str(short)) if float(short) == value else value
    if isinstance(value, list):
        value = tuple(map(_plain, value))
        if len(value) == 1 and isinstance(value[0], int):
            return value[0]
    return value


def _alike(value: Any, default: Any) -> bool:
    if value == default or (value == "linear" and default is None) or isinstance(value, dict):
        return True
    if isinstance(value, tuple) and isinstance(default, int):
        return all(each == default for each in value)
    return default is None and value == "channels_last"


def _calls(text: str) -> list[ast.Call]:
    """The calls between the `>` of a spec."""
    try:
        tree = ast.parse(_line(text), mode="eval").body
    except SyntaxError as error:
        bracket = "never closed" in error.msg
        why = "this bracket is never closed" if bracket else "no layer can be read here"
        raise _unclear(text, _offset(text, error), why) from None
    except (ValueError, RecursionError, MemoryError):
        raise _unclear(text, 0, "no layers can be read here") from None
    parts: list[ast.expr] = [tree]
    if isinstance(tree, ast.Compare):
        for operator, after in zip(tree.ops, tree.comparators, strict=True):
            if not isinstance(operator, ast.Gt):
                raise _at(text, after, "layers are joined by >")
        parts = [tree.left, *tree.comparators]
    for part in parts:
        if not isinstance(part, ast.Call) or not isinstance(part.func, ast.Name):
            raise _at(text, part, "a layer with its arguments is expected, such as Conv1D(64, 3)")
    return [part for part in parts if isinstance(part, ast.Call)]


def _layer(text: str, call: ast.Call) -> Layer:
    assert isinstance(call.func, ast.Name)
    name = call.func.id
    found = getattr(known, name, None) if name in known.__all__ else None
    if not (isinstance(found, type) and issubclass(found, Layer)) or name in _UNWRITTEN:
        names = [each for each in known.__all__ if each[0].isupper() and each not in _UNWRITTEN]
        near = difflib.get_close_matches(name, names, 1, 0.4)
        hint = f"there is no layer {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        raise _at(text, call, hint)
    args = [_value(text, each) for each in call.args]
    kwargs = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _at(text, keyword.value, "** is not understood")
        _check_name(text, found, name, keyword)
        kwargs[keyword.arg] = _value(text, keyword.value)
    try:
        inspect.signature(found.__init__).bind(None, *args, **kwargs)
    except TypeError as error:
        raise _at(text, call, f"{name}: {error}") from None
    try:
        return found(*args, **kwargs)
    except (ArgumentError, TypeError, ValueError) as error:
        raise _at(text, call, str(error).removesuffix(".")) from None


def _check_name(text: str, found: type[Layer], name: str, keyword: ast.keyword) -> None:
    """The layer must have the argument, here or in what it is made of."""
    names = [
        each
        for base in found.__mro__
        if "__init__" in vars(base) and issubclass(base, Layer)
        for each, kind in inspect.signature(vars(base)["__init__"]).parameters.items()
        if kind.kind not in (kind.VAR_KEYWORD, kind.VAR_POSITIONAL) and each != "self"
    ]
    names += ["input_shape", "input_dim"]
    if keyword.arg not in names and keyword.arg != "alpha":
        own = [each for each in inspect.signature(found.__init__).parameters if each in names]
        shown = difflib.get_close_matches(str(keyword.arg), names, 1, 0.5) or own
        raise _at(
            text, keyword, f"{name} has no argument {keyword.arg!r}; it has {', '.join(shown)}"
        )


def _value(text: str, expression: ast.expr) -> Any:
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name):
        return _layer(text, expression)
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        wanted = "a plain value is expected: a number, a text in quotes, a tuple, True, False, None"
        if isinstance(expression, ast.Name):
            wanted = f"a text stands in quotes: '{expression.id}'"
        raise _at(text, expression, wanted) from None


# -- errors -----------------------------------------------------------------------------------


def _line(text: str) -> str:
    """The spec on one line, from its first character on."""
    return " ".join(text.split("\n")).replace("\t", " ").strip()


def _offset(text: str, error: SyntaxError) -> int:
    return min(max(0, (error.offset or 1) - 1), len(_line(text)))


def _at(text: str, place: ast.expr | ast.keyword, why: str) -> ArgumentError:
    # Python counts bytes here.
    before = _line(text).encode()[: place.col_offset].decode()
    return _unclear(text, len(before), why)


def _unclear(text: str, offset: int, why: str) -> ArgumentError:
    """The error with a caret under the place; long specs are cut around it."""
    line = _line(text)
    start = max(0, offset - 50)
    shown = line[start : start + 70]
    mark = " " * (offset - start) + "^"
    end = "" if why.endswith("?") else "."
    return ArgumentError(
        f"spec: {why}{end}\n  {shown}\n  {mark}\nExpected layers such as {EXAMPLE}."
    )
