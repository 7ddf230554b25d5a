"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file beside `path` to write to, which takes its place if nothing fails inside.

    Otherwise it is removed, and what was at `path` stays as it was. Symbolic links are followed.
    Raises OSError, which names `path`, where no file can be made.
    """
    target = Path(path).resolve()
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    os.close(number)
    try:
        yield Path(name)
        os.chmod(name, target.stat().st_mode & 0o7777 if target.exists() else _usual_mode())
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _usual_mode() -> int:
    """The permissions of a new file; those of a temporary one are narrower."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
