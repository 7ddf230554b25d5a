"""The exceptions a user meets, and the one form of their messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class IsoconvError(Exception):
    """Base of every error raised on purpose."""


class ArgumentError(IsoconvError, ValueError):
    """An argument that cannot mean anything: wrong kind, range or name."""


class ShapeError(ArgumentError):
    """Shapes or sizes that do not fit each other."""


class DtypeError(ArgumentError, TypeError):
    """A dtype that the operation or layer does not take."""


class RuntimeCheckError(ShapeError):
    """A check that only the run-time sizes or values could decide, and that failed."""


class FileError(ArgumentError):
    """A file that is damaged, is not what it should be, or does not fit the model."""


class MissingFileError(FileError, FileNotFoundError):
    """A file to read that is not there."""


class NotFiniteError(IsoconvError, RuntimeError, FloatingPointError):
    """NaN or infinity where training cannot go on."""


class MissingPackageError(IsoconvError, ImportError):
    """An optional package is needed and is not installed."""


class InternalError(IsoconvError, AssertionError):
    """isoconv contradicts itself: always a defect of ours, never of the user."""


# So many characters are shown of what was given.
_LONGEST = 1000


def explain(where: str, given: object, expected: str, remedy: str = "") -> str:
    """The message of an error: where it happened, what was given, what would work, what to do.

    where, given, expected: parts of one sentence. remedy: a sentence after it, or nothing.

    >>> explain("Conv1D 'conv1d': padding", "'sane'", "one of 'valid', 'same', 'causal'")
    "Conv1D 'conv1d': padding: expected one of 'valid', 'same', 'causal'; got 'sane'."
    """
    text = f"{where}: expected {expected}; got {abridged(str(given))}."
    return f"{text} {remedy}" if remedy else text


def nearest(wanted: object, names: Iterable[str]) -> str:
    """The remedy that names the one of `names` that was probably meant, or nothing."""
    near = get_close_matches(wanted, list(names), 1, 0) if isinstance(wanted, str) else []
    return f"Did you mean {near[0]!r}?" if near else ""


def abridged(text: str) -> str:
    """What came from a user or a file, no longer than a person reads."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text)} characters)"
