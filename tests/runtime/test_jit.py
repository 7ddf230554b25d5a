"""Compiling, loading, and what is kept: each function is compiled once, and the right one runs."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from isoconv.errors import InternalError
from isoconv.runtime import jit
from isoconv.runtime.host import host, machine_for

AARCH64 = "aarch64-unknown-linux-gnu"


def giving(number: int) -> str:
    return f"define i64 @give() {{\n  ret i64 {number}\n}}"


def call(address: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(address)())


def give(key: str, text: Callable[[], str]) -> int:
    return call(jit.function(key, "give", text, host()))


def never() -> str:
    raise AssertionError("the text is not needed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on disk, and a process that has loaded nothing."""
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(tmp_path / "cache"))
    forget(monkeypatch)
    return tmp_path / "cache"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_addresses", {})


def test_compiled_once_in_a_process_and_once_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = jit.compilations()
    assert give("a", lambda: giving(1)) == 1
    assert give("b", lambda: giving(2)) == 2
    assert (jit.compilations() - before, jit.loaded()) == (2, 2)
    assert give("a", never) == 1
    assert (jit.compilations() - before, jit.loaded()) == (2, 2)
    forget(monkeypatch)
    assert give("b", never) == 2
    assert (jit.compilations() - before, jit.loaded()) == (2, 1)


def test_another_machine_or_release_compiles_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert give("a", lambda: giving(1)) == 1
    other = replace(host(), masks=not host().masks)
    assert call(jit.function("a", "give", lambda: giving(2), other)) == 2
    forget(monkeypatch)
    monkeypatch.setattr(jit, "_version", lambda: "the next")
    assert give("a", lambda: giving(3)) == 3


def test_every_module_whose_code_makes_code_is_part_of_the_version(tmp_path: Path) -> None:
    for file in ("emit.py", "tile/work.py", "tile/deep/rows.py", "tile/notes.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    read = [file.read_text() for file in jit._modules(tmp_path)]
    assert read == ["emit.py", "tile/deep/rows.py", "tile/work.py"]


def test_without_a_disk_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    assert give("a", lambda: giving(1)) == 1
    assert not folder.exists()


@pytest.mark.parametrize("checked", [True, False])
def test_a_planted_object_runs_only_if_its_checksum_fits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """The planted object is sound code; without the check it runs, as the second case shows."""
    assert give("a", lambda: giving(1)) == 1
    (path,) = folder.iterdir()
    planted = jit.compile_object(giving(666), host())
    entry = path.read_bytes()
    head, key = entry[: 16 + 32], entry[16 + 32 : 16 + 64]
    if not checked:
        head = entry[:16] + sha256(key + planted).digest()
    path.write_bytes(head + key + planted)
    forget(monkeypatch)
    before = jit.compilations()
    assert give("a", lambda: giving(1)) == (1 if checked else 666)
    assert jit.compilations() - before == (1 if checked else 0)
    forget(monkeypatch)
    assert give("a", never) == (1 if checked else 666)


def test_threads_compile_a_function_once(folder: Path) -> None:
    before = jit.compilations()
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: give(f"{n % 5}", lambda: giving(n % 5)), range(80)))
    assert results == [number % 5 for number in range(80)]
    assert jit.compilations() - before == 5


@pytest.mark.parametrize(
    "text",
    [
        "define i64 @give( {",
        "define i64 @give() {\n  ret i64 %nothing\n}",
        "define i64 @give() {\n  ret i32 1\n}",
        # Parsed, but refused by the verifier: the value is used before it is there.
        "define i64 @give() {\n  %a = add i64 %b, 1\n  %b = add i64 %a, 1\n  ret i64 %a\n}",
    ],
)
def test_bad_text_is_an_error_of_ours(folder: Path, text: str) -> None:
    with pytest.raises(InternalError, match="LLVM refuses"):
        jit.function("bad", "give", lambda: text, host())
    assert give("bad", lambda: giving(1)) == 1


@pytest.mark.parametrize("data", [b"", b"no object" * 50, b"\x7fELF" + bytes(60)])
def test_what_is_no_object_is_not_loaded(data: bytes) -> None:
    with pytest.raises(InternalError, match="cannot load"):
        jit.load("give", data)


def test_a_symbol_that_is_not_there() -> None:
    with pytest.raises(InternalError, match="cannot load"):
        jit.load("take", jit.compile_object(giving(1), host()))


def test_constants_and_library_calls_are_linked() -> None:
    """A constant pool, and a memset of a length that only the run knows."""
    constant = ", ".join(f"double {number}.5" for number in range(8))
    text = f"""
    declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
    define void @f(ptr %p, i64 %n) {{
      call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %n, i1 false)
      %x = load <8 x double>, ptr %p, align 8
      %y = fadd <8 x double> %x, <{constant}>
      store <8 x double> %y, ptr %p, align 8
      ret void
    }}
    """
    address = jit.load("f", jit.compile_object(text, host()))
    data = np.ones(10)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)(data.ctypes.data, 72)
    np.testing.assert_array_equal(data, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 0, 1])


def test_objects_for_aarch64() -> None:
    machine = machine_for(AARCH64, "neoverse-n1")
    text = """
    declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)
    define void @f(ptr %p) {
      %q = call ptr asm "", "=r,0"(ptr %p)
      %x = load <4 x float>, ptr %q, align 4
      %y = call <4 x float> @llvm.fma.v4f32(<4 x float> %x, <4 x float> %x, <4 x float> %x)
      store <4 x float> %y, ptr %p, align 4
      ret void
    }
    """
    image = jit.compile_object(text, machine)
    # ELF, 64 bits, little-endian; a relocatable file for AArch64.
    assert image[:6] == b"\x7fELF\x02\x01"
    assert int.from_bytes(image[16:18], "little") == 1
    assert int.from_bytes(image[18:20], "little") == 183
    assert "fmla" in jit.assembly(text, machine)


def test_compiling_is_pure() -> None:
    assert jit.compile_object(giving(5), host()) == jit.compile_object(giving(5), host())


PROCESS = """
import ctypes
from isoconv.runtime import jit
from isoconv.runtime.host import host

for number in range(30):
    text = f"define i64 @give() {{\\n  ret i64 {number}\\n}}"
    address = jit.function(f"key {number}", "give", lambda: text, host())
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(address)() == number
print(jit.compilations())
"""


def test_processes_share_what_they_compile(folder: Path) -> None:
    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", PROCESS]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    together = [start(), start()]
    assert [process.communicate()[0] != "" for process in together] == [True, True]
    assert [process.returncode for process in together] == [0, 0]
    later = start()
    assert later.communicate()[0] == "0\n"
    assert len(list(folder.iterdir())) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_compiles_and_loads(folder: Path) -> None:
    script = PROCESS.replace("print(", "import os, sys\nif os.fork():\n    os.wait()\nprint(")
    script += 'text = "define i64 @give() { ret i64 77 }"\n'
    script += 'address = jit.function("late", "give", lambda: text, host())\n'
    script += "assert ctypes.CFUNCTYPE(ctypes.c_int64)(address)() == 77\nprint('good')\n"
    result = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert result.returncode == 0
    assert result.stdout.count("good") == 2
