"""The folder of compiled functions: who may write there, how an entry looks, what is thrown out.

Its entries are code, so the folder must be the user's own (mode 0700) or is not used at all, and
an entry that is not exactly what was stored is as good as none.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from isoconv import settings

_MAGIC = b"isoconv object 1"
_SUFFIX = ".object"
_TEMPORARY = ".partial"
# A hit renews an entry's time only when it is older than this: most hits write nothing.
_FRESH_SECONDS = 3600.0
# What a writer that died left behind is thrown out after this.
_ABANDONED_SECONDS = 3600.0
# Open only what is there: never through a link, never a pipe that blocks.
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_SUPPORTED = hasattr(os, "getuid") and os.open in os.supports_dir_fd

# What opening a folder says of one that is not to be used; systems differ about links.
_UNFIT = {
    errno.ENOTDIR: "it is a symbolic link or a file",
    errno.ELOOP: "it is a symbolic link",
    errno.EACCES: "it may not be opened",
}

# Folders that are not used, and why.
_refused: dict[Path, str] = {}
# How much may still be written before the folder is measured again, by folder.
_allowance: dict[Path, int] = {}


class _Refused(Exception):
    """Why a folder is not used."""


def read(digest: bytes) -> bytes | None:
    """The object stored under a digest, or None where there is no sound one."""
    try:
        with _folder(create=False) as folder:
            descriptor = os.open(_name(digest), os.O_RDONLY | _SAFE, dir_fd=folder)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
                    return None
                content = _unpack(digest, file.read())
            if content is not None and status.st_mtime < time.time() - _FRESH_SECONDS:
                with suppress(OSError):
                    os.utime(_name(digest), dir_fd=folder)
            return content
    except (OSError, _Refused):
        return None


def write(digest: bytes, content: bytes) -> None:
    """Stores an object under a digest, as one step; a folder that cannot take it is left alone."""
    entry = _pack(digest, content)
    limit = settings.cache_limit_bytes()
    if len(entry) > limit:
        return
    try:
        with _folder(create=True) as folder:
            if _make_room(folder, len(entry), limit):
                _replace(folder, _name(digest), entry)
    except (OSError, _Refused):
        return


def _name(digest: bytes) -> str:
    return digest.hex() + _SUFFIX


def _pack(digest: bytes, content: bytes) -> bytes:
    body = digest + content
    return _MAGIC + sha256(body).digest() + body


def _unpack(digest: bytes, entry: bytes) -> bytes | None:
    start = len(_MAGIC) + sha256().digest_size
    body = entry[start:]
    if entry[:start] != _MAGIC + sha256(body).digest() or not body.startswith(digest):
        return None
    return body[len(digest) :]


@dataclass(frozen=True)
class Status:
    """The folder as it is. unused: why it is not used, None where it is (or will be when the first
    function is compiled). entries, bytes: what it holds; damaged: entries that are not what was
    stored, and would be compiled anew.
    """

    path: str
    unused: str | None
    entries: int
    bytes: int
    limit: int
    damaged: int


def status() -> Status:
    """What the folder holds, every entry read and checked."""
    limit = settings.cache_limit_bytes()
    entries = size = damaged = 0
    unused = None
    try:
        with warnings.catch_warnings(action="ignore"), _folder(create=False) as folder:
            for _, length, name in _entries(folder):
                entries, size = entries + 1, size + length
                damaged += not _is_sound(folder, name)
    except FileNotFoundError:
        unused = _in_the_way()
    except (OSError, _Refused) as error:
        unused = str(error)
    return Status(_shown_path(), unused, entries, size, limit, damaged)


def _in_the_way() -> str | None:
    """What keeps a folder that is not there from being made, if anything does."""
    above = next(each for each in settings.cache_dir().absolute().parents if each.is_dir())
    try:
        with TemporaryDirectory(dir=above):
            return None
    except OSError as error:
        return f"it cannot be made in {above} ({error.strerror})"


def clear() -> Status:
    """Throws out every entry; gives what the folder held."""
    before = status()
    with suppress(OSError, _Refused), _folder(create=False) as folder:
        for _, _, name in _entries(folder):
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    return before


def _shown_path() -> str:
    try:
        return str(settings.cache_dir())
    except RuntimeError:
        return "none: the user has no home"


def _is_sound(folder: int, name: str) -> bool:
    try:
        digest = bytes.fromhex(name.removesuffix(_SUFFIX))
        with open(os.open(name, os.O_RDONLY | _SAFE, dir_fd=folder), "rb") as file:
            return _unpack(digest, file.read()) is not None
    except (OSError, ValueError):
        return False


@contextmanager
def _folder(create: bool) -> Iterator[int]:
    """A descriptor of the folder: what it names cannot be exchanged while it is used."""
    try:
        path = settings.cache_dir()
    except RuntimeError as error:
        raise _Refused("the user has no home") from error
    if not _SUPPORTED:
        raise _Refused("this system has no owners of files")
    if settings.cache_limit_bytes() == 0:
        raise _Refused("ISOCONV_CACHE_MB is 0")
    if path in _refused:
        raise _Refused(_refused[path])
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
    except OSError as error:
        if error.errno in _UNFIT:
            raise _refuse(path, _UNFIT[error.errno]) from None
        raise
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid():
            raise _refuse(path, "it belongs to another user")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise _refuse(path, "others may enter it: its mode must be 0700")
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse(path: Path, reason: str) -> _Refused:
    _refused[path] = reason
    warnings.warn(
        f"The folder of compiled functions {str(path)!r} is not used, since {reason}. "
        "Mend it, or name another with ISOCONV_CACHE_DIR; until then every process compiles anew.",
        RuntimeWarning,
        stacklevel=2,
    )
    return _Refused(reason)


def _replace(folder: int, name: str, entry: bytes) -> None:
    temporary = secrets.token_hex(8) + _TEMPORARY
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(entry)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _make_room(folder: int, size: int, limit: int) -> bool:
    """Throws out the entries used longest ago where the folder would pass its limit.

    Tells whether an entry of `size` bytes fits. The folder is measured anew only when a
    sixteenth of the limit has been written.
    """
    path = settings.cache_dir()
    left = _allowance.get(path, 0) - size
    if left < 0:
        entries = sorted(_entries(folder))
        total = size + sum(length for _, length, _ in entries)
        if total > limit:
            # Down to three quarters, so that the next writers need not throw out again.
            for _, length, name in entries:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)
                    total -= length
                if total <= limit - limit // 4:
                    break
        left = min(limit // 16, limit - total)
    _allowance[path] = left
    return left >= 0


def _entries(folder: int) -> Iterator[tuple[float, int, str]]:
    """Time of last use, size and name of each entry; abandoned temporary files go on the way."""
    for found in os.scandir(folder):
        if not found.name.endswith((_SUFFIX, _TEMPORARY)):
            continue
        with suppress(OSError):
            status = found.stat(follow_symlinks=False)
            if found.name.endswith(_SUFFIX):
                yield status.st_mtime, status.st_size, found.name
            elif status.st_mtime < time.time() - _ABANDONED_SECONDS:
                os.unlink(found.name, dir_fd=folder)
