"""The one place that imports late: optional packages, or an error that says what to install, and
modules of ours that would make `import isoconv` slow."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from isoconv.errors import MissingPackageError

# What Keras runs on, the one that is preferred first.
_KERAS_BACKENDS = ("jax", "torch", "tensorflow")


def require(module: str, extra: str) -> ModuleType:
    """The module, imported.

    module: its dotted name, as in an import statement.
    extra: the extra of isoconv that installs it.
    Raises MissingPackageError if its package is not installed. A package that is installed but
    fails to import raises its own error.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingPackageError(
            f"{package} is needed for this and is not installed: pip install 'isoconv[{extra}]'.",
            name=error.name,
        ) from error


def keras(extra: str) -> ModuleType:
    """Keras, on the backend that KERAS_BACKEND names; where it names none, on an installed one.

    Left alone, Keras takes TensorFlow, installed or not. extra and errors: as for `require`;
    MissingPackageError also where none of those that Keras runs on is installed.
    """
    installed = [name for name in _KERAS_BACKENDS if find_spec(name) is not None]
    if installed:
        os.environ.setdefault("KERAS_BACKEND", installed[0])
    if not installed and find_spec("keras") is not None:
        raise MissingPackageError(
            f"Keras is installed, and none of {', '.join(_KERAS_BACKENDS)} that it runs on: "
            f"pip install 'isoconv[{extra}]'.",
            name=_KERAS_BACKENDS[0],
        )
    return require("keras", extra)


def late(module: str) -> ModuleType:
    """A module of isoconv that needs a package which `import isoconv` must not import."""
    return import_module(module)
