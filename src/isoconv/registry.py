"""Objects by name, and as data: what `get_config`, strings like "relu" and saved models go through.

Only classes and functions that were registered are ever found; no name is imported.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from isoconv import naming
from isoconv.errors import ArgumentError, IsoconvError, explain

T = TypeVar("T")

_builtin: dict[tuple[str, str], Any] = {}
_custom: dict[str, Any] = {}
_custom_names: dict[Any, str] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects", default=MappingProxyType({}))

# What Python raises where a config is not what it should be.
WRONG_CONFIG = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)

# What a layer's data says that takes no masks from its inputs, as it does in Keras.
IGNORES_MASKS = "ignores_masks"

# Where Keras keeps each kind, so that it reads what is written here.
_MODULES = {"models": "keras", "schedules": "keras.optimizers.schedules"}


def builtin(kind: str, *aliases: str) -> Callable[[T], T]:
    """Registers a class or function of ours under its name, its snake_case name and aliases.

    kind: "layers", "models", "initializers", "activations", "losses", ... Private ones, on which
    others build, have no names.
    """

    def register(target: T) -> T:
        name = target.__name__  # type: ignore[attr-defined]
        if not name.startswith("_"):
            for each in (name, naming.snake_case(name), *aliases):
                _builtin[kind, each] = target
        return target

    return register


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorator: lets a class or function of the user's be saved and read back by name.

    The name in files is "package>name"; its own name if none is given. ArgumentError for a class
    without get_config.
    """

    def register(target: T) -> T:
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise ArgumentError(
                explain("register_keras_serializable", target, "a class with get_config")
            )
        full = f"{package}>{name or target.__name__}"  # type: ignore[attr-defined]
        _custom[full] = target
        _custom_names[target] = full
        return target

    return register


@contextmanager
def custom_object_scope(objects: Mapping[str, Any]) -> Iterator[None]:
    """Inside, these objects are found by their names too when something is read back."""
    token = _scope.set({**_scope.get(), **objects})
    try:
        yield
    finally:
        _scope.reset(token)


def get_registered_name(target: Any) -> str:
    """The name the class or function `target` was registered under, "package>name", or its own."""
    return _custom_names.get(target, str(target.__name__))


def get_registered_object(name: str) -> Any:
    """What was registered under a name, or None."""
    return _custom.get(name)


# -- to data ----------------------------------------------------------------------------------


def serialize(value: Any) -> Any:
    """The value as JSON data, in Keras' form; objects by their class and config."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [serialize(item) for item in value]
    if isinstance(value, Mapping):
        return {key: serialize(item) for key, item in value.items()}
    if inspect.isfunction(value):
        return _function_name(value)
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": parts}
    if value is ...:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, np.ndarray) and value.ndim:
        config = {"value": value.tolist(), "dtype": value.dtype.name}
        return {"class_name": "__numpy__", "config": config}
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if not hasattr(value, "get_config"):
        raise ArgumentError(explain("serialize", repr(value), "an object with get_config"))
    cls = type(value)
    kind = _kind_of(cls)
    config = {
        "module": getattr(value, "saved_module", None) or _module(cls, kind),
        "class_name": getattr(value, "saved_class_name", cls.__name__),
        "config": value.get_config(),
        "registered_name": None if kind else get_registered_name(cls),
    }
    return config | ({IGNORES_MASKS: True} if getattr(value, IGNORES_MASKS, False) else {})


def _module(cls: type, kind: str | None) -> str:
    return _MODULES.get(kind, f"keras.{kind}") if kind else cls.__module__


def _kind_of(target: Any) -> str | None:
    """The kind of a class or function of ours; None for a user's."""
    for (kind, name), found in _builtin.items():
        if found is target and name == target.__name__:
            return kind
    return None


def _function_name(function: Any) -> Any:
    if _kind_of(function):
        return function.__name__
    return {
        "module": function.__module__,
        "class_name": "function",
        "config": get_registered_name(function),
        "registered_name": get_registered_name(function),
    }


# -- from data --------------------------------------------------------------------------------


def deserialize(
    config: Any, kind: str | None = None, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """The value that `serialize` made this data of.

    kind: what is wanted, where the data does not say. custom_objects: names to find besides
    those registered.
    """
    if custom_objects:
        with custom_object_scope(custom_objects):
            return deserialize(config, kind)
    if isinstance(config, list):
        return [deserialize(item, kind) for item in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config:
        return {key: deserialize(item, kind) for key, item in config.items()}
    if config["class_name"] == "__slice__":
        return slice(*(config["config"].get(part) for part in ("start", "stop", "step")))
    if config["class_name"] == "__ellipsis__":
        return ...
    if config["class_name"] in ("__numpy__", "__tensor__"):
        return _array(config["config"])
    target = _named(config, kind)
    if config["class_name"] == "function":
        return target
    arguments = config.get("config") or {}
    if not isinstance(arguments, Mapping) or not hasattr(target, "from_config"):
        raise ArgumentError(explain("deserialize", config, "a class with its config"))
    with naming_config(str(config["class_name"])):
        made = target.from_config(dict(arguments))
    if config.get(IGNORES_MASKS):
        made.ignores_masks = True
    return made


def _array(config: Mapping[str, Any]) -> Any:
    """The array that data describes. Only names of dtypes reach NumPy, which reads more in text."""
    with naming_config("array"):
        kind = np.dtype(config["dtype"] if str(config["dtype"]).isidentifier() else None)
        if kind.name != config["dtype"] or kind.kind not in "fiub":
            raise ArgumentError(explain("array: dtype", repr(config["dtype"]), "one of numbers"))
        return np.array(config["value"], kind)


@contextmanager
def naming_config(what: str) -> Iterator[None]:
    """Inside, what a config that is not what it should be makes Python raise is an ArgumentError
    that names what the config is of.
    """
    try:
        yield
    except IsoconvError:
        raise
    except WRONG_CONFIG as error:
        given = f"one that raises {type(error).__name__}: {error}"
        raise ArgumentError(explain(f"{what}: config", given, "what get_config gives")) from error


def _named(config: Mapping[str, Any], kind: str | None) -> Any:
    """The class or function that data names."""
    if config["class_name"] == "function":
        return find(config["config"], kind, config.get("registered_name"))
    module = str(config.get("module") or "").split(".")
    found_kind = next((part for part in module if (part, config["class_name"]) in _builtin), kind)
    return find(config["class_name"], found_kind, config.get("registered_name"))


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether `deserialize` would find the class or function that data names."""
    try:
        _named(config, None)
    except ArgumentError:
        return False
    return True


def find(name: str, kind: str | None = None, registered_name: str | None = None) -> Any:
    """The class or function of this name; ArgumentError where nothing was registered."""
    scope = _scope.get()
    for key in (registered_name, name):
        if key is not None and key in scope:
            return scope[key]
        if key is not None and key in _custom:
            return _custom[key]
    if kind is not None and (kind, name) in _builtin:
        return _builtin[kind, name]
    kinds = [each for each, known in _builtin if known == name and kind in (None, "layers")]
    if kinds:
        return _builtin[kinds[0], name]
    known = sorted({each for k, each in _builtin if k == kind and each == each.lower()})
    near = difflib.get_close_matches(str(name), known, 1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    raise ArgumentError(
        explain(
            f"a name among {kind or 'everything registered'}",
            repr(name),
            f"one of {', '.join(known)}" if known else "a registered name",
            f"{meant}Register your own with @isoconv.register_keras_serializable().",
        )
    )


def get(kind: str, identifier: Any) -> Any:
    """What an argument such as activation= or kernel_initializer= means.

    A name, a config, a class (made without arguments), or something callable; None stays None.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        found = find(identifier, kind)
        return found() if inspect.isclass(found) else found
    if isinstance(identifier, Mapping):
        return deserialize(identifier, kind)
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier):
        return identifier
    raise ArgumentError(explain(kind, repr(identifier), "a name, a config or something callable"))
