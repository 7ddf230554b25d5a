"""The one place that imports late: optional packages, or an error that says what to install, and
modules of ours that would make `import isoconv` slow."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from isoconv.errors import MissingPackageError


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


def late(module: str) -> ModuleType:
    """A module of isoconv that needs a package which `import isoconv` must not import."""
    return import_module(module)
