"""The folder of compiled functions: nothing unsound is ever read, nothing unfit is ever used."""

import errno
import multiprocessing
import os
import stat
import time
from hashlib import sha256
from pathlib import Path

import pytest

from isoconv.runtime import cache

CONTENT = bytes(range(256)) * 40


def digest(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that does not exist yet, as the cache's."""
    path = tmp_path / "some" / "where"
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(path))
    return path


def only_entry(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_is_written_is_read(folder: Path) -> None:
    assert cache.read(digest(1)) is None
    cache.write(digest(1), CONTENT)
    assert cache.read(digest(1)) == CONTENT
    assert cache.read(digest(2)) is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_entry(folder).stat().st_mode) == 0o600


def flip_first(entry: bytes) -> bytes:
    return bytes([entry[0] ^ 1]) + entry[1:]


def flip_last(entry: bytes) -> bytes:
    return entry[:-1] + bytes([entry[-1] ^ 128])


def flip_middle(entry: bytes) -> bytes:
    half = len(entry) // 2
    return entry[:half] + bytes([entry[half] ^ 16]) + entry[half + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: b"",
        lambda entry: entry[:20],
        lambda entry: entry[:-1],
        lambda entry: entry[: len(entry) // 2],
        lambda entry: entry + b"\0",
        flip_first,
        flip_middle,
        flip_last,
        lambda entry: b"\x7fELF" + entry,
        lambda entry: entry.replace(b"object 1", b"object 0", 1),
    ],
)
def test_a_damaged_entry_is_not_read_and_then_replaced(folder: Path, damage) -> None:
    cache.write(digest(1), CONTENT)
    path = only_entry(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read(digest(1)) is None
    cache.write(digest(1), CONTENT)
    assert cache.read(digest(1)) == CONTENT


def test_an_entry_under_a_foreign_name_is_not_read(folder: Path) -> None:
    cache.write(digest(1), CONTENT)
    path = only_entry(folder)
    path.rename(path.with_name(path.name.replace(digest(1).hex(), digest(2).hex())))
    assert cache.read(digest(2)) is None


def test_a_link_or_a_pipe_instead_of_an_entry_is_not_read(folder: Path, tmp_path: Path) -> None:
    cache.write(digest(1), CONTENT)
    path = only_entry(folder)
    elsewhere = tmp_path / "entry"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.read(digest(1)) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.read(digest(1)) is None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_folder_that_others_enter_is_refused_with_one_warning(folder: Path, mode: int) -> None:
    cache.write(digest(1), CONTENT)
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match="its mode must be 0700"):
        assert cache.read(digest(1)) is None
    cache.write(digest(2), CONTENT)  # A second warning would be an error here.
    assert only_entry(folder).name.startswith(digest(1).hex())


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write(digest(1), CONTENT)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert cache.read(digest(1)) is None


@pytest.mark.parametrize("to", ["folder", "nothing", "file"])
def test_a_link_or_file_as_the_folder_is_refused(folder: Path, to: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    folder.parent.mkdir()
    if to == "folder":
        target.mkdir(mode=0o700)
    if to == "file":
        folder.write_text("")
    else:
        folder.symlink_to(target)
    with pytest.warns(RuntimeWarning, match="symbolic link or a file"):
        cache.write(digest(1), CONTENT)
    assert cache.read(digest(1)) is None
    assert to != "folder" or not any(target.iterdir())


def failing(error: int):
    def fail(*args: object, **options: object) -> None:
        raise OSError(error, os.strerror(error))

    return fail


def test_a_full_disk_leaves_no_trace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write(digest(1), CONTENT)
    with monkeypatch.context() as full:
        full.setattr(os, "replace", failing(errno.ENOSPC))
        cache.write(digest(2), CONTENT)
    assert only_entry(folder).name.startswith(digest(1).hex())
    assert cache.read(digest(1)) == CONTENT


def test_a_read_only_folder_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write(digest(1), CONTENT)
    past = time.time() - 1e6
    os.utime(only_entry(folder), (past, past))
    opening = os.open

    def read_only(path, flags, *args, **options):
        if flags & (os.O_CREAT | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opening(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "utime", failing(errno.EROFS))
    folder.chmod(0o500)
    cache.write(digest(2), CONTENT)
    assert cache.read(digest(2)) is None
    assert cache.read(digest(1)) == CONTENT


def test_a_parent_that_cannot_be_made_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(tmp_path / "file" / "a" / "b"))
    with pytest.warns(RuntimeWarning, match="symbolic link or a file"):
        assert cache.read(digest(1)) is None
    cache.write(digest(1), CONTENT)


def test_a_limit_of_nothing_turns_it_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    cache.write(digest(1), CONTENT)
    assert not folder.exists()


def test_the_least_recently_used_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCONV_CACHE_MB", "1")
    size = 100_000
    now = time.time()
    for number in range(10):
        cache.write(digest(number), bytes(size))
        # Ten days ago, nine days ago, ...
        used = now - (10 - number) * 86400
        os.utime(folder / f"{digest(number).hex()}.object", (used, used))
    foreign = folder / "notes.txt"
    foreign.write_text("mine")
    assert cache.read(digest(0)) is not None  # The oldest is used again.
    cache.write(digest(10), bytes(size))
    present = [number for number in range(11) if cache.read(digest(number)) is not None]
    assert present[0] == 0
    assert present[-1] == 10
    assert present[1:-1] == list(range(11 - len(present) + 1, 10))
    assert 6 <= len(present) <= 8
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1 << 20
    assert foreign.exists()


def test_an_entry_beyond_the_limit_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOCONV_CACHE_MB", "1")
    cache.write(digest(1), CONTENT)
    cache.write(digest(2), bytes(1 << 20))
    assert only_entry(folder).name.startswith(digest(1).hex())


def test_only_abandoned_temporary_files_go(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    old, new = folder / "old.partial", folder / "new.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache.write(digest(1), CONTENT)
    assert not old.exists()
    assert new.exists()


def compete(seed: int, rounds: int) -> None:
    """Writes and reads what others write and read too, in a folder too small for it."""
    for step in range(rounds):
        number = (step * 7 + seed) % 30
        content = digest(number) * 2000
        cache.write(digest(number), content)
        assert cache.read(digest((number + 5) % 30)) in (None, digest((number + 5) % 30) * 2000)


def test_processes_share_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCONV_CACHE_MB", "1")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=compete, args=(seed, 150)) for seed in (0, 11)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = [path.name for path in folder.iterdir()]
    assert names
    assert not [name for name in names if name.endswith(".partial")]
    for number in range(30):
        found = cache.read(digest(number))
        assert found is None or found == digest(number) * 2000
